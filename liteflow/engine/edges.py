"""Edges that come one by one while a run goes on, in arrays: twelve bytes each, and four a node.

A list for each node took fifteen times that, and a map over a million items has a million of them.
"""

from __future__ import annotations

from array import array


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
