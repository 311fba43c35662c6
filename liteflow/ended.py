"""How a run has ended --> the Run that its user gets, whose values are read when they are asked for.

What the driver still holds is not read from the store: small values, and those of the flow's own result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from liteflow import errors
from liteflow.dag import Dag
from liteflow.engine.opening import Ending
from liteflow.engine.plan import Plan
from liteflow.executor.attempt import resolve
from liteflow.executor.payload import Payload
from liteflow.run import NoValueError, Run, cause_of
from liteflow.settings import RunSettings
from liteflow.store.journal import Journal

if TYPE_CHECKING:
    from liteflow.store.history import History
    from liteflow.trust import TrustedValues


def run_of(
    ending: Ending,
    dag: Dag,
    plan: Plan,
    settings: RunSettings,
    leaves: Mapping[str, int],
    *,
    run_id: str,
    journal: Journal | None,
    trust: bool,
) -> Run[Any]:
    """Return what came of a run, whether it succeeded or not.

    Args:
        ending: What the driver says of it.
        dag, plan, settings: What was run, and how.
        leaves: Its final task instances, by key.
        run_id: The run.
        journal: Its store, of a run in memory.
        trust: Whether its values are read without a look at their keyed checks.
    """
    path = settings.db

    def open_history() -> History:
        # Start-up: most runs are not looked into by the program that runs them.
        from liteflow.store.history import History  # noqa: PLC0415

        if path is not None:
            return History(path)
        assert journal is not None
        return History(journal.connection)

    @contextmanager
    def open_values() -> Iterator[TrustedValues]:
        from liteflow.trust import TrustedValues  # noqa: PLC0415  as above

        with open_history() as history:
            # What is in memory only, nobody can have planted.
            yield TrustedValues(history, history.find_run(run_id), trust=trust or path is None)

    def stored(index: int) -> Payload:
        with open_values() as values:
            payload = values.payload(index)
        if payload is None:
            raise NoValueError
        return payload

    def value_of(index: int) -> Any:
        if index in plan.lacking:
            raise NoValueError
        if index in plan.parts:
            return resolve(plan.settled((index, ())), value_of)
        return (ending.kept(index) or stored(index)).value()

    nodes = {node.key: node.index for node in dag.nodes}

    def index_of(key: str) -> int | None:
        if key in nodes:
            return nodes[key]
        with open_history() as history:
            return history.index_of(run_id, key)

    result = dag.result
    if ending.finals is not None:
        from liteflow.engine.routes import result_of  # noqa: PLC0415  loaded already, by the driver

        result = result_of(ending.finals)
    return Run(
        id=run_id,
        flow=dag.name,
        state=ending.state,
        db=str(path) if path else None,
        failure=_failure_of(ending, dag.name, plan, settings, run_id),
        leaves=leaves,
        result=result,
        shown_by_outputs=ending.finals is not None,
        value_of=value_of,
        open_history=open_history,
        index_of=index_of,
        open_values=open_values,
    )


def _failure_of(
    ending: Ending, flow: str, plan: Plan, settings: RunSettings, run_id: str
) -> errors.RunFailed | errors.RunCancelled | None:
    db = str(settings.db) if settings.db else None
    if ending.state == "cancelled":
        return errors.RunCancelled(run_id, flow, db)
    failures = {plan.key(node): failed.error for node, failed in ending.failures.items()}
    if ending.stop is not None:
        return errors.RunTimeoutError(run_id, flow, failures, db, settings.timeout or 0.0)
    if ending.first_failure is None:
        return None
    failure = errors.RunFailed(run_id, flow, failures, db)
    first = ending.failures[ending.first_failure]
    failure.__cause__ = cause_of(first.outcome, first.error, first.traceback, first.exception)
    return failure
