"""The driver's side of the pool: who gets which calls, who has died, who is over time.

One thread, the driver's; nothing here waits.  A worker's death ends the one attempt that was
running in it; calls queued behind it come back without having lost one.

How many calls a worker is given depends on how long they take (pace.py): short ones travel many
to a message and a second message lies ready; a long one goes to an idle worker, alone.  When a
call takes longer than was expected, what is queued behind it is recalled.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Sequence

from liteflow import errors
from liteflow.executor.base import NODE, Call, Failed, Finished, Lane, Line, News, Reaction, Work
from liteflow.executor.link import Ask, Chunk, Reply
from liteflow.executor.payload import Large
from liteflow.executor.process import nursery, wire
from liteflow.executor.process.endings import Condemned, MemoryKills, cause_of_death, ended, lost
from liteflow.executor.process.member import Member
from liteflow.executor.process.pace import SILENT_AND_ALL_BUSY_S, SILENT_S, Pace
from liteflow.executor.process.page import Position

# A killed process is gone within this time, unless the kernel itself is stuck with it.
_ENDING_S = 5.0
# So many workers that end by themselves before they are ready, or that end with no call running,
# one after the other and without an outcome between them: then we give up.
_FALSE_STARTS = 3
_FRUITLESS = 20
# Where nothing may run behind so many calls of a message, it is not asked for the others: they are many.
_ASKED = 8


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
        self._pace = Pace()
        self._fruitless = 0
        self._settled = False
        self._memory_kills = MemoryKills()
        self._starved = False
        self._cancelled = False

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Take the first worker, which is coming up already, or start it."""
        self._supervise(selector)
        self._add_member()

    # --- giving calls out ------------------------------------------------------------------

    def fill(self, lane: Lane) -> None:
        """Give each worker what it has room for, idle ones first."""
        while len(lane) and not self._cancelled:
            waiting = sum(1 for m in self._members if m.waiting)
            if waiting and sum(1 for m in self._members if m.calls) - waiting >= self._max_workers:
                break
            idle = [m for m in self._members if not m.calls and m.condemned is None and not m.leaving]
            if idle:
                # Who was heard last is awake, and has the newest values.
                member = max(idle, key=lambda m: m.heard)
                self._give(member, lane)
            elif len(self._members) - waiting >= self._max_workers or not self._add_member():
                break
        for member in self._members:
            if not len(lane) or lane.alone or self._cancelled:
                break
            if self._has_room(member):
                self._give(member, lane)
        self._starved = not len(lane) and any(not m.calls for m in self._members)

    def _give(self, member: Member, lane: Lane) -> None:
        calls = lane.take(1)
        # A fair share, so that the last calls are not all with one worker.
        share = (len(lane) + 1) // (2 * len(self._members))
        count = min(self._pace.in_a_message(calls[0].function), share)
        if count > 1 and not lane.alone:
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
        limits: dict[int, int] = {}
        alone = 0
        for place, call in enumerate(calls):
            if alone == _ASKED:
                return found + calls[place:]
            found.append(call)
            limit = limits.get(call.function, 0)
            if not limit:
                limit = limits[call.function] = self._pace.in_a_chain(call.function)
            before = len(found)
            follower: Call | None = call
            while follower is not None and len(found) < limit:
                follower = lane.follow(found[-1])
                if follower is not None:
                    found.append(follower)
            alone = alone + 1 if len(found) == before else 0
        return found

    def _has_room(self, member: Member) -> bool:
        """Whether a further message may wait behind what it is doing."""
        busy = member.condemned is not None or member.waiting or member.leaving
        if busy or not member.ready or member.messages_left() > 1:
            return False
        if time.monotonic() - member.heard > SILENT_S:
            return False
        return self._pace.may_wait_behind(call.function for call in member.calls.values())

    def _add_member(self) -> bool:
        """Start a worker; whether it could be."""
        assert self._selector is not None
        try:
            hatchling = self._supervisor.hatch()
        except OSError as error:
            self._settle(error.strerror or str(error))
            return False
        member = Member(self._work, hatchling, time.monotonic())
        self._members.append(member)

        def when_alive(react: Callable[[Member, int], list[News]]) -> Reaction:
            # Several descriptors of one worker may be ready at once, and the first of them
            # may have been its end.
            return lambda mask: react(member, mask) if member in self._members else []

        self._selector.register(member.data, selectors.EVENT_READ, when_alive(self._on_data))
        self._selector.register(member.control, selectors.EVENT_READ, when_alive(self._on_control))
        self._mind(member)
        return True

    def _supervise(self, selector: selectors.BaseSelector) -> None:
        try:
            self._supervisor = nursery.take()
        except OSError as error:
            raise errors.WorkerStartError(f"could not be started: {error.strerror or error}", "") from error
        self._selector = selector
        selector.register(self._supervisor.socket, selectors.EVENT_READ, self._on_supervisor)

    def _on_supervisor(self, _mask: int) -> list[News]:
        assert self._selector is not None
        supervisor = self._supervisor
        supervisor.hear()
        news = []
        for member in list(self._members):
            if supervisor.lost or member.pid in supervisor.exits:
                news += self._on_death(member)
            elif member.refused is not None:
                news += self._on_refusal(member, member.refused)
        if supervisor.lost:
            # Somebody has killed it, and its workers have ended with it.
            self._selector.unregister(supervisor.socket)
            self._supervise(self._selector)
            supervisor.end()
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
        asks: list[Ask] = []
        chunks: list[Chunk] = []
        for kind, body, descriptors in member.reader.frames():
            if kind == wire.HELLO:
                member.ready = True
            elif kind == wire.NEWS:
                good, bad, written, unmet, given = body
                chunks += map(Chunk._make, given)
                finished += self._finished(member, good, descriptors)
                failed += self._failed(member, bad)
                lines += [Line._make(line) for line in written]
                returned += [node for node in unmet if member.calls.pop(node, None) is not None]
            elif kind == wire.ASK:
                asks.append(Ask._make(body))
        member.heard = member.checked = time.monotonic()
        if finished or failed:
            self._fruitless = 0
        elif not (lines or returned or asks or chunks):
            return []
        if finished or failed:
            member.waiting = False
        return [News(member.name, finished, failed, lines, returned, asks=asks, chunks=chunks)]

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
        self._pace.learn(took)
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
                    times = outcome.started, outcome.took
                    outcome = ended(call, self._work.functions, condemned, *times)  # noqa: PLW2901
                failed.append(outcome)
        return failed

    def _on_control(self, member: Member, _mask: int) -> list[News]:
        try:
            open_ = member.control_reader.receive()
            frames = member.control_reader.frames()
        except BlockingIOError:
            return []
        except wire.WireError:
            open_ = False
        if not open_:
            return self._on_death(member)
        returned: list[int] = []
        for _kind, (last_read, nodes), _descriptors in frames:
            for sequence, sent in list(member.messages):
                if last_read < sequence <= member.recalled:
                    nodes.extend(sent)
            returned += [node for node in nodes if member.calls.pop(node, None) is not None]
        member.heard = time.monotonic()
        if self._cancelled and member.condemned and member.condemned.signal == signal.SIGTERM:
            # What it had finished came before this answer.
            member.carry_out(member.condemned.due)
        return [News(member.name, returned=returned)] if returned else []

    def _on_death(self, member: Member, _mask: int = 0) -> list[News]:
        """A worker has died, or is of no use any more: what it had is lost or comes back."""
        # Its sockets close a moment before its end is known.
        exitcode = member.exitcode(0.2)
        if member.refused is not None:
            return self._on_refusal(member, member.refused)
        member.kill()
        member.exitcode(_ENDING_S)
        cause = self._cause(exitcode)
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
        running = position.node if position is not None else None
        failed = []
        lines: list[Line] = []
        call = member.calls.get(running) if running is not None else None
        condemned = member.condemned
        if (
            call is not None
            and position is not None
            and call.attempt == position.attempt
            and (condemned is None or condemned.node in (None, call.node))
        ):
            del member.calls[call.node]
            failed = [self._interrupted(call, position, condemned, f"{member.pid} {cause}")]
            now = time.time_ns() // 1000
            lines = [
                Line(call.node, call.attempt, now, "stderr", text) for text in said.splitlines(keepends=True)
            ]
        elif condemned is None:
            self._note_fruitless(member, exitcode, cause, said)
        return [*news, News(member.name, (), failed, lines, list(member.calls))]

    def _interrupted(self, call: Call, position: Position, condemned: Condemned | None, cause: str) -> Failed:
        """The outcome of the attempt that was running in a worker when it died."""
        started = (position.started_ns - self._work.epoch_ns) // 1000
        took = (time.monotonic_ns() - position.started_ns) // 1000
        functions = self._work.functions
        if condemned is not None:
            return ended(call, functions, condemned, started, took)
        return lost(call, functions, cause, started, took)

    def _cause(self, exitcode: int | None) -> str:
        if self._supervisor.lost:
            return "ended with its supervisor, which was killed"
        if exitcode is None:
            return "closed its connection to the driver"
        by_kernel = self._memory_kills.may_be_one() if exitcode == -signal.SIGKILL else None
        return cause_of_death(exitcode, by_kernel)

    def _note_fruitless(self, member: Member, exitcode: int | None, cause: str, said: str) -> None:
        """A worker has ended with no call running: not for ever may that be all that happens."""
        self._fruitless += 1
        by_itself = exitcode is not None and exitcode >= 0
        if self._cancelled or self._fruitless < (
            _FALSE_STARTS if by_itself and not member.ready else _FRUITLESS
        ):
            return
        raise errors.WorkerStartError(cause, said)

    def _on_refusal(self, member: Member, why: str) -> list[News]:
        """There is no process for a worker that was asked for."""
        self._remove(member)
        member.close()
        self._settle(why)
        return [News(member.name, returned=list(member.calls))]

    def _settle(self, why: str) -> None:
        """No further worker is to be had: go on with those there are, if there are any.

        Raises:
            WorkerStartError: There are none, and that after some attempts.
        """
        if self._members:
            wanted, self._max_workers = self._max_workers, len(self._members)
            if not self._settled:
                self._settled = True
                text = (
                    f"not all of {wanted} worker processes can be started: {why}; the run goes on with fewer"
                )
                warnings.warn(text, RuntimeWarning, stacklevel=2)
            return
        self._fruitless += 1
        if self._fruitless >= _FALSE_STARTS:
            raise errors.WorkerStartError(f"could not be started: {why}", "")

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
                member.carry_out(now)
            elif member.look_at is not None and now >= member.look_at:
                member.check_time(now, self._grace)
        return []

    def _silence(self) -> float:
        return SILENT_S if self._starved else SILENT_AND_ALL_BUSY_S

    def _recallable(self) -> Iterable[Member]:
        return [m for m in self._members if len(m.calls) > 1 and m.ready and m.recalled < m.sequence]

    def cancel(self, now: float, grace: float) -> list[News]:
        """Ask workers for what they have not started, and then end those that are at a call."""
        self._cancelled = True
        for member in self._members:
            if member.calls:
                member.cancel(now, grace)
        return []

    @property
    def full(self) -> bool:
        """Never: what waits gives its place to another."""
        return False

    @property
    def idle(self) -> bool:
        """Whether no worker has a call."""
        return not any(member.calls for member in self._members)

    # --- what calls ask ---------------------------------------------------------------------

    def reply(self, node: int, number: int, reply: Reply) -> None:
        """Answer a question of the worker that runs this call."""
        for member in self._members:
            if node in member.calls:
                member.reply(number, reply)
                self._mind(member)

    def waits(self, node: int, waiting: bool) -> None:
        """Let another worker run meanwhile, and take what is queued behind the call that waits."""
        for member in self._members:
            if node in member.calls:
                member.waiting = waiting
                if waiting and len(member.calls) > 1 and member.recalled < member.sequence:
                    member.recall()

    def resumes(self, node: int) -> bool:
        """All workers do."""
        return True

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
        if self._selector is None:
            # Not even that could be started.
            return
        members = list(self._members)
        for member in members:
            self._remove(member)
            member.kill()
        self._supervisor.wait_for([member.pid for member in members if member.pid is not None])
        for member in members:
            member.close()
        nursery.give_back(self._supervisor)
