"""Whatever a name is, the Mermaid text is one that Mermaid takes, and shows the name.

The grammar here is stricter than Mermaid's: labels hold letters, digits, numbered entities and
what is known to mean nothing.  That Mermaid 10.9, 11.0, 11.4 and 11.17 draw such labels as they
are meant was tried with a browser.
"""

import html
import re

import pytest
from graphs import TRICKY, graphs, layers
from hypothesis import given

from liteflow.views.graph import Graph, GraphEdge, GraphNode
from liteflow.views.mermaid import escaped, mermaid
from liteflow.views.shown import label
from liteflow.views.states import LOOKS

TEXT = r"(?:[^\W_]|(?<=[^\W_])[-_](?=[^\W_])|#\d+;)+"
COUNT = rf"\d+#160;(?:{'|'.join(LOOKS)}|#63;)"
LABEL = rf"{TEXT}(?: #215;\d+)?(?:<br/>{COUNT}(?:, {COUNT})*)?"
CLASSES = "|".join([*LOOKS, "unknown"])
COLOUR = "#[0-9a-f]{6}"
LINES = [
    r"flowchart (TD|LR)",
    rf' {{4}}n\d+\["{LABEL}"\](:::({CLASSES}))?',
    rf' {{4}}n\d+ -->(\|"{TEXT}(, {TEXT})*"\|)? n\d+',
    r" {4}n\d+ -\.-> n\d+",
    rf" {{4}}classDef ({CLASSES}) fill:{COLOUR},stroke:{COLOUR},color:{COLOUR}(,stroke-dasharray:4 3)?",
]
LINE = re.compile("|".join(LINES))


def meant(text):
    """What Mermaid shows for an escaped label."""
    return html.unescape(re.sub(r"#(\d+);", r"&#\1;", text)).replace("\u200b", "")


@given(graphs())
def test_every_line_is_one_of_the_few_that_we_write(graph):
    lines = mermaid(graph).split("\n")

    assert all(LINE.fullmatch(line) for line in lines), lines
    assert lines[0].startswith("flowchart ")


@given(graphs())
def test_no_letter_of_a_name_can_be_read_as_mermaids_own_notation(graph):
    assert not set(mermaid(graph)) & set("ﬂß`%;@{}$") - {";"}


def test_mermaids_own_notation_is_broken_up_even_as_numbers():
    # It decodes twice: #64258;#176;60#182;#223; came out as a live "<".
    assert escaped("ﬂ°60¶ßb") == "#64258;#8203;#176;60#182;#8203;#223;b"


@pytest.mark.parametrize("name", TRICKY)
def test_a_name_is_shown_as_it_is(name):
    assert meant(escaped(name)) == (label(name) or "?")


def test_ids_are_ours_and_edges_use_them():
    graph = Graph("f", (GraphNode("end", "end"), GraphNode("click", "click")), (GraphEdge(0, 1, ("style",)),))

    assert mermaid(graph).splitlines() == [
        "flowchart TD",
        '    n0["end"]',
        '    n1["click"]',
        '    n0 -->|"style"| n1',
    ]


def test_an_edge_that_only_orders_is_dotted():
    graph = Graph("f", (GraphNode("a", "a"), GraphNode("b", "b")), (GraphEdge(0, 1),))
    assert "    n0 -.-> n1" in mermaid(graph).splitlines()


def test_each_state_is_a_class_with_a_colour_and_no_other_class_is_defined():
    nodes = tuple(GraphNode(s, s, 1, {s: 1}) for s in ("failed", "succeeded"))
    lines = mermaid(Graph("f", nodes, ())).splitlines()

    assert '    n0["failed"]:::failed' in lines
    assert [line.split()[1] for line in lines if "classDef" in line] == ["failed", "succeeded"]


def test_a_state_that_no_liteflow_wrote_is_unknown():
    graph = Graph("f", (GraphNode("a", "a", 1, {"x]\nclick n0 evil": 1}),), ())
    assert '    n0["a"]:::unknown' in mermaid(graph).splitlines()


def test_a_crowd_of_edges_has_no_labels():
    assert "|" not in mermaid(layers(10, 10))
    assert "|" in mermaid(layers(3, 3))
