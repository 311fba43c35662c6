"""`liteflow resume [RUN]`: go on with a run, by the file that it was begun from."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from liteflow import signals
from liteflow.cli.common import Db, File, Tasks, chosen_db, examples, history_to_change
from liteflow.cli.run import (
    Debug,
    Executor,
    LogDir,
    MaxWorkers,
    Quiet,
    Refresh,
    Resource,
    Timeout,
    Trust,
    XcomStorage,
    XcomThreshold,
    drive,
    options_of,
    report,
)
from liteflow.cli.source import db_for, flow_of_run, is_file, load_flow, store_of
from liteflow.errors import CommandLineError, NotResumableError
from liteflow.flow import Flow
from liteflow.store.history import History, RunRow
from liteflow.views.shown import label


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow resume",
            "liteflow resume 3f2a",
            "liteflow resume daily.yaml",
            "liteflow resume etl --file flows/etl.py --db etl.db",
        )
    )
    def resume(
        run: Annotated[
            str | None,
            typer.Argument(
                metavar="[RUN|FILE]",
                help="A run's id, the beginning of one, or a flow's name; or a file, for the latest "
                "unfinished run of its flow; else the latest unfinished run.",
            ),
        ] = None,
        *,
        file: File = None,
        tasks: Tasks = None,
        db: Db = None,
        executor: Executor = None,
        max_workers: MaxWorkers = None,
        timeout: Timeout = None,
        resource: Resource = None,
        log_dir: LogDir = None,
        xcom_storage: XcomStorage = None,
        xcom_threshold: XcomThreshold = None,
        refresh: Refresh = False,
        trust: Trust = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
        quiet: Quiet = False,
        debug: Debug = False,
    ) -> None:
        """Go on with a run that failed, was cancelled, or whose driver died.

        What had finished is kept, unless its code has changed since. The exit status is that of run.
        """
        with signals.raised():
            flow = None
            if run is not None and file is None and is_file(run):
                flow = load_flow(run, tasks)
                path = store_of(flow, db_for(run, db))
            else:
                path = chosen_db(db)
            with history_to_change(path) as history:
                row = _meant(history, run) if flow is None else _latest(history, flow)
            options = options_of(
                db=str(path),
                executor=executor,
                debug=debug,
                max_workers=max_workers,
                timeout=timeout,
                resource=resource,
                refresh=refresh,
                trust=trust,
                log_dir=log_dir,
                xcom_storage=xcom_storage,
                xcom_threshold=xcom_threshold,
            )
            flow = flow or _flow_to_resume(row, file, tasks)
            begin = partial(flow.resume, row.id)
            ended = drive(flow, begin, options, quiet=quiet, debug=debug, as_json=as_json)
        report(ended, as_json, quiet)
        raise typer.Exit(0 if ended.state == "succeeded" else 1)


def _meant(history: History, ref: str | None) -> RunRow:
    if ref is not None:
        return history.find_run(ref)
    for row in history.unfinished():
        return row
    raise CommandLineError(f"no run in {history.path} is unfinished; liteflow runs lists them")


def _latest(history: History, flow: Flow[Any, Any]) -> RunRow:
    for row in history.unfinished(flow.name):
        return row
    raise CommandLineError(
        f"no run of {label(flow.name)} in {history.path} is unfinished; liteflow runs lists them"
    )


def _flow_to_resume(row: RunRow, file: str | None, tasks: str | None) -> Flow[Any, Any]:
    if row.state == "succeeded":
        raise NotResumableError(row.id, row.flow, "it has succeeded, so nothing is left to do")
    return flow_of_run(row, file, tasks, "resume")
