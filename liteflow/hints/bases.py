"""Which generic types is a type one of?  `dict[str, int]` is an `Iterable[str]`.

User classes say it themselves (`class Box(Sequence[T])`); builtin ones say it in typeshed
only, so what is needed of it stands here.
"""

# The table below is made of generic classes with free type variables, which mypy doubts.
# mypy: disable-error-code="valid-type"

from __future__ import annotations

from collections import ChainMap, Counter, OrderedDict, abc, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import GenericAlias, MappingProxyType
from typing import Any, TypeVar, get_args, get_origin

from liteflow.hints.annotations import attributes
from liteflow.hints.forms import class_of, is_named_tuple, name_of_form, parameters_of, substitute, union_of

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")
R = TypeVar("R")

# Source: https://github.com/python/typeshed, stdlib/builtins.pyi, typing.pyi, collections/
_DECLARED: tuple[tuple[Any, ...], ...] = (
    (Iterable[T],),
    (abc.Container[T],),
    (abc.Awaitable[T],),
    (abc.AsyncIterable[T],),
    (abc.Iterator[T], Iterable[T]),
    (abc.Generator[T, S, R], Iterator[T]),
    (abc.Reversible[T], Iterable[T]),
    (abc.Collection[T], Iterable[T], abc.Container[T]),
    (Sequence[T], abc.Reversible[T], abc.Collection[T]),
    (abc.MutableSequence[T], Sequence[T]),
    (abc.Set[T], abc.Collection[T]),
    (abc.MutableSet[T], abc.Set[T]),
    (Mapping[K, V], abc.Collection[K], abc.Reversible[K]),
    (abc.MutableMapping[K, V], Mapping[K, V]),
    (abc.KeysView[K], abc.Set[K]),
    (abc.ItemsView[K, V], abc.Set[tuple[K, V]]),
    (abc.ValuesView[V], abc.Collection[V]),
    (abc.AsyncIterator[T], abc.AsyncIterable[T]),
    (abc.AsyncGenerator[T, S], abc.AsyncIterator[T]),
    (abc.Coroutine[S, T, R], abc.Awaitable[R]),
    (list[T], abc.MutableSequence[T]),
    (deque[T], abc.MutableSequence[T]),
    (set[T], abc.MutableSet[T]),
    (frozenset[T], abc.Set[T]),
    (dict[K, V], abc.MutableMapping[K, V]),
    (defaultdict[K, V], dict[K, V]),
    (OrderedDict[K, V], dict[K, V]),
    (Counter[K], dict[K, int]),
    (ChainMap[K, V], abc.MutableMapping[K, V]),
    (MappingProxyType[K, V], Mapping[K, V]),
    (enumerate[T], Iterator[tuple[int, T]]),
    (AbstractContextManager[T],),
    (AbstractAsyncContextManager[T],),
    (str, Sequence[str]),
    (bytes, Sequence[int]),
    (bytearray, abc.MutableSequence[int]),
    (memoryview, Sequence[int]),
    (range, Sequence[int]),
)
_BASES = {class_of(kind): (get_args(kind), bases) for kind, *bases in _DECLARED}


def arguments(hint: Any, base: type) -> tuple[Any, ...] | None:
    """Return the arguments of the generic class `base` that a plain form, seen as one, has.

    Returns:
        None if they are not known, or it is no such thing.

    >>> arguments(dict[str, int], Iterable)
    (<class 'str'>,)
    >>> arguments(int, Sequence) is None
    True
    """
    waiting, seen = [hint], set()
    while waiting:
        form = waiting.pop(0)
        if class_of(form) is base:
            return _own_arguments(form)
        if id(class_of(form)) not in seen:
            seen.add(id(class_of(form)))
            waiting += _bases(form)
    return None


def _own_arguments(form: Any) -> tuple[Any, ...] | None:
    if not hasattr(form, "__args__"):
        return None
    found, parameters = get_args(form), _BASES.get(class_of(form), ((), ()))[0]
    # At run time nobody hinders a user from writing Mapping[str].
    return (Any,) * len(parameters) if parameters and len(found) != len(parameters) else found


def _bases(form: Any) -> list[Any]:
    cls = class_of(form)
    if cls is tuple:
        items = tuple_items(form)
        return [] if items is None else [GenericAlias(Sequence, (union_of(items),))]
    if not isinstance(cls, type):
        return []
    parameters, bases = _BASES.get(cls, (parameters_of(cls), None))
    if bases is None and is_named_tuple(cls) and tuple in cls.__bases__:
        types, names = attributes(cls), cls._fields  # type: ignore[attr-defined]
        bases = [GenericAlias(tuple, tuple(types.get(name, Any) for name in names))]
    elif bases is None:
        # Not by getattr: a subclass that has none of its own would give those of its base.
        bases = vars(cls).get("__orig_bases__", cls.__bases__)
    given = _own_arguments(form) or (Any,) * len(parameters)
    meanings = dict(zip(parameters, given, strict=False))
    return [substitute(base, meanings) for base in bases]


def tuple_items(form: Any) -> tuple[Any, ...] | None:
    """Return the types of a tuple's items, one for all if the length is open; None if unknown.

    >>> tuple_items(tuple[int, str]), tuple_items(tuple[int, ...]), tuple_items(tuple)
    ((<class 'int'>, <class 'str'>), (<class 'int'>,), None)
    """
    if not hasattr(form, "__args__"):
        return None
    items = get_args(form)
    if any(is_unpacked(item) for item in items):
        return None
    return items[:1] if is_open_tuple(form) else items


def is_open_tuple(form: Any) -> bool:
    """Whether it is a tuple of any length, `tuple[int, ...]`."""
    items = get_args(form)
    return len(items) == 2 and items[1] is ...


def is_unpacked(item: Any) -> bool:
    """Whether it stands for any number of items, as `*tuple[int, ...]` and `*Ts`."""
    return getattr(item, "__unpacked__", False) is True or name_of_form(get_origin(item)) == "Unpack"
