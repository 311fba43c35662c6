"""Nodes that become ready, grow, decide, complete and fail, and what follows from it."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from heapq import heappush
from typing import TYPE_CHECKING

from liteflow import errors, pickling
from liteflow.engine.driving.answering import Answering
from liteflow.engine.growths import micros_since
from liteflow.engine.observing import Heard
from liteflow.engine.states import Effects, State
from liteflow.executor.base import NODE, Failed, Finished
from liteflow.executor.payload import Large, Payload
from liteflow.outcomes import Failure
from liteflow.store.journal import Row
from liteflow.xcom import LARGE

if TYPE_CHECKING:
    # Start-up: most runs gain nothing.
    from liteflow.controller import Step
    from liteflow.engine.caching import Caching, Found
    from liteflow.engine.routes import End
    from liteflow.engine.spans import Grown

_NO_VALUE = (None,) * 9


class Changing(Answering):
    """Follows up what has become of nodes."""

    def _push(self, node: int) -> None:
        """A node has become ready."""
        if node in self._plan.controls:
            self._schedule.run(node)
            self._schedule.hold(node)
            self._decide(node, lambda: self._controls.begin(node))
            return
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
                self._follow(effects, self._why(gate))
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

    def _expand(self, node: int) -> None:
        """Grow a mapped call whose items are known here."""
        try:
            grown = self._growths.expand(node)
        except (errors.MapLengthError, errors.GrownTooDeepError) as error:
            self._schedule.run(node)
            line = f"{type(error).__name__}: {error}"
            now = micros_since(self._epoch_ns)
            self._learn_failed(Failed(node, 1, now, 0, "failed", line, "", None, False), "driver")
            return
        self._schedule.run(node)
        self._values.ended((node,))
        self._gain(grown)

    def _note_gain(self, grown: Grown) -> None:
        """The run has new nodes, which the schedule is to be told of."""
        plan, node = self._plan, grown.parent
        self._has_rules |= bool(grown.rules)
        self._heights.extend(array("i", [self._heights[node]]) * grown.count)
        self._add_lanes()
        self._growths.write(grown)
        if self._observer is not None:
            self._observer.grew([plan.key(n) for n in range(grown.first, grown.first + grown.count)])
            self._changes[plan.key(node)] = ("running", self._attempts.get(node, 1))

    def _gain(self, grown: Grown) -> None:
        """A node goes on as new ones."""
        node = grown.parent
        self._note_gain(grown)
        effects = self._schedule.grow(
            node, grown.predecessors, grown.parts, grown.rules, whatever=grown.whatever
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
            for node in completed:
                # Of what an earlier driver has completed, controllers know.
                if node not in self._standing.kept:
                    self._ask(node, None)

    def _learn_growth(self, done: Finished, payload: bytes) -> None:
        """An attempt has returned calls that the run is to go on with, or the items of a map."""
        node = done[0] & NODE
        if self._caching is not None:
            self._caching.given_up(node)
        try:
            grown = self._growths.learn(done, payload)
        except (
            errors.MapLengthError,
            errors.UnknownExecutorError,
            errors.GrownTooDeepError,
            errors.NoRoomError,
        ) as error:
            line = f"{type(error).__name__}: {error}"
            self._learn_failed(
                Failed(node, done[1], done[2], done[3], "failed", line, "", None, False), done[4]
            )
            return
        self._values.ended((node,))
        self._free_room(node)
        self._gain(grown)

    def _gain_next(self, node: int, end: End, nodes: Sequence[int]) -> None:
        """An end is written down, and what starts because of it."""
        from liteflow.engine.routes import instances_of  # noqa: PLC0415  loaded already, by `Driver`

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

    def _ask(self, node: int, done: Finished | None) -> None:
        """A node has its value: if a controller wanted it, what does that say?"""
        parent = self._plan.controlled_by(node)
        if parent is not None and self._controls.is_asked(parent):
            self._decide(parent, lambda: self._controls.ended(node, parent, done))

    def _decide(self, node: int, step: Callable[[], Step]) -> None:
        try:
            said = step()
        except Exception as error:  # noqa: BLE001  a controller may be anybody's
            self._fail_held(node, error)
            return
        self._obey_step(node, said)

    def _obey_step(self, node: int, step: Step) -> None:
        """Do what a controller has said."""
        schedule = self._schedule
        if self._gave_up:
            # The run ends; what would come does not.
            return
        if step.calls:
            grown = self._controls.grow(node, step.calls)
            self._note_gain(grown)
            self._follow(schedule.gain(node, grown.predecessors, grown.rules))
        if step.over and schedule.state(node) is State.GROWN:
            self._growths.begun(*self._controls.finish(node, step.value))
            self._values.released(self._controls.close(node))
            self._values.ended((node,))
            for ready in schedule.release(node):
                self._push(ready)

    def _fail_held(self, node: int, error: Exception) -> None:
        """A controller can't go on."""
        self._values.released(self._controls.close(node))
        if self._schedule.state(node) is not State.GROWN:
            return
        line = f"{type(error).__name__}: {error}"
        now = micros_since(self._epoch_ns)
        try:
            data: bytes | None = pickling.dumps(error).data
        except Exception:  # noqa: BLE001  its text must do
            data = None
        failed = Failed(node, self._attempts.get(node, 1), now, 0, "failed", line, "", data, False)
        self._learn_failed(failed, "driver")

    def _take_found(self, caching: Caching) -> None:
        """Calls whose results are there already need not run."""
        if caching.awaits_commit:
            self._recorder.commit()
            caching.awaits_commit = False
        taken = [(node, self._held(node, found, caching), found) for node, found in caching.look()]
        if not taken:
            return
        rows = [row for _, (row, _), _ in taken]
        # All before anything that follows from one of them.
        self._journal.outcomes([(row[0], "cached", *row[1:5], None, *row[5:]) for row in rows])
        caching.taken([(row, found) for _, (row, _), found in taken])
        self._recorder.touch()
        for node, (row, payload), found in taken:
            # Unless the run has come to its end by what another one has led to.
            if self._schedule.state(node) is State.READY:
                self._take(node, row, payload, found)
        self._complete()

    def _held(self, node: int, found: Found, caching: Caching) -> tuple[Row, Payload]:
        """The row of a result that is taken over, and what it is passed on as."""
        assert caching.cache is not None
        attempt = self._attempts.get(node, 1) - 1
        facts = caching.cache.facts_of(found, node, attempt, micros_since(self._epoch_ns))
        codec, data = found.stored.codec, found.stored.data
        if len(data) <= LARGE:
            return (*facts, data), Payload(codec, data)
        is_needed = self._values.uses[node] or node in self._values.keep
        held = self._values.settled(Large.written((data,), len(data))) if is_needed else data
        return self._recorder.row_of_large(Finished._make((*facts, None)), held), Payload(codec, held)

    def _take(self, node: int, row: Row, payload: Payload, found: Found) -> None:
        """A call has its value without having run."""
        if self._values.uses[node] or node in self._values.keep:
            self._values.held[node] = payload
        if node in self._growths.awaited:
            self._growths.note(node, row)
        for ready in self._schedule.take_over(node):
            self._push(ready)
        self._free_room(node)
        self._values.ended((node,))
        if self._observer is not None:
            self._tell_success(node, self._attempts.get(node, 1), payload, "cached")
        if self._plan.controls:
            self._ask(node, Finished._make((*row[:13], found.stored.data)))

    def _follow(self, effects: Effects, why: str = "") -> None:
        """Nodes can never run, others can now."""
        rows: list[Row] = []
        for node in effects.blocked:
            state = self._schedule.state(node).word
            rows.append((self._journal.base + node, state, 0, None, None, None, why or None, *_NO_VALUE))
            self._lacks(node, state, why)
            self._changes[self._plan.key(node)] = (state, 0)
            if node not in self._plan.parts:
                self._values.ended((node,))
            for waiting in self._growths.opened_by(node):
                # The list below grows while we go along it.
                self._give_up(waiting, node, effects)
        if rows:
            self._journal.outcomes(rows)
            self._recorder.touch()
        plan = self._plan
        if plan.controls or plan.bounded:
            for node in effects.ready:
                self._push(node)
            return
        # The same where nothing is to be decided but for maps: there may be a million.
        lanes, lane_of, maps = self._lanes, plan.lane_of, plan.maps
        for node in effects.ready:
            if node in maps:
                self._push(node)
            else:
                lanes[lane_of[node]].push(node)

    def _why(self, node: int) -> str:
        """Why those end that wait for a node which has no value."""
        ended = "was skipped" if self._schedule.state(node) is State.SKIPPED else "failed"
        return f"{self._plan.key(node)} {ended}"

    def _lacks(self, node: int, state: str, error: str) -> None:
        """Whoever takes this node's value in spite of all gets a Failure."""
        if self._has_rules or self._plan.maps:
            failure = Failure(self._plan.key(node), state, error)
            self._plan.lacking[node] = pickling.dumps(failure).data

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
            from random import random  # noqa: PLC0415  start-up: most runs try nothing again

            delay = policy.delay_before(made + 1, random)
            heappush(self._retries, (time.monotonic() + delay, node))
            self._changes[key] = ("retrying", failed.attempt)
            return
        self._end_without_value(failed, key, worker)

    def _end_without_value(self, failed: Failed, key: str, worker: str) -> None:
        """A node has failed for good, or was skipped."""
        node = failed.node
        if self._caching is not None:
            self._caching.given_up(node)
        state = "skipped" if failed.outcome == "skipped" else "failed"
        if state == "failed" and not self._plan.collected(node):
            self._failures[node] = failed
        schedule = self._schedule
        if schedule.state(node) is State.GROWN:
            effects = schedule.fail_held(node)
        else:
            effects = schedule.skip(node) if state == "skipped" else schedule.fail(node)
        self._changes[key] = (state, failed.attempt)
        times = (failed.attempt, failed.started, failed.took, worker, failed.error)
        self._journal.outcomes([(self._journal.base + node, state, *times, *_NO_VALUE)])
        self._lacks(node, state, failed.error)
        self._values.ended((node,))
        self._free_room(node)
        for waiting in self._growths.opened_by(node):
            self._give_up(waiting, node, effects)
        self._follow(effects, self._why(node))
        self._complete()
        if self._routes is not None and state == "skipped":
            self._gain_next(node, *self._routes.passed_over(node))
        if self._fail_fast and self._failures:
            self._gave_up = True
            for other in self._schedule.cancel_all():
                self._changes[self._plan.key(other)] = ("cancelled", 0)
