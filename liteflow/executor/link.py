"""What an attempt says to its driver while it runs: questions about the context, and chunks.

    attempt --Ask--> driver --Reply--> attempt          one at a time, of each thread
    attempt --Chunk, Chunk, ...--> driver               as they come; nothing comes back

Questions and replies are plain tuples: they travel between processes without being unpickled.

    (GET, key, wait)                 -> (version, codec, data); (0, "", None) for nothing; a value
                                        that is made of others' has the codec PARTS
    (PUT, key, expected, facts, data) -> (version, "", None) if it was done, else as GET
    (ALL,)                           -> [(key, codec, data), ...]
    (WAITED, event or None)          -> (since, JSON or None): microseconds since 1970, what an event says
    any of them                      -> a text: why it can't be answered

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import marshal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, NamedTuple, NoReturn

from liteflow import xcom
from liteflow.executor.attempt import WireArgument, resolve
from liteflow.executor.payload import Large, Payload
from liteflow.signing import PYTHON

GET: Final = "get"
PUT: Final = "put"
ALL: Final = "all"
WAITED: Final = "waited"
PARTS: Final = "parts"

OVER: Final = "the attempt that asks has ended, or its run has"

Request = tuple[Any, ...]
Reply = Any
Data = bytes | Large | None

_NOTHING_ELSE: Final = (
    "it is not there yet, and nothing else runs while this thread waits; "
    "a coroutine waits by `await context.aget(key)`"
)

# Chunks lie together for at most so long, so many, so many bytes.
HOLD_NS: Final = 5_000_000
_MANY: Final = 200
_HEAVY: Final = 256 * 1024


class Ask(NamedTuple):
    """A question of an attempt; `number` tells those of one worker apart."""

    node: int
    attempt: int
    number: int
    request: Request


class Chunk(NamedTuple):
    """A chunk of an attempt; `number` counts the attempt's from 0, `exact` and what follows as in Finished.

    `at` is unix time in microseconds; `name` is whose chunk it is said to be, None: the task
    instance's own.
    """

    node: int
    attempt: int
    number: int
    at: int
    name: str | None
    type: str
    codec: str
    size: int
    sha256: bytes
    preview: str
    exact: int
    code_python: int
    payload: bytes


class Parts:
    """A value that is made of others' values.

    Args:
        data: A wire argument and the values of its sources, {source: (codec, bytes)}, as
            `marshal` has them.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @classmethod
    def of(cls, wire: WireArgument, sources: Mapping[int, Payload]) -> Parts:
        """From a wire argument and its sources."""
        values = {source: (codec, _bytes(data)) for source, (codec, data) in sources.items()}
        return cls(marshal.dumps((wire, values)))

    @property
    def data(self) -> bytes:
        """As it is sent."""
        return self._data

    def value(self) -> Any:
        """A fresh copy of the value, as of a Payload."""
        wire, values = marshal.loads(self._data)
        return resolve(wire, lambda source: Payload(*values[source]).value())


Found = Payload | Parts


class AttemptLink:
    """An attempt's way to its driver (see `context.Link`).

    Args:
        node: The number of the task instance.
        attempt: Which attempt, from 1.
        ask: Sends a question and gives its reply.
        send: Sends a chunk on its way; gives whether anybody hears it.
        loop: The thread in which nothing may wait, for others run there too; None: there is none.
    """

    __slots__ = ("_ask", "_attempt", "_loop", "_node", "_numbers", "_send")

    def __init__(
        self,
        node: int,
        attempt: int,
        ask: Callable[[Request], Reply],
        send: Callable[[Chunk], bool],
        loop: int | None = None,
    ) -> None:
        self._loop = loop
        self._node = node
        self._attempt = attempt
        self._ask = ask
        self._send = send
        self._numbers = count()

    def get(self, key: str, wait: bool) -> tuple[int, Found | None]:
        """Ask for a value."""
        if wait and threading.get_ident() == self._loop:
            found = _value(self._answer(key, (GET, key, False)))
            if found[1] is None:
                self._refuse(key, _NOTHING_ELSE)
            return found
        return _value(self._answer(key, (GET, key, wait)))

    def put(self, key: str, expected: int | None, encoded: xcom.Encoded) -> tuple[int, Found | None]:
        """Ask for a value to be set."""
        *facts, parts = _facts(encoded)
        return _value(self._answer(key, (PUT, key, expected, tuple(facts), parts)))

    def all(self) -> list[tuple[str, Found]]:
        """Ask for all values."""
        return [(key, _made(codec, data)) for key, codec, data in self._answer("(all)", (ALL,))]

    def waited(self, event: str | None) -> tuple[int, str | None]:
        """Ask since when the task instance waits, and for what the event says that it has got."""
        since, data = self._answer(event or "(wait)", (WAITED, event))
        return since, data

    def chunk(self, name: str | None, encoded: xcom.Encoded) -> None:
        """Send a chunk; an attempt that was left to itself is told so, or it would go on for ever."""
        at = time.time_ns() // 1000
        chunk = Chunk(self._node, self._attempt, next(self._numbers), at, name, *_facts(encoded))
        if not self._send(chunk):
            self._refuse(name or "(stream)", OVER)

    def _answer(self, key: str, request: Request) -> Reply:
        reply = self._ask(request)
        if type(reply) is str:
            self._refuse(key, reply)
        return reply

    def _refuse(self, key: str, why: str) -> NoReturn:
        # Lazy: attrs, which not every worker needs.
        from liteflow.errors import ContextError  # noqa: PLC0415

        raise ContextError(key, why)


class Gathering:
    """Chunks of one worker that have not been sent yet; for any thread of it.

    Args:
        clock: Monotonic nanoseconds.
    """

    __slots__ = ("_chunks", "_clock", "_sent_ns", "_weight")

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._chunks: deque[Chunk] = deque()
        self._clock = clock
        self._sent_ns = 0
        self._weight = 0

    def add(self, chunk: Chunk) -> bool:
        """Take a chunk; whether all that are here should leave now."""
        self._chunks.append(chunk)
        self._weight += chunk.size
        late = self._clock() - self._sent_ns > HOLD_NS
        return late or len(self._chunks) >= _MANY or self._weight >= _HEAVY

    def __len__(self) -> int:
        return len(self._chunks)

    def take(self) -> list[Chunk]:
        """All that are here, to be sent now."""
        taken = []
        while self._chunks:
            taken.append(self._chunks.popleft())
        if taken:
            self._weight = 0
            self._sent_ns = self._clock()
        return taken


def _facts(encoded: xcom.Encoded) -> tuple[str, str, int, bytes, str, int, int, bytes]:
    """A value as the store has it, without its keyed check: its bytes come last."""
    type_, codec, size, sha256, preview, exact, by_value, parts = encoded
    python = PYTHON if by_value else 0
    data = b"".join(parts)
    return type_, codec, size, sha256, preview, 1 if exact else 0, python, data


def _bytes(data: bytes | Large) -> bytes:
    return data if isinstance(data, bytes) else data.read(0, data.size)


def _made(codec: str, data: bytes | Large) -> Found:
    return Parts(_bytes(data)) if codec == PARTS else Payload(codec, data)


def _value(reply: Reply) -> tuple[int, Found | None]:
    version, codec, data = reply
    return version, (None if data is None else _made(codec, data))
