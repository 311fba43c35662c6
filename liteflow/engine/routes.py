"""A run whose tasks say what runs next: what they ask for is looked up in the rules, and the run gains it.

    an output, and what runs next --> Routes --rules (routing)--> new nodes, rows
    what was written down, in order --replayed--> the same nodes, and what of it stays

Instance n of the rules is node n of the run.  Each end is written down with its place in the order of ends,
for the rules give the same answers to the same ends in the same order.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from liteflow import pickling
from liteflow.dag import Hole
from liteflow.engine.plan import Plan
from liteflow.engine.routing import Request, Routing, Start
from liteflow.engine.spans import Asked, InstanceRow
from liteflow.executor.base import NODE, Finished
from liteflow.executor.payload import Large, stored_facts
from liteflow.nexts import NEXT, decoded, digest
from liteflow.pickling import Bundle, Definitions, Packed
from liteflow.signing import Seal
from liteflow.wiring import feeds_text
from liteflow.xcom import LARGE

# Marshal's format that all Pythons read from 3.4 on.
_MARSHAL = 4

Bundles = Sequence[tuple[tuple[str, ...], bytes]]


@frozen
class End:
    """How an instance has ended, as it is written down.

    Attributes:
        place: In the order of ends, from 0.
        requests: What it asked for; None: it was skipped.
        bundles: The classes of the script that their inputs need.
    """

    place: int
    requests: tuple[Request, ...] | None
    bundles: Bundles = ()

    def to_bytes(self) -> bytes:
        """As it is written down."""
        plain = None if self.requests is None else tuple(map(tuple, self.requests))
        return marshal.dumps((self.place, plain, tuple(self.bundles)), _MARSHAL)

    @classmethod
    def from_bytes(cls, data: bytes) -> End:
        """The inverse.

        >>> End.from_bytes(End(3, (Request("a"),)).to_bytes()).requests[0].task
        'a'
        """
        place, plain, bundles = marshal.loads(data)
        return cls(place, None if plain is None else tuple([Request(*one) for one in plain]), bundles)


class Routes:
    """What comes next in one run.

    Args:
        plan: The nodes: of the flow's one call, or what was replayed.
        seal: Makes the checks of what is written.
        replayed: How far the run was, if it goes on.
    """

    def __init__(self, plan: Plan, seal: Seal, replayed: Replayed | None) -> None:
        self._plan = plan
        self._seal = seal
        self._ends = 0
        self.routing = first_of(plan)
        self.skipped: Sequence[int] = ()
        if replayed is not None:
            self.routing, self._ends, self.skipped = replayed.routing, replayed.ends, replayed.skipped

    def opened(self, done: Finished) -> tuple[Finished, tuple[Request, ...], Bundles]:
        """Take apart what an attempt gave: its output as any has one, and what it asks for."""
        if done[6] != NEXT:
            return done, (), ()
        data = done[13]
        assert data is not None
        inner, asked, bundles = decoded(data if isinstance(data, bytes) else data.read(0, done[7]))
        facts = stored_facts(inner, self._seal, done[0] & NODE, done[1])
        (payload,) = inner.parts
        held = payload if len(payload) <= LARGE else Large.written((payload,), len(payload))
        return Finished(*done[:5], *facts, held), tuple([Request(*one) for one in asked]), bundles  # type: ignore[arg-type]

    def ended(self, node: int, requests: tuple[Request, ...], bundles: Bundles) -> tuple[End, list[int]]:
        """A node has its output; give what is to be written down, and the new nodes.

        Raises:
            UnknownNameError: It asks for a task that there is not; nothing has changed.
        """
        starts = self.routing.ended(node, requests)
        return self._end(requests, bundles), gain(self._plan, starts, bundles)

    def passed_over(self, node: int) -> tuple[End, list[int]]:
        """A node was skipped; as `ended`."""
        return self._end(None, ()), gain(self._plan, self.routing.skipped(node), ())

    def _end(self, requests: tuple[Request, ...] | None, bundles: Bundles) -> End:
        self._ends += 1
        return End(self._ends - 1, requests, bundles)

    def result(self) -> Packed:
        """The run's result: the output of each task that asked for nothing, by the task's name."""
        return result_of(self.routing.finals)


def first_of(plan: Plan) -> Routing:
    """The rules of a run that begins."""
    (node,) = plan.dag.nodes
    inputs = plan.dag.parameters.get("inputs")
    return Routing(plan.dag.name, plan.routes.keys(), Request(node.task.name, None, digest(inputs or None)))


def result_of(finals: Mapping[str, int]) -> Packed:
    """The dict of these nodes' values.

    >>> result_of({"greet": 0}).holes
    (Hole(source=0, path=()),)
    """
    holes = {name: Hole(node) for name, node in finals.items()}
    return pickling.pack(holes, lambda part: type(part) is Hole, Definitions())


def gain(plan: Plan, starts: Sequence[Start], bundles: Bundles) -> list[int]:
    """Number new nodes; they are ready."""
    for names, data in bundles:
        plan.dag.definitions.add(Bundle(tuple(names), data))
    for start in starts:
        request = start.request
        assert start.number == len(plan)
        number, lane = plan.routes[request.task]
        key = _key(plan, request.task)
        span = Asked(start.number, start.askers, key, request.inputs, request.digest)
        plan.extend(span, [number], bytes([lane]), [()])
    return [start.number for start in starts]


def _key(plan: Plan, task: str) -> str:
    """What an instance is called: task, task-2, ...; never as another task."""
    while True:
        count = plan.number_of("", task)
        key = task if count == 1 else f"{task}-{count}"
        # The first instance of the first task is the flow's one call, which has that key already.
        if (key == task and plan.dag.nodes[0].key != key) or (key != task and key not in plan.routes):
            return key


def instances_of(plan: Plan, nodes: Sequence[int]) -> list[InstanceRow]:
    """What the journal writes down of new nodes."""
    rows: list[InstanceRow] = []
    for node in nodes:
        span = plan.span(node)
        feeds, constants = span.recorded(node)
        rows.append((node, span.key(node), plan.task_of[node], span.parent, feeds_text(feeds), constants))
    return rows


# --- a run that goes on --------------------------------------------------------------------


@frozen
class Known:
    """A task instance as it was recorded; `same`: its code, and what it is given, is what it was."""

    index: int
    parent: int | None
    task: str
    digest: bytes | None
    same: bool
    end: End | None


@define
class Replayed:
    """How far a run was.

    Attributes:
        routing: The rules, after all ends that count.
        ends: How many ends have been written down.
        moved: Recorded index -> node.
        kept: Nodes whose outputs stay, in the order in which they ended.
        again: Nodes that had one, and run again, for their code has changed.
        dropped: Recorded indexes of what comes of those.
        skipped: Nodes that were passed over.
    """

    routing: Routing
    ends: int = 0
    moved: dict[int, int] = field(factory=dict)
    kept: list[int] = field(factory=list)
    again: set[int] = field(factory=set)
    dropped: list[int] = field(factory=list)
    skipped: list[int] = field(factory=list)


def replay(plan: Plan, known: Sequence[Known]) -> Replayed:
    """Let a run gain again what it had.

    Args:
        plan: Of the flow's one call; it gains the others.
        known: What was recorded, by index.

    An instance whose code has changed counts as one that has not ended: what it had asked for is
    gone, and so is what waited for it.
    """
    made = Replayed(first_of(plan), max((one.end.place + 1 for one in known if one.end), default=0))
    waiting: dict[tuple[int | None, str, bytes | None], list[Known]] = {}
    for one in reversed(known):
        waiting.setdefault((one.parent, one.task, one.digest), []).append(one)
    first = known[0]
    waiting[first.parent, first.task, first.digest].pop()
    recorded = {0: first}
    made.moved[first.index] = 0
    ended = [one for one in known if one.end is not None]
    for one in sorted(ended, key=lambda one: one.end.place if one.end else 0):
        node = made.moved.get(one.index)
        if node is None:
            continue
        assert one.end is not None
        if not one.same or any(request.task not in plan.routes for request in one.end.requests or ()):
            made.again.add(node)
            continue
        if one.end.requests is None:
            starts = made.routing.skipped(node)
            made.skipped.append(node)
        else:
            starts = made.routing.ended(node, one.end.requests)
            made.kept.append(node)
        gain(plan, starts, one.end.bundles)
        for start in starts:
            asker = recorded[start.askers[0]].index if start.askers[0] in recorded else -1
            same = waiting.get((asker, start.request.task, start.request.digest))
            if same:
                found = recorded[start.number] = same.pop()
                made.moved[found.index] = start.number
    made.dropped = [one.index for one in known if one.index not in made.moved]
    return made


def finals_of(ends: Mapping[int, bytes], tasks: Mapping[int, str]) -> dict[str, int]:
    """As `Routing.finals`, of a run that has ended.

    Args:
        ends: What was written down of ends, by index.
        tasks: The names of the tasks, by index.
    """
    found = {index: End.from_bytes(data) for index, data in ends.items()}
    finals: dict[str, int] = {}
    for index, end in sorted(found.items(), key=lambda pair: pair[1].place):
        if end.requests is not None and not end.requests:
            finals[tasks[index]] = index
    return dict(sorted(finals.items(), key=lambda pair: pair[1]))
