"""What a cluster holds of one run's values, and what of it is on its way home.

    an answer with held values --bring--> coming --the driver has it--> arrived
                                   |
                                   +--> calls that begin early, where the value is

What began early with a value that then was lost on the way has begun with what never was: it is stranded, and
what it has given does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from liteflow.executor.base import Call
from liteflow.executor.held import Homing, Outcome
from liteflow.executor.parcels import Parcel, PoolFactory
from liteflow.executor.remote import Answer

Handle = tuple[str, int, Any]
"""A held value: its codec, its size in bytes, and the engine's own handle."""


class Holdings:
    """Values that are held for calls to come, and parcels whose values are coming home.

    Args:
        factory: The cluster.
        tell: Is told of a parcel whose values are here, with `answer` as it is then; in another thread.
    """

    def __init__(self, factory: PoolFactory, tell: Callable[[Parcel], None]) -> None:
        self.coming: set[Parcel] = set()
        self._factory = factory
        self._tell = tell
        self._held: dict[int, Handle] = {}
        self._homing: Homing[Parcel] | None = None

    def of(self, source: int) -> Handle | None:
        """How the value of a node is held; None: it is not."""
        return self._held.get(source)

    def bring(
        self, parcel: Parcel, answer: Answer, held: Mapping[int, Handle], needed: Iterable[int]
    ) -> None:
        """Bring home what is held of a parcel's answer, and hold on to what is needed there.

        Raises:
            Exception: The cluster has lost them; its engine's own error.
        """
        kept = {node: self._factory.adopt(handle) for node, (_, _, handle) in held.items()}
        self._held.update({node: (*held[node][:2], kept[node]) for node in needed})
        parcel.answer, parcel.answered_ns = answer, time.monotonic_ns()
        self.coming.add(parcel)
        if self._homing is None:
            self._homing = Homing(self._factory.fetch, self._at_home)
        self._homing.bring(parcel, answer.outcomes, kept)

    def awaits(self, parcel: Parcel) -> bool:
        """Whether what came of a parcel has to wait for a value that it began early with."""
        coming = {call.node for one in self.coming for call in one.calls}
        return any(call.behind in coming for call in parcel.calls)

    def arrived(self, parcel: Parcel) -> None:
        """A parcel is no longer on its way."""
        self.coming.discard(parcel)

    def lose(self, call: Call, parcels: Iterable[Parcel]) -> None:
        """The value of a call has not come home: which of these parcels began early with it are stranded."""
        self.release(call.node)
        for parcel in (*parcels, *self.coming):
            parcel.stranded |= any(one.behind == call.node for one in parcel.calls)

    def release(self, source: int) -> None:
        """Nobody needs a value any more: the cluster need not hold it."""
        self._held.pop(source, None)

    def let_go(self) -> None:
        """Nothing is held any more, and nothing comes home."""
        self._held.clear()
        self.coming.clear()
        if self._homing is not None:
            self._homing.close()
            self._homing = None

    def _at_home(self, parcel: Parcel, outcomes: list[Outcome]) -> None:
        """In the thread that brings them home."""
        assert parcel.answer is not None
        since_us = (time.monotonic_ns() - parcel.answered_ns) // 1000
        parcel.answer = parcel.answer._replace(outcomes=outcomes, took=parcel.answer.took + since_us)
        self._tell(parcel)
