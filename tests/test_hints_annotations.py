"""What annotations say when they are read, what is in them, and how they are shown."""

from __future__ import annotations

# Old spellings are among what is tested.
# ruff: noqa: UP006, UP007, UP045
import functools
import sys
import types
import typing
from collections import Counter, namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Never, NewType, NotRequired, Optional, Self, Union

import numpy as np
import numpy.typing as npt
import pytest
from hint_types import (
    Box,
    Color,
    Dog,
    Grid,
    Ids,
    Json,
    ListOf,
    Named,
    P,
    PartOfRow,
    Point,
    Row,
    Swapped,
    T,
    UserId,
)

from liteflow.hints import fits, item_type, problem, resolve, show, tuple_length


@pytest.fixture
def module(monkeypatch):
    """Run source text as a module of its own."""

    def make(source):
        made = types.ModuleType("made_for_test")
        monkeypatch.setitem(sys.modules, "made_for_test", made)
        exec(source, made.__dict__)
        return made

    return make


def test_an_unannotated_function_has_no_annotations():
    assert resolve(lambda x, y=1: x) == {}


def test_annotations_as_text_are_evaluated_where_the_function_was_written(module):
    made = module(
        "from __future__ import annotations\n"
        "from collections.abc import Sequence\n"
        "class Later: ...\n"
        "def f(x: Sequence[Later], *rest: int, key: None = None, **more: 'str') -> Later | None: ...\n"
    )

    assert resolve(made.f) == {
        "x": Sequence[made.Later],
        "rest": int,
        "key": type(None),
        "more": str,
        "return": made.Later | None,
    }


def test_one_bad_annotation_spoils_no_other(module):
    made = module(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from pandas import DataFrame\n"
        "    import polars as pl\n"
        "def f(a: DataFrame, b: list[int], c: dict[str, DataFrame], d: pl.Frame, e: 1/0,\n"
        "      g: DataFrame | None) -> int: ...\n"
    )

    assert resolve(made.f) == {
        "a": Any,
        "b": list[int],
        "c": dict[str, Any],
        "d": Any,
        "e": Any,
        "g": Any | None,
        "return": int,
    }


def test_text_that_is_no_type_means_anything():
    def f(a: "see the (docs", b: "", c: 5, d: {"k": int}, e: list["Missing"]): ...  # noqa: F722, F821, UP037

    # Under the __future__ import of this file even 5 is text.
    f.__annotations__ = {"a": "see the (docs", "b": "", "c": 5, "d": {"k": int}, "e": list["Missing"]}  # noqa: F821
    resolved = resolve(f)

    assert resolved["a"] is Any and resolved["b"] is Any
    assert all(fits(int, resolved[name]) for name in "abcd")
    assert fits(list[int], resolved["e"]) and not fits(int, resolved["e"])


def test_what_cannot_be_found_is_not_written_into_the_users_own_types():
    hint = typing.List["NotThereYet"]  # noqa: F821

    def f(x): ...

    f.__annotations__ = {"x": hint}
    resolve(f)

    assert not hint.__args__[0].__forward_evaluated__


def test_a_class_known_to_the_function_only_is_found():
    class Local: ...

    def f(x: list[Local]) -> Local:
        return Local() if x else x[0]

    assert resolve(f) == {"x": list[Local], "return": Local}


def test_a_name_that_is_not_bound_yet_means_anything():
    def outer():
        def f(x: Late):
            return Late

        found = resolve(f)
        Late = int  # noqa: N806
        return found, resolve(f)

    assert outer() == ({"x": Any}, {"x": int})


class Scaler:
    factor: float = 2

    def __call__(self, x: int) -> str: ...

    def method(self, x: int) -> str: ...

    @classmethod
    def of_class(cls, x: int) -> str: ...

    @staticmethod
    def static(x: int) -> str: ...


def plain_function(x: int) -> str: ...


async def coroutine(x: int) -> str: ...


@functools.wraps(plain_function)
def wrapper(*args, **kwargs): ...


@pytest.mark.parametrize(
    "fn",
    [
        plain_function,
        coroutine,
        wrapper,
        functools.lru_cache(plain_function),
        functools.partial(plain_function),
        functools.partial(functools.partial(wrapper), 1),
        Scaler(),
        Scaler().method,
        Scaler.method,
        Scaler.of_class,
        Scaler.static,
    ],
)
def test_any_callable_has_the_annotations_of_the_function_behind_it(fn):
    assert resolve(fn) == {"x": int, "return": str}


def test_a_class_takes_what_its_constructor_takes_and_gives_itself():
    assert resolve(Named) == {"name": str, "return": Named}
    assert resolve(Point) == {"x": int, "y": str, "return": Point}
    assert resolve(functools.partial(int, base=2)) == {"return": int}


@pytest.mark.parametrize("fn", [len, print, np.add, np.sum, dict.get, object(), None, 5])
def test_a_callable_without_python_code_is_no_trouble(fn):
    assert isinstance(resolve(fn), dict)


def test_a_wrapper_of_itself_is_no_trouble():
    def f(x: int): ...

    f.__wrapped__ = f

    assert resolve(f)["x"] is int


def test_required_keys_are_known_though_annotations_are_text(module):
    made = module(
        "from __future__ import annotations\n"
        "from typing import *\n"
        "class Record(TypedDict):\n"
        "    a: int\n"
        "    b: NotRequired[Missing]\n"
        "    c: Annotated[NotRequired[str], 'x']\n"
    )

    assert problem({"a": 1}, made.Record) is None
    assert problem({"b": 1}, made.Record) == "lacks the key 'a' of Record"
    assert problem({"a": 1, "c": 2}, made.Record) == "['c'] is 2 (int), not str"


@pytest.mark.parametrize(
    ("hint", "key", "expected"),
    [
        (tuple[int, str], 0, int),
        (tuple[int, str], -1, str),
        (tuple[int, str], 2, Any),
        (tuple[int, str, float], slice(1, None), tuple[str, float]),
        (tuple[int, str], slice(0, 0), tuple[()]),
        (tuple[int, ...], 7, int),
        (tuple[int, ...], slice(2), tuple[int, ...]),
        (tuple, 0, Any),
        (Point, 1, str),
        (namedtuple("Raw", "x"), 0, Any),
        (list[int], 3, int),
        (list[int], slice(3), list[int]),
        (list[int], "k", Any),
        (list, 0, Any),
        (Sequence[int], 0, int),
        (Grid, 0, list[float]),
        (dict[str, int], "k", int),
        (dict[str, int], 0, int),
        (Mapping[int, str], 0, str),
        (Swapped[int, str], "k", int),
        (Counter[str], "k", int),
        (Row, "a", int),
        (PartOfRow, "b", str),
        (Row, "z", Any),
        (Row, 0, Any),
        (str, 0, str),
        (bytes, 0, int),
        (Literal["ab"], 0, str),
        (Ids, 0, int),
        (Annotated[list[int], "x"], 0, int),
        (list[int] | None, 0, int),
        (list[int] | tuple[str, str], 0, int | str),
        (list[int] | Dog, 0, Any),
        (Any, 0, Any),
        (int, 0, Any),
        (None, 0, Any),
        (npt.NDArray[np.float64], 0, Any),
        (set[int], 0, Any),
        ("Missing", 0, Any),
    ],
)
def test_the_type_of_an_item(hint, key, expected):
    assert item_type(hint, key) == expected


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (tuple[int, str], 2),
        (tuple[()], 0),
        (typing.Tuple[int], 1),
        (Point, 2),
        (namedtuple("Raw", "x y z"), 3),
        (Annotated[tuple[int, str], "x"], 2),
        (NewType("Pair", tuple[int, int]), 2),
        (tuple[int, ...], None),
        (tuple[int, *tuple[int, ...]], None),
        (tuple, None),
        (typing.Tuple, None),
        (tuple[int, str] | None, None),
        (list[int], None),
        (Any, None),
        (Never, None),
        (5, None),
    ],
)
def test_the_length_of_a_tuple(hint, expected):
    assert tuple_length(hint) == expected


# --- text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (None, "None"),
        (type(None), "None"),
        (Any, "Any"),
        (int | None, "int | None"),
        (Optional[int], "int | None"),
        (Union[int, str], "int | str"),
        (list[int], "list[int]"),
        (typing.List[int], "list[int]"),
        (Sequence[str], "Sequence[str]"),
        (dict[str, list[int | None]], "dict[str, list[int | None]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[()], "tuple[()]"),
        (tuple[int, *tuple[str, ...]], "tuple[int, *tuple[str, ...]]"),
        (Callable[[int, str], bool], "Callable[[int, str], bool]"),
        (Callable[..., int], "Callable[..., int]"),
        (Callable[P, int], "Callable[P, int]"),
        (Callable, "Callable"),
        (Literal["a", 1, None], "Literal['a', 1, None]"),
        (Literal[Color.RED], "Literal[Color.RED]"),
        (Annotated[int, object()], "int"),
        (type[Dog], "type[Dog]"),
        (UserId, "UserId"),
        (T, "T"),
        (Box[T], "Box[T]"),
        (Row, "Row"),
        (Self, "Self"),
        (Never, "Never"),
        (Json, "Json"),
        (ListOf[int], "ListOf[int]"),
        ("Missing", "Missing"),
        (list["Missing"], "list[Missing]"),  # noqa: F821
        (typing.List["Missing"], "list[Missing]"),  # noqa: F821
        (NotRequired[int], "NotRequired[int]"),
        (np.ndarray, "ndarray"),
        (5, "5"),
        (any, "any"),
    ],
)
def test_a_type_is_shown_as_it_was_written(hint, text):
    assert show(hint) == text


def test_a_local_class_is_shown_without_its_function():
    class Inner:
        class Nested: ...

    assert show(Inner.Nested) == "Inner.Nested"
