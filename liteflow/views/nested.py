"""A picture of boxes in boxes as Mermaid, DOT or lines of text; svg.py draws the same.

    Group --> numbered boxes, groups and notes --> text of the language

Each group has a point where it begins and one where it ends, so that what is said of the edges inside has an
edge to stand at.  Ids are ours (`n0`), and what people wrote is escaped as in mermaid.py and dot.py.

Source: https://mermaid.js.org/syntax/flowchart.html, https://graphviz.org/doc/info/lang.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count

from attrs import field, frozen

from liteflow.views import dot as dot_view
from liteflow.views import mermaid as mermaid_view
from liteflow.views.shown import label as shown
from liteflow.views.svg import Box, Edge, Group

_LINE = 60


@frozen
class _Placed:
    """A group with the ids of its points and of its items; an item is a box, or a group again.

    `notes` are those of the boxes, by their ids.
    """

    group: Group
    id: str
    items: tuple[tuple[str, Box] | _Placed, ...]
    notes: tuple[tuple[str, str], ...] = field(default=())

    def source(self, edge: Edge) -> str:
        """The id of what an edge comes from."""
        return f"{self.id}s" if edge.source < 0 else self._id(edge.source, "e")

    def target(self, edge: Edge) -> str:
        """The id of what an edge leads to."""
        if edge.target < 0:
            return f"{self.id}s"
        return f"{self.id}e" if edge.target >= len(self.items) else self._id(edge.target, "s")

    def _id(self, item: int, side: str) -> str:
        found = self.items[item]
        return f"{found.id}{side}" if isinstance(found, _Placed) else found[0]


def mermaid(group: Group) -> str:
    """Return the picture as a Mermaid flowchart.

    >>> print(mermaid(Group((Box("A"),), (Edge(-1, 0, "? $.n"), Edge(0, 1)))))
    flowchart LR
        g0s((" "))
        g0e((" "))
        n0["A"]
        g0s -->|"#63;#32;#36;#46;n"| n0
        n0 --> g0e
    """
    title = shown(_title(group), 200)
    # In quotes, as JSON has them, it is a text of YAML too.
    head = ["---", f"title: {json.dumps(title)}", "---"] if title else []
    return "\n".join([*head, "flowchart LR", *_mermaid(_placed(group), "    ")])


def dot(group: Group) -> str:
    """Return the picture as a DOT digraph.

    >>> print(dot(Group((Box("A"),), (Edge(-1, 0, "? $.n"), Edge(0, 1)))))
    digraph {
        graph [label="", labelloc=t, rankdir=LR, fontname="Helvetica"]
        node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica"]
        edge [color="#757575", fontname="Helvetica", fontsize=10]
        g0s [shape=point]
        g0e [shape=point]
        n0 [label="A"]
        g0s -> n0 [label="? $.n"]
        n0 -> g0e
    }
    """
    placed = _placed(group)
    title = dot_view.escaped(_title(group), 200)
    return "\n".join(
        [
            "digraph {",
            f'    graph [label="{title}", labelloc=t, rankdir=LR, fontname="Helvetica"]',
            '    node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica"]',
            '    edge [color="#757575", fontname="Helvetica", fontsize=10]',
            *_dot(placed, "    "),
            "}",
        ]
    )


def text(group: Group, *, ascii_only: bool = False) -> str:
    """Return the picture as lines: each item with what it waits for, and what is said of it.

    >>> edges = Edge(-1, 0), Edge(0, 1, "? $.n"), Edge(1, 2)
    >>> print(text(Group((Box("A", note="Begins"), Box("B")), edges)))
    A  # Begins
    B ← A  ? $.n
    (end) ← B
    """
    title = [
        *([shown(group.label)] if group.label else []),
        *([f"# {shown(group.note)}"] if group.note else []),
    ]
    lines = [*(["  ".join(title)] if title else []), *_lines(group, "  " if title else "")]
    joined = "\n".join(lines)
    return joined.replace("←", "<-").encode("ascii", "replace").decode() if ascii_only else joined


# --- how -----------------------------------------------------------------------------------


def _placed(group: Group) -> _Placed:
    boxes, groups = count(), count()

    def place(one: Group) -> _Placed:
        own = f"g{next(groups)}"
        items: list[tuple[str, Box] | _Placed] = []
        notes = []
        for item in one.items:
            if isinstance(item, Group):
                items.append(place(item))
                continue
            number = f"n{next(boxes)}"
            items.append((number, item))
            if item.note:
                notes.append((number, item.note))
        return _Placed(one, own, tuple(items), tuple(notes))

    return place(group)


def _mermaid(placed: _Placed, indent: str) -> Iterator[str]:
    escaped = mermaid_view.escaped
    yield f'{indent}{placed.id}s((" "))'
    yield f'{indent}{placed.id}e((" "))'
    for item in placed.items:
        if isinstance(item, _Placed):
            title = escaped(_title(item.group) or " ")
            yield f'{indent}subgraph {item.id}["{title}"]'
            yield from _mermaid(item, indent + "    ")
            yield f"{indent}end"
        else:
            opens, closes = ("[", "]") if item[1].kind == "step" else ("[/", "/]")
            yield f'{indent}{item[0]}{opens}"{escaped(item[1].label)}"{closes}'
    for of, note in placed.notes:
        yield f'{indent}{of}d>"{escaped(note)}"]'
        yield f"{indent}{of} -.- {of}d"
    for edge in placed.group.edges:
        arrow = "-.->" if edge.back else "-->"
        said = f'|"{escaped(edge.label)}"| ' if edge.label else " "
        yield f"{indent}{placed.source(edge)} {arrow}{said}{placed.target(edge)}"


def _dot(placed: _Placed, indent: str) -> Iterator[str]:
    escaped = dot_view.escaped
    yield f"{indent}{placed.id}s [shape=point]"
    yield f"{indent}{placed.id}e [shape=point]"
    for item in placed.items:
        if isinstance(item, _Placed):
            yield f"{indent}subgraph cluster_{item.id} {{"
            title = escaped(_title(item.group))
            yield f'{indent}    graph [label="{title}", style=dashed, color="#9a9a90"]'
            yield from _dot(item, indent + "    ")
            yield f"{indent}}}"
        else:
            looks = "" if item[1].kind == "step" else ', fillcolor="#eef4fb"'
            yield f'{indent}{item[0]} [label="{escaped(item[1].label)}"{looks}]'
    for of, note in placed.notes:
        yield f'{indent}{of}d [label="{escaped(note)}", shape=note, style="", fontsize=10]'
        yield f"{indent}{of} -> {of}d [style=dotted, arrowhead=none]"
    for edge in placed.group.edges:
        settings = [f'label="{escaped(edge.label)}"'] if edge.label else []
        settings += ["style=dashed", "constraint=false"] if edge.back else []
        said = f" [{', '.join(settings)}]" if settings else ""
        yield f"{indent}{placed.source(edge)} -> {placed.target(edge)}{said}"


def _lines(group: Group, indent: str) -> Iterator[str]:
    names = [_name(item) for item in group.items]

    def name(number: int, outside: str) -> str:
        return names[number] if 0 <= number < len(names) else outside

    for number, item in enumerate(group.items):
        yield (
            indent
            + names[number]
            + _said(group, number, name)
            + (f"  # {shown(item.note)}" if item.note else "")
        )
        if isinstance(item, Group):
            yield from _lines(item, indent + "  ")
    ends = _said(group, len(names), name)
    if ends:
        yield f"{indent}(end){ends}"
    if any(edge.target < 0 for edge in group.edges):
        yield f"{indent}(start){_said(group, -1, name)}"


def _said(group: Group, number: int, name: Callable[[int, str], str]) -> str:
    """What leads to an item, and under which condition."""
    edges = [edge for edge in group.edges if edge.target == number]
    sources = [name(edge.source, "(start)") + (" (again)" if edge.back else "") for edge in edges]
    conditions = " ".join(shown(edge.label, _LINE) for edge in edges if edge.label)
    waits = "" if sources in ([], ["(start)"]) else f" ← {', '.join(sources)}"
    return waits + (f"  {conditions}" if conditions else "")


def _title(group: Group) -> str:
    return ": ".join(filter(None, (group.label, group.note)))


def _name(item: Box | Group) -> str:
    if isinstance(item, Box):
        return shown(item.label)
    return f"{{{shown(item.label)}}}" if item.label else "{block}"
