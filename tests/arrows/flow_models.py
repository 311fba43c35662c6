"""Random models and texts of the arrow language, and a naive interpreter to hold the real one to.

The interpreter works on the model, scope by scope, one step after another, and shares no code with the
compiler or the course: edges, loops and joins are found again here, in the plainest way.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st

from liteflow.arrows.model import (
    Block,
    Destination,
    End,
    Fan,
    FlowDeclaration,
    Guard,
    Label,
    Literal,
    Mention,
    Model,
    Resource,
    Start,
    Statement,
    Step,
    TaskDeclaration,
)

names = st.from_regex(r"[A-Za-z_é](?:[a-z0-9_:é]|-(?!>)){0,5}", fullmatch=True).filter(
    lambda n: not n.endswith("\n")
)
label_names = names.filter(lambda name: name not in ("start", "end"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
containers = st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3)
docs = st.text(st.sampled_from("ab '\"\n\té→#"), min_size=1, max_size=15).map(
    lambda t: inspect.cleandoc(t).strip()
)
docs = docs.filter(lambda text: text and not ("'''" in text and '"""' in text))
EMPTY = Literal("empty", {})


def as_yaml(value: Any) -> Literal:
    return Literal("yaml", {} if value is None else value)


parameters = (
    st.none() | st.just(EMPTY) | st.builds(lambda v: Literal("json", v), containers) | containers.map(as_yaml)
)
literals = st.just(EMPTY) | st.builds(lambda v: Literal("json", v), containers) | values.map(as_yaml)
uris = st.from_regex(r"[a-z./][a-z0-9:/.?=&_-]{0,10}", fullmatch=True)
mentions = st.builds(Mention, names, parameters)
fans = st.lists(mentions, min_size=2, max_size=3).map(lambda several: Fan(tuple(several)))
labels = st.builds(Label, label_names)
guards = st.builds(
    Guard, st.sampled_from(["$.a", "$[?(@.n > 1 and not @.done)]", "$..x['a b']", "not a path"])
)
resources = st.builds(Resource, uris, parameters)


def statements_of(bodies: st.SearchStrategy[Any]) -> st.SearchStrategy[Statement]:
    steps = st.builds(
        Step,
        bodies,
        st.none() | labels,
        st.sampled_from(["", "", "*", ">"]),
        st.none() | guards,
        st.none() | labels,
    )
    targets = st.builds(Label, label_names) | st.just(Start()) | st.just(End()) | resources
    return st.builds(
        Statement,
        st.lists(steps, min_size=1, max_size=3).map(tuple),
        st.none() | labels | st.just(Start()) | literals | resources,
        st.none() | st.builds(Destination, targets, st.booleans()),
    )


blocks = st.deferred(
    lambda: st.lists(statements_of(mentions | fans | blocks), min_size=1, max_size=3).map(
        lambda s: Block(tuple(s))
    )
)
declarations = st.builds(FlowDeclaration, names, parameters, st.none() | docs) | st.builds(
    TaskDeclaration, names, st.none() | names, parameters, st.none() | docs, st.none()
)
declared_blocks = st.builds(TaskDeclaration, names, st.none(), parameters, st.none() | docs, blocks)
models = st.lists(
    statements_of(mentions | fans | blocks) | declarations | declared_blocks, min_size=1, max_size=4
).map(lambda items: Model(tuple(items)))


# --- flows that compile ---------------------------------------------------------------------

PREDICATES: dict[str, Callable[[Any], bool]] = {
    "$[?(@.n >= 40)]": lambda v: any(isinstance(o, dict) and o.get("n", -1) >= 40 for o in _tested(v)),
    "$[?(@.n < 70)]": lambda v: any(isinstance(o, dict) and "n" in o and o["n"] < 70 for o in _tested(v)),
    "$[?(not @.n = 1)]": lambda v: any(not (isinstance(o, dict) and o.get("n") == 1) for o in _tested(v)),
}
LOOP_GUARD = "$[?(@.n < 55)]"
PREDICATES[LOOP_GUARD] = lambda v: any(isinstance(o, dict) and "n" in o and o["n"] < 55 for o in _tested(v))


def _tested(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def work(name: str, value: Any) -> Any:
    """What every task does: a pure function of name and input, sometimes an empty object."""
    total = sum(ord(c) * (i + 3) for i, c in enumerate(name + json.dumps(value, sort_keys=True)))
    return {} if total % 7 == 0 else {"n": total % 100, name: total % 10}


task_names = st.sampled_from(["A", "B", "C", "D"])
flow_guards = st.sampled_from([g for g in PREDICATES if g != LOOP_GUARD]).map(Guard)


@st.composite
def scopes(draw: Any, depth: int = 0) -> tuple[Statement, ...]:
    """Statements whose labels lead forwards, but for loops with a guard, from the flow's outermost scope."""
    statements = []
    known: list[str] = []
    for number in range(draw(st.integers(1, 3))):
        steps = []
        for place in range(draw(st.integers(1, 3))):
            body = draw(_flow_bodies(depth))
            label = None
            if draw(st.integers(0, 3)) == 0:
                label = Label(f"l{depth}-{number}-{place}")
                known.append(label.name)
            prefix = draw(st.sampled_from(["", "", "", "*", ">"]))
            steps.append(Step(body, None, prefix, draw(st.none() | st.none() | flow_guards), label))
        earlier = [name for name in known if not name.startswith(f"l{depth}-{number}-")]
        source = draw(st.none() | st.sampled_from(earlier).map(Label)) if earlier else None
        if source is None and draw(st.integers(0, 5)) == 0:
            source = draw(
                st.sampled_from([Literal("json", {"n": 33}), Literal("json", [{"n": 1}, {"n": 77}])])
            )
        statements.append(Statement(tuple(steps), source))
    if draw(st.integers(0, 2)) == 0:
        statements = draw(_with_loop(statements))
    return tuple(statements)


def _flow_bodies(depth: int) -> st.SearchStrategy[Any]:
    tasks = st.builds(Mention, task_names)
    several = st.lists(tasks, min_size=2, max_size=3).map(lambda some: Fan(tuple(some)))
    inner = scopes(depth + 1).map(Block) if depth < 2 else tasks
    return tasks | tasks | several | inner


@st.composite
def _with_loop(draw: Any, statements: list[Statement]) -> list[Statement]:
    """One statement's guarded last step leads back to the scope's start, and on to another as well."""
    back = Step(Mention("D"), None, "", Guard(LOOP_GUARD), None)
    steps = statements[-1].steps
    if draw(st.booleans()):
        looped = Statement((*steps, back), statements[-1].source, Destination(Start()))
    else:
        first = Step(steps[0].body, Label("again"), steps[0].prefix, steps[0].guard, steps[0].output_label)
        looped = Statement((first, *steps[1:], back), statements[-1].source, Destination(Label("again")))
    return [*statements[:-1], looped]


class TooLong(Exception):
    """The interpreter gave up: the random loop doesn't end soon."""


class Naive:
    """Runs a model, one step after another; `calls` are what tasks were given."""

    def __init__(self, max_rounds: int = 30) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.max_rounds = max_rounds

    def run(self, statements: tuple[Statement, ...], value: Any) -> Any:
        """A scope: units, edges, then round after round."""
        units, edges, merges_end = self._graph(statements)
        loops = self._loops(units, edges)
        forward = [(s, t) for s, t in edges if (s, t) not in loops]
        outputs: dict[Any, Any] = {}
        queue: list[tuple[Any, Any]] = [("start", value)]
        result: Any = {}
        rounds = 0
        while queue:
            rounds += 1
            if rounds > self.max_rounds:
                raise TooLong
            entry, given = queue.pop(0)
            again = self._reachable(entry, forward)
            ran: set[Any] = set()
            done: set[Any] = set()
            while len(done) < len(again):
                unit = next(
                    u
                    for u in ["start", *range(len(units)), "end"]
                    if u in again
                    and u not in done
                    and (u == entry or all(s in done or s not in again for s, t in forward if t == u))
                )
                sources = sorted(
                    (s for s, t in forward if t == unit), key=lambda s: -1 if s == "start" else s
                )
                came = given if unit == entry else self._joined([outputs[s] for s in sources])
                outputs[unit] = self._do(units, unit, came, ran, merges_end)
                done.add(unit)
            if "end" in again:
                result = outputs["end"]
            queue += [(t, outputs[s]) for s, t in sorted(loops, key=str) if s in ran]
        return result

    def _do(self, units: list[Any], unit: Any, came: Any, ran: set[Any], merges_end: bool) -> Any:
        if unit == "start":
            return came
        if unit == "end":
            return self._merged(came) if merges_end else came
        step = units[unit]
        if isinstance(step, Literal):
            return step.value
        if step.prefix == "*":
            items = came if isinstance(came, list) else [came]
            some: set[Any] = set()
            outputs = [self._guarded(step, item, some) for item in items]
            ran |= {unit} if some else set()
            return outputs
        some = set()
        output = self._guarded(step, self._merged(came) if step.prefix == ">" else came, some)
        ran |= {unit} if some else set()
        return output

    def _guarded(self, step: Step, value: Any, ran: set[Any]) -> Any:
        if step.guard is not None and not PREDICATES[step.guard.expression](value):
            return value
        ran.add(True)
        match step.body:
            case Mention(name):
                self.calls.append((name, value))
                return work(name, value)
            case Fan(mentions):
                return self.run(tuple(Statement((Step(mention),)) for mention in mentions), value)
            case Block(statements):
                return self.run(statements, value)

    def _graph(self, statements: tuple[Statement, ...]) -> tuple[list[Any], list[tuple[Any, Any]], bool]:
        units: list[Any] = []
        edges: list[tuple[Any, Any]] = []
        out: list[tuple[str, Any]] = []
        into: list[tuple[str, Any]] = []
        merges_end = False
        for statement in statements:
            before: Any = "start"
            if isinstance(statement.source, Literal):
                units.append(statement.source)
                edges.append(("start", len(units) - 1))
                before = len(units) - 1
            for number, step in enumerate(statement.steps):
                units.append(step)
                me = len(units) - 1
                if number == 0 and isinstance(statement.source, Label):
                    into.append((statement.source.name, me))
                else:
                    edges.append((before, me))
                if step.input_label:
                    into.append((step.input_label.name, me))
                if step.output_label:
                    out.append((step.output_label.name, me))
                before = me
            target = statement.destination.target if statement.destination else End()
            if isinstance(target, Label):
                out.append((target.name, before))
            else:
                edges.append((before, "end" if isinstance(target, End) else "start"))
        edges += [(s, t) for name, s in out for other, t in into if name == other]
        return units, list(dict.fromkeys(edges)), merges_end

    def _loops(self, units: list[Any], edges: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        loops: list[tuple[Any, Any]] = []
        seen: set[Any] = set()

        def walk(unit: Any, way: list[Any]) -> None:
            seen.add(unit)
            order = {"start": -1, "end": len(units)}
            for target in sorted((t for s, t in edges if s == unit), key=lambda t: order.get(t, t)):
                if target in [*way, unit]:
                    loops.append((unit, target))
                elif target not in seen:
                    walk(target, [*way, unit])

        walk("start", [])
        return loops

    def _reachable(self, unit: Any, edges: list[tuple[Any, Any]]) -> set[Any]:
        found = {unit}
        while more := {t for s, t in edges if s in found} - found:
            found |= more
        return found

    def _joined(self, several: list[Any]) -> Any:
        if len(several) == 1:
            return several[0]
        full = [value for value in several if value != {}]
        return full if len(full) > 1 else full[0] if full else {}

    def _merged(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        merged: dict[str, Any] = {}
        for item in value:
            if not isinstance(item, dict):
                raise TypeError("merge")
            merged |= item
        return merged
