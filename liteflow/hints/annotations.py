"""What do a function's or a class's annotations say, once the strings in them are evaluated?

Each is evaluated by itself, so that one which cannot be spoils no other.
"""

from __future__ import annotations

import functools
import sys
from types import FunctionType, MethodType
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from liteflow.hints.evaluation import evaluate, module_names
from liteflow.hints.forms import is_named_tuple, name_of_form

# What the type of a TypedDict's key may stand in, and what that says of whether it is required.
_REQUIRED = {"Required": True, "NotRequired": False, "ReadOnly": None}


def resolve(fn: Any) -> dict[str, Any]:
    """Return a function's annotations by parameter name, and what it gives as "return".

    Args:
        fn: Any callable.  A partial, a wrapper made with `functools.wraps`, a bound method
            and an instance with `__call__` have the annotations of the function behind
            them; a class has those of its constructor, and gives itself.

    Returns:
        Only what is annotated; `Any` where an annotation cannot be evaluated.  `*args` and
        `**kwargs` are annotated with the type of each item, as it is written.

    >>> def scale(values: "list[float]", by: "Missing", unit=None) -> float: ...
    >>> resolve(scale)
    {'values': list[float], 'by': typing.Any, 'return': <class 'float'>}
    """
    function = _innermost(fn)
    if isinstance(function, type):
        # A named tuple's constructor does not know in which module its strings were written.
        takes = attributes(function) if is_named_tuple(function) else resolve(_constructor(function))
        return {**takes, "return": function}
    if not isinstance(function, FunctionType):
        call = getattr(type(function), "__call__", None)  # noqa: B004  the function is wanted, not whether
        function = call if isinstance(call, FunctionType) else function
    annotations = _annotations(function)
    if not annotations:
        return {}
    globalns, localns = getattr(function, "__globals__", {}), _local_names(function)
    return {name: evaluate(written, globalns, localns) for name, written in annotations.items()}


def attributes(cls: type) -> dict[str, Any]:
    """Return the annotations of a class's attributes, those of its bases included.

    >>> class Point:
    ...     x: "int"
    >>> attributes(Point)
    {'x': <class 'int'>}
    """
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= own_attributes(base)
    return found


def own_attributes(cls: type) -> dict[str, Any]:
    """Return the annotations that stand in the class itself."""
    globalns, localns = module_names(cls.__module__), _type_parameters(cls)
    return {name: evaluate(written, globalns, localns) for name, written in _annotations(cls).items()}


class Field(NamedTuple):
    """A key of a TypedDict."""

    hint: Any
    required: bool


def fields(typed_dict: Any) -> dict[str, Field]:
    """Return the keys of a TypedDict.

    `Required[...]` inside a string is not seen when the class is made, and so is missing
    from `__required_keys__`: it counts here.
    """
    found = {}
    for name, hint in attributes(typed_dict).items():
        required, inner = name in typed_dict.__required_keys__, hint
        while (origin := get_origin(inner)) is Annotated or name_of_form(origin) in _REQUIRED:
            says = _REQUIRED.get(name_of_form(origin))
            required = required if says is None else says
            inner = get_args(inner)[0]
        found[name] = Field(inner, required)
    return found


def _constructor(cls: type) -> Any:
    for base in cls.__mro__:
        for name in ("__init__", "__new__"):
            found = vars(base).get(name)
            found = found.__func__ if isinstance(found, staticmethod) else found  # as __new__ is by itself
            if isinstance(found, FunctionType):
                return found
    return None


def _innermost(fn: Any) -> Any:
    """Return what is behind wrappers, as `inspect.signature` does."""
    for _ in range(100):  # a wrapper of itself must end, too
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, MethodType):
            fn = fn.__func__
        elif isinstance(fn, type) or "__wrapped__" not in getattr(fn, "__dict__", ()):
            break
        else:
            fn = fn.__wrapped__
    return fn


def _annotations(thing: Any) -> dict[str, Any]:
    try:
        found = thing.__annotations__
    except AttributeError:
        return {}
    except Exception:  # noqa: BLE001  Python 3.14 evaluates them now, and names may be missing
        found = _annotations_of_3_14(thing)
    return found if isinstance(found, dict) else {}


def _annotations_of_3_14(thing: Any) -> object:
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations  # noqa: PLC0415

        return get_annotations(thing, format=Format.FORWARDREF)
    return {}


def _local_names(function: Any) -> dict[str, Any]:
    """Return what a function's annotations may name besides globals."""
    names = _type_parameters(function)
    if not isinstance(function, FunctionType):
        return names
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    return names


def _type_parameters(thing: Any) -> dict[str, Any]:
    """Return the names between the brackets of `def f[T]()` and `class C[T]`."""
    parameters = getattr(thing, "__type_params__", ())
    # The class of functions has one that describes its functions' own.
    return {p.__name__: p for p in parameters} if isinstance(parameters, tuple) else {}
