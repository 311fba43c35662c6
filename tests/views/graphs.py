"""Graphs to draw, any at all, for hypothesis."""

from hypothesis import strategies as st

from liteflow.views.graph import Graph, GraphEdge, GraphNode
from liteflow.views.states import LOOKS

TRICKY = [
    "end", "click", "style a:b#quot;", "subgraph", "direction LR", "%%{init: {'theme':'dark'}}%%",
    "\"", "'", "`", "]", ")", "}", "|", "\n", "\u202e", "<script>alert(1)</script>", "<br/>",
    "&lt;", "#35;", "ﬂ°lt¶ß", "-->", "---", "\\N", "\\", "\\n", ";", ":::", "$$x$$", "fa:fa-car",
    "__init__", "1. one", "\u0000", "\udcff", " ", "日本", "//", "/*", "",
]  # fmt: skip
NAMES = st.one_of(
    st.lists(st.sampled_from(TRICKY), max_size=4).map("".join),
    st.text(st.characters(exclude_categories=()), max_size=80),
)
STATES = st.one_of(st.sampled_from(list(LOOKS)), NAMES)


@st.composite
def graphs(draw):
    nodes = draw(
        st.lists(
            st.builds(
                GraphNode,
                NAMES,
                NAMES,
                st.integers(1, 3),
                st.dictionaries(STATES, st.integers(1, 9), max_size=3),
            ),
            max_size=6,
        )
    )
    places = st.integers(0, max(0, len(nodes) - 1))
    pairs = draw(st.lists(st.tuples(places, places), max_size=8)) if nodes else []
    parameters = st.lists(NAMES, max_size=2).map(tuple)
    edges = [GraphEdge(min(p), max(p), draw(parameters)) for p in pairs if p[0] != p[1]]
    return Graph(draw(NAMES), tuple(nodes), tuple(edges), draw(st.none() | NAMES), draw(st.none() | STATES))


def chain(count, task="step"):
    nodes = tuple(GraphNode(f"{task}-{i}", task, 1, {"succeeded": 1}) for i in range(count))
    return Graph("chain", nodes, tuple(GraphEdge(i, i + 1, ("value",)) for i in range(count - 1)))


def layers(*widths):
    """Layers of tasks, each instance fed by all of the layer before."""
    nodes, edges, before = [], [], []
    for depth, wide in enumerate(widths):
        here = list(range(len(nodes), len(nodes) + wide))
        nodes += [GraphNode(f"t{depth}-{i}", f"t{depth}", 1, {"pending": 1}) for i in range(wide)]
        edges += [GraphEdge(source, target, ("xs",)) for source in before for target in here]
        before = here
    return Graph("layers", tuple(nodes), tuple(edges))
