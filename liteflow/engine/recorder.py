"""When is what happened written down?  A few milliseconds later, many rows to a transaction.

Rows are committed in the order in which they came, so that no result is in the store before
those it was made of.  A payload that is larger than a piece goes piece by piece, with the loop
going on between.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from liteflow.executor.base import Finished
from liteflow.executor.payload import Large
from liteflow.store.journal import Journal, Row

# Outcomes wait at most this long, and at most so many of them, for their transaction.
_COMMIT_S = 0.01
_COMMIT_ROWS = 1000
PIECE = 8 * 1024 * 1024
_MOST_PIECES = 4
# A driver that has nothing to write says this often that it is alive.
_BEAT_S = 2.0


class Recorder:
    """Decides when the journal commits.

    Args:
        journal: Of the run, which has begun.
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_next_beat", "_pieces", "_since", "journal")

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self.journal = journal
        self._clock = clock
        self._since: float | None = None
        self._next_beat = clock() + _BEAT_S
        self._pieces: deque[tuple[int, int, Large | bytes, int]] = deque()

    @property
    def is_behind(self) -> bool:
        """Whether large payloads wait to be written: no more of them should be made at will."""
        return len(self._pieces) > _MOST_PIECES

    def touch(self) -> None:
        """Rows have been put into the journal."""
        if self._since is None:
            self._since = self._clock()

    def due_at(self) -> float:
        """When `look` is to be called."""
        return self._next_beat if self._since is None else min(self._since + _COMMIT_S, self._next_beat)

    def look(self, now: float) -> None:
        """Commit if it is time."""
        if self._since is None:
            if now >= self._next_beat:
                self._next_beat = now + _BEAT_S
                self.journal.beat()
        elif now >= self._since + _COMMIT_S or self.journal.waiting >= _COMMIT_ROWS:
            self._next_beat = now + _BEAT_S
            self._commit_some()

    def commit(self) -> None:
        """Commit all, now."""
        while self._since is not None:
            self._commit_some()

    def row_of_large(self, done: Finished, payload: Large | bytes) -> Row:
        """The row of a large value; its payload lies beside it, in pieces, if one does not hold it."""
        size = done[7]
        if size <= PIECE:
            return (*done[:13], payload if isinstance(payload, bytes) else payload.read(0, size))
        for seq, start in enumerate(range(0, size, PIECE)):
            self._pieces.append((done[0], seq, payload, start))
        return (*done[:13], None)

    def _commit_some(self) -> None:
        """Commit; but first, a piece a time, the pieces of large payloads: a row comes after its pieces."""
        if self._pieces:
            row, seq, payload, start = self._pieces[0]
            part = slice(start, start + PIECE)
            piece = payload[part] if isinstance(payload, bytes) else payload.read(start, PIECE)
            self.journal.piece(row, seq, piece)
            self._pieces.popleft()
            return
        self.journal.commit()
        self._since = None
