"""A task's function as whatever runs it knows it.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Function(NamedTuple):
    """A task's function, and what is to be known of it where it runs.

    `returns` is the resolved return annotation (`Any` if there is none); `retry_on` the
    exception types that are worth another attempt.
    """

    fn: Callable[..., Any]
    name: str
    returns: Any
    is_async: bool
    retry_on: tuple[type[BaseException], ...]
