"""The state of a run while it is driven, and how its calls are given out."""

from __future__ import annotations

import os
import selectors
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from liteflow.engine.answers import Answers
from liteflow.engine.growths import Growths, micros_since
from liteflow.engine.lanes import Offered, Pushed, ReadyLane
from liteflow.engine.observing import Follower, Heard, Observer
from liteflow.engine.opening import Opened, Standing
from liteflow.engine.plan import Plan
from liteflow.engine.recorder import Recorder
from liteflow.engine.schedule import Schedule
from liteflow.engine.stopping import Stop
from liteflow.engine.values import Values
from liteflow.executor.base import Call, Executor, Failed, News, Work
from liteflow.executor.payload import Payload
from liteflow.signing import Seal
from liteflow.store.journal import Journal
from liteflow.where import Where

if TYPE_CHECKING:
    # Start-up: few runs have any.
    from liteflow.engine.admission import Admission
    from liteflow.engine.caching import Cache, Caching
    from liteflow.engine.controls import Controls
    from liteflow.engine.driving.hiding import Hiding
    from liteflow.engine.routes import Routes
    from liteflow.resources import Resources
    from liteflow.secret import Mask

# Attempts that run longer than this are shown as running to whoever looks at the file.
LONG_S = 1.0


class Core(ABC):
    """The state of a run while it is driven, and how calls are given out; arguments as Driver."""

    _journal: Journal
    _seal: Seal
    _recorder: Recorder
    _growths: Growths
    _routes: Routes | None
    _answers: Answers
    _stored: Callable[[int], Payload]

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
        log: Callable[[Iterable[tuple[str, int, int, str, str]]], None] | None = None,
        epoch_ns: int,
        mask: Mask | None = None,
        open_cache: Callable[[], Cache | None] = lambda: None,
        refresh: bool = False,
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
        # One that shows how far all is wants to know of those lines, too, that can be seen already.
        self._note_lines = getattr(observer, "noted", None)
        self._hiding = None if mask is None else _hiding(mask)
        self._log = log
        self._epoch_ns = epoch_ns
        self._values = Values(plan, keep, self._load, self._release)
        self._standing = Standing()
        # Attempts at nodes that have had some, and how many of them an earlier driver has made.
        self._attempts: dict[int, int] = {}
        self._retries: list[tuple[float, int]] = []
        self._failures: dict[int, Failed] = {}
        self._changes: dict[str, tuple[str, int]] = {}
        self._next_long = time.monotonic() + LONG_S
        # Mapped calls that have become ready, the first of them being looked at.
        self._mapping: deque[int] = deque()
        self._stops: deque[Stop] = deque()
        self._stop: Stop | None = None
        self._gave_up = False
        self._wake, self._waker = os.pipe()
        self._selector: selectors.BaseSelector | None = None
        self._schedule = Schedule(plan.predecessors(), plan.rules)
        self._heights = self._schedule.heights()
        # Whether any call, in the flow or grown, runs though its inputs have no value.
        self._has_rules = bool(plan.rules)
        # By lane: where its ready nodes go, and its executor.
        self._lanes: list[Pushed] = []
        self._executor_at: list[Executor] = []
        self._executors: list[Executor] = []
        # What executors are given to take from.
        self._offered: list[tuple[Executor, Offered]] = []
        self._admission: Admission | None = None
        self._caching: Caching | None = None
        self._open_cache = open_cache
        self._refresh = refresh
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
            mask,
            is_needed=lambda node: self._values.uses[node] > 0,
        )
        self._add_lanes()

    @cached_property
    def _controls(self) -> Controls:
        from liteflow.engine.controls import Controls  # noqa: PLC0415  start-up: few runs have any

        return Controls(self._plan, lambda: micros_since(self._epoch_ns))

    def _add_lanes(self) -> None:
        """See that each lane of the plan has an executor."""
        places = self._plan.places
        for lane in range(len(self._lanes), len(places.names)):
            executor = self._made(lane)
            self._executor_at.append(executor)
            if places.weighed[lane]:
                pushed = self._weighed(lane, executor)
            else:
                pushed = plain = ReadyLane(self._heights, self._begin, self._behind, early=self._early)
                self._offered.append((executor, plain))
            self._lanes.append(self._looked_up(pushed) if places.cached[lane] else pushed)

    def _looked_up(self, lane: Pushed) -> Pushed:
        """Where ready nodes go whose results may be taken over, before they go to a lane."""
        if self._caching is None:
            from liteflow.engine.caching import Caching  # noqa: PLC0415  start-up: few runs have any

            self._caching = Caching(self._plan, self._open_cache, refresh=self._refresh)
        return self._caching.lane(lane)

    def _made(self, lane: int) -> Executor:
        """The executor of a lane, which another lane may have already."""
        places = self._plan.places
        known = places.names.index(places.names[lane])
        if known < lane:
            return self._executor_at[known]
        executor = self._make_executor(places.executors[lane], self._work)
        self._executors.append(executor)
        if self._selector is not None:
            executor.watch(self._selector)
        return executor

    def _weighed(self, lane: int, executor: Executor) -> Pushed:
        """Where ready nodes go whose calls take resources: of this machine, or of a cluster."""
        # Start-up: few runs have any.
        from liteflow.engine.weighing import SortedLanes, WeighedLane  # noqa: PLC0415

        def wanted(node: int) -> Resources:
            resources = self._plan.policy(node).resources
            assert resources is not None
            return resources

        if self._plan.places.allots(lane):

            def offer(one: ReadyLane) -> None:
                self._offered.insert(0, (executor, one))

            return SortedLanes(self._heights, self._begin, wanted, offer)
        machine = self._plan.places.machine
        if self._admission is None:
            from liteflow.engine.admission import Admission  # noqa: PLC0415  as above

            self._admission = Admission(machine.room)
        shared = (self._admission, machine.gpus)
        weighed = WeighedLane(lane, self._heights, self._begin, wanted, shared=shared)
        self._offered.insert(0, (executor, weighed))
        return weighed

    def _in_order(self) -> Sequence[tuple[Executor, Offered]]:
        """What executors may take from; where one has several, the most urgent first."""
        if len(self._offered) == len(self._executors):
            return self._offered
        return sorted(self._offered, key=lambda offered: -offered[1].top)

    def _begin(self, node: int) -> Call:
        self._schedule.run(node)
        attempt = self._attempts.get(node, 1)
        if self._observer is not None:
            self._changes[self._plan.key(node)] = ("running", attempt)
        call = self._plan.call(node, attempt)
        return call if self._standing.load is None else self._fetched(call)

    def _early(self, call: Call) -> Call | None:
        node = next(filter(self._may_be_retried, self._schedule.in_line(call.node)), None)
        return None if node is None else self._behind(call, node)

    def _may_be_retried(self, node: int) -> bool:
        """Whether the next attempt at a node may be lost without harm."""
        if Exception not in self._plan.functions[self._plan.task_of[node]].retry_on:
            return False
        made = self._attempts.get(node, 1) - self._standing.attempts.get(node, 0)
        return made <= self._plan.policy(node).retries

    def _behind(self, call: Call, node: int | None = None) -> Call | None:
        if self._full:
            # Its input has to be on disk first.
            return None
        if node is None:
            node = self._schedule.next_in_line(call.node)
        if node is None or self._plan.lane_of[node] != self._plan.lane_of[call.node]:
            return None
        if (self._plan.maps or self._plan.controls) and self._is_decided_when_ready(node):
            return None
        if self._caching is not None and self._plan.places.cached[self._plan.lane_of[node]]:
            # It may not have to run.
            return None
        self._schedule.run_behind(node)
        behind = self._plan.call(node, self._attempts.get(node, 1), call.node)
        return behind if self._standing.load is None else self._fetched(behind)

    def _is_decided_when_ready(self, node: int) -> bool:
        """Whether it is only known when a node is ready how, or whether, it runs then (see `_push`)."""
        plan = self._plan
        if node in plan.controls or plan.bounded_by(node) is not None:
            return True
        return node in plan.maps and self._growths.gate_of(node) is not None

    def _fetched(self, call: Call) -> Call:
        """Read what an earlier driver has left now: the store's connection is this thread's alone."""
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

    def _ready(self, node: int) -> None:
        self._lanes[self._plan.lane_of[node]].push(node)

    def _free_room(self, node: int) -> None:
        following = self._growths.ended(node)
        if following is not None:
            self._ready(following)

    def _is_current(self, node: int, attempt: int) -> bool:
        """Whether an outcome is the one we wait for, not a late word of an attempt written off."""
        return self._schedule.is_running(node) and self._attempts.get(node, 1) == attempt

    def _tell_success(self, node: int, attempt: int, payload: Payload, state: str = "succeeded") -> None:
        key = self._plan.key(node)
        self._changes[key] = (state, attempt)
        if self._follower is not None:
            self._follower.outputs([Heard(key, attempt, -1, key, payload)])

    @abstractmethod
    def _turn(self, news: News | None) -> None:
        """A call that runs in this thread has said something, or waits for what others do."""

    @abstractmethod
    def _learn(self, news: News) -> None:
        """Take in what a worker said."""

    @abstractmethod
    def _push(self, node: int) -> None:
        """A node has become ready."""


def _hiding(mask: Mask) -> Hiding:
    from liteflow.engine.driving.hiding import Hiding  # noqa: PLC0415  start-up: few runs have secrets

    return Hiding(mask)
