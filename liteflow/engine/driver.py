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
from array import array
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from attrs import frozen

from liteflow import pickling
from liteflow.engine.answers import Answers, row_of
from liteflow.engine.contexts import Entry
from liteflow.engine.control import Stop
from liteflow.engine.growing import result_nodes
from liteflow.engine.growths import Growths, micros_since
from liteflow.engine.lanes import ReadyLane
from liteflow.engine.plan import Plan
from liteflow.engine.recorder import Recorder
from liteflow.engine.regrowth import Regrown
from liteflow.engine.routes import End, Replayed, Routes, instances_of
from liteflow.engine.schedule import Schedule
from liteflow.engine.spans import Grown
from liteflow.engine.states import Effects, State
from liteflow.engine.values import Values
from liteflow.errors import GrownTooDeepError, MapLengthError, UnknownExecutorError, UnknownNameError
from liteflow.executor.base import NODE, Call, Executor, Failed, Finished, News, Work
from liteflow.executor.link import OVER, Ask, Chunk, Parts
from liteflow.executor.payload import Payload
from liteflow.growth import GROWTH
from liteflow.outcomes import Failure
from liteflow.signing import Seal
from liteflow.store.journal import Journal, Row
from liteflow.where import Where, is_remote
from liteflow.wiring import sources_in

# Attempts that run longer than this are shown as running to whoever looks at the file.
_LONG_S = 1.0


class Heard(NamedTuple):
    """A chunk, or an output: then `number` is -1, else it counts from 0.

    `name` is whose it is said to be; the key, if nothing is said.
    """

    key: str
    attempt: int
    number: int
    name: str
    payload: Payload | Parts


class Observer(Protocol):
    """Whoever wants to see a run while it goes on; called from the driver's thread, in batches."""

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """The run has begun, with these task instances."""
        ...

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """The run goes on: these results stay, and these calls run again: key -> why."""
        ...

    def grew(self, keys: Sequence[str]) -> None:
        """The run has these task instances too, from now on."""
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


class Follower(Observer, Protocol):
    """An observer that wants to know all that tasks give."""

    def chunks(self, chunks: Sequence[Heard]) -> None:
        """Attempts have given chunks, in this order."""
        ...

    def outputs(self, outputs: Sequence[Heard]) -> None:
        """Task instances have given their values; each has given its last chunk before."""
        ...


@frozen(kw_only=True)
class Standing:
    """What an earlier driver of the run has left.

    Attributes:
        kept: Nodes whose results are in the store and stay.
        regrown: What had grown and is there again, in order, and what is known of the values
            that are complete.
        attempts: How many attempts other nodes have had.
        load: Reads a kept node's payload from the store.
        replayed: How far it was, of a run whose tasks say what runs next.
    """

    kept: frozenset[int] = frozenset()
    regrown: Sequence[tuple[Regrown, tuple[str, str, int] | None]] = ()
    attempts: Mapping[int, int] = {}
    load: Callable[[int], Payload] | None = None
    replayed: Replayed | None = None


@frozen(kw_only=True)
class Opened:
    """A run that has begun, or goes on, in its journal.

    Attributes:
        seal: Makes the checks of its values.
        stored: Reads the value of a node from the store, which has it.
        context: What its tasks share, as it is.
    """

    journal: Journal
    seal: Seal
    stored: Callable[[int], Payload]
    context: Mapping[str, Entry] = {}
    standing: Standing = Standing()


@frozen(kw_only=True)
class Ending:
    """How a run ended: its state, and of what its user may ask without reading the store.

    `stop` says why it ended early, if it did; `kept` gives the payloads that are still here.
    `finals` are, of a run whose tasks say what runs next, the nodes of those that asked for nothing,
    by the names of the tasks.
    """

    state: str
    stop: Stop | None
    first_failure: int | None
    failures: Mapping[int, Failed]
    kept: Callable[[int], Payload | None]
    finals: Mapping[str, int] | None = None


class Driver:
    """Runs one plan, once.

    Args:
        plan: What to run.
        begin: Opens the journal and begins the run in it, or goes on with it; called when the
            plan has shown that it can be run, while the first worker comes up.
        make_executor: Makes the executor of a lane, by its name or factory.
        fail_fast: Whether the first failure ends everything.
        full: Whether results are committed before what needs them starts.
        timeout: Seconds that all of it may take; None: as long as it takes.
        grace: Seconds that attempts have to end by themselves when the run is stopped.
        keep: Nodes whose values the user will ask for.
        observer: Is told what happens; None: nobody.
        follower: The same one, if it is a Follower.
        echo: Gets what attempts write, where no observer does: (key, stream, text) each.
        epoch_ns: Gives the monotonic time that times in the store count from, once the run
            has begun.
    """

    def __init__(
        self,
        plan: Plan,
        begin: Callable[[], Opened],
        make_executor: Callable[[Where, Work], Executor],
        *,
        fail_fast: bool,
        full: bool,
        timeout: float | None,
        grace: float,
        keep: frozenset[int],
        observer: Observer | None,
        follower: Follower | None = None,
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
        self._follower = follower
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
        # Mapped calls that have become ready, the first of them being looked at.
        self._mapping: deque[int] = deque()
        self._stops: deque[Stop] = deque()
        self._stop: Stop | None = None
        self._wake, self._waker = os.pipe()
        self._selector: selectors.BaseSelector | None = None
        self._schedule = Schedule(plan.predecessors(), plan.rules)
        self._heights = self._schedule.heights()
        self._lanes: list[ReadyLane] = []
        self._executors: list[Executor] = []
        self._make_executor = make_executor
        self._work = Work(
            plan.functions,
            plan.function_bytes,
            plan.dag.definitions,
            self._values.payload_of,
            epoch_ns,
            lambda: (self._journal.base, self._seal.key),
            plan.keep,
            self._turn,
        )
        self._add_lanes()

    def _add_lanes(self) -> None:
        """See that each lane of the plan has an executor."""
        for where in self._plan.executors[len(self._lanes) :]:
            self._lanes.append(ReadyLane(self._heights, self._begin, self._behind))
            executor = self._make_executor(where, self._work)
            self._executors.append(executor)
            if self._selector is not None:
                executor.watch(self._selector)

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
        self._selector = selector
        try:
            for executor in self._executors:
                executor.watch(selector)
            for lane, where in zip(self._plan.lanes, self._plan.executors, strict=True):
                if is_remote(where):
                    self._plan.prepare(lane)
            opened = self._begin_run()
            self._journal, self._seal, self._standing = opened.journal, opened.seal, opened.standing
            if self._standing.regrown:
                self._forget_inputs()
            self._recorder = Recorder(self._journal)
            self._growths = Growths(
                self._plan,
                self._schedule,
                self._recorder,
                self._seal,
                lambda: micros_since(self._epoch_ns),
            )
            self._routes = (
                Routes(self._plan, self._seal, self._standing.replayed) if self._plan.routes else None
            )
            self._stored = opened.stored
            self._answers = self._prepared(opened.context)
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
        ready = schedule.start()
        if standing.replayed is not None:
            self._take_up_routes(standing.replayed)
            ready = schedule.nodes(State.READY)
        elif standing.kept or standing.regrown:
            self._take_over()
            ready = schedule.nodes(State.READY)
        for node in ready:
            self._push(node)
        self._complete()

    def _forget_inputs(self) -> None:
        """What has grown waits for nothing any more: not even for what had failed, and is tried again."""
        grown = {found.grown.parent for found, _ in self._standing.regrown}
        static = range(len(self._plan.dag.nodes))
        before = (() if node in grown else self._plan.before(node) for node in static)
        self._schedule = Schedule(before, {n: rule for n, rule in self._plan.rules.items() if n not in grown})

    def _take_over(self) -> None:
        """What an earlier driver has done is done."""
        schedule, kept = self._schedule, self._standing.kept
        schedule.leave_out(len(self._plan.gone))
        self._heights.extend([0] * len(self._plan.gone))
        grown = {found.grown.parent for found, _ in self._standing.regrown}
        static = len(self._plan.dag.nodes)
        done = sorted(kept - grown)
        for node in done:
            if node < static:
                schedule.take_over(node)
        for found, told in self._standing.regrown:
            self._take_up(found, told, grown)
        self._values.ended([*done, *grown])

    def _take_up(self, found: Regrown, told: tuple[str, str, int] | None, grown: Collection[int]) -> None:
        """Let a call grow again as it did; what of it has its value, has it."""
        gained, schedule = found.grown, self._schedule
        schedule.run(gained.parent)
        self._growths.take_up(found, told)
        self._heights.extend(array("i", [self._heights[gained.parent]]) * gained.count)
        self._add_lanes()
        new = range(gained.first, gained.first + gained.count)
        if self._observer is not None:
            self._observer.grew([self._plan.key(node) for node in new])
        effects = schedule.grow(
            gained.parent,
            [() if n in grown else before for n, before in zip(new, gained.predecessors, strict=True)],
            result_nodes(gained),
            gained.rules,
            whatever=gained.whatever,
        )
        assert not effects.blocked
        for node in new:
            if node in self._standing.kept and node not in grown:
                schedule.take_over(node)

    def _take_up_routes(self, replayed: Replayed) -> None:
        """The same of a run whose tasks say what runs next: all nodes are there, and wait for nothing."""
        schedule = self._schedule
        nodes = schedule.add(len(self._plan) - 1)
        self._heights.extend([1] * len(nodes))
        for node in replayed.kept:
            schedule.take_over(node)
            self._answers.latest(replayed.routing.task_of(node), node)
        for node in replayed.skipped:
            schedule.run(node)
            schedule.skip(node)

    def _loop(self, selector: selectors.BaseSelector) -> None:
        while not self._schedule.over:
            if self._stop is not None and all(executor.idle for executor in self._executors):
                break
            self._step(selector)
        for node in self._schedule.cancel_all():
            self._changes[self._plan.key(node)] = ("cancelled", 0)

    def _step(self, selector: selectors.BaseSelector) -> None:
        """Give out what is ready, and take in what has come."""
        if self._full:
            self._recorder.commit()
        if self._stop is None:
            for executor, lane in zip(self._executors, self._lanes, strict=True):
                if lane:
                    executor.fill(lane)
        if self._answers.waiting:
            self._look_at_the_waiting()
        for key, mask in selector.select(self._patience()):
            for news in key.data(mask):
                self._learn(news)
        self._do_what_is_due(time.monotonic())
        if self._changes:
            self._tell_changes()

    def _turn(self, news: News | None) -> None:
        """A call that runs in this thread has said something, or waits for what others do."""
        if news is None:
            assert self._selector is not None
            self._step(self._selector)
        else:
            self._learn(news)
            # Who knows when this thread comes by again.
            self._recorder.commit()

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
                self._ready(node)
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
        return self._fetched(self._plan.call(node, attempt))

    def _behind(self, call: Call) -> Call | None:
        if self._full:
            # Its input has to be on disk first.
            return None
        node = self._schedule.next_in_line(call.node)
        if node is None or self._plan.lane_of[node] != self._plan.lane_of[call.node]:
            return None
        self._schedule.run_behind(node)
        return self._fetched(self._plan.call(node, self._attempts.get(node, 1), call.node))

    def _fetched(self, call: Call) -> Call:
        """Read what an earlier driver has left now: the store's connection is this thread's alone."""
        if self._standing.load is not None:
            for source in call.sources:
                if source >= 0 and source != call.behind:
                    self._values.payload_of(source)
        return call

    def _load(self, node: int) -> Payload:
        assert self._standing.load is not None
        return self._standing.load(node)

    def _release(self, source: int) -> None:
        for executor in self._executors:
            executor.release(source)

    # --- the context -----------------------------------------------------------------------

    def _prepared(self, entries: Mapping[str, Entry]) -> Answers:
        def executor_of(node: int) -> Executor:
            return self._executors[self._plan.lane_of[node]]

        def record(key: str, entry: Entry) -> None:
            self._journal.context([row_of(key, entry, self._seal)])
            self._recorder.touch()

        return Answers(
            self._plan,
            self._schedule,
            entries,
            output=self._output,
            reply=lambda node, number, reply: executor_of(node).reply(node, number, reply),
            waits=lambda node, waiting: executor_of(node).waits(node, waiting),
            record=record,
        )

    def _output(self, node: int) -> Payload | Parts:
        """The value of a node that has one, needed by a call or not."""
        wire = self._plan.settled((node, ()))
        if wire == (node, ()):
            return self._payload(node)
        return Parts.of(wire, {source: self._payload(source) for source in sources_in(wire)})

    def _payload(self, node: int) -> Payload:
        if node in self._values.held:
            return self._values.payload_of(node)
        self._recorder.commit()
        return self._stored(node)

    def _answer(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if self._is_current(ask.node, ask.attempt):
                self._answers.ask(ask)
            else:
                self._executors[self._plan.lane_of[ask.node]].reply(ask.node, ask.number, OVER)

    def _look_at_the_waiting(self) -> None:
        """Answer who waits, if there is an answer now, or there never will be one."""
        answers = self._answers
        if self._stop is not None or self._schedule.over:
            answers.close()
            return
        answers.look()
        waiting = answers.waiting
        if not waiting or self._retries or any(self._lanes):
            return

        def able(node: int) -> bool:
            return self._executors[self._plan.lane_of[node]].resumes(node)

        if all(node in waiting or not able(node) for node in self._schedule.nodes(State.RUNNING)):
            answers.give_up(able)

    # --- what came of it -------------------------------------------------------------------

    def _learn(self, news: News) -> None:
        """Take in what a worker said."""
        if news.chunks:
            self._learn_chunks(news.chunks)
        if news.asks:
            self._answer(news.asks)
        for node in news.returned:
            if self._schedule.is_running(node) and self._schedule.give_back(node):
                self._ready(node)
        if news.finished and self._routes is not None:
            self._learn_routed(news.finished, self._routes)
        elif news.finished:
            self._learn_finished(news.finished)
        for failed in news.failed:
            if self._is_current(failed.node, failed.attempt):
                if self._answers.waiting:
                    self._answers.ended(failed.node, failed.attempt)
                self._learn_failed(failed, news.worker)
        if news.lines:
            self._learn_lines(news)

    def _learn_finished(self, finished: Sequence[Finished]) -> None:
        # The hot path: everything here is done once for each task instance.
        plan, values = self._plan, self._values
        succeed, lanes, lane_of = self._schedule.succeed, self._lanes, plan.lane_of
        plain = not plan.maps and not plan.parts
        uses, keep, held = values.uses, values.keep, values.held
        rows: list[Row] = []
        ended: list[int] = []
        growing: list[tuple[Finished, bytes]] = []
        for done in finished:
            node = done[0] & NODE
            if not self._is_current(node, done[1]):
                continue
            row: Row = done
            payload = done[13]
            if done[6] == GROWTH:
                growing.append((done, payload if isinstance(payload, bytes) else payload.read(0, done[7])))  # type: ignore[union-attr]
                continue
            if not isinstance(payload, bytes):
                payload = values.settled(payload)
                row = self._recorder.row_of_large(done, payload)
            rows.append(row)
            ended.append(node)
            if uses[node] or node in keep:
                # A small pickle needs no more to be read.
                small = isinstance(payload, bytes) and done[6] == "pickle"
                held[node] = payload if small else Payload(done[6], payload)  # type: ignore[assignment]
            if plain:
                for ready in succeed(node):
                    lanes[lane_of[ready]].push(ready)
            else:
                self._growths.note(node, done)
                for ready in succeed(node):
                    self._push(ready)
                self._free_room(node)
            if self._observer is not None:
                self._tell_success(node, done[1], Payload(done[6], payload))
        values.ended(ended)
        self._journal.successes(rows)
        self._recorder.touch()
        for done, data in growing:
            self._learn_growth(done, data)
        if not plain:
            self._complete()

    def _tell_success(self, node: int, attempt: int, payload: Payload) -> None:
        key = self._plan.key(node)
        self._changes[key] = ("succeeded", attempt)
        if self._follower is not None:
            self._follower.outputs([Heard(key, attempt, -1, key, payload)])

    # --- next tasks ------------------------------------------------------------------------

    def _learn_routed(self, finished: Sequence[Finished], routes: Routes) -> None:
        """The same of a run whose tasks say what runs next."""
        for given in finished:
            node = given[0] & NODE
            if not self._is_current(node, given[1]):
                continue
            done, requests, bundles = routes.opened(given)
            try:
                end, nodes = routes.ended(node, requests, bundles)
            except UnknownNameError as error:
                line = f"{type(error).__name__}: {error}"
                failed = Failed(node, *done[1:4], "failed", line, "", pickling.dumps(error).data, False)
                self._learn_failed(failed, done[4])
                continue
            row: Row = done
            payload = done[13]
            if not isinstance(payload, bytes):
                payload = self._values.settled(payload)
                row = self._recorder.row_of_large(done, payload)
            # No node takes another's value: who asks for one reads it from the store.
            self._schedule.succeed(node)
            self._answers.latest(routes.routing.task_of(node), node)
            self._journal.successes([row])
            if self._observer is not None:
                self._tell_success(node, done[1], Payload(done[6], payload))
            self._gain_next(node, end, nodes)

    def _gain_next(self, node: int, end: End, nodes: Sequence[int]) -> None:
        """An end is written down, and what starts because of it."""
        journal, data = self._journal, end.to_bytes()
        journal.growth([(journal.base + node, self._seal.growth(node, data), data)])
        self._recorder.touch()
        if not nodes:
            return
        journal.instances(instances_of(self._plan, nodes))
        if self._observer is not None:
            self._observer.grew([self._plan.key(one) for one in nodes])
        self._heights.extend([1] * len(nodes))
        for one in self._schedule.add(len(nodes)):
            self._ready(one)

    # --- growth ----------------------------------------------------------------------------

    def _push(self, node: int) -> None:
        """A node has become ready."""
        if node not in self._plan.maps:
            if self._growths.may_run(node):
                self._ready(node)
            return
        self._mapping.append(node)
        if len(self._mapping) > 1:
            # A map has opened this one: whoever called for that goes on with it, however long the chain.
            return
        while self._mapping:
            self._begin_map(self._mapping[0])
            self._mapping.popleft()

    def _begin_map(self, node: int) -> None:
        """A mapped call has become ready: it grows, or an attempt takes its list apart, or it waits."""
        gate = self._growths.gate_of(node)
        if gate is not None:
            if self._schedule.state(gate) < State.SUCCEEDED:
                self._growths.wait_at(gate, node)
            else:
                effects = Effects([], [])
                self._give_up(node, gate, effects)
                self._follow(effects, f"{self._plan.key(gate)} failed")
        elif not self._growths.waits_for_split(node):
            self._expand(node)
        elif self._growths.may_run(node):
            self._ready(node)

    def _give_up(self, node: int, gate: int, effects: Effects) -> None:
        """A mapped call is over a map that will never grow."""
        more = self._schedule.give_up(node, skipped=self._schedule.state(gate) is State.SKIPPED)
        effects.blocked.append(node)
        effects.blocked.extend(more.blocked)
        effects.ready.extend(more.ready)

    def _ready(self, node: int) -> None:
        self._lanes[self._plan.lane_of[node]].push(node)

    def _free_room(self, node: int) -> None:
        following = self._growths.ended(node)
        if following is not None:
            self._ready(following)

    def _expand(self, node: int) -> None:
        """Grow a mapped call whose items are known here."""
        try:
            grown = self._growths.expand(node)
        except (MapLengthError, GrownTooDeepError) as error:
            self._schedule.run(node)
            line = f"{type(error).__name__}: {error}"
            now = micros_since(self._epoch_ns)
            self._learn_failed(Failed(node, 1, now, 0, "failed", line, "", None, False), "driver")
            return
        self._schedule.run(node)
        self._values.ended((node,))
        self._gain(grown)

    def _learn_growth(self, done: Finished, payload: bytes) -> None:
        """An attempt has returned calls that the run is to go on with, or the items of a map."""
        node = done[0] & NODE
        try:
            grown = self._growths.learn(done, payload)
        except (MapLengthError, UnknownExecutorError, GrownTooDeepError) as error:
            line = f"{type(error).__name__}: {error}"
            self._learn_failed(
                Failed(node, done[1], done[2], done[3], "failed", line, "", None, False), done[4]
            )
            return
        self._values.ended((node,))
        self._free_room(node)
        self._gain(grown)

    def _gain(self, grown: Grown, *, write: bool = True) -> None:
        """The run has new nodes."""
        plan, node = self._plan, grown.parent
        self._heights.extend(array("i", [self._heights[node]]) * grown.count)
        self._add_lanes()
        if write:
            self._growths.write(grown)
        if self._observer is not None:
            self._observer.grew([plan.key(n) for n in range(grown.first, grown.first + grown.count)])
            self._changes[plan.key(node)] = ("running", self._attempts.get(node, 1))
        effects = self._schedule.grow(
            node, grown.predecessors, result_nodes(grown), grown.rules, whatever=grown.whatever
        )
        self._follow(effects)
        for waiting in self._growths.opened_by(node):
            self._push(waiting)
        self._complete()

    def _complete(self) -> None:
        """Nodes that had grown have their values."""
        while completed := self._schedule.take_completed():
            base = self._journal.base
            rows = [row for node in completed if (row := self._growths.row_of(node, base)) is not None]
            self._journal.successes(rows)
            self._recorder.touch()
            if self._follower is not None:
                keys = [(node, self._plan.key(node)) for node in completed]
                self._follower.outputs([Heard(key, 1, -1, key, self._output(node)) for node, key in keys])
            for node in completed:
                self._values.completed(node)
                if self._observer is not None:
                    self._changes[self._plan.key(node)] = ("succeeded", self._attempts.get(node, 1))

    def _follow(self, effects: Effects, why: str = "") -> None:
        """Nodes can never run, others can now."""
        rows: list[Row] = []
        for node in effects.blocked:
            state = self._schedule.state(node).word
            error = None if state == "skipped" else why
            rows.append((self._journal.base + node, state, 0, None, None, None, error, *_NO_VALUE))
            self._lacks(node, state, error or "")
            self._changes[self._plan.key(node)] = (state, 0)
            if node not in self._plan.parts:
                self._values.ended((node,))
            for waiting in self._growths.opened_by(node):
                # The list below grows while we go along it.
                self._give_up(waiting, node, effects)
        if rows:
            self._journal.outcomes(rows)
            self._recorder.touch()
        for node in effects.ready:
            self._push(node)

    def _lacks(self, node: int, state: str, error: str) -> None:
        """Whoever takes this node's value in spite of all gets a Failure."""
        if self._plan.rules or self._plan.maps:
            failure = Failure(self._plan.key(node), state, error)
            self._plan.lacking[node] = pickling.dumps(failure).data

    # --- failures --------------------------------------------------------------------------

    def _learn_failed(self, failed: Failed, worker: str) -> None:
        node, schedule, journal = failed.node, self._schedule, self._journal
        row = journal.base + node
        how = (failed.attempt, failed.outcome, failed.started, failed.took, worker)
        mac = self._seal.exception(node, failed.attempt, failed.exception)
        if failed.outcome != "skipped":
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
        self._end_without_value(failed, key, worker)

    def _end_without_value(self, failed: Failed, key: str, worker: str) -> None:
        """A node has failed for good, or was skipped."""
        node = failed.node
        state = "skipped" if failed.outcome == "skipped" else "failed"
        if state == "failed" and not self._plan.collected(node):
            self._failures[node] = failed
        effects = self._schedule.skip(node) if state == "skipped" else self._schedule.fail(node)
        self._changes[key] = (state, failed.attempt)
        times = (failed.attempt, failed.started, failed.took, worker, failed.error)
        self._journal.outcomes([(self._journal.base + node, state, *times, *_NO_VALUE)])
        self._lacks(node, state, failed.error)
        self._values.ended((node,))
        self._free_room(node)
        for waiting in self._growths.opened_by(node):
            self._give_up(waiting, node, effects)
        self._follow(effects, f"{key} failed")
        self._complete()
        if self._routes is not None and state == "skipped":
            self._gain_next(node, *self._routes.passed_over(node))
        if self._fail_fast and self._failures:
            for other in self._schedule.cancel_all():
                self._changes[self._plan.key(other)] = ("cancelled", 0)

    def _learn_chunks(self, chunks: Sequence[Chunk]) -> None:
        base, plan, seal = self._journal.base, self._plan, self._seal
        rows: list[Row] = []
        heard: list[Heard] = []
        for chunk in chunks:
            node, attempt, number, at, name, type_, codec, size, sha, preview, exact, python, data = chunk
            if not self._is_current(node, attempt):
                continue
            key = plan.key(node)
            mac = seal.chunk(key, attempt, number, name, codec, python, type_, size, sha)
            what = (type_, codec, size, sha, mac, preview, exact, python, data)
            rows.append((base + node, attempt, number, at, name, *what))
            heard.append(Heard(key, attempt, number, key if name is None else name, Payload(codec, data)))
        self._journal.chunks(rows)
        self._recorder.touch()
        if self._follower is not None and heard:
            self._follower.chunks(heard)

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
            kept=self._values.kept,
            finals=self._routes.routing.finals if self._routes is not None else None,
        )


_NO_VALUE = (None,) * 9
