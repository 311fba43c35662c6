"""A run as a stream: chunks and outputs while it goes on.

    driver --Feed (an observer)--> Following --> StreamChunk, StreamChunk, ...
       |                               ^
       +--------> store ---------------+

Whoever reads slowly holds nothing up: with a store file the chunks are read from there, so only
what is not read yet of the outputs is held; without one (`db=None`) what is not read is held here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from liteflow.context import StreamChunk
from liteflow.engine.observing import Heard
from liteflow.executor.payload import Payload
from liteflow.handle import Handle
from liteflow.outcomes import WITH_VALUE
from liteflow.session import Echo
from liteflow.store.history import History
from liteflow.trust import TrustedValues

# What has been heard of is in the store some milliseconds later.
_COMMITTED_S = 0.003
# The run may end without a word: it could not begin.
_LOOK_S = 0.1
_BATCH = 500


class Feed:
    """An observer that keeps what a reader has not had yet.

    Args:
        kept: Whether the chunks are in a store from which they can be read.
    """

    follows = True

    def __init__(self, kept: bool) -> None:
        self.kept = kept
        self.news = threading.Condition()
        self.run_id: str | None = None
        # Chunks (without a store) and outputs, in their order; how many chunks each attempt has given.
        self.heard: deque[Heard] = deque()
        self.counts: dict[tuple[str, int], int] = {}
        self.total = 0
        self._echo = Echo()

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """The run has begun."""
        self.run_id = run_id

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """What is there already is not given again."""

    def grew(self, keys: Sequence[str]) -> None:
        """What grows is heard of when it gives something."""

    def changed(self, changes: Mapping[str, tuple[str, int]]) -> None:
        """States are for others."""

    def lines(self, lines: list[tuple[str, str, str]]) -> None:
        """What tasks print is printed, as without an observer."""
        self._echo(lines)

    def chunks(self, chunks: Sequence[Heard]) -> None:
        """Remember that there are chunks."""
        with self.news:
            for chunk in chunks:
                self.counts[chunk.key, chunk.attempt] = chunk.number + 1
            self.total += len(chunks)
            if not self.kept:
                self.heard.extend(chunks)
            self.news.notify_all()

    def outputs(self, outputs: Sequence[Heard]) -> None:
        """Remember what came of task instances."""
        with self.news:
            self.heard.extend(outputs)
            self.news.notify_all()

    def ended(self, state: str) -> None:
        """The run has ended."""
        with self.news:
            self.news.notify_all()


class Following(Iterator[StreamChunk]):
    """The chunks of a run that goes on, each task's output as its last one.

    When all have been given, a run that has failed raises its error.  A reader that stops before
    the end (`close`, the end of a `with`, or letting go of this) cancels the run.

    Attributes:
        handle: The run's.
    """

    def __init__(self, feed: Feed, handle: Handle[Any], db: Path | None, trust: bool) -> None:
        self.handle = handle
        self._feed = feed
        self._db = db
        self._trust = trust
        self._cursor = 0
        self._given: dict[tuple[str, int], int] = {}
        self._count = 0
        self._chunks = self._all()

    def __next__(self) -> StreamChunk:
        return next(self._chunks)

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_how: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more; a run that goes on is cancelled, and has ended when this returns."""
        self._chunks.close()
        if not self.handle.done:
            self.handle.cancel()
            self.handle.wait()

    def __del__(self) -> None:
        if not self.handle.done:
            self.handle.cancel()

    # --- how -------------------------------------------------------------------------------

    def _all(self) -> Generator[StreamChunk, None, None]:
        feed = self._feed
        while True:
            ended = self.handle.done
            with feed.news:
                ready = self._ready()
                behind = feed.kept and feed.total > self._count
                if not ready and not behind and not ended:
                    feed.news.wait(_LOOK_S)
                    continue
            yield from (StreamChunk(one.name, one.payload.value(), one.attempt) for one in ready)
            if behind:
                stored = self._stored()
                yield from (StreamChunk(name, payload.value(), attempt) for name, payload, attempt in stored)
                if not stored and not ended:
                    with feed.news:
                        feed.news.wait(_COMMITTED_S)
                    continue
            if ended and not ready and not behind:
                break
        run = self.handle.wait()
        if feed.run_id is None:
            # It had finished before.
            yield from run.chunks()
            yield from (
                StreamChunk(key, run.output(key)) for key, row in run.tasks.items() if row.state in WITH_VALUE
            )
        if run.failure is not None:
            raise run.failure

    def _ready(self) -> list[Heard]:
        """What can be given now: an output comes behind all chunks of its attempt."""
        feed = self._feed
        found: list[Heard] = []
        while feed.heard and len(found) < _BATCH:
            one = feed.heard[0]
            if feed.kept and feed.counts.get((one.key, one.attempt), 0) > self._given.get(
                (one.key, one.attempt), 0
            ):
                break
            found.append(feed.heard.popleft())
        return found

    def _stored(self) -> list[tuple[str, Payload, int]]:
        """The next chunks that the store has."""
        feed = self._feed
        assert self._db is not None
        assert feed.run_id is not None
        with History(self._db) as history:
            values = TrustedValues(history, history.find_run(feed.run_id), trust=self._trust)
            found, self._cursor = values.chunks(None, self._cursor)
        for row, _ in found:
            self._given[row.key, row.attempt] = row.number + 1
        self._count += len(found)
        return [(row.name or row.key, payload, row.attempt) for row, payload in found]
