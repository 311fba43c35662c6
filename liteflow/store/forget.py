"""Runs are taken out of a store, with all that belongs to them; never one that goes on."""

from __future__ import annotations

from collections.abc import Iterable

from liteflow.errors import RunOwnedError
from liteflow.store.db import StoreConnection
from liteflow.store.faults import FAULTS, explain
from liteflow.store.lease import SESSION_COLUMNS, Session, here, standing
from liteflow.store.rows import RunRow

# Taken by a run, and sent before any of those that are left: nobody can take them any more.
_EVENTS_OVER = (
    "DELETE FROM event WHERE taken = 1 AND NOT EXISTS (SELECT 1 FROM run WHERE created_at <= event.at) "
    "AND NOT EXISTS (SELECT 1 FROM wait WHERE wait.event = event.seq)"
)


def forget_runs(connection: StoreConnection, runs: Iterable[RunRow]) -> int:
    """Delete runs: their graphs, values, attempts and logs; return how many there were.

    Each goes in one transaction, in which it is looked at again: its driver may have come back.
    The file keeps its size; the space is used for what comes next.

    Args:
        connection: To the store, open to write.
        runs: Which.

    Raises:
        RunOwnedError: One is being driven; those before it are gone.
        StoreError: The file can't be written to.
    """
    gone = 0
    try:
        for run in runs:
            connection.begin()
            try:
                _refuse_driven(connection, run)
                first = run.number << 32
                connection.execute(
                    "DELETE FROM instance WHERE id >= ? AND id < ?", (first, first + (1 << 32))
                )
                gone += connection.execute("DELETE FROM run WHERE number = ?", (run.number,)).rowcount
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
        connection.begin()
        try:
            connection.execute(_EVENTS_OVER)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
        connection.checkpoint()
    except FAULTS as error:
        raise explain(error, connection.path) from error
    return gone


def _refuse_driven(connection: StoreConnection, run: RunRow) -> None:
    state = connection.execute("SELECT state FROM run WHERE number = ?", (run.number,)).fetchone()
    if state != ("running",):
        return
    query = f"SELECT {SESSION_COLUMNS} FROM session WHERE run = ? ORDER BY token DESC LIMIT 1"
    for row in connection.execute(query, (run.number,)):
        last = Session._make(row)
        if standing(last, here()) != "dead":
            raise RunOwnedError(run.id, connection.path, last.host, last.pid, last.since / 1e6)
