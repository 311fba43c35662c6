"""What calls print and log, in the worker: caught by descriptor, cut into lines.

    print, C libraries, child processes --> descriptors 1 and 2 --> pipes --> lines
    logging --> a handler --> lines

The pipes are read at the end of each call, so that each line belongs to the call that wrote
it, and by the control thread while a call runs, so that a long call's lines are seen soon
and no pipe fills up.  The driver holds the reading ends too: a worker that dies leaves its
last words in the pipe.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import sys
import threading
import time
from typing import TextIO

# A call that prints more than this is cut, with a mark.
MAX_BYTES = 10 * 1024 * 1024
# A line longer than this is stored in pieces.
MAX_LINE = 32 * 1024

# A call that prints so much at a time is waiting for the pipe to be read.
_MUCH = 32 * 1024
# Whether a call has put something else in the place of descriptors 1 and 2 is looked at so often.
_LOOK_EVERY_S = 0.005

LineTuple = tuple[int, int, int, str, str]
_STREAMS = ("stdout", "stderr")
# A descriptor was closed, or the other end of a socket is.
_GONE = select.POLLNVAL | select.POLLHUP


class Capture:
    """Turns what arrives on the two pipes, and log records, into lines of the current call.

    `sockets` are descriptors that no call should touch: it is seen here, for nothing, when one has.
    """

    def __init__(self, pipes: tuple[int, int], sockets: tuple[int, ...] = ()) -> None:
        self.pipes = pipes
        self.lines: list[LineTuple] = []
        self._lock = threading.Lock()
        self._rest = [b"", b""]
        self._written = 0
        self._call = (-1, 0)
        self._poll = select.poll()
        for pipe in pipes:
            os.set_blocking(pipe, False)
            self._poll.register(pipe, select.POLLIN)
        self._watched = (0, 1, 2, *sockets)
        for number in self._watched:
            # Tells when it has been closed, and nothing else.
            self._poll.register(number, 0)
        self._streams = _open_streams()
        self._stdin: TextIO = sys.stdin
        self._spare = tuple(os.dup(n) for n in (0, 1, 2))
        self._same_as = _identities((*self._spare, *sockets))
        self._look_at = 0.0
        sys.stdout, sys.stderr = self._streams
        sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc]
        root = logging.getLogger()
        root.addHandler(_Handler(self))
        root.setLevel(logging.INFO)

    def begin(self, node: int, attempt: int) -> None:
        """What is written from now on is this call's."""
        self._call = (node, attempt)

    def end(self) -> None:
        """The current call is over: take what it has written, and put its streams back.

        Raises:
            OSError: It has closed or replaced one of the sockets.
        """
        out, err = self._streams
        if sys.stdout is not out or sys.stderr is not err:
            # What replaced them may still hold text that was meant for them.
            for replaced in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    replaced.flush()
            sys.stdout, sys.stderr = out, err
        sys.stdin = self._stdin
        try:
            out.flush()
            err.flush()
        except (OSError, ValueError):
            self._reopen()
        ready = self._poll.poll(0)
        if ready and (gone := {n for n, event in ready if event & _GONE and n in self._watched}):
            if gone.intersection(self._watched[3:]):
                raise OSError("the driver is gone, or a call has closed a socket of the worker")
            self._reopen()
        elif (now := time.monotonic()) >= self._look_at:
            # Looking costs as much as a short call does: so not after each of them.
            self._look_at = now + _LOOK_EVERY_S
            if self._stdin.closed or _identities(self._watched) != self._same_as:
                self._reopen()
        if ready or self._written:
            with self._lock:
                self._drain()
                for index in (0, 1):
                    if self._rest[index]:
                        self._add(index, self._rest[index], "")
                        self._rest[index] = b""
                self._written = 0

    def drain(self) -> bool:
        """Take what has arrived (from the control thread, while a call runs); whether it was much."""
        with self._lock:
            return self._drain() > _MUCH

    def log(self, text: str) -> None:
        """Take a log record."""
        with self._lock:
            if self._over(len(text)):
                return
            for line in text.splitlines() or [""]:
                self._add_text("log", line, "\n")

    def taken(self) -> list[LineTuple]:
        """The lines so far, once."""
        with self._lock:
            lines, self.lines = self.lines, []
        return lines

    def _drain(self) -> int:
        taken = 0
        for index, pipe in enumerate(self.pipes):
            while True:
                try:
                    data = os.read(pipe, 1 << 16)
                except BlockingIOError:
                    break
                if not data:
                    break
                taken += len(data)
                self._take(index, data)
        return taken

    def _take(self, index: int, data: bytes) -> None:
        if self._over(len(data)):
            self._rest[index] = b""
            return
        *lines, rest = (self._rest[index] + data).split(b"\n")
        for line in lines:
            self._add(index, line, "\n")
        while len(rest) > MAX_LINE:
            cut = _between_characters(rest, MAX_LINE)
            self._add(index, rest[:cut], "")
            rest = rest[cut:]
        self._rest[index] = rest

    def _add(self, index: int, line: bytes, end: str) -> None:
        self._add_text(_STREAMS[index], line.decode("utf-8", "backslashreplace"), end)

    def _add_text(self, stream: str, text: str, end: str) -> None:
        # Neither lone surrogates nor NUL can be stored as text.
        text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
        at = time.time_ns() // 1000
        for start in range(0, max(len(text), 1), MAX_LINE):
            piece = text[start : start + MAX_LINE]
            last = start + MAX_LINE >= len(text)
            self.lines.append((*self._call, at, stream, piece + (end if last else "")))

    def _over(self, size: int) -> bool:
        """Whether the current call has written too much; says so in a line, once."""
        before, self._written = self._written, self._written + size
        if self._written <= MAX_BYTES:
            return False
        if before <= MAX_BYTES:
            mark = f"[liteflow: output over {MAX_BYTES // 1024 // 1024} MiB is not kept]\n"
            self.lines.append((*self._call, time.time_ns() // 1000, "stderr", mark))
        return True

    def _reopen(self) -> None:
        """A task has closed or replaced the descriptors or the streams; the next one must find them."""
        if _identities(self._watched[3:]) != self._same_as[3:]:
            raise OSError("a call has put something else in the place of a socket of the worker")
        for number, spare in enumerate(self._spare):
            os.dup2(spare, number)
        self._streams = _open_streams()
        sys.stdout, sys.stderr = self._streams
        if self._stdin.closed:
            self._stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdin = self._stdin


def _identities(descriptors: tuple[int, ...]) -> list[tuple[int, int]]:
    """Which pipes (or files) descriptors stand for."""
    return [(found.st_dev, found.st_ino) for found in map(os.fstat, descriptors)]


def _open_streams() -> tuple[io.TextIOWrapper, ...]:
    return tuple(_open_stream(descriptor) for descriptor in (1, 2))


def _open_stream(descriptor: int) -> io.TextIOWrapper:
    raw = os.fdopen(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _between_characters(data: bytes, at: int) -> int:
    """Where to cut UTF-8 at `at` or a little before."""
    for cut in range(at, at - 4, -1):
        if data[cut] & 0xC0 != 0x80:
            return cut
    return at


class _Handler(logging.Handler):
    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._capture.log(self.format(record))
        except Exception:  # noqa: BLE001  as logging's own handlers do: a bad record fails no task
            self.handleError(record)
