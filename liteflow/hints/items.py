"""What is the type of `value[key]`, and into how many values does a tuple unpack?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
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
