"""What threads of this process say to the driver of their run, and it to them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Final

from liteflow.executor.base import Line
from liteflow.executor.link import OVER, Ask, AttemptLink, Chunk, Reply, Request

# A task that yields faster than the driver takes waits here.
_MOST_CHUNKS: Final = 5000
# While calls print, their lines are taken this often.
_LINES_EVERY_S: Final = 0.05


class Talk:
    """Questions, chunks and lines of attempts, on their way to the driver's thread.

    Args:
        wake: Lets the driver call `take`; from any thread.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._numbers = count()
        self._asks: deque[Ask] = deque()
        self._chunks: deque[Chunk] = deque()
        self._lines: deque[Line] = deque()
        # Until then nobody is woken for a line: the driver, woken for an earlier one, looks by itself.
        self._quiet_until = 0.0
        self._look_at: float | None = None
        self._waiting: dict[int, SimpleQueue[Reply]] = {}
        self._room = threading.Condition()
        self._left: set[tuple[int, int]] = set()
        self._open = True

    def link(self, node: int, attempt: int, *, at_once: bool = False) -> AttemptLink:
        """The way of an attempt.

        Args:
            node: The number of the task instance.
            attempt: Which attempt, from 1.
            at_once: Whether this thread, which others run in too, must not wait for what is still to come.
        """
        thread = threading.get_ident() if at_once else None
        return AttemptLink(node, attempt, partial(self.ask, node, attempt), self.send, thread)

    def here(self, node: int, attempt: int, hear: Callable[[], None]) -> AttemptLink:
        """The way of an attempt that runs in the driver's own thread, which can answer, but not wait.

        Args:
            node, attempt: As for `link`.
            hear: Lets the driver take what has come.
        """
        thread = threading.get_ident()

        def ask(request: Request) -> Reply:
            if threading.get_ident() != thread:
                return "its pool runs calls in the driver's own thread, which hears no other meanwhile"
            # What has ended before comes first: it may be what is asked for.
            hear()
            number = next(self._numbers)
            queue = self._waiting[number] = SimpleQueue()
            self._asks.append(Ask(node, attempt, number, request))
            hear()
            return queue.get()

        def send(chunk: Chunk) -> bool:
            if not self._hears(chunk):
                return False
            self._chunks.append(chunk)
            if threading.get_ident() == thread:
                hear()
            return True

        return AttemptLink(node, attempt, ask, send, thread)

    # --- in the driver's thread ------------------------------------------------------------

    def take(self) -> tuple[list[Ask], list[Chunk], list[Line]]:
        """All that has come.  Of what comes with an outcome: look for the outcome first, then here."""
        asks, chunks = [], []
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            self._look_at = time.monotonic() + _LINES_EVERY_S
        elif self._look_at is not None and time.monotonic() >= self._look_at:
            self._look_at = None
        while self._asks:
            asks.append(self._asks.popleft())
        while self._chunks:
            chunks.append(self._chunks.popleft())
        if chunks:
            with self._room:
                self._room.notify_all()
        return asks, chunks, lines

    def look_at(self) -> float | None:
        """When to `take` lines that nobody is woken for, in monotonic seconds."""
        return self._look_at

    def reply(self, number: int, reply: Reply) -> None:
        """Answer a question; one that nobody waits for any more needs none."""
        queue = self._waiting.pop(number, None)
        if queue is not None:
            queue.put(reply)

    def leave(self, node: int, attempt: int) -> None:
        """Hear no more of an attempt, which can't be ended: the next chunk that it puts ends it."""
        with self._room:
            self._left.add((node, attempt))
            self._room.notify_all()

    def close(self) -> None:
        """The run has ended: whoever waits need not, and nothing more comes."""
        with self._room:
            self._open = False
            self._room.notify_all()
        for number in list(self._waiting):
            self.reply(number, OVER)

    # --- in the attempts' threads ----------------------------------------------------------

    def ask(self, node: int, attempt: int, request: Request) -> Reply:
        """Ask the driver, and wait for its answer."""
        number = next(self._numbers)
        queue = self._waiting[number] = SimpleQueue()
        if not self._open:
            self._waiting.pop(number, None)
            return OVER
        self._asks.append(Ask(node, attempt, number, request))
        self._wake()
        return queue.get()

    def send(self, chunk: Chunk) -> bool:
        """Send a chunk, when there is room; whether anybody hears it."""
        with self._room:
            while self._hears(chunk) and len(self._chunks) >= _MOST_CHUNKS:
                self._room.wait()
            if not self._hears(chunk):
                return False
            self._chunks.append(chunk)
        self._wake()
        return True

    def write(self, line: Line) -> None:
        """Tell of a line that an attempt has written, soon."""
        if (line.node, line.attempt) in self._left:
            return
        now = time.monotonic()
        wakes = now >= self._quiet_until
        if wakes:
            self._quiet_until = now + _LINES_EVERY_S
        self._lines.append(line)
        if wakes:
            self._wake()

    def _hears(self, chunk: Chunk) -> bool:
        return self._open and (chunk.node, chunk.attempt) not in self._left


class Talking:
    """What executors have alike whose calls are near their driver: they talk, and nothing is sent to them."""

    _talk: Talk

    def reply(self, node: int, number: int, reply: Reply) -> None:
        """Answer a question of a call."""
        self._talk.reply(number, reply)

    def resumes(self, node: int) -> bool:
        """All calls do."""
        return True

    def release(self, source: int) -> None:
        """Values are the driver's: nothing to let go of."""

    @property
    def full(self) -> bool:
        """Never: what waits gives its place to another."""
        return False
