"""A graph is what there is to draw; folding keeps the counts and loses the detail."""

from collections import Counter

from graphs import chain, graphs, layers
from hypothesis import given

from liteflow.views.graph import Graph, GraphEdge, GraphNode, fold


def test_where_every_task_is_called_once_there_is_nothing_to_fold():
    graph = layers(1, 1, 1)
    assert fold(graph) == graph


def test_instances_of_one_task_at_one_depth_become_one_node():
    folded = fold(layers(20, 100, 1))

    assert [node.label for node in folded.nodes] == ["t0 ×20", "t1 ×100", "t2-0"]
    assert [(edge.source, edge.target, edge.parameters) for edge in folded.edges] == [
        (0, 1, ("xs",)),
        (1, 2, ("xs",)),
    ]


def test_a_long_chain_of_one_task_becomes_one_node_without_an_edge_to_itself():
    folded = fold(chain(1000))

    assert [node.count for node in folded.nodes] == [1000]
    assert folded.edges == ()


def test_tasks_that_alternate_in_a_chain_become_one_node_each():
    nodes = tuple(GraphNode(f"k{i}", "ab"[i % 2]) for i in range(100))
    edges = tuple(GraphEdge(i, i + 1, ("x",)) for i in range(99))

    folded = fold(Graph("loop", nodes, edges), 5, 5)

    assert {(edge.source, edge.target) for edge in folded.edges} == {(0, 1), (1, 0)}


def test_a_folded_node_says_how_many_are_in_which_state_and_shows_the_worst():
    nodes = tuple(GraphNode(f"t-{i}", "t", 1, {"failed" if i == 3 else "succeeded": 1}) for i in range(10))

    (node,) = fold(Graph("f", nodes, ()), 1, 1).nodes

    assert dict(node.states) == {"succeeded": 9, "failed": 1}
    assert node.state == "failed"


def test_a_chain_of_a_hundred_thousand_is_folded_without_recursion():
    assert fold(chain(100_000), 5, 5).instances == 100_000


@given(graphs())
def test_folding_loses_no_task_instance_and_no_state(graph):
    folded = fold(graph, 2, 2)

    assert folded.instances == graph.instances
    assert _states(folded) == _states(graph)
    assert all(0 <= end < len(folded.nodes) for edge in folded.edges for end in (edge.source, edge.target))


@given(graphs())
def test_an_edge_always_leads_deeper(graph):
    depths = graph.depths()
    assert all(depths[edge.source] < depths[edge.target] for edge in graph.edges)


def test_a_cycle_in_a_damaged_file_does_not_hang():
    graph = Graph("f", (GraphNode("a", "a"), GraphNode("b", "b")), (GraphEdge(0, 1), GraphEdge(1, 0)))
    assert len(graph.depths()) == 2


def test_a_wide_graph_is_drawn_from_left_to_right():
    assert layers(1, 3, 1).downwards
    assert not layers(1, 100, 1).downwards
    assert chain(100).downwards


def _states(graph):
    states = Counter()
    for node in graph.nodes:
        states.update(node.states)
    return states
