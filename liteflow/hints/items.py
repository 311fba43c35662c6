"""What is the type of `value[key]`, of a list's items, and into how many values does a tuple unpack?"""

from __future__ import annotations

from collections.abc import AsyncIterable, Generator, Iterable, Mapping, Sequence
from types import GenericAlias, NoneType
from typing import Any, Literal, NewType, get_args, get_origin

from liteflow.hints.annotations import fields
from liteflow.hints.bases import arguments, is_open_tuple, tuple_items
from liteflow.hints.fitting import is_subclass, tuple_form
from liteflow.hints.forms import alternatives, class_of, is_typed_dict, plain, union_of


def item_type(hint: Any, key: object) -> Any:
    """Return the declared type of `value[key]` of a value declared as `hint`.

    Args:
        hint: As annotated.
        key: What stands between the brackets, itself.

    Returns:
        `Any` if it is not known, or if there is no such item.

    >>> item_type(tuple[int, str], 1), item_type(dict[str, float], "k"), item_type(list[int], 7)
    (<class 'str'>, <class 'float'>, <class 'int'>)
    """
    # None has no items: whoever asks for one of an `X | None` counts on an X.
    forms = [form for form in alternatives(hint) if form is not NoneType]
    types = [_item(form, key) for form in forms]
    if not types or any(plain(one) is Any for one in types):
        return Any
    return types[0] if len(types) == 1 else union_of(types)


def _item(form: Any, key: object) -> Any:  # noqa: PLR0911  a table of cases
    if isinstance(form, NewType):
        return item_type(form.__supertype__, key)
    if get_origin(form) is Literal:
        return item_type(type(get_args(form)[0]), key)
    cls = class_of(form)
    if not isinstance(cls, type) or cls is Any:
        return Any
    if is_typed_dict(cls):
        field = fields(cls).get(key) if isinstance(key, str) else None
        return field.hint if field else Any
    if is_subclass(cls, (tuple,)):
        return _tuple_item(tuple_form(form) if cls is not tuple else form, key)
    if have := arguments(form, Mapping):
        return have[1]
    if have := arguments(form, Sequence):
        if isinstance(key, slice):
            return form if cls in (list, str, bytes) else Any
        return have[0] if isinstance(key, int) else Any
    return Any


def _tuple_item(form: Any, key: object) -> Any:
    items = tuple_items(form)
    if items is None:
        return Any
    if is_open_tuple(form):
        return items[0] if isinstance(key, int) else form if isinstance(key, slice) else Any
    if isinstance(key, slice):
        return tuple.__class_getitem__(items[key])
    return items[key] if isinstance(key, int) and -len(items) <= key < len(items) else Any


def list_of(hint: Any) -> Any:
    """Return the type of a list of such items.

    >>> list_of(int)
    list[int]
    """
    return GenericAlias(list, (hint,))


# What can be iterated over, and yet is one value, or has no order to count items by.
_NO_LISTS = (str, bytes, bytearray, memoryview, Mapping, set, frozenset)


def iterated_type(hint: Any) -> Any:
    """Return the declared type of the items of a list, or of another iterable that has an order.

    Args:
        hint: As annotated.

    Returns:
        `Any` if it is not known; None if the hint surely allows something else: a text, a dict,
        a set, None.

    >>> iterated_type(list[int]), iterated_type(tuple[int, ...]), iterated_type(str)
    (<class 'int'>, <class 'int'>, None)
    """
    types = [_iterated(form) for form in alternatives(hint)]
    if any(one is None for one in types):
        return None
    if any(plain(one) is Any for one in types):
        return Any
    return types[0] if len(types) == 1 else union_of(types)


def _iterated(form: Any) -> Any:
    if isinstance(form, NewType):
        return iterated_type(form.__supertype__)
    if get_origin(form) is Literal:
        return iterated_type(type(get_args(form)[0]))
    cls = class_of(form)
    # Of a class object nothing is known: an Enum is one that can be iterated over.
    if not isinstance(cls, type) or cls is Any or cls is type or Any in cls.__mro__:
        return Any
    if is_subclass(cls, _NO_LISTS):
        return None
    if have := arguments(form, Iterable):
        return have[0]
    # By `__getitem__`, from 0 on, Python iterates too.
    return Any if is_subclass(cls, (Iterable,)) or hasattr(cls, "__getitem__") else None


def returned_type(hint: Any) -> Any:
    """Return the type of what a generator function returns at its end.

    Args:
        hint: What it is annotated to return: a Generator, an Iterator, an Iterable, or one of
            their asynchronous kin.

    Returns:
        None's type if the annotation leaves no place for it; `Any` if it is not known.

    Source: https://docs.python.org/3/library/typing.html#annotating-generators-and-coroutines

    >>> from collections.abc import Iterator
    >>> returned_type(Generator[str, None, int]), returned_type(Iterator[str])
    (<class 'int'>, <class 'NoneType'>)
    """
    form = plain(hint)
    cls = class_of(form)
    if not isinstance(cls, type) or cls is Any:
        return Any
    if is_subclass(cls, (Generator,)):
        have = arguments(form, Generator)
        # From Python 3.13 on the last two may be left out.
        if not have or len(have) != 3:
            return Any
        return NoneType if have[2] is None else have[2]
    return NoneType if is_subclass(cls, (Iterable, AsyncIterable)) else Any


def tuple_length(hint: Any) -> int | None:
    """Return the number of items of a tuple whose type says it; None if it is open, or no tuple.

    >>> tuple_length(tuple[int, str]), tuple_length(tuple[int, ...]), tuple_length(list[int])
    (2, None, None)
    """
    form = plain(hint)
    while isinstance(form, NewType):
        form = plain(form.__supertype__)
    if not is_subclass(class_of(form), (tuple,)):
        return None
    items_form = form if class_of(form) is tuple else tuple_form(form)
    items = tuple_items(items_form)
    return None if items is None or is_open_tuple(items_form) else len(items)
