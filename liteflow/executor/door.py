"""How attempts in processes of somebody else's pool talk to their driver: over a connection of their own.

    attempt --question, chunk--> Door --Talk--> driver
            <---reply, heard?----

There is a door only where a task takes a Context or gives chunks.  What passes through it is plain data, as
`marshal` has it, so nothing is unpickled here; and only who has the door's key gets in (the challenge of
Python's own `multiprocessing.connection`).
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from liteflow.executor.link import AttemptLink, Chunk, Reply, Request
from liteflow.executor.payload import Large
from liteflow.executor.talk import Talk

_ASK: Final = "ask"
_CHUNK: Final = "chunk"
# A door that is to be closed looks so often, in seconds, where closing its socket wakes nobody.
_LOOK_S = 0.5


# The doors of this process, by their keys.
_doors: WeakValueDictionary[bytes, Door] = WeakValueDictionary()


class Address(NamedTuple):
    """Where a door is; `driver` is the process and the thread that must not wait before it: it opens it."""

    host: str
    port: int
    key: bytes
    driver: tuple[int, int]


class Door:
    """The driver's side, in threads of its own.

    Args:
        talk: What says it to the driver.
        hear: Lets the driver take what has been said, in its own thread.
        host: The address of this machine by which the pool's workers reach it.

    Raises:
        OSError: It is no address of this machine.
    """

    def __init__(self, talk: Talk, hear: Callable[[], None], host: str) -> None:
        self._talk = talk
        self._hear = hear
        self._open = True
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._server = socket.create_server((host, 0))
        self._server.settimeout(_LOOK_S)
        ours = os.getpid(), threading.get_ident()
        self.address = Address(host, self._server.getsockname()[1], os.urandom(32), ours)
        _doors[self.address.key] = self
        threading.Thread(target=self._admit, name="liteflow-door", daemon=True).start()

    def link_here(self, node: int, attempt: int) -> AttemptLink:
        """The way of an attempt that the pool runs in the driver's own thread: not through the door."""
        return self._talk.here(node, attempt, self._hear)

    def close(self) -> None:
        """Nobody comes in any more, and who is in leaves."""
        with self._lock:
            self._open = False
            for connection in self._connections:
                # Who reads from it must be woken, and closes it.
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as wire:
                    wire.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def _admit(self) -> None:
        with self._server:
            while self._open:
                try:
                    wire, _ = self._server.accept()
                except OSError:
                    continue
                wire.setblocking(True)
                connection = Connection(wire.detach())
                name = "liteflow-attempt"
                threading.Thread(target=self._serve, args=(connection,), name=name, daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        """Answer one attempt until it hangs up; what breaks off has hung up."""
        with self._lock:
            # Also while it has not shown yet that it has the key: a stranger may never do.
            self._connections.add(connection)
            admitted = self._open
        try:
            with connection, contextlib.suppress(OSError, EOFError, AuthenticationError):
                if not admitted:
                    return
                deliver_challenge(connection, self.address.key)
                answer_challenge(connection, self.address.key)
                while True:
                    connection.send_bytes(marshal.dumps(self._answer(connection.recv_bytes())))
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answer(self, message: bytes) -> Reply:
        kind, *body = marshal.loads(message)
        if kind == _CHUNK:
            return self._talk.send(Chunk._make(body[0]))
        reply = self._talk.ask(*body)
        if type(reply) is tuple and isinstance(reply[-1], Large):
            version, codec, large = reply
            return version, codec, large.read(0, large.size)
        return reply


class Visit:
    """The side of one attempt; any thread of it may talk, each over a connection of its own.

    Args:
        address: The door's.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._own = threading.local()
        self._lock = threading.Lock()
        self._connections: list[Connection] = []

    def link(self, node: int, attempt: int) -> AttemptLink:
        """The way of an attempt."""
        if self._address.driver == (os.getpid(), threading.get_ident()):
            return _doors[self._address.key].link_here(node, attempt)
        return AttemptLink(node, attempt, partial(self._ask, node, attempt), self._send)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            for connection in self._connections:
                connection.close()

    def _ask(self, node: int, attempt: int, request: Request) -> Reply:
        try:
            return self._said((_ASK, node, attempt, request))
        except (OSError, EOFError, AuthenticationError) as error:
            host, port = self._address[:2]
            return f"the driver can't be reached at {host}:{port} ({type(error).__name__}: {error})"

    def _send(self, chunk: Chunk) -> bool:
        try:
            return bool(self._said((_CHUNK, tuple(chunk))))
        except (OSError, EOFError, AuthenticationError):
            return False

    def _said(self, message: tuple[Any, ...]) -> Reply:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connected()
        connection.send_bytes(marshal.dumps(message))
        return marshal.loads(connection.recv_bytes())

    def _connected(self) -> Connection:
        host, port, key, _ = self._address
        wire = socket.create_connection((host, port))
        # A question waits for its answer: none is to wait for more to come.
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(wire.detach())
        with self._lock:
            self._connections.append(connection)
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
        return connection
