"""What is refused when a flow is compiled: missing, ill-typed and unpicklable arguments, wrong inputs."""

import enum
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType, Protocol, TypedDict, TypeVar

import numpy as np
import pytest
from dags import add, dag_of, evaluate, identity, number, show, texts

from liteflow import DefinitionError, task
from liteflow.errors import (
    ArgumentError,
    EdgeTypeError,
    UnknownNameError,
)


@dataclass(frozen=True)
class Record:
    x: Any
    y: Any = None


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
    assert "test_dag_checks.py:" in str(caught.value)


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
    assert "test_dag_checks.py:" in str(caught.value)


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
    with pytest.raises(ArgumentError, match=r"add-2\(\): 'b' is missing; .* \(at .*test_dag_checks.py:\d+\)"):
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
    assert "test_dag_checks.py:" in str(caught.value)


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
