"""A picture of boxes in boxes as SVG, with no other program's help.

    Group of boxes and groups, edges --ranks--> columns --sizes--> places --> text

Each group is laid out by itself: what waits for nothing stands in its first column, everything else one
column behind the last that it waits for; then the group is one box in the group around it.

Source: https://www.w3.org/TR/SVG2/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from attrs import frozen

from liteflow.views.shown import label as shown

# Pixels; a character of the font is about so wide.
_CHARACTER = 7.2
_LINE = 16
_PAD = 12
_GAP_X, _GAP_Y = 56, 18
_HEAD = 20

_STYLE = (
    "text{font:12px Helvetica,Arial,sans-serif;fill:#1b1b1b}"
    ".step rect{fill:#fff;stroke:#1b1b1b}.data rect{fill:#eef4fb;stroke:#4a7ebb}"
    ".group>rect{fill:#f7f7f4;stroke:#9a9a90;stroke-dasharray:4 3}"
    ".edge{fill:none;stroke:#757575}.back{stroke:#b5530a;stroke-dasharray:5 4}"
    ".guard{fill:#b5530a;font-size:11px}.note{fill:#55554d;font-size:11px;font-style:italic}"
    ".end{fill:#1b1b1b}"
)


@frozen
class Box:
    """A box with a name; `kind` is step or data, `note` what is to be said of it."""

    label: str
    kind: str = "step"
    note: str = ""


@frozen
class Edge:
    """An arrow between items by their numbers: -1 is the group's start, their count its end.

    `back`: it leads back to what has been before.
    """

    source: int
    target: int
    label: str = ""
    back: bool = False


@frozen
class Group:
    """Boxes and groups, and the edges between them."""

    items: tuple[Box | Group, ...]
    edges: tuple[Edge, ...]
    label: str = ""
    note: str = ""


@frozen
class _Laid:
    """A group with places: `corners` are those of its items, from its own."""

    width: float
    height: float
    corners: tuple[tuple[float, float], ...]
    sizes: tuple[tuple[float, float], ...]


def svg(group: Group) -> str:
    """Draw a group.

    >>> svg(Group((Box("A"), Box("B")), (Edge(-1, 0), Edge(0, 1), Edge(1, 2)))).count("<rect")
    2
    """
    laid = _laid(group, outermost=True)
    # What leads back to the start comes from its left.
    left = 3 * _PAD
    width, height = laid.width + left + _PAD, laid.height + 2 * _PAD
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="{-left} {-_PAD} {width:g} {height:g}" role="img">',
        f"<title>{_text(group.label or 'flow', 200)}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#757575"/></marker></defs>',
        *_inside(group, laid, 0.0, 0.0, outermost=True),
        "</svg>",
    ]
    return "\n".join(lines)


# --- places --------------------------------------------------------------------------------


def ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """The column of each item: one behind the last that it waits for.

    >>> ranks(3, [Edge(-1, 0), Edge(0, 2), Edge(-1, 1), Edge(1, 2)])
    [0, 0, 1]
    """
    after: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for edge in edges:
        if not edge.back and edge.source >= 0 and edge.target < count:
            after[edge.source].append(edge.target)
            waiting[edge.target] += 1
    found = [0] * count
    order = [item for item in range(count) if not waiting[item]]
    # The list is the queue: it grows while we go along it.
    for item in order:
        for target in after[item]:
            found[target] = max(found[target], found[item] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return found


def _size(item: Box | Group) -> tuple[float, float]:
    if isinstance(item, Group):
        laid = _laid(item)
        return laid.width, laid.height
    wide = max(len(shown(item.label)), len(shown(item.note, 40)))
    return max(40.0, wide * _CHARACTER + 2 * _PAD), _LINE * (2 if item.note else 1) + _PAD


def _laid(group: Group, outermost: bool = False) -> _Laid:
    sizes = [_size(item) for item in group.items]
    columns: dict[int, list[int]] = {}
    for item, rank in enumerate(ranks(len(group.items), group.edges)):
        columns.setdefault(rank, []).append(item)
    before: list[list[int]] = [[] for _ in sizes]
    for edge in group.edges:
        if not edge.back and edge.source >= 0 and edge.target < len(sizes):
            before[edge.target].append(edge.source)
    head = 0 if outermost and not group.label else _HEAD + (_LINE if group.note else 0)
    corners = [(0.0, 0.0)] * len(sizes)
    x, bottom = 0.0, float(head)
    for rank in range(len(columns)):
        column = columns[rank]
        x += _room(group.edges, column)
        y = float(head)
        # Each as high as what leads to it, if there is room: then what passes it by passes beside it.
        wanted = {i: _height_of(before[i], corners, sizes) - sizes[i][1] / 2 for i in column}
        for item in sorted(column, key=lambda i: (wanted[i], i)):
            y = max(y, wanted[item])
            corners[item] = (x, y)
            y += sizes[item][1] + _GAP_Y
        bottom = max(bottom, y - _GAP_Y)
        x += max(sizes[i][0] for i in column)
    foot = 26 if any(edge.back for edge in group.edges) else 0
    title = max(len(shown(group.label)), len(shown(group.note, 60))) * _CHARACTER + _PAD
    return _Laid(max(x + _GAP_X, title), bottom + _PAD + foot, tuple(corners), tuple(sizes))


def _height_of(
    before: Sequence[int], corners: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]]
) -> float:
    """The middle of what leads to an item; 0 if nothing does."""
    if not before:
        return 0.0
    return sum(corners[i][1] + sizes[i][1] / 2 for i in before) / len(before)


def _room(edges: Sequence[Edge], column: Sequence[int]) -> float:
    """How wide the gap before a column is: what is said of the edges that lead there stands in it."""
    longest = max((len(shown(edge.label, 40)) for edge in edges if edge.target in column), default=0)
    return _GAP_X + longest * _CHARACTER * 0.9


# --- text ----------------------------------------------------------------------------------


def _inside(group: Group, laid: _Laid, x: float, y: float, outermost: bool = False) -> Iterator[str]:
    """A group, `x` and `y` its upper left corner."""
    yield '<g class="group">'
    if not outermost:
        yield f'<rect x="{x:g}" y="{y:g}" width="{laid.width:g}" height="{laid.height:g}" rx="6"/>'
    if group.label:
        yield f'<text x="{x + 8:g}" y="{y + 14:g}">{_text(group.label)}</text>'
    if group.note:
        yield f'<text class="note" x="{x + 8:g}" y="{y + 30:g}">{_text(group.note)}</text>'
    places = [(x + cx, y + cy, *size) for (cx, cy), size in zip(laid.corners, laid.sizes, strict=True)]
    middle = _middle(places, y, laid)
    for edge in group.edges:
        yield from _edge(edge, places, (x, middle, laid.width), y + laid.height)
    if outermost:
        yield f'<circle class="end" cx="{x:g}" cy="{middle:g}" r="5"/>'
        yield f'<circle class="end" cx="{x + laid.width:g}" cy="{middle:g}" r="5"/>'
    for item, place in zip(group.items, places, strict=True):
        if isinstance(item, Group):
            yield from _inside(item, _laid(item), place[0], place[1])
        else:
            yield from _box(item, place)
    yield "</g>"


def _middle(places: Sequence[tuple[float, float, float, float]], y: float, laid: _Laid) -> float:
    if not places:
        return y + laid.height / 2
    return (min(p[1] for p in places) + max(p[1] + p[3] for p in places)) / 2


def _box(item: Box, place: tuple[float, float, float, float]) -> Iterator[str]:
    x, y, width, height = place
    yield f'<g class="{item.kind}"><rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>'
    at = f'x="{x + width / 2:g}" text-anchor="middle"'
    yield f'<text {at} y="{y + 18:g}">{_text(item.label)}</text>'
    if item.note:
        yield f'<text class="note" {at} y="{y + 34:g}">{_text(item.note, 40)}</text>'
    yield "</g>"


def _edge(
    edge: Edge,
    places: Sequence[tuple[float, float, float, float]],
    around: tuple[float, float, float],
    bottom: float,
) -> Iterator[str]:
    """An arrow; `around` is the left side of the group, its middle, and its width."""
    left, middle, width = around
    x1, y1 = (left, middle)
    if edge.source >= 0:
        x, y, w, h = places[edge.source]
        x1, y1 = x + w, y + h / 2
    x2, y2 = (left + width, middle)
    if 0 <= edge.target < len(places):
        x, y, _, h = places[edge.target]
        x2, y2 = x, y + h / 2
    elif edge.target < 0:
        x2, y2 = left, middle
    if edge.back:
        low = bottom - 8
        path = f"M{x1:g} {y1:g}C{x1 + 30:g} {y1:g} {x1 + 30:g} {low:g} {x1:g} {low:g}"
        path += f"L{x2:g} {low:g}C{x2 - 30:g} {low:g} {x2 - 30:g} {y2:g} {x2:g} {y2:g}"
        yield f'<path class="edge back" d="{path}" marker-end="url(#tip)"/>'
    else:
        yield f'<path class="edge" d="{_way(places, x1, y1, x2, y2)}" marker-end="url(#tip)"/>'
    if edge.label:
        at = f'x="{x2 - 8:g}" y="{y2 - 5:g}" text-anchor="end"'
        yield f'<text class="guard" {at}>{_text(edge.label, 40)}</text>'


def _way(
    places: Sequence[tuple[float, float, float, float]], x1: float, y1: float, x2: float, y2: float
) -> str:
    """The path of an arrow: on at its own height, past what stands between, or above it."""
    between = [place for place in places if x1 < place[0] and place[0] + place[2] < x2]
    in_the_way = [y for _, y, _, height in between if y <= y1 <= y + height]
    turn = min(28.0, (x2 - x1) / 2)
    if in_the_way:
        turn, high = turn / 2, min(in_the_way) - 8
        path = f"M{x1:g} {y1:g}C{x1 + turn:g} {y1:g} {x1 + turn:g} {high:g} {x1 + 2 * turn:g} {high:g}"
        near = x2 - 2 * turn
        return f"{path}L{near:g} {high:g}C{near + turn:g} {high:g} {near + turn:g} {y2:g} {x2:g} {y2:g}"
    near = x2 - 2 * turn if between else x1
    path = f"M{x1:g} {y1:g}L{near:g} {y1:g}C{near + turn:g} {y1:g} {near + turn:g} {y2:g} "
    return f"{path}{near + 2 * turn:g} {y2:g}L{x2:g} {y2:g}"


def _text(text: str, limit: int = 60) -> str:
    return escape(shown(text, limit))
