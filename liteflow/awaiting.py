"""A run, awaited by a program that has an event loop of its own.

    await flow.arun(...)      begin, wait, give the Run; cancelled, it cancels the run
    await flow.start(...)     wait for a run that is going on already; cancelled, it waits no more

A thread drives the run, so the loop is free while it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
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


def _set(told: asyncio.Future[Any]) -> None:
    if not told.done():
        told.set_result(None)
