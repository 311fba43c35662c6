"""Answers what attempts ask about the run's context while they run.

    attempt --Ask--> Answers --Reply--> attempt
                        |
                        +--rows--> journal, in one order with the outcomes

A question that waits for what is still to come is answered when it has come, or can't any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from liteflow import xcom
from liteflow.engine.contexts import START, Contexts, Entry, Waiter
from liteflow.engine.states import State
from liteflow.executor.link import GET, OVER, PARTS, PUT, WAITED, Ask, Parts, Reply
from liteflow.executor.payload import Payload
from liteflow.signing import PYTHON, Seal
from liteflow.store.journal import Row

_NOTHING = (0, "", None)
_WITH_VALUE = (State.SUCCEEDED, State.CACHED)


class Nodes(Protocol):
    """The run's task instances."""

    def __len__(self) -> int: ...

    def key(self, node: int) -> str: ...


class Facts(Protocol):
    """What there is to know of the run."""

    def state(self, node: int) -> State: ...


class Answers:
    """The context of one run.

    Args:
        nodes: The task instances; they may become more.
        states: Their states.
        entries: The values that there are from the start.
        output: Gives the value of a node that has one.
        reply: Sends a reply: (node, number of the question, reply).
        waits: Says that an attempt waits, or that it waits no more: (node, whether).
        record: Writes down a value: (key, entry).
        waited: Since when a node waits, and what the event says that it has got: (node, name or None).
    """

    def __init__(
        self,
        nodes: Nodes,
        states: Facts,
        entries: Mapping[str, Entry],
        *,
        output: Callable[[int], Payload | Parts],
        reply: Callable[[int, int, Reply], None],
        waits: Callable[[int, bool], None],
        record: Callable[[str, Entry], None],
        waited: Callable[[int, str | None], Reply],
    ) -> None:
        self._nodes = nodes
        self._states = states
        self._contexts = Contexts(entries)
        self._output = output
        self._reply = reply
        self._waits = waits
        self._record = record
        self._waited = waited
        self._numbers: dict[str, int] = {}
        self._latest: dict[str, int] = {}

    def latest(self, name: str, node: int) -> None:
        """From here on, this name means the output of this node; all outputs are those that have one."""
        self._latest[name] = node

    @property
    def waiting(self) -> set[int]:
        """The nodes whose attempts wait."""
        return {waiter.node for waiter in self._contexts.waiting}

    def ask(self, ask: Ask) -> None:
        """Answer a question, now or later."""
        kind, *rest = ask.request
        if kind == GET:
            key, wait = rest
            reply = self._found(key, ask.node)
            if reply == _NOTHING and wait:
                self._contexts.wait(Waiter(*ask[:3]), key)
                self._waits(ask.node, True)
                return
            if type(reply) is str and not wait:
                reply = _NOTHING
        elif kind == PUT:
            reply = self._put(*rest)
        elif kind == WAITED:
            reply = self._waited(ask.node, *rest)
        else:
            reply = list(self._all())
        self._reply(ask.node, ask.number, reply)

    def look(self) -> None:
        """Answer those that waited for a task instance that has ended meanwhile."""
        for waiter, key in list(self._contexts.waiting.items()):
            reply = self._found(key, waiter.node)
            if reply != _NOTHING:
                self._contexts.waiting.pop(waiter)
                self._go_on([waiter], reply)

    def ended(self, node: int, attempt: int) -> None:
        """An attempt has ended: what it asked needs no answer."""
        self._go_on(self._contexts.ended(node, attempt), OVER)

    def give_up(self, able: Callable[[int], bool]) -> None:
        """All that runs waits: tell those for whom nothing can come.

        Args:
            able: Whether the attempt at a node could go on if it were told.
        """
        wanted = dict(self._contexts.waiting)
        for waiter in self._contexts.hopeless(self._number_of, able):
            key = wanted[waiter]
            node = self._number_of(key)
            if node is None:
                why = "nothing has that name, and all that could still set it has ended or waits as well"
            else:
                why = f"it waits for task instance {key}, which can't run or end while this one waits"
            self._go_on([waiter], why)

    def close(self) -> None:
        """The run is ending: whoever waits is told."""
        waiters = list(self._contexts.waiting)
        self._contexts.waiting.clear()
        self._go_on(waiters, OVER)

    # --- how -------------------------------------------------------------------------------

    def _go_on(self, waiters: Iterable[Waiter], reply: Reply) -> None:
        for waiter in waiters:
            self._waits(waiter.node, False)
            self._reply(waiter.node, waiter.number, reply)

    def _found(self, key: str, asker: int) -> Reply:
        """The value of a key; `_NOTHING` if there is none yet; a text if there will be none."""
        entry = self._contexts.entries.get(key)
        if entry is not None and entry.version > START:
            return entry.version, entry.codec, entry.data
        node = self._number_of(key)
        state = None if node is None else self._states.state(node)
        if node is not None and state in _WITH_VALUE:
            output = self._output(node)
            return (0, PARTS, output.data) if isinstance(output, Parts) else (0, *output)
        if entry is not None:
            return entry.version, entry.codec, entry.data
        if state is not None and state >= State.SUCCEEDED:
            return f"task instance {key} has no output: it is {state.word}"
        return "it is the output of the very call that asks for it" if node == asker else _NOTHING

    def _put(self, key: str, expected: int | None, facts: Sequence[Any], data: bytes) -> Reply:
        entry = self._contexts.put(key, expected, Entry._make((0, *facts, data)))
        if entry is None:
            known = self._contexts.entries.get(key)
            return _NOTHING if known is None else (known.version, known.codec, known.data)
        self._record(key, entry)
        self._go_on(self._contexts.came(key), (entry.version, entry.codec, entry.data))
        return entry.version, "", None

    def _all(self) -> Iterable[tuple[str, str, bytes]]:
        entries = self._contexts.entries
        named = self._latest or {self._nodes.key(node): node for node in range(len(self._nodes))}
        ended = {key: node for key, node in named.items() if self._states.state(node) in _WITH_VALUE}
        for key, entry in entries.items():
            if entry.version > START or key not in ended:
                ended.pop(key, None)
                yield key, entry.codec, entry.data
        for node_key, node in ended.items():
            output = self._output(node)
            codec, data = (PARTS, output.data) if isinstance(output, Parts) else output
            yield node_key, codec, data if isinstance(data, bytes) else data.read(0, data.size)

    def _number_of(self, key: str) -> int | None:
        for node in range(len(self._numbers), len(self._nodes)):
            self._numbers[self._nodes.key(node)] = node
        return self._latest.get(key, self._numbers.get(key))


def row_of(key: str, entry: Entry, seal: Seal) -> Row:
    """What the journal writes down of a value."""
    version, type_, codec, size, sha256, preview, exact, code_python, data = entry
    mac = seal.entry(key, version, codec, code_python, type_, size, sha256)
    return key, version, type_, codec, size, sha256, mac, preview, exact, code_python, data


def entry_of(value: object) -> Entry:
    """A value of this process, to start with.

    Raises:
        NotPicklableError: Which part can't be pickled, and why.
    """
    encoded = xcom.encode(value)
    type_, codec, size, sha256, preview, exact, by_value, parts = encoded
    data = b"".join(parts)
    return Entry(START, type_, codec, size, sha256, preview, int(exact), PYTHON if by_value else 0, data)
