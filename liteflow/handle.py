"""A run that goes on in the background: wait for it, stop it, ask for its result.

handle = etl.start(path="a.csv")
...
handle.result()
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from liteflow.engine.stopping import Stop, Stopper
from liteflow.run import Run

R = TypeVar("R")

# Attempts of runs that are still going on when the program ends have so long to end.
_AT_EXIT_S = 10.0


class Handle(Generic[R]):
    """A run that was started, and may have ended since.

    A program that ends while a run goes on cancels it; what had finished is kept.

    Attributes:
        id: The run's id.
    """

    def __init__(self, run_id: str, stopper: Stopper, drive: Callable[[], Run[R]]) -> None:
        self.id = run_id
        self._stopper = stopper
        self._run: Run[R] | None = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._to_tell: list[Callable[[], None]] = []
        self._telling = threading.Lock()
        # A daemon: a task that hangs must not keep the interpreter from ending (see `_cancel_all`).
        name = f"liteflow-run-{run_id}"
        self._thread = threading.Thread(target=self._drive, args=(drive,), name=name, daemon=True)
        _going_on.add(self)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> Run[R]:
        """Wait until the run has ended, and return it, however it ended.

        Args:
            timeout: Seconds to wait at most; None: as long as it takes.

        Raises:
            TimeoutError: It has not ended in this time; it goes on.
            LiteflowError: It could not begin, or its store could not be written.
        """
        if not self._ended.wait(timeout):
            raise TimeoutError(f"run {self.id} has not ended within {timeout:g} s; it goes on")
        if self._error is not None:
            raise self._error
        assert self._run is not None
        return self._run

    def result(self, timeout: float | None = None) -> R:
        """Wait until the run has ended, and return what the flow returned.

        Raises:
            RunFailed: A task failed.
            RunCancelled: The run was cancelled.
            TimeoutError: As `wait`.
        """
        return self.wait(timeout).result

    def cancel(self) -> None:
        """End the run: what runs is asked to end, and forced after the grace; what had finished is kept.

        It does not wait (see `wait`).  A second call forces what is left at once.  Of a run that
        has ended nothing changes.
        """
        self._stopper.stop(Stop("cancelled", "cancelled"))

    def on_end(self, tell: Callable[[], None]) -> None:
        """Have this called when the run has ended, from its thread; at once if it has ended already."""
        with self._telling:
            if not self.done:
                self._to_tell.append(tell)
                return
        tell()

    def __await__(self) -> Generator[Any, None, Run[R]]:
        """Wait as `wait` does, in a running event loop; who stops waiting does not stop the run."""
        # Start-up: asyncio takes as long to load as all of liteflow.
        from liteflow.awaiting import ended  # noqa: PLC0415

        return ended(self).__await__()

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self._ended.is_set()

    @property
    def state(self) -> str:
        """The run's state: "running", or how it ended."""
        if not self.done:
            return "running"
        return "failed" if self._run is None else self._run.state

    def __repr__(self) -> str:
        return f"<Handle {self.id}: {self.state}>"

    def _drive(self, drive: Callable[[], Run[R]]) -> None:
        try:
            self._run = drive()
        except BaseException as error:  # noqa: BLE001  whoever waits gets it
            self._error = error
        finally:
            _going_on.discard(self)
            with self._telling:
                self._ended.set()
            for tell in self._to_tell:
                tell()


_going_on: weakref.WeakSet[Handle[Any]] = weakref.WeakSet()


def _cancel_all() -> None:
    handles = list(_going_on)
    for handle in handles:
        handle.cancel()
    for handle in handles:
        handle._ended.wait(_AT_EXIT_S)


atexit.register(_cancel_all)
