"""`liteflow list-checkpoints`, `clear` and `gc`: which runs can be gone on with, and taking runs away."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from liteflow.cli.common import Db, Json, chosen_db, examples, history_to_change, open_history
from liteflow.cli.output import complain, print_json_list, print_table, say
from liteflow.cli.records import run_record
from liteflow.errors import CommandLineError, NoSuchRunError, RunOwnedError
from liteflow.outcomes import WITH_VALUE
from liteflow.store.history import History, RunRow
from liteflow.views.shown import counted, label
from liteflow.views.states import tally
from liteflow.views.times import clock

_SHOWN = 20
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken away.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command(
        "list-checkpoints", epilog=examples("liteflow list-checkpoints", "liteflow list-checkpoints daily")
    )
    def list_checkpoints(
        name: Annotated[
            str | None, typer.Argument(metavar="[NAME]", help="The name of a flow; else all flows.")
        ] = None,
        db: Db = None,
        as_json: Json = False,
    ) -> None:
        """List the runs that can be resumed, with what is done, newest first."""
        with open_history(db) as history:
            found = [(row, _states(history, row)) for row in history.unfinished(name)]
        if as_json:
            print_json_list(
                {**run_record(row), "script": row.script, "states": dict(states)} for row, states in found
            )
            return
        _print_checkpoints(found, name)

    @app.command(
        epilog=examples("liteflow clear daily", "liteflow clear 3f2a --yes", "liteflow clear 'test-*' -n")
    )
    def clear(
        name: Annotated[
            str,
            typer.Argument(
                metavar="NAME",
                help="A flow, whose runs all go; one run's id; or a pattern of flows, else of ids: 'test-*'.",
            ),
        ],
        db: Db = None,
        yes: Yes = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", "-n", help="Only say what would be taken away.")
        ] = False,
    ) -> None:
        """Take runs away, with their results and logs."""
        with history_to_change(chosen_db(db)) as history:
            _take_away(history, _meant(history, name), yes=yes, dry_run=dry_run)

    @app.command(epilog=examples("liteflow gc --keep 30d --dry-run", "liteflow gc --keep 12h --yes"))
    def gc(
        keep: Annotated[
            str, typer.Option(metavar="TIME", help="Runs that ended longer ago go: 30d, 12h, 90m.")
        ] = "30d",
        db: Db = None,
        yes: Yes = False,
        dry_run: DryRun = False,
    ) -> None:
        """Take away runs that have succeeded, failed or been cancelled long ago."""
        oldest = time.time() - seconds_of(keep)
        with history_to_change(chosen_db(db)) as history:
            runs = [row for row in history.runs() if row.state != "running"]
            _take_away(
                history, [r for r in runs if (r.ended_at or r.created_at) < oldest], yes=yes, dry_run=dry_run
            )


def _print_checkpoints(found: list[tuple[RunRow, Counter[str]]], name: str | None) -> None:
    """Print runs that can be gone on with, of the flow `name` or of any, as a table."""
    if not found:
        say(f"no run {f'of {label(name, 80)} ' if name else ''}is left to go on with: all have succeeded")
        return
    print_table(
        ["id", "flow", "state", "started (UTC)", "done", "tasks", "file"],
        (
            [
                row.id,
                row.flow,
                row.state,
                clock(row.started_at),
                f"{sum(states[state] for state in WITH_VALUE)}/{sum(states.values())}",
                tally(states),
                label(row.script or "", 200),
            ]
            for row, states in found
        ),
    )


def seconds_of(text: str) -> float:
    """Return the seconds that a text like `30d` says.

    Raises:
        CommandLineError: It says none.

    >>> seconds_of("30d"), seconds_of("1.5h")
    (2592000.0, 5400.0)
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise CommandLineError(
            f"{label(text, 40)!r} is no time; write a number and one of s, m, h, d, w, as in 30d"
        )
    return float(found[1]) * _SECONDS[found[2]]


def _states(history: History, row: RunRow) -> Counter[str]:
    return Counter(task.state for task in history.tasks(row.id))


def _meant(history: History, name: str) -> list[RunRow]:
    runs = history.runs()
    found = [row for row in runs if name in (row.flow, row.id)]
    if not found and any(c in name for c in "*?["):
        # Flows first: ids are made up by chance, and any of them may begin as a flow does.
        found = [row for row in runs if fnmatchcase(row.flow, name)]
        found = found or [row for row in runs if fnmatchcase(row.id, name)]
    # Not the beginning of an id for a pattern: what is taken away is named as it is.
    if not found and name and not any(c in name for c in "*?["):
        found = [history.find_run(name)]
    if not found:
        lines = tuple(f"{run.id} ({run.flow}, {run.state})" for run in runs[:5])
        raise NoSuchRunError(name, history.path, lines, False)
    return found


def _take_away(history: History, runs: list[RunRow], *, yes: bool, dry_run: bool) -> None:
    for row in runs:
        if row.state == "running":
            raise RunOwnedError(
                row.id,
                history.path,
                row.owner_host or "?",
                row.owner_pid or 0,
                row.owner_since or row.created_at,
            )
    if not runs:
        say("there is nothing to take away")
        return
    what = counted(len(runs), "run")
    if dry_run or not yes:
        say(f"{what} would go, with all results and logs:")
        for row in runs[:_SHOWN]:
            say(f"  {label(row.id)}  {label(row.flow)}  {row.state}  {clock(row.started_at)}")
        if len(runs) > _SHOWN:
            say(f"  and {len(runs) - _SHOWN} more")
    if dry_run:
        return
    if not yes and not _agreed():
        complain("liteflow: nothing is taken away; say y, or --yes")
        raise typer.Exit(2)
    # Start-up: to look needs none of it.
    from liteflow.store.db import open_store  # noqa: PLC0415
    from liteflow.store.forget import forget_runs  # noqa: PLC0415

    connection = open_store(history.path)
    try:
        gone = forget_runs(connection, runs)
    finally:
        connection.close()
    say(f"{counted(gone, 'run')} gone")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    print("take them away? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
