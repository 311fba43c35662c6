"""A graph as Mermaid text, for a README, a notebook or a wiki.

Nothing in a name can be more than text: ids are ours (`n0`), and in labels every character
is written as its number, `#47;`, unless it is a letter, a digit or stands between two of
them and means nothing to Mermaid.  `<br/>` is only ever ours.

Source: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

from liteflow.views.graph import Graph, GraphNode
from liteflow.views.shown import label
from liteflow.views.states import LOOKS, Look, look, shown_state, tally

# Mermaid draws no more than this by default, and a diagram can't raise it.
# Source: https://mermaid.js.org/config/schema-docs/config.html (maxEdges, maxTextSize)
MAX_EDGES = 500
MAX_CHARACTERS = 50_000

# A graph with more edges than this says nothing at them: it would be all labels.
MAX_LABELLED_EDGES = 60

# Mermaid writes entities with ﬂ ° ¶ ß for its own use, and reads them back where they stand.
_OWN_LETTERS = frozenset("ﬂß")


def mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart; states are classes with a colour each.

    >>> from liteflow.views.graph import GraphEdge
    >>> print(mermaid(Graph("etl", (GraphNode("a", "a"), GraphNode("b", "b")), (GraphEdge(0, 1, ("x",)),))))
    flowchart TD
        n0["a"]
        n1["b"]
        n0 -->|"x"| n1
    """
    lines = ["flowchart TD" if graph.downwards else "flowchart LR"]
    lines += [f'    n{place}["{_node_label(node)}"]{_class(node)}' for place, node in enumerate(graph.nodes)]
    labelled = len(graph.edges) <= MAX_LABELLED_EDGES
    for edge in graph.edges:
        names = ", ".join(map(escaped, edge.said)) if labelled else ""
        arrow = "-->" if edge.parameters else "-.->"
        lines.append(f"    n{edge.source} {arrow}" + (f'|"{names}"| ' if names else " ") + f"n{edge.target}")
    states = {node.state for node in graph.nodes if node.states}
    lines += [f"    classDef {state} {_style(LOOKS[state])}" for state in LOOKS if state in states]
    if None in states:
        lines.append(f"    classDef unknown {_style(look(None))}")
    return "\n".join(lines)


def escaped(text: str, limit: int = 60) -> str:
    """Return the text as it stands between the quotes of a Mermaid label.

    >>> escaped('say_it "end"'), escaped("__init__")
    ('say_it#32;#34;end#34;', '#95;#95;init#95;#95;')
    """
    # Mermaid writes entities as ﬂ°name¶ß for its own use, and reads even those it was given as
    # numbers: a space of no width keeps a name from being one.
    shown = label(text, limit).replace("ﬂ°", "ﬂ\u200b°").replace("¶ß", "¶\u200bß")
    between = zip(" " + shown, shown, shown[1:] + " ", strict=False)
    return (
        "".join(c if _is_plain(before, c, after) else f"#{ord(c)};" for before, c, after in between) or "#63;"
    )


def _is_plain(before: str, char: str, after: str) -> bool:
    # Spaces are not: the lexer takes a line with `direction LR` for a command even in quotes.
    # Joiners are, inside words: at their ends Markdown would see emphasis, a list or a rule.
    if char in "_-":
        return _is_word(before) and _is_word(after)
    return _is_word(char)


def _is_word(char: str) -> bool:
    return char.isalnum() and char not in _OWN_LETTERS


def _node_label(node: GraphNode) -> str:
    if node.count == 1:
        return escaped(node.key)
    lines = [f"{escaped(node.task)} #215;{node.count}"]
    if node.states:
        # A line may break between two states, not between a number and its state.
        lines.append(tally(node.states).replace("?", "#63;").replace(" ", "#160;").replace(",#160;", ", "))
    return "<br/>".join(lines)


def _class(node: GraphNode) -> str:
    if not node.states:
        return ""
    return f":::{node.state}" if shown_state(node.state) != "?" else ":::unknown"


def _style(of: Look) -> str:
    dashes = ",stroke-dasharray:4 3" if of.dashed else ""
    return f"fill:{of.fill},stroke:{of.stroke},color:#1b1b1b{dashes}"
