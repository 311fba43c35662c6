"""Runs calls in threads of the driver's process: for waiting, and for what can't be pickled.

Threads can't be killed.  A call that is over its time is marked as timed out, and its thread
is left alone: a new one takes its place, and its late result is dropped.

Where calls are known to be short (pace.py), some lie ready behind the one that runs, and a thread wakes
the driver when there are few left: to wait for the driver's turn takes as long as a short call.  When one
takes longer than was expected, what is behind it is taken back.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from itertools import islice
from queue import SimpleQueue

from liteflow.executor.base import NODE, Call, Failed, Finished, Lane, News, Work
from liteflow.executor.local import Hearing, attempt_here
from liteflow.executor.process.pace import SILENT_AND_ALL_BUSY_S, SILENT_S, Pace
from liteflow.executor.talk import Talk, Talking

# A thread has about so much work lying ready, in seconds.
_READY_S = 0.01


class _Thread:
    """One thread: what it was given and has not ended, and its own queue.

    Attributes:
        calls: In their order; the first one runs, or is about to.
        current: What the thread itself says that it is at, and since when; the last one if it is idle.
        begun: How many calls it has begun, of those that it was `given`; those up to `recalled` it skips.
        heard: When it last said something, or began to have something to do.
        checked: The same, or when it was last looked after.
        waiting: Whether it waits for the driver's answer, and another may run in its place.
    """

    def __init__(self, executor: ThreadExecutor, number: int) -> None:
        self.name = f"thread-{number}"
        self.queue: SimpleQueue[tuple[int, Call] | None] = SimpleQueue()
        self.calls: deque[Call] = deque()
        self.current: tuple[Call, float] | None = None
        self.given = self.begun = self.recalled = 0
        self.heard = self.checked = 0.0
        self.waiting = False
        # Whoever has it says which calls have begun: a call is begun, or taken back.
        self.taking = threading.Lock()
        # A daemon: a call that hangs must not keep the interpreter from ending.
        name = f"liteflow-{self.name}"
        threading.Thread(target=executor.serve, args=(self,), name=name, daemon=True).start()

    def give(self, call: Call) -> None:
        """Let it run this too."""
        if not self.calls:
            self.heard = self.checked = time.monotonic()
        self.calls.append(call)
        self.given += 1
        self.queue.put((self.given, call))

    def begins(self, serial: int, call: Call) -> bool:
        """In the thread itself: whether the call is still its own, which begins now then."""
        with self.taking:
            if serial <= self.recalled:
                return False
            self.begun = serial
            self.current = call, time.monotonic()
            return True

    def take_back(self) -> list[Call]:
        """What has not begun, which never will here."""
        with self.taking:
            # The calls are the last that were given.
            kept = max(0, len(self.calls) - (self.given - max(self.begun, self.recalled)))
            self.recalled = self.given
        back = list(islice(self.calls, kept, None))
        self.calls = deque(islice(self.calls, kept))
        return back

    def at(self) -> tuple[Call, float] | None:
        """The call that runs, as far as is known, and since when; None: none."""
        current = self.current
        if current is not None and any(call is current[0] for call in self.calls):
            return current
        return (self.calls[0], self.heard) if self.calls else None

    def ended(self, node: int) -> Call | None:
        """The call whose outcome has come; None: nobody waits for that any more."""
        call = next((call for call in self.calls if call.node == node), None)
        if call is not None:
            self.calls.remove(call)
            self.heard = self.checked = time.monotonic()
            self.waiting = False
        return call


class ThreadExecutor(Talking):
    """Calls run in up to `max_workers` threads, which are started when there is work for them."""

    def __init__(self, work: Work, max_workers: int) -> None:
        self._work = work
        self._max_workers = max_workers
        self._threads: list[_Thread] = []
        self._made = 0
        # More than a message holds for a process: here it takes no message to have them back.
        self._pace = Pace(_READY_S)
        # Whether a thread has nothing to do.
        self._starved = False
        self._done: deque[tuple[_Thread, Finished | Failed]] = deque()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        # A thread that was left alone may come back when all is closed, and the number of
        # the descriptor is another file's by then.
        self._waking = threading.Lock()
        self._open = True
        self._cancelled = False
        self._talk = Talk(self._call_driver)

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Threads write a byte when they have done something."""
        selector.register(self._wake, selectors.EVENT_READ, self._on_wake)
        Hearing.start()

    def serve(self, thread: _Thread) -> None:
        """The loop of one thread."""
        while (given := thread.queue.get()) is not None:
            serial, call = given
            if not thread.begins(serial, call):
                # It was to tell of what has ended before it, and has been taken back.
                self._call_driver()
                continue
            link = self._talk.link(call.node, call.attempt)
            outcome, _ = attempt_here(self._work, call, thread.name, (), link=link, tell=self._talk.write)
            self._done.append((thread, outcome))
            # What is not told of now, the driver sees at the next look (`look_at`).
            if self._starved or thread.queue.qsize() <= 1:
                self._call_driver()

    def _call_driver(self) -> None:
        # A full socket is full of wake-ups: then one more is not needed.
        with self._waking, contextlib.suppress(BlockingIOError):
            if self._open:
                self._waker.send(b"!")

    def fill(self, lane: Lane) -> None:
        """Give each idle thread a call, and more to those that have short ones."""
        while len(lane) and not self._cancelled and self._places() > 0:
            self._idle_thread().give(*lane.take(1))
        now = time.monotonic()
        for thread in () if lane.alone else self._threads:
            # A fair share, so that the last calls are not all with one thread.
            room = min(self._room(thread, now), (len(lane) + 1) // (2 * len(self._threads)))
            if room > 0 and not self._cancelled:
                for call in lane.take(room):
                    thread.give(call)
        self._starved = not len(lane) and self._places() > 0

    def _places(self) -> int:
        """How many threads more may run something."""
        return self._max_workers - sum(1 for t in self._threads if t.calls and not t.waiting)

    def _idle_thread(self) -> _Thread:
        thread = next((t for t in self._threads if not t.calls), None)
        if thread is None:
            self._made += 1
            thread = _Thread(self, self._made)
            self._threads.append(thread)
        return thread

    def _room(self, thread: _Thread, now: float) -> int:
        """How many calls may wait behind the one that the thread is at, besides those that do."""
        if not thread.calls or thread.waiting or now - thread.heard > SILENT_S:
            return 0
        if not self._pace.may_wait_behind(call.function for call in thread.calls):
            return 0
        return 1 + self._pace.in_a_message(thread.calls[0].function) - len(thread.calls)

    def _on_wake(self, mask: int) -> list[News]:
        try:
            self._wake.recv(4096)
        except BlockingIOError:
            return []
        return self._learn()

    def _learn(self) -> list[News]:
        done = [self._done.popleft() for _ in range(len(self._done))]
        asks, chunks, lines = self._talk.take()
        # What an attempt has said came before its outcome.
        news = []
        if asks or chunks or lines:
            news.append(News("threads", lines=lines, shown=True, asks=asks, chunks=chunks))
        took: dict[int, list[int]] = {}
        told: dict[str, tuple[list[Finished], list[Failed]]] = {}
        for thread, outcome in done:
            call = thread.ended(outcome.row & NODE if isinstance(outcome, Finished) else outcome.node)
            if call is None:
                continue
            finished, failed = told.setdefault(thread.name, ([], []))
            if isinstance(outcome, Finished):
                took.setdefault(call.function, []).append(outcome.took)
                finished.append(outcome)
            else:
                failed.append(outcome)
        self._pace.learn(took)
        return [*news, *(News(name, *outcomes) for name, outcomes in told.items())]

    def look_at(self) -> float | None:
        """The next timeout, or when lines are taken, or what lies behind a call is taken back."""
        at = [thread.at() for thread in self._threads]
        times = [since + call.timeout for call, since in filter(None, at) if call.timeout is not None]
        times += [self._recalls_at(thread) for thread in self._threads if len(thread.calls) > 1]
        lines_at = self._talk.look_at()
        return min(times if lines_at is None else [*times, lines_at], default=None)

    def look(self, now: float) -> list[News]:
        """Abandon what is over its time; take back what is stuck behind a slow call."""
        news = self._learn()
        for thread in list(self._threads):
            at = thread.at()
            if at is not None and at[0].timeout is not None and now >= at[1] + at[0].timeout:
                news += self._abandon(thread, at, now, f"TimeoutError: ran for over {at[0].timeout:g} s")
            elif len(thread.calls) > 1 and now >= self._recalls_at(thread):
                thread.checked = now
                news.append(News(thread.name, returned=[call.node for call in thread.take_back()]))
        return news

    def _recalls_at(self, thread: _Thread) -> float:
        if thread.waiting:
            return thread.checked
        return thread.checked + (SILENT_S if self._starved else SILENT_AND_ALL_BUSY_S)

    def _abandon(self, thread: _Thread, at: tuple[Call, float], now: float, error: str) -> list[News]:
        """Leave a thread to itself; what it still says of the call that it is at is not heard."""
        back = thread.take_back()
        call, since = at
        if thread.at() not in (at, None):
            # It has come to its end just now, and the next one has begun.
            return [News(thread.name, returned=[one.node for one in back])]
        if call in thread.calls:
            thread.calls.remove(call)
        back = [one for one in back if one is not call]
        self._talk.leave(call.node, call.attempt)
        thread.queue.put(None)
        self._threads.remove(thread)
        started = round(since * 1e6) - self._work.epoch_ns // 1000
        took = round((now - since) * 1e6)
        outcome = "cancelled" if self._cancelled else "timed_out"
        function = self._work.functions[call.function]
        retry_on = function.retry_on
        retryable = not self._cancelled and (Exception in retry_on or TimeoutError in retry_on)
        # A command is killed where it was started, at the same time.
        ends = not self._cancelled and getattr(function.fn, "keeps_time", False) is True
        text = error if ends else f"{error}; its thread can't be ended and goes on in the background"
        failed = Failed(call.node, call.attempt, started, took, outcome, text, "", None, retryable)
        return [News(thread.name, (), [failed], returned=[one.node for one in back])]

    def waits(self, node: int, waiting: bool) -> None:
        """Let another thread run meanwhile."""
        for thread in self._threads:
            if any(call.node == node for call in thread.calls):
                thread.waiting = waiting

    def running(self) -> list[tuple[int, int, int, str]]:
        """What runs now."""
        epoch = self._work.epoch_ns // 1000
        busy = [(thread.name, at) for thread in self._threads if (at := thread.at()) is not None]
        return [(c.node, c.attempt, round(since * 1e6) - epoch, name) for name, (c, since) in busy]

    def cancel(self, now: float, grace: float) -> list[News]:
        """Abandon all threads that are at a call; a grace would end none of them sooner."""
        self._cancelled = True
        news = self._learn()
        for thread in list(self._threads):
            at = thread.at()
            if at is not None:
                news += self._abandon(thread, at, now, "cancelled")
        return news

    @property
    def idle(self) -> bool:
        """Whether no thread that still counts is at a call."""
        return not self._done and not any(thread.calls for thread in self._threads)

    def close(self) -> None:
        """Let the threads end; those in the middle of a call end after it."""
        for thread in self._threads:
            thread.queue.put(None)
        Hearing.stop()
        self._talk.close()
        with self._waking:
            self._open = False
            self._waker.close()
        self._wake.close()
