"""The shared page on which a worker says where it is, at a cost of 0.2 microseconds a call.

The driver looks at it when the worker has died or has not been heard of for a while: only
the call that was running is charged with an attempt; those queued behind it are not.

    serial | node attempt start | node attempt start

The worker writes the position that is not current, and then the serial number, in one step,
whose parity says which one is.  So what is current is whole at every instant: also where the
worker has been stopped, or killed, in the middle.  Nothing has been written while the serial is 0.
"""

from __future__ import annotations

import mmap
from typing import NamedTuple

SIZE = mmap.PAGESIZE
_IDLE = -1


class Position(NamedTuple):
    """Node and attempt of the running call, and its start (monotonic, nanoseconds)."""

    node: int
    attempt: int
    started_ns: int


class Page:
    """One worker's page; the worker writes, the driver reads."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SIZE)
        self._bytes = memoryview(self._memory)
        # Words, for a word is written in one step, and what `struct` packs is not.
        self._words = self._bytes.cast("q")
        self._serial = self._words[0]

    def running(self, node: int, attempt: int, started_ns: int) -> None:
        """Say that a call starts."""
        words = self._words
        serial = self._serial = self._serial + 1
        at = 4 if serial & 1 else 1
        words[at] = node
        words[at + 1] = attempt
        words[at + 2] = started_ns
        words[0] = serial

    def idle(self) -> None:
        """Say that no call is running."""
        self.running(_IDLE, 0, 0)

    def position(self) -> Position | None:
        """Where the worker is; None between calls."""
        words = self._words
        while True:
            serial = words[0]
            at = 4 if serial & 1 else 1
            node, attempt, started_ns = words[at : at + 3].tolist()
            # Else it has written meanwhile, perhaps what we were reading.
            if words[0] == serial:
                return None if node == _IDLE or not serial else Position(node, attempt, started_ns)

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._bytes.release()
        self._memory.close()
