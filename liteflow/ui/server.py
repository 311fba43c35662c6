"""The edge: a socket on this machine, and for each connection one request, one answer, and its end.

    accept --at most 100--> head, at most 16 KB, within 10 s --gate--> answers --> body

What is read and written here belongs to strangers: nothing waits for them for ever, and nothing of
what they say gets further than the gate before that has let it.
"""

from __future__ import annotations

import io
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from attrs import evolve

from liteflow.ui.answers import Answer, answer
from liteflow.ui.gate import HEADERS, Door, Passed, Redirect, Refused, Request, judge
from liteflow.ui.pages.problem import refusal

MOST_CONNECTIONS: Final = 100
LONGEST_HEAD: Final = 16 * 1024
REQUEST_S: Final = 10.0
# How much of a body that nobody asked for is taken, so that its sender gets to read the answer.
_DRAINED = 64 * 1024


class _TooLongError(Exception):
    """The head of a request is longer than it may be."""


class _Head(io.RawIOBase):
    """What comes by a socket: so much of it, until then, and no more."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = LONGEST_HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            raise _TooLongError
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the request took too long")
    return left


class Dashboard(socketserver.ThreadingTCPServer):
    """A server of pages of a store.

    Args:
        address: Where to listen: an address of numbers, and a port; 0 for one that is free.
        store: The path of the store, from the root.
        door: Makes what opens, given the port.
        tell: Is told of an error that is a bug of ours.
        patience: For one request, from its connection to the end of its answer, in seconds.

    Raises:
        OSError: It can't listen there.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        store: str,
        door: Callable[[int], Door],
        tell: Callable[[Exception], object],
        patience: float = REQUEST_S,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.store, self.tell, self.patience = store, tell, patience
        self._free = threading.Semaphore(MOST_CONNECTIONS)
        self._turn = threading.Lock()
        super().__init__(address, _Handler)
        self.door = door(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread of its own, or end it: there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What the thread of a connection does."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of a bug; who has gone away, or was too slow, is no news for anybody."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.tell(error)

    def judged(self, request: Request) -> Refused | Redirect | Passed:
        """Ask the gate, which one request may pass with the ticket."""
        with self._turn:
            verdict = judge(self.door, request)
            if isinstance(verdict, Redirect) and verdict.ticket:
                self.door = evolve(self.door, ticket=None)
        return verdict


class _Handler(BaseHTTPRequestHandler):
    """One connection: `http.server` reads what was asked for, all else is ours."""

    server: Dashboard
    server_version, sys_version = "liteflow", ""
    # As long as nothing has been read.
    requestline, request_version, command = "", "HTTP/1.0", "GET"

    def setup(self) -> None:
        self.connection = self.request
        self._deadline = time.monotonic() + self.server.patience
        self.rfile = io.BufferedReader(_Head(self.connection, self._deadline))
        self.wfile = self._said = io.BytesIO()

    def handle(self) -> None:
        # One request, whatever is asked for: between requests nothing is kept.
        self.close_connection = True
        try:
            self.raw_requestline = self.rfile.readline(LONGEST_HEAD + 1)
            if not self.raw_requestline:
                return
            if self.parse_request():
                self._answer()
        except _TooLongError:
            self.send_error(431)
        except OSError:
            # They have gone away, or let us wait for too long; what there is to say is below.
            return

    def _answer(self) -> None:
        headers = tuple((name.lower(), value) for name, value in self.headers.items())
        verdict = self.server.judged(Request(self.command, self.path, headers))
        match verdict:
            case Refused(status, why, extra):
                self._put(Answer(status, refusal(status, why).encode(), headers=extra))
            case Redirect(extra, _, status):
                self._put(Answer(status, b"", headers=extra))
            case Passed():
                limit = _left(self._deadline)
                self._put(
                    answer(
                        self.server.store, verdict, now=time.time(), time_limit=limit, tell=self.server.tell
                    )
                )

    def _put(self, of: Answer) -> None:
        self.send_response(of.status)
        for name, value in {**HEADERS, **of.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", of.kind)
        self.send_header("Content-Length", str(len(of.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(of.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request of HTTP; the words of `http.server` are not for readers of pages."""
        self.command = self.command or "GET"
        self._put(Answer(int(code), refusal(int(code), "This is no request that can be answered.").encode()))

    def finish(self) -> None:
        try:
            self.connection.settimeout(_left(self._deadline))
            self.connection.sendall(self._said.getvalue())
            self.connection.shutdown(socket.SHUT_WR)
            self._drain()
        except OSError:
            # They have gone away.
            return

    def _drain(self) -> None:
        # What was sent and is not taken would make the system drop our answer.
        taken = 0
        while taken < _DRAINED:
            self.connection.settimeout(min(1.0, _left(self._deadline)))
            piece = self.connection.recv(_DRAINED)
            if not piece:
                return
            taken += len(piece)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an address may have a token in it."""
