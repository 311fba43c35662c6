"""What is there to draw?  Nodes and edges, from a DAG that is to run or from a run that was.

    Dag -----from_dag--+
                       +--> Graph --fold--> Graph --> mermaid, dot, text
    History --from_run-+

A graph of ten thousand task instances is no picture, and mermaid refuses more than 500
edges: so `fold` draws the task instances of one task that stand at one depth as one node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from liteflow.views.states import joint_state

if TYPE_CHECKING:
    from liteflow.dag import Dag
    from liteflow.store.history import EdgeRow, RunRow, TaskRow
    from liteflow.store.overview import Instance


@frozen
class GraphNode:
    """One task instance, or several that are drawn as one.

    `states` says how many of them are in which state; it is empty when nothing has run.
    """

    key: str
    task: str
    count: int = 1
    states: Mapping[str, int] = field(factory=dict)

    @property
    def state(self) -> str | None:
        """The state it is drawn in; None when nothing has run."""
        return joint_state(self.states) if self.states else None

    @property
    def label(self) -> str:
        """What it is called: its key, or its task and how many."""
        return self.key if self.count == 1 else f"{self.task} ×{self.count}"


@frozen
class GraphEdge:
    """From one node to another, by their places in `Graph.nodes`.

    `parameters` are those that the value goes to; none when the edge only orders.
    """

    source: int
    target: int
    parameters: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[str, ...]:
        """Those of the parameters that tell a reader something; a task of a workflow file has none."""
        return tuple(name for name in self.parameters if not name.startswith("_"))


@frozen
class Graph:
    """What a view draws.  Nodes are in an order in which they could run.

    `title` is the flow's name, `run` and `state` say which run and how it is; None for a
    flow that is only compiled.
    """

    title: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    run: str | None = None
    state: str | None = None

    @property
    def instances(self) -> int:
        """How many task instances it shows, folded ones counted."""
        return sum(node.count for node in self.nodes)

    @property
    def downwards(self) -> bool:
        """Whether it is best drawn from top to bottom, or else from left to right.

        Many nodes beside each other make a strip that no screen shows; on top of each other
        they can be scrolled.
        """
        beside = Counter(self.depths())
        return max(beside.values(), default=0) <= max(8, len(beside))

    def depths(self) -> tuple[int, ...]:
        """Return, for each node, the length of the longest path that leads to it."""
        targets: list[list[int]] = [[] for _ in self.nodes]
        waiting = [0] * len(self.nodes)
        for edge in self.edges:
            targets[edge.source].append(edge.target)
            waiting[edge.target] += 1
        depths = [0] * len(self.nodes)
        free = [place for place, n in enumerate(waiting) if n == 0]
        # What a damaged file makes a cycle of is never free, and keeps its depth.
        while free:
            source = free.pop()
            for target in targets[source]:
                depths[target] = max(depths[target], depths[source] + 1)
                waiting[target] -= 1
                if waiting[target] == 0:
                    free.append(target)
        return tuple(depths)


def from_dag(dag: Dag) -> Graph:
    """Return what is to be drawn of a DAG, where nothing has a state yet."""
    nodes = [GraphNode(node.key, node.task.name) for node in dag.nodes]
    return _graph(dag.name, nodes, ((e.source, e.target, e.parameter) for e in dag.edges))


def from_run(run: RunRow, tasks: Iterable[TaskRow | Instance], edges: Iterable[EdgeRow]) -> Graph:
    """Return what is to be drawn of a run, as its history tells it."""
    nodes = [GraphNode(row.key, row.task, 1, {row.state: 1}) for row in tasks]
    graph = _graph(run.flow, nodes, ((e.source, e.target, e.parameter) for e in edges))
    return evolve(graph, run=run.id, state=run.state)


def fold(graph: Graph, max_nodes: int = 30, max_edges: int = 60) -> Graph:
    """Return the graph with task instances of one task drawn as one.

    Those of one task that stand at one depth become one node.  If there still are more nodes
    or edges than that (a long chain), all of one task do.

    >>> nodes = tuple(GraphNode(f"load-{i}", "load") for i in range(9))
    >>> fold(Graph("etl", nodes, ())).nodes[0].label
    'load ×9'
    """
    depths = graph.depths()
    by_depth = _merged(graph, lambda place: (graph.nodes[place].task, depths[place]))
    if len(by_depth.nodes) <= max_nodes and len(by_depth.edges) <= max_edges:
        return by_depth
    return _merged(graph, lambda place: graph.nodes[place].task)


def _graph(title: str, nodes: list[GraphNode], edges: Iterable[tuple[str, str, str | None]]) -> Graph:
    places = {node.key: place for place, node in enumerate(nodes)}
    # A damaged file may name task instances that it does not hold.
    known = ((places[s], places[t], p) for s, t, p in edges if s in places and t in places)
    return Graph(title, tuple(nodes), _joined(known))


def _joined(edges: Iterable[tuple[int, int, str | None]]) -> tuple[GraphEdge, ...]:
    """One edge for each pair of nodes, with all the parameters it feeds."""
    parameters: dict[tuple[int, int], dict[str, None]] = {}
    for source, target, parameter in edges:
        names = parameters.setdefault((source, target), {})
        if parameter:
            names[parameter] = None
    return tuple(GraphEdge(s, t, tuple(names)) for (s, t), names in parameters.items())


def _merged(graph: Graph, group_of: Callable[[int], Hashable]) -> Graph:
    groups: dict[Hashable, list[int]] = {}
    for place in range(len(graph.nodes)):
        groups.setdefault(group_of(place), []).append(place)
    place_of = {member: place for place, members in enumerate(groups.values()) for member in members}
    edges = (
        (place_of[edge.source], place_of[edge.target], parameter)
        for edge in graph.edges
        for parameter in edge.parameters or (None,)
        if place_of[edge.source] != place_of[edge.target]
    )
    nodes = tuple(_joint([graph.nodes[place] for place in members]) for members in groups.values())
    return evolve(graph, nodes=nodes, edges=_joined(edges))


def _joint(nodes: list[GraphNode]) -> GraphNode:
    states: Counter[str] = Counter()
    for node in nodes:
        states.update(node.states)
    return GraphNode(nodes[0].key, nodes[0].task, sum(n.count for n in nodes), dict(states))
