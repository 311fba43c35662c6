"""In which order ready calls are given out: those on the longest remaining path first."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from liteflow.executor.base import Call, Lane, Needs


class Pushed(Protocol):
    """Where the nodes of a lane go that have become ready."""

    def push(self, node: int) -> None:
        """A node has become ready."""
        ...


class Offered(Lane, Protocol):
    """What an executor is given to take from."""

    @property
    def top(self) -> int:
        """How urgent the most urgent of what may be taken is: its height."""
        ...


class ReadyLane:
    """The ready nodes of one executor.

    Args:
        heights: For each node the length of the longest path from it to an end.
        begin: Makes the call of a node that an executor takes now.
        behind: Makes the call that may run right behind one that has been taken, if there is
            such a one.
        needs: What each of its calls takes of a cluster.
        early: As `behind`, of one that has ended and is not told of yet, for which others may wait too.

    Nodes of one height come in the order in which they became ready.
    """

    __slots__ = ("_begin", "_count", "_heights", "_highest", "_queues", "early", "follow", "needs")
    alone = False

    def __init__(
        self,
        heights: array[int],
        begin: Callable[[int], Call],
        behind: Callable[[Call], Call | None],
        needs: Needs = (),
        *,
        early: Callable[[Call], Call | None] = lambda _call: None,
    ) -> None:
        self.needs = needs
        self.early = early
        self._heights = heights
        self._begin = begin
        self.follow = behind
        # A queue for each height that has nodes, and those heights, negative, as a heap: most
        # graphs are wide, so this is quicker than a heap of nodes.
        self._queues: dict[int, deque[int]] = {}
        self._highest: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def top(self) -> int:
        """The height of the next one; 0 if there is none."""
        return -self._highest[0] if self._highest else 0

    def push(self, node: int) -> None:
        """A node has become ready."""
        height = self._heights[node]
        queue = self._queues.get(height)
        if queue is None:
            queue = self._queues[height] = deque()
            heappush(self._highest, -height)
        queue.append(node)
        self._count += 1

    def take(self, count: int) -> list[Call]:
        """Up to `count` calls, the most urgent first."""
        begin, taken = self._begin, []
        count = min(count, self._count)
        self._count -= count
        while count:
            height = -self._highest[0]
            queue = self._queues[height]
            here = min(count, len(queue))
            taken += [begin(queue.popleft()) for _ in range(here)]
            count -= here
            if not queue:
                del self._queues[height]
                heappop(self._highest)
        return taken
