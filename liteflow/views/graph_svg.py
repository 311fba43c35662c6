"""A graph as SVG, drawn here: no Graphviz, no network, no script in it.

    layers    a node stands below all that it waits for; an edge that passes a layer has a place there
    order     in each layer places are sorted by the middle of their neighbours, up and down a few times
    places    columns are as wide as their widest node, and layers are centred
    lines     edges are curves from place to place

Source of the method: K. Sugiyama, S. Tagawa, M. Toda, Methods for Visual Understanding of Hierarchical
System Structures, IEEE Transactions on Systems, Man, and Cybernetics 11(2), 1981.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise

from attrs import define, field, frozen

from liteflow.views.graph import Graph, GraphNode
from liteflow.views.shown import label
from liteflow.views.states import look, shown_state, state_class, tally

HEIGHT, GAP, BETWEEN, MARGIN = 34.0, 26.0, 46.0, 16.0
"""Of a node; between neighbours, between layers, around the picture; in pixels."""

_CHARACTER = 7.3
_THIN = 8.0
_SWEEPS = 6
# A graph with more edges than this says nothing at them, as in mermaid.
MAX_LABELLED_EDGES = 60
_FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"


@define
class _Place:
    """A node, or where an edge passes a layer (`node` is None)."""

    node: int | None
    layer: int
    along: float
    """How much room it takes in its layer."""
    across: float
    """How much in the direction of the layers."""
    above: list[int] = field(factory=list)
    below: list[int] = field(factory=list)
    at: float = 0.0
    """Where its middle is in its layer."""
    top: float = 0.0
    """Where it begins in the direction of the layers."""


@frozen
class _Layout:
    places: Sequence[_Place]
    ways: Sequence[tuple[int, ...]]
    """Of each edge of the graph, the places that it goes through."""
    along: float
    across: float


def svg(graph: Graph, link: Callable[[GraphNode], str | None] = lambda _node: None) -> str:
    """Return the graph as the text of an SVG picture.

    Args:
        graph: What to draw.
        link: Gives where a node leads to; an address of ours, with nothing of the data in it.

    >>> from liteflow.views.graph import GraphEdge
    >>> picture = svg(Graph("etl", (GraphNode("a", "a"), GraphNode("b<c", "b")), (GraphEdge(0, 1),)))
    >>> picture.startswith("<svg "), "b&lt;c" in picture
    (True, True)
    """
    down = graph.downwards
    layout = _laid_out(graph, down)
    wide, high = (layout.along, layout.across) if down else (layout.across, layout.along)
    run = f" · run {label(graph.run)} · {shown_state(graph.state)}" if graph.run else ""
    title = label(graph.title) + run
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="0 0 {wide:.0f} {high:.0f}" font-family="{_FONT}" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0.5 8 4 0 7.5z" fill="#616161"/></marker></defs>',
        f'<rect width="{wide:.0f}" height="{high:.0f}" fill="#ffffff" class="paper"/>',
        *_edges(graph, layout, down),
        *(_linked(graph.nodes[p.node], p, down, link) for p in layout.places if p.node is not None),
        "</svg>",
    ]
    return "\n".join(lines)


# --- where everything is -------------------------------------------------------------------


def _laid_out(graph: Graph, down: bool) -> _Layout:
    depths = graph.depths()
    places = [
        _Place(number, depth, *_size(node, down))
        for number, (node, depth) in enumerate(zip(graph.nodes, depths, strict=True))
    ]
    ways = []
    for edge in graph.edges:
        way = [edge.source]
        # In a damaged file edges may lead upwards: those go straight.
        for passed in range(depths[edge.source] + 1, depths[edge.target]):
            places.append(_Place(None, passed, _THIN, 0.0))
            way.append(len(places) - 1)
        way.append(edge.target)
        ways.append(tuple(way))
        for source, target in pairwise(way):
            places[source].below.append(target)
            places[target].above.append(source)
    layers: list[list[int]] = [[] for _ in range(max(depths, default=-1) + 1)]
    for number, place in enumerate(places):
        layers[place.layer].append(number)
    _sort(layers, places)
    _spread(layers, places)
    across = MARGIN
    for layer in layers:
        deep = max(places[one].across for one in layer) if layer else 0.0
        for one in layer:
            if places[one].node is None:
                # Straight on beside the nodes, and not over their corners.
                places[one].across = deep
            places[one].top = across + (deep - places[one].across) / 2
        across += deep + BETWEEN
    along = max((p.at + p.along / 2 for p in places), default=0.0) + MARGIN
    return _Layout(places, ways, max(along, 80.0), max(across - BETWEEN + MARGIN, 40.0))


def _size(node: GraphNode, down: bool) -> tuple[float, float]:
    wide = max(60.0, 22.0 + _CHARACTER * max(map(len, _lines(node))))
    high = HEIGHT + 16.0 * (len(_lines(node)) - 1)
    return (wide, high) if down else (high, wide)


def _sort(layers: list[list[int]], places: Sequence[_Place]) -> None:
    """Put each place near the middle of its neighbours, down and up by turns."""
    rank: dict[int, float] = {}
    for layer in layers:
        rank.update((number, float(i)) for i, number in enumerate(layer))
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            middles = {}
            for number in layer:
                near = places[number].above if downwards else places[number].below
                middles[number] = sum(rank[n] for n in near) / len(near) if near else rank[number]
            layer.sort(key=lambda number, of=middles: of[number])  # type: ignore[misc]  # bound on purpose
            rank.update((number, float(i)) for i, number in enumerate(layer))


def _spread(layers: list[list[int]], places: Sequence[_Place]) -> None:
    """Give each layer its positions: packed and centred, then pulled towards the neighbours above."""
    widths = [sum(places[n].along for n in layer) + GAP * (len(layer) - 1) for layer in layers]
    widest = max(widths, default=0.0)
    for layer, width in zip(layers, widths, strict=True):
        at = MARGIN + (widest - width) / 2
        for number in layer:
            places[number].at = at + places[number].along / 2
            at += places[number].along + GAP
    for layer in layers[1:]:
        wished = [
            sum(places[n].at for n in places[number].above) / len(places[number].above)
            if places[number].above
            else places[number].at
            for number in layer
        ]
        _settle([places[number] for number in layer], wished, MARGIN, MARGIN + widest)


def _settle(layer: Sequence[_Place], wished: Sequence[float], first: float, last: float) -> None:
    """Move places to where they wish to be, as far as they keep their order and their distance."""
    edge = first
    for place, wish in zip(layer, wished, strict=True):
        place.at = max(wish, edge + place.along / 2)
        edge = place.at + place.along / 2 + GAP
    edge = last
    for place in reversed(layer):
        place.at = min(place.at, edge - place.along / 2)
        edge = place.at - place.along / 2 - GAP


# --- what is drawn -------------------------------------------------------------------------


def _edges(graph: Graph, layout: _Layout, down: bool) -> Iterable[str]:
    labelled = len(graph.edges) <= MAX_LABELLED_EDGES
    for edge, way in zip(graph.edges, layout.ways, strict=True):
        first, *passed, last = (layout.places[number] for number in way)
        points = [(first.at, first.top + first.across)]
        for place in passed:
            points += [(place.at, place.top), (place.at, place.top + place.across)]
        points.append((last.at, last.top))
        dashes = "" if edge.parameters else ' stroke-dasharray="4 3"'
        curve = _curve(points, down)
        yield f'<path d="{curve}" fill="none" stroke="#616161"{dashes} marker-end="url(#arrow)"/>'
        if labelled and edge.said:
            (at, top), (to, end) = points[0], points[1]
            x, y = _turned((at + to) / 2, (top + end) / 2, down)
            text = escape(label(", ".join(edge.said), 24))
            yield (
                f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="11" fill="#424242" '
                f'stroke="#ffffff" stroke-width="3" paint-order="stroke">{text}</text>'
            )


def _curve(points: Sequence[tuple[float, float]], down: bool) -> str:
    parts = ["M{:.1f} {:.1f}".format(*_turned(*points[0], down))]
    for (at, top), (to, end) in pairwise(points):
        half = (top + end) / 2
        corners = (_turned(at, half, down), _turned(to, half, down), _turned(to, end, down))
        parts.append("C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in corners))
    return " ".join(parts)


def _turned(along: float, across: float, down: bool) -> tuple[float, float]:
    return (along, across) if down else (across, along)


def _linked(node: GraphNode, place: _Place, down: bool, link: Callable[[GraphNode], str | None]) -> str:
    to = link(node)
    drawn = _node(node, place, down)
    return drawn if to is None else f'<a href="{escape(to)}">{drawn}</a>'


def _node(node: GraphNode, place: _Place, down: bool) -> str:
    of = look(node.state) if node.states else None
    fill, stroke = (of.fill, of.stroke) if of is not None else ("#eceff1", "#546e7a")
    dashes = ' stroke-dasharray="4 3"' if of is not None and of.dashed else ""
    x, y = _turned(place.at - place.along / 2, place.top, down)
    wide, high = _turned(place.along, place.across, down)
    lines = _lines(node)
    first = y + high / 2 + 4.5 - 8.0 * (len(lines) - 1)
    texts = "".join(
        f'<text x="{x + wide / 2:.1f}" y="{first + 16.0 * i:.1f}" text-anchor="middle" '
        f'font-size="{11 if i else 13}" fill="#1b1b1b">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    about = escape(label(node.key, 200) + (f": {tally(node.states)}" if node.states else ""))
    return (
        f'<g class="{state_class(node.state)}"><title>{about}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" '
        f'rx="6" fill="{fill}" stroke="{stroke}"{dashes}/>{texts}</g>'
    )


def _lines(node: GraphNode) -> list[str]:
    lines = [label(node.label, 32)]
    if node.count > 1 and node.states:
        lines.append(label(tally(node.states), 40))
    return lines
