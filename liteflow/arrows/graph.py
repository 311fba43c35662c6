"""A compiled flow: steps and edges as frozen, numbered nodes, and nothing that runs.

A region is a graph without cycles that runs as a whole.  The flow is one; so is what a `*` runs for each
item, and a block with loops.  Other blocks lie in the region around them, between an ENTER and a LEAVE node:

    START -> A -> ENTER -> B -> C -> LEAVE -> E -> END          A → { B → C  D } → E
                    +----> D ---------+

Nodes are numbered in the order of the text, so what comes in over several edges is in source order when it
is in order of the nodes.  What leads back is no edge but a `Loop`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any

from attrs import field, frozen

from liteflow.arrows.errors import ArrowError, At, Origin, UnknownTaskError
from liteflow.arrows.jsonpath import Path
from liteflow.errors import nearest


class Kind(Enum):
    """What a node is.  Only TASK, LOAD and SAVE are done by somebody; the others end by themselves."""

    START = "start"
    END = "end"
    ENTER = "enter"
    LEAVE = "leave"
    TASK = "task"
    LITERAL = "literal"
    LOAD = "load"
    SAVE = "save"
    REGION = "region"


WORK = frozenset({Kind.TASK, Kind.LOAD, Kind.SAVE})


@frozen
class Guard:
    """A guard, as it is written and as it is read."""

    expression: str
    path: Path = field(repr=False)


@frozen(eq=False)
class Node:
    """A node of a region.

    `sources` are the nodes it waits for, in source order.  `merge`: its input is merged first; `guard`:
    then it runs only if that matches.  `number` counts the steps of the whole flow.  A task has a `name`,
    the `base` that does its work, and `parameters`; a literal its `value`; a resource its `name` (the URI)
    and `parameters`; an ENTER the
    `partner` that leaves its block; a REGION its `region`, which runs once for `each` item, or once.
    """

    kind: Kind
    sources: tuple[int, ...] = ()
    name: str = ""
    base: str = ""
    parameters: Any = None
    value: Any = None
    merge: bool = False
    guard: Guard | None = None
    number: int = -1
    partner: int = -1
    region: Region | None = None
    each: bool = False
    doc: str | None = None
    at: At | None = field(default=None, repr=False)


@frozen
class Loop:
    """An edge that leads back, in one region.

    When `source` really ran, another round begins at `target`: `again` are the nodes of it.
    """

    source: int
    target: int
    again: tuple[int, ...] = field(repr=False)


@frozen(eq=False)
class Region:
    """Nodes (the first is START, the last END), and loops.

    `body` is the node that says whether an item was really run, in what a `*` runs.
    """

    nodes: tuple[Node, ...]
    loops: tuple[Loop, ...] = ()
    body: int = -1


@frozen(eq=False)
class CompiledFlow:
    """A flow, compiled.

    `steps` are its tasks, literals and resources in the order of the text, `labels` what they are called:
    by their name, or `name#k` for the k-th step of a name that is there more than once.  `at` is where its
    name is declared.
    """

    root: Region = field(repr=False)
    steps: tuple[Node, ...]
    labels: tuple[str, ...]
    name: str | None = None
    doc: str | None = None
    parameters: Any = None
    origin: Origin = field(factory=Origin, repr=False)
    at: At | None = field(default=None, repr=False)

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Which step's output goes to which, by their labels; "start" and "end" are the flow's own.

        >>> from liteflow.arrows import compile_text
        >>> compile_text("A → {B C}").edges
        (('start', 'A'), ('A', 'B'), ('A', 'C'), ('B', 'end'), ('C', 'end'))
        """
        return tuple(self._named(source, target) for source, target in _through(self.root))

    @property
    def loop_edges(self) -> tuple[tuple[str, str], ...]:
        """As `edges`, of those that lead back: from steps that cause a round to those it begins with."""
        return tuple(self._named(source, target) for source, target in _back(self.root))

    def _named(self, source: int, target: int) -> tuple[str, str]:
        return (
            self.labels[source] if source >= 0 else "start",
            self.labels[target] if target >= 0 else "end",
        )

    def regions(self) -> Iterator[Region]:
        """All regions, each before those inside it."""
        yield from _regions(self.root)


def labels_of(steps: Iterable[Node]) -> tuple[str, ...]:
    """What each step is called."""
    kinds = {Kind.LITERAL: "literal", Kind.LOAD: "load", Kind.SAVE: "save"}
    steps = list(steps)
    counts = Counter(step.name for step in steps if step.kind is Kind.TASK)
    seen: Counter[str] = Counter()
    labels = []
    for step in steps:
        name = kinds.get(step.kind, step.name)
        seen[name] += 1
        if step.kind is Kind.TASK:
            labels.append(name if counts[name] == 1 else f"{name}#{seen[name]}")
        else:
            labels.append(f"{name}{seen[name]}")
    return tuple(labels)


def check_names(
    flow: CompiledFlow, known: Iterable[str], like: Callable[[str], Iterable[str]] = lambda name: ()
) -> None:
    """See that every task of a flow is there.

    Args:
        known: The names of all tasks that there are.
        like: Others that may be meant by a name that nobody knows.

    Raises:
        UnknownTaskError: For the first step of which nobody knows the task; it names the nearest.
    """
    names = set(known)
    for step in flow.steps:
        if step.kind is Kind.TASK and step.base not in names:
            raise _unknown(flow, step, names, like(step.base))


def _unknown(flow: CompiledFlow, step: Node, names: set[str], others: Iterable[str]) -> ArrowError:
    lower = {name.lower(): name for name in sorted(names)}
    near = nearest(step.base, sorted(names)) or [
        lower[name] for name in (step.base.lower(),) if name in lower
    ]
    like = list(dict.fromkeys([*others, *near]))
    alias = f" (which {step.name} stands for)" if step.base != step.name else ""
    there = ", ".join(sorted(names)[:10])
    remedy = f"there are: {there}" if there else "there are none: tasks are what is given beside the text"
    if like:
        remedy = f"did you mean {' or '.join(like)}?"
    return UnknownTaskError.of(flow.origin, step.at, f"there is no task {step.base}{alias}", remedy)


# --- edges between steps alone --------------------------------------------------------------


def _through(region: Region) -> list[tuple[int, int]]:
    """Pairs of steps by number, through whatever lies between them; -1 is the flow's start, or its end."""
    pairs: set[tuple[int, int]] = set()
    pairs.update((source, -1) for source in _link(region, (-1,), pairs))
    return sorted(pairs, key=lambda pair: (pair[0], pair[1] < 0, pair[1]))


def _link(region: Region, before: tuple[int, ...], pairs: set[tuple[int, int]]) -> tuple[int, ...]:
    """Note the pairs of a region that begins after the steps `before`; give the steps that it ends with."""
    last: dict[int, tuple[int, ...]] = {0: before}
    for place in in_order(region):
        node = region.nodes[place]
        sources = tuple(dict.fromkeys(number for source in node.sources for number in last[source]))
        if node.number >= 0:
            pairs.update((source, node.number) for source in sources)
            last[place] = (node.number,)
        elif node.region is not None:
            last[place] = _link(node.region, sources, pairs)
        elif place:
            last[place] = sources
    return last[len(region.nodes) - 1]


def in_order(region: Region) -> list[int]:
    """The nodes of a region, each after those it waits for.  (Text order needn't be: `A → :x C  B → :x`.)"""
    after: list[list[int]] = [[] for _ in region.nodes]
    waiting = [len(node.sources) for node in region.nodes]
    for place, node in enumerate(region.nodes):
        for source in node.sources:
            after[source].append(place)
    order = [place for place, count in enumerate(waiting) if not count]
    # The list is the queue: it grows while we go along it.
    for place in order:
        for target in after[place]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return order


def _back(region: Region) -> Iterator[tuple[int, int]]:
    for one in _regions(region):
        for loop in one.loops:
            for source in _ends(one, loop.source):
                yield from ((source, target) for target in _firsts(one, loop.target))


def _ends(region: Region, place: int) -> tuple[int, ...]:
    """The steps whose output a node gives."""
    node = region.nodes[place]
    if node.number >= 0:
        return (node.number,)
    if node.region is not None:
        return _ends(node.region, len(node.region.nodes) - 1)
    return tuple(dict.fromkeys(number for source in node.sources for number in _ends(region, source)))


def _firsts(region: Region, place: int) -> tuple[int, ...]:
    """The steps that get a node's value first."""
    node = region.nodes[place]
    if node.number >= 0:
        return (node.number,)
    if node.region is not None:
        return _firsts(node.region, 0)
    after = [n for n, other in enumerate(region.nodes) if place in other.sources]
    return tuple(dict.fromkeys(number for target in after for number in _firsts(region, target)))


def _regions(region: Region) -> Iterator[Region]:
    yield region
    for node in region.nodes:
        if node.region is not None:
            yield from _regions(node.region)
