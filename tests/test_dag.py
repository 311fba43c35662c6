"""Compiling: expression in, checked and frozen Dag out."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest
from dags import add, dag_of, evaluate, fixed, identity, number, show, total

from liteflow import task
from liteflow.dag import Dag, Edge, Hole
from liteflow.errors import (
    CycleError,
    DuplicateKeyError,
    UnknownNameError,
)

# --- keys -----------------------------------------------------------------------------------


def keys(dag: Dag) -> list[str]:
    return [node.key for node in dag.nodes]


def test_keys_count_the_calls_of_a_name_in_the_order_in_which_they_were_made():
    first, second, third = number(1), number(2), number(3)
    dag = dag_of([third, first, add(first, second)])

    assert [(node.key, node.args) for node in dag.nodes[:3]] == [
        ("number", (1,)),
        ("number-2", (2,)),
        ("number-3", (3,)),
    ]


def test_only_calls_that_are_needed_have_keys():
    number(1)
    needed = number(2)

    assert keys(dag_of(needed)) == ["number"]


def test_two_tasks_of_one_name_have_different_keys():
    assert keys(dag_of([task(lambda: 1)(), task(lambda: 2)()])) == ["lambda", "lambda-2"]


def test_a_name_that_is_given_is_the_key_and_is_taken():
    calls = [number(1).named("number-2"), number(2), number(3), number(4).named("x")]

    assert keys(dag_of(calls)) == ["number-2", "number", "number-3", "x"]


def test_a_task_named_like_a_second_call_takes_no_key_twice():
    odd = task(lambda: 1, name="number-2")

    assert keys(dag_of([number(1), odd(), number(2), odd()])) == [
        "number",
        "number-2",
        "number-3",
        "number-2-2",
    ]


def test_one_name_for_two_calls_is_refused_with_both_places():
    with pytest.raises(DuplicateKeyError, match=r"'x', at .*test_dag.py:\d+ and at .*test_dag.py:\d+"):
        dag_of([number(1).named("x"), number(2).named("x")])


def test_names_that_look_alike_are_one_key():
    with pytest.raises(DuplicateKeyError):
        dag_of([number(1).named("caf\u00e9"), number(2).named("cafe\u0301")])


# --- arguments ------------------------------------------------------------------------------


def test_atoms_stand_as_they_are_and_calls_as_holes():
    a = number(1)
    dag = dag_of(add(a, 2.5))

    assert dag.nodes[1].args == (Hole(0), 2.5)
    assert dag.nodes[1].kwargs == {}


def test_the_same_call_used_twice_is_one_node():
    a = number(1)

    assert len(dag_of(add(a, a)).nodes) == 2
    assert dag_of(add(a, a)).nodes[1].inputs == (0,)


@dataclass(frozen=True)
class Record:
    x: Any
    y: Any = None


@attrs.frozen
class AttrsRecord:
    x: Any


class Pair(NamedTuple):
    x: Any
    y: Any


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Slotted) and self.x == other.x

    __hash__ = None


CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: [x, 1],
    "tuple": lambda x: (1, x),
    "set": lambda x: {x, "a"},
    "frozenset": lambda x: frozenset([x]),
    "dict value": lambda x: {"k": x},
    "dict key": lambda x: {x: "v"},
    "nested": lambda x: [{"k": (x, [x, {"j": x}])}],
    "dataclass": lambda x: Record(x, [x]),
    "attrs": lambda x: AttrsRecord([x]),
    "namedtuple": lambda x: Pair(x, 2),
    "object": lambda x: Slotted({"k": x}),
    "numpy object array": lambda x: np.array([x, 1], dtype=object).tolist(),
    "partial": lambda x: functools.partial(pow, x)(2) if isinstance(x, int) else functools.partial(pow, x),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_lazy_values_are_found_wherever_they_stand(kind):
    make = CONTAINERS[kind]
    dag = dag_of(identity(make(number(7))))

    found = evaluate(dag)

    assert dag.edges == (Edge("number", "identity", "x"),)
    assert (found(2) if isinstance(found, functools.partial) else found) == make(7)


def test_items_are_paths_into_a_result():
    pair = task(lambda: (1, {"k": [5]}), name="pair")()

    dag = dag_of([identity(pair[1]["k"][0]), identity([pair[0], pair])])

    assert dag.nodes[1].args == (Hole(0, (1, "k", 0)),)
    assert evaluate(dag) == [5, [1, (1, {"k": [5]})]]


def test_a_slice_is_an_item_too():
    assert evaluate(dag_of(identity(task(lambda: [1, 2, 3])()[1:]))) == [2, 3]


def test_an_expression_may_be_any_nesting_and_the_result_has_its_shape():
    a, b = number(1), number(2)

    assert evaluate(dag_of({"a": a, "rest": [b, (a, 5)], "record": Record(b)})) == {
        "a": 1,
        "rest": [2, (1, 5)],
        "record": Record(2),
    }


def test_a_fan_gives_a_list():
    result = evaluate(dag_of(number(3) >> [identity(), identity()]))

    assert result == [3, 3]
    assert type(result) is list


def positional(a, b=2, /, c=3, *rest, d=4, **extra):
    return (a, b, c, rest, d, extra)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1,), {}),
        ((1, 5), {}),
        ((1,), {"c": 7}),
        ((1,), {"d": 7, "e": 8}),
        ((1, 5, 6, 7, 8), {"d": 9, "f": [1]}),
        (([1], (2,)), {"c": {"k": 1}}),
        ((1, 5, 6, 7), {"rest": 8, "extra": 9}),
    ],
)
def test_parameters_of_every_kind_get_what_a_plain_call_gives_them(args, kwargs):
    assert evaluate(dag_of(task(positional)(*args, **kwargs))) == positional(*args, **kwargs)


def test_what_is_fed_to_the_rest_parameter_writes_out_the_defaults_before_it():
    call = task(positional)(1)
    number(5) >> call
    [number(6)] >> call

    assert evaluate(dag_of(call)) == (1, 2, 3, (5, [6]), 4, {})


def test_positional_arguments_given_by_name_come_in_their_order():
    dag = dag_of(add(b=2, a=number(1)))

    assert dag.nodes[1].args == (Hole(0), 2)
    assert dag.nodes[1].kwargs == {}


def test_edges_name_the_parameter_they_feed():
    a, b = number(1), number(2)
    call = show(a, b, a, key=b)

    dag = dag_of(call)

    assert dag.edges == (
        Edge("number", "show", "args"),
        Edge("number-2", "show", "args"),
        Edge("number-2", "show", "key"),
    )
    assert dag.nodes[2].feeds() == {"args": (0, 1), "key": (1,)}
    assert dag.nodes[2].inputs == (0, 1)


def test_the_same_object_given_to_many_calls_is_pickled_once():
    class Counted:
        count = 0

        def __reduce__(self):
            Counted.count += 1
            return dict, ()

    big = Counted()
    dag_of(identity(big))
    for_one_call, Counted.count = Counted.count, 0
    dag = dag_of([identity(big), identity(big), show(big, k=big)])

    assert Counted.count == for_one_call
    assert dag.nodes[0].args[0] is dag.nodes[1].args[0]


def test_what_is_changed_after_compiling_does_not_change_the_dag():
    values = [1, 2]
    dag = dag_of(total(values))
    values.append(3)

    assert evaluate(dag) == 3


def test_each_evaluation_gets_its_own_copy_of_an_argument():
    @task
    def grow(values):
        values.append(1)
        return values

    dag = dag_of(grow([]))

    assert evaluate(dag) == evaluate(dag) == [1]


def test_each_call_gets_its_own_copy_of_a_default_that_it_could_change():
    @task
    def collect(item, /, seen=[], *, by={}, n=1):  # noqa: B006  that is what is tested
        seen.append(item)
        by[item] = n
        return seen, by

    dag = dag_of([collect(1), collect(2), collect(3, [0], n=2)])

    assert evaluate(dag) == [([1], {1: 1}), ([2], {2: 1}), ([0, 3], {3: 2})]
    assert collect.fn(9) == ([9], {9: 1})


def test_a_default_that_is_known_by_identity_stays_what_it_is():
    missing = object()

    @task
    def f(x=missing):
        return x is missing

    assert evaluate(dag_of(f())) is True


# --- order ----------------------------------------------------------------------------------


def test_a_call_that_nothing_returns_runs_if_something_is_ordered_after_it():
    before, after = fixed(), fixed()
    before >> after
    dag = dag_of(after)

    assert dag.edges == (Edge("fixed", "fixed-2", None),)
    assert dag.nodes[1].after == (0,)


def test_a_call_ordered_after_what_is_returned_does_not_run():
    before, after = fixed(), fixed()
    before >> after

    assert keys(dag_of(before)) == ["fixed"]


def test_calls_are_in_the_order_in_which_they_were_made_unless_they_wait():
    late, early = identity(), number(1)
    early >> late
    dag = dag_of([late, number(2)])

    assert keys(dag) == ["number", "identity", "number-2"]


def test_leaves_are_the_calls_that_no_other_waits_for():
    a = number(1)
    b, c = identity(a), fixed()
    a >> c

    assert dag_of([a, b, c]).leaves == ("identity", "fixed")
    assert dag_of([a, c]).leaves == ("fixed",)


def test_an_order_given_twice_is_one_edge():
    before, after = fixed(), fixed()
    before >> after
    [before, before] >> after

    assert dag_of(after).edges == (Edge("fixed", "fixed-2", None),)


# --- cycles (B1) ----------------------------------------------------------------------------


def cycle_of(length: int) -> Any:
    calls = [identity() for _ in range(length)]
    for call, following in zip(calls, calls[1:] + calls[:1], strict=True):
        call >> following
    return calls[0]


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (1, "identity >> identity;"),
        (2, "identity >> identity-2 >> identity;"),
        (3, "identity >> identity-2 >> identity-3 >> identity;"),
        (10_000, r"\(10000 calls\): .* >> \.\.\. >> "),
    ],
)
def test_a_cycle_is_refused_with_its_names(length, shown):
    with pytest.raises(CycleError, match=rf"flow f has a cycle.*{shown}") as caught:
        dag_of(cycle_of(length))
    assert len(caught.value.cycle) == length


def test_a_cycle_by_order_alone_is_refused():
    a, b = fixed(), fixed()
    a >> b >> a

    with pytest.raises(CycleError, match="fixed >> fixed-2 >> fixed"):
        dag_of(b)


def test_only_the_cycle_is_shown_not_what_leads_to_it_or_follows():
    following, a, b, c = total(), number(1), add(), identity()
    a >> b >> c >> b
    c >> following

    with pytest.raises(CycleError) as caught:
        dag_of(following)
    assert caught.value.cycle == ["add", "identity"]


# --- equality, looking ------------------------------------------------------------------------


def build(n: int = 1, key: str = "x") -> Any:
    a = number(n)
    return {"sum": add(a, [n, a]).named(key), "set": identity({1, 2, 3})}


def test_equal_builds_give_equal_dags():
    assert dag_of(build()) == dag_of(build())
    assert hash(dag_of(build())) == hash(dag_of(build()))


@pytest.mark.parametrize("other", [build(2), build(key="y"), build()["sum"], add(1, 2)])
def test_different_builds_give_different_dags(other):
    assert dag_of(build()) != dag_of(other)
    assert dag_of(build()) != "dag"


def test_dags_of_the_same_calls_with_results_of_other_shapes_differ():
    assert dag_of([number(1), number(2)]) != dag_of((number(1), number(2)))


def test_a_dag_is_looked_at_by_key():
    dag = dag_of(build())

    assert dag.node("x").task == add
    assert dag.calls is dag.nodes
    assert repr(dag) == "<Dag f: 3 calls, 2 edges>"
    with pytest.raises(UnknownNameError, match=r"flow f has no call 'numbr'; did you mean 'number'"):
        dag.node("numbr")


def test_a_dag_is_frozen():
    dag = dag_of(build())

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        dag.name = "other"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        dag.nodes[0].key = "other"
