"""What can be made a task or a flow, and what it is called then.

What a decorator can know is checked when it decorates: a class, a context manager, a string
where the function should be, a lazy value as a default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache, partial
from typing import Any, cast

from liteflow.errors import DecoratedError, shown
from liteflow.lazy import Joint, Lazy


def check_function(fn: Any, what: str) -> None:
    """Refuse what can't be made a task or a flow; `what` is "task" or "flow".

    Raises:
        DecoratedError: With what to do instead.
    """
    name = getattr(fn, "__qualname__", None) or shown(fn)
    remedy = _why_not(fn, what)
    if remedy is not None:
        raise DecoratedError(what, f"{name} ({type(fn).__name__})", remedy)
    for parameter, default in _defaults(fn):
        if isinstance(default, Lazy):
            remedy = "every call would share it; leave the default out and pass it in the flow"
            raise DecoratedError(what, f"{name} with a lazy value as default of {parameter!r}", remedy)


def name_of(fn: Any) -> str:
    """Return what a task or a flow of this function is called unless told."""
    name = getattr(fn, "__name__", None)
    if isinstance(fn, partial):
        return name_of(fn.func)
    if not isinstance(name, str):
        return type(fn).__name__
    return "lambda" if name == "<lambda>" else name


def any_kind(question: Callable[[Any], bool], fn: Any) -> bool:
    """Ask it of a function, of what a partial calls, and of the `__call__` of an object.

    >>> any_kind(inspect.isgeneratorfunction, partial(lambda: (yield)))
    True
    """
    if getattr(type(fn), "_one_signature", False):
        return _any_of_class(question, cast(Hashable, type(fn)))
    return question(fn) or question(getattr(type(fn), "__call__", None))  # noqa: B004  it is asked for, not whether


# A workflow file has thousands of tasks whose functions are objects of one class.
@lru_cache(maxsize=64)
def _any_of_class(question: Callable[[Any], bool], cls: Hashable) -> bool:
    return question(cast(Any, cls).__call__)


def in_class_body(fn: Any) -> bool:
    """Whether it was defined as a method, rather than in a module or in another function.

    >>> in_class_body(inspect.Signature.bind), in_class_body(inspect.signature)
    (True, False)
    """
    holder = getattr(fn, "__qualname__", "").rpartition(".")[0]
    return holder != "" and not holder.endswith("<locals>")


def _why_not(fn: Any, what: str) -> str | None:  # noqa: PLR0911  a list of cases
    if isinstance(fn, staticmethod | classmethod):
        kind = type(fn).__name__
        return f"put @{kind} above @{what}, not below it"
    if isinstance(fn, Lazy):
        return "it is the result of calling a task; a task is made of a function"
    if isinstance(fn, Joint):
        return "it is a task; write a function that calls the task, and decorate that"
    if isinstance(fn, str):
        return f"the name goes by keyword: @{what}(name={shown(fn)})"
    if isinstance(fn, type):
        return f"it is a class; use a function that makes one, like lambda x: {fn.__name__}(x)"
    if not callable(fn):
        return "it can't be called; a function is needed"
    if getattr(type(fn), "_is_flow", False):
        return "it is a flow; call it inside another flow instead"
    if getattr(fn, "__globals__", {}).get("__name__") == "contextlib":
        return "it is a context manager; use `with` inside the function"
    if what == "flow" and any(any_kind(is_one, fn) for is_one in _GENERATORS):
        return "it is a generator function, and a flow has one expression; return list(...) of what it yields"
    return None


_GENERATORS = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def _defaults(fn: Any) -> Iterable[tuple[str, object]]:
    code, positional = getattr(fn, "__code__", None), getattr(fn, "__defaults__", None)
    if code is not None and positional:
        names = code.co_varnames[: code.co_argcount]
        yield from zip(names[-len(positional) :], positional, strict=True)
    yield from (getattr(fn, "__kwdefaults__", None) or {}).items()
