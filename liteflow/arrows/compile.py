"""Model → compiled flow: names looked up, blocks laid flat, labels joined, loops found.

Each block is compiled to a region; one without loops, and not to be run for each item, is then laid into
the region around it.  Within a scope the steps are units (their first and last node), and edges lead from
unit to unit: those that lead back, in the order of the text from `:start` on, are its loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, evolve, field

from liteflow.arrows.declared import Declared, declared
from liteflow.arrows.errors import (
    ArrowError,
    ArrowLimitError,
    ArrowSyntaxError,
    At,
    LabelError,
    LoopError,
    Origin,
)
from liteflow.arrows.graph import CompiledFlow, Guard, Kind, Loop, Node, Region, labels_of
from liteflow.arrows.jsonpath import PathError, read_path
from liteflow.arrows.model import End, Fan, Label, Literal, Mention, Model, Resource, Start, Statement, Step
from liteflow.arrows.parse import parse
from liteflow.collecting import uncollected
from liteflow.errors import nearest

# Steps and edges of a compiled flow: named blocks, and labels of many sources and targets, can multiply.
MAX_NODES = 1_000_000
MAX_EDGES = 2_000_000
# Blocks in blocks, those counted that a name stands for.
MAX_LEVELS = 100


def compile_model(model: Model) -> CompiledFlow:
    """Compile a model.

    Raises:
        LabelError: A label is used twice, or leads nowhere.
        LoopError: A loop has no guard, or a step can never start.
        DeclarationError: Declarations contradict each other.
        ArrowSyntaxError: A guard is no JSONPath.
        ArrowLimitError: It has more steps than MAX_NODES.

    >>> from liteflow.arrows.parse import parse
    >>> flow = compile_model(parse("A :x → B → C → :x D"))
    >>> flow.labels, flow.edges
    (('A', 'B', 'C', 'D'), (('start', 'A'), ('A', 'B'), ('A', 'D'), ('B', 'C'), ('C', 'D'), ('D', 'end')))
    """
    compiler = _Compiler(model.origin, declared(model))
    compiler.foresee(model)
    with uncollected():
        root = compiler.region(model.statements)
    flow = model.flow
    return CompiledFlow(
        root,
        tuple(compiler.steps),
        labels_of(compiler.steps),
        name=flow.name if flow else None,
        doc=flow.doc if flow else None,
        parameters=flow.parameters.value if flow and flow.parameters else None,
        at=flow.at if flow else None,
        origin=model.origin,
    )


def compile_text(text: str, name: str = "<text>") -> CompiledFlow:
    """Parse and compile a flow.

    >>> compile_text("A → B").labels
    ('A', 'B')
    """
    return compile_model(parse(text, name))


@define
class _Unit:
    """A step of a scope: the nodes it begins and ends with, and whether a guard stands on it."""

    first: int
    last: int
    name: str
    guarded: bool = False
    at: At | None = None


@define
class _Scope:
    """What is known of a scope while it is compiled.  Unit 0 is its start; the end is no unit."""

    units: list[_Unit] = field(factory=lambda: [_Unit(0, 0, ":start")])
    # For each unit the units its output goes to; to the end: -1.
    targets: list[dict[int, At | None]] = field(factory=lambda: [{}])
    producers: dict[str, list[int]] = field(factory=dict)
    consumers: dict[str, list[int]] = field(factory=dict)
    input_labels: dict[str, Label] = field(factory=dict)
    output_labels: dict[str, Label] = field(factory=dict)
    used_as_source: dict[str, Label] = field(factory=dict)
    used_as_destination: dict[str, Label] = field(factory=dict)
    merged: set[str] = field(factory=set)
    end_is_merged: bool = False

    def add(self, unit: _Unit) -> int:
        self.units.append(unit)
        self.targets.append({})
        return len(self.units) - 1

    def edge(self, source: int, target: int, at: At | None = None) -> None:
        self.targets[source].setdefault(target, at)


class _Compiler:
    """One compilation: what is declared, and the steps so far."""

    def __init__(self, origin: Origin, names: Mapping[str, Declared]) -> None:
        self.origin = origin
        self.names = names
        self.steps: list[Node] = []
        self.nodes = self.edges = self.levels = 0

    def region(self, statements: Iterable[Statement]) -> Region:
        self.levels += 1
        if self.levels > MAX_LEVELS:
            what = f"blocks, those with a name counted, are nested more than {MAX_LEVELS} times"
            raise ArrowLimitError.of(self.origin, None, what, "let blocks follow one another by arrows")
        scope = _Scope()
        nodes = [Node(Kind.START)]
        for statement in statements:
            self._statement(scope, nodes, statement)
        self._join_labels(scope, nodes)
        loops = self._loops(scope)
        self._wire(scope, nodes, loops)
        self._count(0, sum(map(len, scope.targets)), None)
        self.levels -= 1
        return Region(tuple(nodes), _with_rounds(nodes, scope, loops))

    def foresee(self, model: Model) -> None:
        """Refuse what named blocks make too large, before it is made."""
        mentions = Model(model.statements).mentions()
        steps = sum(self.names[one.name].steps if one.name in self.names else 1 for one in mentions)
        self._count(steps, 0, None)
        self.nodes = 0

    # --- statements ------------------------------------------------------------------------

    def _statement(self, scope: _Scope, nodes: list[Node], statement: Statement) -> None:
        before: int | None = 0
        waits_for: str | None = None
        match statement.source:
            case Label(name) as label:
                before, waits_for = None, name
                scope.used_as_source.setdefault(name, label)
            case Literal(value=value, at=at):
                before = self._first(
                    scope, nodes, Node(Kind.LITERAL, value=value, number=len(self.steps), at=at)
                )
            case Resource(uri, parameters, at=at):
                values = parameters and parameters.value
                number = len(self.steps)
                load = Node(Kind.LOAD, name=uri, base=uri, parameters=values, number=number, at=at)
                before = self._first(scope, nodes, load)
        for step in statement.steps:
            unit = scope.add(self._place(nodes, step))
            if before is not None:
                scope.edge(before, unit)
            elif waits_for is not None:
                scope.consumers.setdefault(waits_for, []).append(unit)
            self._label(scope, step, unit)
            before = unit
        assert before is not None  # a statement has a step
        self._destination(scope, nodes, statement, before)

    def _first(self, scope: _Scope, nodes: list[Node], node: Node) -> int:
        unit = scope.add(self._unit(nodes, node))
        scope.edge(0, unit)
        return unit

    def _unit(self, nodes: list[Node], node: Node) -> _Unit:
        """A unit of a single node that is a step."""
        self._count(1, 0, node.at)
        nodes.append(node)
        self.steps.append(node)
        return _Unit(len(nodes) - 1, len(nodes) - 1, node.name or node.kind.value, at=node.at)

    def _label(self, scope: _Scope, step: Step, unit: int) -> None:
        for label, known, side, unit_lists in (
            (step.input_label, scope.input_labels, "input", scope.consumers),
            (step.output_label, scope.output_labels, "output", scope.producers),
        ):
            if label is None:
                continue
            first = known.setdefault(label.name, label)
            if first is not label:
                raise self._used_twice(label, first, side)
            unit_lists.setdefault(label.name, []).append(unit)

    def _used_twice(self, label: Label, first: Label, side: str) -> ArrowError:
        what = f"`:{label.name}` is an {side} label of two steps of this scope"
        where = f"; the first is at {first.at}" if first.at else ""
        at, text = label.at, self.origin.text
        begins_line = at is not None and not text[at.start - at.column + 1 : at.start].strip()
        remedy = (
            "if a new statement begins here, put a `;` before it"
            if begins_line
            else "give one of them another name"
        )
        return LabelError.of(self.origin, at, what + where, remedy)

    def _destination(self, scope: _Scope, nodes: list[Node], statement: Statement, last: int) -> None:
        destination = statement.destination
        if destination is None:
            scope.edge(last, -1)
            return
        match destination.target:
            case End():
                scope.edge(last, -1)
                scope.end_is_merged |= destination.merge
            case Start(at=at):
                scope.edge(last, 0, at)
            case Label(name) as label:
                scope.used_as_destination.setdefault(name, label)
                scope.producers.setdefault(name, []).append(last)
                if destination.merge:
                    scope.merged.add(name)
            case Resource(uri, parameters, at=at):
                values = parameters and parameters.value
                number, merge = len(self.steps), destination.merge
                save = Node(Kind.SAVE, (), uri, uri, values, merge=merge, number=number, at=at)
                unit = scope.add(self._unit(nodes, save))
                scope.edge(last, unit)
                scope.edge(unit, -1)

    # --- steps -----------------------------------------------------------------------------

    def _place(self, nodes: list[Node], step: Step) -> _Unit:
        """Lay a step's nodes behind the others."""
        guard = self._guard(step)
        if step.prefix == "*":
            inner = [Node(Kind.START)]
            unit = self._body(inner, step, guard, merge=False)
            inner[unit.first] = evolve(inner[unit.first], sources=(0,))
            inner.append(Node(Kind.END, sources=(unit.last,)))
            region = Region(tuple(inner), (), unit.last)
            nodes.append(Node(Kind.REGION, region=region, each=True, at=step.at))
            unit = _Unit(len(nodes) - 1, len(nodes) - 1, unit.name)
        else:
            unit = self._body(nodes, step, guard, merge=step.prefix == ">")
        unit.guarded, unit.at = guard is not None, step.at
        return unit

    def _body(self, nodes: list[Node], step: Step, guard: Guard | None, merge: bool) -> _Unit:
        body = step.body
        if isinstance(body, Mention):
            known = self.names.get(body.name)
            if known is None or known.block is None:
                made = known or Declared(body.name)
                node = Node(
                    Kind.TASK,
                    name=body.name,
                    base=made.base,
                    parameters=made.parameters_with(body.parameters),
                    merge=merge,
                    guard=guard,
                    number=len(self.steps),
                    doc=made.doc,
                    at=body.at,
                )
                return self._unit(nodes, node)
            statements, name = known.block.statements, body.name
        elif isinstance(body, Fan):
            statements = tuple(
                Statement((Step(mention, at=mention.at),), at=mention.at) for mention in body.mentions
            )
            name = "|".join(mention.name for mention in body.mentions[:3])
        else:
            statements, name = body.statements, "the block"
        region = self.region(statements)
        named = name if isinstance(body, Mention) else ""
        if region.loops:
            nodes.append(Node(Kind.REGION, name=named, region=region, merge=merge, guard=guard, at=step.at))
            return _Unit(len(nodes) - 1, len(nodes) - 1, name)
        self._count(len(region.nodes), 0, body.at)
        first = len(nodes)
        last = first + len(region.nodes) - 1
        nodes.append(Node(Kind.ENTER, name=named, merge=merge, guard=guard, partner=last, at=step.at))
        nodes.extend(_moved(node, first) for node in region.nodes[1:-1])
        nodes.append(evolve(_moved(region.nodes[-1], first), kind=Kind.LEAVE, name=named))
        return _Unit(first, last, name)

    def _guard(self, step: Step) -> Guard | None:
        if step.guard is None:
            return None
        try:
            return Guard(step.guard.expression, read_path(step.guard.expression))
        except PathError as error:
            at = step.guard.at
            place = at and self.origin.at(at.start + error.offset)
            remedy = "a guard is a JSONPath, such as `$[?(@.status = 0 and not @.done)]`"
            raise ArrowSyntaxError.of(
                self.origin, place, f"this guard can't be read: {error.problem}", remedy
            ) from None

    def _count(self, nodes: int, edges: int, at: At | None) -> None:
        self.nodes += nodes
        self.edges += edges
        if self.nodes > MAX_NODES or self.edges > MAX_EDGES:
            what = f"the flow grows to more than {MAX_NODES:,} steps or {MAX_EDGES:,} edges"
            remedy = "use `* step` for what is done many times"
            raise ArrowLimitError.of(self.origin, at, what, remedy)

    # --- labels, loops, edges --------------------------------------------------------------

    def _join_labels(self, scope: _Scope, nodes: list[Node]) -> None:
        for name, label in scope.used_as_source.items():
            if name not in scope.producers:
                raise self._leads_nowhere(
                    label, "nothing has it as its output label or destination", scope.producers
                )
        for name, label in scope.used_as_destination.items():
            if name not in scope.consumers:
                raise self._leads_nowhere(
                    label, "no step has it as its input label or source", scope.consumers
                )
        for name, sources in scope.producers.items():
            targets = scope.consumers.get(name, ())
            self._count(0, len(sources) * len(targets), None)
            at = (scope.used_as_destination.get(name) or scope.output_labels.get(name) or Label(name)).at
            for source in sources:
                for target in targets:
                    scope.edge(source, target, at)
        for name in scope.merged:
            for unit in scope.consumers[name]:
                first = scope.units[unit].first
                nodes[first] = evolve(nodes[first], merge=True)
                if nodes[first].number >= 0:
                    self.steps[nodes[first].number] = nodes[first]

    def _leads_nowhere(self, label: Label, why: str, known: Iterable[str]) -> ArrowError:
        like = nearest(label.name, list(known))
        remedy = "did you mean " + " or ".join(f"`:{name}`" for name in like) + "?" if like else ""
        remedy = remedy or "labels are local to their block; give the step that is meant this label"
        return LabelError.of(self.origin, label.at, f"`:{label.name}` leads nowhere: {why}", remedy)

    def _loops(self, scope: _Scope) -> dict[tuple[int, int], At | None]:
        """The edges that lead back, in a walk in the order of the text from the start."""
        back: dict[tuple[int, int], At | None] = {}
        on_the_way, done = 1, 2
        state = [0] * len(scope.units)
        state[0] = on_the_way
        stack = [(0, iter(sorted(scope.targets[0])))]
        while stack:
            unit, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                state[unit] = done
                stack.pop()
            elif target < 0 or state[target] == done:
                continue
            elif state[target] == on_the_way:
                back[unit, target] = scope.targets[unit][target]
            else:
                state[target] = on_the_way
                stack.append((target, iter(sorted(scope.targets[target]))))
        self._check_loops(scope, back, state)
        return back

    def _check_loops(
        self, scope: _Scope, back: Mapping[tuple[int, int], At | None], state: list[int]
    ) -> None:
        for unit, known in zip(scope.units, state, strict=True):
            if known == 0:
                what = f"{unit.name} can never start: nothing leads to it from the start of its scope"
                remedy = "let a statement without a source lead to it, or begin it with `:start →`"
                raise LoopError.of(self.origin, unit.at, what, remedy)
        for (source, target), at in back.items():
            unit = scope.units[source]
            if not unit.guarded:
                to = scope.units[target].name
                what = f"the loop from {unit.name} back to {to} can't end: {unit.name} has no guard"
                remedy = f"put a guard before {unit.name}, the step that leads back: ?`$[?(@.again = true)]`"
                raise LoopError.of(self.origin, at or unit.at, what, remedy)

    def _wire(self, scope: _Scope, nodes: list[Node], loops: Mapping[tuple[int, int], Any]) -> None:
        """Give the nodes that units begin with their sources, and the scope its end."""
        sources: dict[int, list[int]] = {}
        for unit, targets in enumerate(scope.targets):
            for target in targets:
                if (unit, target) not in loops:
                    sources.setdefault(target, []).append(scope.units[unit].last)
        for target, those in sources.items():
            if target >= 0:
                first = scope.units[target].first
                nodes[first] = evolve(nodes[first], sources=tuple(sorted(those)))
        nodes.append(Node(Kind.END, tuple(sorted(sources.get(-1, ()))), merge=scope.end_is_merged))


def _moved(node: Node, by: int) -> Node:
    partner = node.partner + by if node.partner >= 0 else -1
    return evolve(node, sources=tuple(source + by for source in node.sources), partner=partner)


def _with_rounds(nodes: list[Node], scope: _Scope, loops: Mapping[tuple[int, int], Any]) -> tuple[Loop, ...]:
    """The loops of a scope, each with the nodes of its rounds: all that its target leads to."""
    if not loops:
        return ()
    after: list[list[int]] = [[] for _ in nodes]
    for place, node in enumerate(nodes):
        for source in node.sources:
            after[source].append(place)
    made = []
    for source, target in sorted(loops):
        first = scope.units[target].first
        again, stack = {first}, [first]
        while stack:
            new = [place for place in after[stack.pop()] if place not in again]
            again.update(new)
            stack.extend(new)
        made.append(Loop(scope.units[source].last, first, tuple(sorted(again))))
    return tuple(made)
