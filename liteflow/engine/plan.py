"""The nodes of a run as the driver uses them: numbers, vectors, and arguments as an executor takes them.

    Dag --Plan--> nodes 0, 1, 2, ... --grow--> more behind them

Made once a run, before anything starts: so what can't travel to a worker is told before
anything has run.  What the run gains while it goes on lies in spans behind the nodes of the Dag.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from liteflow import errors
from liteflow.control import Control, control_of
from liteflow.dag import ATOMS, Dag, Hole, Node
from liteflow.engine.planned import ControlFacts, MapFacts, Places, RunTasks
from liteflow.engine.states import When
from liteflow.executor.base import Call
from liteflow.function import Function
from liteflow.growth import split_items, spread, spread_names
from liteflow.policy import Policy
from liteflow.where import Where
from liteflow.wiring import (
    Nodes,
    WireArgument,
    Wiring,
    constant_text,
    constants_text,
    feeds_of,
    feeds_text,
    is_alias,
    shifted,
    sources_in,
)

if TYPE_CHECKING:
    from liteflow.engine.machine import Machine
    from liteflow.engine.spans import InstanceRow, Span
    from liteflow.growth import WireNode

MOST_NESTED = 100
"""So many lists, or the like, of returned calls are within each other at most: pickle, and whatever else goes
through a value by recursion, ends not far beyond it."""
# Node numbers and heights share one integer in a ready queue, and node and run one row id.
MOST_NODES = 2**31
_RULES = {"all": When.ALL, "any": When.ANY, "always": When.ALWAYS}


class Plan(RunTasks):
    """The vectors of a run.

    Args:
        dag: The graph.
        executor: The executor of tasks that name none.
        machine: Gives what the machine has that it will run on; None: it won't run.

    Attributes:
        task_of: For each node the number of its task, by which RunTasks knows it.
        lane_of: For each node the number of its lane.
        uses: For each node the number of nodes that have not ended and need its value.
        rules: What the nodes wait for that do not wait for all.
        maps: The mapped calls among the nodes.
        controls: The controlled ones.
        parts: The values that are made of other nodes' values: of nodes that have grown.
        lacking: The nodes that have ended without a value, as pickles of their Failure.
        bounded: The mapped calls of which not all items may run at once.
        gone: Numbers that stand for calls which the flow had once.
        routes: Of the tasks that may run next, by name: the number and the lane.
    """

    def __init__(self, dag: Dag, executor: Where, machine: Callable[[], Machine] | None = None) -> None:
        super().__init__(dag.definitions, Places(executor, machine))
        self.dag = dag
        self.task_of = array("i")
        self.lane_of = bytearray()
        self.rules: dict[int, When] = {}
        self.maps: dict[int, MapFacts] = {}
        self.controls: dict[int, ControlFacts] = {}
        self.parts: dict[int, WireArgument] = {}
        self.lacking: dict[int, bytes] = {}
        self.bounded: set[int] = set()
        self.gone: set[int] = set()
        self._wiring = Wiring(dag.definitions)
        # What waits for what, and how many calls still wait for each.
        self._offsets = array("q", [0])
        self._sources = array("i")
        self._inputs: list[str | None] = []
        self._constants: list[str | None] = []
        self.uses = array("i", bytes(4 * len(dag.nodes)))
        # What has grown, by the first node of each.
        self._spans: list[Span] = []
        self._firsts: list[int] = []
        self._counts: dict[tuple[str, str], int] = {}
        self._split: int | None = None
        self._held_by: dict[int, Sequence[int]] = {}
        self._nested: dict[int, int] = {}
        self._static = dag.nodes
        numbers: dict[tuple[int, bool], tuple[int, int, Sequence[str]]] = {}
        numbers_of_calls: dict[int, tuple[int, int, Sequence[str]]] = {}
        task_of, lane_of, wire_up = self.task_of.append, self.lane_of.append, self._wire_up
        for node in dag.nodes:
            known = numbers_of_calls.get(id(node.task)) if node.map is None else None
            if known is None:
                star = node.map is not None and node.map.star
                known = numbers.get((id(node.task), star))
                if known is None:
                    known = numbers[id(node.task), star] = self.add(node.task, star, node.map is not None)
                if node.map is None:
                    numbers_of_calls[id(node.task)] = known
            task_of(known[0])
            lane_of(known[1])
            wire_up(node, known[2])
        self.routes = {
            name: (numbers.get((id(task), False)) or self.add(task, False, False))[:2]
            for name, task in dag.routes.items()
        }
        if any(isinstance(function.fn, Control) for function in self.functions):
            for node in dag.nodes:
                control = control_of(node.task)
                if control is not None:
                    self._plan_control(node, control)

    def _plan_control(self, node: Node, control: Control) -> None:
        args = tuple(map(self._wiring.argument, node.args))
        self.controls[node.index] = ControlFacts(
            control, args, tuple([self.add(task, False, False)[:2] for task in control.tasks])
        )

    def _wire_up(self, node: Node, positional: Sequence[str]) -> None:
        """Note what a node waits for, and write it as JSON: parameter -> nodes, "" for order alone."""
        if not node.kwargs and not node.after and len(node.args) <= len(positional):
            # Most calls are like this, and the general way takes three times as long.
            text = constants = ""
            sources: list[int] = []
            for name, argument in zip(positional, node.args):  # noqa: B905  those that are given; quicker
                kind = type(argument)
                if kind is int:
                    try:
                        constants += f" {name}={argument}"
                    except ValueError:  # Python writes no number of more than 4300 digits
                        constants += f" {name}={constant_text(argument)}"
                elif type(argument) is Hole and not argument.path:
                    source = argument.source
                    sources.append(source)
                    text += f',"{name}":[{source}]'
                elif kind in ATOMS:
                    constants += f" {name}={constant_text(argument)}"
                else:
                    break
            else:
                if len(sources) < 2 or len(set(sources)) == len(sources):
                    for source in sources:
                        self.uses[source] += 1
                        self._sources.append(source)
                    self._offsets.append(len(self._sources))
                    self._inputs.append(f"{{{text[1:]}}}" if text else None)
                    self._constants.append(constants[1:] or None)
                    return
        self._wire_up_any(node)

    def _wire_up_any(self, node: Node) -> None:
        feeds = feeds_of(node)
        self._inputs.append(feeds_text(feeds))
        self._constants.append(constants_text(node))
        # Without this a value that goes to one call twice would be counted twice.
        before = list(dict.fromkeys([s for sources in feeds.values() for s in sources]))
        if rule := _RULES[node.task.policy.when]:
            self.rules[node.index] = rule
        if node.map is None:
            self._wait_for(before)
            return
        args = tuple(map(self._wiring.argument, node.args))
        kwargs = {name: self._wiring.argument(a) for name, a in node.kwargs.items()}
        facts = (node.map.max_active, node.map.on_error, spread_names(node))
        self._wait_for(
            self._plan_map(node.index, facts, args=args, kwargs=kwargs, spread=spread(node), feeds=feeds)
        )
        self.hold(node.index)

    def _wait_for(self, sources: Sequence[int]) -> None:
        for source in sources:
            self.uses[source] += 1
        self._sources.extend(sources)
        self._offsets.append(len(self._sources))

    def _plan_map(
        self,
        node: int,
        facts: tuple[int | None, str, tuple[str, ...]],
        *,
        args: tuple[WireArgument, ...],
        kwargs: Mapping[str, WireArgument],
        spread: tuple[int | str, ...],
        feeds: Mapping[str, Sequence[int]],
    ) -> list[int]:
        """A mapped call waits for the lists that its items are in, and each item for what it gets."""
        lists = [args[place] if isinstance(place, int) else kwargs[place] for place in spread]
        waits = {s for wire in lists if self.must_be_split(wire) for s in sources_in(wire)}
        waits |= set(feeds.get("", ()))
        rest = [a for i, a in enumerate(args) if i not in spread]
        rest += [a for name, a in kwargs.items() if name not in spread]
        max_active, on_error, names = facts
        self.maps[node] = MapFacts(
            max_active,
            on_error,
            args,
            kwargs,
            spread,
            names,
            tuple(sorted({s for wire in rest for s in sources_in(wire) if s >= 0})),
            tuple({s for wire in (*lists, *rest) for s in sources_in(wire) if s >= 0} - waits),
            feeds,
        )
        if max_active is not None:
            self.bounded.add(node)
        return sorted(waits)

    def hold(self, node: int) -> None:
        """Let what the items of a mapped call will take stay until they are there."""
        for source in self.maps[node].held:
            self.uses[source] += 1

    def plan_grown_map(self, first: int, offset: int, wire: WireNode) -> list[int]:
        """The same for a mapped call that has grown."""
        assert wire.map is not None
        args = tuple([shifted(a, first) for a in wire.args])
        kwargs = {name: shifted(a, first) for name, a in (wire.kwargs or {}).items()}
        feeds = {name: [s + first for s in fed] for name, fed in wire.feeds.items()}
        return self._plan_map(
            first + offset, wire.map, args=args, kwargs=kwargs, spread=wire.spread, feeds=feeds
        )

    @property
    def final(self) -> list[int]:
        """The nodes of the Dag that no other one waits for."""
        needed = bytearray(len(self.dag.nodes))
        for facts in self.maps.values():
            for sources in facts.feeds.values():
                for source in sources:
                    needed[source] = 1
        return [n for n in range(len(self.dag.nodes)) if not self.uses[n] and not needed[n]]

    @property
    def constants(self) -> Sequence[bytes]:
        """Large argument values; source -1 is the first, -2 the second, ..."""
        return self._wiring.constants

    def __len__(self) -> int:
        return len(self.task_of)

    # --- what is known of a node -----------------------------------------------------------

    def key(self, node: int) -> str:
        """What a node is called in its run."""
        if node < len(self.dag.nodes):
            return self.dag.nodes[node].key
        return self.span(node).key(node)

    def keys(self) -> list[str]:
        """What all nodes are called, in order."""
        return [self.key(node) for node in range(len(self))]

    def before(self, node: int) -> Sequence[int]:
        """The nodes that a node waits for."""
        return self._sources[self._offsets[node] : self._offsets[node + 1]]

    def taken_by(self, node: int) -> Sequence[int]:
        """The nodes whose values a node needs until it has ended or grown."""
        facts = self.maps.get(node)
        return self.before(node) if facts is None else (*self.before(node), *facts.held)

    def taking(self, nodes: Iterable[int]) -> list[int]:
        """Those of some nodes of which `taken_by` gives any."""
        offsets, maps = self._offsets, self.maps
        return [node for node in nodes if offsets[node] != offsets[node + 1] or node in maps]

    def predecessors(self) -> Iterator[Sequence[int]]:
        """The same of all nodes, in order: what a Schedule is made of."""
        return (self.before(node) for node in range(len(self)))

    def instances(self) -> Iterator[InstanceRow]:
        """What the journal writes down of each node of the Dag, once."""
        inputs, self._inputs = self._inputs, []
        constants, self._constants = self._constants, []
        keys = [node.key for node in self.dag.nodes]
        # Rows that no Python makes one by one.
        return zip(range(len(keys)), keys, self.task_of, repeat(None), inputs, constants)

    def policy(self, node: int) -> Policy:
        """How a node's task is to be run."""
        return self.tasks[self.task_of[node]].policy

    def span(self, node: int) -> Span:
        """What a node behind those of the Dag is in."""
        return self._spans[bisect_right(self._firsts, node) - 1]

    def prepare(self, number: int) -> None:
        """Pickle the functions of a lane, so that one that can't travel is told first."""
        own = {self.task_of[node] for node in self.controls}
        used = {t for t, n in zip(self.task_of, self.lane_of, strict=True) if n == number} - own
        used |= {t for t, n in self.routes.values() if n == number}
        used |= {t for facts in self.controls.values() for t, n in facts.tasks if n == number}
        for task in sorted(used):
            self.function_bytes(task)

    # --- calls -----------------------------------------------------------------------------

    def call(self, number: int, attempt: int, behind: int = -1) -> Call:
        """An attempt at a node, as an executor takes it; `behind` as there."""
        function = self.task_of[number]
        if number in self.maps:
            return self._split_call(number, attempt, behind)
        first, end = self._offsets[number], self._offsets[number + 1]
        sources = tuple(self._sources[first:end]) if first < end else ()
        if number < len(self._static):
            node = self._static[number]
            wire = self._wiring.argument
            places = self._wiring.places
            args = tuple([a if type(a) in ATOMS else places.get(id(a)) or wire(a) for a in node.args])
            kwargs = {k: wire(a) for k, a in node.kwargs.items()} if node.kwargs else None
            if node.after:
                sources = node.inputs
            if self._wiring.constants:
                sources = (*sources, *self._wiring.constants_in(node))
        else:
            args, kwargs = self.span(number).arguments(number)
        # The items of a map are often numbers, which are made of nothing.
        if (self.parts or self.lacking or self.controls) and (
            kwargs or not ATOMS.issuperset(map(type, args))
        ):
            args = tuple(map(self.settled, args))
            kwargs = kwargs and {name: self.settled(a) for name, a in kwargs.items()}
            sources = tuple({s for a in (*args, *(kwargs or {}).values()) for s in sources_in(a)})
        timeout = self.tasks[function].policy.timeout
        return Call(number, attempt, function, args, kwargs, behind, sources, timeout)

    def settled(self, wire: WireArgument) -> WireArgument:  # noqa: PLR0911  a case each
        """A wire argument in which values that are made of others are taken apart."""
        if type(wire) is list:
            return [self.settled(one) for one in wire]
        if type(wire) is not tuple:
            return wire
        first, *rest = wire
        if type(first) is bytes:
            return (first, tuple(map(self.settled, rest[0])))
        if type(first) is not int:
            return (self.settled(first), *rest)
        if first in self.lacking:
            return (self.lacking[first], ())
        if first not in self.parts:
            return wire
        found = self._part(first)
        return found if rest == [()] else (found, *rest)

    def _part(self, node: int) -> WireArgument:
        """The value of a node that is made of others', taken apart to the last."""
        # Calls that have returned calls that have returned calls, ...: without recursion.
        chain = []
        wire: WireArgument = (node, ())
        while type(wire) is tuple and len(wire) == 2 and wire[1] == () and wire[0] in self.parts:
            chain.append(wire[0])
            wire = self.parts[wire[0]]
        if isinstance(wire, Nodes) and not self.lacking and self.parts.keys().isdisjoint(wire.numbers):
            # Of a map's items, which are many, none is made of others, and all have a value.
            wire = list(wire)
        elif type(wire) is list or isinstance(wire, Nodes):
            dropped = chain and chain[-1] in self.maps and self.maps[chain[-1]].on_error == "skip"
            wire = [self.settled(one) for one in wire if not (dropped and one[0] in self.lacking)]
        else:
            wire = self.settled(wire)
        for one in chain:
            self.parts[one] = wire
        return wire

    def _split_call(self, number: int, attempt: int, behind: int) -> Call:
        """An attempt to take apart the lists that a map is over, where a task has made them."""
        facts = self.maps[number]
        owner = f"{self.key(number)}()"
        args = tuple(
            [owner, name, self.settled(facts.list_in(place))]
            for name, place in zip(facts.names, facts.spread, strict=True)
            if self.must_be_split(facts.list_in(place))
        )
        sources = tuple({s for a in args for s in sources_in(a)})
        if self._split is None:
            self.functions.append(Function(split_items, "split", Any, False, (Exception,)))
            self._split = len(self.functions) - 1
        return Call(number, attempt, self._split, args, None, behind, sources, None)

    def parts_of(self, node: int) -> Sequence[int]:
        """The nodes that a node's value is made of, if it has grown."""
        return self._held_by.pop(node, ())

    def must_be_split(self, wire: WireArgument) -> bool:
        """Whether the items of a list are to be seen only where values are read."""
        return type(wire) is not list and not self.is_map_result(wire)

    def is_map_result(self, wire: WireArgument) -> bool:
        """Whether a list is a map's result, each item of which can be used before the others are there."""
        if type(wire) is not tuple or wire[1:] != ((),):
            return False
        facts = self.maps.get(wire[0])
        return facts is not None and facts.on_error == "raise"

    def nesting(self, node: int) -> int:
        """Within how many lists or the like, which calls have returned, the value of a node is."""
        if node < len(self.dag.nodes):
            return 0
        span = self.span(node)
        return self._nested.get(span.parent, 0) + 1 if span.of_map else self._nested.get(node, 0)

    def check_nesting(self, node: int) -> None:
        """Look whether a node can go on as calls whose values will be parts of its own.

        Raises:
            GrownTooDeepError: It is within too many lists already.
        """
        if self.nesting(node) >= MOST_NESTED:
            raise errors.GrownTooDeepError(self.key(node), MOST_NESTED)

    # --- what it gains ---------------------------------------------------------------------

    def made_of(self, node: int, result: WireArgument, parts: Sequence[int]) -> None:
        """A node that has grown has its value by others."""
        self.parts[node] = result
        self._held_by[node] = parts
        # The items of a map need no numbers: there may be a million.
        depth = 0 if isinstance(result, Nodes) else self.nesting(node) + (not is_alias(result))
        if depth:
            self._nested.update(dict.fromkeys(parts, depth))
        for part in parts:
            self.uses[part] += 1

    def extend(
        self, span: Span, tasks: Sequence[int], lanes: bytes, predecessors: Sequence[Sequence[int]]
    ) -> None:
        """Number new nodes behind the last one."""
        if len(self) + len(tasks) > MOST_NODES:
            raise errors.RunTooLargeError(MOST_NODES)
        self._spans.append(span)
        self._firsts.append(len(self))
        self.task_of.extend(tasks)
        self.lane_of.extend(lanes)
        self.uses.extend(array("i", bytes(4 * len(tasks))))
        if not any(predecessors):
            # The items of a list that is there: a million, perhaps.
            self._offsets.extend(array("q", [len(self._sources)]) * len(predecessors))
            return
        for sources in predecessors:
            self._wait_for(sources)

    def bounded_by(self, node: int) -> int | None:
        """The mapped call that bounds how many of its items run at once, if this is one of them."""
        if not self.bounded or node < len(self.dag.nodes):
            return None
        parent = self.span(node).parent
        return parent if parent in self.bounded and self.span(node).of_map else None

    def controlled_by(self, node: int) -> int | None:
        """The controlled call that this node was made for, if it is one of its calls."""
        if not self.controls or node < len(self.dag.nodes):
            return None
        span = self.span(node)
        return span.parent if span.of_control else None

    def hold_all(self, nodes: Iterable[int]) -> None:
        """The values of these nodes may be needed for what nobody knows yet."""
        for node in nodes:
            self.uses[node] += 1

    def collected(self, node: int) -> bool:
        """Whether a node that fails does not make the run fail: it is within a map that collects failures."""
        while node >= len(self.dag.nodes):
            span = self.span(node)
            if span.of_map and self.maps[span.parent].on_error != "raise":
                return True
            node = span.parent
        return False

    def skip(self, count: int) -> None:
        """Leave out numbers that stand for what the flow no longer has."""
        if count:
            # Start-up: most runs are no resumes.
            from liteflow.engine.spans import Gone  # noqa: PLC0415

            self.extend(Gone(len(self)), [0] * count, bytes(count), [()] * count)
            self.gone.update(range(len(self) - count, len(self)))

    def root(self, node: int) -> str:
        """What the calls that grow from a node are named after: keys do not grow with depth."""
        return self.key(node) if node < len(self.dag.nodes) else self.span(node).root(node)

    def number_of(self, root: str, name: str) -> int:
        """How many calls of this name the root has now, with this one."""
        count = self._counts[root, name] = self._counts.get((root, name), 0) + 1
        return count
