"""Which values are of which declared types, and what is said of those that are not."""

from __future__ import annotations

import functools
import io
import pathlib
import sys
import types
import typing
from collections import Counter, OrderedDict, abc, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, Never, Self

import numpy as np
import numpy.typing as npt
import pytest
from hint_types import (
    Animal,
    Anything,
    Beast,
    Box,
    Closes,
    Color,
    Dog,
    Dynamic,
    Grid,
    Hashes,
    HasName,
    Ids,
    Json,
    Named,
    NamedByProperty,
    NamedLater,
    Pairs,
    PartOfRow,
    Point,
    Row,
    StillIntBox,
    Tree,
    Unnamed,
    UserId,
)

from liteflow.hints import fits, problem, show

RIGHT = [
    (True, int),
    (1, float),
    (1.5, complex),
    (np.float64(1), float),
    (None, int | None),
    (5, UserId),
    ([1], Ids),
    ("a", Literal["a", 1]),
    (Color.RED, Literal[Color.RED]),
    ([1, True], list[float]),
    ([], list[Never]),
    ([[1], []], list[list[int]]),
    ("abc", Sequence[str]),
    (range(3), Sequence[int]),
    ({"a": [1]}, Mapping[str, Sequence[int]]),
    ({"a": 1}, Iterable[str]),
    (Counter("aab"), dict[str, int]),
    ((1, "a"), tuple[int, str]),
    ((), tuple[()]),
    ((1, 2, 3), tuple[int, ...]),
    (Point(1, "a"), tuple[int, str]),
    (Point("unchecked", 1), Point),
    ({"a": 1, "b": "x"}, Row),
    ({"a": 1, "b": "x", "more": None}, Row),
    ({"b": "x"}, PartOfRow),
    ({"name": "a", "kids": [{"name": "b", "kids": []}]}, Tree),
    (StillIntBox(), Box[int]),
    (Grid([[1.0]]), Sequence[Sequence[float]]),
    (Dog(), Beast),
    (Named("x"), HasName),
    (types.SimpleNamespace(name="x"), HasName),
    (NamedLater(), HasName),
    (NamedByProperty(), HasName),
    (Dynamic(), Closes),
    (io.StringIO(), Closes),
    (io.StringIO(), typing.TextIO),
    (Dog, type[Animal]),
    (int, type[float]),
    (len, Callable[[Any], int]),
    (lambda x, y=1: x, Callable[[int], int]),
    (Dog, Callable[[], Animal]),
    (np.int64(3), int),
    (np.int64(3), float),
    (np.float32(0.5), float),
    ([np.int64(3), 4], list[int]),
    (np.zeros(2), npt.NDArray[np.float64]),
    (np.zeros(2), npt.ArrayLike),
    ([1, [2.0]], npt.ArrayLike),
    ((1, 2), npt.ArrayLike),
    ([{"a": [1, None]}], Json),
    (1, Self),
    (1, Literal[[]]),
    (1, Anything),
    (1, "Missing"),
    ((1, "a", "b"), tuple[int, *tuple[str, ...]]),
    (frozenset({1}), abc.Set[int]),
    (deque([1]), deque[int]),
    (pathlib.Path(), pathlib.Path),
    ({1: 2}.items(), Iterable[tuple[int, int]]),
]


@pytest.mark.parametrize(("value", "hint"), RIGHT, ids=[show(hint) for _, hint in RIGHT])
def test_a_value_is_right(value, hint):
    assert problem(value, hint) is None


WRONG = [
    ("x", int, "is 'x' (str), not int"),
    (None, int, "is None, not int"),
    (1.0, int, "is 1.0 (float), not int"),
    (5, Never, "is 5 (int), not Never"),
    (np.float64(3), int, "is a float64, not int"),
    ("c", Literal["a", "b"], "is 'c' (str), not Literal['a', 'b']"),
    (True, Literal[1], "is True (bool), not Literal[1]"),
    (1, Literal[Color.RED], "is 1 (int), not Literal[Color.RED]"),
    (["a", "c"], list[Literal["a", "b"]], "[1] is 'c' (str), not Literal['a', 'b']"),
    ([1, False, True], list[Literal[1, False]], "[2] is True (bool), not Literal[1, False]"),
    ([], Literal[1], "is a list, not Literal[1]"),
    ("x", int | None, "is 'x' (str), not int | None"),
    ("x", UserId, "is 'x' (str), not UserId"),
    ([1, "x"], list[int] | None, "[1] is 'x' (str), not int"),
    ([1, 2, "x"], list[int], "[2] is 'x' (str), not int"),
    ((1, 2), list[int], "is a tuple, not list[int]"),
    ([[1], ["x"]], list[list[int]], "[1][0] is 'x' (str), not int"),
    ((1, "x"), tuple[int, ...], "[1] is 'x' (str), not int"),
    ([[1], (1,)], list[list[int]], "[1] is a tuple, not list[int]"),
    ([(1, "a"), (1, 2)], list[tuple[int, str]], "[1][1] is 2 (int), not str"),
    ([(1, "a"), (1,)], list[tuple[int, str]], "[1] has 1 items, not 2 as in tuple[int, str]"),
    ({"k": None}, dict[str, int], "['k'] is None, not int"),
    ({1: 1}, dict[str, int], "has a key that is 1 (int), not str"),
    ({(1, "x"): 1}, dict[tuple[int, int], int], "has a key whose [1] is 'x' (str), not int"),
    ({Dog: 1}, dict[type, str], "[...] is 1 (int), not str"),
    ({"x"}, set[int], "has an item that is 'x' (str), not int"),
    (OrderedDict(a="x"), Mapping[str, int], "['a'] is 'x' (str), not int"),
    ("abc", Sequence[int], "is 'abc' (str), not Sequence[int]"),
    (range(3), Sequence[str], "is a range, not Sequence[str]"),
    ({"a": 1}, Row, "lacks the key 'b' of Row"),
    ({"a": "x", "b": "x"}, Row, "['a'] is 'x' (str), not int"),
    ({"a": 1}, PartOfRow, "lacks the key 'b' of PartOfRow"),
    ([{"a": 1, "b": "x"}, {"a": 1}], list[Row], "[1] lacks the key 'b' of Row"),
    ({"name": "a", "kids": [{"name": 1, "kids": []}]}, Tree, "['kids'][0]['name'] is 1 (int), not str"),
    (Animal(), Dog, "is an Animal, not Dog"),
    (Unnamed(1), HasName, "is an Unnamed, not HasName: it has no 'name'"),
    (Named(3), HasName, ".name is 3 (int), not str"),
    ([], Hashes, "is a list, not Hashes: it has no '__hash__'"),
    (Animal(), Closes, "is an Animal, not Closes: it has no 'close'"),
    (str, type[int], "is the class str, not type[int]"),
    (1, type[int], "is 1 (int), not type[int]"),
    (1, Callable[[], int], "is 1 (int), not Callable[[], int]"),
    (
        lambda: 1,
        Callable[[int], int],
        "cannot be called with 1 positional arguments, as Callable[[int], int] is",
    ),
    ([{"a": [1, 1.5]}], Json, "[0]['a'][1] is 1.5 (float), not Json"),
    (io.StringIO(), str, "is a StringIO, not str"),
    ("x" * 1000, int, f"is '{'x' * 59}...' (str), not int"),
    (10**5000, str, "is an int of 16610 bits (int), not str"),
]


@pytest.mark.parametrize(("value", "hint", "phrase"), WRONG, ids=[phrase[:50] for _, _, phrase in WRONG])
def test_what_is_wrong_with_a_value_is_said_with_its_place(value, hint, phrase):
    assert problem(value, hint) == phrase


def test_each_of_two_equal_types_is_shown_as_it_was_written():
    assert problem("x", int | bytes) == "is 'x' (str), not int | bytes"
    assert problem("x", bytes | int) == "is 'x' (str), not bytes | int"
    assert problem(["x"], list[int | bytes]) == "[0] is 'x' (str), not int | bytes"
    assert problem(["x"], list[bytes | int]) == "[0] is 'x' (str), not bytes | int"


def test_two_classes_of_one_name_are_told_apart_by_their_modules():
    other = type("Dog", (), {"__module__": "kennel"})

    assert problem(other(), Dog) == "is a kennel.Dog, not hint_types.Dog"


# --- what a lazy value stands for ----------------------------------------------------------


class Promise:
    def __init__(self, hint):
        self.hint = hint

    def __iter__(self):
        raise TypeError("no value yet")


def promised(value):
    return value.hint if isinstance(value, Promise) else None


def test_a_lazy_value_in_a_container_is_judged_by_its_declared_type():
    assert problem([1, Promise(bool)], list[int], promised) is None
    assert problem({"k": (Promise(int), "x")}, dict[str, tuple[int, str]], promised) is None
    assert problem([Promise(str)], list[int], promised) == "[0] gives str, not int"
    assert problem({"a": 1, "b": Promise(type(None))}, Row, promised) == "['b'] gives None, not str"
    assert problem(Promise(int), str, promised) == "gives int, not str"


def test_a_lazy_value_without_a_declared_type_may_stand_anywhere():
    assert problem([Promise(Any)], list[int], promised) is None


def test_a_lazy_value_is_not_taken_for_what_its_own_class_can_do():
    assert problem([1, Promise(list)], list[Hashable], promised) == "[1] gives list, not Hashable"
    assert problem([[1], Promise(int)], list[Iterable[int]], promised) == "[1] gives int, not Iterable[int]"


# --- values that would hurt ----------------------------------------------------------------


def test_an_iterator_is_not_consumed():
    numbers = iter(["x"])

    assert problem(numbers, Iterable[int]) is None
    assert list(numbers) == ["x"]


class Trap(list):
    """A container whose own code must not run."""

    def __iter__(self):
        raise AssertionError("walked")

    @property
    def name(self):
        raise AssertionError("read")

    def __repr__(self):
        raise AssertionError("shown")


@pytest.mark.parametrize("hint", [list[int], Iterable[str], HasName, Sequence[Row], npt.ArrayLike, str])
def test_no_code_of_a_values_class_runs(hint):
    problem(Trap([1]), hint)
    problem([Trap([1]), Trap([2])], list[hint])


def deep(levels):
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_deep_values_and_types_do_not_overflow_the_stack():
    hint: Any = int
    for _ in range(3000):
        hint = list[hint]

    assert problem(deep(100_000), Json) is None
    assert problem(deep(100_000), list[Any]) is None
    assert isinstance(problem(deep(3000), hint), str | None)
    assert isinstance(fits(hint, list[hint]), bool)
    assert show(hint).startswith("list[list[")


def test_a_type_that_holds_itself_is_followed_for_some_depth():
    def nested(levels):
        return functools.reduce(
            lambda inner, _: {"name": "a", "kids": [inner]}, range(levels), {"name": 1, "kids": []}
        )

    assert str(problem(nested(20), Tree)).endswith("['name'] is 1 (int), not str")
    assert problem(nested(70), Tree) is None


def test_a_part_that_was_wrong_before_is_wrong_again():
    wrong = (1.5, 1)

    assert problem((wrong, "x"), Pairs) is not None


def test_a_value_that_holds_itself_is_looked_at_once():
    ring: list[Any] = []
    ring += [ring] * 1000
    tree: dict[str, Any] = {"name": "a"}
    tree["kids"] = [tree] * 1000

    assert problem(ring, Json) is None
    assert problem(tree, Tree) is None
    tree["kids"].append({"name": 1, "kids": []})
    assert str(problem(tree, Tree)).endswith("['kids'][1000]['name'] is 1 (int), not str")


def test_a_part_held_in_many_places_is_looked_at_once():
    tree: dict[str, Any] = {"name": "leaf", "kids": []}
    for _ in range(40):
        tree = {"name": "a", "kids": [tree, tree]}

    assert problem(tree, Tree) is None


def python_calls(function):
    """Count the calls of Python functions while a function runs."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        assert function() is None
    finally:
        sys.setprofile(None)
    return calls


MANY = [
    (1, int),
    (True, float | None),
    ("a", Literal["a", "b"]),
    ((1, "x"), tuple[int, str]),
    ([1, 2], Sequence[int]),
    ({"k": 1}, dict[str, int]),
    ({"a": 1, "b": "x"}, Row),
    ({"a": 1, "b": "x"}, Row | None),
    ([{"k": (1, "x")}], list[dict[str, tuple[int, str]]]),
    (Dog(), Animal),
]


@pytest.mark.parametrize(("value", "hint"), MANY, ids=[show(hint) for _, hint in MANY])
def test_many_values_are_looked_at_without_python_code_for_each(value, hint):
    many = [value] * 10_000
    problem([value], list[hint])  # the checks are made once

    assert python_calls(lambda: problem(many, list[hint])) < 500
    assert python_calls(lambda: problem(dict.fromkeys(range(10_000), value), Mapping[int, hint])) < 500
