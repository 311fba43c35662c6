"""A run that has ended, as its user sees it, from what the store holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liteflow import pickling
from liteflow.errors import RunCancelled, RunFailed, StoreDamagedError
from liteflow.executor.payload import Payload
from liteflow.pickling import Packed, learn
from liteflow.run import Run, cause_of
from liteflow.store.history import History, RunRow
from liteflow.trust import TrustedValues


@contextmanager
def open_values(db: Path, row: RunRow, trust: bool) -> Iterator[TrustedValues]:
    """Inside, what the run has as pickles can be read, as far as it may be."""
    with History(db) as history:
        yield TrustedValues(history, row, trust=trust)


def stored_run(db: Path, row: RunRow, trust: bool) -> Run[Any]:
    """Return a run that has ended, as it was given back when it ended.

    Args:
        db: The store file.
        row: The run.
        trust: Whether values are read whoever wrote them.

    Raises:
        ForeignValueError: The run may be of someone else.
        StoreError: The file can't be read.
    """
    with open_values(db, row, trust) as values:
        recipe = values.recipe()
        learn(values.definitions())
    if recipe.result is None:
        raise StoreDamagedError(str(db), f"the result of run {row.id} is not there")
    data, holes = pickling.loads(recipe.result)
    with History(db) as history:
        nodes = {node.key: node.index for node in history.nodes(row.id)}
        waited_for = {edge.source for edge in history.edges(row.id)}

    def payload_of(index: int) -> Payload | None:
        with open_values(db, row, trust) as values:
            return values.payload(index)

    return Run(
        id=row.id,
        flow=row.flow,
        state=row.state,
        db=str(db),
        failure=_failure(db, row, nodes, trust),
        leaves={key: index for key, index in nodes.items() if key not in waited_for},
        result=Packed(data, tuple(holes)),
        payload_of=payload_of,
        open_history=lambda: History(db),
        index_of=nodes.get,
    )


def _failure(db: Path, row: RunRow, nodes: dict[str, int], trust: bool) -> RunFailed | RunCancelled | None:
    if row.state == "succeeded":
        return None
    if row.state != "failed":
        return RunCancelled(row.id, row.flow, str(db))
    with History(db) as history:
        failed = sorted(
            (task for task in history.tasks(row.id) if task.state == "failed"),
            key=lambda task: task.ended_at or 0.0,
        )
        failures = {task.key: task.error or "" for task in failed}
        failure = RunFailed(row.id, row.flow, failures or {"(run)": row.error or ""}, str(db))
        if failed:
            last = history.attempts(row.id, failed[0].key)[-1]
            exception = TrustedValues(history, row, trust=trust).exception(nodes[failed[0].key])
            failure.__cause__ = cause_of(last.outcome, last.error or "", last.traceback or "", exception)
    return failure
