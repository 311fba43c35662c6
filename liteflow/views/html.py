"""A graph as a page of HTML: the picture of graph_svg.py, and what its colours mean.

It loads nothing, and runs nothing.
"""

from __future__ import annotations

from html import escape

from liteflow.views.graph import Graph
from liteflow.views.graph_svg import svg
from liteflow.views.shown import label
from liteflow.views.states import LOOKS, Look, shown_state

_STYLE = (
    "body{font-family:system-ui,sans-serif;margin:2em;color:#1b1b1b}"
    "svg{max-width:100%;height:auto}"
    "li{display:inline-block;margin-right:1em}"
    "span{display:inline-block;width:1em;height:1em;border:1px solid;margin-right:.3em;vertical-align:-.1em}"
)


def html(graph: Graph) -> str:
    """Return the graph as a page.

    >>> from liteflow.views.graph import GraphNode
    >>> "<h1>a &amp; b</h1>" in html(Graph("a & b", (GraphNode("x", "x"),), ()))
    True
    """
    states = [state for state in LOOKS if any(node.states.get(state) for node in graph.nodes)]
    legend = "".join(f"<li>{_patch(LOOKS[state])}{state}</li>" for state in states)
    run = f"<p>run {escape(label(graph.run))}: {shown_state(graph.state)}</p>" if graph.run else ""
    return page(graph.title, f"{run}{svg(graph)}\n<ul>{legend}</ul>")


def page(title: str, body: str) -> str:
    """Return a page with a picture; `body` is HTML, the title is not."""
    heading = escape(label(title))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{heading}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{heading}</h1>\n{body}</body></html>"
    )


def _patch(of: Look) -> str:
    return f'<span style="background:{of.fill};border-color:{of.stroke}"></span>'
