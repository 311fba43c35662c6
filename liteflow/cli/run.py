"""`liteflow run FILE`: run the flow of a file, show how it goes on and what came out."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from liteflow import signals
from liteflow.cli.arguments import read_inputs, read_json, read_resources, split_arguments
from liteflow.cli.common import Db, Tasks, examples
from liteflow.cli.look import took_of, tracebacks
from liteflow.cli.output import coloured, complain, is_terminal, say, to_json
from liteflow.cli.progress import Lines, Silence
from liteflow.cli.records import output_record, run_record
from liteflow.cli.script import own_errors
from liteflow.cli.source import db_for, is_arrows, load_flow
from liteflow.errors import ArgumentError, CommandLineError, RunFailed, RunTimeoutError
from liteflow.flow import Flow
from liteflow.run import Run
from liteflow.settings import RunSettings
from liteflow.store.history import History, RunRow
from liteflow.store.place import default_db
from liteflow.views.shown import label, visible
from liteflow.views.states import tally

# So many outputs are shown; a flow may end in thousands of tasks.
MANY_OUTPUTS = 20


def _setting(name: str, metavar: str, text: str, *also: str, **rest: Any) -> Any:
    """An option that the environment can give too: LITEFLOW_MAX_WORKERS for --max-workers."""
    variable = f"LITEFLOW_{name.strip('-').replace('-', '_').upper()}"
    return typer.Option(name, *also, metavar=metavar, envvar=variable, help=text, **rest)


Executor = Annotated[
    str | None,
    _setting("--mode", "NAME", "Where tasks run: process, thread, async, inline, dask or ray.", "--executor"),
]
MaxWorkers = Annotated[int | None, _setting("--max-workers", "N", "So many tasks at a time.", min=1)]
Timeout = Annotated[
    float | None, _setting("--timeout", "SECONDS", "End the run when it takes longer than this.")
]
LogDir = Annotated[
    str | None, _setting("--log-dir", "FOLDER", "Write the log of each attempt to a file there too.")
]
XcomStorage = Annotated[
    str | None,
    _setting("--xcom-storage", "URL", "Large values lie there: file:///shared, s3://bucket/folder."),
]
XcomThreshold = Annotated[
    int | None, _setting("--xcom-threshold", "BYTES", "Values go there that are larger; 1 MiB.", min=0)
]
Resource = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="NAME=AMOUNT",
        help="What this machine has for tasks that take some of it: telescope=1, memory=8GB; "
        "may be given often.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An argument, as above; may be given often."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="TASK", help="Run this task alone, with what the others gave in an earlier run."),
]
Onwards = Annotated[
    list[str] | None,
    typer.Option("--from", metavar="TASK", help="Run this task again, and all that depends on it."),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Read values of the store whoever made them; they can run code, so know who did."
    ),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Take over no result of an earlier run: tasks with a cache run too.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Run in this process, one task at a time, so that breakpoint() works; whole tracebacks.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow run etl.py",
            "liteflow run daily.yaml --set day=2026-11-21 --mode thread --max-workers 8",
            "liteflow run daily.yaml --dry-run",
            "liteflow run daily.yaml --from train",
            "liteflow run etl.py path=other.csv transform.scale=2.5",
            "liteflow run flows.py:daily --db daily.db --max-workers 4 --json",
            "liteflow run nightly.flow --tasks my_tasks --input '{\"batch\": 7}'",
        )
    )
    def run(
        target: Annotated[
            str,
            typer.Argument(
                metavar="FILE[:FLOW]",
                help="A Python file, and which of its flows if it has several; or a .flow or workflow file.",
            ),
        ],
        arguments: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="NAME=VALUE",
                help="Arguments of the flow, or of a task: task.parameter=value. A value is read as JSON if "
                "it is JSON and the parameter is not text.",
            ),
        ] = None,
        *,
        db: Db = None,
        settings: Settings = None,
        executor: Executor = None,
        max_workers: MaxWorkers = None,
        timeout: Timeout = None,
        resource: Resource = None,
        log_dir: LogDir = None,
        xcom_storage: XcomStorage = None,
        xcom_threshold: XcomThreshold = None,
        run_id: Annotated[
            str | None,
            typer.Option(
                metavar="ID",
                help="An id of your own: an unfinished run of this id goes on, a finished one is shown.",
            ),
        ] = None,
        tasks: Tasks = None,
        given: Annotated[
            str | None,
            typer.Option(
                "--input",
                metavar="JSON|@FILE",
                help="With a .flow file: what goes to its first steps, as JSON or a file that holds it.",
            ),
        ] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on with the latest unfinished run of the flow.")
        ] = False,
        only: Only = None,
        onwards: Onwards = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Print what would be run, and run nothing.")
        ] = False,
        refresh: Refresh = False,
        trust: Trust = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
        quiet: Quiet = False,
        debug: Debug = False,
    ) -> None:
        """Run the flow of a file.

        The exit status is 0 if the run succeeded, 1 if it failed, 2 if it could not begin, 3 if
        another process drives it.
        """
        words = [*(arguments or []), *(settings or [])]
        told = words if given is None else [*words, "--input"]
        _refuse_both(told, resume=resume, own_id=run_id is not None, part=bool(only or onwards))
        options = options_of(
            db=db_for(target, db),
            executor=executor,
            debug=debug,
            max_workers=max_workers,
            timeout=timeout,
            resource=resource,
            # What is to run again must not be taken over.
            refresh=refresh or bool(only or onwards),
            trust=trust,
            log_dir=log_dir,
            xcom_storage=xcom_storage,
            xcom_threshold=xcom_threshold,
        )
        takes_input = is_arrows(target) and not resume and "input" not in split_arguments(words)
        with signals.raised(), _told_of_input(takes_input and given is None):
            flow = load_flow(target, tasks)
            with own_errors(flow, words, debug):
                inputs = {} if resume else read_inputs(flow, words)
                if given is not None:
                    inputs["input"] = read_json(given)
                if only or onwards:
                    flow = _part(flow, inputs, only or [], onwards or [], options)
            if dry_run:
                with own_errors(flow, words, debug):
                    preview = _preview(flow, inputs, options, (run_id,) if resume else None)
                preview(as_json)
                return
            begin = partial(flow.run, inputs=inputs, run_id=run_id)
            ended = drive(
                flow,
                partial(flow.resume, run_id) if resume else begin,
                options,
                quiet=quiet,
                debug=debug,
                as_json=as_json,
                words=words,
            )
        report(ended, as_json, quiet)
        raise typer.Exit(0 if ended.state == "succeeded" else 1)


def _refuse_both(words: list[str], *, resume: bool, own_id: bool, part: bool) -> None:
    """Refuse what can't be said together.

    Raises:
        CommandLineError: Arguments beside --resume, or that or --run-id beside a part of the flow.
    """
    if resume and words:
        raise CommandLineError(
            "--resume goes on with the arguments that the run was begun with; leave out "
            f"{label(words[0])}, or begin a new run without --resume"
        )
    if part and (resume or own_id):
        raise CommandLineError("--only and --from begin a new run; leave out --resume and --run-id")


@contextmanager
def _told_of_input(lacking: bool) -> Iterator[None]:
    """Inside, who lacks an input, and so has an argument that does not fit, is told how to give one."""
    try:
        yield
    except ArgumentError as error:
        # Of the flow itself what is missing is a secret.
        if not lacking or error.owner.startswith("flow "):
            raise
        problem = f"{error}; nothing was given as input: what comes in to the first steps is --input JSON"
        raise CommandLineError(problem) from error


def options_of(
    *,
    executor: str | None,
    debug: bool,
    resource: list[str] | None,
    trust: bool,
    refresh: bool = False,
    **others: str | float | None,
) -> dict[str, Any]:
    """Return the options of a run that were given on the command line; the others are as the flow says.

    Args:
        executor: `--mode`; with `debug` all is run in this process unless it says otherwise.
        debug: `--debug`.
        resource: `--resource`, as often as it was given.
        trust: `--trust`; a flow's own word stands where it was not given, and so it is with `refresh`.
        refresh: `--refresh`.
        others: Options of a run by their names; None: not given.
    """
    given = {
        "executor": executor or ("inline" if debug else None),
        "resources": read_resources(resource),
        "refresh": refresh or None,
        "trust": trust or None,
        **others,
    }
    return {name: value for name, value in given.items() if value is not None} | {"check": False}


def _settings(flow: Flow[Any, Any], options: Mapping[str, Any]) -> RunSettings:
    return RunSettings(**{**flow.options, **options})


def _part(
    flow: Flow[Any, Any],
    inputs: Mapping[str, object],
    only: list[str],
    onwards: list[str],
    options: Mapping[str, Any],
) -> Flow[..., Any]:
    # Start-up: most runs are of whole flows.
    from liteflow.cli.part import part_to_run  # noqa: PLC0415

    settings = _settings(flow, options)
    dag = flow.compile(inputs=inputs)
    return part_to_run(flow, dag, only, onwards, db=settings.db, trust=settings.trust)


def _preview(
    flow: Flow[Any, Any],
    inputs: Mapping[str, object],
    options: Mapping[str, Any],
    resume: tuple[str | None] | None,
) -> Callable[[bool], None]:
    """What prints what would be run, perhaps as JSON.

    `resume` holds which run would be gone on with, None for the latest.
    """
    from liteflow.cli.dry_run import dry_run  # noqa: PLC0415  as above

    settings = _settings(flow, options)
    if resume is None:
        return partial(dry_run, flow.compile(inputs=inputs), settings, None)
    from liteflow.outlook import outlook  # noqa: PLC0415

    if settings.db is None:
        raise CommandLineError("with db=None nothing is kept that could be gone on with")
    found = outlook(flow, settings.db, resume[0], settings.executor, settings.trust)
    return partial(dry_run, found.dag, settings, found)


def drive(
    flow: Flow[Any, Any],
    begin: Callable[..., Run[Any]],
    options: Mapping[str, Any],
    *,
    quiet: bool,
    debug: bool,
    as_json: bool,
    words: Sequence[str] = (),
) -> Run[Any]:
    """Run or resume a flow, showing how it goes on.

    Args:
        flow: Which.
        begin: Runs it with an observer, and with these options.
        options: Of the run.
        quiet: Nothing is shown.
        debug: The terminal stays free for a debugger, and tracebacks are whole.
        as_json: Standard output is for the record: what tasks print in this process goes to standard error.
        words: The arguments on the command line, among which may be secrets.
    """
    observer = _observer(quiet, debug)
    aside = redirect_stdout(sys.stderr) if as_json and not debug else nullcontext()
    try:
        with own_errors(flow, words, debug), aside, observer:
            return begin(observer=observer, **options)
    except KeyboardInterrupt:
        if observer.run_id is not None:
            run_id = visible(observer.run_id)
            complain(
                f"liteflow: run {run_id} is cancelled{_how_to_go_on(run_id, _settings(flow, options).db)}"
            )
        raise


def _how_to_go_on(run_id: str, db: Path | None) -> str:
    if db is None:
        return ""
    # Where `liteflow resume` looks by itself it need not be told; nowhere, if the working directory is gone.
    with suppress(FileNotFoundError):
        if db.resolve() == Path(default_db()).resolve():
            return f"; what had finished is kept, go on with: liteflow resume {run_id}"
    store = f" --db {shlex.quote(visible(str(db)))}"
    return f"; what had finished is kept, go on with: liteflow resume {run_id}{store}"


def _observer(quiet: bool, debug: bool) -> Silence:
    """Return the observer that fits what standard error is.

    Args:
        quiet: Nothing is to be said.
        debug: The terminal must stay free for a debugger.
    """
    if quiet:
        return Silence()
    if debug or not is_terminal(sys.stderr):
        return Lines()
    from liteflow.cli.live import Live  # noqa: PLC0415  rich takes 60 ms, and only terminals need it

    return Live()


def report(
    run: Run[Any], as_json: bool, quiet: bool, also: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Print what came of the run: its outputs, or the tracebacks of the tasks that failed.

    `also` is what its JSON has besides.
    """
    tasks = run.tasks
    states = Counter(row.state for row in tasks.values())
    if isinstance(run.failure, RunTimeoutError):
        complain(f"liteflow: {run.failure}")
    if run.db is None:
        # Nothing is kept, so nothing can be looked up; but the values and the error are here.
        row, said = None, _traceback_at_hand(run)
        with run._open_history() as history:
            outputs = _outputs(history, run)
    else:
        with History(run.db) as history:
            row = history.find_run(run.id)
            outputs = _outputs(history, run)
            said = list(tracebacks(history, run.id, tasks.values()))
    for text in said:
        complain(text)
    if as_json:
        say(to_json({**_record(run, row, states, outputs), **also}, indent=2))
    elif not quiet:
        _say_outcome(run, row, states, outputs)


Outputs = Mapping[str, Mapping[str, object]]


def _say_outcome(run: Run[Any], row: RunRow | None, states: Counter[str], outputs: Outputs) -> None:
    took = f" in {took_of(row)}" if row is not None and took_of(row) else ""
    say(f"run {visible(run.id)} of {visible(run.flow)} {coloured(run.state)}{took}: {tally(states)}")
    for key in list(outputs)[:MANY_OUTPUTS]:
        say(f"  {label(key)} = {label(str(outputs[key]['preview']), 500)}")
    if len(outputs) > MANY_OUTPUTS:
        say(f"  and {len(outputs) - MANY_OUTPUTS} more")


def _record(run: Run[Any], row: RunRow | None, states: Counter[str], outputs: Outputs) -> dict[str, object]:
    known = run_record(row) if row is not None else {"id": run.id, "flow": run.flow, "state": run.state}
    failures = run.failure.failures if isinstance(run.failure, RunFailed) else {}
    return {**known, "db": run.db, "states": dict(states), "outputs": outputs, "failures": failures}


def _outputs(history: History, run: Run[Any]) -> Outputs:
    return {xcom.key: output_record(xcom) for xcom in history.xcoms(run.id) if xcom.key in run}


def _traceback_at_hand(run: Run[Any]) -> list[str]:
    cause = run.failure and run.failure.__cause__
    if cause is None:
        return []
    return [visible("".join(traceback.format_exception(cause)).rstrip(), keep="\n\t")]
