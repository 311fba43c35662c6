"""In which order ready calls are given out: those on the longest remaining path first."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from heapq import heappop, heappush

from liteflow.executor.base import Call

_BITS = 32
_MASK = (1 << _BITS) - 1


class ReadyLane:
    """The ready nodes of one executor.

    Args:
        heights: For each node the length of the longest path from it to an end.
        begin: Makes the call of a node that an executor takes now.
        behind: Makes the call that may run right behind one that has been taken, if there is
            such a one.

    Among nodes of one height the first in the order of the graph comes first.
    """

    __slots__ = ("_begin", "_heap", "_heights", "follow")

    def __init__(
        self, heights: array[int], begin: Callable[[int], Call], behind: Callable[[Call], Call | None]
    ) -> None:
        self._heights = heights
        self._begin = begin
        self.follow = behind
        self._heap: list[int] = []

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, node: int) -> None:
        """A node has become ready."""
        heappush(self._heap, (-self._heights[node] << _BITS) | node)

    def take(self, count: int) -> list[Call]:
        """Up to `count` calls, the most urgent first."""
        heap, begin = self._heap, self._begin
        return [begin(heappop(heap) & _MASK) for _ in range(min(count, len(heap)))]
