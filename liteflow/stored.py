"""A run as its user sees it, from what the store holds: one that has ended, or goes on elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liteflow import errors, pickling
from liteflow.engine.growths import PARTS
from liteflow.engine.regrowth import wire_of
from liteflow.engine.routes import finals_of, result_of
from liteflow.engine.settled import is_collected
from liteflow.executor.attempt import resolve
from liteflow.outcomes import WITH_VALUE, Failure
from liteflow.pickling import Packed, learn
from liteflow.run import NoValueError, Run, cause_of
from liteflow.store.db import open_store
from liteflow.store.history import History, RunRow
from liteflow.store.place import StorePath, absolute, default_db
from liteflow.store.rows import RecordedCall
from liteflow.trust import TrustedValues
from liteflow.wiring import is_alias, items_text


def updated_history(db: Path) -> History:
    """Open a store to look for a run that is to be written to; one of an older schema is updated.

    Raises:
        StoreError: It can't be read, or not updated.
    """
    try:
        return History(db)
    except errors.OlderStoreError:
        open_store(db).close()
        return History(db)


@contextmanager
def open_values(db: Path, row: RunRow, trust: bool) -> Iterator[TrustedValues]:
    """Inside, what the run has as pickles can be read, as far as it may be."""
    with History(db) as history:
        yield TrustedValues(history, row, trust=trust)


def open_run(run: str = "latest", *, db: StorePath | None = None, trust: bool = False) -> Run[Any]:
    """Return a run of a store, from any process, whether it has ended or goes on; nothing is run.

    What a run that goes on has by now is there: the outputs of what has succeeded, chunks, logs, states.  Its
    tasks, logs and chunks are looked up each time; its state, and which outputs there are, are those of
    this moment.

    Args:
        run: Its id, the beginning of one that no other has, a flow's name (its latest run), or `latest`.
        db: The store file; None: `LITEFLOW_DB`, else `liteflow.db` in the working directory.
        trust: Whether values are read though someone else may have written them: that may run their code.

    Raises:
        NoSuchRunError: None is meant, or several; it lists which there are.
        ForeignValueError: The run may be of someone else.
        StoreError: The file is not there, or can't be read.

    >>> import tempfile
    >>> from liteflow import Flow, task
    >>> @task
    ... def one() -> int:
    ...     return 1
    >>> db = tempfile.mkdtemp() + "/runs.db"
    >>> _ = Flow("counts", one()).run(db=db, executor="inline")
    >>> open_run("counts", db=db).output("one")
    1
    """
    path = Path(absolute(default_db() if db is None else db))
    with History(path) as history:
        row = history.find_run(run)
    return stored_run(path, row, trust)


def stored_run(db: Path, row: RunRow, trust: bool) -> Run[Any]:
    """Return a run as it is in its store; one that has ended as it was given back when it ended.

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
        raise errors.StoreDamagedError(str(db), f"the result of run {row.id} is not there")
    data, holes = pickling.loads(recipe.result)
    if holes is None:
        return _routed_run(db, row, trust)
    with History(db) as history:
        calls = history.recorded(row.id)
        waited_for = {edge.source for edge in history.edges(row.id)}
    nodes = {call.key: call.index for call in calls}
    final = {call.key: call.index for call in calls if call.parent is None and call.key not in waited_for}

    value_of = _StoredValues(db, row, trust)
    return Run(
        id=row.id,
        flow=row.flow,
        state=row.state,
        db=str(db),
        failure=_failure(db, row, calls, trust),
        leaves=final,
        result=Packed(data, tuple(holes)),
        value_of=value_of,
        open_history=lambda: History(db),
        index_of=nodes.get,
        open_values=lambda: open_values(db, row, trust),
    )


def _routed_run(db: Path, row: RunRow, trust: bool) -> Run[Any]:
    """The same of a run whose tasks said what came next: each has its own value."""
    with History(db) as history:
        calls = history.recorded(row.id)
    with open_values(db, row, trust) as values:
        ended = {call.index for call in calls if call.state in WITH_VALUE}
        ends = {index: data for index, data in values.growths().items() if index in ended}
    nodes = {call.key: call.index for call in calls}
    finals = finals_of(ends, {call.index: call.task or "" for call in calls})

    def value_of(index: int) -> Any:
        with open_values(db, row, trust) as values:
            payload = values.payload(index)
        if payload is None:
            raise NoValueError
        return payload.value()

    return Run(
        id=row.id,
        flow=row.flow,
        state=row.state,
        db=str(db),
        failure=_failure(db, row, calls, trust),
        leaves=finals,
        result=result_of(finals),
        shown_by_outputs=True,
        value_of=value_of,
        open_history=lambda: History(db),
        index_of=nodes.get,
        open_values=lambda: open_values(db, row, trust),
    )


class _StoredValues:
    """Reads values of a run from its store: those that calls gave, and those made of others'."""

    def __init__(self, db: Path, row: RunRow, trust: bool) -> None:
        self._db = db
        self._row = row
        self._trust = trust
        self._growths: dict[int, bytes] | None = None
        self._children: dict[int, list[RecordedCall]] = {}
        self._previews: dict[str, str] = {}
        self._keys: dict[int, str] = {}

    def __call__(self, index: int) -> Any:
        """Return the value of a task instance.

        Raises:
            NoValueError: It has none.
            StoreError: It can't be read.
        """
        with open_values(self._db, self._row, self._trust) as values:
            # Calls that have returned calls, however long the chain.
            while (made := self._made_of(values, index)) is not None and is_alias(made):
                index = made[0]
            payload = values.payload(index) if made is None else None
        if payload is not None and payload.codec == PARTS:
            # A map over no items.
            return []
        if made is not None:
            return resolve(made, self)
        if payload is None:
            raise NoValueError
        return payload.value()

    def _made_of(self, values: TrustedValues, index: int) -> Any:
        """What a value is made of, as a wire argument; None if it is its own."""
        if self._growths is None:
            self._growths = values.growths()
            with History(self._db) as history:
                calls = history.recorded(self._row.id)
                if any(call.state not in WITH_VALUE for call in calls):
                    self._previews = {known.key: known.preview for known in history.xcoms(self._row.id)}
            self._keys = {call.index: call.key for call in calls}
            for call in calls:
                if call.parent is not None:
                    self._children.setdefault(call.parent, []).append(call)
        children = self._children.get(index, [])
        if not children and index not in self._growths:
            return None
        made = wire_of(self._growths.get(index), children[0].index if children else 0)
        if made is not None:
            return made
        given = [call for call in children if call.state in WITH_VALUE]
        if self._previews.get(self._keys[index]) == items_text(len(given)):
            # It has left out the others, if there were any.
            return [(call.index, ()) for call in given]
        return [
            (call.index, ()) if call.state in WITH_VALUE else (_failure_of(call), ()) for call in children
        ]


def _failure_of(call: RecordedCall) -> bytes:
    return pickling.dumps(Failure(call.key, call.state, call.error or "")).data


def _failure(
    db: Path, row: RunRow, calls: Sequence[RecordedCall], trust: bool
) -> errors.RunFailed | errors.RunCancelled | errors.RunUnfinishedError | None:
    if row.state == "succeeded":
        return None
    if row.state in ("running", "interrupted"):
        return errors.RunUnfinishedError(row.id, row.flow, row.state, str(db))
    if row.state != "failed":
        return errors.RunCancelled(row.id, row.flow, str(db))
    by_index = {call.index: call for call in calls}
    # What a map has collected is no failure of the run.
    nodes = {
        call.key: call.index for call in calls if call.state == "failed" and not is_collected(call, by_index)
    }
    with History(db) as history:
        failed = sorted(
            (task for task in history.tasks(row.id) if task.key in nodes),
            key=lambda task: task.ended_at or 0.0,
        )
        failures = {task.key: task.error or "" for task in failed}
        failure = errors.RunFailed(row.id, row.flow, failures or {"(run)": row.error or ""}, str(db))
        if failed:
            last = history.attempts(row.id, failed[0].key)[-1]
            exception = TrustedValues(history, row, trust=trust).exception(nodes[failed[0].key])
            failure.__cause__ = cause_of(last.outcome, last.error or "", last.traceback or "", exception)
    return failure
