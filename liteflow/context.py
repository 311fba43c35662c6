"""What the tasks of a run share while it goes on: values by key, and chunks for who follows it.

    def visit(url: str, context: Context) -> int: ...      # it is given one; callers give it none

    Context --Link--> the driver, which has the run's values        in a task
    Context --------> a dict                                        anywhere else

Each `get` gives a copy of its own, on every executor; what is to be seen by others is `set`.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from liteflow import pickling, xcom

LARGEST: Final = 1_000_000_000
"""Values and chunks may have so many bytes: SQLite's limit for one column."""

_MISSING: Any = object()


class StreamChunk(NamedTuple):
    """A piece of what a task gives before it ends, or, as the last one, its output.

    `task_id` is the key of the task instance, unless the task says another; `attempt` is which
    attempt gave it, from 1: when it grows, what came before it is void.

    >>> StreamChunk("words", "once")
    StreamChunk(task_id='words', value='once', attempt=1)
    """

    task_id: str
    value: Any
    attempt: int = 1


class Value(Protocol):
    """A value as bytes."""

    def value(self) -> Any:
        """A fresh copy."""
        ...


class Link(Protocol):
    """The way from an attempt to its driver."""

    def get(self, key: str, wait: bool) -> tuple[int, Value | None]:
        """The version and the value of a key; (0, None) if there is none and it does not wait.

        Raises:
            ContextError: It waited, and there will be none.
        """
        ...

    def put(self, key: str, expected: int | None, encoded: xcom.Encoded) -> tuple[int, Value | None]:
        """Set a key if it has the expected version (0: nothing yet; None: any); as `get` if it has not.

        Returns:
            (its new version, None), or the version and value that it has instead.
        """
        ...

    def all(self) -> Sequence[tuple[str, Value]]:
        """All values."""
        ...

    def waited(self, event: str | None) -> tuple[int, str | None]:
        """As `waited` below."""
        ...

    def chunk(self, name: str | None, encoded: xcom.Encoded) -> None:
        """Send a chunk; `name` is whose it is said to be, None: the attempt's own."""
        ...


class Backing(Protocol):
    """Where a context has its values."""

    def get(self, key: str, wait: bool) -> Any: ...
    def set(self, key: str, value: Any) -> None: ...
    def update(self, key: str, function: Callable[[Any], Any], default: Any) -> Any: ...
    def items(self) -> Iterator[tuple[str, Any]]: ...
    def waited(self, event: str | None) -> tuple[int, str | None]: ...
    def put(self, chunk: Any) -> None: ...


class Context:
    """Values that the tasks of one run share, by key; a task's output is there under its key.

    A task has it as a parameter annotated `Context`.  Made by hand it is a plain store, to give
    to a flow as its start, or to a task's function in a test.

    >>> context = Context()
    >>> context.set("count", 1)
    >>> context.update("count", lambda n: n + 1)
    2
    >>> context.get("count"), context.get("other", "nothing")
    (2, 'nothing')
    """

    _is_context = True

    __slots__ = ("_backing",)

    def __init__(self) -> None:
        self._backing: Backing = _Plain()

    @classmethod
    def over(cls, backing: Backing) -> Context:
        """A context that has its values there."""
        context = cls()
        context._backing = backing
        return context

    def get(self, key: str, default: Any = _MISSING) -> Any:
        """Return the value of a key: what was set, or the output of the task instance of this key.

        Without a default it waits for a value that is still to come; another call runs in
        this one's place meanwhile.

        Args:
            key: A text.
            default: What to return at once if there is none.

        Raises:
            ContextError: There is none, and none can come any more.
        """
        found = self._backing.get(_checked(key), default is _MISSING)
        return default if found is _MISSING else found

    async def aget(self, key: str, default: Any = _MISSING) -> Any:
        """Return what `get` does, from a coroutine: others go on while it waits."""
        import asyncio  # noqa: PLC0415  start-up: 50 ms that only coroutines need

        return await asyncio.to_thread(self.get, key, default)

    def set(self, key: str, value: Any) -> None:
        """Give a key this value, for all tasks of the run, and for a resume of it.

        What an attempt has set stays, even if it fails afterwards.

        A list, dict or set that was got before in this attempt, and that others have changed
        since: what was added to it here is added to theirs (see `merged`).  For anything else the
        last one wins; `update` is the sure way.

        Args:
            key: A text.
            value: Anything that can be pickled, of up to 1 GB.

        Raises:
            NotPicklableError: Which part can't be pickled, and why.
            ContextError: It is too large.
        """
        self._backing.set(_checked(key), value)

    def update(self, key: str, function: Callable[[Any], Any], default: Any = None) -> Any:
        """Change a value, with no change of another's lost: for counters and collections.

        Args:
            key: A text.
            function: Gives the new value from the old one; it may be called again, if another has
                changed the value meanwhile.
            default: What the function gets if there is no value yet; it never waits.

        Returns:
            The new value.

        Raises:
            NotPicklableError, ContextError: As `set`.

        >>> Context().update("seen", lambda pages: [*pages, "index"], [])
        ['index']
        """
        return self._backing.update(_checked(key), function, default)

    def to_dict(self) -> dict[str, Any]:
        """Return all values that there are now, outputs of tasks too, by key."""
        return dict(self._backing.items())

    def from_dict(self, values: Mapping[str, Any]) -> Context:
        """Set each of these, and return this context.

        >>> Context().from_dict({"a": 1}).to_dict()
        {'a': 1}
        """
        for key, value in values.items():
            self.set(key, value)
        return self

    def get_stream(self) -> Stream:
        """Return where chunks are put, for `flow.stream(...)`, `run.chunks(...)` and the like."""
        return Stream(self._backing.put)

    def __repr__(self) -> str:
        return f"<Context of {'its own' if isinstance(self._backing, _Plain) else 'a run'}>"

    def __reduce__(self) -> Any:
        if not isinstance(self._backing, _Plain):
            problem = "a Context belongs to its run and can't be pickled; take what is needed out of it"
            raise TypeError(problem)
        return _again, (self.to_dict(),)


class Stream:
    """Where a task puts chunks; with a context made by hand nobody reads them."""

    __slots__ = ("_put",)

    def __init__(self, put: Callable[[Any], None]) -> None:
        self._put = put

    def put(self, chunk: StreamChunk | Any) -> None:
        """Put a chunk: any value, or a `StreamChunk` that says whose it is.

        Raises:
            NotPicklableError, ContextError: As `Context.set`.

        >>> Context().get_stream().put("half of it")
        """
        self._put(chunk)


def waited(context: Context, event: str | None = None) -> tuple[int, str | None]:
    """Return since when the task instance of this attempt waits, and what its event says.

    It has begun to wait when it asked for the first time, in whichever attempt, under whichever driver.

    Args:
        context: The attempt's.
        event: The name of the event that it waits for; None: it lets time pass.

    Returns:
        (microseconds since 1970, JSON; None: there is no event yet)

    Raises:
        ContextError: No event can come, for there is no run, or nobody can reach it.
    """
    return context._backing.waited(event)


def merged(base: Any, mine: Any, theirs: Any) -> Any:
    """Put two changes of one list, dict or set together.

    Args:
        base: What it was.
        mine, theirs: What each has made of it.

    Returns:
        Both changes, as far as mine has added at the end of a list, or changed keys or members;
        else mine.

    >>> merged([1], [1, 2], [1, 3])
    [1, 3, 2]
    >>> merged({"a": 1}, {"a": 2, "b": 1}, {"a": 1, "c": 1})
    {'a': 2, 'c': 1, 'b': 1}
    >>> merged({1}, {1, 2}, set())
    {2}
    """
    kind = type(base)
    if not (type(mine) is kind and type(theirs) is kind):
        return mine
    if kind is list:
        length = len(base)
        grown = all(len(one) >= length and _same(one[:length], base) for one in (mine, theirs))
        return theirs + mine[length:] if grown else mine
    if kind is set:
        return (theirs | (mine - base)) - (base - mine)
    if kind is dict:
        changed = {k: v for k, v in mine.items() if k not in base or not _same(v, base[k])}
        return {k: v for k, v in theirs.items() if k in mine or k not in base} | changed
    return mine


# --- how -----------------------------------------------------------------------------------


class _Plain:
    """A dict."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._changing = Lock()

    def get(self, key: str, wait: bool) -> Any:
        if wait and key not in self._values:
            raise _error(key, "there is no such value, and no run that could give one")
        return self._values.get(key, _MISSING)

    def set(self, key: str, value: Any) -> None:
        self._values[key] = value

    def update(self, key: str, function: Callable[[Any], Any], default: Any) -> Any:
        with self._changing:
            value = self._values[key] = function(self._values.get(key, default))
        return value

    def items(self) -> Iterator[tuple[str, Any]]:
        return iter(list(self._values.items()))

    def waited(self, event: str | None) -> tuple[int, str | None]:
        """It begins to wait now."""
        if event is not None:
            raise _error(event, "there is no run that this event could come to")
        return time.time_ns() // 1000, None

    def put(self, chunk: Any) -> None:
        """Nobody reads it."""


class Shared:
    """The values of a run that goes on, by way of its driver.

    Args:
        link: To the driver.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        # What was got and may have been changed in place: as it was.
        self._seen: dict[str, tuple[int, Value]] = {}

    def get(self, key: str, wait: bool) -> Any:
        """The value; `_MISSING` if there is none and it does not wait."""
        version, found = self._link.get(key, wait)
        if found is None:
            return _MISSING
        value = found.value()
        if type(value) in _MERGED:
            self._seen[key] = version, found
        return value

    def set(self, key: str, value: Any) -> None:
        """Set it, together with what others have added since it was got."""
        expected, base = self._seen.pop(key, (None, None))
        encoded = _encoded(key, value)
        while True:
            version, theirs = self._link.put(key, expected, encoded)
            if theirs is None or base is None:
                return
            expected = version
            encoded = _encoded(key, merged(base.value(), value, theirs.value()))

    def update(self, key: str, function: Callable[[Any], Any], default: Any) -> Any:
        """Compare and swap, until nobody else was quicker."""
        version, found = self._link.get(key, wait=False)
        while True:
            value = function(default if found is None else found.value())
            version, found = self._link.put(key, version, _encoded(key, value))
            if found is None:
                return value

    def items(self) -> Iterator[tuple[str, Any]]:
        """All values."""
        return ((key, found.value()) for key, found in self._link.all())

    def waited(self, event: str | None) -> tuple[int, str | None]:
        """The driver knows."""
        return self._link.waited(event)

    def put(self, chunk: Any) -> None:
        """Encode a chunk and send it."""
        name, value = (chunk.task_id, chunk.value) if type(chunk) is StreamChunk else (None, chunk)
        self._link.chunk(name, _encoded(name or "(chunk)", value))


_OUT_OF_REACH: Final = "the executor that runs this can't reach the run's context or stream"


class NoLink:
    """The way of an attempt that has none: whoever takes it is told so."""

    def get(self, key: str, wait: bool) -> NoReturn:
        """Refuse."""
        raise _error(key, _OUT_OF_REACH)

    def put(self, key: str, expected: int | None, encoded: xcom.Encoded) -> NoReturn:
        """Refuse."""
        raise _error(key, _OUT_OF_REACH)

    def all(self) -> NoReturn:
        """Refuse."""
        raise _error("(all)", _OUT_OF_REACH)

    def waited(self, event: str | None) -> NoReturn:
        """Refuse."""
        raise _error(event or "(wait)", _OUT_OF_REACH)

    def chunk(self, name: str | None, encoded: xcom.Encoded) -> NoReturn:
        """Refuse."""
        raise _error(name or "(stream)", _OUT_OF_REACH)


class Recorded:
    """The values of a run that has ended; what is set now is known here alone.

    Args:
        names: Gives the keys of all values.
        read: Gives the value of a key; KeyError: there is none.
    """

    def __init__(self, names: Callable[[], list[str]], read: Callable[[str], Any]) -> None:
        self._names = names
        self._read = read
        self._own = _Plain()

    def get(self, key: str, wait: bool) -> Any:
        """The value; `_MISSING` if there is none."""
        found = self._own.get(key, wait=False)
        if found is not _MISSING:
            return found
        try:
            return self._read(key)
        except KeyError:
            if wait:
                raise _error(key, "there is no such value, and the run has ended") from None
            return _MISSING

    def set(self, key: str, value: Any) -> None:
        """Set it, here."""
        self._own.set(key, value)

    def update(self, key: str, function: Callable[[Any], Any], default: Any) -> Any:
        """Change it, here."""
        found = self.get(key, wait=False)
        value = function(default if found is _MISSING else found)
        self._own.set(key, value)
        return value

    def items(self) -> Iterator[tuple[str, Any]]:
        """All values."""
        own = dict(self._own.items())
        for key in self._names():
            if key not in own:
                yield key, self.get(key, wait=True)
        yield from own.items()

    def waited(self, event: str | None) -> NoReturn:
        """A run that has ended waits for nothing."""
        raise _error(event or "(wait)", "the run has ended")

    def put(self, chunk: Any) -> NoReturn:
        """A run that has ended has no stream."""
        raise _error("(stream)", "the run has ended")


_MERGED: Final = (list, dict, set)


def _again(values: dict[str, Any]) -> Context:
    """A context made by hand, from its pickle."""
    return Context().from_dict(values)


def _checked(key: Any) -> str:
    if not isinstance(key, str):
        raise _error(repr(key)[:80], f"a key is a text, not a {type(key).__name__}")
    return str(key)


def _encoded(key: str, value: Any) -> xcom.Encoded:
    encoded = xcom.encode(value)
    if encoded.size > LARGEST:
        raise _error(key, f"a value of {encoded.size} bytes is larger than the store can take ({LARGEST})")
    return encoded


def _error(key: str, problem: str) -> Exception:
    # Lazy: attrs, which not every worker needs.
    from liteflow.errors import ContextError  # noqa: PLC0415

    return ContextError(key, problem)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal, also where their own `==` can't say so (arrays)."""
    try:
        if bool(one == other):
            return True
    except Exception:  # noqa: BLE001  their `==` is anybody's code: their bytes can say it too
        return bool(pickling.dumps(one).data == pickling.dumps(other).data)
    return False
