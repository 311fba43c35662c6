"""How to write things of a script that cloudpickle would write by a name nobody else has.

A function with `@lru_cache`, one with `@singledispatch`, a `cached_property`, a `NewType` or a
`ParamSpec`: common in scripts, and each would fail in a worker.  They are written as what they
are made of.  Functions of this file stand in stored pickles; their names must stay.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, NamedTuple, NewType, ParamSpec, TypeVarTuple

_Cached = type(functools.lru_cache(abs))
_MARKS = {id(vars(dataclasses).get(name)): name for name in ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")}


def reduced(obj: Any, of_script: Callable[[Any], bool], importable: Callable[[Any], bool]) -> Any:
    """Say how to make an object again, as `__reduce__` does; None: as anybody would.

    Args:
        obj: Neither a class nor a function that can be imported.
        of_script: Whether the main script has an object under its own name.
        importable: Whether any process finds it under its module and name.
    """
    kind = type(obj)
    if kind is functools.cached_property:
        # It holds a lock, up to Python 3.11.
        return kind, (obj.func,), {"attrname": obj.attrname, "__doc__": obj.__doc__}
    if kind in (NewType, ParamSpec, TypeVarTuple):
        return _reduced_type(obj, of_script)
    if kind is _Cached and not importable(obj):
        return cached_again, (obj.__wrapped__, obj.cache_parameters())
    if kind is FunctionType and hasattr(obj, "_clear_cache") and not importable(obj):
        return dispatching, (), dict(obj.registry), None, None, fill_dispatching
    # Marks of dataclasses, which are compared by `is`, are written by their names.
    return _MARKS.get(id(obj))


def whole_class(cls: type, theirs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add what cloudpickle leaves out when it writes a class by value.

    Without its qualified name a nested class would not be known by that name in a worker;
    without slots its objects would come back with a `__dict__` that their class here has not.
    """
    make, args, (state, slot_state), *rest = theirs
    if make.__name__ != "_make_skeleton_class":
        # Enums are whole.
        return theirs
    kind, name, bases, namespace, *more = args
    namespace = {**namespace, "__qualname__": cls.__qualname__}
    # The makers of named tuples set their own.
    if "__slots__" in vars(cls) and NamedTuple not in bases:
        namespace["__slots__"] = vars(cls)["__slots__"]
        made = {"__slots__", *slot_names(cls)}
        state = {key: value for key, value in state.items() if key not in made}
    return make, (kind, name, bases, namespace, *more), (state, slot_state), *rest


def slot_names(cls: type) -> list[str]:
    """Return the attributes that a class's own slots make; the names of private ones are mangled."""
    slots = vars(cls).get("__slots__", ())
    if isinstance(slots, str):
        slots = [slots]
    prefix = f"_{cls.__name__.lstrip('_')}"
    return [
        f"{prefix}{name}" if name.startswith("__") and not name.endswith("__") else name for name in slots
    ]


def _reduced_type(obj: Any, of_script: Callable[[Any], bool]) -> Any:
    if type(obj) is NewType:
        args: tuple[Any, ...] = (obj.__name__, obj.__supertype__)
    else:
        args = (obj.__name__,)
    if of_script(obj):
        return script_type, (type(obj), args)
    # Those of importable modules are found there by their names, as ever.
    return (type(obj), args) if _lost(obj) else None


def _lost(obj: Any) -> bool:
    module = sys.modules.get(obj.__module__)
    return getattr(module, obj.__name__, None) is not obj


# --- what stands in pickles ----------------------------------------------------------------


def script_type(kind: Any, args: tuple[Any, ...]) -> Any:
    """Return the script's NewType, ParamSpec or TypeVarTuple of that name; make it where there is none."""
    script, name = sys.modules["__main__"], args[0]
    found = getattr(script, name, None)
    if type(found) is kind:
        return found
    made = kind(*args)
    with contextlib.suppress(AttributeError):
        made.__module__ = "__main__"
    if found is None:
        setattr(script, name, made)
    return made


def cached_again(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """Return a function with an empty cache; `parameters` are those of `lru_cache`."""
    return functools.lru_cache(**parameters)(function)


def dispatching() -> Any:
    """Return a `singledispatch` function that has no implementation yet."""
    return functools.singledispatch(_undefined)


def fill_dispatching(function: Any, registry: Mapping[type, Callable[..., Any]]) -> None:
    """Give it its implementations; the one of `object` is the function that was decorated."""
    for cls, implementation in registry.items():
        function.register(cls, implementation)
    functools.update_wrapper(function, registry[object])


def _undefined(*_args: object) -> None:
    """Stands where the decorated function will."""
