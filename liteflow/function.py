"""A task's function as whatever runs it knows it.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Function(NamedTuple):
    """A task's function, and what is to be known of it where it runs.

    `returns` is the resolved return annotation (`Any` if there is none); `retry_on` the
    exception types that are worth another attempt; `context` is the parameter that gets the
    run's Context, with its place among the positions (-1: none), if there is one; `streams` says that
    it yields chunks, as a generator or an asynchronous one.
    """

    fn: Callable[..., Any]
    name: str
    returns: Any
    is_async: bool
    retry_on: tuple[type[BaseException], ...]
    context: tuple[str, int] | None = None
    streams: bool = False


class Earlier:
    """The function of a call that is left out of a run: it gives what the call gave in an earlier one.

    >>> Earlier()([1, 2])
    [1, 2]
    """

    def __call__(self, value: Any) -> Any:
        """Return the value."""
        return value
