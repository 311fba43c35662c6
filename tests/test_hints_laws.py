"""Laws of hints: what holds for every type and every value, against oracles that are not ours.

Values of a type come from hypothesis's `from_type`; whether a type fits another, mypy knows.
"""

from __future__ import annotations

# Old spellings are among what is tested.
# ruff: noqa: UP006, UP019
import collections
import enum
import functools
import operator
import re
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Never,
    NewType,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
)

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from liteflow.hints import fits, item_type, problem, resolve, show, tuple_length
from liteflow.hints.checks import check_of
from liteflow.hints.looking import Look


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Row(TypedDict):
    a: int
    b: str


class Pair(NamedTuple):
    x: int
    y: str


class Sized(Protocol):
    def __len__(self) -> int: ...


UserId = NewType("UserId", int)
T = TypeVar("T")
P = ParamSpec("P")


def law(*strategies):
    """Hold for every example; how long one takes is the machine's affair."""
    half = settings(deadline=None, max_examples=settings().max_examples // 2)
    return lambda test: half(given(*strategies)(test))


KINDS = [int, bool, float, complex, str, bytes, type(None), Color, UserId, Row, Pair]
LEAVES = st.sampled_from([*KINDS, Literal["a", 1], Literal[True], Annotated[int, "m"]])
HASHABLE = st.sampled_from([int, bool, float, str, bytes, Color, UserId, Literal["a", 1], tuple[int, str]])


def containers(inner):
    return st.one_of(
        inner.map(lambda t: list[t]),
        inner.map(lambda t: Sequence[t]),
        inner.map(lambda t: Iterable[t]),
        inner.map(lambda t: tuple[t, ...]),
        inner.map(lambda t: collections.deque[t]),
        HASHABLE.map(lambda t: set[t]),
        HASHABLE.map(lambda t: frozenset[t]),
        st.builds(lambda a, b: tuple[a, b], inner, inner),
        st.builds(lambda k, v: dict[k, v], HASHABLE, inner),
        st.builds(lambda k, v: Mapping[k, v], HASHABLE, inner),
        st.builds(lambda a, b: a | b, inner, inner),
    )


HINTS = st.recursive(LEAVES, containers, max_leaves=5)


@st.composite
def wider(draw, hint):
    """A type that takes all that `hint` takes, by rules written here once more."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    options = [st.just(hint), st.just(object), LEAVES.map(lambda other: hint | other)]
    promoted = {
        bool: [int, float],
        int: [float, complex],
        float: [complex],
        UserId: [int, float],
        Pair: [tuple],
    }
    options += [st.sampled_from(promoted[hint])] if hint in promoted else []
    if origin in (list, collections.deque):
        options += [
            wider(arguments[0]).map(lambda t: Sequence[t]),
            wider(arguments[0]).map(lambda t: origin[t]),
        ]
        options += [wider(arguments[0]).map(lambda t: Collection[t])]
    if origin in (set, frozenset):
        options += [wider(arguments[0]).map(lambda t: Set[t])]
    if origin is Sequence:
        options += [wider(arguments[0]).map(lambda t: Iterable[t])]
    if origin is dict:
        key, value = wider(arguments[0]), wider(arguments[1])
        options += [st.builds(lambda k, v: Mapping[k, v], key, value), key.map(lambda k: Iterable[k])]
    if origin is tuple and arguments[-1] is not ...:
        options += [st.tuples(*map(wider, arguments)).map(lambda types: tuple[types])]
        options += [
            st.tuples(*map(wider, arguments)).map(
                lambda types: Sequence[functools.reduce(operator.or_, types)]
            )
        ]
    return draw(st.one_of(options))


@st.composite
def typed_values(draw, hints=HINTS):
    hint = draw(hints)
    return hint, draw(st.from_type(hint))


@law(typed_values())
def test_a_value_of_a_type_is_right_for_it(typed):
    hint, value = typed
    assert problem(value, hint) is None


@law(HINTS)
def test_a_type_fits_itself(hint):
    assert fits(hint, hint)


@law(st.data())
def test_a_type_fits_a_wider_one_and_so_do_its_values(data):
    hint, value = data.draw(typed_values())
    wide = data.draw(wider(hint))

    assert fits(hint, wide)
    assert problem(value, wide) is None


@law(st.data())
def test_if_a_type_fits_another_so_do_its_values(data):
    small = st.recursive(LEAVES, containers, max_leaves=2)
    narrow, value = data.draw(typed_values(small))
    wide = data.draw(st.one_of(small, wider(narrow)))
    assume(fits(narrow, wide))

    assert problem(value, wide) is None


@law(st.data())
def test_fitting_is_passed_on(data):
    small = st.recursive(LEAVES, containers, max_leaves=2)
    first = data.draw(small)
    second = data.draw(st.one_of(wider(first), small))
    third = data.draw(st.one_of(wider(second), small))
    assume(fits(first, second) and fits(second, third))

    assert fits(first, third)


@law(HINTS, HINTS, HINTS)
def test_a_union_fits_where_all_its_members_do(a, b, wanted):
    assert fits(a | b, wanted) == (fits(a, wanted) and fits(b, wanted))
    assert fits(wanted, a | b) or not (fits(wanted, a) or fits(wanted, b))


class Alien:
    """Of no declared type."""


@st.composite
def with_an_alien(draw, kinds=("leaf", "leaf", "list", "tuple", "dict", "record")):
    """A type, a value of it but for one part, and that part's path as Python would write it."""
    kind = draw(st.sampled_from(kinds))
    if kind == "leaf":
        return draw(LEAVES), Alien(), ""
    hint, bad, path = draw(with_an_alien(kinds))
    if kind == "union":
        return hint | draw(LEAVES), bad, path
    good = [draw(st.from_type(hint)) for _ in range(draw(st.integers(0, 3)))]
    if kind == "list":
        return list[hint], [*good, bad], f"[{len(good)}]{path}"
    if kind == "tuple":
        return tuple[(*[hint] * len(good), hint)], (*good, bad), f"[{len(good)}]{path}"
    if kind == "dict":
        return dict[str, hint], {**{str(n): g for n, g in enumerate(good)}, "bad": bad}, f"['bad']{path}"
    record = TypedDict("record", {"first": int, "bad": hint})  # noqa: UP013  it is another one each time
    return record, {"first": 1, "bad": bad}, f"['bad']{path}"


@law(with_an_alien())
def test_the_path_leads_to_the_part_that_is_wrong(case):
    hint, value, path = case
    phrase = problem(value, hint)

    assert phrase is not None and phrase.startswith(f"{path} is an Alien, not ".lstrip())
    assert isinstance(eval(f"value{path}", {"value": value}), Alien)


@law(with_an_alien(("leaf", "list", "tuple", "dict", "record", "union")))
def test_a_part_that_is_wrong_is_not_overlooked_among_many(case):
    hint, value, _ = case

    assert problem(value, hint) is not None
    assert problem([value, value], list[hint]) is not None
    assert problem({1: value}, dict[int, hint]) is not None
    assert problem((value, 1), tuple[hint, int]) is not None


MIXED = st.lists(
    st.one_of(st.deferred(lambda: HINTS.flatmap(st.from_type)), st.just([]), st.just(())), max_size=4
)


@law(HINTS, st.one_of(MIXED, st.none()), st.data())
def test_many_are_right_if_each_is(hint, values, data):
    values = values if values is not None else data.draw(st.lists(st.from_type(hint), max_size=4))
    each_right = all(problem(value, hint) is None for value in values)

    assert (problem(values, list[hint]) is None) == each_right
    assert (problem(dict(enumerate(values)), dict[int, hint]) is None) == each_right
    # To see many at once may fail where looking at each succeeds, but not the other way round.
    assert each_right or not check_of(hint).surely(values, Look(None))


class Promise:
    def __init__(self, hint):
        self.hint = hint


def promised(value):
    return value.hint if isinstance(value, Promise) else None


def with_promises(draw, value, hint):
    """Put promises of the declared types in place of some parts."""
    if draw(st.booleans()):
        return Promise(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, Sequence) and isinstance(value, list):
        return [with_promises(draw, item, arguments[0]) for item in value]
    if origin is dict:
        return {key: with_promises(draw, item, arguments[1]) for key, item in value.items()}
    return value


@law(typed_values(), st.data())
def test_a_lazy_value_of_the_declared_type_may_stand_for_any_part(typed, data):
    hint, value = typed
    assert problem(with_promises(data.draw, value, hint), hint, promised) is None


@law(typed_values())
def test_looking_for_lazy_values_changes_nothing_where_there_are_none(typed):
    hint, value = typed
    for wanted in (hint, list[hint], int, Mapping[str, int]):
        assert problem(value, wanted, promised) == problem(value, wanted)


@law(st.data())
def test_the_type_of_an_item_takes_the_item(data):
    hint, value = data.draw(typed_values())
    assume(isinstance(value, list | tuple | dict) and value)
    key = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))

    assert problem(value[key], item_type(hint, key)) is None
    assert tuple_length(hint) in (None, len(value))


class Refuses(type):
    """A metaclass that cannot be asked."""

    def __instancecheck__(cls, instance):
        raise RuntimeError("no")

    def __subclasscheck__(cls, subclass):
        raise RuntimeError("no")


class Unaskable(metaclass=Refuses): ...


ODD = [
    *(Any, Never, Self, T, P, P.args, P.kwargs, Sized, typing.Generic, Protocol, typing.LiteralString),
    *(typing.Union, typing.Optional, Literal, Callable, typing.Callable, typing.Tuple, typing.Type, type),
    *(typing.ClassVar[int], typing.Final[int], typing.Required[int], typing.TypeGuard[int], typing.IO[str]),
    *(Literal[()], Literal[[]], Literal[1.5, object], Annotated[int, []], tuple[()], type[Any]),
    *(typing.Unpack[tuple[int, str]], typing.TypeVarTuple("Ts"), typing.Concatenate[int, P], type[int | str]),
    *(Callable[P, T], Callable[..., T], Unaskable, NewType("Odd", Any), TypeVar("B", bound="Missing")),  # noqa: F821
    *(np.ndarray, np.ndarray[Any, np.dtype[np.int8]], np.array([1, 2]), np.int8, np.dtype("i4")),
    *("Missing", "(", typing.ForwardRef("X"), ..., NotImplemented, 5, 1.5, [], {}, [int], (int, str)),
    *(any, len, lambda: 0, typing, None, object(), typing.NamedTuple, TypedDict, enum.Enum, typing.Text),
    *(typing.Annotated, typing.ParamSpec, typing.AnyStr),
]


def nested(inner):
    def subscript(generic, arguments):
        try:
            return generic[arguments]
        except Exception:  # noqa: BLE001  Python itself refuses it
            return generic

    kinds = [list, dict, tuple, type, Sequence, Mapping, Callable, typing.List, typing.Dict, typing.Union]
    kinds += [
        typing.Optional,
        Annotated,
        Literal,
        np.ndarray,
        typing.ClassVar,
        typing.Tuple,
        collections.Counter,
    ]
    return st.builds(subscript, st.sampled_from(kinds), st.one_of(inner, st.tuples(inner, inner)))


ODD_HINTS = st.recursive(st.one_of(st.sampled_from(ODD), LEAVES), nested, max_leaves=4)
VALUES = st.one_of(
    st.just(5), st.just("x"), st.just([1]), st.just({"a": (1, "x")}), st.just(int), st.just(Unaskable())
)


@law(ODD_HINTS, ODD_HINTS, VALUES)
def test_whatever_is_written_as_an_annotation_nothing_crashes(first, second, value):
    def f(x): ...

    f.__annotations__ = {"x": first, "y": second, "return": first}

    assert set(resolve(f)) == {"x", "y", "return"}
    assert fits(first, second) in (True, False)
    for hint in (first, second, resolve(f)["x"]):
        assert isinstance(show(hint), str)
        assert isinstance(problem(value, hint), str | None)
        assert isinstance(tuple_length(hint), int | None)
        item_type(hint, 0), item_type(hint, "a"), item_type(hint, slice(1))


# --- what mypy says ------------------------------------------------------------------------

PRELUDE = """
import collections, enum, os, pathlib
from collections.abc import *
from typing import *
from typing import NewType
T_co = TypeVar("T_co", covariant=True)
class Animal: ...
class Dog(Animal):
    def close(self) -> None: ...
class Color(enum.Enum):
    RED = 1
    BLUE = 2
UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)
class Row(TypedDict):
    a: int
    b: str
class Wide(Row):
    c: float
class Part(TypedDict, total=False):
    a: int
class Point(NamedTuple):
    x: int
    y: str
class Box(Generic[T_co]):
    def get(self) -> T_co: raise NotImplementedError
class IntBox(Box[int]): ...
class Sub(Box[T_co]): ...
class Ints(list[int]): ...
class Gets(Protocol[T_co]):
    def get(self) -> T_co: ...
class Closes(Protocol):
    def close(self) -> None: ...
"""
TYPES = """
int; bool; float; complex; str; bytes; bytearray; None; object; Animal; Dog; Color; UserId; AdminId; range
Literal[1]; Literal[True]; Literal['a', 'b']; Literal['a']; Literal[None]; Literal[True, False]
Literal[Color.RED]; Literal[Color.RED, Color.BLUE]; Union[Literal['a'], int]; Annotated[int, 'm']
int | None; int | str; Optional[Dog]; pathlib.Path; os.PathLike[str]; type[int]; type[Animal]; type[Dog]
Sequence[int]; Sequence[float]; Sequence[str]; Sequence[object]; Iterable[int]; Iterable[str]; Iterator[int]
Iterable[tuple[str, int]]; Collection[str]; Container[int]; Mapping[str, int]; Mapping[str, object]
AbstractSet[int]; frozenset[int]; frozenset[bool]; set[int]; list[int]; dict[str, int]; Awaitable[int]
tuple[int, str]; tuple[int, ...]; tuple[bool, bool]; tuple[()]; tuple[int | str, ...]; tuple[Animal, Dog]
tuple[Any, ...]; tuple; Row; Wide; Point; Box[int]; Box[float]; IntBox; Sub[bool]; Sub[str]; Ints; Closes
collections.deque[int]; collections.Counter[str]; collections.defaultdict[str, int]
collections.OrderedDict[str, int]; KeysView[str]; ItemsView[str, int]
"""


def pairs_that_mypy_refuses(types, tmp_path):
    api = pytest.importorskip("mypy.api")
    file = tmp_path / "pairs.py"
    lines = PRELUDE.splitlines()
    places = {}
    for n, a in enumerate(types):
        lines.append(f"def f{n}(given: {a}) -> None:")
        for m, b in enumerate(types):
            lines.append(f"    x{m}: {b} = given")
            places[len(lines)] = (a, b)
    file.write_text("\n".join(lines) + "\n")
    output, _, _ = api.run(
        [str(file), "--cache-dir", str(tmp_path / "cache"), "--no-error-summary", "--config-file="]
    )
    refused = {places.get(int(line)) for line in re.findall(r"pairs\.py:(\d+): error", output)}
    assert None not in refused, output
    return refused


def test_what_fits_is_what_mypy_accepts(tmp_path):
    names: dict[str, Any] = {"__name__": __name__}
    exec(PRELUDE, names)
    types = [text for line in TYPES.split("\n") for text in line.split("; ") if text]
    hints = {text: eval(text, names) for text in types}

    refused = pairs_that_mypy_refuses(types, tmp_path)
    differing = {
        (a, b): fits(hints[a], hints[b])
        for a in types
        for b in types
        if fits(hints[a], hints[b]) == ((a, b) in refused)
    }

    assert refused
    # What a class itself has is not decided where a class of instances that have it is given.
    assert differing == {("type[Dog]", "Closes"): True}
