"""The lease of a run as the store has it: taken, kept with every commit, lost.

    open_session, claim_run ---> keep_lease, again and again ---> ended, or LeaseLostError

All of this happens inside a transaction of the journal's, so that no two drivers can do it at once.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from liteflow import errors, system
from liteflow.store.lease import SESSION_COLUMNS, Owner, Session, here, known, silence, standing

if TYPE_CHECKING:
    from liteflow.store.db import StoreConnection

SESSION_ENDED: Final = "UPDATE session SET ended_at = ? WHERE run = ? AND token = ?"

_INSERT = "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?)"
_BEAT = (
    "UPDATE session SET beat = ?, beat_at = ? WHERE run = ? AND token = ? AND owner = ? AND ended_at IS NULL"
)
# Of drivers that died: they were last heard of at their last beat.
_OVER = "UPDATE session SET ended_at = beat_at WHERE run = ? AND ended_at IS NULL"
_LAST = f"SELECT {SESSION_COLUMNS} FROM session WHERE run = ? ORDER BY token DESC LIMIT 1"


class Lease(NamedTuple):
    """A driver's right to write a run: the run's id and number, the fencing token, the owner's id."""

    run_id: str
    run: int
    token: int
    owner: str


class Claimed(NamedTuple):
    """A run that was taken over, and the state that it was in."""

    lease: Lease
    state: str


def open_session(
    connection: StoreConnection, lease: Lease, owner: Owner, python: str | None, key_id: str | None
) -> Lease:
    """Write down that a driver drives a run from now on, and whose drivers have died meanwhile."""
    beat, now = _beat()
    connection.execute(_INSERT, (lease.run, lease.token, *owner, now, beat, now, python, key_id))
    _mark_interrupted(connection, lease.run)
    return lease


def claim_run(
    connection: StoreConnection, number: int, owner: Owner, python: str | None, key_id: str | None
) -> Claimed:
    """Take a run over whose driver has died, or ended.

    Raises:
        RunOwnedError: It lives.
    """
    found = connection.execute("SELECT id, state FROM run WHERE number = ?", (number,)).fetchone()
    if found is None:
        raise errors.RecordRefusedError(connection.path, f"there is no run number {number} to go on with")
    run_id, state = found
    last, seen = _last(connection, number), here()
    if last and (stands := standing(last, seen)) != "dead":
        quiet = None if stands == "live" else silence(last, seen)
        raise errors.RunOwnedError(run_id, connection.path, last.host, last.pid, last.since / 1e6, quiet)
    connection.execute(_OVER, (number,))
    lease = Lease(run_id, number, last.token + 1 if last else 1, owner.id)
    return Claimed(open_session(connection, lease, owner, python, key_id), state)


def keep_lease(connection: StoreConnection, lease: Lease) -> None:
    """Say that the driver lives, and see that the run is still its own.

    Raises:
        LeaseLostError: It is not.
    """
    if connection.execute(_BEAT, (*_beat(), lease.run, lease.token, lease.owner)).rowcount:
        return
    now = _last(connection, lease.run)
    if now is None or now.ended_at is not None:
        raise errors.LeaseLostError(lease.run_id, connection.path, None, None)
    raise errors.LeaseLostError(lease.run_id, connection.path, now.host, now.pid)


def _mark_interrupted(connection: sqlite3.Connection, mine: int) -> None:
    """Write down of other runs that their drivers have died, as far as that is certain.

    Where only silence tells (see lease.py) whoever looks may say so, but a driver that wakes up goes on.
    """
    seen = here()
    running = connection.execute("SELECT number FROM run WHERE state = 'running'").fetchall()
    for (number,) in running:
        last = None if number == mine else _last(connection, number)
        if number != mine and (last is None or known(last, seen) == "dead"):
            connection.execute(_OVER, (number,))
            connection.execute("UPDATE run SET state = 'interrupted' WHERE number = ?", (number,))


def _last(connection: sqlite3.Connection, number: int) -> Session | None:
    found = connection.execute(_LAST, (number,)).fetchone()
    return found and Session._make(found)


def _beat() -> tuple[int, int]:
    """This moment, by the clock since the boot and since 1970."""
    return int(system.boot_clock() * 1e6), time.time_ns() // 1000
