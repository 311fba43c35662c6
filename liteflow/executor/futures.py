"""Runs calls on anything like a `concurrent.futures.Executor`: a user's pool, or a cluster.

    calls --parcels--> pool --futures--> outcomes

Nothing here can end a call that a pool has begun: one that is over its time is marked as such and left to
itself, and keeps its place in the pool for as long as it goes on.  A cluster whose jobs end when they
are cancelled says so (`PoolFactory.ends`), and keeps their time limits where they run.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from concurrent.futures import CancelledError
from concurrent.futures import Executor as Pool
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from liteflow.executor.base import Call, Failed, Finished, Lane, Line, Needs, News, Work
from liteflow.executor.held import handles
from liteflow.executor.holdings import Holdings
from liteflow.executor.local import Hearing, attempt_here
from liteflow.executor.parcels import Parcel, PoolFactory, line_of
from liteflow.executor.payload import Large
from liteflow.executor.process.pace import Pace
from liteflow.executor.remote import Answer, Home
from liteflow.executor.talk import Talk, Talking
from liteflow.executor.wakeup import Wakeup
from liteflow.signing import Seal
from liteflow.xcom import LARGE

if TYPE_CHECKING:
    from liteflow.executor.door import Address, Door
    from liteflow.executor.presence import Presence

# When all places of a pool have been held for so long by calls that were left to themselves, those
# that wait are given up.
_HELD_S = 60.0
_seal = lru_cache(maxsize=4)(Seal)


class FuturesExecutor(Talking):
    """One run's calls on a pool.

    Args:
        work: What the run's executors share.
        factory: The pool.
        max_workers: How many parcels of it may be at work at a time.
        places: How many the pool has room for: what waits gives its place to others up to there.
        cluster: Of a pool that grows and shrinks, goes away and comes back: both numbers as they are now, and
            whether it is there; None: it stays as it is.
    """

    def __init__(
        self,
        work: Work,
        factory: PoolFactory,
        max_workers: int,
        places: int,
        *,
        cluster: Presence | None = None,
    ) -> None:
        self._work = work
        self._factory = factory
        self._pools: dict[Needs, Pool] = {(): factory.pool}
        self._max_workers = max_workers
        self._places = max(places, max_workers)
        self._cluster = cluster
        self._losses = 0
        self._waiting: set[int] = set()
        self._parcels: set[Parcel] = set()
        self._done: deque[Parcel] = deque()
        self._news: list[News] = []
        self._pace = Pace()
        self._wakeup = Wakeup()
        self._talk = Talk(self._wakeup.wake)
        self._door: Door | None = None
        self._held_since: float | None = None
        self._cancelled = False
        self._holdings = Holdings(factory, self._tell)

    def watch(self, selector: selectors.BaseSelector) -> None:
        """The pool's threads wake the driver when calls have ended."""
        self._wakeup.watch(selector, self._learn)
        if self._cluster is not None:
            self._cluster.start(self._wakeup.wake)
        if not self._factory.remote:
            Hearing.start()

    # --- giving calls out ------------------------------------------------------------------

    def fill(self, lane: Lane) -> None:
        """Give the pool a parcel for each worker that it has left."""
        if self._cluster is not None:
            self._max_workers, self._places = self._cluster.sizes
            if not self._is_reached(self._cluster, lane):
                return
        while len(lane) and not self._cancelled:
            if not self._has_place(lane.needs):
                self._give_up_waiting(lane)
                return
            calls = lane.take(1)
            if self._factory.remote and not lane.alone and not self._is_alone(calls[0]):
                calls += self._more(calls[0], lane)
            self._submit(calls, lane)

    def _is_reached(self, cluster: Presence, lane: Lane) -> bool:
        """Whether the cluster takes calls; for one that is away for too long none waits any more."""
        if cluster.gave_up is not None:
            self._news.append(
                self._lost(Parcel(lane.take(len(lane)), None, lane), cluster.gave_up, retryable=False)
            )
        return cluster.is_there

    def _has_place(self, needs: Needs) -> bool:
        """Whether the pool is to have one more parcel of calls that take this."""
        most, places = self._max_workers, self._places
        if needs and self._cluster is not None:
            room = self._cluster.room_for(needs)
            most, places = max(most, room), max(places, room)
            # One waits there even where nothing has what it takes: so that the cluster can get it.
            if sum(1 for p in self._parcels if p.calls[0].needs == needs) >= max(1, room):
                return False
        return len(self._parcels) < places and len(self._parcels) - len(self._waiting) < most

    def _more(self, call: Call, lane: Lane) -> list[Call]:
        """Calls that may go with this one: as many as are short, and a fair share of them."""
        share = (len(lane) + 1) // (2 * self._max_workers)
        calls = lane.take(min(self._pace.in_a_message(call.function), share) - 1) if share > 1 else []
        alone = [c.node for c in calls if self._is_alone(c)]
        if alone:
            self._news.append(News(self._factory.name, returned=alone))
        return [c for c in calls if not self._is_alone(c)]

    def _is_alone(self, call: Call) -> bool:
        """Whether a call has to travel alone: of several nobody here knows which one runs, or waits."""
        return call.timeout is not None or self._talks(call)

    def _submit(self, calls: list[Call], lane: Lane) -> None:
        if self._factory.remote:
            parcel = Parcel(calls, time.monotonic(), lane)
            job = (self._factory.job, *self._packed(calls))
        else:
            parcel = Parcel(calls, None, lane)
            job = (self._attempt_here, parcel)
        needs = calls[0].needs
        try:
            if needs not in self._pools:
                self._pools[needs] = self._factory.pool_with(needs) if needs else self._factory.pool
            future = self._pools[needs].submit(*job)
        except Exception as error:  # noqa: BLE001  a pool may refuse with any, and then takes no calls
            why = f"{line_of(error)}; the pool takes no calls: give the run one that is open"
            self._news.append(self._lost(parcel, why, retryable=self._doubted()))
            return
        parcel.future = future
        self._parcels.add(parcel)
        future.add_done_callback(lambda _future: self._tell(parcel))

    def _packed(self, calls: list[Call]) -> tuple[Any, ...]:
        work = self._work
        functions = {n: work.function_bytes(n) for n in {call.function for call in calls}}
        sources: dict[int, tuple[str, Any]] = {}
        held: list[Any] = []
        for source in {source for call in calls for source in call.sources}:
            known = self._holdings.of(source)
            if known is not None:
                codec, size, handle = known
                # What stands there is how many bytes follow.
                sources[source] = codec, size
                held.append(handle)
                continue
            codec, data = work.payload_of(source)
            sources[source] = codec, data if isinstance(data, bytes) else data.read(0, data.size)
        bundles = tuple([(tuple(b.names), b.data) for b in work.definitions.bundles])
        over = work.threshold if self._factory.holds and work.storage is None else None
        home = Home(self._way_here(calls), work.storage, over)
        return functions, bundles, sources, calls, home, *held

    def _way_here(self, calls: list[Call]) -> Address | None:
        """Where these calls can talk to the driver, if they do."""
        if not any(self._talks(call) for call in calls):
            return None
        if self._door is None:
            # Start-up: few runs have any, and it loads much.
            from liteflow.executor.door import Door  # noqa: PLC0415

            self._door = Door(self._talk, self._hear, self._factory.host)
        return self._door.address

    def _talks(self, call: Call) -> bool:
        function = self._work.functions[call.function]
        return function.streams or function.context is not None

    def _give_up_waiting(self, lane: Lane) -> None:
        """Calls that wait for a pool whose every place is held for good would wait for ever."""
        if self._held_since is None or time.monotonic() < self._held_since + _HELD_S:
            return
        why = f"all {self._max_workers} places of the pool are held by calls over their time, which go on"
        self._news.append(self._lost(Parcel(lane.take(len(lane)), None, lane), why, retryable=False))

    # --- in a thread of the pool -----------------------------------------------------------

    def _attempt_here(self, parcel: Parcel) -> tuple[Finished | Failed, list[Line]]:
        parcel.began_at = time.monotonic()
        call = parcel.calls[0]
        link = self._talk.link(call.node, call.attempt)
        return attempt_here(self._work, call, self._factory.name, (), link=link, tell=self._talk.write)

    def _tell(self, parcel: Parcel) -> None:
        self._done.append(parcel)
        self._wakeup.wake()

    # --- what came of them -----------------------------------------------------------------

    def _learn(self) -> list[News]:
        news, self._news = self._news, []
        done = [self._done.popleft() for _ in range(len(self._done))]
        asks, chunks, lines = self._talk.take()
        if asks or chunks or lines:
            # What an attempt has said came before its outcome.
            news.append(News(self._factory.name, lines=lines, shown=True, asks=asks, chunks=chunks))
        for parcel in done:
            self._parcels.discard(parcel)
            self._held_since = None
            if not parcel.left:
                news.append(self._answered(parcel, parcel.answer) if parcel.answer else self._ended(parcel))
            # They hold each other, and what its answer holds on the cluster.
            parcel.future = None
        if self._cluster is not None and self._cluster.losses > self._losses:
            self._losses = self._cluster.losses
            news += self._lose_all()
        return news

    def _hear(self) -> None:
        """A call that the pool runs in this very thread has something to say."""
        for news in self._learn():
            self._work.turn(news)

    def _lose_all(self) -> list[News]:
        """The cluster has gone, with all that it had."""
        news = []
        for parcel in [p for p in (*self._parcels, *self._holdings.coming) if not p.left]:
            parcel.left = True
            for call in parcel.calls:
                self._talk.leave(call.node, call.attempt)
            why = "the cluster can't be reached any more; the attempt is lost with it"
            news.append(self._lost(parcel, why, retryable=True))
        # Its places are not held by anybody, and its connection is to be a new one.
        self._parcels.clear()
        self._pools.clear()
        self._holdings.let_go()
        return news

    def _doubted(self) -> bool:
        """Whether this is a cluster, which is to say first that it is there before it gets more calls."""
        if self._cluster is not None:
            self._cluster.doubt()
        return self._cluster is not None

    def _bring(self, parcel: Parcel, answer: Answer, held: dict[int, tuple[str, int, Any]]) -> News:
        """Bring home what is held of an answer; its calls have ended when it is here."""
        needed = [node for node in held if self._work.is_needed(node)]
        try:
            self._holdings.bring(parcel, answer, held, needed)
        except Exception as error:  # noqa: BLE001  engines have errors of their own
            self._doubted()
            why = f"{line_of(error)}; its values are lost with the cluster"
            return self._lost(parcel, why, retryable=True)
        for call in parcel.calls:
            if call.node in needed:
                self._begin_early(call, parcel.lane)
        return News(self._factory.name)

    def _begin_early(self, call: Call, lane: Lane | None) -> None:
        """Begin calls that wait for a value which is held where they can run: it comes home meanwhile."""
        while lane is not None and not self._cancelled and self._has_place(()):
            follower = lane.early(call)
            if follower is None:
                return
            self._submit([follower], lane)

    def release(self, source: int) -> None:
        """Nobody needs a value any more: the cluster need not hold it."""
        self._holdings.release(source)

    def _ended(self, parcel: Parcel) -> News:
        assert parcel.future is not None
        try:
            result = parcel.future.result()
        except CancelledError:
            if not self._cancelled and self._doubted():
                why = "the cluster has cancelled it, or the connection to it was lost"
                return self._lost(parcel, why, retryable=True)
            return News(self._factory.name, returned=[call.node for call in parcel.calls])
        except BaseException as error:  # noqa: BLE001  the pool's, or its worker's end
            self._doubted()
            for source in {source for call in parcel.calls for source in call.sources}:
                # It may be gone with what held it: the next attempt gets what is at home.
                self._holdings.release(source)
            return self._lost(
                parcel, f"{self._factory.cause(error)}; the attempt is lost with its worker", retryable=True
            )
        if isinstance(result, Answer):
            held = handles(result.outcomes) if self._factory.holds else {}
            if not parcel.stranded and (held or self._holdings.awaits(parcel)):
                return self._bring(parcel, result, held)
            return self._answered(parcel, result)
        outcome, lines = result
        finished, failed = ([outcome], []) if isinstance(outcome, Finished) else ([], [outcome])
        return News(self._factory.name, finished, failed, lines, shown=True)

    def _answered(self, parcel: Parcel, answer: Answer) -> News:
        """What a worker in another process said, as if it had been said here."""
        self._holdings.arrived(parcel)
        if parcel.stranded:
            for call in parcel.calls:
                self._holdings.lose(call, self._parcels)
            return self._lost(parcel, "its input is lost with the worker that held it", retryable=True)
        # Its clock is its own: only how long things took is known.
        began_us = (time.monotonic_ns() - self._work.epoch_ns) // 1000 - answer.took
        worker = f"{self._factory.name}-{answer.pid}"
        finished, failed, lines = [], [], []
        took: dict[int, list[int]] = {}
        # Behind one that was ended, or has died with its process, none has begun.
        returned = [call.node for call in parcel.calls[len(answer.outcomes) :]]
        for call, (outcome, said) in zip(parcel.calls, answer.outcomes, strict=False):
            lines += said
            started = max(0, outcome.started + began_us)
            if isinstance(outcome, Failed):
                if parcel.answer is None:
                    self._holdings.release(call.node)
                else:
                    self._holdings.lose(call, self._parcels)
                retryable = outcome.retryable and self._is_worth(call, outcome.outcome)
                failed.append(outcome._replace(started=started, retryable=retryable))
                continue
            took.setdefault(call.function, []).append(outcome.took)
            finished.append(self._sealed(outcome, call.node, started, worker))
        self._pace.learn(took)
        return News(worker, finished, failed, lines, returned)

    def _sealed(self, done: Finished, node: int, started: int, worker: str) -> Finished:
        """An outcome with all that only the driver knows."""
        first_row, key = self._work.place()
        payload = done.payload
        if isinstance(payload, bytes) and len(payload) > LARGE:
            payload = Large.written([payload], len(payload))
        mac = _seal(key).value(
            node, done.attempt, done.codec, done.code_python, done.type, done.size, done.sha256
        )
        return done._replace(row=first_row + node, started=started, worker=worker, mac=mac, payload=payload)

    def _lost(self, parcel: Parcel, why: str, *, retryable: bool) -> News:
        """The pool has failed, or what of it ran these calls."""
        return self._failed(parcel, time.monotonic(), "lost", why, retryable=retryable)

    def _failed(self, parcel: Parcel, now: float, outcome: str, why: str, *, retryable: bool) -> News:
        began = now if parcel.began_at is None else parcel.began_at
        started = round(began * 1e6) - self._work.epoch_ns // 1000
        took = round((now - began) * 1e6)
        text = f"{why} (pool {self._factory.name})"
        failed = []
        for call in parcel.calls:
            times = (call.node, call.attempt, started, took)
            worth = retryable and self._is_worth(call, outcome)
            failed.append(Failed(*times, outcome, text, "", None, worth))
        return News(self._factory.name, (), failed)

    def _is_worth(self, call: Call, outcome: str) -> bool:
        """Whether the policy would have a call tried again that came to this; what failed, says so itself."""
        retry_on = self._work.functions[call.function].retry_on
        return (
            outcome == "failed"
            or Exception in retry_on
            or (outcome == "timed_out" and TimeoutError in retry_on)
        )

    # --- what is due -----------------------------------------------------------------------

    def look_at(self) -> float | None:
        """The next timeout, or the end of our patience with a pool that is held."""
        if self._news:
            return 0.0
        now = time.monotonic()
        parcels = () if self._factory.ends else self._parcels
        asked = (self._talk.look_at(), *(p.due(now) for p in parcels if not p.left))
        times = [due for due in asked if due is not None]
        if self._held_since is not None:
            times.append(max(now + 1.0, self._held_since + _HELD_S))
        return min(times, default=None)

    def look(self, now: float) -> list[News]:
        """Leave what is over its time to itself."""
        news = self._learn()
        if self._factory.ends:
            return news
        for parcel in [p for p in self._parcels if not p.left]:
            due = parcel.due(now)
            if due is not None and parcel.began_at is not None and due <= now:
                call = parcel.calls[0]
                why = f"TimeoutError: ran for over {call.timeout:g} s; it can't be ended there, and may go on"
                news.append(self._leave(parcel, now, "timed_out", why))
        return news

    def _leave(self, parcel: Parcel, now: float, outcome: str, why: str) -> News:
        """Hear no more of a parcel; its place is held until the pool is through with it."""
        parcel.left = True
        for call in parcel.calls:
            self._talk.leave(call.node, call.attempt)
        if parcel.future is not None:
            # Some pools can do that: then the place is free at once.
            parcel.future.cancel()
        if all(p.left for p in self._parcels) and len(self._parcels) >= self._max_workers:
            self._held_since = now
        return self._failed(parcel, now, outcome, why, retryable=outcome != "cancelled")

    def waits(self, node: int, waiting: bool) -> None:
        """Another may run, if the pool has more places than this run may use."""
        if waiting:
            self._waiting.add(node)
        else:
            self._waiting.discard(node)

    def running(self) -> list[tuple[int, int, int, str]]:
        """What has begun, as far as is known here."""
        epoch = self._work.epoch_ns // 1000
        return [
            (call.node, call.attempt, round(p.began_at * 1e6) - epoch, self._factory.name)
            for p in self._parcels
            if not p.left and p.began_at is not None
            for call in p.calls
        ]

    def cancel(self, now: float, grace: float) -> list[News]:
        """Take back what has not begun, and leave the rest to itself: a grace would end none of it sooner."""
        self._cancelled = True
        for parcel in [p for p in self._parcels if not p.left]:
            assert parcel.future is not None
            parcel.future.cancel()
        news = self._learn()
        for parcel in [p for p in (*self._parcels, *self._holdings.coming) if not p.left]:
            why = "cancelled" if self._factory.ends else "cancelled; what its pool has begun may go on"
            news.append(self._leave(parcel, now, "cancelled", why))
        return news

    @property
    def full(self) -> bool:
        """Whether each place of the pool is taken."""
        return len(self._parcels) >= self._places

    @property
    def idle(self) -> bool:
        """Whether it has no call that is still to end."""
        return not self._news and all(parcel.left for parcel in (*self._parcels, *self._holdings.coming))

    def close(self) -> None:
        """Take back what has not begun; the pool goes on, for it is its owner's."""
        for parcel in self._parcels:
            if parcel.future is not None:
                parcel.future.cancel()
        if self._cluster is not None:
            self._cluster.close()
        if not self._factory.remote:
            Hearing.stop()
        self._holdings.let_go()
        self._talk.close()
        if self._door is not None:
            self._door.close()
        self._wakeup.close()
