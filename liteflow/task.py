"""Tasks: a plain function, and how it is to be run.

    @task(retries=3)
    def extract(path: str) -> list[dict]: ...

    extract("data.csv")              # a lazy value (lazy.py): nothing runs
    extract.map(["a.csv", "b.csv"])  # one call an item (mapped.py)
    extract.fn("data.csv")           # the plain function

What a decorator can know is checked when it decorates: a wrong setting, a class (decorated.py).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from functools import cached_property, partial
from types import CodeType, MethodType
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from attrs import evolve, field, fields, frozen

from liteflow.decorated import any_kind, check_function, in_class_body, name_of
from liteflow.errors import SettingError, UnknownNameError
from liteflow.lazy import Call, Joint
from liteflow.mapped import Mapped, MapPolicy, OnError, mapped_call, unmapped
from liteflow.names import checked_name
from liteflow.parameters import Signature
from liteflow.pickling import importable
from liteflow.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Concatenate, Protocol, TypedDict, Unpack

    from liteflow.outcomes import Failure
    from liteflow.policy import Exceptions, Seconds, When
    from liteflow.resources import Resources
    from liteflow.where import Where

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
        executor: Where | None
        when: When
        resources: Resources | Mapping[str, float | str] | None
        cache: bool | Seconds
        tags: str | Iterable[str]

    class Decorator(Protocol):
        """What `task(retries=3)` gives."""

        @overload
        def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]  # a Generator is an Iterator too: the first wins
            self, fn: Callable[P, Generator[Y, S, R]], /
        ) -> YieldingTask[P, Generator[Y, S, R], R]: ...
        @overload
        def __call__(self, fn: Callable[P, Iterator[Y]], /) -> YieldingTask[P, Iterator[Y], None]: ...
        @overload
        def __call__(
            self, fn: Callable[P, AsyncIterator[Y]], /
        ) -> YieldingTask[P, AsyncIterator[Y], None]: ...
        @overload
        def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
S = TypeVar("S")
Y = TypeVar("Y")

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
        return any_kind(inspect.iscoroutinefunction, self.fn)

    @cached_property
    def is_generator(self) -> bool:
        """Whether the function yields chunks before it returns its result."""
        return any_kind(inspect.isgeneratorfunction, self.fn)

    @cached_property
    def is_async_generator(self) -> bool:
        """Whether it is an asynchronous generator function: it yields chunks, and has no result."""
        return any_kind(inspect.isasyncgenfunction, self.fn)

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
        return Call(self, ((), None), *_written_at())

    # Checkers: the items of the first iterable fit the first parameter.
    @overload
    def map(
        self: Task[Concatenate[A, Q], R],
        items: Iterable[A],
        /,
        *more: Iterable[Any],
        max_active: int | None = ...,
        on_error: Literal["raise", "skip"] = ...,
        **named: Any,
    ) -> Mapped[R]: ...
    @overload
    def map(
        self: Task[Concatenate[A, Q], R],
        items: Iterable[A],
        /,
        *more: Iterable[Any],
        max_active: int | None = ...,
        on_error: Literal["collect"],
        **named: Any,
    ) -> Mapped[R | Failure]: ...
    @overload
    def map(
        self,
        /,
        *,
        max_active: int | None = ...,
        on_error: Literal["raise", "skip"] = ...,
        **named: Any,
    ) -> Mapped[R]: ...
    @overload
    def map(
        self, /, *, max_active: int | None = ..., on_error: Literal["collect"], **named: Any
    ) -> Mapped[R | Failure]: ...
    def map(
        self, /, *iterables: Any, max_active: int | None = None, on_error: OnError = "raise", **named: Any
    ) -> Any:
        """Return the lazy list of this task's results for each item of some iterables, zipped.

        Args:
            iterables: Lists and other iterables, or lazy values of such, all of one length; of
                each, every call gets one item.  What is marked `unmapped(...)` goes to every
                call as it is.  A required one that is left out may follow by `>>`.
            max_active: So many calls run at once at most; None: as many as there are workers.
            on_error: What a failed item means for the list: "raise", it fails; "collect", a
                `Failure` stands in the item's place; "skip", the item is left out.
            named: The same by the parameter's name.

        Raises:
            ArgumentError: Something can't be mapped over; too many arguments, or one twice.
            SettingError: `max_active` or `on_error` is out of its range.
            UnknownNameError: A keyword is no parameter.

        >>> @task
        ... def power(base: int, exponent: int = 2) -> int:
        ...     return base**exponent
        >>> power.map([1, 2, 3])
        <lazy power.map()>
        """
        frame = sys._getframe(1)
        policy = MapPolicy(max_active=max_active, on_error=on_error)
        return mapped_call(self, iterables, named, policy, (frame.f_code, frame.f_lasti))

    @overload
    def starmap(
        self,
        tuples: Iterable[Iterable[Any]] = ...,
        /,
        *,
        max_active: int | None = ...,
        on_error: Literal["raise", "skip"] = ...,
        **named: Any,
    ) -> Mapped[R]: ...
    @overload
    def starmap(
        self,
        tuples: Iterable[Iterable[Any]] = ...,
        /,
        *,
        max_active: int | None = ...,
        on_error: Literal["collect"],
        **named: Any,
    ) -> Mapped[R | Failure]: ...
    def starmap(
        self, /, *tuples: Any, max_active: int | None = None, on_error: OnError = "raise", **named: Any
    ) -> Any:
        """Return the lazy list of this task's results for each tuple of arguments.

        Args:
            tuples: One iterable of tuples or lists, or the lazy value of one; left out, it may
                follow by `>>`.
            max_active, on_error, named: As in `map`.

        Raises:
            ArgumentError: More than one iterable, or something that can't be mapped over.
            SettingError, UnknownNameError: As in `map`.

        >>> @task
        ... def add(a: int, b: int) -> int:
        ...     return a + b
        >>> add.starmap([(1, 2), (3, 4)])
        <lazy add.starmap()>
        """
        frame = sys._getframe(1)
        policy = MapPolicy(max_active=max_active, on_error=on_error, star=True)
        return mapped_call(self, tuples, named, policy, (frame.f_code, frame.f_lasti))

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

    if not TYPE_CHECKING:
        # Checkers would apply it to each attribute that is annotated Task, bound or not; they
        # take `counter.add(1)` for a call whose first argument follows by `>>`.
        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            """Return what a method that was made a task is on an instance: its first argument is given."""
            return self if instance is None or not in_class_body(self.fn) else bound_to(self, instance)


@frozen(slots=False, repr=False, hash=False)
class Method(Task[P, R]):
    """A task that is a method, on an instance: `counter.add` of `class Counter: @task def add(self, n)`.

    The instance is an argument of its calls and of their maps like any other: it may hold lazy
    values, and a resume sees whether it is another.  `starmap` has it in the function.
    """

    _unbound: Task[..., R] = field(kw_only=True)
    _instance: Any = field(kw_only=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return the lazy value of a call of the method; as that of any task."""
        frame = sys._getframe(1)
        bound = self._unbound.signature.bind((self._instance, *args), kwargs)
        return Call(self._unbound, bound, frame.f_code, frame.f_lasti)

    def _lazy(self) -> Call[R]:
        return Call(self._unbound, ((self._instance,), None), *_written_at())

    def map(
        self, /, *iterables: Any, max_active: int | None = None, on_error: OnError = "raise", **named: Any
    ) -> Any:
        """Return the lazy list of the method's results for each item; as that of any task."""
        frame = sys._getframe(1)
        policy = MapPolicy(max_active=max_active, on_error=on_error)
        given = (unmapped(self._instance), *iterables)
        return mapped_call(self._unbound, given, named, policy, (frame.f_code, frame.f_lasti))

    def options(self, **settings: Unpack[Settings]) -> Task[P, R]:
        """Return the same method with other settings; as that of any task."""
        changed: Task[P, R] = bound_to(self._unbound.options(**settings), self._instance)
        return changed

    def __reduce__(self) -> Any:
        return bound_to, (self._unbound, self._instance)


if TYPE_CHECKING:

    class AsyncTask(Task[P, R]):
        """A task of a coroutine function: its plain function gives an awaitable, its calls the result."""

        @property
        def fn(self) -> Callable[P, Coroutine[Any, Any, R]]: ...  # type: ignore[override]

    class YieldingTask(Task[P, R], Generic[P, S, R]):
        """A task of a generator function: its plain function gives S, its calls what it returns."""

        @property
        def fn(self) -> Callable[P, S]: ...  # type: ignore[override]


def named_object(module: str, qualname: str) -> Any:
    """Return the task or flow that a module has under this name; stands in pickles."""
    __import__(module)
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def bound_to(task: Task[..., Any], instance: Any) -> Any:
    """Return a task that is a method, on an instance; stands in pickles."""
    bound = MethodType(task.fn, instance)
    return Method(bound, task.name, task.policy, task.tags, unbound=task, instance=instance)


def _written_at() -> tuple[CodeType, int]:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("liteflow."):
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


# --- the decorator -------------------------------------------------------------------------

_NOTHING: Any = object()


@overload
def task(fn: Callable[P, Coroutine[Any, Any, R]], /, **settings: Unpack[Settings]) -> AsyncTask[P, R]: ...
@overload
def task(  # type: ignore[overload-overlap]  # as above
    fn: Callable[P, Generator[Y, S, R]], /, **settings: Unpack[Settings]
) -> YieldingTask[P, Generator[Y, S, R], R]: ...
@overload
def task(
    fn: Callable[P, Iterator[Y]], /, **settings: Unpack[Settings]
) -> YieldingTask[P, Iterator[Y], None]: ...
@overload
def task(
    fn: Callable[P, AsyncIterator[Y]], /, **settings: Unpack[Settings]
) -> YieldingTask[P, AsyncIterator[Y], None]: ...
@overload
def task(fn: Callable[P, R], /, **settings: Unpack[Settings]) -> Task[P, R]: ...
@overload
def task(**settings: Unpack[Settings]) -> Decorator: ...
def task(fn: Any = _NOTHING, /, **settings: Any) -> Any:
    """Make a function a task: bare, `@task`, or with settings, `@task(retries=3)`.

    Args:
        fn: The function; a lambda, a method, a partial, a coroutine function or a generator
            function, which streams chunks before it returns its result, will do.
        settings: `name`, `tags`, and the fields of `Policy`: `retries`, `retry_delay`,
            `backoff`, `max_delay`, `jitter`, `retry_on`, `timeout`, `executor`, `when`, `resources`,
            `cache`.

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
