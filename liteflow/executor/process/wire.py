"""Frames between the driver and a worker.

    u64 length of the body in bytes, u8 kind, u8 descriptors | body      (little-endian)

A body is `marshal` of plain built-in types: the two ends are the same interpreter, and
marshal, unlike pickle, runs no code when it is read.  Descriptors of shared memory travel
beside the frame (SCM_RIGHTS).

    driver -> worker, data       SETUP  FUNCTION  DEFINITIONS  VALUE  CALLS  REPLY
    driver -> worker, control    RECALL
    worker -> driver, data       HELLO  NEWS  ASK
    worker -> driver, control    RETURNED
    driver -> supervisor         SPAWN  SIGNAL
    supervisor -> driver         SPAWNED  NOT_SPAWNED  EXITED
"""

from __future__ import annotations

import array
import errno
import marshal
import os
import socket
import struct
from collections import deque
from typing import Any, Protocol

SETUP, FUNCTION, DEFINITIONS, VALUE, CALLS, RECALL, HELLO, NEWS, RETURNED = range(1, 10)
SPAWN, SIGNAL, SPAWNED, NOT_SPAWNED, EXITED = range(10, 15)
ASK, REPLY = range(15, 17)

# Linux takes at most 253 descriptors a message (SCM_MAX_FD); macOS fewer.
MAX_DESCRIPTORS = 64

_HEAD = struct.Struct("<QBB")
# No body is longer; eight letters read as a length are.
_LONGEST = 1 << 40
_READ = 256 * 1024
_ANCILLARY = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)


class WireError(Exception):
    """The other end sent what can't be: the stream is lost, and the worker with it."""


def frame(kind: int, body: Any, descriptors: int = 0) -> bytes:
    """Return a frame as bytes; `descriptors` says how many travel beside it."""
    data = marshal.dumps(body)
    return _HEAD.pack(len(data), kind, descriptors) + data


class Reader:
    """Cuts what comes from a socket into frames."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()

    def receive(self) -> bool:
        """Read what is there (waits for it on a blocking socket); False at the end of the stream.

        Raises:
            BlockingIOError: Nothing is there, on a non-blocking socket.
            WireError: Descriptors came and this process may not open more.
        """
        try:
            data, ancillary, flags, _address = self._socket.recvmsg(
                _READ, _ANCILLARY, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except ConnectionError:
            return False
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if flags & socket.MSG_CTRUNC:
            raise WireError("too many open files: large values are held by descriptor; raise `ulimit -n`")
        self._buffer += data
        return bool(data)

    def frames(self) -> list[tuple[int, Any, list[int]]]:
        """The whole frames that have come: (kind, body, descriptors).

        Raises:
            WireError: What came is no frame.
        """
        found = []
        buffer, at = self._buffer, 0
        while len(buffer) - at >= _HEAD.size:
            length, kind, count = _HEAD.unpack_from(buffer, at)
            start = at + _HEAD.size
            # Descriptors come with the first byte of their frame.
            if not SETUP <= kind <= REPLY or length > _LONGEST or count > len(self._descriptors):
                raise WireError(f"frame of kind {kind}, {length} bytes and {count} descriptors")
            if len(buffer) - start < length:
                break
            with memoryview(buffer) as view, view[start : start + length] as data:
                body = _body(data)
            found.append((kind, body, [self._descriptors.popleft() for _ in range(count)]))
            at = start + length
        if at:
            del buffer[:at]
        return found

    def close(self) -> None:
        """Close descriptors that came and were never taken."""
        while self._descriptors:
            os.close(self._descriptors.popleft())


def _body(data: memoryview) -> Any:
    try:
        return marshal.loads(data)
    except (EOFError, ValueError, TypeError, MemoryError) as error:
        raise WireError(f"a frame's body can't be read: {error}") from error


class Descriptor(Protocol):
    """Something that holds a descriptor open for as long as it lives."""

    descriptor: int


class Writer:
    """Sends frames on a non-blocking socket, keeping what does not fit yet."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._waiting: deque[tuple[memoryview, tuple[Descriptor, ...]]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether something has not left yet: then ask to be told when the socket takes more."""
        return bool(self._waiting)

    def send(self, data: bytes, descriptors: tuple[Descriptor, ...] = ()) -> None:
        """Send, now or as soon as the socket takes it; what holds the descriptors is kept until then."""
        self._waiting.append((memoryview(data), descriptors))
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes now.  A dead other end is no error here: its death is told elsewhere."""
        while self._waiting:
            view, descriptors = self._waiting[0]
            try:
                if descriptors:
                    sent = socket.send_fds(self._socket, [view], [d.descriptor for d in descriptors])
                else:
                    sent = self._socket.send(view)
            except BlockingIOError:
                return
            except OSError as error:
                # Too many descriptors on their way: some have to be taken out first.
                if error.errno != errno.ETOOMANYREFS:
                    self._waiting.clear()
                return
            if sent == len(view):
                self._waiting.popleft()
            else:
                self._waiting[0] = (view[sent:], ())
