"""Pictures drawn without Graphviz: whole, harmless, and with lines that pass beside boxes."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liteflow.views.graph import Graph, GraphEdge, GraphNode
from liteflow.views.graph_svg import svg
from liteflow.views.html import html
from liteflow.views.states import LOOKS

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+\.\d")


def graph(names, edges, states=None):
    nodes = tuple(GraphNode(name, name, states={states[name]: 1} if states else {}) for name in names)
    return Graph("etl", nodes, tuple(GraphEdge(s, t, ("rows",)) for s, t in edges))


def boxes(picture):
    found = ElementTree.fromstring(picture).iter(f"{SVG}g")
    rects = [next(group.iter(f"{SVG}rect")) for group in found]
    return [tuple(float(rect.get(name)) for name in ("x", "y", "width", "height")) for rect in rects]


def points(picture):
    """The places that each line passes through."""
    for path in ElementTree.fromstring(picture).findall(f"{SVG}path"):
        numbers = list(map(float, NUMBER.findall(path.get("d"))))
        yield list(zip(numbers[::2], numbers[1::2], strict=True))[::3]


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    names = [draw(st.text(max_size=12)) + str(number) for number in range(count)]
    pairs = [(s, t) for t in range(count) for s in range(t)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20)) if pairs else []
    return graph(names, edges, dict.fromkeys(names, draw(st.sampled_from(list(LOOKS)))))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_graph_is_a_whole_picture_whose_boxes_lie_apart_and_inside(drawn):
    picture = svg(drawn)

    root = ElementTree.fromstring(picture)
    wide, high = float(root.get("width")), float(root.get("height"))
    found = boxes(picture)
    assert len(found) == len(drawn.nodes)
    assert len(root.findall(f"{SVG}path")) == len(drawn.edges)
    for number, (x, y, w, h) in enumerate(found):
        assert 0 <= x <= x + w <= wide + 1
        assert 0 <= y <= y + h <= high + 1
        for left, top, width, height in found[:number]:
            assert x + w <= left or left + width <= x or y + h <= top or top + height <= y


def test_a_line_that_passes_a_layer_passes_beside_its_boxes():
    picture = svg(graph("abcd", [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3)]))

    found = boxes(picture)
    for line in points(picture):
        for (x, y), (to, end) in pairwise(line):
            middle = (x + to) / 2, (y + end) / 2
            inside = [b for b in found if b[0] < middle[0] < b[0] + b[2] and b[1] < middle[1] < b[1] + b[3]]
            assert not inside


@pytest.mark.parametrize("draw", [svg, html])
def test_no_name_is_more_than_text_in_a_picture(draw):
    hostile = "<script>alert(1)</script>\"'&\x1b[2J\u202e"
    written = draw(
        Graph(hostile, (GraphNode(hostile, hostile), GraphNode("b", "b")), (GraphEdge(0, 1, (hostile,)),))
    )

    assert "<script" not in written
    assert "\x1b" not in written
    assert "\u202e" not in written


def test_a_page_shows_the_run_and_says_what_its_colours_mean():
    drawn = graph("ab", [(0, 1)], {"a": "succeeded", "b": "failed"})
    page = html(Graph("etl", drawn.nodes, drawn.edges, run="3f2a", state="failed"))

    assert "run 3f2a: failed" in page
    assert re.findall(r"</span>(\w+)</li>", page) == [s for s in LOOKS if s in ("succeeded", "failed")]
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_values_of_a_workflow_file_have_no_name_in_a_picture():
    picture = svg(Graph("w", (GraphNode("a", "a"), GraphNode("b", "b")), (GraphEdge(0, 1, ("_values",)),)))

    assert "_values" not in picture
    assert "stroke-dasharray" not in picture
