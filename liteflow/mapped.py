"""Mapped calls: `double.map(numbers)` is one call of `double` for each item of a list.

    double.map([1, 2, 3])                 -->  [double(1), double(2), double(3)]
    add.map(xs, ys)                       -->  zipped: the lists must be of one length
    scale.map(xs, factor=unmapped(2))     -->  factor=2 for every item
    add.starmap([(1, 2), (3, 4)])         -->  [add(1, 2), add(3, 4)]
    numbers() >> double.map()             -->  the list is known only when numbers() has run

A `Mapped` is a Call whose arguments may be an `Each`, and its value a list.  How many task
instances it becomes, the engine knows when its lists are there; when a list is plain, it is
read here and now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from attrs import field, frozen

from liteflow import hints
from liteflow.errors import ArgumentError, SettingError, shown
from liteflow.hints.forms import plain, union_of
from liteflow.lazy import Call, Joint, Lazy
from liteflow.outcomes import Failure

if TYPE_CHECKING:
    from liteflow.parameters import Bound

    class _Anything(Any):  # type: ignore[misc]  # as in lazy
        pass
else:
    _Anything = object

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

MOST_ITEMS: Final = 10_000_000
"""A plain iterable that gives more items is taken for one that never ends."""

STAR: Final = "*"
"""Stands for a parameter's name where the iterable of `starmap` is meant: it feeds several."""

OnError = Literal["raise", "collect", "skip"]
_ON_ERROR = ("raise", "collect", "skip")


# --- how a map is run ----------------------------------------------------------------------


def _max_active(value: int | None) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise SettingError("a map", "max_active", value, "a whole number from 1, or None for no limit")
    return value


def _on_error(value: OnError) -> OnError:
    if value not in _ON_ERROR:
        raise SettingError("a map", "on_error", value, 'one of "raise", "collect", "skip"')
    return value


@frozen(kw_only=True)
class MapPolicy:
    """How the items of a mapped call are run, and what a failed one means for the list.

    Attributes:
        max_active: So many of them at once, 1 or more; None: as many as there are workers.
        on_error: "raise": the list has failed too; "collect": a `Failure` stands in the item's
            place; "skip": the item is left out.
        star: Whether each item is a tuple of several positional arguments.

    Raises:
        SettingError: A value is out of its range.

    >>> MapPolicy(max_active=4).on_error
    'raise'
    """

    max_active: int | None = field(default=None, converter=_max_active)
    on_error: OnError = field(default="raise", converter=_on_error)
    star: bool = False


# --- arguments -----------------------------------------------------------------------------


class Unmapped(Generic[T], _Anything):
    """An argument of a mapped call that goes to every item as it is; made by `unmapped`."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"unmapped({shown(self.value)})"


def unmapped(value: T) -> Unmapped[T]:
    """Mark an argument of `Task.map` that goes to every item as it is.

    Args:
        value: Anything, a lazy value too.

    >>> from liteflow import task
    >>> @task
    ... def scale(x: float, factor: float) -> float:
    ...     return x * factor
    >>> scale.map([1.0, 2.0], factor=unmapped(3.0))
    <lazy scale.map()>
    """
    return Unmapped(value)


@frozen(eq=False)
class Each:
    """An argument of a mapped call of which each task instance gets one item.

    `items` is the lazy value of a list, or the items themselves, which may be lazy.
    """

    items: Lazy[Any] | tuple[Any, ...]


def each(value: Any, owner: str, parameter: str) -> Each:
    """Make an argument whose items go to one task instance each; a plain iterable is read.

    Raises:
        ArgumentError: It is nothing that can be mapped over; the error says what to give.

    >>> each(range(3), "double.map()", "x").items
    (0, 1, 2)
    """
    return Each(value if isinstance(value, Lazy) else items_of(value, owner, parameter))


def items_of(value: Any, owner: str, parameter: str) -> tuple[Any, ...]:
    """Return the items of a plain iterable; arguments and errors as for `each`."""
    problem = refusal(value)
    if problem is not None:
        raise ArgumentError(owner, parameter, problem)
    items = value if type(value) is tuple else tuple(islice(value, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        limit = f"{MOST_ITEMS:,}".replace(",", " ")
        raise ArgumentError(owner, parameter, f"gives more than {limit} items; if it never ends, cut it off")
    return items


def refusal(value: Any) -> str | None:
    """Say why a value can't be mapped over, as a phrase for after its name; None if it can.

    >>> refusal([1, 2]), refusal({3: 4})
    (None, 'is a dict: map over list(d) or list(d.items()); unmapped(...) gives it to every item')
    """
    kind = type(value).__name__
    if isinstance(value, Joint) or getattr(type(value), "_is_flow", False):
        return f"is {value!r} itself; did you mean {getattr(value, 'name', kind)}()?"
    if isinstance(value, str | bytes | bytearray | memoryview):
        return f"is {shown(value, 40)} ({kind}), which is one value: unmapped(...) gives it to every item"
    if isinstance(value, Mapping):
        return f"is a {kind}: map over list(d) or list(d.items()); unmapped(...) gives it to every item"
    if isinstance(value, set | frozenset):
        return f"is a {kind}, whose order may be another one in the next run: map over sorted(...)"
    try:
        iter(value)
    except TypeError:
        return f"is {shown(value, 40)} ({kind}), and no list: unmapped(...) gives it to every item"
    return None


# --- the call ------------------------------------------------------------------------------


class Mapped(Call[list[R_co]]):
    """A task called once for each item of one list or several; its value is the list of results.

    Made by `Task.map` and `Task.starmap`.

    Attributes:
        _map: How it is run.
    """

    __slots__ = ("_map",)

    def __init__(
        self, task: Any, arguments: Bound, code: CodeType, instruction: int, policy: MapPolicy
    ) -> None:
        super().__init__(task, arguments, code, instruction)
        self._map = policy

    def _copied(self, arguments: dict[str, Any], after: list[Lazy[Any]]) -> Mapped[R_co]:
        copy: Mapped[R_co] = Mapped(self._task, ((), arguments), self._code, self._instruction, self._map)
        copy._key, copy._named_at, copy._after = self._key, self._named_at, after
        return copy

    def _name(self) -> str:
        return name_of_map(self._task, self._map)

    def _type(self) -> Any:
        returns = self._task.signature.returns
        if self._map.on_error == "collect" and plain(returns) is not Any:
            returns = union_of([returns, Failure])
        return hints.list_of(returns)

    def _free(self) -> tuple[list[str], str | None]:
        if self._map.star:
            return ([] if STAR in (self._named or {}) else [STAR]), None
        return super()._free()

    def _fed(self, parameter: str, value: Any) -> Any:
        return each(value, self._name(), parameter)

    def _replaced(self, parameter: str, value: Any, arguments: Mapping[str, Any]) -> Any:
        # What comes from outside is mapped where the argument that it replaces was.
        if parameter in arguments:
            is_each = isinstance(arguments[parameter], Each)
        else:
            is_each = parameter in self._task.signature.required
        return self._fed(parameter, value) if is_each else value


def mapped_call(
    task: Any, args: tuple[Any, ...], named: dict[str, Any], policy: MapPolicy, at: tuple[CodeType, int]
) -> Mapped[Any]:
    """Make a mapped call of a task.

    Args:
        task: The task.
        args, named: What `map` or `starmap` was given: iterables, and what is `Unmapped`.
        policy: How it is to be run.
        at: Where it was written: code and instruction.

    Raises:
        ArgumentError: An argument can't be mapped over; too many arguments, or one twice.
        UnknownNameError: A keyword is no parameter.
    """
    owner = name_of_map(task, policy)

    def argument(name: str, value: Any) -> Any:
        return value.value if isinstance(value, Unmapped) else each(value, owner, name)

    if policy.star:
        first = ()
        bound = {**_star(args, owner), **(task.signature.bind((), named)[1] or {})}
    else:
        first, bound = task.signature.bind(args, named)
    by_position: Any = zip(task.signature.positional, first, strict=False)
    values = tuple([argument(name, value) for name, value in by_position])
    by_name = None
    if bound is not None:
        by_name = {name: _by_name(task, argument, name, value) for name, value in bound.items()}
    return Mapped(task, (values, by_name), *at, policy)


def _star(args: tuple[Any, ...], owner: str) -> dict[str, Any]:
    if len(args) > 1 or any(isinstance(value, Unmapped) for value in args):
        raise ArgumentError(owner, None, "takes one list of tuples by position, the rest by name")
    return {STAR: args[0]} if args else {}


def _by_name(task: Any, argument: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    """Make an argument by name what it is in a mapped call; `*rest` and `**extra` hold several."""
    if name == task.signature.rest:
        return tuple([argument(name, item) for item in value])
    if name == task.signature.extra:
        return {key: argument(key, item) for key, item in value.items()}
    return argument(name, value)


def name_of_map(task: Any, policy: MapPolicy) -> str:
    """Return a mapped call as an error is to call it: `double.map()`."""
    return f"{task.name}.{'starmap' if policy.star else 'map'}()"
