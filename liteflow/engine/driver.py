"""The loop that runs a plan: it asks the schedule, tells executors, writes the journal.

    schedule --ready--> lanes --calls--> executors --news--> schedule
                                            |
                                            +--rows--> recorder --many to a transaction--> journal

It decides little: what may run is the schedule's matter (pure), how an attempt runs the
executor's, when it is written down the recorder's.  Values pass through as bytes.  One thread,
one selector, and it never waits for the disk with nothing else to do.  With `durability="full"`
outcomes are committed before anything that needs them starts.
"""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Protocol

from attrs import frozen

from liteflow.engine.control import Stop
from liteflow.engine.lanes import ReadyLane
from liteflow.engine.plan import Plan
from liteflow.engine.recorder import Recorder
from liteflow.engine.schedule import Schedule, State
from liteflow.engine.values import Values
from liteflow.executor.base import NODE, Call, Executor, Failed, Finished, News, Work
from liteflow.executor.payload import Payload
from liteflow.signing import Seal
from liteflow.store.journal import Journal, Row

# Attempts that run longer than this are shown as running to whoever looks at the file.
_LONG_S = 1.0


class Observer(Protocol):
    """Whoever wants to see a run while it goes on; called from the driver's thread, in batches."""

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """The run has begun, with these task instances."""
        ...

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """The run goes on: these results stay, and these calls run again: key -> why."""
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


@frozen(kw_only=True)
class Standing:
    """What an earlier driver of the run has left.

    Attributes:
        kept: Nodes whose results are in the store and stay.
        attempts: How many attempts other nodes have had.
        load: Reads a kept node's payload from the store.
    """

    kept: frozenset[int] = frozenset()
    attempts: Mapping[int, int] = {}
    load: Callable[[int], Payload] | None = None


@frozen(kw_only=True)
class Opened:
    """A run that has begun, or goes on, in its journal; `seal` makes the checks of its values."""

    journal: Journal
    seal: Seal
    standing: Standing = Standing()


@frozen(kw_only=True)
class Ending:
    """How a run ended: its state, and of what its user may ask without reading the store.

    `stop` says why it ended early, if it did.
    """

    state: str
    stop: Stop | None
    first_failure: int | None
    failures: Mapping[int, Failed]
    payloads: Mapping[int, Payload]


class Driver:
    """Runs one plan, once.

    Args:
        plan: What to run.
        begin: Opens the journal and begins the run in it, or goes on with it; called when the
            plan has shown that it can be run, while the first worker comes up.
        make_executor: Gives the executor of a lane's name.
        fail_fast: Whether the first failure ends everything.
        full: Whether results are committed before what needs them starts.
        timeout: Seconds that all of it may take; None: as long as it takes.
        grace: Seconds that attempts have to end by themselves when the run is stopped.
        keep: Nodes whose values the user will ask for.
        observer: Is told what happens; None: nobody.
        echo: Gets what attempts write, where no observer does: (key, stream, text) each.
        epoch_ns: Gives the monotonic time that times in the store count from, once the run
            has begun.
    """

    def __init__(
        self,
        plan: Plan,
        begin: Callable[[], Opened],
        make_executor: Callable[[str, Work], Executor],
        *,
        fail_fast: bool,
        full: bool,
        timeout: float | None,
        grace: float,
        keep: frozenset[int],
        observer: Observer | None,
        echo: Callable[[list[tuple[str, str, str]]], None],
        epoch_ns: int,
    ) -> None:
        self._plan = plan
        self._begin_run = begin
        self._fail_fast = fail_fast
        self._full = full
        self._timeout = timeout
        self._ends_at: float | None = None
        self._grace = grace
        self._observer = observer
        self._tell_lines = echo if observer is None else observer.lines
        self._epoch_ns = epoch_ns
        self._values = Values(plan, keep, self._load, self._release)
        self._standing = Standing()
        # Attempts at nodes that have had some, and how many of them an earlier driver has made.
        self._attempts: dict[int, int] = {}
        self._retries: list[tuple[float, int]] = []
        self._failures: dict[int, Failed] = {}
        self._changes: dict[str, tuple[str, int]] = {}
        self._next_long = time.monotonic() + _LONG_S
        self._stops: deque[Stop] = deque()
        self._stop: Stop | None = None
        self._wake, self._waker = os.pipe()
        self._schedule = Schedule(plan.predecessors())
        heights = self._schedule.heights()
        self._lanes = [ReadyLane(heights, self._begin, self._behind) for _ in plan.lanes]
        work = Work(
            plan.functions,
            plan.function_bytes,
            plan.dag.definitions,
            self._values.payload_of,
            epoch_ns,
            lambda: (self._journal.base, self._seal.key),
        )
        self._executors = [make_executor(name, work) for name in plan.lanes]

    def stop(self, stop: Stop) -> None:
        """End the run before its end; from any thread, or a signal handler.

        What runs is asked to end, and forced after the grace; a second call forces it at once.
        """
        self._stops.append(stop)
        # A full pipe is full of wake-ups, and a closed one belonged to a run that has ended.
        with contextlib.suppress(OSError):
            os.write(self._waker, b"!")

    def run(self) -> Ending:
        """Run to the end.

        Raises:
            StoreError: The journal could not be written; what had been committed is there.
            BaseException: What interrupted the loop (Ctrl-C); all attempts have been ended, and
                what had finished is committed.
        """
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        try:
            with selectors.DefaultSelector() as selector:
                self._run(selector)
        finally:
            wake, waker, self._wake, self._waker = self._wake, self._waker, -1, -1
            os.close(wake)
            os.close(waker)
        return self._ending()

    def _run(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._wake, selectors.EVENT_READ, self._on_wake)
        try:
            for executor in self._executors:
                executor.watch(selector)
            if "process" in self._plan.lanes:
                self._plan.prepare("process")
            opened = self._begin_run()
            self._journal, self._seal, self._standing = opened.journal, opened.seal, opened.standing
            self._recorder = Recorder(self._journal)
            self._start()
            self._loop(selector)
            self._tell_changes()
        finally:
            try:
                for executor in self._executors:
                    executor.close()
            finally:
                if hasattr(self, "_recorder"):
                    self._recorder.commit()

    def _start(self) -> None:
        if self._timeout is not None:
            self._ends_at = time.monotonic() + self._timeout
        schedule, standing = self._schedule, self._standing
        self._attempts = {node: count + 1 for node, count in standing.attempts.items()}
        for node in sorted(standing.kept):
            schedule.take_over(node)
        self._values.ended(standing.kept)
        ready = [*schedule.start(), *schedule.nodes(State.READY)] if standing.kept else schedule.start()
        for node in dict.fromkeys(ready):
            self._lanes[self._plan.lane_of[node]].push(node)

    def _loop(self, selector: selectors.BaseSelector) -> None:
        while not self._schedule.over:
            if self._full:
                self._recorder.commit()
            if self._stop is None:
                for executor, lane in zip(self._executors, self._lanes, strict=True):
                    if lane:
                        executor.fill(lane)
            elif all(executor.idle for executor in self._executors):
                break
            for key, mask in selector.select(self._patience()):
                for news in key.data(mask):
                    self._learn(news)
            self._do_what_is_due(time.monotonic())
            if self._changes:
                self._tell_changes()
        for node in self._schedule.cancel_all():
            self._changes[self._plan.key(node)] = ("cancelled", 0)

    def _on_wake(self, _mask: int) -> list[News]:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 1024)
        return []

    def _obey(self, stop: Stop, now: float) -> None:
        """Begin to end, or end at once when it has begun already."""
        grace = self._grace if self._stop is None else 0.0
        if self._stop is None:
            self._stop = stop
        for executor in self._executors:
            for news in executor.cancel(now, grace):
                self._learn(news)

    def _do_what_is_due(self, now: float) -> None:
        while self._stops:
            self._obey(self._stops.popleft(), now)
        if self._ends_at is not None and now >= self._ends_at:
            self._ends_at = None
            if self._stop is None:
                self._obey(Stop("failed", f"the run took longer than its {self._timeout:g} s"), now)
        for executor in self._executors:
            due = executor.look_at()
            if due is not None and due <= now:
                for news in executor.look(now):
                    self._learn(news)
        while self._retries and self._retries[0][0] <= now:
            node = heappop(self._retries)[1]
            # Not ready yet, if the outcome of what it ran behind was lost with the worker.
            if self._schedule.state(node) is State.RETRYING and self._schedule.retry(node):
                self._lanes[self._plan.lane_of[node]].push(node)
        self._recorder.look(now)
        if now >= self._next_long:
            self._note_long(now)

    def _patience(self) -> float:
        """How long the loop may wait for news, in seconds."""
        times = [due for e in self._executors if (due := e.look_at()) is not None]
        if self._retries:
            times.append(self._retries[0][0])
        if self._ends_at is not None:
            times.append(self._ends_at)
        times += (self._recorder.due_at(), self._next_long)
        return max(0.0, min(times) - time.monotonic())

    # --- giving out ------------------------------------------------------------------------

    def _begin(self, node: int) -> Call:
        self._schedule.run(node)
        attempt = self._attempts.get(node, 1)
        if self._observer is not None:
            self._changes[self._plan.key(node)] = ("running", attempt)
        return self._plan.call(node, attempt)

    def _behind(self, call: Call) -> Call | None:
        if self._full:
            # Its input has to be on disk first.
            return None
        node = self._schedule.next_in_line(call.node)
        if node is None or self._plan.lane_of[node] != self._plan.lane_of[call.node]:
            return None
        self._schedule.run_behind(node)
        return self._plan.call(node, self._attempts.get(node, 1), call.node)

    def _load(self, node: int) -> Payload:
        assert self._standing.load is not None
        return self._standing.load(node)

    def _release(self, source: int) -> None:
        for executor in self._executors:
            executor.release(source)

    # --- what came of it -------------------------------------------------------------------

    def _learn(self, news: News) -> None:
        """Take in what a worker said."""
        for node in news.returned:
            if self._schedule.is_running(node) and self._schedule.give_back(node):
                self._lanes[self._plan.lane_of[node]].push(node)
        if news.finished:
            self._learn_finished(news.finished)
        for failed in news.failed:
            if self._is_current(failed.node, failed.attempt):
                self._learn_failed(failed, news.worker)
        if news.lines:
            self._learn_lines(news)

    def _learn_finished(self, finished: Sequence[Finished]) -> None:
        # The hot path: everything here is done once for each task instance.
        plan, values = self._plan, self._values
        succeed, lanes, lane_of = self._schedule.succeed, self._lanes, plan.lane_of
        rows: list[Row] = []
        ended: list[int] = []
        for done in finished:
            node = done[0] & NODE
            if not self._is_current(node, done[1]):
                continue
            row: Row = done
            payload = done[13]
            if not isinstance(payload, bytes):
                payload = values.settled(payload)
                row = self._recorder.row_of_large(done, payload)
            rows.append(row)
            ended.append(node)
            values.put(node, done[6], payload)
            for ready in succeed(node):
                lanes[lane_of[ready]].push(ready)
            if self._observer is not None:
                self._changes[plan.key(node)] = ("succeeded", done[1])
        values.ended(ended)
        self._journal.successes(rows)
        self._recorder.touch()

    def _learn_failed(self, failed: Failed, worker: str) -> None:
        node, schedule, journal = failed.node, self._schedule, self._journal
        row = journal.base + node
        how = (failed.attempt, failed.outcome, failed.started, failed.took, worker)
        mac = self._seal.exception(node, failed.attempt, failed.exception)
        journal.attempts([(row, *how, failed.error, failed.traceback, mac, failed.exception)])
        self._recorder.touch()
        key = self._plan.key(node)
        if self._stop is not None:
            # The run ends, whatever became of this attempt; a resume makes another.
            self._attempts[node] = failed.attempt + 1
            self._changes[key] = ("cancelled", failed.attempt)
            return
        policy = self._plan.policy(node)
        made = failed.attempt - self._standing.attempts.get(node, 0)
        if failed.retryable and made <= policy.retries:
            schedule.retry_later(node)
            self._attempts[node] = failed.attempt + 1
            delay = policy.delay_before(made + 1, random.random)
            heappush(self._retries, (time.monotonic() + delay, node))
            self._changes[key] = ("retrying", failed.attempt)
            return
        self._failures[node] = failed
        blocked = schedule.fail(node)
        self._changes[key] = ("failed", failed.attempt)
        times = (failed.attempt, failed.started, failed.took, worker, failed.error)
        rows: list[Row] = [(row, "failed", *times, *_NO_VALUE)]
        for other in blocked:
            why = f"{key} failed"
            rows.append((journal.base + other, "upstream_failed", 0, None, None, None, why, *_NO_VALUE))
            self._changes[self._plan.key(other)] = ("upstream_failed", 0)
        journal.outcomes(rows)
        self._values.ended((node, *blocked))
        if self._fail_fast:
            for other in schedule.cancel_all():
                self._changes[self._plan.key(other)] = ("cancelled", 0)

    def _learn_lines(self, news: News) -> None:
        base = self._journal.base
        self._journal.logs([(base + n, a, at, s, t.removesuffix("\n")) for n, a, at, s, t in news.lines])
        self._recorder.touch()
        if not news.shown:
            key = self._plan.key
            self._tell_lines([(key(n), stream, text) for n, _attempt, _at, stream, text in news.lines])

    def _is_current(self, node: int, attempt: int) -> bool:
        """Whether an outcome is the one we wait for, not a late word of an attempt written off."""
        return self._schedule.is_running(node) and self._attempts.get(node, 1) == attempt

    def _tell_changes(self) -> None:
        if self._observer is not None:
            self._observer.changed(self._changes)
        self._changes = {}

    def _note_long(self, now: float) -> None:
        """Let whoever looks at the file see what has been running for long."""
        self._next_long = now + _LONG_S
        before = (now - _LONG_S) * 1e6 - self._epoch_ns / 1e3
        long = [r for e in self._executors for r in e.running() if r[2] <= before]
        if long:
            self._journal.running([(self._journal.base + n, *rest) for n, *rest in long])
            self._recorder.touch()

    def _ending(self) -> Ending:
        stop = self._stop
        state = stop.state if stop is not None else "failed" if self._failures else "succeeded"
        return Ending(
            state=state,
            stop=stop,
            first_failure=next(iter(self._failures), None),
            failures=self._failures,
            payloads=self._values.kept(),
        )


_NO_VALUE = (None,) * 9
