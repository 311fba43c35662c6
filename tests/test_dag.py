"""Compiling: expression in, checked and frozen Dag out.

The law: working through the nodes of a Dag one by one, in their order, gives what plain
calls of the same functions give.
"""

import enum
import functools
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar

import attrs
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from liteflow import DefinitionError, task
from liteflow.compiler import compile_dag
from liteflow.dag import ATOMS, Dag, Edge, Hole
from liteflow.errors import (
    ArgumentError,
    CycleError,
    DuplicateKeyError,
    EdgeTypeError,
    UnknownNameError,
)
from liteflow.pickling import Packed, unpack


def dag_of(expression: object, **overrides: object) -> Dag:
    return compile_dag("f", expression, {}, overrides)


def evaluate(dag: Dag) -> Any:
    """Work through a Dag's nodes in their order; what the engine does, without an engine."""
    results: list[Any] = []

    def taken(hole: Hole) -> Any:
        return functools.reduce(lambda value, key: value[key], hole.path, results[hole.source])

    def value(argument: Any) -> Any:
        if isinstance(argument, Hole):
            return taken(argument)
        if isinstance(argument, Packed):
            return unpack(argument.data, [taken(hole) for hole in argument.holes])
        assert type(argument) in ATOMS
        return argument

    for index, node in enumerate(dag.nodes):
        assert node.index == index
        assert all(source < index for source in (*node.inputs, *node.after))
        args = [value(argument) for argument in node.args]
        kwargs = {name: value(argument) for name, argument in node.kwargs.items()}
        results.append(node.task.fn(*args, **kwargs))
    return value(dag.result)


@task
def number(n: int = 0) -> int:
    return n


@task
def add(a, b):
    return a + b


@task
def total(values):
    return sum(values)


@task
def identity(x):
    return x


@task
def show(*args, **kwargs):
    return args, kwargs


@task
def fixed():
    return 0


@task
def texts() -> list[str]:
    return ["a"]


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
    dag = dag_of([identity(big), identity(big), show(big, k=big)])

    assert Counted.count == 1
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


# --- missing and ill-typed arguments (B2, B3, B8) ---------------------------------------------


class Colour(enum.Enum):
    RED = 1


class Row(TypedDict):
    name: str
    size: int


class HasLen(Protocol):
    def __len__(self) -> int: ...


UserId = NewType("UserId", int)
T = TypeVar("T")


class Animal: ...


class Dog(Animal): ...


def gives(hint: Any) -> Any:
    def give():
        return None

    give.__annotations__["return"] = hint
    return task(give)


def takes(hint: Any) -> Any:
    def take(x):
        return None

    take.__annotations__["x"] = hint
    return task(take)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        (int, int),
        (int, float),
        (bool, int),
        (int, int | None),
        (list[int], Sequence[float]),
        (list[int], list),
        (list, list[int]),
        (dict[str, int], dict),
        (Dog, Animal),
        (str, HasLen),
        (int, T),
        (list[int], list[T]),
        (UserId, int),
        (Literal["a"], str),
        (Annotated[int, "m"], Annotated[int, []]),
        (tuple[int, str], tuple[int, ...] | tuple[int, str]),
        (Any, int),
        (int, Any),
        ("Missing", int),
        (int, "Missing"),
        (np.ndarray, np.ndarray[Any, np.dtype[np.int8]]),
        (Row, dict[str, Any] | Row),
    ],
)
def test_an_edge_whose_types_fit_compiles(given_, wanted):
    assert len(dag_of(takes(wanted)(gives(given_)())).nodes) == 2


@pytest.mark.parametrize(
    ("given_", "wanted", "message"),
    [
        (list[int], list[str], "give() gives list[int], but take() takes x: list[str]"),
        (str, int, "give() gives str, but take() takes x: int"),
        (int | None, int, "it may be None, so let x be int | None"),
        (Animal, Dog, "give() gives Animal, but take() takes x: Dog"),
        (int, HasLen, "give() gives int, but take() takes x: HasLen"),
        (int, UserId, "give() gives int, but take() takes x: UserId"),
        (str, Literal["a"], "takes x: Literal['a']"),
        (tuple[int, str], tuple[int, int], "give() gives tuple[int, str]"),
        (bytes, Row, "takes x: Row"),
        (None, int, "give() gives None, but take() takes x: int"),
    ],
)
def test_an_edge_whose_types_do_not_fit_is_refused_with_both_calls_and_types(given_, wanted, message):
    with pytest.raises(EdgeTypeError) as caught:
        dag_of(takes(wanted)(gives(given_)()))
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, DefinitionError)
    assert message in str(caught.value)
    assert ("change one annotation" in str(caught.value)) is (given_ != int | None)
    assert "test_dag.py:" in str(caught.value)


def test_an_ill_typed_edge_names_the_calls_by_their_keys():
    with pytest.raises(EdgeTypeError, match=r"number-2\(\) gives int, but take\(\) takes x: str"):
        dag_of([number(), takes(str)(number())])


def test_items_are_checked_by_the_type_of_the_item():
    pair = gives(tuple[int, list[str]])

    dag_of([takes(int)(pair()[0]), takes(str)(pair()[1][0])])
    with pytest.raises(
        EdgeTypeError, match=r"give\(\)\[1\] gives list\[str\], but take\(\) takes x: list\[int\]"
    ):
        dag_of(takes(list[int])(pair()[1]))


@pytest.mark.parametrize(
    ("hint", "make", "where"),
    [
        (list[int], lambda bad: [1, bad], "x[1]: int"),
        (list[int], lambda bad: [bad, bad], "x[0]: int"),
        (tuple[int, int], lambda bad: (1, bad), "x[1]: int"),
        (dict[str, int], lambda bad: {"k": bad}, "x['k']: int"),
        (list[dict[str, list[int]]], lambda bad: [{}, {"k": [bad]}], "x[1]['k'][0]: int"),
        (set[int], lambda bad: {bad}, "int"),
    ],
)
def test_lazy_values_inside_containers_are_checked_one_by_one(hint, make, where):
    assert len(dag_of(takes(hint)(make(number()))).nodes) == 2
    with pytest.raises(EdgeTypeError) as caught:
        dag_of(takes(hint)(make(texts())))
    assert "texts() gives list[str], but take() takes" in str(caught.value)
    assert where in str(caught.value)


def test_every_value_of_a_parameter_is_checked_not_only_the_first():
    ints, texts_and_ints = takes(list[int]), gives(tuple[int, str])()
    takes_int = takes(int)

    with pytest.raises(ArgumentError, match=r"take-2\(\): 'x'\[0\] is 'b'"):
        dag_of([ints([1]), ints(["b"])])
    with pytest.raises(EdgeTypeError, match=r"give\(\)\[1\] gives str, but take-2\(\)"):
        dag_of([takes_int(texts_and_ints[0]), takes_int(texts_and_ints[1])])


def test_one_ill_typed_call_in_a_long_list_is_found():
    calls = [number(n) for n in range(500)]
    dag_of(takes(list[int])(calls))
    calls[321] = texts()

    with pytest.raises(EdgeTypeError, match=r"takes x\[321\]: int"):
        dag_of(takes(list[int])(calls))


@pytest.mark.parametrize(
    ("hint", "good", "bad", "problem"),
    [
        (int, 1, "x", "'x' is 'x' (str), not int"),
        (float, 1, "1", "'x' is '1' (str), not float"),
        (int | None, None, 1.5, "'x' is 1.5 (float)"),
        (list[int], [1, 2], [1, "b"], "'x'[1] is 'b' (str), not int"),
        (Literal["a", "b"], "a", "c", "'c'"),
        (Colour, Colour.RED, 1, "is 1 (int), not Colour"),
        (Row, {"name": "a", "size": 1}, {"name": "a", "size": "b"}, "'x'['size'] is 'b' (str), not int"),
        (Callable[[int], int], abs, 5, "5 (int)"),
        (bool, True, 1, "is 1 (int), not bool"),
    ],
)
def test_literal_arguments_are_checked(hint, good, bad, problem):
    dag_of(takes(hint)(good))
    with pytest.raises(ArgumentError) as caught:
        dag_of(takes(hint)(bad))
    assert f"take(): {problem}" in str(caught.value) or problem in str(caught.value)
    assert "test_dag.py:" in str(caught.value)


def test_each_of_many_arguments_is_checked():
    @task
    def f(*numbers: int, **words: str): ...

    dag_of(f(1, number(), a="b", c="d"))
    with pytest.raises(ArgumentError, match=r"f\(\): 'numbers' is 'x' \(str\), not int"):
        dag_of(f(1, "x"))
    with pytest.raises(ArgumentError, match=r"f\(\): 'c' is 5 \(int\), not str"):
        dag_of(f(1, a="b", c=5))
    with pytest.raises(EdgeTypeError, match=r"takes c: str"):
        dag_of(f(1, a="b", c=number()))


def test_a_missing_argument_is_refused_with_the_call_and_where_it_was_written():
    with pytest.raises(ArgumentError, match=r"add-2\(\): 'b' is missing; .* \(at .*test_dag.py:\d+\)"):
        dag_of([add(1, 2), number(1) >> add()])


def test_a_missing_keyword_only_argument_is_found():
    @task
    def f(*, a, b=1): ...

    @task
    def g(a=1, *, b): ...

    with pytest.raises(ArgumentError, match=r"f\(\): 'a' is missing"):
        dag_of(f())
    with pytest.raises(ArgumentError, match=r"g\(\): 'b' is missing"):
        dag_of(g(5))


@pytest.mark.parametrize(
    "make", [lambda t: t, lambda t: [1, t], lambda t: (t,), lambda t: {"k": t}, lambda t: {t}]
)
def test_a_task_that_was_not_called_is_refused_as_an_argument(make):
    with pytest.raises(
        ArgumentError, match=r"'x' is or holds <task number> itself; did you mean number\(\)\?"
    ):
        dag_of(identity(make(number)))
    with pytest.raises(ArgumentError, match=r"did you mean number\(\)\?"):
        dag_of(make(number))


def test_a_function_that_uses_a_task_may_be_an_argument():
    assert evaluate(dag_of(identity(lambda: number))) is not None


# --- values that can't travel (B6, B12) -------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (threading.Lock, "a lock"),
        (lambda: [0, {"k": threading.Lock()}], "[1]['k']"),
        (lambda: Record([threading.Lock()]), ".x[0]"),
        (lambda: (n for n in [1]), "a generator"),
    ],
)
def test_a_value_that_cannot_be_pickled_is_refused_with_the_argument_and_the_part(make, where):
    with pytest.raises(ArgumentError) as caught:
        dag_of(identity(make()))
    assert "identity(): 'x' can't be stored or sent" in str(caught.value)
    assert where in str(caught.value)
    assert "test_dag.py:" in str(caught.value)


def test_a_value_that_holds_itself_or_is_nested_deeply_ends():
    loop = [number(1)]
    loop.append(loop)
    again = evaluate(dag_of(identity(loop)))
    deep: list[Any] = [number(1)]
    for _ in range(100_000):
        deep = [deep]

    assert again[0] == 1
    assert again[1] is again
    with pytest.raises(ArgumentError, match="nested too deeply"):
        dag_of(identity(deep))


# --- arguments from outside (B12) -------------------------------------------------------------


def test_inputs_override_literals_and_defaults():
    dag = dag_of(add(number(1), number()), **{"number.n": 5, "number-2.n": 6})

    assert evaluate(dag) == 11


def test_inputs_may_fill_what_is_missing():
    assert evaluate(dag_of(add(number(1)), **{"add.b": 4})) == 5


def test_inputs_may_add_keywords_where_a_task_takes_any():
    assert evaluate(dag_of(show(1, a=2), **{"show.b": 3})) == ((1,), {"a": 2, "b": 3})
    assert evaluate(dag_of(show(1, a=2), **{"show.a": 3})) == ((1,), {"a": 3})


def test_compiling_with_inputs_changes_nothing_for_the_next_time():
    call = number(1)

    assert evaluate(dag_of(call, **{"number.n": 5})) == 5
    assert evaluate(dag_of(call)) == 1


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nope.n", UnknownNameError, "flow f has no input 'nope.n'; it has: number.n, add.b"),
        ("number.m", UnknownNameError, "did you mean 'number.n'?"),
        ("nubmer.n", UnknownNameError, "did you mean 'number.n'?"),
        ("number", UnknownNameError, "did you mean 'number.n'?"),
        ("", UnknownNameError, "it has: number.n, add.b"),
        (".", UnknownNameError, "it has: number.n, add.b"),
        ("add.a", ArgumentError, "add(): 'a' is fed by number()"),
    ],
)
def test_inputs_that_are_none_are_refused_with_those_there_are(name, error, message):
    with pytest.raises(error) as caught:
        dag_of(add(number(1), 2), **{name: 1})
    assert message in str(caught.value)


def test_inputs_are_checked_and_hold_no_lazy_values():
    with pytest.raises(ArgumentError, match=r"number\(\): 'n' is 'x' \(str\), not int"):
        dag_of(number(1), **{"number.n": "x"})
    with pytest.raises(ArgumentError, match=r"inputs are plain values"):
        dag_of(number(1), **{"number.n": number(2)})
    with pytest.raises(ArgumentError, match=r"inputs are plain values"):
        dag_of(number(1), **{"number.n": [number(2)]})


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


def grow(step: tuple[str, int, int], values: list[tuple[Any, Any]]) -> tuple[Any, Any]:  # noqa: PLR0911  a case a kind
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
