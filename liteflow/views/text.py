"""A graph as lines of text, one for each task instance, in an order in which they could run.

etl · run 3f2a · failed · 3 task instances
  ✓ extract
  ✗ transform   rows ← extract
  ⊘ load        values ← transform
"""

from __future__ import annotations

from liteflow.views.graph import Graph, GraphNode
from liteflow.views.shown import counted, label
from liteflow.views.states import Look, look, shown_state, tally

# So many inputs are named; of more, the rest is counted.
MAX_INPUTS = 4


def text(graph: Graph, ascii_only: bool = False) -> str:
    """Return the graph as text that reads from top to bottom.

    Args:
        graph: What to draw.
        ascii_only: For a terminal that knows nothing else: symbols and arrows are ASCII.

    >>> from liteflow.views.graph import GraphEdge
    >>> a, b = GraphNode("a", "a", 1, {"succeeded": 1}), GraphNode("b", "b", 1, {"running": 1})
    >>> print(text(Graph("etl", (a, b), (GraphEdge(0, 1, ("x",)),), "3f2a", "running")))
    etl · run 3f2a · running · 2 task instances
      ✓ a   succeeded
      ▶ b   running     x ← a
    """
    depths = graph.depths()
    order = sorted(range(len(graph.nodes)), key=lambda place: (depths[place], place))
    names = [label(node.label) for node in graph.nodes]
    states = [_state(node) for node in graph.nodes]
    inputs = _inputs(graph, names, "<-" if ascii_only else "←")
    name_width = min(40, max(map(len, names), default=0))
    state_width = max(map(len, states), default=0)
    lines = [_heading(graph, " - " if ascii_only else " · ")]
    for place in order:
        symbol = _symbol(look(graph.nodes[place].state), ascii_only) if graph.nodes[place].states else ""
        columns = [f"{symbol} {names[place]:<{name_width}}".lstrip(), f"{states[place]:<{state_width}}"]
        columns.append(inputs[place])
        lines.append("  " + "   ".join(column for column in columns if column).rstrip())
    joined = "\n".join(lines)
    return joined.replace("×", "x").encode("ascii", "backslashreplace").decode() if ascii_only else joined


def _heading(graph: Graph, between: str) -> str:
    parts = [label(graph.title)]
    if graph.run is not None:
        parts += [f"run {label(graph.run)}", shown_state(graph.state)]
    return between.join([*parts, counted(graph.instances, "task instance")])


def _symbol(of: Look, ascii_only: bool) -> str:
    return of.ascii if ascii_only else of.symbol


def _state(node: GraphNode) -> str:
    if not node.states:
        return ""
    return shown_state(node.state) if node.count == 1 else tally(node.states)


def _inputs(graph: Graph, names: list[str], arrow: str) -> list[str]:
    """For each node, where its arguments come from: `rows ← extract; after check`."""
    sources: list[dict[str, list[str]]] = [{} for _ in graph.nodes]
    for edge in graph.edges:
        said = " ".join([*([", ".join(map(label, edge.said))] if edge.said else []), arrow])
        sources[edge.target].setdefault(said if edge.parameters else "after", []).append(names[edge.source])
    return ["; ".join(_fed(said, fed) for said, fed in of.items()) for of in sources]


def _fed(said: str, sources: list[str]) -> str:
    shown = ", ".join(sources[:MAX_INPUTS])
    if len(sources) > MAX_INPUTS:
        shown += f" and {len(sources) - MAX_INPUTS} more"
    return f"{said} {shown}"
