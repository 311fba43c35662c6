"""The law of maps: working through a Dag with maps gives what list comprehensions give."""

from typing import Any

import hypothesis.strategies as st
from dags import add, dag_of, evaluate, identity, number, show, total
from hypothesis import given

from liteflow import Flow, task, unmapped

KINDS = [
    "plain",
    "lazy",
    "chain",
    "zip",
    "unmapped",
    "items",
    "star",
    "lazy star",
    "arrow",
    "nested",
    "flow",
    "reduce",
]
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 1000), st.integers(0, 5)), min_size=1, max_size=12
)


@task
def upto(n):
    return list(range(n))


def grow(step: tuple[str, int, int], lists: list[tuple[Any, list[Any]]]) -> tuple[Any, list[Any]]:
    """One more (lazy list, plain list), made of those that are there."""
    kind, m, n = step
    lazy, plain = lists[m % len(lists)]
    match kind:
        case "plain":
            return identity.map(range(n)), list(range(n))
        case "lazy":
            return add.map(upto(n), unmapped(m)), [i + m for i in range(n)]
        case "chain":
            return identity.map(identity.map(lazy)), plain
        case "zip":
            return add.map(lazy, b=identity.map(lazy)), [x + x for x in plain]
        case "unmapped":
            return show.map(lazy, k=unmapped([1, lazy])), [((x,), {"k": [1, plain]}) for x in plain]
        case "items":
            return total.map([[number(n), 1], [2]]), [n + 1, 2]
        case "star":
            return add.starmap([(number(n), i) for i in range(n)]), [n + i for i in range(n)]
        case "lazy star":
            return lazy >> task(lambda x: (x, 1)).map() >> show.starmap(), [((x, 1), {}) for x in plain]
        case "arrow":
            return (lazy, lazy) >> show.map(), [((x, x), {}) for x in plain]
        case "nested":
            return identity.map([lazy, [lazy, n]]), [plain, [plain, n]]
        case "flow":
            return Flow("inner", identity.map() >> identity.map())(x=lazy), plain
        case _:
            return [task(len)(lazy)] >> identity.map(), [len(plain)]


@given(steps=STEPS)
def test_working_through_a_dag_with_maps_gives_what_comprehensions_give(steps):
    lists: list[tuple[Any, list[Any]]] = [(upto(3), [0, 1, 2])]
    for step in steps:
        lists.append(grow(step, lists))

    dag = dag_of([lazy for lazy, _ in lists])

    assert evaluate(dag) == [plain for _, plain in lists]


@given(steps=STEPS)
def test_compiling_the_same_maps_again_gives_the_same_dag(steps):
    def built() -> Any:
        lists: list[tuple[Any, list[Any]]] = [(upto(3), [0, 1, 2])]
        for kind, m, n in steps:
            # A lambda is another task each time.
            if kind != "lazy star":
                lists.append(grow((kind, m, n), lists))
        return dag_of([lazy for lazy, _ in lists])

    first, second = built(), built()

    assert first == second
    assert [
        [argument.digest for argument in node.args if hasattr(argument, "digest")] for node in first.nodes
    ] == [[argument.digest for argument in node.args if hasattr(argument, "digest")] for node in second.nodes]
