"""Writing a run down: rows are put, and committed together, in the order in which they came.

    begin | claim -> (put ... put -> commit) ... -> end | abandon -> close
              piece: a part of a large payload, committed at once, before its outcome is put
              beat: nothing to commit, and still alive

Whoever begins or claims a run has its lease (lease.py).  Each transaction first says so: if
another driver has taken the run over, nothing is written.

The driver puts rows as it learns facts, and commits every few milliseconds: one explicit
transaction for all that was put since the last.  Whatever goes wrong, the transaction is
rolled back, what had been committed stays, and what was to be committed still waits.

Rows are plain tuples in the order of the table's columns (schema.sql): this is the hot path.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from liteflow import errors
from liteflow.errors import StoreError
from liteflow.store.db import StoreConnection
from liteflow.store.faults import explained
from liteflow.store.insert import insert_rows
from liteflow.store.lease import Owner
from liteflow.store.newrun import CONTEXT, DEFINITION, TASK, NewRun, Row, instance_of, write_run
from liteflow.store.session import (
    LOOK_EVERY_S,
    SESSION_ENDED,
    Claimed,
    Lease,
    LeasedWriter,
    claim_run,
    open_session,
)

if TYPE_CHECKING:
    # Start-up: few runs wait for events, and most are no resumes.
    from liteflow.store.events import Waited
    from liteflow.store.rewrite import Remac

__all__ = ["LOOK_EVERY_S", "Journal", "NewRun", "Row"]

# SQL, or what else is to be done with the rows inside the transaction.
Statement = str | Callable[[sqlite3.Connection, Sequence[Row]], None]

# How long the last words wait for a lock.
_CLOSING_S = 1.0

# No OR REPLACE: an outcome that has been committed never changes (see `forget`).
_OUTCOME = "INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# The same without what all that succeeded have in common: to bind a NULL costs more than to write it.
_SUCCESS = "INSERT INTO outcome VALUES (?, 'succeeded', ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ATTEMPT = "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LOG = "INSERT INTO log (id, attempt, at, stream, line) VALUES (?, ?, ?, ?, ?)"
_CHUNK = (
    "INSERT INTO stream (id, attempt, number, at, name, type, codec, size, sha256, mac, preview, exact, "
    "by_value, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CACHE = "INSERT OR REPLACE INTO cache VALUES (?, ?, ?)"
_RUNNING = "INSERT OR REPLACE INTO running VALUES (?, ?, ?, ?)"
_NOT_RUNNING = "DELETE FROM running WHERE id = ?"
_FORGET = "DELETE FROM outcome WHERE id = ? AND state NOT IN ('succeeded', 'cached')"
_ALL_STOPPED = "DELETE FROM running WHERE id BETWEEN ? AND ?"
# Chunks of attempts that were broken off with their driver, or whose values count no more: they happened.
_CHUNKS_VOID = "UPDATE stream SET attempt = -attempt WHERE id = ? AND attempt > 0"
_CHUNKS_BROKEN_OFF = (
    "UPDATE stream SET attempt = -attempt WHERE id BETWEEN ? AND ? AND attempt > 0 "
    "AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.id = stream.id) "
    "AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.id = stream.id AND attempt.attempt = stream.attempt)"
)
_END = "UPDATE run SET state = ?, ended_at = ?, error = ? WHERE number = ?"
_RECIPE = "UPDATE run SET holes = ?, seal = ?, result = ? WHERE number = ?"
# Pieces that no outcome needs: of an attempt whose outcome did not come, or was made again and small.
_ORPHANS = (
    "DELETE FROM chunk WHERE id BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM outcome AS o "
    "WHERE o.id = chunk.id AND o.state IN ('succeeded', 'cached') AND o.payload IS NULL)"
)


class Journal:
    """The one writer of a run; all its methods are called in the thread that opened the connection.

    Args:
        connection: As `open_store` gives it; `close` closes it.
        clock: Monotonic seconds.

    Attributes:
        connection: The same.
        number: The run's number in the store, 0 before `begin` or `claim`.
        waiting: How many rows have been put and not committed.
        commits: How often rows have been committed.

    >>> from liteflow.store.db import open_store
    >>> from liteflow.store.lease import this_process
    >>> journal = Journal(open_store(None))
    >>> run = NewRun("run-1", "etl", 0, 0, tasks=[(0, "load", "int", None, None)])
    >>> journal.begin(run, [(0, "load", 0, None, None, None)], this_process())
    >>> value = ("int", "pickle", 5, bytes(32), None, "42", 1, 0, b"12345")
    >>> journal.outcomes([(journal.base + 0, "succeeded", 1, 10, 20, "worker-1", None, *value)])
    >>> journal.end("succeeded", 1_000_000, None)
    >>> journal.connection.execute("SELECT key, state, ended_at FROM tasks").fetchall()
    [('load', 'succeeded', '1970-01-01T00:00:00.000030Z')]
    >>> journal.close()
    """

    def __init__(self, connection: StoreConnection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self.number = 0
        self.waiting = self.commits = 0
        self._batches: list[tuple[Statement, list[Row]]] = []
        self._noted: set[object] = set()
        self._writer = LeasedWriter(connection, clock)

    @property
    def base(self) -> int:
        """The row id of the task instance with index 0."""
        return self.number << 32

    def begin(
        self, run: NewRun, instances: Iterable[Row], owner: Owner, *, key_id: str | None = None
    ) -> None:
        """Write down a run and all its task instances, and commit.

        Args:
            run: The run.
            instances: (index, key, task, parent, inputs, constants) of each task instance.
            owner: Who drives it.
            key_id: Which key its keyed checks are made with; None: it has none.

        Raises:
            RunExistsError: There is a run of this id.
            StoreError: It can't be written; nothing of it was.
        """
        connection = self.connection
        lease: Lease | None = None

        def write() -> None:
            nonlocal lease
            number = write_run(connection, run, instances)
            lease = open_session(connection, Lease(run.id, number, 1, owner.id), owner, run.python, key_id)

        self._writer.transact(write, leased=False)
        self._take(lease)

    def claim(
        self, number: int, owner: Owner, *, python: str | None = None, key_id: str | None = None
    ) -> str:
        """Go on with a run that has begun before: what is put from now on is of that run.

        What is known of the run has to be read after this, for until then its driver may have
        written more.

        Args:
            number: The run's.
            owner: Who drives it now.
            python: This Python's version.
            key_id: As of `begin`.

        Returns:
            The state that the run was in.

        Raises:
            RunOwnedError: Its driver lives.
            StoreError: It can't be written.
        """
        connection = self.connection
        claimed: Claimed | None = None

        def write() -> None:
            nonlocal claimed
            claimed = claim_run(connection, number, owner, python, key_id)
            connection.execute(_ALL_STOPPED, _span(number))
            connection.execute(_CHUNKS_BROKEN_OFF, _span(number))
            connection.execute(_END, ("running", None, None, number))

        self._writer.transact(write, leased=False)
        assert claimed is not None
        self._take(claimed.lease)
        return claimed.state

    # --- what is put waits for `commit` ----------------------------------------------------

    def instances(self, rows: Sequence[Row]) -> None:
        """Task instances that came later: (index, key, task, parent, inputs, constants)."""
        self._put(instance_of(self.number), rows)

    def growth(self, rows: Sequence[tuple[int, bytes | None, bytes]]) -> None:
        """What task instances became that gave calls in place of a value: (id, keyed check, expansion).

        The calls themselves are `instances`, put before or behind it, with this as their parent.
        """
        self._put("INSERT OR REPLACE INTO growth VALUES (?, ?, ?)", rows)

    def tasks(self, rows: Sequence[Row]) -> None:
        """Tasks that came later, as in NewRun; those that are there already stay."""
        self._put(f"{TASK} ON CONFLICT DO NOTHING", [(self.number, *row) for row in rows])

    def definitions(self, rows: Sequence[tuple[str, bytes | None, bytes]]) -> None:
        """Definitions of the script's classes: (names as JSON, keyed check, pickle); those known stay."""
        self._put(DEFINITION, [(self.number, *row) for row in rows])

    def outcomes(self, rows: Sequence[Row]) -> None:
        """How task instances ended: rows of the table, one for each, once."""
        if self._noted:
            self._stopped(rows)
        self._put(_OUTCOME, rows)

    def successes(self, rows: Sequence[Row]) -> None:
        """The same for those that succeeded, quicker: rows of the table without `state` and `error`.

        Let `exact` be 0 or 1: sqlite3 takes three times as long for a bool.
        """
        if self._noted:
            self._stopped(rows)
        self._put(_SUCCESS, rows)

    def attempts(self, rows: Sequence[Row]) -> None:
        """Attempts that gave no value: rows of the table."""
        if self._noted:
            self._stopped(rows)
        self._put(_ATTEMPT, rows)

    def logs(self, rows: Sequence[Row]) -> None:
        """What attempts wrote: (id, attempt, at, stream, line)."""
        self._put(_LOG, rows)

    def chunks(self, rows: Sequence[Row]) -> None:
        """What attempts gave before they ended: rows of the table, without `seq`."""
        self._put(_CHUNK, rows)

    def cache(self, rows: Sequence[Row]) -> None:
        """Results that later runs may take over: rows of the table."""
        self._put(_CACHE, rows)

    def context(self, rows: Sequence[Row]) -> None:
        """Values that tasks share: rows of the table, without `run`, each in place of its key's last."""
        self._put(CONTEXT, [(self.number, *row) for row in rows])

    def running(self, rows: Sequence[Row]) -> None:
        """Attempts that have been running for long: rows of the table.

        What ends leaves the table by itself, and so do all when the run ends.
        """
        self._noted.update(row[0] for row in rows)
        self._put(_RUNNING, rows)

    def forget(self, ids: Iterable[int]) -> None:
        """Take back outcomes that gave no value, so that others can be put: a resume tries again.

        What succeeded stays.
        """
        self._put(_FORGET, [(row_id,) for row_id in ids])

    # --- a flow that has changed; these wait for `commit` too, so that all of it is one change ----

    def redo(self, indexes: Iterable[int]) -> None:
        """Let what these task instances gave count no more, values too: it is to be made again."""
        ids = [(self.base + index,) for index in indexes]
        for table in ("outcome", "chunk", "growth", "wait", "cache"):
            self._put(f"DELETE FROM {table} WHERE id = ?", ids)
        self._put(_CHUNKS_VOID, ids)

    def renumber(self, mapping: Mapping[int, int], remac: Remac) -> None:
        """Give task instances other indexes: old -> new, no two to one; see rewrite.py."""
        from liteflow.store.rewrite import renumber  # noqa: PLC0415  start-up

        number = self.number
        self._put(lambda connection, _: renumber(connection, number, mapping, remac), [()])

    def replace_tasks(self, rows: Sequence[Row]) -> None:
        """The run's tasks as they are now, as in NewRun; to be followed by `update_instances`."""
        from liteflow.store.rewrite import replace_tasks  # noqa: PLC0415  start-up

        number = self.number
        self._put(lambda connection, rows: replace_tasks(connection, number, rows), rows)

    def update_instances(self, rows: Sequence[Row]) -> None:
        """The run's task instances as they are now: (index, key, task, parent, inputs, constants).

        Those at other indexes stay if they have an outcome, and go if they have none.
        """
        from liteflow.store.rewrite import update_instances  # noqa: PLC0415  start-up

        number = self.number
        self._put(lambda connection, rows: update_instances(connection, number, rows), rows)

    def replace_recipe(self, holes: str | None, seal: bytes | None, result: bytes | None) -> None:
        """What the run's result is made of as it is now, as in NewRun."""
        self._put(_RECIPE, [(holes, seal, result, self.number)])

    # --- what commits ----------------------------------------------------------------------

    def beat(self) -> None:
        """Say that this driver lives, where there has been nothing to commit (see BEAT_EVERY_S).

        Raises:
            LeaseLostError: Another driver has the run.
            StoreError: It can't be written.
        """
        self._writer.transact(lambda: None)

    def piece(self, row_id: int, seq: int, data: bytes | memoryview) -> None:
        """Write a piece of a large payload, in a transaction of its own.

        The outcome, with no payload in its row, is put when all pieces have been written.
        The first piece takes away those of an earlier attempt that did not come to its outcome.

        Raises:
            RecordRefusedError: The task instance has a value already.
            StoreError: It can't be written.
        """
        connection = self.connection

        def write() -> None:
            query = "SELECT 1 FROM outcome WHERE id = ? AND state IN ('succeeded', 'cached')"
            if connection.execute(query, (row_id,)).fetchone():
                raise errors.RecordRefusedError(
                    connection.path, f"a piece for {_name(row_id)}, which has a value"
                )
            if seq == 0:
                connection.execute("DELETE FROM chunk WHERE id = ?", (row_id,))
            connection.execute("INSERT INTO chunk VALUES (?, ?, ?)", (row_id, seq, data))

        self._writer.transact(write)

    def waited(self, row_id: int, name: str | None) -> Waited | None:
        """Since when a task instance waits, and the event that it has taken (see events.py).

        Args:
            row_id: The task instance's.
            name: The event's; None: it waits for none.

        Returns:
            None: It begins to wait, or there is an event for it to take: see `wait`.

        Raises:
            StoreError: It can't be read.
        """
        from liteflow.store.events import waited  # noqa: PLC0415  start-up

        with explained(self.connection.path):
            return waited(self.connection, row_id, name)

    def wait(self, row_id: int, name: str | None) -> Waited:
        """The same when that has been written down, at once.

        All that was put before has been committed: the task instance is in the store.

        Raises:
            StoreError: It can't be written.
        """
        from liteflow.store.events import Waited, wait  # noqa: PLC0415  start-up

        self._writer.transact(lambda: wait(self.connection, row_id, name))
        known = self.waited(row_id, name)
        # An event that came just now is for the next time.
        return Waited(time.time_ns() // 1000, None) if known is None else known

    def commit(self) -> None:
        """Commit all that was put since the last time, in that order, as one transaction.

        Raises:
            RecordRefusedError: A task instance has an outcome already, or there is none such.
            StoreError: It can't be written.  Nothing of it was, and all of it still waits: after
                making space, for one, commit again.
        """
        if not self._batches:
            return
        try:
            self._commit_batches()
        except UnicodeEncodeError:
            # Half a character (a lone surrogate), which SQLite can't hold: it is kept escaped.
            self._batches = [(sql, [_without_surrogates(row) for row in rows]) for sql, rows in self._batches]
            self._commit_batches()

    def end(self, state: str, ended_at: int, error: str | None) -> None:
        """Write down how the run ended, with all that was put, and bring it into the one file.

        Raises:
            StoreError: It can't be written.
        """
        self._put(_ALL_STOPPED, [self._span()])
        self._put(_ORPHANS, [self._span()])
        self._put(_END, [(state, ended_at, error, self.number)])
        self._leave(ended_at)

    def abandon(self, error: str | None = None) -> None:
        """Stop driving the run: it is `interrupted`, and anybody may go on with it at once.

        Raises:
            StoreError: It can't be written.
        """
        self._put(_ALL_STOPPED, [self._span()])
        self._put(_END, [("interrupted", None, error, self.number)])
        self._leave(time.time_ns() // 1000)

    def close(self) -> None:
        """Close the store.  What has not been committed is not kept; a run not ended is interrupted."""
        if self._writer.drives:
            self._batches, self.waiting = [], 0
            self.connection.patience = min(self.connection.patience, _CLOSING_S)
            # If nothing can be written, the run is free for this process at once, for others when it ends.
            with suppress(StoreError, sqlite3.Error):
                self.abandon()
        self._writer.drop()
        self.connection.close()

    # --- how -------------------------------------------------------------------------------

    def _take(self, lease: Lease | None) -> None:
        assert lease is not None
        self._writer.take(lease)
        self.number = lease.run

    def _leave(self, at: int) -> None:
        assert self._writer.lease is not None, "a journal ends after begin or claim"
        self._put(SESSION_ENDED, [(at, self.number, self._writer.lease.token)])
        # However short the run was: what goes to a file that is gone must not be told as kept.
        self._writer.look_now()
        self.commit()
        self._writer.drop()
        self._checkpoint()

    def _put(self, statement: Statement, rows: Sequence[Row]) -> None:
        if not rows and isinstance(statement, str):
            return
        batches = self._batches
        if batches and batches[-1][0] is statement:
            batches[-1][1].extend(rows)
        else:
            batches.append((statement, list(rows)))
        self.waiting += len(rows)

    def _stopped(self, rows: Sequence[Row]) -> None:
        ended = [(row[0],) for row in rows if row[0] in self._noted]
        self._noted.difference_update(row[0] for row in ended)
        self._put(_NOT_RUNNING, ended)

    def _span(self) -> tuple[int, int]:
        return _span(self.number)

    def _commit_batches(self) -> None:
        batches, waiting = self._batches, self.waiting
        self._batches, self.waiting = [], 0
        often = (_SUCCESS, instance_of(self.number))

        def write() -> None:
            for statement, rows in batches:
                if statement in often:
                    insert_rows(self.connection, statement, rows)
                elif isinstance(statement, str):
                    self.connection.executemany(statement, rows)
                else:
                    statement(self.connection, rows)

        try:
            self._writer.transact(write)
            self.commits += 1
        except errors.RecordRefusedError as error:
            self._batches, self.waiting = batches, waiting
            raise self._with_culprit(error) from error.__cause__
        except BaseException:
            # Ctrl-C may come when all is committed already.
            if not self._writer.landed:
                self._batches, self.waiting = batches, waiting
            raise

    def _with_culprit(self, error: errors.RecordRefusedError) -> errors.RecordRefusedError:
        """The same error, saying which task instance has had an outcome: SQLite does not."""
        put = [row[0] for sql, rows in self._batches if sql in (_OUTCOME, _SUCCESS) for row in rows]
        for row_id, times in Counter(put).items():
            known = self.connection.execute("SELECT 1 FROM outcome WHERE id = ?", (row_id,)).fetchone()
            if known or times > 1:
                return errors.RecordRefusedError(
                    error.path, f"a second outcome of {_name(row_id)} ({error.detail})"
                )
        return error

    def _checkpoint(self) -> None:
        # A reader in mid-read, or a disk with no space left, can stand in its way: then all is in the
        # -wal file, as safe as before, and the next who writes to the store brings it over.
        with suppress(sqlite3.Error):
            self.connection.checkpoint()


def _span(number: int) -> tuple[int, int]:
    """The first and the last row id that a run's task instances may have."""
    return number << 32, (number << 32) + 0xFFFFFFFF


def _name(row_id: object) -> str:
    assert isinstance(row_id, int)
    return f"task instance {row_id & 0xFFFFFFFF} of run number {row_id >> 32}"


def _without_surrogates(row: Row) -> Row:
    return tuple([v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in row])
