"""What can be written in an annotation, brought to the few forms that the rest must know.

    Any          anything; also whatever cannot be decided
    Never        nothing
    a class      int, None's type, a protocol, a TypedDict
    C[x, ...]    a generic class with its arguments
    X | Y        a union, however it was written
    Literal[v]
    NewType      one of its own for `fits`, its base type for values

`Annotated`, `Required`, `Final`, type variables, `type` aliases and old spellings such as
`typing.List` are gone after `plain`.  Special forms are told by name where typing and
typing_extensions have one each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import (
    IO,
    Annotated,
    Any,
    BinaryIO,
    Generic,
    Literal,
    LiteralString,
    Never,
    NewType,
    NoReturn,
    ParamSpec,
    Protocol,
    TextIO,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from liteflow.hints.evaluation import evaluate, module_names

# What says something about a declaration, and nothing about its type.
_QUALIFIERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})
# Real files are no instances of typing's IO classes, though checkers take them for such.
_UNDECIDABLE = (IO, TextIO, BinaryIO, Generic, Protocol)
# An alias of an alias of an alias ...: nobody writes more, and a circle must end.
_LONGEST_CHAIN = 50


def plain(hint: Any) -> Any:
    """Bring a hint to one of the forms above; only its outermost layer is looked at.

    >>> plain(Annotated[int, "metres"]), plain(None), plain("Forward")
    (<class 'int'>, <class 'NoneType'>, typing.Any)
    """
    for _ in range(_LONGEST_CHAIN):
        inner = _unwrapped(hint)
        if inner is hint:
            return hint
        hint = inner
    return Any


def _unwrapped(hint: Any) -> Any:  # noqa: PLR0911  a table of cases
    """Return what one wrapper holds, or the hint itself when it is no wrapper."""
    if isinstance(hint, type):
        return Any if any(hint is one for one in _UNDECIDABLE) else hint
    origin = get_origin(hint)
    if origin is None:
        return _unwrapped_name(hint)
    if origin is Annotated or name_of_form(origin) in _QUALIFIERS:
        return get_args(hint)[0]
    if name_of_form(origin) in ("TypeGuard", "TypeIs"):
        return bool
    if is_alias(origin):
        return substitute(_meaning(origin), dict(zip(origin.__type_params__, get_args(hint), strict=False)))
    if origin in (Union, UnionType, Literal):
        return hint
    if not isinstance(origin, type) or plain(origin) is Any:
        return Any
    # A bare typing.List has an origin, but no arguments; tuple[()] has, though there are none.
    return hint if hasattr(hint, "__args__") else origin


def _unwrapped_name(hint: Any) -> Any:  # noqa: PLR0911  a table of cases
    if hint is None:
        return NoneType
    if hint is Never or hint is NoReturn:
        return Never
    if isinstance(hint, NewType):
        return hint
    if isinstance(hint, TypeVar):
        return union_of(hint.__constraints__) if hint.__constraints__ else hint.__bound__ or Any
    if hint is LiteralString:
        return str
    if is_alias(hint):
        return _meaning(hint)
    # Self, ParamSpec, a forward reference nobody could follow, a function, a number, ...
    return Any


def is_alias(hint: Any) -> bool:
    """Whether it was made by the `type` statement, or is one of those with arguments.

    Only such a hint can hold itself.
    """
    return type(hint).__name__ == "TypeAliasType" or type(get_origin(hint)).__name__ == "TypeAliasType"


def _meaning(alias: Any) -> Any:
    try:
        written = alias.__value__
    except Exception:  # noqa: BLE001  it is evaluated only now, and may raise anything: so it says nothing
        return Any
    return evaluate(written, module_names(alias.__module__), {})


def name_of_form(form: Any) -> str:
    """Return the name of one of typing's special forms, such as `Required`; else no name."""
    return getattr(form, "_name", None) or ""


def is_union(form: Any) -> bool:
    return get_origin(form) in (Union, UnionType)


def class_of(form: Any) -> Any:
    """Return the class of a plain form: `list` of `list[int]`; the form itself if it has none."""
    return get_origin(form) or form


def union_of(hints: Iterable[Any]) -> Any:
    """Return the union of some hints; of none of them it is Never.

    >>> union_of([int, str, int])
    typing.Union[int, str]
    """
    parts = tuple(plain(hint) for hint in hints)
    if not parts:
        return Never
    try:
        return Union[parts]  # noqa: UP007  the parts are not known before
    except TypeError:  # unhashable ones, as Literal[[]]
        return Any


def alternatives(hint: Any) -> list[Any]:
    """Split a hint into plain forms that are no unions, and literals of one value each.

    >>> alternatives(Literal[1, None] | str)
    [typing.Literal[1], <class 'NoneType'>, <class 'str'>]
    """
    form = plain(hint)
    if is_union(form):
        return [part for argument in get_args(form) for part in alternatives(argument)]
    if get_origin(form) is Literal:
        return [literal(value) for value in get_args(form)]
    return [form]


def literal(value: object) -> Any:
    """Return the type that has this one value; Any if it is none that can stand in a Literal.

    >>> literal("a"), literal(None), literal([])
    (typing.Literal['a'], <class 'NoneType'>, typing.Any)
    """
    if value is None:
        return NoneType
    usual = isinstance(value, int | str | bytes | Enum) and type(value).__hash__ is not None
    return Literal.__getitem__(value) if usual else Any


def substitute(hint: Any, meanings: Mapping[Any, Any]) -> Any:
    """Put types in the place of type variables; those without a meaning become Any."""
    if isinstance(hint, TypeVar):
        return meanings.get(hint, hint)
    if isinstance(hint, type):  # a bare generic class has parameters too, but they are its own
        return hint
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or not meanings:
        return hint
    try:
        return hint[tuple(meanings.get(p, ... if isinstance(p, ParamSpec) else Any) for p in parameters)]
    except Exception:  # noqa: BLE001  variadic generics and more: what typing cannot do is not decided
        return Any


def parameters_of(cls: Any) -> tuple[Any, ...]:
    """Return a generic class's own type variables."""
    found = getattr(cls, "__parameters__", ())
    return found if isinstance(found, tuple) else ()


def is_typed_dict(form: Any) -> bool:
    return isinstance(form, type) and "__required_keys__" in vars(form) and dict in form.__mro__


def is_named_tuple(form: Any) -> bool:
    return isinstance(form, type) and tuple in form.__mro__ and hasattr(form, "_fields")


def is_secret(hint: Any) -> bool:
    """Whether a type says that what has it is not to be shown: `Secret`, or what holds some.

    >>> is_secret(str), is_secret(Annotated[str, "short"])
    (False, False)
    """
    if getattr(hint, "_is_secret", False) is True:
        return True
    if any(getattr(mark, "_is_secret", False) is True for mark in _marks(hint)):
        return True
    return any(map(is_secret, get_args(hint)))


def _marks(hint: Any) -> tuple[Any, ...]:
    marks: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    return marks
