"""Wakes the driver from another thread, by a byte on a socket that its selector watches."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable

from liteflow.executor.base import News


class Wakeup:
    """One end for the driver, one for threads that have something to tell.

    What is to be told lies somewhere else, and is put there before `wake` is called.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # Who wakes may come back when all is closed, and the descriptor's number is another file's by then.
        self._lock = threading.Lock()
        self._open = True
        self._ringing = False

    def watch(self, selector: selectors.BaseSelector, learn: Callable[[], list[News]]) -> None:
        """Let the driver call `learn` after each `wake`; several of these may be one to it."""

        def heard(_mask: int) -> list[News]:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(16)
            # Before it is looked what there is to tell: what comes later rings again.
            self._ringing = False
            return learn()

        selector.register(self._reader, selectors.EVENT_READ, heard)

    def wake(self) -> bool:
        """Wake the driver, from any thread; False: it is closed, and nobody listens any more."""
        if self._ringing:
            return self._open
        with self._lock:
            if self._open and not self._ringing:
                self._ringing = True
                self._writer.send(b"!")
            return self._open

    def close(self) -> None:
        """Wake nobody from here on."""
        with self._lock:
            self._open = False
            self._writer.close()
        self._reader.close()
