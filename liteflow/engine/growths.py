"""A run gains nodes: schedule, plan, lanes and journal learn of them in one step.

an attempt returned calls --+
a mapped call is ready -----+--> Growths --> new nodes, what is ready of them, rows
a grown call is complete ---+
"""

from __future__ import annotations

import marshal
import time
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any

from liteflow.engine.plan import Plan
from liteflow.engine.recorder import Recorder
from liteflow.engine.schedule import Schedule
from liteflow.executor.base import NODE, Finished
from liteflow.signing import Seal
from liteflow.store.journal import Row
from liteflow.wiring import Nodes, is_alias, items_text

if TYPE_CHECKING:
    # Start-up: most runs gain nothing.
    from liteflow.engine.regrowth import Regrown
    from liteflow.engine.spans import Grown

# Rows of new nodes are written so many at a time, so that a million of them are never all in memory.
_ROWS = 20_000
_NOTHING = sha256(b"").digest()

PARTS = "parts"
"""The codec of a value that is made of others'."""

Facts = tuple[str, str, int]
"""Of a value: its type, preview and size."""


class Growths:
    """What a run has gained, and what is still to come of it.

    Args:
        plan: The nodes.
        schedule: Their states.
        recorder: Writes them down.
        seal: Makes the checks of what is written.
        now: Microseconds since the run began.

    Attributes:
        awaited: The nodes whose value is another's value too.
    """

    def __init__(
        self, plan: Plan, schedule: Schedule, recorder: Recorder, seal: Seal, now: Callable[[], int]
    ) -> None:
        self._plan = plan
        self._schedule = schedule
        self._recorder = recorder
        self._seal = seal
        self._now = now
        self._tasks_written = len(plan.tasks)
        # What the attempt of a call that goes on as others has told of it.
        self._begun: dict[int, tuple[Any, ...]] = {}
        self.awaited: set[int] = set()
        # What is known of such values.
        self._facts: dict[int, Facts] = {}
        # Nodes that had grown and were complete before this driver.
        self._written: set[int] = set()
        # Maps over the result of a map that has not grown yet.
        self._gates: dict[int, list[int]] = {}
        # Of maps that bound how many run: how many more may, and who waits.
        self._room: dict[int, int] = {}
        self._queues: dict[int, deque[int]] = {}

    # --- growing ---------------------------------------------------------------------------

    def learn(self, done: Finished, payload: bytes) -> Grown:
        """An attempt has returned calls, or the items of a map.

        Raises:
            LiteflowError: They can't be gone on with, as of `grown_of`.
        """
        from liteflow.engine.regrowth import grown_of  # noqa: PLC0415  start-up: most runs gain nothing

        node = done[0] & NODE
        grown = self._note_alias(grown_of(self._plan, node, payload))
        self.begun(grown, tuple(done[1:13]), payload)
        return grown

    def begun(self, grown: Grown, facts: tuple[Any, ...], payload: bytes) -> None:
        """A node has its value by others; `facts` are as in a Finished from its attempt on."""
        node = grown.parent
        blob = marshal.dumps((facts, payload), 4)
        self._begun[node] = facts
        journal = self._recorder.journal
        journal.growth([(journal.base + node, self._seal.growth(node, blob), blob)])

    def has_row(self, node: int) -> None:
        """A node that had grown has its row already."""
        self._written.add(node)

    def take_up(self, found: Regrown, told: Facts | None) -> None:
        """The same of a run that goes on; `told` is what is known of the value, if it is complete."""
        node = found.grown.parent
        if found.facts is not None:
            self._begun[node] = found.facts
        self._note_alias(found.grown)
        if told is not None:
            self._written.add(node)
            self._facts[node] = told
        self._tasks_written = len(self._plan.tasks)

    def gate_of(self, node: int) -> int | None:
        """The map that a mapped call is over which has not grown yet, if there is one."""
        facts = self._plan.maps[node]
        for wire in [facts.list_in(place) for place in facts.spread]:
            if self._plan.is_map_result(wire) and wire[0] not in self._plan.parts:
                return int(wire[0])
        return None

    def wait_at(self, gate: int, node: int) -> None:
        """A mapped call waits for another to grow: `opened_by` will give it."""
        self._gates.setdefault(gate, []).append(node)

    def expand(self, node: int) -> Grown:
        """A mapped call is ready, and all it is mapped over is known: grow it.

        Raises:
            MapLengthError, GrownTooDeepError: As `grown_of`.
        """
        from liteflow.engine.growing import grow_items  # noqa: PLC0415  as in `learn`

        return grow_items(self._plan, node, ())

    def waits_for_split(self, node: int) -> bool:
        """Whether an attempt has to take apart what a mapped call is over."""
        facts = self._plan.maps[node]
        return any(self._plan.must_be_split(facts.list_in(place)) for place in facts.spread)

    def opened_by(self, node: int) -> list[int]:
        """The maps that have waited for this node to grow; or for it to fail."""
        return self._gates.pop(node, [])

    def write(self, grown: Grown) -> None:
        """Write down the new nodes."""
        from liteflow.engine.growing import instances  # noqa: PLC0415  as in `learn`

        plan, journal = self._plan, self._recorder.journal
        known = len(plan.tasks)
        if known > self._tasks_written:
            journal.tasks([plan.task_row(number) for number in range(self._tasks_written, known)])
            self._tasks_written = known
        rows = instances(plan, grown)
        while batch := list(islice(rows, _ROWS)):
            journal.instances(batch)
            self._recorder.touch()
            if len(batch) == _ROWS:
                self._recorder.commit()

    def _note_alias(self, grown: Grown) -> Grown:
        if is_alias(grown.result):
            self.awaited.add(grown.result[0])
        return grown

    # --- bounded maps ----------------------------------------------------------------------

    def may_run(self, node: int) -> bool:
        """Whether a node that is ready may run now; if not, it is kept until there is room."""
        parent = self._plan.bounded_by(node)
        if parent is None:
            return True
        limit = self._plan.maps[parent].max_active
        assert limit is not None
        room = self._room.get(parent, limit)
        if not room:
            self._queues.setdefault(parent, deque()).append(node)
            return False
        self._room[parent] = room - 1
        return True

    def ended(self, node: int) -> int | None:
        """A node runs no more; give the one that may run in its place."""
        parent = self._plan.bounded_by(node)
        if parent is None:
            return None
        self._room[parent] += 1
        queue = self._queues.get(parent)
        if not queue:
            return None
        self._room[parent] -= 1
        return queue.popleft()

    # --- completing ------------------------------------------------------------------------

    def note(self, node: int, done: Sequence[Any]) -> None:
        """A node has given its value, which is another's too: so is what is told of it."""
        self._facts[node] = done[5], done[10], done[7]

    def row_of(self, node: int, first_row: int) -> Row | None:
        """The row of a node that had grown and is complete; None if it is written down already."""
        if node in self._written:
            return None
        begun = self._begun.pop(node, None)
        wire = self._plan.parts[node]
        facts = self._told_of(node, wire, begun)
        if node in self.awaited:
            self._facts[node] = facts
        type_, preview, size = facts
        attempt, started, worker = (begun[0], begun[1], begun[3]) if begun else (1, self._now(), "driver")
        times = (attempt, started, max(0, self._now() - started), worker)
        return (first_row + node, *times, type_, PARTS, size, _NOTHING, None, preview, 0, 0, b"")

    def _told_of(self, node: int, wire: Any, begun: tuple[Any, ...] | None) -> Facts:
        if isinstance(wire, Nodes):
            lacking = self._plan.lacking
            if lacking and self._plan.maps[node].on_error == "skip":
                # By that number it is known later that the others were left out.
                return "list", items_text(sum(1 for one in wire.numbers if one not in lacking)), 0
            return "list", items_text(len(wire)), 0
        if type(wire) is tuple and type(wire[0]) is int and wire[0] in self._facts:
            return self._facts.pop(wire[0])
        if begun is None or node in self._plan.maps:
            return "list", items_text(len(wire)), 0
        return str(begun[4]), str(begun[9]), 0


def micros_since(epoch_ns: int) -> int:
    """Microseconds since a monotonic time."""
    return (time.monotonic_ns() - epoch_ns) // 1000
