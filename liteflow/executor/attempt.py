"""One attempt: arguments in, an encoded value or a described failure out.

The same code runs in a worker process, in a thread and inline, so that a task gives the
same result and the same error wherever it runs.

What an argument looks like on its way here (plain built-in types only, so that a message
needs no unpickling):

    an atom                       itself: int, float, str, bytes, bool, None, complex
    (source, path)                the value of another call, or an item of it
    (source, path-as-pickle, 0)   the same where the path holds more than atoms
    (data, (argument, ...))       a pickle with holes, and what goes into them
    (argument, path)              an item of what another argument stands for
    [argument, ...]               a list

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from types import GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from liteflow import pickling, xcom
from liteflow.function import Function
from liteflow.outcomes import Skip

if TYPE_CHECKING:
    from liteflow.context import Link

WireArgument = Any

# An error text longer than this says nothing more (RELIABILITY: 20 KB).
ERROR_CHARS = 20_000
_LINE_CHARS = 500
_EXCEPTION_BYTES = 64 * 1024
_PACKAGE = __file__.rpartition("executor")[0]


class Failure(NamedTuple):
    """Why an attempt gave no value: one line, the task's own traceback, and the exception
    itself if it survives pickling."""

    error: str
    traceback: str
    exception: bytes | None
    retryable: bool


def perform(  # noqa: PLR0917  the hot path: by position
    function: Function,
    args: Sequence[WireArgument],
    kwargs: Mapping[str, WireArgument] | None,
    value_of: Callable[[int], Any],
    live: Callable[[Function], int] | None = None,
    link: Link | None = None,
) -> xcom.Encoded:
    """Call the function and encode what it returns.

    Args:
        function: What to call.
        args: Positional arguments as described above.
        kwargs: Keyword arguments, or None for none.
        value_of: Gives a fresh copy of the value of a source.
        live: Keeps a function for others in this process, and gives its number; None in workers.
        link: The attempt's way to its driver; None: it has none.

    Raises:
        BaseException: What the task raised; or the result's type or bytes were wrong.
    """
    value = begun(function, args, kwargs, value_of, link)
    if function.streams:
        value = streamed(value, link)
    elif function.is_async:
        value = _awaited(value)
    return completed(function, value, live)


def begun(
    function: Function,
    args: Sequence[WireArgument],
    kwargs: Mapping[str, WireArgument] | None,
    value_of: Callable[[int], Any],
    link: Link | None = None,
) -> Any:
    """Call the function: what it returns, or the coroutine or generator that it begins; as `perform`."""
    positional = [resolve(a, value_of) if type(a) is tuple or type(a) is list else a for a in args]
    named = {k: resolve(a, value_of) for k, a in kwargs.items()} if kwargs else {}
    if function.context is not None:
        _give_context(function.context, positional, named, link)
    return function.fn(*positional, **named) if named else function.fn(*positional)


def completed(function: Function, value: Any, live: Callable[[Function], int] | None = None) -> xcom.Encoded:
    """Look at what the function has given, awaited if need be, and encode it; as `perform`.

    Lazy values are no value yet: they are encoded as calls that the run is to go on with.
    """
    nexts = sys.modules.get("liteflow.nexts")
    if nexts is not None and type(value) is nexts.Directed:
        return _encoded_with_next(value, nexts)
    try:
        if type(value) is not function.returns:
            if _is_growth(value):
                return _grown(value, function, live)
            _check_result(function, value)
        return xcom.encode(value)
    except Exception:
        # Lazy values somewhere inside fit no annotation, and can't be pickled.
        if "liteflow.lazy" in sys.modules and _holds_lazy(value):
            return _grown(value, function, live)
        raise


def streamed(chunks: Any, link: Link | None) -> Any:
    """Send what a generator yields, and give what it returns; of an asynchronous one that is None."""
    from liteflow.context import Shared  # noqa: PLC0415  as above

    if isinstance(chunks, AsyncIterator):
        return _awaited(streamed_on_loop(chunks, link))
    put = Shared(_given(link)).put
    iterator = iter(chunks)
    try:
        while True:
            try:
                chunk = next(iterator)
            except StopIteration as end:
                return end.value
            put(chunk)
    finally:
        # What could not be sent ends it, and its own `finally` runs here.
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


async def streamed_on_loop(chunks: Any, link: Link | None) -> Any:
    """The same in a running event loop."""
    if not isinstance(chunks, AsyncIterator):
        return streamed(chunks, link)
    from liteflow.context import Shared  # noqa: PLC0415  as above

    put = Shared(_given(link)).put
    try:
        async for chunk in chunks:
            put(chunk)
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
    return None


def resolve(argument: WireArgument, value_of: Callable[[int], Any]) -> Any:
    """Give the value that a wire argument stands for (by the table above)."""
    if type(argument) is list:
        # The items of a map, of which there may be a million, are whole values.
        return [
            value_of(one[0])
            if type(one) is tuple and len(one) == 2 and one[1] == () and type(one[0]) is int
            else resolve(one, value_of)
            for one in argument
        ]
    if type(argument) is not tuple:
        return argument
    first = argument[0]
    if type(first) is bytes:
        return pickling.unpack(first, [resolve(hole, value_of) for hole in argument[1]])
    value = value_of(first) if type(first) is int else resolve(first, value_of)
    path = argument[1] if len(argument) == 2 else pickling.loads(argument[1])
    inside = value
    try:
        for key in path:
            inside = inside[key]
    except (LookupError, TypeError) as error:
        from liteflow.executor.missing import no_item  # noqa: PLC0415  attrs: not for every worker

        raise no_item(None, path, inside) from error
    return inside


def outcome_of(error: BaseException) -> str:
    """How an attempt has ended that raised this: failed or skipped."""
    return "skipped" if isinstance(error, Skip) else "failed"


def failure_of(error: BaseException, function: Function | None) -> Failure:
    """Describe an exception that a task raised, for the store and for whoever reads it."""
    if isinstance(error, Skip):
        return Failure(_storable(error.reason[:_LINE_CHARS]), "", None, False)
    error.__traceback__ = _without_library(error.__traceback__)
    line = _line(error)
    try:
        # Where nothing of it is the task's own, its causes are ours as well.
        own = error.__traceback__ is not None
        text = "".join(traceback.format_exception(error, chain=own))
    except BaseException as formatting:  # noqa: BLE001  an exception whose own parts raise
        text = f"{line}\n(its traceback can't be shown: {type(formatting).__name__})"
    if len(text) > ERROR_CHARS:
        half = ERROR_CHARS // 2
        text = f"{text[:half]}\n... {len(text) - ERROR_CHARS} characters left out ...\n{text[-half:]}"
    retryable = isinstance(error, function.retry_on if function else Exception)
    return Failure(line, _storable(text), _travelling(error), retryable)


# --- how -----------------------------------------------------------------------------------


def _give_context(
    place: tuple[str, int], positional: list[Any], named: dict[str, Any], link: Link | None
) -> None:
    """Put the run's context among the arguments.

    Args:
        place: The parameter, and its place among the positions; -1: none.
        positional, named: The arguments, which are changed.
        link: The attempt's way to its driver.
    """
    from liteflow.context import Context, Shared  # noqa: PLC0415  start-up: few tasks have one

    name, at = place
    context = Context.over(Shared(_given(link)))
    if 0 <= at <= len(positional):
        positional.insert(at, context)
    else:
        named[name] = context


def _given(link: Link | None) -> Link:
    if link is None:
        from liteflow.context import NoLink  # noqa: PLC0415  start-up: few executors have none

        return NoLink()
    return link


def _encoded_with_next(value: Any, nexts: Any) -> xcom.Encoded:
    """Encode a TaskOutput that has been looked at."""
    try:
        return nexts.encoded(value)  # type: ignore[no-any-return]
    except Exception as error:
        if "liteflow.lazy" in sys.modules and _holds_lazy(tuple(value)):
            raise TypeError(
                "a TaskOutput holds a call of a task, which has not run and has no value; ask for a task "
                "by its name, NextTask('name'), or call the plain function: name.fn(...)"
            ) from error
        raise


def _is_growth(value: Any) -> bool:
    """Whether a value is a lazy one, or the items of a map; where no such class is loaded, none is."""
    lazy = sys.modules.get("liteflow.lazy")
    if lazy is not None and isinstance(value, lazy.Joint):
        return True
    growth = sys.modules.get("liteflow.growth")
    return growth is not None and isinstance(value, growth.Items)


def _grown(value: Any, function: Function, live: Callable[[Function], int] | None) -> xcom.Encoded:
    from liteflow.growth import encoded  # noqa: PLC0415  start-up: the compiler, where it is needed

    return encoded(value, function, live)


def _holds_lazy(value: Any) -> bool:
    from liteflow.growth import holds_lazy  # noqa: PLC0415  as above

    return holds_lazy(value)


def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a loop of its own."""
    import asyncio  # noqa: PLC0415  start-up: 50 ms that only coroutines need

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # Inline in a notebook: this thread's loop is busy running us, and a thread has one loop.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  as above

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, coroutine).result()


def _check_result(function: Function, value: Any) -> None:
    if isinstance(value, GeneratorType):
        raise TypeError(
            f"{function.name}() returned a generator; a task's result must be stored: return list(...)"
        )
    if function.returns is Any:
        return
    from liteflow import hints  # noqa: PLC0415  start-up: only where a result is not plainly right

    problem = hints.problem(value, function.returns)
    if problem is not None:
        from liteflow.errors import ResultTypeError  # noqa: PLC0415  attrs: not for every worker

        raise ResultTypeError(
            function.name, hints.show(function.returns), problem, xcom.preview_of(value)[0][:100]
        )


def _without_library(tb: TracebackType | None) -> TracebackType | None:
    """The traceback from the task's own first frame on; None if there is no such frame."""
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        tb = tb.tb_next
    return tb


def _line(error: BaseException) -> str:
    name = xcom.type_name(type(error))
    try:
        text = str(error)
    except BaseException as failing:  # noqa: BLE001  a str() that raises, or exits
        text = f"(its str() raises {type(failing).__name__})"
    first = text.strip().partition("\n")[0]
    if len(first) > _LINE_CHARS:
        first = first[:_LINE_CHARS] + "..."
    return _storable(f"{name}: {first}" if first else name)


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _travelling(error: BaseException) -> bytes | None:
    """The exception as bytes, if it comes back whole from them; else None, and its text must do."""
    # Many a class calls `super().__init__` with other arguments than its own; an exception is
    # read by calling its class again, so theirs comes back wrong, or not at all.
    for value in (error, _Bare(error)):
        try:
            data = pickling.dumps(value).data
            if len(data) <= _EXCEPTION_BYTES and _same(pickling.loads(data), error):
                return data
        except BaseException:  # noqa: BLE001  its pickling is the user's code, which may do anything
            continue
    return None


def _same(copy: Any, error: Any) -> bool:
    """Whether a copy is as the original: of the same type, with the same text, and so its parts."""
    if type(copy) is not type(error):
        return False
    if isinstance(error, BaseException):
        return _same(copy.args, error.args)
    if isinstance(error, list | tuple):
        return len(copy) == len(error) and all(map(_same, copy, error))
    return type(error) is not str or bool(copy == error)


class _Bare:
    """Pickles as an exception that is read without calling its `__init__`."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        cls, args, *state = _builtin(type(self._error)).__reduce__(self._error)
        return bare_exception, (cls, tuple([_bared(arg) for arg in args]), *state)


def _bared(arg: Any) -> Any:
    if isinstance(arg, BaseException):
        return _Bare(arg)
    # The exceptions of a group.
    return [_bared(item) for item in arg] if isinstance(arg, list) else arg


def bare_exception(
    cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any] | None = None
) -> BaseException:
    """Return an exception as it was; this function's name stands in stored pickles."""
    builtin = _builtin(cls)
    made: BaseException = builtin.__new__(cls, *args)
    builtin.__init__(made, *args)
    if state:
        made.__setstate__(state)
    return made


def _builtin(cls: type[BaseException]) -> Any:
    """The exception of Python's own that a class derives from."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")
