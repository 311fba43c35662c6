"""A part of a flow: some of its calls, with what the others gave in an earlier run.

    extract --> transform --> load          the flow
    (rows)  --> transform --> load          its part from `transform` on: (rows) is a stored value

A call that is left out but has a value that the part needs stands in the part's graph as itself,
with a task that gives that value: so keys, edges and what is looked up later stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Set
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from attrs import evolve, field, frozen

from liteflow import pickling
from liteflow.control import control_of
from liteflow.dag import ATOMS, Argument, Dag, Hole, Node, Spread
from liteflow.engine.controlled import constant_json
from liteflow.errors import FlowError, UnknownNameError
from liteflow.flow import Flow
from liteflow.function import Earlier
from liteflow.parameters import Parameter
from liteflow.pickling import Packed
from liteflow.policy import Policy
from liteflow.task import Task

if TYPE_CHECKING:
    # Start-up: most flows go on by calls alone.
    from liteflow.arrows.control import ArrowControl
    from liteflow.arrows.part import Chosen, Foreseen, Recorded


@frozen
class Part:
    """What of a flow is to run.

    Attributes:
        keys: Keys of the calls.
        needed: Keys of calls whose earlier values they need.
        wanted: Keys of calls whose values they take if there are any, and a Failure if not.
        inside: Of calls that go on step by step, by key, which of their steps run.
    """

    keys: tuple[str, ...]
    needed: tuple[str, ...]
    wanted: tuple[str, ...]
    inside: Mapping[str, Chosen] = field(factory=dict)


def choose(dag: Dag, only: Collection[str], onwards: Collection[str]) -> Part:
    """Return which calls are to run.

    Args:
        dag: The flow, compiled.
        only: Keys of calls that run, and of steps of those that go on step by step.
        onwards: Keys of such that run with all that depends on them.

    Raises:
        UnknownNameError: There is no such call.

    >>> from liteflow import Flow, task
    >>> @task
    ... def one() -> int: ...
    >>> @task
    ... def two(x: int) -> int: ...
    >>> @task
    ... def three(x: int) -> int: ...
    >>> part = choose(Flow("f", one() >> two() >> three()).compile(), [], ["two"])
    >>> sorted(part.keys), part.needed
    (['three', 'two'], ('one',))
    """
    steps = {key: _step_of(dag, key) for key in (*only, *onwards)}
    chosen = {steps[key][0].index for key in (*only, *onwards)}
    growing = {steps[key][0].index for key in onwards}
    whole = {node.index for node, step in steps.values() if not step}
    for node in dag.nodes:
        if not growing.isdisjoint((*node.inputs, *node.after)):
            growing.add(node.index)
            whole.add(node.index)
    chosen |= growing
    inside = {
        node.key: _chosen(node, steps, only, onwards) for node, _ in steps.values() if node.index not in whole
    }
    sources = {True: set[int](), False: set[int]()}
    for node in (dag.nodes[index] for index in chosen):
        sources[node.task.policy.when == "all"].update(node.inputs)
    needed, wanted = sources[True] - chosen, sources[False] - chosen - sources[True]
    keys = [tuple(dag.nodes[i].key for i in sorted(of)) for of in (chosen, needed, wanted)]
    return Part(keys[0], keys[1], keys[2], inside)


def _step_of(dag: Dag, key: str) -> tuple[Node, str]:
    """The call that a key is of, and the key of the step in it; empty: the call itself is meant.

    The key of a step is that of the call, "/", and what it is called there; the first may be left out
    where no other call has such a step.
    """
    controls = _controls_in(dag)
    if not controls or key in (node.key for node in dag.nodes):
        return dag.node(key), ""
    labels = {root: set(control.flow.labels) for root, control in controls.items()}
    found = [
        (root, step)
        for root in controls
        for step in (key.removeprefix(f"{root}/"), key)
        if _SUFFIX.split(step, maxsplit=1)[0] in labels[root]
    ]
    if not found or len({root for root, _ in found}) > 1:
        # As they were asked for: with the call that they are of, or without.
        steps = [
            f"{root}/{label}" if "/" in key or len(controls) > 1 else label
            for root in controls
            for label in sorted(labels[root])
        ]
        raise UnknownNameError(f"flow {dag.name}", "call", key, [*(node.key for node in dag.nodes), *steps])
    root, step = found[0]
    return dag.node(root), step


def _controls_in(dag: Dag) -> dict[str, ArrowControl]:
    """What decides how calls go on, by their keys."""
    found = {node.key: control_of(node.task) for node in dag.nodes}
    if not any(found.values()):
        return {}
    from liteflow.arrows.control import ArrowControl  # noqa: PLC0415  start-up: most go on by calls alone

    return {key: control for key, control in found.items() if isinstance(control, ArrowControl)}


# What follows a step's name in the key of a task instance: items and rounds.
_SUFFIX = re.compile(r"[\[@]")


def _chosen(
    node: Node, steps: Mapping[str, tuple[Node, str]], only: Collection[str], onwards: Collection[str]
) -> Chosen:
    from liteflow.arrows.part import Chosen  # noqa: PLC0415  start-up: most flows go on by calls alone

    def named(keys: Collection[str]) -> frozenset[str]:
        return frozenset(step for of, step in map(steps.__getitem__, keys) if of is node)

    return Chosen(named(only), named(onwards))


def foreseen_in(dag: Dag, root: str, chosen: Chosen, recorded: Mapping[str, Recorded]) -> Foreseen:
    """Say what a part of a call that goes on step by step comes to, with what an earlier run has given.

    Args:
        dag: The flow, compiled.
        root: The key of the call.
        chosen: Which of its steps run.
        recorded: Its calls in the earlier run, by key without `root/`.

    Raises:
        LiteflowError: It can't go on with what they gave.
    """
    from liteflow.arrows.part import foreseen  # noqa: PLC0415  as above
    from liteflow.controller import Value  # noqa: PLC0415  as above

    node = dag.node(root)
    arguments = [Value((-1, ()), constant_json(argument)) for argument in node.args]
    return foreseen(_controls_in(dag)[root], chosen, arguments, recorded)


def part_of(dag: Dag, part: Part, values: Mapping[str, object]) -> Dag:
    """Return the graph of a part; its result is a dict of what its final calls give.

    Args:
        dag: The flow, compiled.
        part: What of it.
        values: What the calls gave that the part needs or wants, by key.
    """
    kept = frozenset(part.keys)
    there = [node for node in dag.nodes if node.key in kept or node.key in values]
    places = {node.index: place for place, node in enumerate(there)}
    nodes = tuple(
        _moved(_in_part(node, part, values, dag), places, kept, dag)
        if node.key in kept
        else _given(node, places[node.index], values[node.key], dag)
        for node in there
    )
    waited_for = {s for node in nodes for s in (*node.inputs, *node.after)}
    final = {node.key: Hole(node.index) for node in nodes if node.index not in waited_for}
    result = pickling.pack(final, lambda value: isinstance(value, Hole), dag.definitions)
    return Dag(dag.name, nodes, result, dag.parameters, dag.definitions, secrets=dag.secrets)


def flow_of_part(flow: Flow[Any, Any], part: Part, values: Mapping[str, object]) -> Flow[..., Any]:
    """Return a flow that runs a part of another one; arguments as for `part_of`."""
    made: Flow[..., Any] = Flow.__new__(Flow)
    recipe: Any = PartRecipe(flow._recipe, part, values)
    made.__attrs_init__(name=flow.name, options=flow.options, recipe=recipe)
    vars(made).update({k: v for k, v in vars(flow).items() if k not in vars(made)})
    return made


def taken_over(flow: Flow[Any, Any]) -> Collection[str]:
    """Return the keys of calls whose earlier values a part of a flow has; of a whole flow none."""
    recipe: Any = flow._recipe
    return recipe.values if isinstance(recipe, PartRecipe) else ()


@frozen
class PartRecipe:
    """As the recipe of the whole flow, but for what its graph has."""

    is_router: ClassVar[Literal[False]] = False

    whole: Any
    part: Part
    values: Mapping[str, object]

    def parameters(self) -> Mapping[str, Parameter]:
        """Return the flow's parameters, by name."""
        found: Mapping[str, Parameter] = self.whole.parameters()
        return found

    def compile(self, values: Mapping[str, object], overrides: Mapping[str, object]) -> Dag:
        """Compile the flow, and take the part of it."""
        return part_of(self.whole.compile(values, overrides), self.part, self.values)

    def complete(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return all parameters: those given, and defaults."""
        complete: Mapping[str, Any] = self.whole.complete(given)
        return complete

    def expression(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Refuse: a part is run by itself.

        Raises:
            FlowError: Always.
        """
        raise FlowError(self.whole.flow, "is a part of a flow here, which can't be called in another one")


def _given(node: Node, place: int, value: object, dag: Dag) -> Node:
    task: Task[..., Any] = Task(Earlier(), node.task.name, Policy())
    if type(value) not in ATOMS:
        packed = pickling.pack(value, lambda _: False, dag.definitions)
        value = packed._replace(digest=blake2b(packed.data, digest_size=16).digest())
    return Node(place, node.key, task, (value,), {}, ())


def _in_part(node: Node, part: Part, values: Mapping[str, object], dag: Dag) -> Node:
    """A call, some of whose steps alone run if that was chosen."""
    chosen = part.inside.get(node.key)
    if chosen is None:
        return node
    from liteflow.arrows.part import PartControl  # noqa: PLC0415  as above

    begin = f"{node.key}/"
    earlier = {key.removeprefix(begin): value for key, value in values.items() if key.startswith(begin)}
    control = PartControl(_controls_in(dag)[node.key], chosen, earlier)
    task: Task[..., Any] = Task(control, node.task.name, node.task.policy)
    return evolve(node, task=task)


def _moved(node: Node, places: Mapping[int, int], kept: Set[str], dag: Dag) -> Node:
    def moved(argument: Argument) -> Argument:
        if isinstance(argument, Hole):
            return argument._replace(source=places[argument.source])
        if isinstance(argument, Packed):
            return argument._replace(holes=tuple(_holes(map(moved, argument.holes))))
        if isinstance(argument, Spread):
            if isinstance(argument.items, Hole):
                return Spread(argument.items._replace(source=places[argument.items.source]))
            return Spread(tuple(map(moved, argument.items)))
        return argument

    return evolve(
        node,
        index=places[node.index],
        args=tuple(map(moved, node.args)),
        kwargs={name: moved(value) for name, value in node.kwargs.items()},
        after=tuple(places[source] for source in node.after if dag.nodes[source].key in kept),
    )


def _holes(moved: Iterable[Argument]) -> Iterable[Hole]:
    return (hole for hole in moved if isinstance(hole, Hole))
