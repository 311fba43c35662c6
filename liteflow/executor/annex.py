"""Runs calls in a process beside a worker of somebody else's cluster, so that they can be ended.

    worker of the cluster --parcel--> annex              a call that is over its time, that nobody wants
        in annexed()     <--outcome, outcome, ... serve()  any more, or that dies, costs this process alone

A cluster's worker may run several calls in threads, and is not ours to kill.  An annex is started when a
parcel finds none idle, serves one parcel at a time, and ends when it has been idle for a while, or
when the worker that started it is gone, however it went: with all that its calls have started, as far
as that has not left its session.

No attrs here: annexes import this, and start sooner without.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

from liteflow.executor.base import Call, Failed, Finished
from liteflow.executor.held import Outcome, Shared, holding
from liteflow.executor.payload import Large
from liteflow.executor.process.endings import cause_of_death
from liteflow.executor.remote import Answer, Home, attempts
from liteflow.executor.watched import this_is_an_annex
from liteflow.executor.watcher import watch
from liteflow.system import end_group

# It is looked this often, in seconds, whether a call that runs is still wanted.
_LOOK_S = 0.1
# One that has been idle for longer is not used again, and ends somewhat later: never while it is taken.
_FRESH_S = 10.0
_IDLE_S = 20.0


def annexed(
    functions: Mapping[int, bytes],
    bundles: Sequence[tuple[tuple[str, ...], bytes]],
    sources: dict[int, tuple[str, Any]],
    calls: Sequence[Call],
    home: Home,
    *held: Shared,
    wanted: Callable[[], bool],
    hold: Callable[[Shared], Any] | None = None,
) -> Answer:
    """Make attempts as `remote.attempts` does, in an annex.

    Args:
        functions, bundles, sources, calls, home: As for `remote.attempts`.
        held: What `sources` have as held on the cluster, in that order.
        hold: Holds a value there, and gives a handle; None: none is held there.
        wanted: Whether the driver still waits for the answer; else the annex is ended.

    Returns:
        The outcomes of the first calls: when one is ended, or dies, those behind it have not begun.

    Raises:
        OSError: No process can be started.
    """
    began_ns = time.monotonic_ns()
    annex = _taken()
    outcomes: list[Outcome] = []
    try:
        with contextlib.suppress(OSError):
            # One that has died is found out when its answer is read.
            annex.connection.send_bytes(pickle.dumps((functions, bundles, sources, calls, home), 5))
            for shared in held:
                send_handle(annex.connection, shared.large().descriptor, annex.pid)
        for call in calls:
            outcome = annex.outcome(call, began_ns, wanted)
            if outcome is not None:
                outcomes.append(holding(outcome, home.over, hold))
            if annex.ended:
                break
    except BaseException:
        annex.end()
        raise
    if not annex.ended:
        _put_back(annex)
    return Answer(annex.pid, (time.monotonic_ns() - began_ns) // 1000, outcomes)


class _Annex:
    """One process, as its worker has it."""

    def __init__(self, environment: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        boot = (
            f"import sys; sys.path[:] = {[str(path) for path in sys.path]!r}; "
            f"from liteflow.executor.annex import serve; serve({theirs.fileno()}, {lifeline})"
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, *["-O"] * sys.flags.optimize, "-c", boot],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(theirs.fileno(), lifeline),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self.connection = Connection(ours.detach())
        self.environment = environment
        self.pid = self._process.pid
        self.ended = False

    def outcome(self, call: Call, began_ns: int, wanted: Callable[[], bool]) -> Outcome | None:
        """Wait for what comes of a call; None: nobody wants it any more.  Without one, the annex is ended."""
        call_ns = time.monotonic_ns()
        try:
            if not self._says(inf, wanted):
                return None
            # It has begun: time counts from here.
            self.connection.recv_bytes()
            call_ns = time.monotonic_ns()
            due = inf if call.timeout is None else time.monotonic() + call.timeout
            if self._says(due, wanted):
                answer: Answer = pickle.loads(self.connection.recv_bytes())
                (outcome, lines) = answer.outcomes[0]
                if isinstance(outcome, Finished) and outcome.payload is None:
                    # Its bytes come as memory.
                    large = Large(recv_handle(self.connection), outcome.size)
                    outcome = outcome._replace(payload=large)
                since = (time.monotonic_ns() - began_ns) // 1000 - answer.took
                return outcome._replace(started=outcome.started + since), lines
        except (EOFError, OSError):
            # It has died, and is to say of what.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            self.end()
            cause = cause_of_death(self._process.returncode)
            return _without(call, "lost", f"its process {cause}", began_ns, call_ns), []
        if time.monotonic() < due:
            return None
        why = f"TimeoutError: ran for over {call.timeout:g} s and was ended"
        return _without(call, "timed_out", why, began_ns, call_ns), []

    def _says(self, due: float, wanted: Callable[[], bool]) -> bool:
        """Wait until it says something; False: it is ended, for it is over its time or not wanted."""
        while not self.connection.poll(max(0.0, min(_LOOK_S, due - time.monotonic()))):
            if time.monotonic() >= due or not wanted():
                self.end()
                return False
        return True

    def end(self) -> None:
        """End it, and what it has started."""
        self.ended = True
        self.connection.close()
        end_group(self.pid)
        self._process.wait()
        os.close(self._lifeline)


_lock = threading.Lock()
_idle: list[tuple[float, _Annex]] = []


def _taken() -> _Annex:
    """One that is idle, or a new one.

    Clusters tell their workers by the environment what a job may use (`CUDA_VISIBLE_DEVICES`), and change
    it between jobs.
    """
    environment = dict(os.environ)
    with _lock:
        stale = _without_stale(environment)
        found = _idle.pop()[1] if _idle else None
    for annex in stale:
        annex.end()
    return found or _Annex(environment)


def _put_back(annex: _Annex) -> None:
    with _lock:
        stale = _without_stale(annex.environment)
        _idle.append((time.monotonic(), annex))
    for other in stale:
        other.end()


def _without_stale(environment: Mapping[str, str]) -> list[_Annex]:
    """Take out those that are about to end, or are of another environment; under the lock."""
    latest = time.monotonic() - _FRESH_S
    fresh = [one for one in _idle if one[0] > latest and one[1].environment == environment]
    stale = [annex for since, annex in _idle if (since, annex) not in fresh]
    _idle[:] = fresh
    return stale


def _without(call: Call, outcome: str, why: str, began_ns: int, call_ns: int) -> Failed:
    started, took = (call_ns - began_ns) // 1000, (time.monotonic_ns() - call_ns) // 1000
    return Failed(call.node, call.attempt, started, took, outcome, why, "", None, True)


# --- in the annex --------------------------------------------------------------------------


def serve(number: int, lifeline: int) -> None:
    """Take parcels, and tell of each call that it begins and what came of it.

    Args:
        number: The descriptor over which its worker talks to it.
        lifeline: One that says that the worker is gone, by ending.
    """
    for descriptor in (number, lifeline):
        # What tasks start is to have neither.
        os.set_inheritable(descriptor, False)
    _have_watched(number, lifeline)
    this_is_an_annex()
    with Connection(number) as connection, contextlib.suppress(EOFError, OSError):
        while connection.poll(_IDLE_S):
            functions, bundles, sources, calls, home = pickle.loads(connection.recv_bytes())
            for source, (codec, data) in sources.items():
                if type(data) is int:
                    sources[source] = codec, Large(recv_handle(connection), data)
            for call in calls:
                connection.send_bytes(b"begun")
                _tell(connection, attempts(functions, bundles, sources, (call,), home))


def _tell(connection: Connection, answer: Answer) -> None:
    """Send what came of a call; what is in memory that can be shared, without a copy, behind it."""
    ((done, lines),) = answer.outcomes
    if not isinstance(done, Finished) or not isinstance(done.payload, Large):
        connection.send_bytes(pickle.dumps(answer, 5))
        return
    without = answer._replace(outcomes=[(done._replace(payload=None), lines)])
    connection.send_bytes(pickle.dumps(without, 5))
    send_handle(connection, done.payload.descriptor, None)


def _have_watched(number: int, lifeline: int) -> None:
    """Have this process and what calls start ended when it is gone, or its worker, and not by its worker.

    Ray's workers, when they are ended, kill their own child before that can do anything.
    """
    annex, (there, here) = os.getpid(), os.pipe()
    middle = os.fork()
    if middle:
        os.close(there)
        os.waitpid(middle, 0)
        return
    # No child of the annex: calls may wait for all of theirs.
    if os.fork():
        os._exit(0)
    os.close(here)
    os.close(number)
    watch(annex, (there, lifeline), lambda: (os.getpgrp(),))
