"""`--only TASK` and `--from TASK`: which calls run again, and where the values of the others come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from liteflow.dag import Dag
from liteflow.engine.rejoining import recorded_control
from liteflow.errors import CommandLineError
from liteflow.flow import Flow
from liteflow.outcomes import WITH_VALUE, Failure
from liteflow.part import Part, choose, flow_of_part, foreseen_in
from liteflow.store.history import History, RunRow
from liteflow.stored import stored_run
from liteflow.trust import TrustedValues
from liteflow.views.shown import label

if TYPE_CHECKING:
    # Start-up: most flows go on by calls alone.
    from liteflow.arrows.part import Recorded

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
        only: Keys of calls that run, and of steps of a flow that goes on step by step.
        onwards: Keys of such that run with all that depends on them.
        db: The store of its runs.
        trust: Whether values are read whoever wrote them.
        earlier: The run that the values are of; None: the latest that has them.

    Raises:
        UnknownNameError: There is no such call.
        CommandLineError: No earlier run has the values that are needed.
    """
    part = choose(dag, only, onwards)
    if not part.needed and not part.wanted and _inside(dag, part, lambda _: {}).fits:
        return flow_of_part(flow, part, {})
    row, kept = _run_with(flow.name, dag, part, db, trust, earlier)
    assert db is not None
    run = stored_run(db, row, trust)
    states = {key: task.state for key, task in run.tasks.items()}

    def value(key: str) -> object:
        state = states.get(key, "skipped")
        return run.output(key) if state in WITH_VALUE else Failure(key, state)

    return flow_of_part(flow, part, {key: value(key) for key in (*part.needed, *part.wanted, *kept)})


def _run_with(  # noqa: PLR0917  what is looked for, and where
    flow: str, dag: Dag, part: Part, db: Path | None, trust: bool, earlier: RunRow | None
) -> tuple[RunRow, Sequence[str]]:
    """The latest run that has what is needed, and the keys of steps whose values are taken from it."""
    needed = set(part.needed)
    found: list[_Inside] = []
    if db is not None and db.exists():
        with History(db) as history:
            rows = [earlier] if earlier is not None else [row for row in history.runs() if row.flow == flow]
            for row in rows[:_LOOKED_AT]:
                there = {task.key for task in history.tasks(row.id) if task.state in WITH_VALUE}
                if needed <= there and row.state != "running":
                    found.append(_inside(dag, part, partial(_recorded, history, row, trust)))
                    if found[-1].fits:
                        return row, found[-1].kept
    nearest = min(found, key=lambda one: len(one.missing), default=None) or _inside(dag, part, lambda _: {})
    raise _none_has(flow, part, nearest.missing, earlier)


@frozen
class _Inside:
    """What the steps come to that are chosen inside of calls; keys are those of the run."""

    fits: bool
    kept: Sequence[str]
    missing: Sequence[str]


def _inside(dag: Dag, part: Part, recorded: Callable[[str], Mapping[str, Recorded]]) -> _Inside:
    """Foresee it with an earlier run; `recorded` gives what that has of a call by its key."""
    found = {root: foreseen_in(dag, root, chosen, recorded(root)) for root, chosen in part.inside.items()}
    return _Inside(
        all(one.fits for one in found.values()),
        [f"{root}/{key}" for root, one in found.items() for key in one.kept],
        [f"{root}/{key}" for root, one in found.items() for key in one.missing],
    )


def _recorded(history: History, row: RunRow, trust: bool, root: str) -> Mapping[str, Recorded]:
    calls = history.recorded(row.id)
    told = {known.key: known for known in history.xcoms(row.id)}
    blobs = TrustedValues(history, row, trust=trust).growths()
    parent = next((call.index for call in calls if call.key == root), -1)
    inside = [call for call in calls if call.parent == parent]
    return {call.key.removeprefix(f"{root}/"): recorded_control(call, told, blobs) for call in inside}


def _none_has(flow: str, part: Part, missing: Sequence[str], earlier: RunRow | None) -> CommandLineError:
    names = [*part.needed, *part.wanted, *missing]
    which = (
        f"run {earlier.id} of {label(flow)}" if earlier is not None else f"no earlier run of {label(flow)}"
    )
    if not names:
        steps = [f"{root}/{key}" for root, c in part.inside.items() for key in sorted(c.only | c.onwards)]
        came = "did not come there" if earlier is not None else "came there"
        return CommandLineError(
            f"{', '.join(map(label, steps[:5]))} would not run: {which} {came} "
            "(a guard passes it by, or there is no such item or round); run the whole flow"
        )
    results = f"what is needed: the results of {', '.join(label(key) for key in names[:5])}"
    if earlier is not None:
        problem = f"{which} does not have {results}; replay more of it with --from, or all of it"
        return CommandLineError(problem)
    return CommandLineError(f"{which} has {results}; run the whole flow first, or more of it with --from")
