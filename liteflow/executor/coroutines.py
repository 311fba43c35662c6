"""Runs coroutine functions on one event loop, thousands at once: for what waits for others.

    driver's thread   fill, cancel ----calls----> loop's thread   a coroutine for each call
                      learn <---outcomes, a byte to wake---

The loop has a thread of its own: it goes on while the driver is at something else, and has nothing
to do with a loop that the program runs itself.

A call over its time is cancelled as asyncio does it: CancelledError is raised where it waits.  One
that does not end then is left to itself, as a thread would be.  A call that holds up the loop (it
computes, or waits without `await`) holds up all that run there; when it is over its time, calls that
have not begun go to a new loop.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextvars import Context
from heapq import heappop, heappush
from itertools import count

from liteflow.executor.attempt import streamed_on_loop
from liteflow.executor.base import Call, Failed, Finished, Lane, News, Work
from liteflow.executor.local import Attempt, Hearing
from liteflow.executor.talk import Talk, Talking
from liteflow.executor.wakeup import Wakeup

WORKER = "async"
# When all is over, what tasks have left running on the loop has so long to end.
_CLOSING_S = 1.0
# A loop that has begun nothing for so long, although it should, is held up.
_STUCK_S = 1.0


class _Given:
    """A call that was given to the loop: how far it is, and how it is to end.

    `task`, `begun` and `cancelling` are the loop's thread's to set, the rest is the driver's.
    """

    __slots__ = ("asked", "begun", "call", "cancelling", "given_at", "home", "task")

    def __init__(self, call: Call, home: _Loop, now: float) -> None:
        self.call = call
        self.home = home
        self.given_at = now
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        # The outcome that it is asked to end with, and whether its loop has heard of it.
        self.asked: str | None = None
        self.cancelling = False


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self, number: int) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon: a call that hangs must not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name=f"liteflow-async-{number}", daemon=True)
        self._thread.start()

    def begin(self, executor: AsyncExecutor, given: Iterable[_Given]) -> None:
        """Begin calls, soon."""
        self._loop.call_soon_threadsafe(self._begin, executor, given)

    def cancel(self, executor: AsyncExecutor, given: Iterable[_Given]) -> None:
        """Cancel calls, soon."""
        self._loop.call_soon_threadsafe(self._cancel, executor, given)

    def is_at(self, given: _Given) -> bool:
        """Whether it is at this call right now."""
        return given.task is not None and asyncio.current_task(self._loop) is given.task

    def close(self, seconds: float) -> None:
        """Cancel what is left and end; wait so long for it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(seconds)

    # --- in its thread ---------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while True:
            try:
                self._loop.run_forever()
                break
            except (KeyboardInterrupt, SystemExit):
                # Of a task that a task has made and not awaited: asyncio throws it at the loop too.
                continue
        left = asyncio.all_tasks(self._loop)
        for one in left:
            one.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=_CLOSING_S))
        # Whatever goes on in spite of it is known by now, as the outcome of its call.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _begin(self, executor: AsyncExecutor, given: Iterable[_Given]) -> None:
        with executor.moving:
            for one in given:
                if one.home is self:
                    # A context of its own and empty, as a thread's is.
                    one.task = self._loop.create_task(executor.attempt(one), context=Context())

    def _cancel(self, executor: AsyncExecutor, given: Iterable[_Given]) -> None:
        for one in given:
            one.cancelling = True
            if one.task is not None:
                one.task.cancel()
            if not one.begun:
                # A coroutine that is cancelled before its first step takes none.
                executor.tell(one, None)


class AsyncExecutor(Talking):
    """Up to `max_workers` coroutines at once, on a loop in a thread of the driver's process.

    Args:
        work: What the run's executors share.
        max_workers: How many calls run at a time.
        grace: Seconds that a call has to end in when it is cancelled; then it is left to itself.
    """

    def __init__(self, work: Work, max_workers: int, grace: float) -> None:
        self._work = work
        self._max_workers = max_workers
        self._grace = grace
        self._given: dict[int, _Given] = {}
        self._done: deque[tuple[_Given, Finished | Failed | None]] = deque()
        # When to look at which call; what has ended since is passed over.
        self._due: list[tuple[float, int, _Given]] = []
        self._order = count()
        self._wakeup = Wakeup()
        self._talk = Talk(self._wakeup.wake)
        self._loops = [_Loop(1)]
        # Held while calls begin, and while those that have not go to another loop.
        self.moving = threading.Lock()
        self._cancelled = False

    def watch(self, selector: selectors.BaseSelector) -> None:
        """The loop's thread wakes the driver when calls have ended."""
        self._wakeup.watch(selector, self._learn)
        Hearing.start()

    def fill(self, lane: Lane) -> None:
        """Give the loop all it may have."""
        room = self._max_workers - len(self._given)
        if self._cancelled or room <= 0:
            return
        now, home = time.monotonic(), self._loops[-1]
        batch = [_Given(call, home, now) for call in lane.take(room)]
        self._hand_over(batch, home, now)

    def _hand_over(self, batch: list[_Given], home: _Loop, now: float) -> None:
        for one in batch:
            self._given[one.call.node] = one
            if one.call.timeout is not None:
                self._look_again(one, now + one.call.timeout)
        home.begin(self, batch)

    # --- in the loop's thread --------------------------------------------------------------

    async def attempt(self, given: _Given) -> None:
        """Make the attempt, and tell what came of it."""
        given.begun = True
        one = Attempt(self._work, given.call, WORKER, tell=self._talk.write)
        link = self._talk.link(given.call.node, given.call.attempt, at_once=True)
        # The context is its own, and goes with it.
        one.listen()
        outcome: Finished | Failed
        try:
            value = one.begun(link)
            if one.function.streams:
                value = await streamed_on_loop(value, link)
            outcome = one.completed(await value if one.function.is_async else value)
        except BaseException as error:  # noqa: BLE001  whatever a task raises is its outcome
            outcome = one.raised(error)
        one.lines()
        self.tell(given, outcome)

    def tell(self, given: _Given, outcome: Finished | Failed | None) -> None:
        """A call has ended; without an outcome: it was not begun."""
        self._done.append((given, outcome))
        self._wakeup.wake()

    # --- in the driver's thread ------------------------------------------------------------

    def _learn(self) -> list[News]:
        finished: list[Finished] = []
        failed: list[Failed] = []
        returned: list[int] = []
        done = [self._done.popleft() for _ in range(len(self._done))]
        asks, chunks, lines = self._talk.take()
        for given, outcome in done:
            node = given.call.node
            if self._given.get(node) is not given:
                # It was left to itself before.
                continue
            del self._given[node]
            if outcome is None:
                returned.append(node)
            elif isinstance(outcome, Finished) and given.asked != "timed_out":
                finished.append(outcome)
            elif isinstance(outcome, Failed) and given.asked is None:
                failed.append(outcome)
            else:
                where = outcome.traceback if isinstance(outcome, Failed) else ""
                failed.append(self._ended(given, time.monotonic(), "", where))
        return [News(WORKER, finished, failed, lines, returned, shown=True, asks=asks, chunks=chunks)]

    def _ended(self, given: _Given, now: float, more: str, traceback: str = "") -> Failed:
        """How a call ended that was asked to."""
        call = given.call
        started = round(given.given_at * 1e6) - self._work.epoch_ns // 1000
        took = round((now - given.given_at) * 1e6)
        if given.asked == "cancelled":
            return Failed(
                call.node, call.attempt, started, took, "cancelled", f"cancelled{more}", "", None, False
            )
        retry_on = self._work.functions[call.function].retry_on
        retryable = Exception in retry_on or TimeoutError in retry_on
        text = f"TimeoutError: ran for over {call.timeout:g} s{more}"
        return Failed(call.node, call.attempt, started, took, "timed_out", text, traceback, None, retryable)

    def look_at(self) -> float | None:
        """The next timeout, or end of a grace, or when lines are taken."""
        due, lines_at = self._next_due(), self._talk.look_at()
        return due if lines_at is None else lines_at if due is None else min(due, lines_at)

    def _next_due(self) -> float | None:
        while self._due and self._given.get(self._due[0][2].call.node) is not self._due[0][2]:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def look(self, now: float) -> list[News]:
        """End what is over its time, and leave to itself what does not end."""
        # What has ended meanwhile has ended.
        news = self._learn()
        while (due := self._next_due()) is not None and due <= now:
            given = heappop(self._due)[2]
            if given.asked is not None:
                news.append(self._abandon(given, now))
            elif given.task is not None:
                given.asked = "timed_out"
                given.home.cancel(self, [given])
                self._look_again(given, now + self._grace)
            elif now < given.given_at + _STUCK_S:
                self._look_again(given, given.given_at + _STUCK_S)
            else:
                self._renew_loop(given.home, now)
        return news

    def _look_again(self, given: _Given, at: float) -> None:
        heappush(self._due, (at, next(self._order), given))

    def _abandon(self, given: _Given, now: float) -> News:
        """Leave a call to itself; what it still says is not heard."""
        del self._given[given.call.node]
        self._talk.leave(given.call.node, given.call.attempt)
        if given.cancelling:
            more = "; it does not end when it is cancelled, and goes on in the background"
        elif given.home.is_at(given):
            more = "; it holds up the event loop, for it does not await what it waits for"
        else:
            more = "; it can't be cancelled while another call holds up the event loop"
        if not given.cancelling and not self._cancelled:
            self._renew_loop(given.home, now)
        return News(WORKER, (), [self._ended(given, now, more)])

    def _renew_loop(self, stuck: _Loop, now: float) -> None:
        """A loop answers no more: what has not begun there begins on a new one."""
        if self._loops[-1] is stuck:
            self._loops.append(_Loop(len(self._loops) + 1))
        home = self._loops[-1]
        moved = []
        with self.moving:
            for one in list(self._given.values()):
                if one.home is stuck and one.task is None:
                    # Should the old one begin after all, it finds that these are another's.
                    one.home = home
                    moved.append(_Given(one.call, home, now))
        self._hand_over(moved, home, now)

    def waits(self, node: int, waiting: bool) -> None:
        """Others run as it is."""

    def running(self) -> list[tuple[int, int, int, str]]:
        """What runs now."""
        epoch = self._work.epoch_ns // 1000
        return [
            (one.call.node, one.call.attempt, round(one.given_at * 1e6) - epoch, WORKER)
            for one in self._given.values()
            if one.begun
        ]

    def cancel(self, now: float, grace: float) -> list[News]:
        """Cancel all that runs; after the grace what is left is left to itself."""
        self._cancelled = True
        news = self._learn()
        for one in list(self._given.values()):
            if one.asked is None:
                one.asked = "cancelled"
                one.home.cancel(self, [one])
            if grace <= 0:
                news.append(self._abandon(one, now))
            else:
                self._look_again(one, now + grace)
        return news

    @property
    def idle(self) -> bool:
        """Whether it has no call that is still to end."""
        return not self._given

    def close(self) -> None:
        """End the loops, with whatever tasks have left on them."""
        until = time.monotonic() + _CLOSING_S
        for loop in self._loops:
            loop.close(max(0.0, until - time.monotonic()))
        Hearing.stop()
        self._talk.close()
        self._wakeup.close()
