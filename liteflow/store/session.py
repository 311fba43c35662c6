"""A driver's time with a run in the store: its lease, and the transactions which keep that.

    open_session, claim_run ---> keep_lease, again and again ---> ended, or LeaseLostError

All of this happens inside a transaction of the `LeasedWriter`, so that no two drivers can do it at once.
What is written, and when, is the journal's to say.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from liteflow import errors, system
from liteflow.errors import StoreError
from liteflow.store.faults import FAULTS, explain
from liteflow.store.lease import SESSION_COLUMNS, Owner, Session, driving, here, known, silence, standing
from liteflow.store.place import Identity

if TYPE_CHECKING:
    from liteflow.store.db import StoreConnection

# A file that was removed or replaced is noticed within so many seconds.
LOOK_EVERY_S: Final = 1.0

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


class LeasedWriter:
    """Transactions of the one driver of a run, into the file that is still where it was.

    Args:
        connection: Of the store.
        clock: Monotonic seconds.

    Attributes:
        lease: The run's, None before there is one.
        landed: Whether what the last transaction wrote is there, though it may have been interrupted.
    """

    def __init__(self, connection: StoreConnection, clock: Callable[[], float]) -> None:
        self.lease: Lease | None = None
        self.landed = False
        self._connection = connection
        self._clock = clock
        self._next_look = clock() + LOOK_EVERY_S

    @property
    def drives(self) -> bool:
        """Whether it has a lease that it has not let go of."""
        return self.lease is not None and self.lease.owner in driving

    def take(self, lease: Lease) -> None:
        """Keep this lease from now on."""
        self.drop()
        self.lease = lease
        driving[lease.owner] = self

    def drop(self) -> None:
        """Let go of the lease: to this process, too, its driver is gone."""
        if self.lease is not None:
            driving.pop(self.lease.owner, None)

    def look_now(self) -> None:
        """Let the next transaction see whether the file is there, however short ago the last has."""
        self._next_look = 0.0

    def transact(self, write: Callable[[], None], *, leased: bool = True) -> None:
        """Do `write` as one transaction, which keeps the lease: all of it is there then, or nothing.

        Args:
            write: What writes.
            leased: False of the transaction that takes the lease.

        Raises:
            LeaseLostError: Another driver has the run.
            RecordRefusedError: It contradicts what is there.
            StoreError: It can't be written.
        """
        connection = self._connection
        self.landed = begun = False
        self._check_file()
        try:
            connection.begin()
            begun = True
            if leased:
                assert self.lease is not None, "a journal writes after begin or claim"
                keep_lease(connection, self.lease)
            write()
            connection.commit()
            self.landed = True
        except (*FAULTS, OverflowError) as error:
            self._roll_back()
            raise self._explained(error) from error
        except BaseException:
            self.landed = begun and not connection.in_transaction
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # What stands in the way of a rollback is what is being reported already.
        with suppress(sqlite3.Error):
            self._connection.rollback()

    def _explained(self, error: Exception) -> StoreError:
        if isinstance(error, OverflowError):
            return errors.RecordRefusedError(self._connection.path, str(error))
        return explain(error, self._connection.path)

    def _check_file(self) -> None:
        """Notice that the file was removed or replaced: SQLite would go on writing, to nowhere."""
        connection = self._connection
        connection.check_process()
        if connection.identity is None or self._clock() < self._next_look:
            return
        self._next_look = self._clock() + LOOK_EVERY_S
        try:
            now = Identity.of(connection.path)
        except FileNotFoundError as error:
            raise errors.StoreGoneError(connection.path, "removed") from error
        except OSError as error:
            raise errors.StoreGoneError(connection.path, f"put out of reach ({error.strerror})") from error
        if now != connection.identity:
            raise errors.StoreGoneError(connection.path, "replaced by another file")
