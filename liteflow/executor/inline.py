"""Runs calls in the driver's own thread, one at a time: for debugging, breakpoints work.

Nobody is there to end a call that is over its time.  It runs to its end, and counts as timed out
then: what it returned is not used, so that a flow comes to the same as with other executors.

A call that waits for a value of the context runs others meanwhile, on top of itself.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections import deque
from functools import partial
from itertools import count

from liteflow.executor.base import Call, Failed, Finished, Lane, Line, News, Work
from liteflow.executor.link import Ask, AttemptLink, Chunk, Reply, Request
from liteflow.executor.local import Hearing, attempt_here, unheard

# The driver is let through this often, to commit what was done.
_TURN_S = 0.005
# Calls that wait lie on each other, and Python's stack has an end.
_DEEPEST = 30


class InlineExecutor:
    """Calls are run when they are given out; their timeouts are looked at afterwards."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._news: list[News] = []
        self._cancelled = False
        # The calls that are running; all but the last wait.
        self._stack: list[int] = []
        self._numbers = count()
        self._replies: dict[int, Reply] = {}
        # What calls have printed, and nobody has been told of.
        self._printed: deque[Line] = deque()
        self._thread = threading.get_ident()
        # Threads that a task starts may ask too, and the driver can be at one thing only.
        self._turning = threading.RLock()

    def watch(self, selector: selectors.BaseSelector) -> None:
        """There is nothing to watch: news is there when `fill` returns."""
        Hearing.start()

    def fill(self, lane: Lane) -> None:
        """Run calls, until the driver should have a turn."""
        until = time.monotonic() + _TURN_S
        while len(lane) and not self._cancelled and time.monotonic() < until:
            (call,) = lane.take(1)
            self._stack.append(call.node)
            link = AttemptLink(
                call.node, call.attempt, partial(self._ask, call.node, call.attempt), self._send
            )
            outcome, _ = attempt_here(
                self._work, call, "inline", KeyboardInterrupt, link=link, tell=self._tell
            )
            self._stack.pop()
            lines = self._untold()
            if isinstance(outcome, Finished) and call.timeout is not None:
                outcome = self._in_time(call, call.timeout, outcome)
            if isinstance(outcome, Finished):
                self._news.append(News("inline", [outcome], (), lines, shown=True))
            else:
                self._news.append(News("inline", (), [outcome], lines, shown=True))

    def _ask(self, node: int, attempt: int, request: Request) -> Reply:
        number = next(self._numbers)
        # What has run before this call comes first: it may be what is asked for.
        for news in self.look(time.monotonic()):
            self._turn(news)
        self._turn(News("inline", asks=[Ask(node, attempt, number, request)]))
        while number not in self._replies:
            if len(self._stack) >= _DEEPEST:
                return f"inline, {_DEEPEST} calls can't wait inside each other; use another executor"
            self._turn(None)
        return self._replies.pop(number)

    def _send(self, chunk: Chunk) -> bool:
        self._turn(News("inline", chunks=[chunk]))
        # A run that ends wants to hear no more: one that streams without end would go on for ever.
        return not self._cancelled

    def _tell(self, line: Line) -> None:
        self._printed.append(line)
        # What other threads print waits for the next line, or the end: the driver may be at something else.
        if threading.get_ident() == self._thread and self._turning.acquire(blocking=False):
            try:
                self._turn(News("inline", lines=self._untold(), shown=True))
            finally:
                self._turning.release()

    def _untold(self) -> list[Line]:
        return [self._printed.popleft() for _ in range(len(self._printed))]

    def _turn(self, news: News | None) -> None:
        # What the driver itself prints meanwhile is not the call's.
        with self._turning, unheard():
            self._work.turn(news)

    def _in_time(self, call: Call, timeout: float, finished: Finished) -> Finished | Failed:
        if finished.took <= timeout * 1e6:
            return finished
        retry_on = self._work.functions[call.function].retry_on
        error = f"TimeoutError: ran for over {timeout:g} s; inline nothing ends it; its result is not used"
        times = call.node, call.attempt, finished.started, finished.took
        retryable = Exception in retry_on or TimeoutError in retry_on
        return Failed(*times, "timed_out", error, "", None, retryable)

    def look_at(self) -> float | None:
        """At once, if something was run."""
        return 0.0 if self._news else None

    def look(self, now: float) -> list[News]:
        """What was run since."""
        news, self._news = self._news, []
        return news

    def reply(self, node: int, number: int, reply: Reply) -> None:
        """Answer a question: who asked looks for it."""
        self._replies[number] = reply

    def waits(self, node: int, waiting: bool) -> None:
        """Others run in its place as it is."""

    def resumes(self, node: int) -> bool:
        """All but those that lie under another."""
        return node not in self._stack[:-1]

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
    def full(self) -> bool:
        """Never: what waits gives its place to another."""
        return False

    @property
    def idle(self) -> bool:
        """Whether all that was run has been told."""
        return not self._news

    def close(self) -> None:
        """Put the streams back."""
        Hearing.stop()
