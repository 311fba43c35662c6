"""How a run is stopped from outside: by a handle, by a signal, by its time.

whoever asks --Stop--> Stopper --> driver, as soon as there is one
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple


class Stop(NamedTuple):
    """Why a run is ended before its end.

    Attributes:
        state: What it is then: "cancelled" or "failed".
        why: In one line.
        signal: The signal that asked for it; None: none did.
    """

    state: str
    why: str
    signal: int | None = None


class Stopper:
    """Passes on what asks a run to stop, also what came before there was a driver."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may come while this thread holds it.
        self._lock = threading.RLock()
        self._early: list[Stop] = []
        self._driver: Callable[[Stop], None] | None = None

    def stop(self, stop: Stop) -> None:
        """Ask for the run to end; a second time: at once.  From any thread, or a signal handler."""
        with self._lock:
            if self._driver is None:
                self._early.append(stop)
            else:
                self._driver(stop)

    def attach(self, driver: Callable[[Stop], None]) -> None:
        """There is a driver now."""
        with self._lock:
            self._driver = driver
            for stop in self._early:
                driver(stop)
            self._early.clear()
