"""A graph as DOT text, for Graphviz: `liteflow visualize latest --format dot | dot -Tsvg`.

Nothing in a name can be more than text: ids are ours (`n0`), and a label is a quoted string
in which quotes, backslashes (`\\N` would be the node's id) and `&` (Graphviz reads HTML
entities) are escaped.

Source: https://graphviz.org/doc/info/lang.html, https://graphviz.org/docs/attr-types/escString/
"""

from __future__ import annotations

from liteflow.views.graph import Graph, GraphNode
from liteflow.views.shown import label
from liteflow.views.states import look, shown_state, tally

# A graph with more edges than this says nothing at them: it would be all labels.
MAX_LABELLED_EDGES = 60


def dot(graph: Graph) -> str:
    """Return the graph as a DOT digraph; states are colours, and classes in an SVG.

    >>> print(dot(Graph("etl", (GraphNode("a", "a"),), ())))
    digraph {
        graph [label="etl", labelloc=t, fontname="Helvetica"]
        node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica"]
        edge [color="#757575", fontname="Helvetica", fontsize=10]
        n0 [label="a"]
    }
    """
    title = graph.title if graph.run is None else f"{graph.title} · run {graph.run} · {graph.state}"
    lines = [
        "digraph {",
        f'    graph [label="{escaped(title, 200)}", labelloc=t, {_direction(graph)}fontname="Helvetica"]',
        '    node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica"]',
        '    edge [color="#757575", fontname="Helvetica", fontsize=10]',
    ]
    lines += [f"    n{place} [{_node(node)}]" for place, node in enumerate(graph.nodes)]
    labelled = len(graph.edges) <= MAX_LABELLED_EDGES
    for edge in graph.edges:
        settings = [] if edge.parameters else ["style=dashed"]
        if labelled and edge.said:
            settings.append(f'label="{escaped(", ".join(edge.said))}"')
        of_edge = f" [{', '.join(settings)}]" if settings else ""
        lines.append(f"    n{edge.source} -> n{edge.target}{of_edge}")
    return "\n".join([*lines, "}"])


def _direction(graph: Graph) -> str:
    return "" if graph.downwards else "rankdir=LR, "


def escaped(text: str, limit: int = 60) -> str:
    r"""Return the text as it stands between the quotes of a DOT string.

    >>> print(escaped('say "\\N" & go'))
    say \"\\N\" &amp; go
    """
    return label(text, limit).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _node(node: GraphNode) -> str:
    lines = [node.label]
    if node.count > 1 and node.states:
        lines.append(tally(node.states))
    joined = "\\n".join(map(escaped, lines))
    settings = [f'label="{joined}"']
    if node.states:
        of = look(node.state)
        known = node.state if shown_state(node.state) != "?" else "unknown"
        settings += [f'class="{known}"', f'fillcolor="{of.fill}"', f'color="{of.stroke}"']
        if of.dashed:
            settings.append('style="rounded,filled,dashed"')
    return ", ".join(settings)
