"""One worker as the driver sees it: its process, its sockets, and what it has been given."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections import deque
from pathlib import Path

from liteflow.executor.base import Call, Work
from liteflow.executor.link import Reply
from liteflow.executor.payload import Large
from liteflow.executor.process import wire
from liteflow.executor.process.endings import Condemned
from liteflow.executor.process.nursery import Hatchling

# A worker that is asked what it has not started answers within this time, or is stuck.
_ANSWER_S = 0.1


class Member:
    """A worker process of a run, ended by `kill` and `close`.

    Args:
        work: What the run's executors share.
        hatchling: The process, and our ends of what we share with it.
        now: Monotonic seconds.
    """

    def __init__(self, work: Work, hatchling: Hatchling, now: float) -> None:
        self._work = work
        self._hatchling = hatchling
        self._supervisor = hatchling.supervisor
        self.data, self.control, self.page = hatchling.data, hatchling.control, hatchling.page
        self.reader = wire.Reader(self.data)
        self.writer = wire.Writer(self.data)
        self.control_reader = wire.Reader(self.control)
        # Calls it has and has not answered, in the order it runs them.
        self.calls: dict[int, Call] = {}
        self.messages: deque[tuple[int, tuple[int, ...]]] = deque()
        self.ready = False
        # Whether the call that it runs waits for our answer, and others may run elsewhere.
        self.waiting = False
        # When it was last heard of, and when we last looked whether a slow call holds up others.
        self.heard = now
        self.checked = now
        self.sequence = 0
        self.recalled = 0
        self.look_at: float | None = None
        self.condemned: Condemned | None = None
        # Whether it ends by itself after the call that it has, for that has GPUs of its own.
        self.leaving = False
        self._functions: set[int] = set()
        self._bundles = 0
        self._large: set[int] = set()
        self._forget: list[int] = []
        setup: dict[str, object] = {
            "epoch_ns": work.epoch_ns,
            "path": _import_path(),
            "argv": [str(a) for a in sys.argv],
            "storage": None if work.storage is None else (work.storage.url, work.storage.threshold),
        }
        self.writer.send(wire.frame(wire.SETUP, setup))

    @property
    def pid(self) -> int | None:
        """Its process id; None as long as it is not known."""
        return self._supervisor.pids.get(self._hatchling.number)

    @property
    def refused(self) -> str | None:
        """Why it has no process; None as long as it may have one."""
        return self._supervisor.refused.get(self._hatchling.number)

    @property
    def name(self) -> str:
        """How it is called in the store."""
        return f"process-{self.pid}"

    def send(self, calls: list[Call]) -> None:
        """Give it calls, and before them what it needs for them and does not have."""
        bundles = self._work.definitions.bundles
        if len(bundles) > self._bundles:
            self.writer.send(wire.frame(wire.DEFINITIONS, [tuple(b) for b in bundles[self._bundles :]]))
            self._bundles = len(bundles)
        values: dict[int, object] = {}
        for call in calls:
            if call.function not in self._functions:
                self._functions.add(call.function)
                body = call.function, self._work.function_bytes(call.function)
                self.writer.send(wire.frame(wire.FUNCTION, body))
            for source in call.sources:
                if source in values or source in self._large or 0 <= source == call.behind:
                    continue
                codec, data = self._work.payload_of(source)
                if isinstance(data, Large):
                    self._large.add(source)
                    self.writer.send(wire.frame(wire.VALUE, (source, codec, data.size), 1), (data,))
                else:
                    values[source] = data if codec == "pickle" else (codec, data)
        self.sequence += 1
        # All of a call but what only the driver needs.
        wired = [call[:6] for call in calls]
        gpus = {call.node: call.gpus for call in calls if call.gpus is not None}
        if gpus:
            self.leaving = True
        message = (self.sequence, self._work.place(), values, self._forget, wired, gpus)
        self.writer.send(wire.frame(wire.CALLS, message))
        self._forget = []
        for call in calls:
            self.calls[call.node] = call
        self.messages.append((self.sequence, tuple([c.node for c in calls])))

    def reply(self, number: int, reply: Reply) -> None:
        """Answer a question of the call that it runs."""
        if type(reply) is tuple and isinstance(reply[-1], Large):
            version, codec, data = reply
            frame = wire.frame(wire.REPLY, (number, (version, codec, data.size)), 1)
            self.writer.send(frame, (data,))
        else:
            self.writer.send(wire.frame(wire.REPLY, (number, reply)))

    def recall(self) -> None:
        """Ask for all calls back that it has not started."""
        self.recalled = self.sequence
        with contextlib.suppress(OSError):
            self.control.send(wire.frame(wire.RECALL, self.sequence))

    def forget(self, source: int) -> None:
        """It may let go of a large value (said with the next calls)."""
        if source in self._large:
            self._large.discard(source)
            self._forget.append(source)

    def answered(self, node: int) -> Call | None:
        """It has answered a call; None if it did not have it (any more)."""
        return self.calls.pop(node, None)

    def messages_left(self) -> int:
        """How many messages it has not wholly answered."""
        while self.messages and not any(n in self.calls for n in self.messages[0][1][-1:]):
            self.messages.popleft()
        return len(self.messages)

    def exitcode(self, seconds: float = 0.0) -> int | None:
        """How it ended, as `subprocess` has it; None if it has not within these seconds, or nobody knows."""
        pid = self._supervisor.pid_of(self._hatchling.number)
        if pid is None:
            return None
        self._supervisor.wait_for([pid], seconds)
        return self._supervisor.exits.get(pid)

    def signal(self, number: int) -> None:
        """Send a signal to it and all it has started."""
        pid = self._supervisor.pid_of(self._hatchling.number)
        if pid is not None:
            self._supervisor.signal(pid, number)

    def kill(self) -> None:
        """End it and all it has started, now."""
        self.signal(signal.SIGKILL)

    def check_time(self, now: float, grace: float) -> None:
        """Condemn it if its current call is over its time; else note when to look again."""
        timeouts = {c.node: c.timeout for c in self.calls.values() if c.timeout is not None}
        position = self.page.position()
        self.look_at = None
        if not timeouts:
            return
        limit = timeouts.get(position.node) if position is not None else None
        if position is None or limit is None:
            # None of them has started: none can be due before the shortest has passed.
            self.look_at = now + min(timeouts.values())
            return
        due = position.started_ns / 1e9 + limit
        if now < due:
            self.look_at = due
            return
        self.condemned = Condemned(position.node, "timed_out", now, signal.SIGTERM, grace)
        self.carry_out(now)

    def cancel(self, now: float, grace: float) -> None:
        """Condemn it for whatever it does; but first it may give back what it has not started."""
        if self.condemned is None:
            self.recall()
            self.condemned = Condemned(None, "cancelled", now + _ANSWER_S, signal.SIGTERM, grace)
        if grace <= 0:
            self.condemned = self.condemned._replace(due=now, signal=signal.SIGKILL)
        self.carry_out(now)

    def carry_out(self, now: float) -> None:
        """If it is condemned, and the time has come, send the signal, and note what comes next."""
        condemned = self.condemned
        if condemned is None or now < condemned.due:
            return
        if condemned.outcome == "cancelled" and not self.calls:
            # It has nothing to be ended for; it ends with the others, when all is over.
            self.condemned = condemned._replace(due=math.inf)
            return
        self.signal(condemned.signal)
        due = now + condemned.grace if condemned.signal == signal.SIGTERM else math.inf
        self.condemned = condemned._replace(due=due, signal=signal.SIGKILL)

    def last_words(self) -> str:
        """What it wrote and nobody has read, after its death; at most the last 20 KB."""
        said = b""
        for pipe in self._hatchling.pipes:
            with contextlib.suppress(BlockingIOError):
                while data := os.read(pipe, 1 << 16):
                    said = (said + data)[-20_000:]
        return said.decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Let go of everything that was shared with it."""
        self.reader.close()
        self._hatchling.close()


def _import_path() -> list[str]:
    # '' is the working directory of the moment in which something is imported; none, if it is gone.
    here = []
    with contextlib.suppress(OSError):
        here.append(str(Path.cwd()))
    # What is no text (a Path, say) Python's own import passes over, too.
    return [name for entry in sys.path if isinstance(entry, str) for name in ([entry] if entry else here)]
