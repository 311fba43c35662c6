"""Flows inside flows, and what of a flow may be used elsewhere.  Nothing runs here."""

import functools
import pickle
import threading
from collections import Counter
from typing import Any

import pytest

from liteflow import Call, Flow, flow, pickling, task
from liteflow.errors import (
    ArgumentError,
    ArrowError,
    DuplicateKeyError,
    FlowError,
    LookedInsideError,
    UnknownNameError,
)
from liteflow.recipe import MOST_NESTED


@task
def extract(path: str) -> list[int]: ...
@task
def transform(rows: list[int], scale: float = 1.0) -> list[float]: ...
@task
def load(values: list[float], table: str) -> int: ...
@task
def number(n: int = 0) -> int: ...
@task
def identity(x): ...
@task
def pair(n: int) -> tuple[int, str]: ...
@task
def measure(path: str, scale: int) -> int: ...


@flow
def etl(path: str = "data.csv", table: str = "sales") -> int:
    """Loads a table."""
    return extract(path) >> transform(scale=2.0) >> load(table=table)


def arguments(dag: Any) -> dict[str, Any]:
    """All atoms among the arguments of a Dag, by `key.parameter`."""
    return {
        f"{node.key}.{name}": value
        for node in dag.nodes
        for name, value in node.arguments()
        if not isinstance(value, tuple)
    }


# --- flows inside flows (A22) -----------------------------------------------------------------


def test_a_flow_called_inside_another_gives_its_expression():
    @flow
    def outer(path: str = "x"):
        return [etl(path), etl(table="other"), etl(path=path, table="third") >> identity()]

    dag = outer.compile()

    assert len(dag.nodes) == 10
    assert arguments(dag)["load-2.table"] == "other"
    assert arguments(dag)["extract-3.path"] == "x"


def test_lazy_values_may_be_arguments_of_a_flow_inside_another():
    @task
    def name() -> str: ...

    @flow
    def outer():
        return etl(path=name())

    @flow
    def ill_typed():
        return etl(path=number())

    assert ("name", "extract") in {(e.source, e.target) for e in outer.compile().edges}
    with pytest.raises(ArgumentError, match="flow etl: 'path' gives int, not str"):
        ill_typed.compile()


def test_a_flow_of_an_expression_inside_another_has_calls_of_its_own_each_time():
    shared = number(1)
    made = Flow("made", {"a": [identity(shared), extract()], "b": shared, "c": pair(2)[1]})
    before = number(7)
    before >> shared

    @flow
    def outer(path: str = "x"):
        first, second = made(path=path), made(path=pair(3)[1])
        return [first, second["a"], second["b"], second["c"]]

    dag = outer.compile()
    counts = Counter(node.task.name for node in dag.nodes)

    assert counts == {"number": 4, "identity": 2, "extract": 2, "pair": 3}
    assert [hole.path for hole in dag.result.holes].count((1,)) == 2
    assert len(made.compile(path="z").nodes) == 5
    assert arguments(dag)["extract.path"] == "x"


def test_a_flow_of_an_expression_called_wrongly_is_refused():
    made = Flow("made", extract())

    with pytest.raises(ArgumentError, match="flow made: 'path' is missing"):
        made()
    with pytest.raises(ArgumentError, match="by name only"):
        made("x")
    with pytest.raises(UnknownNameError, match="did you mean 'path'"):
        made(pth="x")


def test_the_keys_of_a_flow_inside_another_twice_must_differ():
    made = Flow("made", number(1).named("one"))

    with pytest.raises(DuplicateKeyError):
        Flow("outer", lambda: [made(), made()]).compile()


def test_a_flow_may_be_called_on_its_own_for_its_expression():
    assert isinstance(etl("x"), Call)
    assert Flow("again", etl("x")).compile() != etl.compile(path="x")
    assert arguments(Flow("again", etl("x")).compile()) == arguments(etl.compile(path="x"))


@pytest.mark.parametrize("use", [lambda f: f.compile(), lambda f: f()])
def test_a_flow_that_calls_itself_without_end_is_refused(use):
    @flow
    def endless():
        return endless()

    with pytest.raises(FlowError, match=f"flow endless is called {MOST_NESTED} flows deep.*MOST_NESTED"):
        use(endless)


def test_a_flow_may_call_itself_if_it_ends():
    @flow
    def countdown(n: int = 50):
        return number(n) if n == 0 else [number(n), countdown(n - 1)]

    assert len(countdown.compile().nodes) == 51


# --- calls belong to one building (B7) --------------------------------------------------------


def test_a_call_that_leaks_out_of_a_flow_is_refused_in_another():
    leaked = []

    @flow
    def leaking():
        leaked.append(number(1))
        return identity(leaked[0])

    @flow
    def using():
        return identity(leaked[0])

    leaking.compile()
    for other in (using, leaking, Flow("made", identity(leaked[0]))):
        with pytest.raises(FlowError, match=r"uses number\(\) \(at .*\), which belongs to .* flow leaking"):
            other.compile()


def test_a_cached_function_of_calls_is_refused_the_second_time():
    @functools.cache
    def cached():
        return number(1)

    made = Flow("f", lambda: identity(cached()))
    made.compile()

    with pytest.raises(FlowError, match="belongs to another building of flow f"):
        made.compile()


def test_a_call_made_outside_may_be_used_in_every_flow_but_not_fed_there():
    shared = number(1)
    waiting = identity()

    assert len(Flow("a", lambda: identity(shared)).compile().nodes) == 2
    assert len(Flow("b", identity(shared)).compile().nodes) == 2
    with pytest.raises(ArrowError, match=r"identity\(\) was made outside of the flow"):
        Flow("c", lambda: shared >> waiting).compile()


def test_flows_may_be_built_in_several_threads_at_once():
    dags: list[Any] = []
    threads = [threading.Thread(target=lambda: dags.append(etl.compile())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert dags == [etl.compile()] * 8


def test_a_lazy_value_cannot_be_sent_to_another_process():
    with pytest.raises(LookedInsideError, match=r"can't be pickled; .* number.fn"):
        pickle.dumps({"a": number()})


# --- flows in other processes -----------------------------------------------------------------


def test_a_flow_goes_to_a_worker_by_name_or_with_its_function():
    @flow(db="x.db")
    def local(n: int = 4):
        return number(n)

    again = pickling.loads(pickling.dumps(local).data)

    assert pickling.loads(pickling.dumps(etl).data) is etl
    assert (again.name, dict(again.options)) == ("local", {"db": "x.db"})
    assert arguments(again.compile()) == {"number.n": 4}


def test_a_flow_of_an_expression_cannot_go_to_a_worker():
    with pytest.raises(FlowError, match=r"flow made .* make it of a function"):
        pickle.dumps(Flow("made", number()))
