"""Which of the calls that take resources may begin: each in its turn, when what it takes is free.

    push --> waiting, most urgent first --take--> holds what it takes --ended--> free for others

Pure, as the schedule is: whoever calls says what has become ready and what has ended.  All that one machine
runs is in one order, whichever executors it runs on.  A call whose turn it is and that does not fit has what
it takes kept for it: none behind it gets any of that, so it begins when those have ended that were before it.
One behind it that takes nothing it waits for may begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count

from liteflow.engine.room import Room, Taken
from liteflow.resources import Resources

# The calls of one executor that take the same: where the first does not fit, none does.
_Kind = tuple[int, Resources]


class Admission:
    """What waits for room on a machine, and what holds some.

    Args:
        room: The machine, empty; each call is to fit into that.

    >>> admission = Admission(Room.of({"cpus": 2}, 0))
    >>> for node, cpus in enumerate([1, 2, 1]):
    ...     admission.push(node, lane=0, height=1, wanted=Resources((("cpus", cpus),)))
    >>> admission.take(0), admission.next_of(0)
    ((0, Taken(amounts=(('cpus', 10000),), gpus=())), None)
    >>> admission.ended(0)
    >>> admission.next_of(0)
    1
    """

    def __init__(self, room: Room) -> None:
        self._free = room
        self._held: dict[int, Taken] = {}
        self._queues: dict[_Kind, list[tuple[int, int, int]]] = {}
        self._serials = count()
        # The place of those that have begun, or come back: a call that was not begun after all keeps it.
        self._serial: dict[int, int] = {}
        # Whose turn it is in each lane, as long as nothing has changed.
        self._turns: Mapping[int, tuple[_Kind, Taken]] | None = {}

    @property
    def free(self) -> Room:
        """What nobody holds."""
        return self._free

    @property
    def held(self) -> Mapping[int, Taken]:
        """What calls hold, by node."""
        return self._held

    def push(self, node: int, *, lane: int, height: int, wanted: Resources) -> None:
        """A call has become ready: those of greater height come first, then those that were pushed first."""
        serial = self._serial.pop(node, None)
        place = (-height, next(self._serials) if serial is None else serial, node)
        heappush(self._queues.setdefault((lane, wanted), []), place)
        self._turns = None

    def next_of(self, lane: int) -> int | None:
        """The call that a lane may begin now; None: there is none."""
        turn = self._looked().get(lane)
        return None if turn is None else self._queues[turn[0]][0][2]

    def take(self, lane: int) -> tuple[int, Taken]:
        """Begin that call; from now on it holds what is told beside it."""
        kind, taken = self._looked()[lane]
        queue = self._queues[kind]
        _, serial, node = heappop(queue)
        if not queue:
            del self._queues[kind]
        self._free = self._free.without(taken)
        self._held[node] = taken
        self._serial[node] = serial
        self._turns = None
        return node, taken

    def ended(self, node: int) -> None:
        """A call has ended: what it held, if it did, is free."""
        self.returned(node)
        self._serial.pop(node, None)

    def returned(self, node: int) -> None:
        """A call comes back without having begun: what it held is free; pushed again, it is where it was."""
        taken = self._held.pop(node, None)
        if taken is not None:
            self._free = self._free.with_(taken)
            self._turns = None

    def _looked(self) -> Mapping[int, tuple[_Kind, Taken]]:
        if self._turns is None:
            self._turns = self._look()
        return self._turns

    def _look(self) -> Mapping[int, tuple[_Kind, Taken]]:
        left = self._free
        turns: dict[int, tuple[_Kind, Taken]] = {}
        for number, kind in enumerate(sorted(self._queues, key=lambda kind: self._queues[kind][0])):
            lane, wanted = kind
            taken = left.fitting(wanted)
            if taken is not None:
                turns.setdefault(lane, (kind, taken))
            if taken is None or not number:
                # The first of all keeps its turn even where its executor has no place for it yet.
                left = left.kept_for(wanted)
        return turns
