"""What the tasks of a run share, and who waits for what of it.  (Pure: bytes and numbers.)

put --> entries, each with a version that grows with every change
wait --> waiting --came--> those that may go on
                 --hopeless--> those for whom nothing can come any more
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

START: Final = 0
"""The version of a value that the run started from: the output of a task of that name takes its place."""


class Entry(NamedTuple):
    """A value as the store has it: `exact` is 0 or 1, the others as of an XCom."""

    version: int
    type: str
    codec: str
    size: int
    sha256: bytes
    preview: str
    exact: int
    code_python: int
    data: bytes


class Waiter(NamedTuple):
    """An attempt's question that has no answer yet: `number` tells its questions apart."""

    node: int
    attempt: int
    number: int


class Contexts:
    """The values by key, and the questions that wait.

    Args:
        entries: The values that there are from the start.

    >>> contexts = Contexts({})
    >>> entry = Entry(0, "int", "pickle", 1, b"", "7", 1, 0, b"x")
    >>> contexts.put("n", 0, entry).version, contexts.put("n", 0, entry)
    (1, None)
    """

    __slots__ = ("entries", "waiting")

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries: dict[str, Entry] = dict(entries)
        self.waiting: dict[Waiter, str] = {}

    def put(self, key: str, expected: int | None, entry: Entry) -> Entry | None:
        """Set a key if it has the expected version (0: nothing yet; None: any).

        Returns:
            The entry as it is now; None: it has another version.
        """
        known = self.entries.get(key)
        version = 0 if known is None else known.version
        if expected is not None and expected != version:
            return None
        entry = self.entries[key] = entry._replace(version=version + 1)
        return entry

    def wait(self, waiter: Waiter, key: str) -> None:
        """A question is not to be answered before there is something."""
        self.waiting[waiter] = key

    def came(self, key: str) -> list[Waiter]:
        """Something has become of this key: give those that waited for it, and do no more."""
        found = [waiter for waiter, wanted in self.waiting.items() if wanted == key]
        for waiter in found:
            del self.waiting[waiter]
        return found

    def ended(self, node: int, attempt: int) -> list[Waiter]:
        """An attempt has ended: give its questions, which need no answer."""
        found = [waiter for waiter in self.waiting if waiter[:2] == (node, attempt)]
        for waiter in found:
            del self.waiting[waiter]
        return found

    def hopeless(self, node_of: Callable[[str], int | None], able: Callable[[int], bool]) -> list[Waiter]:
        """All that runs waits: give those who are to hear that nothing comes, and wait no more.

        Those first who wait for nothing that another of them might give after that.

        Args:
            node_of: The task instance that has this key, if there is one.
            able: Whether the attempt at a node could go on.
        """
        nodes = {waiter.node for waiter in self.waiting}
        able_ones = [waiter for waiter in self.waiting if able(waiter.node)]
        first = [w for w in able_ones if node_of(self.waiting[w]) not in nodes] or able_ones
        for waiter in first:
            del self.waiting[waiter]
        return first
