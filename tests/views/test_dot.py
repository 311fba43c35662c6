"""Whatever a name is, the DOT text is one that Graphviz takes, and shows the name."""

import html
import json
import re
import shutil
import subprocess

import pytest
from graphs import TRICKY, graphs
from hypothesis import given

from liteflow.views.dot import dot, escaped
from liteflow.views.graph import Graph, GraphEdge, GraphNode
from liteflow.views.shown import label

STRING = r'"(?:[^"\\\n]|\\["\\n])*"'
SETTING = rf"[a-z]+=(?:{STRING}|[A-Za-z0-9]+)"
SETTINGS = rf"\[{SETTING}(?:, {SETTING})*\]"
LINE = re.compile(
    rf"digraph {{|}}|    (?:(?:graph|node|edge) {SETTINGS}|n\d+ {SETTINGS}|n\d+ -> n\d+(?: {SETTINGS})?)"
)

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz (dot) is not installed")


@given(graphs())
def test_every_line_is_one_of_the_few_that_we_write(graph):
    lines = dot(graph).split("\n")

    assert all(LINE.fullmatch(line) for line in lines), lines
    assert (lines[0], lines[-1]) == ("digraph {", "}")


@given(graphs())
def test_an_ampersand_is_always_written_as_an_entity(graph):
    assert not re.search("&(?!amp;)", dot(graph))


def test_a_backslash_cannot_begin_an_escape_of_graphviz():
    assert escaped(r"\N\G\l") == r"\\N\\G\\l"


def test_states_are_classes_and_colours_and_what_never_ran_is_dashed():
    nodes = (GraphNode("a", "a", 1, {"failed": 1}), GraphNode("b", "b", 1, {"upstream_failed": 1}))
    lines = dot(Graph("f", nodes, (GraphEdge(0, 1),))).splitlines()

    assert '    n0 [label="a", class="failed", fillcolor="#ffcdd2", color="#c62828"]' in lines
    assert any('class="upstream_failed"' in line and "dashed" in line for line in lines)
    assert "    n0 -> n1 [style=dashed]" in lines


@needs_dot
def test_graphviz_shows_the_names_as_they_are():
    names = [*TRICKY, "ordinary", "zwei\nzeilen"]
    graph = Graph(
        'title "x" \\N',
        tuple(GraphNode(n, n, 1, {"succeeded": 1}) for n in names),
        (GraphEdge(0, 1, ('"',)),),
    )

    done = subprocess.run(["dot", "-Tsvg"], input=dot(graph), capture_output=True, text=True, check=True)

    assert done.stderr == ""
    drawn = re.findall(r'<g id="node(\d+)" class="node succeeded">.*?</g>', done.stdout, re.DOTALL)
    assert len(drawn) == len(names)
    for number, name in enumerate(names, 1):
        node = re.search(rf'<g id="node{number}" .*?</g>', done.stdout, re.DOTALL)
        shown = "".join(re.findall(r"<text[^>]*>(.*?)</text>", node[0], re.DOTALL))
        assert html.unescape(shown).replace("\xa0", " ").strip() == label(name).strip(), json.dumps(name)
