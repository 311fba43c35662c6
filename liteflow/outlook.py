"""What would a resume do?  The same comparison as the resume itself makes, and nothing is run or written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from liteflow.dag import Dag
from liteflow.engine.plan import Plan
from liteflow.engine.resumption import Before, Now, compare
from liteflow.engine.settled import settle
from liteflow.errors import NotResumableError
from liteflow.flow import Flow
from liteflow.given import Given
from liteflow.launch import given_again
from liteflow.outcomes import WITH_VALUE
from liteflow.store.rows import RunRow
from liteflow.stored import updated_history
from liteflow.where import Where


@frozen
class Outlook:
    """What a resume would do.

    Attributes:
        run: The run that it would go on with.
        dag: The flow of today, with that run's arguments.
        kept: Keys of calls whose results stay.
        again: Calls that have a result and would run again: key -> why.
        grown: How many results there are of calls that came while it ran; they stay, unless changed.
    """

    run: RunRow
    dag: Dag
    kept: tuple[str, ...]
    again: Mapping[str, str]
    grown: int = 0


def outlook(flow: Flow[Any, Any], db: Path, ref: str | None, executor: Where, trust: bool) -> Outlook:
    """Return what a resume would do.

    Args:
        flow: The flow.
        db: The store.
        ref: Which run; None: the latest of the flow that has not succeeded.
        executor: Where its tasks run that name no executor.
        trust: Whether the run's arguments are read whoever wrote them.

    Raises:
        NotResumableError: There is no such run, or it needs none.
        LiteflowError: The store can't be read, or the flow not be compiled.
    """
    with updated_history(db) as history:
        found = [history.find_run(ref)] if ref is not None else history.unfinished(flow.name)[:1]
        if not found:
            raise NotResumableError(None, flow.name, f"none of its runs in {history.path} is unfinished")
        (row,) = found
        if row.state == "succeeded" or row.flow != flow.name:
            why = "it has succeeded" if row.state == "succeeded" else f"it is a run of flow {row.flow}"
            raise NotResumableError(row.id, flow.name, why)
        calls = history.recorded(row.id)
    given = given_again(db, row, Given({}, {}), trust=trust)
    if given is None:
        raise NotResumableError(row.id, flow.name, "its arguments could not be kept")
    given = given.again()
    dag = flow.compile(inputs={**given.values, **given.overrides})
    plan = Plan(dag, executor)
    codes = [str(plan.task_row(number)[4]) for number in range(len(plan.tasks))]
    recorded = [call for call in calls if call.parent is None]
    before = [Before(r.index, r.key, r.code, r.constants, r.inputs, r.state in WITH_VALUE) for r in recorded]
    now = [Now(key, codes[task], fixed, fed) for _, key, task, _, fed, fixed in plan.instances()]
    compared = compare(before, now)
    # As in `resuming`.
    stale = {} if plan.controls else settle(calls, failed=row.state == "failed").stale
    if undone := {compared.same[then]: why for then, why in stale.items() if then in compared.same}:
        compared = compare(before, now, undone)
    return Outlook(
        row,
        dag,
        tuple(dag.nodes[node].key for node in sorted(compared.kept)),
        {dag.nodes[node].key: why for node, why in compared.again.items()},
        sum(call.parent is not None and call.state in WITH_VALUE for call in calls),
    )
