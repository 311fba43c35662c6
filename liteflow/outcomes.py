"""What a call can come to instead of a value: it was left out, or it never got one.

    skip("no new rows")              inside a task: it ends as skipped
    Failure(key, state, error)       what a task with when="any" or "always" gets in the place of
                                     an input that has no value, and on_error="collect" in a list

No attrs here: worker processes import this, and must start fast.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

WITH_VALUE: Final = ("succeeded", "cached")
"""The states of a task instance that has its value, as a store has them."""


class Skip(BaseException):
    """Ends the task instance in which it is raised as `skipped`; `skip` raises it.

    No Exception, so that a task's own `except Exception` does not swallow it; pytest's outcomes
    are made alike.

    Attributes:
        reason: Why, for whoever looks at the run; may be empty.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def skip(reason: str = "") -> NoReturn:
    """End the task that calls this as `skipped`; what needs its result is skipped too.

    A dependent with `when="any"` or `when="always"` runs nevertheless.

    Args:
        reason: Why, for whoever looks at the run.

    Raises:
        Skip: Always.
        TypeError: The reason is no text.

    >>> from liteflow import task
    >>> @task
    ... def new_rows(rows: list[int]) -> list[int]:
    ...     return rows or skip("nothing new")
    >>> new_rows.fn([])
    Traceback (most recent call last):
    liteflow.outcomes.Skip: nothing new
    """
    if not isinstance(reason, str):
        raise TypeError(f"skip() takes its reason as text, not as {type(reason).__name__}")
    raise Skip(reason)


class Failure:
    """Stands where a value would be, of a call that gave none.  It is false, and never changes.

    Attributes:
        key: The task instance's key: `fetch`, `double[17]`.
        state: What became of it: "failed", "skipped", "upstream_failed" or "cancelled".
        error: Why, in a line; may be empty.

    >>> pages = ["<html>", Failure("fetch[1]", "failed", "OSError: no route to host")]
    >>> [page for page in pages if page]
    ['<html>']
    >>> pages[1].error
    'OSError: no route to host'
    """

    __slots__ = ("error", "key", "state")

    key: str
    state: str
    error: str

    def __init__(self, key: str, state: str, error: str = "") -> None:
        # Its own __setattr__ refuses.
        for name, value in (("key", key), ("state", state), ("error", error)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Failure never changes, so its {name} can't be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Failure never changes, so its {name} can't be deleted")

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Failure):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        return f"Failure(key={self.key!r}, state={self.state!r}, error={self.error!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Failure, self._facts()

    def _facts(self) -> tuple[str, str, str]:
        return self.key, self.state, self.error
