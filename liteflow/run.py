"""A run as its user sees it: what came of it, and where to look further.

    run = etl.run()
    run["load"], run.result, run.state, run.tasks["transform"].attempts, run.logs("load")

Values are read (unpickled) when they are asked for, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from liteflow import errors, pickling
from liteflow.executor.payload import Payload
from liteflow.outcomes import WITH_VALUE
from liteflow.pickling import Packed

if TYPE_CHECKING:
    from liteflow.context import Context, StreamChunk
    from liteflow.store.history import History, LogRow, TaskRow
    from liteflow.trust import TrustedValues

R = TypeVar("R")


@frozen(eq=False, repr=False, kw_only=True, slots=False)
class Run(Mapping[str, Any], Generic[R]):
    """One execution of a flow, which has ended, or is looked at while it goes on (`open_run`).

    It is a mapping from the keys of the final tasks to their outputs.

    Attributes:
        id: The run's id, as in the store and on the command line.
        flow: The flow's name.
        state: "succeeded", "failed" or "cancelled"; of one that was looked at before its end "running",
            or "interrupted" if its driver was gone.
        db: The path of the store file; None if nothing was kept.
        failure: The RunFailed, RunCancelled or RunUnfinishedError that says why it has no result; None if
            it succeeded.
    """

    id: str
    flow: str
    state: str
    db: str | None
    failure: errors.RunFailed | errors.RunCancelled | errors.RunUnfinishedError | None
    _leaves: Mapping[str, int]
    _result: Packed
    _value_of: Callable[[int], Any]
    _open_history: Callable[[], History]
    _index_of: Callable[[str], int | None]
    _open_values: Callable[[], AbstractContextManager[TrustedValues]]
    _shown_by_outputs: bool = False
    _cache: dict[int, Any] = field(factory=dict, init=False)

    @property
    def result(self) -> R:
        """What the flow returned, in its shape, with the outputs in place; None for what was skipped.

        Raises:
            RunFailed: A task failed.
            RunCancelled: The run was cancelled.
            RunUnfinishedError: It had not ended when it was looked at.
        """
        if self.failure is not None:
            raise self.failure
        values = []
        for source, path in self._result.holes:
            values.append(self._item(source, path))
        return pickling.unpack(self._result.data, values)  # type: ignore[no-any-return]

    def output(self, key: str) -> Any:
        """Return the output of any task instance, a final one or not.

        Raises:
            NoOutputError: There is no such task instance, or it has given no output.
        """
        index = self._index_of(key)
        if index is None:
            with self._open_history() as history:
                raise self._unknown(history, key)
        return self._value(index, key)

    def _unknown(self, history: History, key: str) -> errors.NoOutputError:
        close = errors.nearest(key, (row.key for row in history.tasks(self.id)))
        meant = f" did you mean {close[0]!r}?" if close else ""
        known = ", ".join(sorted(self._leaves)[:5])
        why = f"there is no such task instance;{meant} the final ones are: {known}"
        return errors.NoOutputError(self.id, key, why)

    def _check_key(self, history: History, key: str | None) -> None:
        # The store is asked: of a run that goes on, more may have come since it was opened.
        if key is not None and history.index_of(self.id, key) is None:
            raise self._unknown(history, key)

    def __getitem__(self, key: str) -> Any:
        if key not in self._leaves:
            known = ", ".join(list(self._leaves)[:5])
            raise errors.NoOutputError(
                self.id, key, f"it is no final task (those are: {known}); for others use run.output(key)"
            )
        return self._value(self._leaves[key], key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    @property
    def tasks(self) -> dict[str, TaskRow]:
        """All task instances, with state, attempts, times, worker and error, by key."""
        with self._open_history() as history:
            return {row.key: row for row in history.tasks(self.id)}

    def logs(self, key: str | None = None) -> list[LogRow]:
        """Return what a task instance (None: any) has printed and logged, line by line.

        Raises:
            NoOutputError: There is no such task instance.
        """
        with self._open_history() as history:
            self._check_key(history, key)
            return list(history.logs(self.id, key))

    def chunks(self, key: str | None = None) -> Iterator[StreamChunk]:
        """Yield the chunks that a task instance (None: any) has given so far, in their order.

        Those of an attempt that failed are left out when there was a later one.

        Raises:
            NoOutputError: There is no such task instance.
            StoreError: They can't be read, or may be of someone else.
        """
        from liteflow.context import StreamChunk  # noqa: PLC0415  start-up: few runs give any

        after = 0
        with self._open_history() as history:
            self._check_key(history, key)
            counts = history.last_attempts(self.id)
        while True:
            with self._open_values() as values:
                found, after = values.chunks(key, after, counts)
            for row, payload in found:
                yield StreamChunk(row.name or row.key, payload.value(), row.attempt)
            if not found:
                return

    @cached_property
    def context(self) -> Context:
        """The values that the run's tasks shared, and their outputs, as they were when it ended."""
        from liteflow.context import Context, Recorded  # noqa: PLC0415  as above
        from liteflow.engine.contexts import START  # noqa: PLC0415  as above

        with self._open_values() as values:
            entries = values.context()
        shared = {key: Payload(entry.codec, entry.data) for key, entry in entries.items()}

        # A name that a task has been asked for by means what it gave last.
        latest = self._latest() if self._shown_by_outputs else {}

        def read(key: str) -> Any:
            if key in shared and entries[key].version > START:
                return shared[key].value()
            try:
                return self.output(latest.get(key, key))
            except errors.NoOutputError:
                if key not in shared:
                    raise
                return shared[key].value()

        def names() -> list[str]:
            given = latest or [key for key, row in self.tasks.items() if row.state in WITH_VALUE]
            return [*shared, *(key for key in given if key not in shared)]

        return Context.over(Recorded(names, read))

    def __str__(self) -> str:
        # Of a flow whose tasks say what runs next, the outputs are what it is about.
        return str(dict(self)) if self._shown_by_outputs and self.failure is None else repr(self)

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.flow}: {self.state}>"

    def _latest(self) -> dict[str, str]:
        """The task instance that each task's latest output is from, by the task's name."""
        ended = [(row.ended_at or 0.0, row) for row in self.tasks.values() if row.state in WITH_VALUE]
        return {row.task: row.key for _, row in sorted(ended, key=lambda pair: pair[0])}

    def _item(self, source: int, path: tuple[object, ...]) -> Any:
        try:
            value = self._value(source, "?")
        except errors.NoOutputError:
            # Of a run that has succeeded: the task was skipped, or is one of a map that collects.
            return None
        inside = value
        try:
            for key in path:
                inside = inside[key]
        except (LookupError, TypeError) as error:
            # Start-up: few runs come to this.
            from liteflow.executor.missing import no_item  # noqa: PLC0415

            with self._open_history() as history:
                keys = {row.index: row.key for row in history.recorded(self.id)}
            raise no_item(keys.get(source), path, inside) from error
        return inside

    def _value(self, index: int, key: str) -> Any:
        if index not in self._cache:
            try:
                self._cache[index] = self._value_of(index)
            except NoValueError:
                unfinished = isinstance(self.failure, errors.RunUnfinishedError)
                why = "it has not succeeded yet" if unfinished else "it did not succeed"
                raise errors.NoOutputError(self.id, key, why) from None
        return self._cache[index]


class NoValueError(Exception):
    """A node has no value; said by whatever reads values for a Run."""


def cause_of(outcome: str, error: str, traceback: str, exception: bytes | None) -> BaseException:
    """Rebuild a task's exception, with its traceback from where it ran as its cause.

    Args:
        outcome: How the attempt ended: failed, timed_out, lost.
        error: The exception in one line.
        traceback: Its traceback, as text; empty if there is none (a lost worker).
        exception: Its pickle, if it survived one.
    """
    cause: BaseException = errors.TaskFailedError(error)
    if outcome == "timed_out":
        cause = TimeoutError(error.removeprefix("TimeoutError: "))
    if exception is not None:
        try:
            cause = pickling.loads(exception)
        except Exception:  # noqa: BLE001  a class that is not here any more: the text must do
            cause = errors.TaskFailedError(error)
    if traceback and cause.__cause__ is None:
        cause.__cause__ = errors.TaskTraceback(traceback)
    return cause
