"""A graph as text: a line for each task instance, inputs after the arrow."""

from graphs import chain, graphs, layers
from hypothesis import given

from liteflow.views.graph import Graph, GraphEdge, GraphNode, fold
from liteflow.views.text import text


def test_a_run_reads_from_top_to_bottom():
    nodes = (
        GraphNode("load", "load", 1, {"upstream_failed": 1}),
        GraphNode("extract", "extract", 1, {"succeeded": 1}),
        GraphNode("transform", "transform", 1, {"failed": 1}),
    )
    edges = (GraphEdge(1, 2, ("rows",)), GraphEdge(2, 0, ("values",)), GraphEdge(1, 0))

    assert text(Graph("etl", nodes, edges, "3f2a", "failed")) == (
        "etl · run 3f2a · failed · 3 task instances\n"
        "  ✓ extract     succeeded\n"
        "  ✗ transform   failed            rows ← extract\n"
        "  ⊘ load        upstream_failed   values ← transform; after extract"
    )


def test_a_flow_that_has_not_run_has_no_states():
    graph = Graph("etl", (GraphNode("a", "a"), GraphNode("b", "b")), (GraphEdge(0, 1, ("x", "y")),))
    assert text(graph) == "etl · 2 task instances\n  a\n  b   x, y ← a"


def test_of_many_inputs_some_are_named():
    last = text(layers(50, 1)).splitlines()[-1]
    assert last.endswith("xs ← t0-0, t0-1, t0-2, t0-3 and 46 more")


def test_a_folded_graph_counts():
    assert text(fold(chain(9), 1)).splitlines()[1] == "  ✓ step ×9   9 succeeded"


@given(graphs())
def test_plain_ascii_is_plain_ascii(graph):
    assert text(graph, ascii_only=True).isascii()


@given(graphs())
def test_there_is_a_line_for_each_node_and_nothing_that_moves_the_cursor(graph):
    lines = text(graph).split("\n")

    assert len(lines) == 1 + len(graph.nodes)
    assert all(line.isprintable() for line in lines)
