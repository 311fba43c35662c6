"""`--only TASK` and `--from TASK`: which calls run again, and where the values of the others come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from liteflow.dag import Dag
from liteflow.errors import CommandLineError
from liteflow.flow import Flow
from liteflow.outcomes import WITH_VALUE, Failure
from liteflow.part import Part, choose, flow_of_part
from liteflow.store.history import History, RunRow
from liteflow.stored import stored_run
from liteflow.views.shown import label

# So many earlier runs are looked at.
_LOOKED_AT = 100


def part_to_run(
    flow: Flow[Any, Any],
    dag: Dag,
    only: list[str],
    onwards: list[str],
    *,
    db: Path | None,
    trust: bool,
    earlier: RunRow | None = None,
) -> Flow[..., Any]:
    """Return the flow that runs some calls, with what the others gave in an earlier run.

    Args:
        flow: The whole flow.
        dag: The same, compiled.
        only: Keys of calls that run.
        onwards: Keys of calls that run with all that depends on them.
        db: The store of its runs.
        trust: Whether values are read whoever wrote them.
        earlier: The run that the values are of; None: the latest that has them.

    Raises:
        UnknownNameError: There is no such call.
        CommandLineError: No earlier run has the values that are needed.
    """
    part = choose(dag, only, onwards)
    if not part.needed and not part.wanted:
        return flow_of_part(flow, part, {})
    row = _run_with(flow.name, part, db, earlier)
    assert db is not None
    run = stored_run(db, row, trust)
    states = {key: task.state for key, task in run.tasks.items()}

    def value(key: str) -> object:
        state = states.get(key, "skipped")
        return run.output(key) if state in WITH_VALUE else Failure(key, state)

    return flow_of_part(flow, part, {key: value(key) for key in (*part.needed, *part.wanted)})


def _run_with(flow: str, part: Part, db: Path | None, earlier: RunRow | None) -> RunRow:
    needed = set(part.needed)
    if db is not None and db.exists():
        with History(db) as history:
            rows = [earlier] if earlier is not None else [row for row in history.runs() if row.flow == flow]
            for row in rows[:_LOOKED_AT]:
                there = {task.key for task in history.tasks(row.id) if task.state in WITH_VALUE}
                if needed <= there and row.state != "running":
                    return row
    names = ", ".join(label(key) for key in (*part.needed, *part.wanted)[:5])
    if earlier is not None:
        raise CommandLineError(
            f"run {earlier.id} of {label(flow)} does not have what is needed: the results of {names}; "
            "replay more of it with --from, or all of it"
        )
    raise CommandLineError(
        f"no earlier run of {label(flow)} has what is needed: the results of {names}; "
        "run the whole flow first, or more of it with --from"
    )
