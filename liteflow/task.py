"""Tasks: a plain function, and how it is to be run.

    @task(retries=3)
    def extract(path: str) -> list[dict]: ...

    extract("data.csv")      # a lazy value (lazy.py): nothing runs
    extract.fn("data.csv")   # the plain function

What a decorator can know is checked when it decorates: a wrong setting, a generator, a class.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from math import inf
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from attrs import evolve, field, fields, frozen

from liteflow.errors import DecoratedError, SettingError, UnknownNameError, shown
from liteflow.lazy import Call, Joint, Lazy
from liteflow.names import checked_name
from liteflow.parameters import Signature
from liteflow.pickling import importable

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import timedelta
    from typing import Concatenate, Protocol, TypedDict, Unpack

    Seconds = float | timedelta
    Exceptions = type[BaseException] | Iterable[type[BaseException]]

    class Settings(TypedDict, total=False):
        """What `task(...)` and `Task.options(...)` take; the fields of `Policy`, a name and tags."""

        name: str
        retries: int
        retry_delay: Seconds
        backoff: float
        max_delay: Seconds | None
        jitter: float | bool
        retry_on: Exceptions
        timeout: Seconds | None
        executor: str | None
        tags: str | Iterable[str]

    class Decorator(Protocol):
        """What `task(retries=3)` gives."""

        @overload
        def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
        @overload
        def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")

EXECUTORS = ("process", "thread", "inline")
"""Names of the executors there are."""

MOST_RETRIES = 10_000
LONGEST = 365 * 86400.0
"""The longest timeout or delay, in seconds: a year."""

DEFAULT_MAX_DELAY = 3600.0
"""Delays between attempts grow no longer than this many seconds, unless `max_delay` says so."""


# --- Policy --------------------------------------------------------------------------------


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


def _executor(value: str | None) -> str | None:
    if value is not None and value not in EXECUTORS:
        raise SettingError("a task", "executor", value, f"one of {', '.join(EXECUTORS)}")
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
        executor: "process", "thread" or "inline"; None: the one of the flow.

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
    executor: str | None = field(default=None, converter=_executor)

    def __attrs_post_init__(self) -> None:
        if self.max_delay is not None and self.max_delay < self.retry_delay:
            wants = f"at least retry_delay ({self.retry_delay:g} seconds)"
            raise SettingError("a task", "max_delay", self.max_delay, wants)

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


_POLICY_FIELDS = tuple(f.name for f in fields(Policy))
_SETTINGS = ("name", *_POLICY_FIELDS, "tags")


# --- Task ----------------------------------------------------------------------------------


def _tags(value: Any) -> tuple[str, ...]:
    tags = (value,) if isinstance(value, str) else value
    if not isinstance(tags, tuple | list | set | frozenset) or not all(isinstance(t, str) for t in tags):
        raise SettingError("a task", "tags", value, "a text, or several in a tuple")
    return tuple(tags) if isinstance(tags, tuple | list) else tuple(sorted(tags))


@frozen(slots=False, repr=False)
class Task(Joint[R], Generic[P, R]):
    """A function and how it is to be run; calling it gives a lazy value.

    Made by the decorator `task`.

    Attributes:
        fn: The plain function.
        name: What its task instances are called; the function's name unless told.
        policy: Retries, delays, timeout and executor.
        tags: Words of the user's, for finding it.

    >>> @task
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(4)
    <lazy double()>
    >>> double.fn(4)
    8
    """

    fn: Callable[P, R]
    name: str
    policy: Policy = field(default=Policy())
    tags: tuple[str, ...] = field(default=(), converter=_tags)

    def __attrs_post_init__(self) -> None:
        # The face of the function, for help() and inspect; a frozen class is written to like this.
        own = {"__wrapped__": self.fn}
        for name in ("__doc__", "__name__", "__qualname__", "__module__"):
            if isinstance(getattr(self.fn, name, None), str):
                own[name] = getattr(self.fn, name)
        vars(self).update(own)

    @cached_property
    def signature(self) -> Signature:
        """What the function takes and returns."""
        return Signature.of(self.fn, f"{self.name}()")

    @cached_property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return _any_kind(inspect.iscoroutinefunction, self.fn)

    # Checkers: all arguments, or the first one or two of them left to `>>`.
    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...
    @overload
    def __call__(self: Task[Concatenate[A, Q], R], /, *args: Q.args, **kwargs: Q.kwargs) -> Call[R]: ...
    @overload
    def __call__(self: Task[Concatenate[A, B, Q], R], /, *args: Q.args, **kwargs: Q.kwargs) -> Call[R]: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return the lazy value of a call with these arguments; required ones may follow by `>>`.

        Raises:
            ArgumentError: Too many arguments, or one twice.
            UnknownNameError: A keyword is no parameter.
        """
        frame = sys._getframe(1)
        return Call(self, self.signature.bind(args, kwargs), frame.f_code, frame.f_lasti)

    if TYPE_CHECKING:

        def __rrshift__(self, other: object) -> Call[R]: ...

    def _lazy(self) -> Call[R]:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("liteflow."):
            frame = frame.f_back
        return Call(self, ((), None), frame.f_code, frame.f_lasti)

    def options(self, **settings: Unpack[Settings]) -> Task[P, R]:
        """Return the same task with other settings, those of the decorator `task`.

        Raises:
            SettingError: A value is out of its range.
            UnknownNameError: There is no such setting.

        >>> @task(retries=3)
        ... def fetch(url: str) -> bytes: ...
        >>> fetch.options(timeout=5).policy.retries
        3
        """
        changed: Task[P, R] = _with_settings(self, settings)
        return changed

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def __hash__(self) -> int:
        # Not of the function: an object that can be called need not be hashable.
        return hash((self.name, self.policy))

    def __reduce__(self) -> Any:
        if importable(self):
            return named_object, (self.__module__, vars(self)["__qualname__"])
        return Task, (self.fn, self.name, self.policy, self.tags)


if TYPE_CHECKING:

    class AsyncTask(Task[P, R]):
        """A task of a coroutine function: its plain function gives an awaitable, its calls the result."""

        @property
        def fn(self) -> Callable[P, Coroutine[Any, Any, R]]: ...  # type: ignore[override]


def named_object(module: str, qualname: str) -> Any:
    """Return the task or flow that a module has under this name; stands in pickles."""
    __import__(module)
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


# --- the decorator -------------------------------------------------------------------------

_NOTHING: Any = object()


@overload
def task(fn: Callable[P, Coroutine[Any, Any, R]], /, **settings: Unpack[Settings]) -> AsyncTask[P, R]: ...
@overload
def task(fn: Callable[P, R], /, **settings: Unpack[Settings]) -> Task[P, R]: ...
@overload
def task(**settings: Unpack[Settings]) -> Decorator: ...
def task(fn: Any = _NOTHING, /, **settings: Any) -> Any:
    """Make a function a task: bare, `@task`, or with settings, `@task(retries=3)`.

    Args:
        fn: The function; a lambda, a method, a partial or a coroutine function will do.
        settings: `name`, `tags`, and the fields of `Policy`: `retries`, `retry_delay`,
            `backoff`, `max_delay`, `jitter`, `retry_on`, `timeout`, `executor`.

    Raises:
        DecoratedError: It is no function, or one that can't be a task.
        SettingError: A setting is out of its range.
        UnknownNameError: There is no such setting.

    >>> @task(retries=3, retry_delay=0.5, backoff=2, timeout=60)
    ... def extract(path: str) -> list[dict]: ...
    >>> extract.policy.retries
    3
    """
    if fn is _NOTHING:
        _check_names(settings)
        return partial(_decorated, settings=settings)
    return _decorated(fn, settings)


def _decorated(fn: Any, settings: Mapping[str, Any]) -> Any:
    if isinstance(fn, Task):
        return _with_settings(fn, settings) if settings else fn
    check_function(fn, "task")
    name = settings["name"] if "name" in settings else name_of(fn)
    return _with_settings(Task(fn, checked_name(name, "a task")), settings)


def _check_names(settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name not in _SETTINGS:
            raise UnknownNameError("task", "setting", name, list(_SETTINGS))


def _with_settings(base: Task[Any, Any], settings: Mapping[str, Any]) -> Any:
    _check_names(settings)
    if not settings:
        return base
    own = {k: settings[k] for k in ("name", "tags") if k in settings}
    policy = {k: v for k, v in settings.items() if k not in own}
    try:
        if "name" in own:
            own["name"] = checked_name(own["name"], "a task")
        return evolve(base, policy=evolve(base.policy, **policy), **own)
    except SettingError as error:
        error.owner = f"task {base.name}"
        raise


def name_of(fn: Any) -> str:
    """Return what a task or a flow of this function is called unless told."""
    name = getattr(fn, "__name__", None)
    if isinstance(fn, partial):
        return name_of(fn.func)
    if not isinstance(name, str):
        return type(fn).__name__
    return "lambda" if name == "<lambda>" else name


def _any_kind(question: Callable[[Any], bool], fn: Any) -> bool:
    """Ask it of a function, of what a partial calls, and of the `__call__` of an object."""
    return question(fn) or question(getattr(type(fn), "__call__", None))  # noqa: B004  it is asked for, not whether


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


def _why_not(fn: Any, what: str) -> str | None:  # noqa: PLR0911  a list of cases
    if isinstance(fn, staticmethod | classmethod):
        kind = type(fn).__name__
        return f"put @{kind} above @{what}, not below it"
    if isinstance(fn, Lazy):
        return "it is the result of calling a task; a task is made of a function"
    if isinstance(fn, Task):
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
    if _any_kind(inspect.isgeneratorfunction, fn) or _any_kind(inspect.isasyncgenfunction, fn):
        return "it is a generator function, and its result has to be kept; return list(...) of what it yields"
    return None


def _defaults(fn: Any) -> Iterable[tuple[str, object]]:
    code, positional = getattr(fn, "__code__", None), getattr(fn, "__defaults__", None)
    if code is not None and positional:
        names = code.co_varnames[: code.co_argcount]
        yield from zip(names[-len(positional) :], positional, strict=True)
    yield from (getattr(fn, "__kwdefaults__", None) or {}).items()
