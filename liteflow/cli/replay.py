"""`liteflow replay RUN`: run its flow once more with what it was given, and say what came out otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve

from liteflow import signals
from liteflow.cli.arguments import read_inputs
from liteflow.cli.common import Db, File, Ref, Tasks, chosen_db, examples, history_to_change
from liteflow.cli.output import say
from liteflow.cli.run import (
    MANY_OUTPUTS,
    Debug,
    Executor,
    LogDir,
    MaxWorkers,
    Only,
    Onwards,
    Quiet,
    Resource,
    Settings,
    Timeout,
    Trust,
    XcomStorage,
    XcomThreshold,
    drive,
    options_of,
    report,
)
from liteflow.cli.script import own_errors
from liteflow.cli.source import flow_of_run
from liteflow.errors import NotReplayableError
from liteflow.flow import Flow
from liteflow.store.history import RunRow
from liteflow.views.shown import counted, label, visible

if TYPE_CHECKING:
    from liteflow.replaying import Differences


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow replay latest",
            "liteflow replay 3f2a --debug",
            "liteflow replay 3f2a path=other.csv",
            "liteflow replay etl --from transform",
        )
    )
    def replay(
        run: Ref,
        arguments: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="NAME=VALUE", help="Arguments that are to be otherwise, as with liteflow run."
            ),
        ] = None,
        *,
        settings: Settings = None,
        only: Only = None,
        onwards: Onwards = None,
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
        trust: Trust = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
        quiet: Quiet = False,
        debug: Debug = False,
    ) -> None:
        """Run a run's flow once more, with what the run was given, and say what came out otherwise.

        The flow is as it is now, and this is a new run. With --only and --from, what does not run
        again is as that run has it. The exit status is that of run.
        """
        words = [*(arguments or []), *(settings or [])]
        path = chosen_db(db)
        with signals.raised():
            with history_to_change(path) as history:
                row = history.find_run(run)
            options = options_of(
                db=str(path),
                executor=executor,
                debug=debug,
                max_workers=max_workers,
                timeout=timeout,
                resource=resource,
                trust=trust,
                log_dir=log_dir,
                xcom_storage=xcom_storage,
                xcom_threshold=xcom_threshold,
            )
            flow = flow_of_run(row, file, tasks, "replay")
            with own_errors(flow, words, debug):
                inputs = read_inputs(flow, words)
                if only or onwards:
                    flow = _part(flow, row, inputs, only or [], onwards or [], db=path, trust=trust)
            begin = partial(flow.replay, row.id, inputs=inputs)
            ended = drive(flow, begin, options, quiet=quiet, debug=debug, as_json=as_json, words=words)
        # Start-up: help and mistakes need none of it.
        from liteflow.part import taken_over  # noqa: PLC0415
        from liteflow.replaying import differences  # noqa: PLC0415
        from liteflow.stored import stored_run  # noqa: PLC0415

        found = differences(stored_run(path, row, trust), ended, taken_over(flow))
        if only or onwards:
            # What is not there now was not to run.
            found = evolve(found, then_only=())
        report(ended, as_json, quiet, {"replay": {"of": row.id, **_record(found)}})
        if not (as_json or quiet):
            say("\n".join(_told(found, row)))
        raise typer.Exit(0 if ended.state == "succeeded" else 1)


def _part(
    flow: Flow[Any, Any],
    row: RunRow,
    inputs: Mapping[str, Any],
    only: list[str],
    onwards: list[str],
    *,
    db: Path,
    trust: bool,
) -> Flow[..., Any]:
    # Start-up: most replays are of whole flows.
    from liteflow.cli.part import part_to_run  # noqa: PLC0415
    from liteflow.given import Given  # noqa: PLC0415
    from liteflow.launch import given_again  # noqa: PLC0415
    from liteflow.replaying import merged  # noqa: PLC0415

    given = given_again(db, row, Given(inputs, inputs), trust=trust)
    if given is None:
        raise NotReplayableError(row.id, row.flow, "its arguments could not be kept; use liteflow run FILE")
    given = merged(
        given, Given({n: v for n, v in inputs.items() if "." not in n}, {}), flow._recipe.complete, row
    )
    dag = flow.compile(inputs={**given.values, **given.overrides, **inputs})
    return part_to_run(flow, dag, only, onwards, db=db, trust=trust, earlier=row)


def _record(found: Differences) -> dict[str, object]:
    changed = {key: {"then": then, "now": now} for key, (then, now) in found.changed.items()}
    return {
        "same": found.same,
        "changed": changed,
        "then_only": list(found.then_only),
        "now_only": list(found.now_only),
    }


def _told(found: Differences, row: RunRow) -> list[str]:
    """Say what has come out otherwise, in some lines."""
    alone = {"came then alone": found.then_only, "came now alone": found.now_only}
    others = {"not": found.changed, **alone}
    counts = [f"{len(keys)} {what}" for what, keys in others.items() if keys]
    told = ", ".join([f"{counted(found.same, 'result')} the same", *counts])
    lines = [f"compared with run {visible(row.id)}: {told}"]
    for key, (then, now) in list(found.changed.items())[:MANY_OUTPUTS]:
        lines.append(f"  {label(key)} = {label(now, 200)}, was {label(then, 200)}")
    if len(found.changed) > MANY_OUTPUTS:
        lines.append(f"  and {len(found.changed) - MANY_OUTPUTS} more")
    for what, keys in alone.items():
        if keys:
            more = f", and {len(keys) - MANY_OUTPUTS} more" if len(keys) > MANY_OUTPUTS else ""
            lines.append(f"  {what}: {', '.join(map(label, keys[:MANY_OUTPUTS]))}{more}")
    return lines
