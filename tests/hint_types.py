"""Types of every kind that an annotation can name, for the tests of hints."""

from __future__ import annotations

import enum
import functools
from collections import abc
from dataclasses import dataclass
from typing import (
    Any,
    Generic,
    NamedTuple,
    NewType,
    ParamSpec,
    Protocol,
    Required,
    TypedDict,
    TypeVar,
    runtime_checkable,
)

import attrs
import typing_extensions

T = TypeVar("T")
S = TypeVar("S")
T_contra = TypeVar("T_contra", contravariant=True)
P = ParamSpec("P")


class Animal: ...


class Dog(Animal): ...


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Row(TypedDict):
    a: int
    b: str


class WideRow(Row):
    c: float


class PartOfRow(TypedDict, total=False):
    a: int
    b: Required[str]


class Tree(TypedDict):
    name: str
    kids: list[Tree]


class Point(NamedTuple):
    x: int
    y: str


class Box(Generic[T]):
    def get(self) -> T: ...


class IntBox(Box[int]): ...


class StillIntBox(IntBox): ...


class Swapped(dict[S, T], Generic[T, S]): ...


class Eater(Generic[T_contra]): ...


class Grid(list[list[float]]): ...


class HasName(Protocol):
    name: str


@runtime_checkable
class Closes(Protocol):
    def close(self) -> None: ...


class Gets(Protocol[T]):
    def get(self) -> T: ...


@dataclass
class Named:
    name: str


@dataclass
class Unnamed:
    size: int


@attrs.frozen
class NamedByNumber:
    name: int


class HasDunderName(Protocol):
    __name__: str


class Hashes(Protocol):
    def __hash__(self) -> int: ...


class Fetches(Protocol):
    async def fetch(self) -> int: ...


class Waits(Protocol):
    def fetch(self) -> abc.Awaitable[int]: ...


class NotClosing:
    close: int


class Dynamic:
    def __getattr__(self, name: str) -> int:
        return len(name)


class NamedLater:
    def __init__(self):
        self.name = "x"


class NamedByProperty:
    @property
    def name(self) -> str:
        raise AssertionError("read")


class NumberedByProperty:
    @property
    def name(self) -> int:
        raise AssertionError("read")


class NumberedOnce:
    @functools.cached_property
    def name(self) -> int:
        raise AssertionError("read")


class Fetcher:
    async def fetch(self) -> int: ...


class WrongFetcher:
    async def fetch(self) -> str: ...


class Unchecked(Any):
    """Of a library without types."""


class Loose(Box, Generic[T]):
    """A Box of we do not know what."""


class BoxedGrid(IntBox, Grid): ...


UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)
Ids = NewType("Ids", list[int])
Numeric = TypeVar("Numeric", int, str)
Beast = TypeVar("Beast", bound=Animal)
Json = typing_extensions.TypeAliasType("Json", "dict[str, Json] | list[Json] | int | str | None")
Pairs = typing_extensions.TypeAliasType("Pairs", "tuple[Pairs, int] | tuple[Pairs, str] | int")
ListOf = typing_extensions.TypeAliasType("ListOf", list[T], type_params=(T,))
Anything = typing_extensions.TypeAliasType("Anything", "Missing")  # noqa: F821
