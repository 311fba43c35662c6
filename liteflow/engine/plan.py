"""A DAG as the driver uses it: nodes as numbers, arguments as what an executor takes.

Made once a run, before anything starts: so what can't travel to a worker is told before
anything has run.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from liteflow import pickling
from liteflow.dag import ATOMS, Dag, Hole, Node
from liteflow.errors import NotPicklableError, TaskNotPicklableError
from liteflow.executor.attempt import Function, WireArgument
from liteflow.executor.base import Call
from liteflow.pickling import Packed
from liteflow.task import Policy, Task
from liteflow.xcom import LARGE

# Node numbers and heights share one integer in a ready queue, and node and run one row id.
MOST_NODES = 2**31


class Plan:
    """The vectors of a DAG.

    Args:
        dag: The graph.
        executor: The executor of tasks that name none.

    Attributes:
        tasks: The distinct tasks; `task_of[node]` is a number in it.
        functions: What executors need of each of them.
        lanes: The executors in use; `lane_of[node]` is a number in it.
        constants: Large argument values; source -1 is the first, -2 the second, ...
    """

    def __init__(self, dag: Dag, executor: str) -> None:
        self.dag = dag
        self.tasks: list[Task[..., Any]] = []
        self.functions: list[Function] = []
        self.lanes: list[str] = []
        self.constants: list[bytes] = []
        self.task_of = array("i")
        self.lane_of = bytearray()
        self._constant_numbers: dict[int, int] = {}
        self._pickled: dict[int, bytes] = {}
        self._places: dict[int, WireArgument] = {}
        # What waits for what, and how many calls still wait for each.
        self._offsets = array("q", [0])
        self._sources = array("i")
        self._inputs: list[str | None] = []
        self._constants: list[str | None] = []
        self.uses = array("i", bytes(4 * len(dag.nodes)))
        numbers: dict[int, tuple[int, int]] = {}
        for node in dag.nodes:
            known = numbers.get(id(node.task))
            if known is None:
                known = numbers[id(node.task)] = self._add(node.task, executor)
            self.task_of.append(known[0])
            self.lane_of.append(known[1])
            self._wire_up(node)

    def _wire_up(self, node: Node) -> None:
        """Note what a node waits for, and write it as JSON: parameter -> nodes, "" for order alone."""
        positional = node.task.signature.positional
        if not node.kwargs and not node.after and len(node.args) <= len(positional):
            # Most calls are like this, and the general way takes three times as long.
            text, constants, sources = "", "", []
            for name, argument in zip(positional, node.args, strict=False):
                if type(argument) is Hole and not argument.path:
                    sources.append(argument.source)
                    text += f',"{name}":[{argument.source}]'
                elif type(argument) is int:
                    constants += f"{name}={argument} "
                elif type(argument) in ATOMS:
                    constants += f"{name}={constant_text(argument)} "
                else:
                    break
            else:
                if len(sources) < 2 or len(set(sources)) == len(sources):
                    for source in sources:
                        self.uses[source] += 1
                    self._sources.extend(sources)
                    self._inputs.append(f"{{{text[1:]}}}" if text else None)
                    self._constants.append(constants or None)
                    self._offsets.append(len(self._sources))
                    return
        self._wire_up_any(node)

    def _wire_up_any(self, node: Node) -> None:
        feeds: dict[str, list[int]] = {}
        constants = ""
        for name, argument in node.arguments():
            if type(argument) not in ATOMS:
                _feed(feeds, name, argument)
            if (text := constant_text(argument)) is not None:
                constants += f"{name}={text} "
        if node.after:
            feeds[""] = list(node.after)
        if feeds:
            # Without this a value that goes to one call twice would be counted twice.
            before = dict.fromkeys([s for sources in feeds.values() for s in sources])
            for source in before:
                self.uses[source] += 1
            self._sources.extend(before)
            self._inputs.append(_as_json(feeds))
        else:
            self._inputs.append(None)
        self._constants.append(constants or None)
        self._offsets.append(len(self._sources))

    def _add(self, task: Task[..., Any], executor: str) -> tuple[int, int]:
        lane = task.policy.executor or executor
        if lane not in self.lanes:
            self.lanes.append(lane)
        self.tasks.append(task)
        returns = task.signature.returns
        function = Function(task.fn, task.name, returns, task.is_async, task.policy.retry_on)
        self.functions.append(function)
        return len(self.tasks) - 1, self.lanes.index(lane)

    def __len__(self) -> int:
        return len(self.dag.nodes)

    def key(self, node: int) -> str:
        """What a node is called in its run."""
        return self.dag.nodes[node].key

    def before(self, node: int) -> Sequence[int]:
        """The nodes that a node waits for."""
        return self._sources[self._offsets[node] : self._offsets[node + 1]]

    def predecessors(self) -> Iterator[Sequence[int]]:
        """The same of all nodes, in order: what a Schedule is made of."""
        return (self.before(node) for node in range(len(self)))

    def instances(self, base: int) -> Iterator[tuple[int, str, int, int | None, str | None, str | None]]:
        """What the journal writes down of each node, once: (row, key, task, parent, inputs, constants)."""
        inputs, self._inputs = self._inputs, []
        constants, self._constants = self._constants, []
        for node, fed, fixed in zip(self.dag.nodes, inputs, constants, strict=True):
            yield base + node.index, node.key, self.task_of[node.index], None, fed, fixed

    def policy(self, node: int) -> Policy:
        """How a node's task is to be run."""
        return self.tasks[self.task_of[node]].policy

    def function_bytes(self, number: int) -> bytes:
        """A function for a worker process.

        Raises:
            TaskNotPicklableError: It holds something that can't travel.
        """
        known = self._pickled.get(number)
        if known is None:
            function = self.functions[number]
            try:
                known = pickling.dumps(tuple(function), self.dag.definitions).data
            except NotPicklableError as error:
                raise TaskNotPicklableError(function.name, error.path, error.culprit, error.why) from error
            self._pickled[number] = known
        return known

    def prepare(self, lane: str) -> None:
        """Pickle the functions that go to processes, so that one that can't be is told first."""
        number = self.lanes.index(lane)
        for task in {t for t, n in zip(self.task_of, self.lane_of, strict=True) if n == number}:
            self.function_bytes(task)

    def call(self, number: int, attempt: int, behind: int = -1) -> Call:
        """An attempt at a node, as an executor takes it; `behind` as there."""
        node = self.dag.nodes[number]
        args = tuple([a if type(a) in ATOMS else self._wire(a) for a in node.args])
        kwargs = None
        if node.kwargs:
            kwargs = {k: a if type(a) in ATOMS else self._wire(a) for k, a in node.kwargs.items()}
        sources = node.inputs if node.after else tuple(self.before(number))
        if self.constants:
            sources = (*sources, *self._constants_in(node))
        function = self.task_of[number]
        timeout = self.tasks[function].policy.timeout
        return Call(number, attempt, function, args, kwargs, behind, sources, timeout)

    def _wire(self, argument: Any) -> WireArgument:
        if type(argument) is Hole:
            # All that get one value have one Hole.
            known = self._places.get(id(argument))
            if known is None:
                known = self._places[id(argument)] = self._place(argument)
            return known
        assert type(argument) is Packed
        constant = self._constant(argument)
        if constant is not None:
            return (constant, ())
        return (argument.data, tuple([self._place(hole) for hole in argument.holes]))

    def _place(self, hole: Hole) -> WireArgument:
        source, path = hole
        if not path:
            return (source, ())
        if all(type(key) in ATOMS for key in path):
            return (source, tuple(path))
        return (source, pickling.dumps(path, self.dag.definitions).data, 0)

    def _constant(self, packed: Packed) -> int | None:
        """The source number of a large argument value without holes, which goes by reference."""
        if packed.holes or len(packed.data) <= LARGE:
            return None
        number = self._constant_numbers.get(id(packed.data))
        if number is None:
            self.constants.append(packed.data)
            number = self._constant_numbers[id(packed.data)] = -len(self.constants)
        return number

    def _constants_in(self, node: Node) -> Iterable[int]:
        packed = (a for a in (*node.args, *node.kwargs.values()) if type(a) is Packed)
        return [n for p in packed if (n := self._constant(p)) is not None]


def constant_text(argument: Any) -> str | None:
    """What of an argument is fixed before the run, as a short text; None: nothing is.

    Equal arguments have equal texts, in every process.

    >>> constant_text(2.5), constant_text(Hole(3)), constant_text(Hole(3, (0,)))
    ('2.5', None, '@(0,)')
    """
    kind = type(argument)
    if kind is str or kind is bytes:
        # A digest: a password is not to be read in the store.
        return blake2b(repr(argument).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
    if kind is Hole:
        return f"@{argument.path!r}".replace(" ", "") if argument.path else None
    if kind is Packed:
        paths = "".join([f"@{hole.path!r}".replace(" ", "") for hole in argument.holes if hole.path])
        return f"#{argument.digest.hex()}{paths}"
    return repr(argument)


def _feed(feeds: dict[str, list[int]], name: str, argument: Any) -> None:
    if type(argument) is Hole:
        sources = [argument.source]
    else:
        sources = list(dict.fromkeys([hole.source for hole in argument.holes]))
        if not sources:
            return
    known = feeds.get(name)
    feeds[name] = sources if known is None else list(dict.fromkeys(known + sources))


def _as_json(feeds: Mapping[str, Sequence[int]]) -> str:
    # Parameter names are identifiers, and lists of ints are written as Python writes them.
    return "{" + ",".join([f'"{name}":{sources}' for name, sources in feeds.items()]) + "}"
