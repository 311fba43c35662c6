"""What may run next?  The rules of a run, and nothing else.

    pending --> ready --> running --> succeeded | failed | cancelled | skipped
       |          ^          |            ^
       |          +-- retrying            |
       |                     +--> grown --+
       +--> upstream_failed | skipped | cached

A graph is integers: nodes 0, 1, 2, ..., their successors in one array, and for each node
how many of its predecessors have not ended yet.  No clock, no disk, no process: whoever
calls says what has happened, and is told what is ready because of it.  A million nodes take
some tens of megabytes, and all of it can be saved to bytes and restored.

A graph may grow: a running node brings new ones and waits, grown, until those that its value
is made of have ended.  It has succeeded with the last of them.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

from liteflow.engine.edges import LaterEdges, by_source, heights_of
from liteflow.engine.states import Effects, IllegalEventError, State, When


class Schedule:
    """The state of a run, in vectors.

    Args:
        predecessors: For each node the nodes that it waits for, each once.  Any order, as
            long as there is no cycle.
        rules: What the nodes wait for that do not wait for ALL.

    >>> schedule = Schedule([(), (0,), (0,), (1, 2)])
    >>> schedule.start()
    [0]
    >>> schedule.run(0)
    >>> schedule.succeed(0)
    [1, 2]
    """

    __slots__ = (
        "_completed",
        "_good",
        "_later",
        "_offsets",
        "_rules",
        "_states",
        "_targets",
        "_unended",
        "_waiting",
    )

    def __init__(
        self, predecessors: Iterable[Sequence[int]], rules: Mapping[int, When] | None = None
    ) -> None:
        self._waiting = array("i")
        sources, targets = array("i"), array("i")
        for node, before in enumerate(predecessors):
            self._waiting.append(len(before))
            sources.extend(before)
            targets.extend([node] * len(before))
        count = len(self._waiting)
        self._offsets, self._targets = by_source(count, sources, targets)
        self._states = bytearray(count)
        self._unended = count
        # Edges that came later; most graphs never grow, and their edges are one array.
        self._later: LaterEdges | None = None
        # The nodes that do not wait for ALL, and those of them of which a predecessor has a value.
        self._rules = {node: int(when) for node, when in (rules or {}).items() if when}
        self._good: set[int] = set()
        self._completed: list[int] = []

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
        offsets = self._offsets
        first = self._targets[offsets[node] : offsets[node + 1]] if node + 1 < len(offsets) else ()
        if self._later is None:
            return first
        later = self._later.of(node)
        return [*first, *later] if first else later

    def nodes(self, state: State) -> list[int]:
        """All nodes in a state."""
        return [n for n, s in enumerate(self._states) if s == state]

    def heights(self) -> array[int]:
        """For each node the number of nodes on the longest path from it to an end.

        What is highest should run first: the run can't end sooner than that path does.
        """
        return heights_of(len(self._states), self._offsets, self._targets)

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
        if self._later is not None and node + 1 >= len(self._offsets):
            # The items of a map are many: no list is made for each.
            successor = self._later.only(node)
            if successor < 0:
                return None
        elif self._later is not None:
            successors = self.successors(node)
            if len(successors) != 1:
                return None
            successor = successors[0]
        else:
            first = self._offsets[node]
            if self._offsets[node + 1] - first != 1:
                return None
            successor = self._targets[first]
        waits_for_it_alone = self._waiting[successor] == 1 and self._states[successor] == State.PENDING
        return successor if waits_for_it_alone and successor not in self._rules else None

    def in_line(self, node: int) -> Iterator[int]:
        """The pending nodes that wait for this one alone, though others may wait for it too."""
        for successor in self.successors(node):
            waits_for_it_alone = self._waiting[successor] == 1 and self._states[successor] == State.PENDING
            if waits_for_it_alone and successor not in self._rules:
                yield successor

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
        states[node] = 5
        self._unended -= 1
        return self._release(node)

    def take_over(self, node: int) -> list[int]:
        """A pending or ready node has its value already, from a cache or an earlier driver; as succeed."""
        if self._states[node] not in (State.PENDING, State.READY):
            raise IllegalEventError(node, self.state(node), "be taken over")
        self._states[node] = State.CACHED
        self._unended -= 1
        return self._release(node)

    def add(self, count: int) -> list[int]:
        """New nodes, numbered behind the last one there is, which wait for nothing; they are ready."""
        first = len(self._states)
        self._states.extend(bytes([State.READY]) * count)
        self._waiting.extend([0] * count)
        self._unended += count
        # Nothing waits for them.
        self._offsets.extend([self._offsets[-1]] * (len(self._states) + 1 - len(self._offsets)))
        return list(range(first, first + count))

    def leave_out(self, count: int) -> None:
        """The next numbers are nobody's."""
        self._states.extend(bytes([State.CANCELLED]) * count)
        self._waiting.extend([0] * count)

    def grow(
        self,
        parent: int,
        predecessors: Sequence[Sequence[int]],
        result: Sequence[int],
        rules: Mapping[int, When] | None = None,
        *,
        whatever: bool = False,
    ) -> Effects:
        """A running node has brought new nodes, numbered behind the last one there is.

        Args:
            parent: The node; it has succeeded when those in `result` have.
            predecessors: For each new node the nodes that it waits for, each once, new ones and
                others.
            result: The nodes that the parent's value is made of, each once.
            rules: As for the whole graph.
            whatever: The parent succeeds whatever becomes of those in `result`.
        """
        self._move(parent, State.RUNNING, State.GROWN, "grow")
        states, waiting = self._states, self._waiting
        first = len(states)
        count = len(predecessors)
        states.extend(bytes(count))
        waiting.extend(array("i", bytes(4 * count)))
        self._unended += count
        self._rules.pop(parent, None)
        if rules:
            self._rules.update({node: int(when) for node, when in rules.items() if when})
        if whatever:
            self._rules[parent] = When.ALWAYS
        effects = Effects([], [])
        for node, before in enumerate(predecessors, first):
            if before:
                self._join(node, before, effects)
            else:
                # The items of a map, mostly.
                states[node] = 1
                effects.ready.append(node)
        self._later = self._later or LaterEdges()
        its_items = result if isinstance(result, range) and first in result[:1] else None
        if its_items is not None and self._later.add_new(its_items, parent):
            waiting[parent] += len(its_items)
        else:
            self._join(parent, result, effects)
        return effects

    def hold(self, parent: int) -> None:
        """A running node goes on as what somebody says, again and again: see `gain`, then `release`."""
        self._move(parent, State.RUNNING, State.GROWN, "grow")
        self._rules.pop(parent, None)
        self._waiting[parent] += 1

    def gain(self, parent: int, predecessors: Iterable[Sequence[int]], rules: Mapping[int, When]) -> Effects:
        """A node that is held has brought new nodes, as in `grow`; it waits for all of them."""
        states = self._states
        first = len(states)
        edges = [list(before) for before in predecessors]
        states.extend(bytes(len(edges)))
        self._waiting.extend([0] * len(edges))
        self._unended += len(edges)
        self._rules.update({node: int(when) for node, when in rules.items() if when})
        effects = Effects([], [])
        for node, before in enumerate(edges, first):
            self._join(node, before, effects)
        if states[parent] < State.SUCCEEDED:
            self._join(parent, list(range(first, len(states))), effects)
        return effects

    def release(self, parent: int) -> list[int]:
        """No more comes of a node that was held: it has succeeded; return as `succeed`."""
        ready: list[int] = []
        if self._states[parent] == State.GROWN:
            self._one_less(parent, ready)
        return ready

    def fail(self, node: int) -> Effects:
        """A running node has failed for good; tell what can never run because of it, and what now can."""
        return self._end_without_value(node, State.FAILED, "fail")

    def fail_held(self, node: int) -> Effects:
        """Who says what a held node goes on as can't: it has failed; tell as `fail`."""
        return self._end_without_value(node, State.FAILED, "fail", State.GROWN)

    def skip(self, node: int) -> Effects:
        """A running node has decided to give no value; tell as `fail`."""
        return self._end_without_value(node, State.SKIPPED, "be skipped")

    def give_up(self, node: int, *, skipped: bool = False) -> Effects:
        """A ready node can never run: what else it needs won't come, or was skipped; tell as `fail`."""
        state = State.SKIPPED if skipped else State.UPSTREAM_FAILED
        return self._end_without_value(node, state, "be given up", State.READY)

    def cancel(self, node: int, state: State = State.CANCELLED) -> Effects:
        """A node that has not ended will not run any more, or ended so under another driver; as `fail`."""
        if self._states[node] >= State.SUCCEEDED:
            raise IllegalEventError(node, self.state(node), "be cancelled")
        self._states[node] = state
        self._unended -= 1
        return self._block(node)

    def take_completed(self) -> list[int]:
        """The nodes that had grown and have succeeded since this was last asked, in that order."""
        completed, self._completed = self._completed, []
        return completed

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
        count = len(self._states)
        offsets, targets = by_source(count, *self._edges())
        rules = array("i", [x for pair in sorted(self._rules.items()) for x in pair])
        vectors = (self._waiting, offsets, targets, rules, array("i", sorted(self._good)))
        head = struct.pack("<6Q", count, *(len(v) for v in vectors))
        return head + bytes(self._states) + b"".join(v.tobytes() for v in vectors)

    @classmethod
    def from_bytes(cls, data: bytes) -> Schedule:
        """The inverse of `to_bytes`.

        >>> Schedule.from_bytes(Schedule([(), (0,)]).to_bytes()).start()
        [0]
        """
        count, *lengths = struct.unpack_from("<6Q", data)
        schedule = cls(())
        at = 48
        schedule._states = bytearray(data[at : at + count])
        at += count
        vectors = []
        for length in lengths:
            vector = array("i")
            vector.frombytes(data[at : at + length * vector.itemsize])
            at += length * vector.itemsize
            vectors.append(vector)
        schedule._waiting, schedule._offsets, schedule._targets, rules, good = vectors
        schedule._rules = dict(zip(rules[::2], rules[1::2], strict=True))
        schedule._good = set(good)
        schedule._unended = sum(1 for s in schedule._states if s < State.SUCCEEDED)
        return schedule

    # --- how -------------------------------------------------------------------------------

    def _move(self, node: int, before: State, after: State, event: str) -> None:
        if self._states[node] != before:
            raise IllegalEventError(node, self.state(node), event)
        self._states[node] = after

    def _end_without_value(
        self, node: int, state: State, event: str, before: State = State.RUNNING
    ) -> Effects:
        self._move(node, before, state, event)
        self._unended -= 1
        return self._block(node)

    def _join(self, node: int, before: Sequence[int], effects: Effects) -> None:
        """Let a node wait for others, some of which may have ended."""
        if self._later is None:
            self._later = LaterEdges()
        states, later = self._states, self._later
        ended = []
        for source in before:
            if states[source] >= State.SUCCEEDED:
                ended.append(source)
            else:
                later.add(source, node)
        self._waiting[node] += len(before)
        if not before and self._waiting[node] == 0:
            self._nothing_left(node, effects.ready)
        for source in ended:
            if states[source] in (State.SUCCEEDED, State.CACHED):
                self._one_less(node, effects.ready)
            else:
                self._lost(source, node, effects)

    def _release(self, node: int) -> list[int]:
        """Count one predecessor less for each successor; give those that wait for nothing now."""
        # The hot path: once for each node.
        ready: list[int] = []
        if self._later is None:
            first, behind = self._offsets[node], self._offsets[node + 1]
            if first == behind:
                return ready
            successors: Sequence[int] = self._targets[first:behind]
        else:
            grew = node + 1 >= len(self._offsets)
            successors = self._later.of(node) if grew else self.successors(node)
        waiting, states, rules = self._waiting, self._states, self._rules
        grown: list[int] = []
        for successor in successors:
            left = waiting[successor] - 1
            waiting[successor] = left
            if rules and successor in rules:
                self._good.add(successor)
            if left == 0:
                if states[successor] == 0:
                    states[successor] = 1
                    ready.append(successor)
                elif states[successor] == State.GROWN:
                    grown.append(successor)
        if grown:
            for one in grown:
                self._complete(one, ready)
        return ready

    def _one_less(self, node: int, ready: list[int]) -> None:
        self._waiting[node] -= 1
        if node in self._rules:
            self._good.add(node)
        if self._waiting[node] == 0:
            self._nothing_left(node, ready)

    def _nothing_left(self, node: int, ready: list[int]) -> None:
        """A node waits for nothing any more."""
        if self._states[node] == State.PENDING:
            self._states[node] = State.READY
            ready.append(node)
        elif self._states[node] == State.GROWN:
            self._complete(node, ready)

    def _complete(self, node: int, ready: list[int]) -> None:
        """A grown node has its value, and so have those that have grown to it, however many."""
        stack = [node]
        while stack:
            one = stack.pop()
            self._states[one] = State.SUCCEEDED
            self._unended -= 1
            self._completed.append(one)
            for successor in self.successors(one):
                self._waiting[successor] -= 1
                if successor in self._rules:
                    self._good.add(successor)
                if self._waiting[successor] == 0:
                    if self._states[successor] == State.PENDING:
                        self._states[successor] = State.READY
                        ready.append(successor)
                    elif self._states[successor] == State.GROWN:
                        stack.append(successor)

    def _block(self, node: int) -> Effects:
        """A node has ended without a value: end what waits for one, near or far."""
        effects = Effects([], [])
        for successor in self.successors(node):
            self._lost(node, successor, effects)
        return effects

    def _lost(self, source: int, successor: int, effects: Effects) -> None:
        """A node has lost a predecessor; it ends too, or counts one less to wait for."""
        stack = [(source, successor)]
        while stack:
            before, node = stack.pop()
            # Whatever its state: one that was given out behind another may have been lost
            # together with it, and wait for its next attempt.
            if self._states[node] >= State.SUCCEEDED:
                continue
            rule = self._rules.get(node)
            if rule is not None:
                self._waiting[node] -= 1
                if self._waiting[node]:
                    continue
                if rule == When.ALWAYS or node in self._good:
                    self._nothing_left(node, effects.ready)
                    continue
            skipped = self._states[before] == State.SKIPPED
            self._states[node] = State.SKIPPED if skipped else State.UPSTREAM_FAILED
            self._unended -= 1
            effects.blocked.append(node)
            stack += [(node, successor) for successor in self.successors(node)]

    def _edges(self) -> tuple[array[int], array[int]]:
        sources, targets = array("i"), array("i")
        for node in range(len(self._states)):
            found = self.successors(node)
            targets.extend(found)
            sources.extend([node] * len(found))
        return sources, targets
