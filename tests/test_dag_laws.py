"""Compiling at any size, and of any graph.

The law: working through the nodes of a Dag one by one, in their order, gives what plain
calls of the same functions give.
"""

import itertools
import time
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
from dags import add, dag_of, evaluate, fixed, identity, number, show, total
from hypothesis import given

from liteflow import task
from liteflow.dag import Dag


def keys(dag: Dag) -> list[str]:
    return [node.key for node in dag.nodes]


@dataclass(frozen=True)
class Record:
    x: Any
    y: Any = None


# --- size (B13) -------------------------------------------------------------------------------


def test_a_chain_of_100_000_calls_compiles_in_seconds():
    start = time.perf_counter()
    last = number(1)
    for _ in range(99_999):
        last = last >> identity()
    dag = dag_of(last)

    assert len(dag.nodes) == 100_000
    assert len(dag.leaves) == 1
    assert time.perf_counter() - start < 30


def test_a_chain_made_backwards_compiles_too():
    calls = [identity() for _ in range(20_000)]
    for following, call in itertools.pairwise(calls):
        call >> following
    number(1) >> calls[-1]

    assert len(dag_of(calls[0]).nodes) == 20_001


def test_50_000_inputs_of_one_call_compile_in_seconds():
    start = time.perf_counter()
    by_list = [number(n) for n in range(50_000)] >> total()
    by_statements = show()
    for _ in range(50_000):
        fixed() >> by_statements
    dag = dag_of([by_list, by_statements])

    assert len(dag.nodes) == 100_002
    assert len(dag.node("total").inputs) == len(dag.node("show").inputs) == 50_000
    assert time.perf_counter() - start < 30


def test_a_diamond_of_a_million_paths_is_one_call_a_level():
    top = number(1)
    for _ in range(20):
        top = add(top, top)
    dag = dag_of(top)

    assert len(dag.nodes) == 21
    assert evaluate(dag) == 2**20


# --- the law ----------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "total", "identity", "arrow", "fan", "item", "record", "late"]),
        st.integers(0, 1000),
        st.integers(0, 1000),
    ),
    max_size=25,
)


def grow(step: tuple[str, int, int], values: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """One more (lazy value, plain value), made of those that are there."""
    kind, m, n = step
    (a, plain_a), (b, plain_b) = values[m % len(values)], values[n % len(values)]
    match kind:
        case "add":
            return add(a, b=b), plain_a + plain_b
        case "total":
            return total([a, b, n]), plain_a + plain_b + n
        case "identity":
            return identity({"k": (a, [b])})["k"][1][0], plain_b
        case "arrow":
            return (a, b) >> add(), plain_a + plain_b
        case "fan":
            return (a >> [add(b=1), add(b=b)]) >> total(), 2 * plain_a + 1 + plain_b
        case "item":
            return task(lambda *xs: xs)(a, b)[1], plain_b
        case "record":
            return task(lambda r: r.x - r.y)(Record(a, b)), plain_a - plain_b
        case _:
            late, early = identity(), add(a, b)
            early >> late
            return late, plain_a + plain_b


@given(steps=STEPS)
def test_working_through_a_dag_gives_what_plain_calls_give(steps):
    values: list[tuple[Any, Any]] = [(number(3), 3), (number(4), 4)]
    for step in steps:
        values.append(grow(step, values))

    dag = dag_of([lazy for lazy, _ in values])

    assert evaluate(dag) == [plain for _, plain in values]
    assert len(set(keys(dag))) == len(dag.nodes)
