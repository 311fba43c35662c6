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
import selectors
import time
from array import array
from collections.abc import Collection, Mapping
from heapq import heappop
from typing import TYPE_CHECKING

from liteflow.engine.driving.core import LONG_S
from liteflow.engine.driving.hearing import Hearing
from liteflow.engine.growths import Growths, micros_since
from liteflow.engine.opening import Ending
from liteflow.engine.recorder import Recorder
from liteflow.engine.schedule import Schedule
from liteflow.engine.states import Effects, State
from liteflow.engine.stopping import Stop
from liteflow.executor.base import News
from liteflow.where import is_remote

# An observer hears of what has changed after so long at the latest, whether news comes or not.
_CHANGES_S = 0.1

if TYPE_CHECKING:
    # Start-up: most runs are no resumes, and gain nothing.
    from liteflow.controller import Step
    from liteflow.engine.regrowth import Regrown
    from liteflow.engine.routes import Replayed, Routes


class Driver(Hearing):
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
        log: Gets what attempts write in any case: (key, attempt, microseconds since 1970, stream, text).
        epoch_ns: Gives the monotonic time that times in the store count from, once the run
            has begun.
        mask: Hides the run's secrets; None: it has none.
        open_cache: Gives what results of earlier runs may be taken over, once the run has begun; None: none.
        refresh: Whether none are taken over all the same.
    """

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
            for lane, where in enumerate(self._plan.executors):
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
            self._routes = self._routed() if self._plan.routes else None
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

    def _routed(self) -> Routes:
        from liteflow.engine.routes import Routes  # noqa: PLC0415  start-up: few runs have any

        return Routes(self._plan, self._seal, self._standing.replayed)

    def _start(self) -> None:
        if self._timeout is not None:
            self._ends_at = time.monotonic() + self._timeout
        schedule, standing = self._schedule, self._standing
        self._attempts = {node: count + 1 for node, count in standing.attempts.items()}
        ready = schedule.start()
        steps: Mapping[int, Step] = {}
        if standing.replayed is not None:
            self._take_up_routes(standing.replayed)
            ready = schedule.nodes(State.READY)
        elif standing.kept or standing.regrown or standing.controls or standing.lost:
            steps = self._take_over()
            schedule = self._schedule
            ready = schedule.nodes(State.READY)
        push = self._push if self._plan.maps or self._plan.controls else self._ready
        for node in ready:
            push(node)
        for node, step in steps.items():
            self._obey_step(node, step)
        self._complete()

    def _forget_inputs(self) -> None:
        """What has grown waits for nothing any more: not even for what had failed, and is tried again."""
        grown = {found.grown.parent for found, _ in self._standing.regrown}
        static = range(len(self._plan.dag.nodes))
        before = (() if node in grown else self._plan.before(node) for node in static)
        self._schedule = Schedule(before, {n: rule for n, rule in self._plan.rules.items() if n not in grown})

    def _take_over(self) -> Mapping[int, Step]:
        """What an earlier driver has done is done; give what controllers say to that."""
        schedule, kept = self._schedule, self._standing.kept
        schedule.leave_out(len(self._plan.gone))
        self._heights.extend([0] * len(self._plan.gone))
        grown = {found.grown.parent for found, _ in self._standing.regrown}
        static = len(self._plan.dag.nodes)
        controls = self._standing.controls
        done = sorted(kept - grown - set(controls))
        steps: dict[int, Step] = {}
        for node in done:
            if node < static:
                schedule.take_over(node)
        for found, told in self._standing.regrown:
            self._take_up(found, told, grown, steps)
        for node in controls:
            if node not in steps:
                # All that it has ever decided was that there is nothing to do.
                schedule.run(node)
                steps[node] = self._take_up_control(node)
        self._values.ended([*done, *(grown - set(controls))])
        self._take_over_lost()
        return steps

    def _take_over_lost(self) -> None:
        """What ended without a value under an earlier driver, and stays so, keeps back what needs it."""
        lost = self._standing.lost
        for node, (state, error) in lost.items():
            self._lacks(node, state, error)
            if self._schedule.state(node) < State.SUCCEEDED:
                blocked = self._schedule.cancel(node, State[state.upper()]).blocked
                # What is ready by it is looked up, with all else that is.
                self._follow(Effects([one for one in blocked if one not in lost], []), self._why(node))
        self._values.ended(sorted(lost.keys() - self._plan.parts.keys()))

    def _take_up_control(self, node: int) -> Step:
        self._schedule.hold(node)
        if node in self._standing.kept:
            self._growths.has_row(node)
        return self._controls.take_up(node, self._standing.controls[node], dict(self._standing.told))

    def _take_up(
        self,
        found: Regrown,
        told: tuple[str, str, int] | None,
        grown: Collection[int],
        steps: dict[int, Step],
    ) -> None:
        """Let a call grow again as it did; what of it has its value, has it."""
        gained, schedule = found.grown, self._schedule
        self._has_rules |= bool(gained.rules)
        if gained.parent not in steps:
            schedule.run(gained.parent)
        if not found.controlled:
            self._growths.take_up(found, told)
        else:
            if gained.parent not in steps:
                steps[gained.parent] = self._take_up_control(gained.parent)
            self._controls.note(gained)
        self._heights.extend(array("i", [self._heights[gained.parent]]) * gained.count)
        self._add_lanes()
        new = range(gained.first, gained.first + gained.count)
        if self._observer is not None:
            self._observer.grew([self._plan.key(node) for node in new])
        before = [() if n in grown else fed for n, fed in zip(new, gained.predecessors, strict=True)]
        if found.controlled:
            effects = schedule.gain(gained.parent, before, gained.rules)
        else:
            effects = schedule.grow(
                gained.parent, before, gained.parts, gained.rules, whatever=gained.whatever
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
        if self._caching and self._stop is None and not self._recorder.is_behind:
            self._take_found(self._caching)
        if self._full:
            self._recorder.commit()
        if self._stop is None:
            for executor, lane in self._in_order():
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
            if self._changes:
                self._tell_changes()
            if not (news.asks or news.chunks):
                # Who prints is not to get what is wrong with the store: it has them when the call has ended.
                return
            # Who knows when this thread comes by again.
            self._recorder.commit()
            while self._stops:
                self._obey(self._stops.popleft(), time.monotonic())

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
        if self._caching and self._stop is None:
            return 0.0
        times = [due for e in self._executors if (due := e.look_at()) is not None]
        if self._retries:
            times.append(self._retries[0][0])
        if self._ends_at is not None:
            times.append(self._ends_at)
        times += (self._recorder.due_at(), self._next_long)
        if self._changes and self._observer is not None:
            # What has begun and says nothing is told of all the same.
            times.append(time.monotonic() + _CHANGES_S)
        return max(0.0, min(times) - time.monotonic())

    def _tell_changes(self) -> None:
        if self._observer is not None:
            self._observer.changed(self._changes)
        self._changes = {}

    def _note_long(self, now: float) -> None:
        """Let whoever looks at the file see what has been running for long."""
        self._next_long = now + LONG_S
        before = (now - LONG_S) * 1e6 - self._epoch_ns / 1e3
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
