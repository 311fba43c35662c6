"""Which part of a value can't be pickled?  Found by trying its parts, for an error that says it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

from liteflow.pickling.reducers import slot_names

# A path longer than this helps nobody to find the place.
_DEPTH = 20

Part = tuple[str, object]


def find_culprit(value: object, pickles: Callable[[object], bool]) -> tuple[str, object]:
    """Return the path to the innermost part that can't be pickled, and that part.

    Args:
        value: What can't be pickled.
        pickles: Says whether a part can be.

    >>> find_culprit({"rows": [1, print]}, lambda part: part is not print and isinstance(part, int))
    ("['rows'][1]", <built-in function print>)
    """
    path = ""
    # Parts that hold themselves lead nowhere.
    chain = [value]
    for _ in range(_DEPTH):
        for step, part in _parts(value):
            if not any(part is seen for seen in chain) and not pickles(part):
                path, value = path + step, part
                chain.append(part)
                break
        else:
            break
    return path, value


def _parts(value: object) -> Iterator[Part]:
    """What a value is made of: items, attributes, what a function refers to, its class."""
    for parts_of in (_items, _attributes, _class):
        try:
            yield from parts_of(value)
        except Exception:  # noqa: BLE001  the user's own code, which must not hide the first error
            continue


def _items(value: Any) -> Iterable[Part]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{_shown(key)}]", item
            yield " <a key>", key
    elif isinstance(value, list | tuple | deque):
        yield from ((f"[{i}]", item) for i, item in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((" <an item>", item) for item in value)


def _attributes(value: Any) -> Iterable[Part]:
    if isinstance(value, FunctionType):
        yield from _references(value)
    elif isinstance(value, type):
        yield from ((f".{name}", part) for name, part in vars(value).items() if name not in _OF_EVERY_CLASS)
    elif isinstance(value, MethodType):
        yield from [(".__self__", value.__self__), (".__func__", value.__func__)]
    elif isinstance(value, partial):
        yield from [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]
    elif not isinstance(value, ModuleType):
        if isinstance(value, BaseException):
            yield ".args", value.args
        for owner in type(value).__mro__:
            for name in _slots(owner):
                if hasattr(value, name):
                    yield f".{name}", getattr(value, name)
        yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())


def _class(value: object) -> Iterable[Part]:
    cls = type(value)
    return [] if cls.__module__ == "builtins" else [(f" <class {cls.__name__}>", cls)]


_OF_EVERY_CLASS = ("__dict__", "__weakref__")


def _references(function: FunctionType) -> Iterable[Part]:
    """What a function holds on to: variables around it, globals, defaults."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        # A variable that has no value yet has an empty cell.
        with contextlib.suppress(ValueError):
            yield f" <{name}>", cell.cell_contents
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f" <{name}>", function.__globals__[name]
    yield from ((" <a default>", default) for default in function.__defaults__ or ())
    yield from ((f" <default of {name}>", part) for name, part in (function.__kwdefaults__ or {}).items())


def _slots(cls: type) -> Iterable[str]:
    return [name for name in slot_names(cls) if name not in _OF_EVERY_CLASS]


def _shown(key: object) -> str:
    try:
        return f"{key!r:.50}"
    except Exception:  # noqa: BLE001  its repr is the user's code
        return f"<{type(key).__name__}>"
