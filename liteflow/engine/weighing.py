"""The ready calls of a lane that take resources: of this machine, or of a cluster.

WeighedLane   begins those that fit beside what runs, each in its turn (admission.py)
SortedLanes   keeps those apart that take different things, for a cluster that sees to it itself
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from liteflow.engine.admission import Admission
from liteflow.engine.lanes import ReadyLane
from liteflow.executor.base import Call, Needs
from liteflow.resources import Resources


class WeighedLane:
    """The ready nodes of an executor of this machine that take some of it.

    Args:
        number: The lane's.
        heights: For each node the length of the longest path from it to an end.
        begin: Makes the call of a node that an executor takes now.
        wanted: What a node takes.
        shared: What all lanes of this machine share: who may begin, and what CUDA calls each of its GPUs.
    """

    alone = True
    needs: Needs = ()

    def __init__(
        self,
        number: int,
        heights: array[int],
        begin: Callable[[int], Call],
        wanted: Callable[[int], Resources],
        *,
        shared: tuple[Admission, Sequence[str]],
    ) -> None:
        self._number = number
        self._admission, self._gpus = shared
        self._heights = heights
        self._begin = begin
        self._wanted = wanted

    def __len__(self) -> int:
        # Whether a second one fits is known when the first has been taken.
        return 0 if self._admission.next_of(self._number) is None else 1

    @property
    def top(self) -> int:
        """The height of the next one; 0 if there is none that fits."""
        node = self._admission.next_of(self._number)
        return 0 if node is None else self._heights[node]

    def push(self, node: int) -> None:
        """A node has become ready."""
        wanted, height = self._wanted(node), self._heights[node]
        self._admission.push(node, lane=self._number, height=height, wanted=wanted)

    def take(self, count: int) -> list[Call]:
        """Up to `count` calls that fit, the most urgent first."""
        taken: list[Call] = []
        while len(taken) < count and len(self):
            node, held = self._admission.take(self._number)
            call = self._begin(node)
            if held.gpus:
                call = call._replace(gpus=",".join([self._gpus[number] for number, _ in held.gpus]))
            taken.append(call)
        return taken

    def follow(self, call: Call, /) -> Call | None:
        """None: what waits for a call that holds something begins in its turn."""
        return None

    def early(self, call: Call, /) -> Call | None:
        """None, as for `follow`."""
        return None


class SortedLanes:
    """The ready nodes of a cluster that take something: a lane for each kind, so that they travel apart.

    Args:
        heights, begin, wanted: As for `WeighedLane`.
        offer: Is given each lane when there is something for it.
    """

    def __init__(
        self,
        heights: array[int],
        begin: Callable[[int], Call],
        wanted: Callable[[int], Resources],
        offer: Callable[[ReadyLane], None],
    ) -> None:
        self._heights = heights
        self._begin = begin
        self._wanted = wanted
        self._offer = offer
        self._lanes: dict[Needs, ReadyLane] = {}

    def push(self, node: int) -> None:
        """A node has become ready."""
        needs = self._wanted(node).amounts
        lane = self._lanes.get(needs)
        if lane is None:
            lane = self._lanes[needs] = self._lane(needs)
        lane.push(node)

    def _lane(self, needs: Needs) -> ReadyLane:
        def begin(node: int) -> Call:
            return self._begin(node)._replace(needs=needs)

        lane = ReadyLane(self._heights, begin, lambda _call: None, needs)
        self._offer(lane)
        return lane
