"""Runs calls in threads of the driver's process: for waiting, and for what can't be pickled.

Threads can't be killed.  A call that is over its time is marked as timed out, and its thread
is left alone: a new one takes its place, and its late result is dropped.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from queue import SimpleQueue

from liteflow.executor.base import Call, Failed, Finished, Lane, Line, News, Work
from liteflow.executor.link import Reply
from liteflow.executor.local import Hearing, attempt_here
from liteflow.executor.talk import Talk


class _Thread:
    """One thread: what it is doing, and its own queue."""

    def __init__(self, executor: ThreadExecutor, number: int) -> None:
        self.name = f"thread-{number}"
        self.queue: SimpleQueue[Call | None] = SimpleQueue()
        self.call: Call | None = None
        self.started = 0.0
        self.abandoned = False
        # Whether it waits for the driver's answer, and another may run in its place.
        self.waiting = False
        # A daemon: a call that hangs must not keep the interpreter from ending.
        name = f"liteflow-{self.name}"
        threading.Thread(target=executor.serve, args=(self,), name=name, daemon=True).start()


class ThreadExecutor:
    """Calls run in up to `max_workers` threads, which are started when there is work for them."""

    def __init__(self, work: Work, max_workers: int) -> None:
        self._work = work
        self._max_workers = max_workers
        self._threads: list[_Thread] = []
        self._made = 0
        self._done: deque[tuple[_Thread, Finished | Failed, list[Line]]] = deque()
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
        while (call := thread.queue.get()) is not None:
            link = self._talk.link(call.node, call.attempt)
            outcome, lines = attempt_here(self._work, call, thread.name, (), link=link)
            self._done.append((thread, outcome, lines))
            self._call_driver()

    def _call_driver(self) -> None:
        # A full socket is full of wake-ups: then one more is not needed.
        with self._waking, contextlib.suppress(BlockingIOError):
            if self._open:
                self._waker.send(b"!")

    def fill(self, lane: Lane) -> None:
        """Give each idle thread a call."""
        while len(lane) and not self._cancelled:
            thread = next((t for t in self._threads if t.call is None), None)
            if sum(1 for t in self._threads if t.call and not t.waiting) >= self._max_workers:
                return
            if thread is None:
                self._made += 1
                thread = _Thread(self, self._made)
                self._threads.append(thread)
            (thread.call,) = lane.take(1)
            thread.started = time.monotonic()
            thread.queue.put(thread.call)

    def _on_wake(self, mask: int) -> list[News]:
        try:
            self._wake.recv(4096)
        except BlockingIOError:
            return []
        return self._learn()

    def _learn(self) -> list[News]:
        done = [self._done.popleft() for _ in range(len(self._done))]
        asks, chunks = self._talk.take()
        # What an attempt has said came before its outcome.
        news = [News("threads", asks=asks, chunks=chunks)] if asks or chunks else []
        for thread, outcome, lines in done:
            if thread.abandoned:
                continue
            thread.call, thread.waiting = None, False
            if isinstance(outcome, Finished):
                news.append(News(thread.name, [outcome], (), lines, shown=True))
            else:
                news.append(News(thread.name, (), [outcome], lines, shown=True))
        return news

    def look_at(self) -> float | None:
        """The next timeout."""
        times = [t.started + t.call.timeout for t in self._threads if t.call and t.call.timeout is not None]
        return min(times, default=None)

    def look(self, now: float) -> list[News]:
        """Abandon what is over its time."""
        news = []
        for thread in list(self._threads):
            call = thread.call
            if call is None or call.timeout is None or now < thread.started + call.timeout:
                continue
            news.append(self._abandon(thread, call, now, f"TimeoutError: ran for over {call.timeout:g} s"))
        return news

    def _abandon(self, thread: _Thread, call: Call, now: float, error: str) -> News:
        """Leave a thread to itself; what it still says is not heard."""
        thread.abandoned = True
        self._talk.leave(call.node, call.attempt)
        thread.queue.put(None)
        self._threads.remove(thread)
        started = round(thread.started * 1e6) - self._work.epoch_ns // 1000
        took = round((now - thread.started) * 1e6)
        outcome = "cancelled" if self._cancelled else "timed_out"
        retry_on = self._work.functions[call.function].retry_on
        retryable = not self._cancelled and (Exception in retry_on or TimeoutError in retry_on)
        text = f"{error}; its thread can't be ended and goes on in the background"
        failed = Failed(call.node, call.attempt, started, took, outcome, text, "", None, retryable)
        return News(thread.name, (), [failed])

    def reply(self, node: int, number: int, reply: Reply) -> None:
        """Answer a question of a thread."""
        self._talk.reply(number, reply)

    def waits(self, node: int, waiting: bool) -> None:
        """Let another thread run meanwhile."""
        for thread in self._threads:
            if thread.call is not None and thread.call.node == node:
                thread.waiting = waiting

    def resumes(self, node: int) -> bool:
        """All threads do."""
        return True

    def release(self, source: int) -> None:
        """Values are the driver's: nothing to let go of."""

    def running(self) -> list[tuple[int, int, int, str]]:
        """What runs now."""
        epoch = self._work.epoch_ns // 1000
        busy = [(t, t.call) for t in self._threads if t.call]
        return [(c.node, c.attempt, round(t.started * 1e6) - epoch, t.name) for t, c in busy]

    def cancel(self, now: float, grace: float) -> list[News]:
        """Abandon all threads that are at a call; a grace would end none of them sooner."""
        self._cancelled = True
        news = self._learn()
        for thread in list(self._threads):
            if thread.call is not None:
                news.append(self._abandon(thread, thread.call, now, "cancelled"))
        return news

    @property
    def full(self) -> bool:
        """Never: what waits gives its place to another."""
        return False

    @property
    def idle(self) -> bool:
        """Whether no thread that still counts is at a call."""
        return not any(thread.call for thread in self._threads)

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
