"""A flow in the arrow language as a picture: blocks are groups, guards stand at edges, docs are notes."""

from __future__ import annotations

import json

from attrs import evolve

from liteflow.arrows.graph import CompiledFlow, Kind, Node, Region
from liteflow.views.svg import Box, Edge, Group


def drawn(flow: CompiledFlow) -> Group:
    """The picture of a flow.

    >>> from liteflow.arrows import compile_text
    >>> picture = drawn(compile_text("A → { B C } → ? `$.n` D"))
    >>> [type(item).__name__ for item in picture.items], [edge.label for edge in picture.edges]
    (['Box', 'Group', 'Box'], ['', '', '? $.n', ''])
    """
    group = _group(flow.root, 0, len(flow.root.nodes) - 1)
    return evolve(group, label=flow.name or "", note=_line(flow.doc))


def _group(region: Region, first: int, last: int) -> Group:
    """What lies between two nodes of a region: those that begin and end it."""
    items: list[Box | Group] = []
    edges: list[Edge] = []
    # The item that a node's value is, and that a node belongs to.
    number_of: dict[int, int] = {first: -1}
    places = []
    place = first + 1
    while place < last:
        node = region.nodes[place]
        end = node.partner if node.kind is Kind.ENTER else place
        places.append((place, node))
        number_of[place] = number_of[end] = len(items)
        items.append(_item(region, place, node))
        place = end + 1
    for number, (_, node) in enumerate(places):
        said = _said(node)
        for source in node.sources:
            edges.append(Edge(number_of[source], number, said))
            said = ""
    closing = region.nodes[last]
    merged = "merge" if closing.merge else ""
    for source in closing.sources:
        edges.append(Edge(number_of[source], len(items), merged))
        merged = ""
    loops = region.loops if first == 0 else ()
    edges += [Edge(number_of[loop.source], number_of[loop.target], back=True) for loop in loops]
    return Group(tuple(items), tuple(edges))


def _item(region: Region, place: int, node: Node) -> Box | Group:
    if node.kind is Kind.ENTER:
        return evolve(_group(region, place, node.partner), label=node.name)
    if node.region is None:
        return _box(node)
    inner = node.region
    if node.each and len(inner.nodes) == 3 and inner.nodes[1].number >= 0:
        box = _box(inner.nodes[1])
        guard = inner.nodes[1].guard
        asked = f" ? {guard.expression}" if guard is not None else ""
        return evolve(box, label=f"* {box.label}{asked}")
    group = _group(inner, 0, len(inner.nodes) - 1)
    return evolve(group, label=f"* {node.name}" if node.each else node.name)


def _box(node: Node) -> Box:
    if node.kind is Kind.LITERAL:
        return Box(json.dumps(node.value, ensure_ascii=False), "data")
    if node.kind is Kind.TASK:
        return Box(node.name, "step", _line(node.doc))
    return Box(f"<{node.name}>", "data")


def _said(node: Node) -> str:
    """What stands at the edges that lead to a node."""
    parts = ["merge"] if node.merge else []
    if node.guard is not None:
        parts.append(f"? {node.guard.expression}")
    return " ".join(parts)


def _line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]
