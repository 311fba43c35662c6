"""A run, awaited by a program that has an event loop of its own.

    await flow.arun(...)      begin, wait, give the Run; cancelled, it cancels the run
    await flow.start(...)     wait for a run that is going on already; cancelled, it waits no more
    async for ... in flow.astream(...)

A thread drives the run, and another one reads its stream, so the loop is free while it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Ending(Protocol[T_co]):
    """A run that goes on in another thread, as handle.py has it."""

    def on_end(self, tell: Callable[[], None], /) -> None:
        """Have this called when it has ended, from any thread."""
        ...

    def wait(self) -> T_co:
        """What came of it."""
        ...

    def cancel(self) -> None:
        """End it; a second time: at once."""
        ...


async def ended(run: Ending[T]) -> T:
    """Wait until a run has ended, and return what its `wait` does; errors as there."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        # Whoever waited may be gone, and its loop too.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, told)

    run.on_end(tell)
    await told
    return run.wait()


async def driven(run: Ending[T]) -> T:
    """The same, for a run that nobody else waits for: cancelled, this cancels it and waits for its end.

    Raises:
        CancelledError: It was cancelled; what had finished is kept.
    """
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            result = await ended(run)
            break
        except asyncio.CancelledError as error:
            # The second time it ends at once.
            cancelled = error
            run.cancel()
        except Exception as error:
            if cancelled is not None:
                raise cancelled from error
            raise
    if cancelled is not None:
        raise cancelled
    return result


class Streaming(Protocol[T_co]):
    """A run's stream, as following.py has it."""

    @property
    def handle(self) -> Ending[object]:
        """The run."""
        ...

    def __next__(self) -> T_co:
        """The next chunk, when it is there."""
        ...

    def close(self) -> None:
        """Read no more, and cancel the run."""
        ...


async def streamed(stream: Streaming[T]) -> AsyncGenerator[T, None]:
    """Give what a stream gives; whoever stops before its end cancels the run, and waits for its end."""
    loop = asyncio.get_running_loop()
    # One thread of its own: those of the loop are few, and may all be waiting for other streams.
    thread = ThreadPoolExecutor(1, thread_name_prefix="liteflow-stream")
    try:
        while True:
            reading = loop.run_in_executor(thread, _next, stream)
            # Whoever waits may be cancelled; the thread can't be.
            reading.add_done_callback(_heeded)
            found = await asyncio.shield(reading)
            if not found:
                return
            yield found[0]
    finally:
        stream.handle.cancel()
        await asyncio.shield(loop.run_in_executor(thread, stream.close))
        thread.shutdown(wait=False)


def _next(stream: Streaming[T]) -> tuple[T] | tuple[()]:
    # StopIteration can't be raised into a coroutine.
    try:
        return (stream.__next__(),)
    except StopIteration:
        return ()


def _heeded(reading: asyncio.Future[Any]) -> None:
    """Else asyncio would say that nobody took the error, when somebody has stopped waiting for it."""
    if not reading.cancelled():
        reading.exception()


def _set(told: asyncio.Future[Any]) -> None:
    if not told.done():
        told.set_result(None)
