"""Runs calls in the driver's own thread, one at a time: for debugging, breakpoints work."""

from __future__ import annotations

import selectors
import time

from liteflow.executor.base import Finished, Lane, News, Work
from liteflow.executor.local import Hearing, attempt_here

# The driver is let through this often, to commit what was done.
_TURN_S = 0.005


class InlineExecutor:
    """Calls are run when they are given out; their timeouts can't be enforced."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._news: list[News] = []
        self._cancelled = False

    def watch(self, selector: selectors.BaseSelector) -> None:
        """There is nothing to watch: news is there when `fill` returns."""
        Hearing.start()

    def fill(self, lane: Lane) -> None:
        """Run calls, until the driver should have a turn."""
        until = time.monotonic() + _TURN_S
        while len(lane) and not self._cancelled and time.monotonic() < until:
            (call,) = lane.take(1)
            outcome, lines = attempt_here(self._work, call, "inline", KeyboardInterrupt)
            if isinstance(outcome, Finished):
                self._news.append(News("inline", [outcome], (), lines, shown=True))
            else:
                self._news.append(News("inline", (), [outcome], lines, shown=True))

    def look_at(self) -> float | None:
        """At once, if something was run."""
        return 0.0 if self._news else None

    def look(self, now: float) -> list[News]:
        """What was run since."""
        news, self._news = self._news, []
        return news

    def release(self, source: int) -> None:
        """Values are the driver's: nothing to let go of."""

    def running(self) -> list[tuple[int, int, int, str]]:
        """Nothing runs while somebody asks."""
        return []

    def cancel(self, now: float, grace: float) -> list[News]:
        """Run no more; what was run is news."""
        self._cancelled = True
        return self.look(now)

    @property
    def idle(self) -> bool:
        """Whether all that was run has been told."""
        return not self._news

    def close(self) -> None:
        """Put the streams back."""
        Hearing.stop()
