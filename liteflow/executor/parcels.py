"""What goes to a pool, and what the pool has to be for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from typing import Any, Protocol

from liteflow.executor.base import Call, Lane, Needs
from liteflow.executor.held import Shared
from liteflow.executor.remote import Answer
from liteflow.xcom import type_name


class PoolFactory(Protocol):
    """What makes these executors, as far as they have to know."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def pool(self) -> Pool:
        """The pool."""
        ...

    def pool_with(self, needs: Needs) -> Pool:
        """The same for calls that take this."""
        ...

    @property
    def remote(self) -> bool:
        """Whether the pool's workers are other processes."""
        ...

    @property
    def host(self) -> str:
        """Where they reach this one."""
        ...

    @property
    def job(self) -> Callable[..., Answer]:
        """What they are to run: `remote.attempts`, or what does the same."""
        ...

    @property
    def holds(self) -> bool:
        """Whether large values are held where they were made (held.py)."""
        ...

    def adopt(self, handle: Any) -> Any:
        """The handle of a held value, as an answer has it: one that keeps the value there."""
        ...

    def fetch(self, handle: Any) -> Shared:
        """A held value; called in another thread."""
        ...

    def cause(self, error: BaseException) -> str:
        """What a job's future failed with, in a line."""
        ...

    @property
    def ends(self) -> bool:
        """Whether a job ends when its future is cancelled, and keeps the time limits of its calls itself."""
        ...


class Parcel:
    """Calls that were submitted together.

    Attributes:
        lane: Where they were taken from.
        began_at: When the first of them began, as far as known.
        left: Whether nobody wants to hear of it any more.
        answer: What came of it, of which some is still to come home; it came at `answered_ns`.
        stranded: Whether it began early, with a value that never came home.
    """

    __slots__ = ("answer", "answered_ns", "began_at", "calls", "future", "lane", "left", "stranded")

    def __init__(self, calls: Sequence[Call], began_at: float | None, lane: Lane) -> None:
        self.calls = calls
        self.lane = lane
        self.began_at = began_at
        self.future: Future[Any] | None = None
        self.left = False
        self.answer: Answer | None = None
        self.answered_ns = 0
        self.stranded = False

    def due(self, now: float) -> float | None:
        """When it is over its time; of one that has not begun: no sooner than this."""
        timeout = self.calls[0].timeout
        return None if timeout is None else (now if self.began_at is None else self.began_at) + timeout


def line_of(error: BaseException) -> str:
    """An error of a pool, in a line.

    >>> line_of(ValueError("full.\\nTry later"))
    'ValueError: full'
    """
    first = str(error).strip().partition("\n")[0][:500].rstrip(".")
    return f"{type_name(type(error))}: {first}" if first else type_name(type(error))
