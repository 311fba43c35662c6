"""Events in the store: sent from anywhere, taken by task instances that wait for them.

    send_event --> event <--taken by-- wait: a task instance, since when, which event

An event is for every run that was there when it was sent, and, as long as no run has taken it, for later
ones too: so it may come before anybody waits.  A run takes each event once, in the order in which they were
sent.  What a task instance has taken stays its own, whichever driver goes on with the run.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Final, NamedTuple

from liteflow.errors import UnknownNameError
from liteflow.store.db import open_store
from liteflow.store.faults import FAULTS, explain
from liteflow.store.place import StorePath
from liteflow.store.queries import bound

_SEND = "INSERT INTO event (name, run, at, taken, data) VALUES (?, ?, ?, 0, ?)"
_WAITED = (
    "SELECT w.since, e.data, e.seq FROM wait AS w LEFT JOIN event AS e ON e.seq = w.event WHERE w.id = ?"
)
_NEXT: Final = """
SELECT seq FROM event
WHERE name = ?1 AND coalesce(run, ?2) = ?2
    AND (run = ?2 OR taken = 0 OR at >= (SELECT created_at FROM run WHERE number = ?2))
    AND seq NOT IN (
        SELECT event FROM wait WHERE id BETWEEN ?2 << 32 AND ?2 << 32 | 4294967295 AND event IS NOT NULL
    )
ORDER BY seq LIMIT 1"""


class Waited(NamedTuple):
    """What is known of a task instance that waits.

    Attributes:
        since: Since when it waits, in microseconds since 1970.
        data: What the event says that it has taken, as JSON; None: it has none.
    """

    since: int
    data: str | None


def send_event(path: StorePath, name: str, data: str = "{}", run_id: str | None = None) -> None:
    """Write an event down; a store is made if there is none.

    Args:
        path: The store's file.
        name: What those who wait for it know it by.
        data: What it says, as JSON.
        run_id: The run that it is for; None: any.

    Raises:
        UnknownNameError: There is no such run.
        StoreError: It can't be written.
    """
    connection = open_store(path)
    try:
        connection.begin()
        number = None if run_id is None else _number_of(connection, run_id)
        connection.execute(_SEND, (name, number, time.time_ns() // 1000, data))
        connection.commit()
    except FAULTS as error:
        raise explain(error, connection.path) from error
    finally:
        connection.rollback()
        connection.close()


def waited(connection: sqlite3.Connection, row_id: int, name: str | None) -> Waited | None:
    """Look at a task instance that waits; None: there is something to be written down (`wait`)."""
    found = connection.execute(_WAITED, (row_id,)).fetchone()
    if found is None:
        return None
    since, data, seq = found
    if seq is None and name is not None and _next(connection, row_id, name) is not None:
        return None
    return Waited(since, data)


def wait(connection: sqlite3.Connection, row_id: int, name: str | None) -> None:
    """Write down that a task instance waits, and take an event for it if there is one; in a transaction."""
    connection.execute(
        "INSERT INTO wait VALUES (?, ?, NULL) ON CONFLICT DO NOTHING", (row_id, time.time_ns() // 1000)
    )
    seq = None if name is None else _next(connection, row_id, name)
    if seq is not None:
        connection.execute("UPDATE wait SET event = ? WHERE id = ? AND event IS NULL", (seq, row_id))
        connection.execute("UPDATE event SET taken = 1 WHERE seq = ?", (seq,))


def _next(connection: sqlite3.Connection, row_id: int, name: str) -> int | None:
    """The first event of a name that the run has not taken, and may."""
    found = connection.execute(_NEXT, bound(_NEXT, (name, row_id >> 32))).fetchone()
    return None if found is None else int(found[0])


def _number_of(connection: sqlite3.Connection, run_id: str) -> int:
    found = connection.execute("SELECT number FROM run WHERE id = ?", (run_id,)).fetchone()
    if found is None:
        raise UnknownNameError("the store", "run", run_id, [])
    return int(found[0])
