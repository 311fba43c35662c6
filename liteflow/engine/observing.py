"""Whoever wants to see a run while it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from liteflow.executor.link import Parts
from liteflow.executor.payload import Payload


class Heard(NamedTuple):
    """A chunk, or an output: then `number` is -1, else it counts from 0.

    `name` is whose it is said to be; the key, if nothing is said.
    """

    key: str
    attempt: int
    number: int
    name: str
    payload: Payload | Parts


class Observer(Protocol):
    """Whoever wants to see a run while it goes on; called from the driver's thread, in batches."""

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """The run has begun, with these task instances."""
        ...

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """The run goes on: these results stay, and these calls run again: key -> why."""
        ...

    def grew(self, keys: Sequence[str]) -> None:
        """The run has these task instances too, from now on."""
        ...

    def changed(self, changes: Mapping[str, tuple[str, int]]) -> None:
        """Task instances are in new states: key -> (state, attempt)."""
        ...

    def lines(self, lines: list[tuple[str, str, str]]) -> None:
        """Attempts have written: (key, stream, text with its line end)."""
        ...

    def ended(self, state: str) -> None:
        """The run has ended."""
        ...


class Follower(Observer, Protocol):
    """An observer that wants to know all that tasks give."""

    def chunks(self, chunks: Sequence[Heard]) -> None:
        """Attempts have given chunks, in this order."""
        ...

    def outputs(self, outputs: Sequence[Heard]) -> None:
        """Task instances have given their values; each has given its last chunk before."""
        ...
