"""What calling a task gives: promises of results, and `>>`, which connects them.

    Lazy
      Call    one call of a task; it becomes one task instance
      Mapped  a call for each item of a list (mapped.py); it becomes as many
      Item    a part of what a call will return: `pair[0]`, `record["k"]`

A call may be written to while its flow is being built, by `>>` and by `named`, and by
nothing else; compiling freezes it into a node of a Dag.  All other use of a lazy value as if
its value were there (`if`, `for`, `+`, an f-string, ...) is an error that says what to do
instead.

What is kept in a lazy value has names that begin with `_`: an attribute that a user asks for
is one of the result, which is not there yet, and must not find ours.

For type checkers a lazy value derives from Any, so that it may stand as any argument; its
edges are checked when the flow is compiled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, overload

from liteflow import hints
from liteflow.errors import ArrowError, LazyAttributeError, LookedInsideError, SettingError, shown
from liteflow.names import checked_name
from liteflow.uses import OPERATORS, USES

if TYPE_CHECKING:
    from types import CodeType

    from liteflow.parameters import Bound

    class _Anything(Any):  # type: ignore[misc]  # fits every parameter, for checkers alone
        pass
else:
    _Anything = object

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
AnyLazy = TypeVar("AnyLazy", bound="Lazy[Any]")

# What lazy values of other libraries are run by.
_RUNS = frozenset({"compute", "result", "run"})


class Build:
    """The building of one flow by its function; calls made meanwhile belong to it."""

    __slots__ = ("flow",)

    def __init__(self, flow: str) -> None:
        self.flow = flow


building: ContextVar[Build | None] = ContextVar("building", default=None)

_next_serial = count().__next__
_building = building.get


class Joint(Generic[R_co]):
    """What may stand on either side of `>>`: a lazy value, or a bare task."""

    __slots__ = ()

    # Else numpy would take `array >> call` for itself, item by item.
    __array_ufunc__ = None

    def _lazy(self) -> Lazy[R_co]:
        """The lazy value that this stands for: itself, or a call of the task without arguments."""
        raise NotImplementedError

    @overload
    def __rshift__(self, other: AnyLazy) -> AnyLazy: ...
    @overload
    def __rshift__(self, other: Joint[T]) -> Call[T]: ...
    @overload
    def __rshift__(self, other: list[Any]) -> Fan: ...
    def __rshift__(self, other: Any) -> Any:
        """Feed this result to the first required parameter of `other` that is still free."""
        return _join(self, other)

    if not TYPE_CHECKING:  # checkers find the operator where a task and a lazy value differ

        def __rrshift__(self, other: Any) -> Any:
            """Feed a list as one value, a tuple as several arguments."""
            return _join(other, self)


class Lazy(Joint[R_co], _Anything):
    """A promise of a value, which takes the value's place wherever a flow passes it on."""

    __slots__ = ()

    def _lazy(self) -> Lazy[R_co]:
        return self

    def _call(self) -> Call[Any]:
        """The call whose result this is, or is a part of."""
        raise NotImplementedError

    def _type(self) -> Any:
        """The declared type of the value; Any if nothing is declared."""
        raise NotImplementedError

    def __getitem__(self, key: Any) -> Item:
        if isinstance(key, Lazy):
            raise LookedInsideError(repr_of(key), "can't choose an item", "choose the item inside a task")
        return Item(self._call(), (*self._path(), key))

    def _path(self) -> tuple[object, ...]:
        return ()

    def __iter__(self) -> Iterator[Item]:
        """Unpack a tuple whose length the annotation tells."""
        length = hints.tuple_length(self._type())
        if length is None:
            raise LookedInsideError(
                repr_of(self),
                "can't be iterated: nobody knows how many items it will have",
                "pass it on whole, give its items to a task with task.map(...), "
                "or annotate the result as a tuple of fixed length (tuple[int, str])",
            )
        return iter([self[i] for i in range(length)])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            # Protocols (copy, numpy, inspect, ...) ask what an object can do; this is the answer.
            raise AttributeError(name)
        remedy = f"take .{name} inside a task, or an item with [...]"
        if name in _RUNS:
            remedy += '; to run it: Flow("name", ...).run().result'
        raise LazyAttributeError(repr_of(self), f"has no attribute {name!r}", remedy)

    def __repr__(self) -> str:
        return f"<lazy {repr_of(self)}>"

    def __copy__(self) -> Lazy[R_co]:
        return self

    def __deepcopy__(self, memo: object) -> Lazy[R_co]:
        # A call is the same call wherever it stands; a copy would be a second task instance.
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LookedInsideError(
            repr_of(self),
            "can't be pickled",
            f"return it from the flow, or call the plain function: {self._call()._task.name}.fn(...)",
        )

    if TYPE_CHECKING:

        def __rrshift__(self: AnyLazy, other: object) -> AnyLazy: ...


class Call(Lazy[R_co]):
    """One call of a task, with the arguments known so far; it becomes one task instance.

    Attributes:
        _task: The task that is called.
        _args, _named: The arguments, as `Signature.bind` returns them; values may be or hold
            lazy values.  What `>>` has fed to `*rest` is a list.
        _serial: When it was made, counted from the start of the process.
        _after: Lazy values that must be there before it runs, though it does not get them.
        _key: The name given by `named`, with `_named_at` the place where that was.
        _build: The building of a flow in which it was made, if any.
        _code, _instruction: Where it was written; `place` makes a line of it.
    """

    __slots__ = (
        "_after",
        "_args",
        "_build",
        "_code",
        "_instruction",
        "_key",
        "_named",
        "_named_at",
        "_serial",
        "_task",
    )

    def __init__(self, task: Any, arguments: Bound, code: CodeType, instruction: int) -> None:
        self._task = task
        self._args, self._named = arguments
        self._serial = _next_serial()
        self._after: list[Lazy[Any]] | tuple[()] = ()
        self._key: str | None = None
        self._named_at: str | None = None
        self._build = _building()
        self._code = code
        self._instruction = instruction

    def named(self, key: str) -> Self:
        """Give the call a key of its own, and return it.

        Args:
            key: 1 to 200 characters without "/", control or direction characters.

        Raises:
            SettingError: The key is no such text, or the call has another one already.

        >>> from liteflow import task
        >>> @task
        ... def fetch(url: str) -> bytes: ...
        >>> fetch("http://example.org").named("home page")
        <lazy fetch()>
        """
        checked = checked_name(key, f"a call of {self._task.name}")
        if self._key is not None and self._key != checked:
            raise SettingError(f"call {self._key!r}", "name", key, f"the one it has (from {self._named_at})")
        self._key = checked
        frame = sys._getframe(1)
        self._named_at = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        return self

    @property
    def _arguments(self) -> dict[str, Any]:
        """All arguments by parameter name."""
        arguments: dict[str, Any] = self._task.signature.by_name(self._args, self._named)
        return arguments

    def _copied(self, arguments: dict[str, Any], after: list[Lazy[Any]]) -> Call[R_co]:
        """Return a call of the same task, made in the same place, that waits for others."""
        copy: Call[R_co] = Call(self._task, ((), arguments), self._code, self._instruction)
        copy._key, copy._named_at, copy._after = self._key, self._named_at, after
        return copy

    def _name(self) -> str:
        """What an error is to call it."""
        return f"{self._task.name}()"

    def _free(self) -> tuple[list[str], str | None]:
        """The required parameters without an argument, and `*rest`, which takes any number more."""
        signature = self._task.signature
        given, named = signature.positional[: len(self._args)], self._named or {}
        return [n for n in signature.required if n not in given and n not in named], signature.rest

    def _fed(self, parameter: str, value: Any) -> Any:
        """Return the argument that a value becomes which flows to a parameter."""
        return value

    def _replaced(self, parameter: str, value: Any, arguments: Mapping[str, Any]) -> Any:
        """Return the argument that a value from outside becomes; `arguments` are those before it."""
        return value

    def _call(self) -> Call[Any]:
        return self

    def _type(self) -> Any:
        return self._task.signature.returns


class Item(Lazy[Any]):
    """A part of what a call returns: the result, then each key of `_path` in turn."""

    __slots__ = ("_of", "_steps")

    def __init__(self, of: Call[Any], steps: tuple[object, ...]) -> None:
        self._of = of
        self._steps = steps

    def _call(self) -> Call[Any]:
        return self._of

    def _path(self) -> tuple[object, ...]:
        return self._steps

    def _type(self) -> Any:
        declared = self._of._type()
        for key in self._steps:
            declared = hints.item_type(declared, key)
        return declared


class Fan(list[Any]):
    """The calls on the right of `a >> [b, c]`; a list that can go on with `>>`."""

    @overload
    def __rshift__(self, other: AnyLazy) -> AnyLazy: ...
    @overload
    def __rshift__(self, other: Joint[T]) -> Call[T]: ...
    @overload
    def __rshift__(self, other: list[Any]) -> Fan: ...
    def __rshift__(self, other: Any) -> Any:
        return _join(self, other)

    def __reduce__(self) -> Any:
        # Wherever it stands in a value, it is the list that the user wrote.
        return list, (list(self),)


def repr_of(lazy: Lazy[Any]) -> str:
    """Return a lazy value as an error is to call it: `split()`, `split()[0]`."""
    return f"{lazy._call()._name()}{path_of(lazy)}"


def path_of(lazy: Lazy[Any]) -> str:
    """Return the items by which a lazy value is reached from its call: `[0]['k']`."""
    return "".join(f"[{shown(key, 40)}]" for key in lazy._path())


def place(call: Call[Any]) -> str:
    """Return file and line where a call was written."""
    lines = [start for start, _, _, _ in call._code.co_positions()]
    index = call._instruction // 2
    line = lines[index] if 0 <= index < len(lines) else None
    return f"{call._code.co_filename}:{line or call._code.co_firstlineno}"


# --- >> ------------------------------------------------------------------------------------


def _join(left: Any, right: Any) -> Any:
    """Connect what stands left of `>>` with what stands right of it, and return the right."""
    if isinstance(right, list):
        if not right:
            raise ArrowError("there is nothing to the right of >>", "the list is empty: put calls into it")
        source = _source(left)
        targets = Fan(_target(item) for item in right)
        for target in targets:
            _connect(source, target)
        return targets
    source = _source(left)
    target = _target(right)
    _connect(source, target)
    return target


def _target(item: Any) -> Call[Any]:
    if not isinstance(item, Joint):
        raise ArrowError(f"{_named(item)} stands on the right of >>", _instead_on_the_right(item))
    lazy = item._lazy()
    if not isinstance(lazy, Call):
        problem = f"{repr_of(lazy)} takes no arguments: it is a part of a result"
        raise ArrowError(problem, f"feed {repr_of(lazy._call())} itself")
    return lazy


def _instead_on_the_right(item: Any) -> str:
    if isinstance(item, tuple):
        return "use a list to fan out"
    if getattr(item, "_is_flow", False):
        return f"a flow takes its parameters in a call: {item.name}(...)"
    if callable(item) and not isinstance(item, type):
        return "on the right go calls of tasks, and task(...) makes a function one"
    return "on the right go calls of tasks"


def _instead_on_the_left(item: Any) -> str:
    if getattr(item, "_is_flow", False):
        return f"call the flow: {item.name}(...)"
    return "give plain values as arguments, like task(value)"


def _source(left: Any) -> Any:
    """Return the left side with bare tasks called: a lazy value, a list or a tuple."""
    if isinstance(left, Joint):
        return left._lazy()
    if not isinstance(left, list | tuple):
        raise ArrowError(f"{_named(left)} stands on the left of >>", _instead_on_the_left(left))
    if not left:
        raise ArrowError("there is nothing to the left of >>", f"the {type(left).__name__} is empty")
    kind = tuple if isinstance(left, tuple) else list
    try:
        return kind(_source(item) for item in left)
    except RecursionError:
        raise ArrowError(
            "the list on the left of >> is nested too deeply, or holds itself", "give it as an argument"
        ) from None


def _connect(source: Any, target: Call[Any]) -> None:
    """Feed the free required parameters of `target`, then its `*rest`; if it has neither, order it."""
    build = _building()
    if target._build is not build:
        raise ArrowError(
            f"{repr_of(target)} was made {_outside(target._build)}, and >> would change it there too",
            "make the call where it is used",
        )
    (free, rest), named = target._free(), target._named or {}
    values = source if isinstance(source, tuple) else (source,)
    if not free and rest is None:
        target._after = target._after if isinstance(target._after, list) else []
        target._after.extend(_lazies(source))
        return
    if len(values) > len(free) and rest is None:
        names = ", ".join(free)
        raise ArrowError(
            f"{len(values)} values flow to {repr_of(target)}, which has {len(free)} free: {names}",
            "a tuple gives several arguments; use a list to give one",
        )
    named.update((name, target._fed(name, value)) for name, value in zip(free, values, strict=False))
    left_over = values[len(free) :]
    if left_over and rest is not None:
        more = named.get(rest, ())
        # A list, so that 50 000 statements `a >> total` don't copy 50 000 tuples.
        named[rest] = more if isinstance(more, list) else list(more)
        named[rest].extend([target._fed(rest, value) for value in left_over])
    target._named = named


def _lazies(source: Any) -> Iterator[Lazy[Any]]:
    if isinstance(source, Lazy):
        yield source
    else:
        for item in source:
            yield from _lazies(item)


def _outside(build: Build | None) -> str:
    return f"in flow {build.flow}" if build is not None else "outside of the flow"


def _named(item: Any) -> str:
    return f"{shown(item)} ({type(item).__name__})" if item is not None else "None"


# --- what a flow can't do with a value that is not there ------------------------------------


def _refusal(use: str, remedy: str) -> Callable[..., NoReturn]:
    def refuse(self: Lazy[Any], *_: object) -> NoReturn:
        raise LookedInsideError(repr_of(self), use, remedy)

    return refuse


for _method, (_use, _remedy) in USES.items():
    setattr(Lazy, _method, _refusal(_use, _remedy))


def _operator_refusal(sign: str) -> Callable[..., NoReturn]:
    def refuse(self: Joint[Any], *_: object) -> NoReturn:
        raise ArrowError(
            f"{self!r} can't be used with {sign}", "connect tasks with >>, compute inside a task"
        )

    return refuse


# A task is no value, but `extract > load` is a slip of the same finger; a lazy value has its own answers.
for _method, _sign in OPERATORS.items():
    setattr(Joint, _method, _operator_refusal(_sign))
