"""What may run next?  The rules of a run, and nothing else.

    pending --> ready --> running --> succeeded | failed | cancelled
       |          ^          |
       |          +-- retrying
       +--> upstream_failed | skipped | cached

A graph is integers: nodes 0, 1, 2, ..., their successors in one array, and for each node
how many of its predecessors have not ended yet.  No clock, no disk, no process: whoever
calls says what has happened, and is told what is ready because of it.  A million nodes take
some tens of megabytes, and all of it can be saved to bytes and restored.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from enum import IntEnum


class State(IntEnum):
    """The state of a task instance; `.word` is how it is written everywhere.

    From SUCCEEDED on nothing more happens: comparisons below count on that order.
    """

    PENDING = 0
    READY = 1
    RUNNING = 2
    RETRYING = 3
    SUCCEEDED = 4
    FAILED = 5
    CANCELLED = 6
    CACHED = 7
    SKIPPED = 8
    UPSTREAM_FAILED = 9

    @property
    def word(self) -> str:
        """The state as text, as in the database."""
        return self.name.lower()


class IllegalEventError(Exception):
    """An event that cannot have happened: a bug of the caller."""

    def __init__(self, node: int, state: State, event: str) -> None:
        super().__init__(node, state, event)
        self.node, self.state, self.event = node, state, event

    def __str__(self) -> str:
        now = f"node {self.node} is {self.state.word}"
        return f"{now}, so it cannot {self.event}; this is a bug, please report it"


class Schedule:
    """The state of a run, in vectors.

    Args:
        predecessors: For each node the nodes that it waits for, each once.  Any order, as
            long as there is no cycle.

    >>> schedule = Schedule([(), (0,), (0,), (1, 2)])
    >>> schedule.start()
    [0]
    >>> schedule.run(0)
    >>> schedule.succeed(0)
    [1, 2]
    """

    __slots__ = ("_offsets", "_states", "_targets", "_unended", "_waiting")

    def __init__(self, predecessors: Iterable[Sequence[int]]) -> None:
        self._waiting = array("i")
        sources, targets = array("i"), array("i")
        for node, before in enumerate(predecessors):
            self._waiting.append(len(before))
            sources.extend(before)
            targets.extend([node] * len(before))
        count = len(self._waiting)
        self._offsets, self._targets = _by_source(count, sources, targets)
        self._states = bytearray(count)
        self._unended = count

    # --- questions -------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._states)

    @property
    def over(self) -> bool:
        """Whether every node has ended."""
        return self._unended == 0

    @property
    def unended(self) -> int:
        """How many nodes have not ended."""
        return self._unended

    def is_running(self, node: int) -> bool:
        """Whether an attempt at a node is under way."""
        return self._states[node] == 2  # State.RUNNING, quickly

    def state(self, node: int) -> State:
        """The state of a node."""
        return State(self._states[node])

    def successors(self, node: int) -> Sequence[int]:
        """The nodes that wait for this one."""
        return self._targets[self._offsets[node] : self._offsets[node + 1]]

    def nodes(self, state: State) -> list[int]:
        """All nodes in a state."""
        return [n for n, s in enumerate(self._states) if s == state]

    def heights(self) -> array[int]:
        """For each node the number of nodes on the longest path from it to an end.

        What is highest should run first: the run can't end sooner than that path does.
        """
        offsets, targets = self._offsets, self._targets
        heights = array("i", [1]) * len(self._states)
        for node in self._backwards():
            for target in targets[offsets[node] : offsets[node + 1]]:
                if heights[target] >= heights[node]:
                    heights[node] = heights[target] + 1
        return heights

    # --- events ----------------------------------------------------------------------------

    def start(self) -> list[int]:
        """Begin: give the nodes that wait for nothing."""
        ready = [n for n, w in enumerate(self._waiting) if w == 0 and self._states[n] == State.PENDING]
        for node in ready:
            self._states[node] = State.READY
        return ready

    def run(self, node: int) -> None:
        """An attempt at a ready node is under way."""
        if self._states[node] != 1:  # State.READY, quickly
            raise IllegalEventError(node, self.state(node), "start")
        self._states[node] = 2

    def next_in_line(self, node: int) -> int | None:
        """The node that waits for this one alone, if it is the only one that waits for it."""
        first = self._offsets[node]
        if self._offsets[node + 1] - first != 1:
            return None
        successor = self._targets[first]
        waits_for_it_alone = self._waiting[successor] == 1 and self._states[successor] == State.PENDING
        return successor if waits_for_it_alone else None

    def run_behind(self, node: int) -> None:
        """A pending node was given out behind the running one that it waits for alone."""
        self._move(node, State.PENDING, State.RUNNING, "be run behind another")

    def give_back(self, node: int) -> bool:
        """It has not been started after all; return whether it is ready.

        One that was given out behind another is not, as long as that has not ended.
        """
        ready = self._waiting[node] == 0
        self._move(node, State.RUNNING, State.READY if ready else State.PENDING, "be given back")
        return ready

    def retry_later(self, node: int) -> None:
        """An attempt failed and there will be another."""
        self._move(node, State.RUNNING, State.RETRYING, "be retried")

    def retry(self, node: int) -> bool:
        """The time for the next attempt has come; return whether it is ready, as for `give_back`."""
        ready = self._waiting[node] == 0
        self._move(node, State.RETRYING, State.READY if ready else State.PENDING, "be tried again")
        return ready

    def succeed(self, node: int) -> list[int]:
        """A running node has given its value; return the nodes that are ready because of it."""
        states = self._states
        if states[node] != 2:  # State.RUNNING, quickly
            raise IllegalEventError(node, State(states[node]), "succeed")
        states[node] = 4
        self._unended -= 1
        return self._release(node)

    def take_over(self, node: int) -> list[int]:
        """A pending or ready node has its value already, from a cache or an earlier driver; as succeed."""
        if self._states[node] not in (State.PENDING, State.READY):
            raise IllegalEventError(node, self.state(node), "be taken over")
        self._states[node] = State.CACHED
        self._unended -= 1
        return self._release(node)

    def fail(self, node: int) -> list[int]:
        """A running node has failed for good; return the nodes that depend on it and so can never run."""
        self._move(node, State.RUNNING, State.FAILED, "fail")
        self._unended -= 1
        return self._block(node)

    def cancel(self, node: int) -> list[int]:
        """A node that has not ended will not run any more; return what depends on it: nor will that."""
        if self._states[node] >= State.SUCCEEDED:
            raise IllegalEventError(node, self.state(node), "be cancelled")
        self._states[node] = State.CANCELLED
        self._unended -= 1
        return self._block(node)

    def cancel_all(self) -> list[int]:
        """Cancel whatever has not ended; give which."""
        cancelled = [n for n, s in enumerate(self._states) if s < State.SUCCEEDED]
        for node in cancelled:
            self._states[node] = State.CANCELLED
        self._unended = 0
        return cancelled

    # --- to bytes and back -----------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """All of it, as bytes of this machine's byte order."""
        vectors = (self._waiting, self._offsets, self._targets)
        head = struct.pack("<4Q", len(self._states), *(len(v) for v in vectors))
        return head + bytes(self._states) + b"".join(v.tobytes() for v in vectors)

    @classmethod
    def from_bytes(cls, data: bytes) -> Schedule:
        """The inverse of `to_bytes`.

        >>> Schedule.from_bytes(Schedule([(), (0,)]).to_bytes()).start()
        [0]
        """
        count, *lengths = struct.unpack_from("<4Q", data)
        schedule = cls(())
        at = 32
        schedule._states = bytearray(data[at : at + count])
        at += count
        vectors = []
        for length in lengths:
            vector = array("i")
            vector.frombytes(data[at : at + length * vector.itemsize])
            at += length * vector.itemsize
            vectors.append(vector)
        schedule._waiting, schedule._offsets, schedule._targets = vectors
        schedule._unended = sum(1 for s in schedule._states if s < State.SUCCEEDED)
        return schedule

    # --- how -------------------------------------------------------------------------------

    def _move(self, node: int, before: State, after: State, event: str) -> None:
        if self._states[node] != before:
            raise IllegalEventError(node, self.state(node), event)
        self._states[node] = after

    def _release(self, node: int) -> list[int]:
        """Count one predecessor less for each successor; give those that wait for nothing now."""
        waiting, states = self._waiting, self._states
        ready = []
        for successor in self._targets[self._offsets[node] : self._offsets[node + 1]]:
            left = waiting[successor] - 1
            waiting[successor] = left
            if left == 0 and states[successor] == 0:
                states[successor] = 1
                ready.append(successor)
        return ready

    def _block(self, node: int) -> list[int]:
        """End all that waits for a node, near or far; give which."""
        blocked = []
        stack = [node]
        while stack:
            for successor in self.successors(stack.pop()):
                # Whatever its state: one that was given out behind another may have been lost
                # together with it, and wait for its next attempt.
                if self._states[successor] < State.SUCCEEDED:
                    self._states[successor] = State.UPSTREAM_FAILED
                    self._unended -= 1
                    blocked.append(successor)
                    stack.append(successor)
        return blocked

    def _backwards(self) -> Iterable[int]:
        """All nodes, each before those it waits for."""
        offsets, targets = self._offsets, self._targets
        count = len(self._states)
        # A compiled DAG is numbered in such an order already; others need not be.
        if all(node < first for node, first in self._first_targets()):
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

    def _first_targets(self) -> Iterable[tuple[int, int]]:
        """Each node that has successors, with the smallest of them (they are sorted)."""
        offsets = self._offsets
        for node in range(len(self._states)):
            if offsets[node] < offsets[node + 1]:
                yield node, self._targets[offsets[node]]


def _by_source(count: int, sources: array[int], targets: array[int]) -> tuple[array[int], array[int]]:
    """Sort edges by source: the targets of n are `targets[offsets[n]:offsets[n + 1]]`."""
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
