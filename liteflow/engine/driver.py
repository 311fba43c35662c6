"""The loop that runs a plan: it asks the schedule, tells executors, writes the journal.

    schedule --ready--> lanes --calls--> executors --news--> schedule
                                            |
                                            +--rows--> journal (many to a transaction)

It decides little: what may run is the schedule's matter (pure), how an attempt runs the
executor's.  Values pass through as bytes.  One thread, one selector, and it never waits for
the disk with nothing else to do: outcomes are committed a few milliseconds after they came,
in the order in which they came, so that no result is in the store before those it was made
of.  With `durability="full"` they are committed before anything that needs them starts.
"""

from __future__ import annotations

import random
import selectors
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Protocol
from weakref import ref

from attrs import frozen

from liteflow.engine.lanes import ReadyLane
from liteflow.engine.plan import Plan
from liteflow.engine.schedule import Schedule, State
from liteflow.executor.base import NODE, Call, Executor, Failed, Finished, News, Work
from liteflow.executor.payload import Large, Payload
from liteflow.store.journal import Journal, Row

# Outcomes wait at most this long, and at most so many of them, for their transaction.
_COMMIT_S = 0.005
_COMMIT_ROWS = 1000
# A payload larger than a piece is written piece by piece, with the loop going on between.
PIECE = 8 * 1024 * 1024
# So many large payloads are held as shared memory, with a descriptor each.
_MOST_HELD = 64
# Attempts that run longer than this are shown as running to whoever looks at the file.
_LONG_S = 1.0


class Observer(Protocol):
    """Whoever wants to see a run while it goes on; called from the driver's thread, in batches."""

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """The run has begun, with these task instances."""
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
class Ending:
    """How a run ended: its state, and of what its user may ask without reading the store."""

    state: str
    first_failure: int | None
    failures: Mapping[int, Failed]
    payloads: Mapping[int, Payload]


class Driver:
    """Runs one plan, once.

    Args:
        plan: What to run.
        begin: Opens the journal and begins the run in it; called when the plan has shown that
            it can be run, while the first worker comes up.
        make_executor: Gives the executor of a lane's name.
        fail_fast: Whether the first failure ends everything.
        full: Whether results are committed before what needs them starts.
        keep: Nodes whose values the user will ask for.
        observer: Is told what happens; None: nobody.
        echo: Gets what attempts write, where no observer does: (key, stream, text) each.
        epoch_ns: Monotonic time at which the run started.
    """

    def __init__(
        self,
        plan: Plan,
        begin: Callable[[], Journal],
        make_executor: Callable[[str, Work], Executor],
        *,
        fail_fast: bool,
        full: bool,
        keep: frozenset[int],
        observer: Observer | None,
        echo: Callable[[list[tuple[str, str, str]]], None],
        epoch_ns: int,
    ) -> None:
        self._plan = plan
        self._open_journal = begin
        self._fail_fast = fail_fast
        self._full = full
        self._keep = keep
        self._observer = observer
        self._tell_lines = echo if observer is None else observer.lines
        self._epoch_ns = epoch_ns
        self._payloads: dict[int, bytes | Payload] = {}
        self._uses = plan.uses
        self._attempts: dict[int, int] = {}
        self._retries: list[tuple[float, int]] = []
        self._failures: dict[int, Failed] = {}
        self._changes: dict[str, tuple[str, int]] = {}
        self._rows_since: float | None = None
        self._pieces: deque[tuple[int, int, Large | bytes, int]] = deque()
        self._held: list[ref[Large]] = []
        self._next_long = time.monotonic() + _LONG_S
        self._schedule = Schedule(plan.predecessors())
        heights = self._schedule.heights()
        self._lanes = [ReadyLane(heights, self._begin, self._behind) for _ in plan.lanes]
        work = Work(
            plan.functions,
            plan.function_bytes,
            plan.dag.definitions,
            self._payload_of,
            epoch_ns,
            lambda: self._journal.base,
        )
        self._executors = [make_executor(name, work) for name in plan.lanes]

    def run(self) -> Ending:
        """Run to the end.

        Raises:
            StoreError: The journal could not be written; what had been committed is there.
            BaseException: What interrupted the loop (Ctrl-C); all attempts have been ended, and
                what had finished is committed.
        """
        with selectors.DefaultSelector() as selector:
            try:
                for executor in self._executors:
                    executor.watch(selector)
                if "process" in self._plan.lanes:
                    self._plan.prepare("process")
                self._journal = self._open_journal()
                for node in self._schedule.start():
                    self._lanes[self._plan.lane_of[node]].push(node)
                self._loop(selector)
                self._tell_changes()
            finally:
                for executor in self._executors:
                    executor.close()
                self._commit_all()
        return self._ending()

    def _loop(self, selector: selectors.BaseSelector) -> None:
        while not self._schedule.over:
            if self._full:
                self._commit_all()
            for executor, lane in zip(self._executors, self._lanes, strict=True):
                if lane:
                    executor.fill(lane)
            for key, mask in selector.select(self._patience()):
                for news in key.data(mask):
                    self._learn(news)
            self._do_what_is_due(time.monotonic())
            if self._changes:
                self._tell_changes()

    def _do_what_is_due(self, now: float) -> None:
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
        if self._rows_since is not None and (
            now >= self._rows_since + _COMMIT_S or self._journal.waiting >= _COMMIT_ROWS
        ):
            self._commit_some()
        if now >= self._next_long:
            self._note_long(now)

    def _patience(self) -> float | None:
        """How long the loop may wait for news, in seconds."""
        times = [due for e in self._executors if (due := e.look_at()) is not None]
        if self._retries:
            times.append(self._retries[0][0])
        if self._rows_since is not None:
            times.append(self._rows_since + _COMMIT_S)
        times.append(self._next_long)
        return max(0.0, min(times) - time.monotonic())

    # --- giving out ------------------------------------------------------------------------

    def _begin(self, node: int) -> Call:
        self._schedule.run(node)
        attempt = self._attempts.get(node, 1)
        if self._observer is not None:
            self._changes[self._plan.dag.nodes[node].key] = ("running", attempt)
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

    def _payload_of(self, source: int) -> Payload:
        payload = self._payloads.get(source)
        if isinstance(payload, bytes):
            return Payload("pickle", payload)
        if payload is None:
            # A large constant: it becomes shared memory when it is first needed.
            data = self._plan.constants[-1 - source]
            payload = self._payloads[source] = Payload("pickle", Large.written((data,), len(data)))
        return payload

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
        plan, uses, payloads, keep = self._plan, self._uses, self._payloads, self._keep
        succeed, lanes, lane_of = self._schedule.succeed, self._lanes, plan.lane_of
        rows: list[Row] = []
        for done in finished:
            node = done[0] & NODE
            if not self._is_current(node, done[1]):
                continue
            row: Row = done
            payload = done[13]
            if not isinstance(payload, bytes):
                payload = self._settled(payload)
                row = self._stored(done, payload)
            rows.append(row)
            if uses[node] or node in keep:
                # A small pickle needs no more to be read.
                small = isinstance(payload, bytes) and done[6] == "pickle"
                payloads[node] = payload if small else Payload(done[6], payload)  # type: ignore[assignment]
            for ready in succeed(node):
                lanes[lane_of[ready]].push(ready)
            for source in plan.before(node):
                uses[source] -= 1
                if not uses[source]:
                    self._release(source)
            if self._observer is not None:
                self._changes[plan.dag.nodes[node].key] = ("succeeded", done[1])
        self._journal.successes(rows)
        self._touch()

    def _learn_failed(self, failed: Failed, worker: str) -> None:
        node, schedule, journal = failed.node, self._schedule, self._journal
        policy = self._plan.policy(node)
        again = failed.retryable and failed.attempt <= policy.retries
        row = journal.base + node
        how = (failed.attempt, failed.outcome, failed.started, failed.took, worker)
        journal.attempts([(row, *how, failed.error, failed.traceback, None, failed.exception)])
        self._touch()
        key = self._plan.dag.nodes[node].key
        if again:
            schedule.retry_later(node)
            self._attempts[node] = failed.attempt + 1
            delay = policy.delay_before(failed.attempt + 1, random.random)
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
            self._changes[self._plan.dag.nodes[other].key] = ("upstream_failed", 0)
        journal.outcomes(rows)
        for ended in (node, *blocked):
            for source in self._plan.before(ended):
                self._uses[source] -= 1
                if not self._uses[source]:
                    self._release(source)
        if self._fail_fast:
            for other in schedule.cancel_all():
                self._changes[self._plan.dag.nodes[other].key] = ("cancelled", 0)

    def _learn_lines(self, news: News) -> None:
        base = self._journal.base
        self._journal.logs([(base + n, a, at, s, t.removesuffix("\n")) for n, a, at, s, t in news.lines])
        self._touch()
        if not news.shown:
            nodes = self._plan.dag.nodes
            self._tell_lines([(nodes[n].key, stream, text) for n, _attempt, _at, stream, text in news.lines])

    def _is_current(self, node: int, attempt: int) -> bool:
        """Whether an outcome is the one we wait for, not a late word of an attempt written off."""
        return self._schedule.is_running(node) and self._attempts.get(node, 1) == attempt

    def _release(self, source: int) -> None:
        """No call waits for this value any more."""
        if source not in self._keep and self._payloads.pop(source, None) is not None:
            for executor in self._executors:
                executor.release(source)

    def _tell_changes(self) -> None:
        if self._observer is not None:
            self._observer.changed(self._changes)
        self._changes = {}

    # --- the journal -----------------------------------------------------------------------

    def _touch(self) -> None:
        if self._rows_since is None:
            self._rows_since = time.monotonic()

    def _settled(self, payload: Large | bytes | None) -> Large | bytes:
        """A large payload as the driver holds it: a few as shared memory, more than that as bytes.

        Each holds a descriptor, and there may be no more than a thousand of those.
        """
        assert isinstance(payload, Large)
        held = sum(1 for weak in self._held if weak() is not None)
        if held < _MOST_HELD:
            self._held = [weak for weak in self._held if weak() is not None]
            self._held.append(ref(payload))
            return payload
        return payload.read(0, payload.size)

    def _stored(self, done: Finished, payload: Large | bytes | None) -> Row:
        """The row of a large value; its payload lies beside it, in pieces, if one does not hold it."""
        assert payload is not None
        size = done[7]
        if size <= PIECE:
            return (*done[:13], payload if isinstance(payload, bytes) else payload.read(0, size))
        for seq, start in enumerate(range(0, size, PIECE)):
            self._pieces.append((done[0], seq, payload, start))
        return (*done[:13], None)

    def _commit_some(self) -> None:
        """Commit; but first, a piece a time, the pieces of large payloads: a row comes after its pieces."""
        if self._pieces:
            row, seq, payload, start = self._pieces.popleft()
            part = slice(start, start + PIECE)
            piece = payload[part] if isinstance(payload, bytes) else payload.read(start, PIECE)
            self._journal.piece(row, seq, piece)
            return
        self._journal.commit()
        self._rows_since = None

    def _commit_all(self) -> None:
        while self._rows_since is not None:
            self._commit_some()

    def _note_long(self, now: float) -> None:
        """Let whoever looks at the file see what has been running for long."""
        self._next_long = now + _LONG_S
        before = (now - _LONG_S) * 1e6 - self._epoch_ns / 1e3
        long = [r for e in self._executors for r in e.running() if r[2] <= before]
        if long:
            self._journal.running([(self._journal.base + n, *rest) for n, *rest in long])
            self._touch()

    def _ending(self) -> Ending:
        state = "failed" if self._failures else "succeeded"
        return Ending(
            state=state,
            first_failure=next(iter(self._failures), None),
            failures=self._failures,
            payloads={n: self._payload_of(n) for n in self._payloads if n in self._keep},
        )


_NO_VALUE = (None,) * 9
