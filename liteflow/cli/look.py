"""`liteflow runs`, `show` and `logs`: look at what the store has; nothing is run or unpickled."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from liteflow.cli.common import Db, Json, Ref, examples, open_history
from liteflow.cli.follow import follow
from liteflow.cli.output import coloured, print_json_list, print_table, say, to_json
from liteflow.cli.records import log_record, run_record, whole_record
from liteflow.errors import CommandLineError, UnknownNameError
from liteflow.store.history import History, LogRow, RunRow, TaskRow, XComRow
from liteflow.views.arguments import arguments_of
from liteflow.views.shown import counted, cut, label, visible
from liteflow.views.states import tally
from liteflow.views.times import clock, duration, moment

# A task is looked for in so many of the latest runs.
_LOOKED_THROUGH = 200
# More task instances than this are shown by task, and one by one only those that need a look.
MANY = 40
TRACEBACKS = 3
LONGEST_LINE = 2000


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command(epilog=examples("liteflow runs", "liteflow runs --limit 5 --json"))
    def runs(
        db: Db = None,
        limit: Annotated[int, typer.Option(min=1, metavar="N", help="So many of the latest.")] = 20,
        as_json: Json = False,
    ) -> None:
        """List the latest runs, newest first."""
        with open_history(db) as history:
            found = history.runs(limit)
        if as_json:
            print_json_list(map(run_record, found))
        else:
            _print_runs(found)

    @app.command(
        epilog=examples("liteflow show latest", "liteflow show etl --all", "liteflow show 3f2a --json")
    )
    def show(
        run: Ref,
        db: Db = None,
        everything: Annotated[bool, typer.Option("--all", help="Each task instance, however many.")] = False,
        as_json: Json = False,
    ) -> None:
        """Show a run: its tasks, their states, results and errors."""
        with open_history(db) as history:
            found = history.find_run(run)
            if as_json:
                say(to_json(whole_record(history, found), indent=2))
            else:
                _show(history, found, everything)

    @app.command(
        epilog=examples(
            "liteflow logs latest",
            "liteflow logs --task train",
            "liteflow logs etl transform-2",
            "liteflow logs latest load --follow",
        )
    )
    def logs(
        run: Annotated[
            str | None,
            typer.Argument(
                metavar="[RUN]",
                help="A run's id, the beginning of one, a flow's name (its latest run) or 'latest'; "
                "else the latest run, of those that have the TASK.",
            ),
        ] = None,
        key: Annotated[
            str | None,
            typer.Argument(metavar="[TASK]", help="The key of a task instance, and of its items."),
        ] = None,
        *,
        db: Db = None,
        task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="The same as TASK.")] = None,
        raw: Annotated[
            bool, typer.Option("--raw", help="The lines as they were written: nothing escaped.")
        ] = False,
        as_json: Json = False,
        following: Annotated[
            bool,
            typer.Option(
                "--follow", "-f", help="Go on until the run has ended, and show what its tasks yield, too."
            ),
        ] = False,
    ) -> None:
        """Show what the tasks of a run printed and logged."""
        if key is not None and task is not None and key != task:
            raise CommandLineError(f"{label(key)} and --task {label(task)} are two tasks; name one")
        key = key or task
        with open_history(db) as history:
            found = history.find_run(run) if run is not None else _latest(history, key)
            if key is not None:
                _check_key(history, found, key)
            lines = _lines(history, found, key, following)
            if as_json:
                print_json_list(map(log_record, lines))
            else:
                _print_lines(lines, raw=raw, key=key, at_once=following)


def _print_runs(runs: Iterable[RunRow]) -> None:
    """Print runs as a table."""
    print_table(
        ["id", "flow", "state", "started (UTC)", "took", "error"],
        (
            [row.id, row.flow, row.state, clock(row.started_at), took_of(row), label(row.error or "", 100)]
            for row in runs
        ),
    )


def _latest(history: History, key: str | None) -> RunRow:
    """The latest run that has such a task instance, not looked for for ever; else the latest run."""
    if key is not None:
        for run in history.runs(_LOOKED_THROUGH):
            if history.index_of(run.id, key) is not None:
                return run
    return history.find_run("latest")


def _lines(history: History, run: RunRow, key: str | None, following: bool) -> Iterable[LogRow]:
    """What all tasks wrote, or one, or its items."""
    items = f"{key}["
    if key is None or not (following or any(row.key.startswith(items) for row in history.tasks(run.id))):
        return follow(history, run, key) if following else history.logs(run.id, key)
    # Its items may be still to come.
    lines = follow(history, run, None) if following else history.logs(run.id)
    return (row for row in lines if row.key == key or row.key.startswith(items))


def _print_lines(lines: Iterable[LogRow], *, raw: bool, key: str | None, at_once: bool) -> None:
    """Print what tasks wrote, as it was, or with whose it is if not `key`; `at_once` while it comes."""
    for row in lines:
        say(row.line if raw else log_line(row, with_key=row.key != key))
        if at_once:
            sys.stdout.flush()


def log_line(row: LogRow, with_key: bool) -> str:
    """Return a log line with its time, whose it is and which stream it came by."""
    parts = [moment(row.at), label(row.key) if with_key else "", row.stream if row.stream != "stdout" else ""]
    text = cut(visible(row.line[: LONGEST_LINE + 1], keep="\t"), LONGEST_LINE)
    if len(row.line) > LONGEST_LINE:
        text += f" ({len(row.line)} characters; --raw shows them)"
    return " ".join([*(visible(part) for part in parts if part), "|", text])


def _show(history: History, run: RunRow, everything: bool) -> None:
    tasks = list(history.tasks(run.id))
    say(f"run {visible(run.id)} of {visible(run.flow)}: {coloured(run.state)}")
    when = [f"started {clock(run.started_at)} UTC" if run.started_at else "not started", took_of(run)]
    say("  " + ", ".join(filter(None, when)))
    for name, value in arguments_of(run).items():
        say(f"  {label(str(name))} = {label(str(value), 200)}")
    say(f"  {counted(len(tasks), 'task instance')}: {tally(Counter(row.state for row in tasks))}")
    if run.error:
        say(f"  {label(run.error, 300)}")
    say("")
    _show_tasks(tasks, {row.key: row for row in history.xcoms(run.id)}, everything)
    for text in tracebacks(history, run.id, tasks):
        say("")
        say(text)


def _show_tasks(tasks: list[TaskRow], xcoms: dict[str, XComRow], everything: bool) -> None:
    if len(tasks) > MANY and not everything:
        print_table(
            ["task", "instances", "states"],
            ([task, str(sum(states.values())), tally(states)] for task, states in _by_task(tasks)),
        )
        tasks = [row for row in tasks if row.state not in ("succeeded", "cached", "pending")][:MANY]
        if not tasks:
            return
        say("")
    print_table(
        ["key", "state", "attempts", "took", "result or error"],
        (
            [row.key, row.state, str(row.attempts), took_of(row), _came_out(row, xcoms.get(row.key))]
            for row in tasks
        ),
    )


def tracebacks(history: History, run: str, tasks: Iterable[TaskRow]) -> Iterator[str]:
    """Yield the tracebacks of the first tasks that failed, as the tasks raised them."""
    failed = [row for row in tasks if row.state == "failed"]
    for row in failed[:TRACEBACKS]:
        last = max(history.attempts(run, row.key), key=lambda attempt: attempt.attempt, default=None)
        said = (last.traceback or last.error if last else None) or row.error
        if said:
            text = visible(said.rstrip(), keep="\n\t")
            yield f"{visible(row.key)} failed:\n{text}"
    if len(failed) > TRACEBACKS:
        yield f"and {len(failed) - TRACEBACKS} more failed"


def _by_task(tasks: Iterable[TaskRow]) -> Iterable[tuple[str, Counter[str]]]:
    found: dict[str, Counter[str]] = {}
    for row in tasks:
        found.setdefault(row.task, Counter())[row.state] += 1
    return found.items()


def _came_out(row: TaskRow, xcom: XComRow | None) -> str:
    return label((xcom.preview if xcom else row.error) or "", 200)


def took_of(row: RunRow | TaskRow) -> str:
    """Say how long a run or a task instance took; nothing while it goes on."""
    if row.started_at is None or row.ended_at is None:
        return ""
    return duration(row.ended_at - row.started_at)


def _check_key(history: History, run: RunRow, key: str) -> None:
    keys = [row.key for row in history.tasks(run.id)]
    if key not in keys:
        raise UnknownNameError(f"run {run.id}", "task instance", key, keys)
