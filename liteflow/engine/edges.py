"""The edges of a graph in arrays: those that are there from the beginning, and those that come one by one.

The first lie sorted by source, in an array of targets and one of offsets into it, and are never added to.
What comes while a run goes on takes twelve bytes an edge, and four a node.  A list for each node took
fifteen times that, and a map over a million items has a million of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable


class LaterEdges:
    """What waits for what, for each source in the order in which it came.

    >>> edges = LaterEdges()
    >>> edges.add(3, 7)
    >>> edges.add(3, 5)
    >>> edges.of(3), edges.of(4)
    ([7, 5], [])
    """

    __slots__ = ("_before", "_last", "_targets")

    def __init__(self) -> None:
        # The number of the last edge of each source, and of each edge the one before it of the same
        # source; -1: there is none.
        self._last = array("i")
        self._before = array("i")
        self._targets = array("i")

    def add(self, source: int, target: int) -> None:
        """Let `target` wait for `source`."""
        last = self._last
        if source >= len(last):
            last.extend(array("i", [-1]) * (source + 1 - len(last)))
        self._before.append(last[source])
        last[source] = len(self._targets)
        self._targets.append(target)

    def add_new(self, sources: range, target: int) -> bool:
        """Let `target` wait for nodes in a row that nobody waits for yet; whether they are such."""
        last = self._last
        if sources.start < len(last) or sources.step != 1:
            return False
        count, edge = len(sources), len(self._targets)
        last.extend(array("i", [-1]) * (sources.start - len(last)))
        last.extend(range(edge, edge + count))
        self._before.extend(array("i", [-1]) * count)
        self._targets.extend(array("i", [target]) * count)
        return True

    def only(self, source: int) -> int:
        """The node that waits for `source`, if it is one; -1: there is none, or there are several."""
        edge = self._last[source] if source < len(self._last) else -1
        return self._targets[edge] if edge >= 0 and self._before[edge] < 0 else -1

    def of(self, source: int) -> list[int]:
        """The nodes that wait for `source`."""
        edge = self._last[source] if source < len(self._last) else -1
        if edge >= 0 and self._before[edge] < 0:
            # The items of a map have one, the map.
            return [self._targets[edge]]
        found = []
        while edge >= 0:
            found.append(self._targets[edge])
            edge = self._before[edge]
        found.reverse()
        return found


def by_source(count: int, sources: array[int], targets: array[int]) -> tuple[array[int], array[int]]:
    """Sort the edges between `count` nodes by source.

    Returns:
        Offsets and targets: those of n are `targets[offsets[n]:offsets[n + 1]]`.

    >>> by_source(3, array("i", [1, 0, 0]), array("i", [2, 1, 2]))
    (array('i', [0, 2, 3, 3]), array('i', [1, 2, 2]))
    """
    offsets = array("i", bytes(4 * (count + 1)))
    for source in sources:
        offsets[source + 1] += 1
    for node in range(count):
        offsets[node + 1] += offsets[node]
    place = array("i", offsets)
    sorted_targets = array("i", bytes(4 * len(targets)))
    for source, target in zip(sources, targets, strict=True):
        sorted_targets[place[source]] = target
        place[source] += 1
    return offsets, sorted_targets


def heights_of(count: int, offsets: array[int], targets: array[int]) -> array[int]:
    """For each of `count` nodes the number of nodes on the longest path from it to an end.

    >>> heights_of(3, *by_source(3, array("i", [0]), array("i", [1])))
    array('i', [2, 1, 1])
    """
    heights = array("i", [1]) * count
    for node in _backwards(count, offsets, targets):
        for target in targets[offsets[node] : offsets[node + 1]]:
            if heights[target] >= heights[node]:
                heights[node] = heights[target] + 1
    return heights


def _backwards(count: int, offsets: array[int], targets: array[int]) -> Iterable[int]:
    """All nodes, each before those it waits for."""
    # A compiled DAG is numbered in such an order already; others need not be.
    if all(node < first for node, first in _first_targets(count, offsets, targets)):
        return range(count - 1, -1, -1)
    waiting = array("i", bytes(4 * count))
    for target in targets:
        waiting[target] += 1
    order = [n for n, w in enumerate(waiting) if w == 0]
    # The list is the queue: it grows while we go along it.
    for node in order:
        for successor in targets[offsets[node] : offsets[node + 1]]:
            waiting[successor] -= 1
            if waiting[successor] == 0:
                order.append(successor)
    return reversed(order)


def _first_targets(count: int, offsets: array[int], targets: array[int]) -> Iterable[tuple[int, int]]:
    """Each node that has successors, with the smallest of them (they are sorted)."""
    for node in range(count):
        if offsets[node] < offsets[node + 1]:
            yield node, targets[offsets[node]]
