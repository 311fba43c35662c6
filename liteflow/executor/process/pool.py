"""The driver's side of the pool: who gets which calls, who has died, who is over time.

One thread, the driver's; nothing here waits.  A worker's death ends the one attempt that was
running in it; calls queued behind it come back without having lost one.

How many calls a worker is given depends on how long they take, which is measured while they
run: short ones travel many to a message and a second message lies ready; a long one goes to
an idle worker, alone.  When a call takes longer than was expected, what is queued behind it
is recalled.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Sequence

from liteflow.errors import WorkerStartError
from liteflow.executor.base import NODE, Call, Failed, Finished, Lane, Line, News, Reaction, Work
from liteflow.executor.payload import Large
from liteflow.executor.process import nursery, wire
from liteflow.executor.process.member import Condemned, Member, cause_of_death

# A message holds about this much work, in seconds, and at most so many calls.
_MESSAGE_S = 0.004
_MESSAGE_CALLS = 256
# No call costs less, all told.
_LEAST_S = 1e-5
# A chain of calls of which nothing is known yet goes out in pieces of so many.
_UNKNOWN_CALLS = 8
# Calls expected to take longer than this never wait behind another.
_ALONE_S = 0.02
# Unheard of for this long while others are idle: recall what has not started.
_SILENT_S = 0.005
_SILENT_AND_ALL_BUSY_S = 0.1
# A killed process is gone within this time, unless the kernel itself is stuck with it.
_ENDING_S = 5.0
# A worker that is asked what it has not started answers within this time, or is stuck.
_ANSWER_S = 0.1
# Workers that end before they are ready, one after the other, before we give up.
_FALSE_STARTS = 3


class ProcessExecutor:
    """Runs calls in worker processes of its own.

    Args:
        work: What the run's executors share.
        max_workers: How many processes at most; they are started when there is work for them.
        grace: Seconds between SIGTERM and SIGKILL for an attempt that is over its time.
    """

    def __init__(self, work: Work, max_workers: int, grace: float) -> None:
        self._work = work
        self._max_workers = max_workers
        self._grace = grace
        self._members: list[Member] = []
        self._selector: selectors.BaseSelector | None = None
        # Seconds a call of each function is expected to take.
        self._expected: dict[int, float] = {}
        self._false_starts = 0
        self._starved = False
        self._cancelled = False

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Take the first worker, which is coming up already, or start it."""
        self._selector = selector
        self._supervise()
        self._add_member()

    # --- giving calls out ------------------------------------------------------------------

    def fill(self, lane: Lane) -> None:
        """Give each worker what it has room for, idle ones first."""
        while len(lane) and not self._cancelled:
            idle = [m for m in self._members if not m.calls and m.condemned is None]
            if idle:
                # Who was heard last is awake, and has the newest values.
                member = max(idle, key=lambda m: m.heard)
                self._give(member, lane, idle=len(idle))
            elif len(self._members) < self._max_workers:
                self._add_member()
            else:
                break
        for member in self._members:
            if not len(lane) or self._cancelled:
                break
            if self._has_room(member):
                self._give(member, lane, idle=1)
        self._starved = not len(lane) and any(not m.calls for m in self._members)

    def _give(self, member: Member, lane: Lane, idle: int) -> None:
        calls = lane.take(1)
        expected = self._expected.get(calls[0].function)
        if expected is not None and expected < _MESSAGE_S:
            # A fair share, so that the last calls are not all with one worker.
            share = (len(lane) + 1) // (2 * len(self._members)) or (1 if idle < 2 else 0)
            count = min(_MESSAGE_CALLS, int(_MESSAGE_S / expected), share)
            if count > 1:
                calls += lane.take(count - 1)
        calls = self._with_followers(calls, lane)
        member.send(calls)
        now = time.monotonic()
        timeouts = [c.timeout for c in calls if c.timeout is not None]
        if timeouts:
            due = now + min(timeouts)
            member.look_at = due if member.look_at is None else min(due, member.look_at)
        if len(member.calls) == len(calls):
            # It was idle: its silence begins now.
            member.heard = member.checked = now
        self._mind(member)

    def _with_followers(self, calls: list[Call], lane: Lane) -> list[Call]:
        """The calls, and behind each those that wait for it alone: a worker runs on through a chain."""
        found: list[Call] = []
        for call in calls:
            found.append(call)
            expected = self._expected.get(call.function)
            limit = _UNKNOWN_CALLS if expected is None else int(_MESSAGE_S / expected)
            follower: Call | None = call
            while follower is not None and len(found) < min(limit, _MESSAGE_CALLS):
                follower = lane.follow(found[-1])
                if follower is not None:
                    found.append(follower)
        return found

    def _has_room(self, member: Member) -> bool:
        """Whether a further message may wait behind what it is doing."""
        if member.condemned is not None or not member.ready or member.messages_left() > 1:
            return False
        if time.monotonic() - member.heard > _SILENT_S:
            return False
        expected = [self._expected.get(c.function) for c in member.calls.values()]
        known = [e for e in expected if e is not None]
        return len(known) == len(expected) and sum(known) < _ALONE_S

    def _add_member(self) -> None:
        assert self._selector is not None
        member = Member(self._work, self._supervisor.hatch(), time.monotonic())
        self._members.append(member)

        def when_alive(react: Callable[[Member, int], list[News]]) -> Reaction:
            # Several descriptors of one worker may be ready at once, and the first of them
            # may have been its end.
            return lambda mask: react(member, mask) if member in self._members else []

        self._selector.register(member.data, selectors.EVENT_READ, when_alive(self._on_data))
        self._selector.register(member.control, selectors.EVENT_READ, when_alive(self._on_control))
        self._mind(member)

    def _supervise(self) -> None:
        assert self._selector is not None
        self._supervisor = nursery.take()
        self._selector.register(self._supervisor.socket, selectors.EVENT_READ, self._on_supervisor)

    def _on_supervisor(self, _mask: int) -> list[News]:
        assert self._selector is not None
        supervisor = self._supervisor
        supervisor.hear()
        news = []
        for member in list(self._members):
            if supervisor.lost or member.pid in supervisor.exits:
                news += self._on_death(member)
        if supervisor.lost:
            # Somebody has killed it, and its workers have ended with it.
            self._selector.unregister(supervisor.socket)
            supervisor.end()
            self._supervise()
        return news

    def _mind(self, member: Member) -> None:
        """Ask to be told when the socket takes more, if something has not left yet."""
        assert self._selector is not None
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if member.writer.waiting else 0)
        key = self._selector.get_key(member.data)
        if key.events != events:
            self._selector.modify(member.data, events, key.data)

    # --- hearing from workers --------------------------------------------------------------

    def _on_data(self, member: Member, mask: int) -> list[News]:
        if mask & selectors.EVENT_WRITE:
            member.writer.flush()
            self._mind(member)
        if not mask & selectors.EVENT_READ:
            return []
        try:
            open_ = member.reader.receive()
            news = self._read(member)
        except BlockingIOError:
            return []
        except wire.WireError:
            # A task has written into our socket.
            return self._on_death(member)
        return news if open_ else news + self._on_death(member)

    def _read(self, member: Member) -> list[News]:
        finished: list[Finished] = []
        failed: list[Failed] = []
        lines: list[Line] = []
        returned: list[int] = []
        for kind, body, descriptors in member.reader.frames():
            if kind == wire.HELLO:
                member.ready = True
                self._false_starts = 0
            elif kind == wire.NEWS:
                good, bad, written, unmet = body
                finished += self._finished(member, good, descriptors)
                failed += self._failed(member, bad)
                lines += [Line._make(line) for line in written]
                returned += [node for node in unmet if member.calls.pop(node, None) is not None]
        member.heard = member.checked = time.monotonic()
        if not (finished or failed or lines or returned):
            return []
        return [News(member.name, finished, failed, lines, returned)]

    def _finished(
        self, member: Member, outcomes: list[Finished], descriptors: Sequence[int]
    ) -> list[Finished]:
        """The outcomes that are news, with large payloads in place; learn how long calls take."""
        waiting = iter(descriptors)
        calls = member.calls
        finished: list[Finished] = []
        took: dict[int, list[int]] = {}
        for outcome in outcomes:
            done = outcome
            if done[13] is None:
                done = Finished._make(outcome)._replace(payload=Large(next(waiting), outcome[7]))
            call = calls.pop(done[0] & NODE, None)
            if call is not None:
                finished.append(done)
                function = call.function
                if function in took:
                    took[function].append(done[3])
                else:
                    took[function] = [done[3]]
        for function, times in took.items():
            mean = max(sum(times) / len(times) / 1e6, _LEAST_S)
            known = self._expected.get(function)
            # Longer is believed at once, shorter slowly: a long call in a batch costs more
            # than a batch that could have been larger.
            self._expected[function] = mean if known is None or mean > known else 0.7 * known + 0.3 * mean
        return finished

    def _failed(self, member: Member, outcomes: list[Failed]) -> list[Failed]:
        """The failures that are news; one that SIGTERM brought about is what SIGTERM was for."""
        failed = []
        for outcome in map(Failed._make, outcomes):
            call = member.calls.pop(outcome.node, None)
            if call is not None:
                condemned = member.condemned
                asked = condemned is not None and condemned.signal == signal.SIGKILL
                if asked and condemned is not None and condemned.node in (None, call.node):
                    outcome = self._ended(call, outcome.started, outcome.took, condemned)  # noqa: PLW2901
                failed.append(outcome)
        return failed

    def _on_control(self, member: Member, _mask: int) -> list[News]:
        try:
            open_ = member.control_reader.receive()
        except BlockingIOError:
            return []
        if not open_:
            return self._on_death(member)
        returned: list[int] = []
        for _kind, (last_read, nodes), _descriptors in member.control_reader.frames():
            for sequence, sent in list(member.messages):
                if last_read < sequence <= member.recalled:
                    nodes.extend(sent)
            returned += [node for node in nodes if member.calls.pop(node, None) is not None]
        member.heard = time.monotonic()
        if self._cancelled and member.condemned and member.condemned.signal == signal.SIGTERM:
            # What it had finished came before this answer.
            self._carry_out(member, member.heard)
        return [News(member.name, returned=returned)] if returned else []

    def _on_death(self, member: Member, _mask: int = 0) -> list[News]:
        """A worker has died, or is of no use any more: what it had is lost or comes back."""
        # Its sockets close a moment before its end is known.
        exitcode = member.exitcode(0.2)
        cause = "closed its connection to the driver" if exitcode is None else cause_of_death(exitcode)
        member.kill()
        member.exitcode(_ENDING_S)
        if self._supervisor.lost:
            cause = "ended with its supervisor, which was killed"
        news = []
        with contextlib.suppress(BlockingIOError, wire.WireError):
            while member.reader.receive():
                pass
        with contextlib.suppress(wire.WireError):
            news = self._read(member)
        self._remove(member)
        said = member.last_words()
        position = member.page.position()
        member.close()
        if not member.ready and not self._cancelled:
            self._false_starts += 1
            if self._false_starts >= _FALSE_STARTS:
                raise WorkerStartError(cause, said)
        running = position.node if position is not None else None
        failed = []
        lines: list[Line] = []
        call = member.calls.get(running) if running is not None else None
        condemned = member.condemned
        if (
            call is not None
            and position is not None
            and (condemned is None or condemned.node in (None, call.node))
        ):
            del member.calls[call.node]
            started = (position.started_ns - self._work.epoch_ns) // 1000
            took = (time.monotonic_ns() - position.started_ns) // 1000
            failed = [self._lost(call, started, took, member, cause)]
            now = time.time_ns() // 1000
            lines = [
                Line(call.node, call.attempt, now, "stderr", text) for text in said.splitlines(keepends=True)
            ]
        return [*news, News(member.name, (), failed, lines, list(member.calls))]

    def _lost(self, call: Call, started: int, took: int, member: Member, cause: str) -> Failed:
        if member.condemned is not None:
            return self._ended(call, started, took, member.condemned)
        error = f"its worker process {member.pid} {cause}"
        retryable = Exception in self._work.functions[call.function].retry_on
        return Failed(call.node, call.attempt, started, took, "lost", error, "", None, retryable)

    def _ended(self, call: Call, started: int, took: int, condemned: Condemned) -> Failed:
        """The outcome of an attempt that was ended on purpose."""
        times = call.node, call.attempt, started, took
        if condemned.outcome == "cancelled":
            return Failed(*times, "cancelled", "cancelled", "", None, False)
        retry_on = self._work.functions[call.function].retry_on
        error = f"TimeoutError: ran for over {call.timeout:g} s and was ended"
        retryable = Exception in retry_on or TimeoutError in retry_on
        return Failed(*times, "timed_out", error, "", None, retryable)

    def _remove(self, member: Member) -> None:
        assert self._selector is not None
        self._members.remove(member)
        self._selector.unregister(member.data)
        self._selector.unregister(member.control)

    # --- what is due -----------------------------------------------------------------------

    def look_at(self) -> float | None:
        """The next timeout, kill or recall."""
        times = [m.look_at for m in self._members if m.look_at is not None]
        times += [m.condemned.due for m in self._members if m.condemned is not None]
        silence = self._silence()
        times += [m.checked + silence for m in self._recallable()]
        return min((t for t in times if t < math.inf), default=None)

    def look(self, now: float) -> list[News]:
        """End what is over its time; recall what is stuck behind a slow call."""
        silence = self._silence()
        for member in self._recallable():
            if now < member.checked + silence:
                continue
            member.checked = now
            position = member.page.position()
            # A worker that has begun nothing yet is still reading: that is no slow call.
            if position is not None and now - position.started_ns / 1e9 >= silence:
                member.recall()
        for member in list(self._members):
            if member.condemned is not None:
                if now >= member.condemned.due:
                    self._carry_out(member, now)
            elif member.look_at is not None and now >= member.look_at:
                self._check_time(member, now)
        return []

    def _silence(self) -> float:
        return _SILENT_S if self._starved else _SILENT_AND_ALL_BUSY_S

    def _recallable(self) -> Iterable[Member]:
        return [m for m in self._members if len(m.calls) > 1 and m.ready and m.recalled < m.sequence]

    def _check_time(self, member: Member, now: float) -> None:
        timeouts = {c.node: c.timeout for c in member.calls.values() if c.timeout is not None}
        position = member.page.position()
        member.look_at = None
        if not timeouts or member.condemned is not None:
            return
        limit = timeouts.get(position.node) if position is not None else None
        if position is None or limit is None:
            # None of them has started: none can be due before the shortest has passed.
            member.look_at = now + min(timeouts.values())
            return
        due = position.started_ns / 1e9 + limit
        if now < due:
            member.look_at = due
            return
        member.condemned = Condemned(position.node, "timed_out", now, signal.SIGTERM, self._grace)
        self._carry_out(member, now)

    def _carry_out(self, member: Member, now: float) -> None:
        """Send a condemned worker its signal, and note what comes next."""
        condemned = member.condemned
        if condemned is None:
            return
        if self._cancelled and not member.calls:
            # It has nothing to be ended for; `close` ends it with the others.
            member.condemned = condemned._replace(due=math.inf)
            return
        member.signal(condemned.signal)
        due = now + condemned.grace if condemned.signal == signal.SIGTERM else math.inf
        member.condemned = condemned._replace(due=due, signal=signal.SIGKILL)

    def cancel(self, now: float, grace: float) -> list[News]:
        """Ask workers for what they have not started, and then end those that are at a call."""
        self._cancelled = True
        for member in self._members:
            if not member.calls:
                continue
            first = member.condemned is None
            condemned = member.condemned or Condemned(
                None, "cancelled", now + _ANSWER_S, signal.SIGTERM, grace
            )
            if grace <= 0:
                condemned = condemned._replace(due=now, signal=signal.SIGKILL)
            member.condemned = condemned
            if first:
                member.recall()
            if condemned.due <= now:
                self._carry_out(member, now)
        return []

    @property
    def idle(self) -> bool:
        """Whether no worker has a call."""
        return not any(member.calls for member in self._members)

    # --- the rest --------------------------------------------------------------------------

    def release(self, source: int) -> None:
        """Let workers forget a large value."""
        for member in self._members:
            member.forget(source)

    def running(self) -> list[tuple[int, int, int, str]]:
        """What runs now, by the workers' pages."""
        found = []
        for member in self._members:
            position = member.page.position()
            if position is not None and position.node in member.calls:
                started = (position.started_ns - self._work.epoch_ns) // 1000
                found.append((position.node, position.attempt, started, member.name))
        return found

    def close(self) -> None:
        """Kill all workers and what they have started, and wait until they are gone."""
        members = list(self._members)
        for member in members:
            self._remove(member)
            member.kill()
        self._supervisor.wait_for([member.pid for member in members if member.pid is not None])
        for member in members:
            member.close()
        nursery.give_back(self._supervisor)
