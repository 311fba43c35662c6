"""How a run is found when a driver begins, and how it is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from liteflow.engine.stopping import Stop
from liteflow.executor.base import Failed
from liteflow.executor.payload import Payload
from liteflow.signing import Seal
from liteflow.store.journal import Journal

if TYPE_CHECKING:
    # Start-up: most runs are no resumes, and share nothing.
    from liteflow.engine.contexts import Entry
    from liteflow.engine.controlled import Replay
    from liteflow.engine.regrowth import Regrown
    from liteflow.engine.routes import Replayed


class Standing(NamedTuple):
    """What an earlier driver of the run has left.

    Attributes:
        kept: Nodes whose results are in the store and stay.
        regrown: What had grown and is there again, in order, and what is known of the values
            that are complete.
        lost: Nodes that had ended without a value and stay so: their states, and why.
        controls: The controllers that have been asked already, as they stand, by node.
        told: What is known of the values of their calls: (type, preview, size).
        attempts: How many attempts other nodes have had.
        load: Reads a kept node's payload from the store.
        replayed: How far it was, of a run whose tasks say what runs next.
    """

    kept: frozenset[int] = frozenset()
    regrown: Sequence[tuple[Regrown, tuple[str, str, int] | None]] = ()
    lost: Mapping[int, tuple[str, str]] = {}
    controls: Mapping[int, Replay] = {}
    told: Mapping[int, tuple[str, str, int]] = {}
    attempts: Mapping[int, int] = {}
    load: Callable[[int], Payload] | None = None
    replayed: Replayed | None = None


class Opened(NamedTuple):
    """A run that has begun, or goes on, in its journal.

    Attributes:
        seal: Makes the checks of its values.
        stored: Reads the value of a node from the store, which has it.
        context: What its tasks share, as it is.
    """

    journal: Journal
    seal: Seal
    stored: Callable[[int], Payload]
    context: Mapping[str, Entry] = {}
    standing: Standing = Standing()


class Ending(NamedTuple):
    """How a run ended: its state, and of what its user may ask without reading the store.

    `stop` says why it ended early, if it did; `kept` gives the payloads that are still here.
    `finals` are, of a run whose tasks say what runs next, the nodes of those that asked for nothing,
    by the names of the tasks.
    """

    state: str
    stop: Stop | None
    first_failure: int | None
    failures: Mapping[int, Failed]
    kept: Callable[[int], Payload | None]
    finals: Mapping[str, int] | None = None
