"""How a task is to be run: retries, delays, a timeout, where, and after what.

Numbers are checked when a Policy is made; seconds may be a timedelta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from attrs import asdict, field, frozen

from liteflow.errors import SettingError
from liteflow.where import Where, checked_executor

if TYPE_CHECKING:
    from datetime import timedelta

    from liteflow.resources import Resources

    Seconds = float | timedelta
    Exceptions = type[BaseException] | Iterable[type[BaseException]]
    When = Literal["all", "any", "always"]

MOST_RETRIES = 10_000
LONGEST = 365 * 86400.0
"""The longest timeout or delay, in seconds: a year."""

DEFAULT_MAX_DELAY = 3600.0
"""Delays between attempts grow no longer than this many seconds, unless `max_delay` says so."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _retries(value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_RETRIES:
        raise SettingError("a task", "retries", value, f"a whole number from 0 to {MOST_RETRIES}")
    return value


def _seconds(setting: str, value: Any, least: str, *, optional: bool = False) -> float | None:
    if optional and value is None:
        return None
    # No isinstance: datetime takes a millisecond to load, and few give a timedelta.
    seconds = value.total_seconds() if hasattr(value, "total_seconds") else value
    # nan fails every comparison, so it is refused too.
    if not _is_number(seconds) or not float(least) <= seconds <= LONGEST:
        wants = f"{least} to {LONGEST:.0f} seconds (a number or a timedelta){', or None' if optional else ''}"
        raise SettingError("a task", setting, value, wants)
    return float(seconds)


def _retry_delay(value: Seconds) -> float:
    return _seconds("retry_delay", value, "0") or 0.0


def _max_delay(value: Seconds | None) -> float | None:
    return _seconds("max_delay", value, "0", optional=True)


def _timeout(value: Seconds | None) -> float | None:
    endless = isinstance(value, float) and value == inf
    return _seconds("timeout", None if endless else value, "0.001", optional=True)


def _backoff(value: float) -> float:
    if not _is_number(value) or not 1 <= value <= 1000:
        raise SettingError("a task", "backoff", value, "a factor from 1 to 1000")
    return float(value)


def _jitter(value: float | bool) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise SettingError("a task", "jitter", value, "True, False, or a fraction from 0 to 1")
    return float(value)


def _retry_on(value: Exceptions) -> tuple[type[BaseException], ...]:
    types = tuple(value) if isinstance(value, tuple | list | set | frozenset) else (value,)
    if not types or not all(isinstance(t, type) and issubclass(t, BaseException) for t in types):
        raise SettingError("a task", "retry_on", value, "an exception class, or several in a tuple")
    return types


def _executor(value: Where | None) -> Where | None:
    return None if value is None else checked_executor(value, "a task")


def _resources(value: Resources | Mapping[str, float | str] | None) -> Resources | None:
    if value is None:
        return None
    # Start-up: few tasks have any.
    from liteflow.resources import resources_of  # noqa: PLC0415

    return resources_of(value, "a task")


def _cache(value: Any) -> bool | float:
    if isinstance(value, bool):
        return value
    try:
        seconds = _seconds("cache", value, "0.001")
    except SettingError as error:
        raise SettingError("a task", "cache", value, f"True, False, or {error.wants}") from None
    return seconds or False


def _when(value: When) -> When:
    if value not in ("all", "any", "always"):
        raise SettingError("a task", "when", value, 'one of "all", "any", "always"')
    return value


@frozen(kw_only=True)
class Policy:
    """How a task is to be run.

    Args:
        retries: How many further attempts a failed one is followed by at most; 0 to 10 000.
        retry_delay: Seconds (or a timedelta) before the second attempt.
        backoff: The factor from each delay to the next, 1 or more.
        max_delay: No delay is longer than this; None means an hour, or `retry_delay` if
            that is longer.
        jitter: The fraction of each delay that is left to chance: 0.25 makes of 8 seconds
            something between 6 and 8.  True means all of it.
        retry_on: Only exceptions of these types are retried.  Exception, the default, stands
            for every failure: a timeout and a lost worker too.
        timeout: Seconds (or a timedelta) that one attempt may take; None or inf: no limit.
        executor: "process", "thread", "async" or "inline", or an executor factory such as a
            PoolExecutor; None: "async" for a coroutine function, else the one of the flow.
        when: What must have become of its inputs before it runs.  "all": each has a value, else
            the task is left out too; "any": all have ended, and one at least has a value;
            "always": all have ended, whatever became of them.  An input without a value
            arrives as a `Failure`.
        resources: What a call takes of where it runs: {"cpus": 2, "gpus": 1, "memory": "2GB"}, or names
            of one's own; it begins when that is free.  None: nothing is counted.
        cache: Whether a result that an earlier run has in the same store is taken over, if it is of the
            same code and the same arguments; seconds (or a timedelta): if it is not older than that.

    Raises:
        SettingError: A value is out of its range.

    >>> Policy(retries=3, retry_delay=0.5, backoff=2).delay_before(4, lambda: 0.0)
    2.0
    """

    retries: int = field(default=0, converter=_retries)
    retry_delay: float = field(default=0.0, converter=_retry_delay)
    backoff: float = field(default=1.0, converter=_backoff)
    max_delay: float | None = field(default=None, converter=_max_delay)
    jitter: float = field(default=0.0, converter=_jitter)
    retry_on: tuple[type[BaseException], ...] = field(default=(Exception,), converter=_retry_on)
    timeout: float | None = field(default=None, converter=_timeout)
    executor: Where | None = field(default=None, converter=_executor)
    when: When = field(default="all", converter=_when)
    resources: Resources | None = field(default=None, converter=_resources)
    cache: bool | float = field(default=False, converter=_cache)

    def __attrs_post_init__(self) -> None:
        if self.max_delay is not None and self.max_delay < self.retry_delay:
            wants = f"at least retry_delay ({self.retry_delay:g} seconds)"
            raise SettingError("a task", "max_delay", self.max_delay, wants)

    def facts(self) -> dict[str, Any]:
        """All of it by name, the resources as pairs of plain data."""
        facts = asdict(self, recurse=False)
        if self.resources is not None:
            facts["resources"] = self.resources.amounts
        return facts

    def delay_before(self, attempt: int, random: Callable[[], float]) -> float:
        """Return how many seconds to wait before an attempt.

        Args:
            attempt: Its number, counted from 1; so 2 is the first that is a retry.
            random: Gives a number from 0 up to, not including, 1; for the jitter.
        """
        longest = max(DEFAULT_MAX_DELAY, self.retry_delay) if self.max_delay is None else self.max_delay
        try:
            delay = min(self.retry_delay * self.backoff ** (attempt - 2), longest)
        except OverflowError:
            delay = longest
        return delay * (1 - self.jitter * random()) if self.jitter else delay
