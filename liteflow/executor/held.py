"""Large values that stay on the cluster where they were made, in its engine's own object store.

    worker --hold--> Held --the same cluster's later calls--> worker
                       |
                       +--fetch, in a thread--> Large: the driver's, for the store, and for calls elsewhere

The driver hears of a value when it is at home.  So nothing is recorded that could be lost with the cluster,
and what can't be brought home was lost with its worker, as any call can be.

No attrs here: workers import this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pickle import PickleBuffer
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from liteflow.executor.base import Failed, Finished, Line
from liteflow.executor.payload import Large
from liteflow.xcom import Buffer

Outcome = tuple[Finished | Failed, list[Line]]
P = TypeVar("P")

# Only values are held: what a run goes on as is the driver's to read.
_CODECS = ("pickle", "buffers")


class Held(NamedTuple):
    """What stands for the bytes of a value that is held: the engine's own handle."""

    handle: Any


class Shared:
    """The bytes of a value in one process: memory that it can share, or a buffer of its engine's.

    It travels without a copy of its own (pickle protocol 5): that is for the engine to make, if it needs one.

    >>> Shared(b"abc").large().read(0, 3)
    b'abc'
    """

    __slots__ = ("_lock", "_memory", "size")

    def __init__(self, memory: Large | Buffer) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self.size = memory.size if isinstance(memory, Large) else memoryview(memory).nbytes

    def large(self) -> Large:
        """The bytes as memory that processes share."""
        with self._lock:
            if not isinstance(self._memory, Large):
                self._memory = Large.written((self._memory,), self.size)
            return self._memory

    def __reduce_ex__(self, protocol: Any) -> Any:
        memory = self._memory
        view = memory.private() if isinstance(memory, Large) else memory
        # Dask's scheduler asks for an older one.
        return Shared, (PickleBuffer(view) if int(protocol) >= 5 else bytes(view),)

    def __sizeof__(self) -> int:
        return self.size


def holding(outcome: Outcome, over: int | None, hold: Callable[[Shared], Any] | None) -> Outcome:
    """Let a value be held, if it is a large one, and be bytes, if not: memory reaches no further than here.

    Args:
        outcome: What came of a call, in the worker that it was made in.
        over: How large values are, in bytes, that are not held; None: none is.
        hold: Puts it into the engine's object store, and gives a handle; None: it has none.
    """
    done, lines = outcome
    if not isinstance(done, Finished) or done.payload is None:
        return outcome
    if hold is not None and over is not None and done.size > over and done.codec in _CODECS:
        return done._replace(payload=Held(hold(Shared(done.payload)))), lines  # type: ignore[arg-type]
    if isinstance(done.payload, Large):
        return done._replace(payload=done.payload.read(0, done.payload.size)), lines
    return outcome


def handles(outcomes: Sequence[Outcome]) -> dict[int, tuple[str, int, Any]]:
    """What is held of outcomes: codec, size and handle, by node."""
    found = {}
    for done, _ in outcomes:
        if isinstance(done, Finished):
            payload: Any = done.payload
            if isinstance(payload, Held):
                found[done.row] = done.codec, done.size, payload.handle
    return found


class Homing(Generic[P]):
    """Brings held values home, one after the other, in a thread of its own.

    Args:
        fetch: Gives what a handle stands for.
        tell: Is told what the outcomes of a parcel are then; called in that thread.
    """

    def __init__(self, fetch: Callable[[Any], Shared], tell: Callable[[P, list[Outcome]], None]) -> None:
        self._fetch = fetch
        self._tell = tell
        self._queue: SimpleQueue[tuple[P, Sequence[Outcome], dict[int, Any]] | None] = SimpleQueue()
        # A daemon: a cluster that does not answer must not keep the interpreter from ending.
        threading.Thread(target=self._serve, name="liteflow-homing", daemon=True).start()

    def bring(self, parcel: P, outcomes: Sequence[Outcome], held: dict[int, Any]) -> None:
        """Bring home what is held of these outcomes, by its handles."""
        self._queue.put((parcel, outcomes, held))

    def close(self) -> None:
        """End, after what is being fetched now."""
        self._queue.put(None)

    def _serve(self) -> None:
        while (order := self._queue.get()) is not None:
            parcel, outcomes, held = order
            at_home = [self._at_home(outcome, held) for outcome in outcomes]
            # What was held is let go as soon as nobody needs it.
            del order, outcomes, held
            self._tell(parcel, at_home)
            del parcel, at_home

    def _at_home(self, outcome: Outcome, held: dict[int, Any]) -> Outcome:
        done, lines = outcome
        if not isinstance(done, Finished) or done.row not in held:
            return outcome
        try:
            large = self._fetch(held[done.row]).large()
        except Exception as error:  # noqa: BLE001  engines have errors of their own
            line = f"{type(error).__name__}: {error}".partition("\n")[0][:500]
            why = f"{line}; its value is lost with the worker that held it"
            return Failed(*done[:4], "lost", why, "", None, True), lines
        return done._replace(payload=large), lines
