"""Who drives a run, and is that driver still alive?

    begin ---> session 1 ---- every commit: a beat ----> ended
                   |
                   +-- its driver died --> claim: session 2, ...

A run's lease is its last session, unless that has ended.  On the same machine a driver lives
if its process does: known at once, for a process is its id and the time of its start, whatever
has the same id today.  From elsewhere, a container or another host, only its silence tells.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Container
from typing import Final, Literal, NamedTuple

from liteflow import system

SILENT_S: Final = 30.0
"""Of a driver that can't be looked at, so many seconds of silence mean that it is dead."""
BEAT_EVERY_S: Final = 2.0
"""How often a driver with nothing to commit says that it lives."""

Standing = Literal["live", "dead", "unknown"]


class Owner(NamedTuple):
    """A driver of one run: `id` is random, the rest says which process it is (see system.py)."""

    id: str
    host: str
    boot: str
    namespace: int
    pid: int
    process_started: int


class Session(NamedTuple):
    """A row of the table, times as there: microseconds, `beat` by the clock since the boot."""

    run: int
    token: int
    owner: str
    host: str
    boot: str
    namespace: int
    pid: int
    process_started: int
    since: int
    beat: int
    beat_at: int
    ended_at: int | None


SESSION_COLUMNS: Final = ", ".join(Session._fields)


class Here(NamedTuple):
    """From where and when an owner is looked at.

    `boot_clock` and `wall` are seconds; `started` is `system.process_started`; `driving` are the
    ids of the owners that drive a run in this process.
    """

    host: str
    boot: str
    namespace: int
    pid: int
    boot_clock: float
    wall: float
    started: Callable[[int], int | None]
    driving: Container[str]


# The journals of the runs that are being driven in this process, by their owners' ids.  One that
# was dropped without being closed drives nothing.
driving: weakref.WeakValueDictionary[str, object] = weakref.WeakValueDictionary()


def this_process() -> Owner:
    """An owner for a run that this process is to drive; another one each time."""
    pid = os.getpid()
    return Owner(
        id=os.urandom(16).hex(),
        host=system.host_name(),
        boot=system.boot_id(),
        namespace=system.pid_namespace(),
        pid=pid,
        process_started=system.process_started(pid) or 0,
    )


def here() -> Here:
    """From here and now."""
    return Here(
        host=system.host_name(),
        boot=system.boot_id(),
        namespace=system.pid_namespace(),
        pid=os.getpid(),
        boot_clock=system.boot_clock(),
        wall=time.time(),
        started=system.process_started,
        driving=driving,
    )


def known(session: Session, seen: Here) -> Standing:
    """Say whether a driver lives, by looking at its process; "unknown" if that can't be seen from here."""
    if session.ended_at is not None:
        return "dead"
    if not session.boot or not seen.boot:
        return "unknown"
    if session.boot != seen.boot:
        # The machine has been started anew.  (What another host's processes do, nobody knows here.)
        return "dead" if session.host == seen.host else "unknown"
    return _process(session, seen) if session.namespace == seen.namespace else "unknown"


def _process(session: Session, seen: Here) -> Standing:
    """The same of a process that can be seen from here."""
    started = seen.started(session.pid)
    if started is None:
        return "dead"
    if not started or not session.process_started:
        return "unknown"
    # This very process drives only what it knows of.
    drives = session.pid != seen.pid or session.owner in seen.driving
    return "live" if drives and started == session.process_started else "dead"


def silence(session: Session, seen: Here) -> float:
    """For how many seconds a driver has said nothing.  Its beginning was its first word."""
    if session.boot and session.boot == seen.boot:
        return max(0.0, seen.boot_clock - session.beat / 1e6)
    # Clocks of two machines, which may differ: a beat in the future is as far from now as one before.
    return abs(seen.wall - session.beat_at / 1e6)


def standing(session: Session, seen: Here) -> Standing:
    """Say whether a driver lives: by its process, else by its silence.

    >>> owner = this_process()
    >>> session = Session(1, 1, *owner, since=0, beat=0, beat_at=0, ended_at=None)
    >>> standing(session, here()._replace(driving={owner.id}))
    'live'
    >>> standing(session, here()._replace(driving=()))
    'dead'
    """
    found = known(session, seen)
    if found == "unknown" and silence(session, seen) > SILENT_S:
        return "dead"
    return found
