"""The states of a task instance, and what a change of one brings about."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class State(IntEnum):
    """The state of a task instance; `.word` is how it is written everywhere.

    From SUCCEEDED on nothing more happens: comparisons below count on that order.
    """

    PENDING = 0
    READY = 1
    RUNNING = 2
    RETRYING = 3
    GROWN = 4
    SUCCEEDED = 5
    FAILED = 6
    CANCELLED = 7
    CACHED = 8
    SKIPPED = 9
    UPSTREAM_FAILED = 10

    @property
    def word(self) -> str:
        """The state as text, as in the database; what has grown is still running."""
        return "running" if self is State.GROWN else self.name.lower()


class When(IntEnum):
    """What a node waits for."""

    ALL = 0
    """All predecessors have a value; one that has none keeps it from ever running."""
    ANY = 1
    """All predecessors have ended, and at least one has a value."""
    ALWAYS = 2
    """All predecessors have ended."""


class Effects(NamedTuple):
    """What an event has brought about: nodes that can never run now, and nodes that are ready."""

    blocked: list[int]
    ready: list[int]


class IllegalEventError(Exception):
    """An event that cannot have happened: a bug of the caller."""

    def __init__(self, node: int, state: State, event: str) -> None:
        super().__init__(node, state, event)
        self.node, self.state, self.event = node, state, event

    def __str__(self) -> str:
        now = f"node {self.node} is {self.state.word}"
        return f"{now}, so it cannot {self.event}; this is a bug, please report it"
