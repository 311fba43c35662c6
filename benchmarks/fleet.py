"""Workers by the thousand, without a process for each: an executor that answers for all of them.

    driver --calls--> Fleet: 1,000 places, a call in each, and a clock of its own --outcomes--> driver

The driver, its schedule and its store are the real ones, and so is each attempt: its arguments are read, its
function is called, its value is encoded, previewed and sealed as in any worker.  Only the time that it takes
is made up.  So what is measured is what the driver can do, and a day of a thousand workers takes seconds.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from heapq import heappop, heappush

from liteflow.executor.base import Call, Finished, Lane, Limits, News, Work
from liteflow.executor.link import Reply
from liteflow.executor.local import Hearing, attempt_here


class Fleet:
    """Simulated workers, each with one call at a time; given as `executor=` to one run.

    Args:
        places: How many workers there are.
        lasts: The seconds, by the fleet's clock, that a call takes, by its number in the run.

    After the run, `made` attempts have been made, `most` of them at once, and `attempts_s` is the real time
    that they took, which is the workers' and not the driver's.  The clock shows `clock_s`, and by it all
    places together have been in use for `busy_s`.
    """

    name, remote = "fleet", True

    def __init__(self, places: int = 1_000, lasts: Callable[[int], float] = lambda _node: 0.0) -> None:
        self.places = places
        self.lasts = lasts
        self.made = self.most = 0
        self.attempts_s = self.clock_s = self.busy_s = 0.0

    def make(self, work: Work, _settings: Limits, /) -> FleetExecutor:
        """Make the executor of the run."""
        return FleetExecutor(work, self)


class FleetExecutor:
    """The executor of one run on a fleet.

    When the driver has taken in all that has come, the clock goes on to the next end.  Who ends then, tells
    of it in news of its own, as each worker does.
    """

    def __init__(self, work: Work, fleet: Fleet) -> None:
        self._work = work
        self._fleet = fleet
        # What is at work: when it ends, its number, when it began, and by whom.
        self._ends: list[tuple[float, int, float, str, Call]] = []
        self._free = [f"{fleet.name}-{number}" for number in range(fleet.places, 0, -1)]

    def watch(self, selector: selectors.BaseSelector) -> None:
        """There is nothing to watch: `look` has all news."""
        Hearing.start()

    def fill(self, lane: Lane) -> None:
        """Give a call to each worker that has none."""
        fleet, now = self._fleet, self._fleet.clock_s
        for call in lane.take(min(len(lane), len(self._free))):
            fleet.made += 1
            heappush(self._ends, (now + fleet.lasts(call.node), fleet.made, now, self._free.pop(), call))
        fleet.most = max(fleet.most, len(self._ends))

    def look_at(self) -> float | None:
        """At once: nobody waits for this clock."""
        return 0.0 if self._ends else None

    def look(self, now: float) -> list[News]:
        """Set the clock to the next end, and tell what ends then."""
        fleet, news = self._fleet, []
        if self._ends:
            fleet.clock_s = self._ends[0][0]
        began_s = time.perf_counter()
        while self._ends and self._ends[0][0] <= fleet.clock_s:
            _, _, began, worker, call = heappop(self._ends)
            self._free.append(worker)
            fleet.busy_s += fleet.clock_s - began
            news.append(self._ended(call, worker, began))
        fleet.attempts_s += time.perf_counter() - began_s
        return news

    def _ended(self, call: Call, worker: str, began: float) -> News:
        # As in another process: what it prints is not to be seen here, what it returns travels.
        outcome, lines = attempt_here(self._work, call, worker, (), quiet=True)
        took = self._fleet.clock_s - began
        if took:
            outcome = outcome._replace(started=round(began * 1e6), took=round(took * 1e6))
        if isinstance(outcome, Finished):
            return News(worker, [outcome], (), lines)
        return News(worker, (), [outcome], lines)

    def reply(self, node: int, number: int, reply: Reply) -> None:
        """Nobody asks: attempts here have no way to the driver."""

    def waits(self, node: int, waiting: bool) -> None:
        """Nobody asks, so nobody waits."""

    def resumes(self, node: int) -> bool:
        """All do."""
        return True

    def release(self, source: int) -> None:
        """Values are the driver's: nothing to let go of."""

    def running(self) -> list[tuple[int, int, int, str]]:
        """What is at work by the fleet's clock."""
        return [(c.node, c.attempt, round(began * 1e6), worker) for _, _, began, worker, c in self._ends]

    def cancel(self, now: float, grace: float) -> list[News]:
        """Give back all: what has no end yet has not been run."""
        given_back = [call.node for *_, call in self._ends]
        self._ends.clear()
        return [News(self._fleet.name, returned=given_back)]

    @property
    def full(self) -> bool:
        """Whether each worker has a call."""
        return not self._free

    @property
    def idle(self) -> bool:
        """Whether none has one."""
        return not self._ends

    def close(self) -> None:
        """Nothing of it runs but while the driver looks; put the streams back."""
        Hearing.stop()
