"""Writing a run down: rows are put, and committed together, in the order in which they came.

    begin -> (put ... put -> commit) ... -> end -> close
              piece: a part of a large payload, committed at once, before its outcome is put

The driver puts rows as it learns facts, and commits every few milliseconds: one explicit
transaction for all that was put since the last.  Whatever goes wrong, the transaction is
rolled back, what had been committed stays, and what was to be committed still waits.

Rows are plain tuples in the order of the table's columns (schema.sql): this is the hot path.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from liteflow.errors import RecordRefusedError, RunExistsError, StoreError, StoreGoneError
from liteflow.store.db import StoreConnection
from liteflow.store.faults import FAULTS, explain
from liteflow.store.place import Identity

Row = tuple[object, ...]

# A file that was removed or replaced is noticed within so many seconds.
LOOK_EVERY_S: Final = 1.0

_RUN = "INSERT INTO run VALUES (NULL, ?, ?, 'running', ?, ?, NULL, NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
_DEFINITION = "INSERT OR IGNORE INTO definition VALUES (?, ?, ?, ?)"
_TASK = "INSERT INTO task VALUES (?, ?, ?, ?, ?, ?)"
_INSTANCE = "INSERT INTO instance VALUES (? + ?, ?, ?, ?, ?)"
# No OR REPLACE: an outcome that has been committed never changes (see `forget`).
_OUTCOME = "INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# The same without what all that succeeded have in common: to bind a NULL costs more than to write it.
_SUCCESS = "INSERT INTO outcome VALUES (?, 'succeeded', ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ATTEMPT = "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LOG = "INSERT INTO log (id, attempt, at, stream, line) VALUES (?, ?, ?, ?, ?)"
_RUNNING = "INSERT OR REPLACE INTO running VALUES (?, ?, ?, ?)"
_NOT_RUNNING = "DELETE FROM running WHERE id = ?"
_FORGET = "DELETE FROM outcome WHERE id = ? AND state NOT IN ('succeeded', 'cached')"
_ALL_STOPPED = "DELETE FROM running WHERE id BETWEEN ? AND ?"
_END = "UPDATE run SET state = ?, ended_at = ?, error = ? WHERE number = ?"
# Pieces that no outcome needs: of an attempt whose outcome did not come, or was made again and small.
_ORPHANS = (
    "DELETE FROM chunk WHERE id BETWEEN ? AND ? AND NOT EXISTS "
    "(SELECT 1 FROM outcome WHERE outcome.id = chunk.id AND state = 'succeeded' AND payload IS NULL)"
)


class NewRun(NamedTuple):
    """What is written down of a run when it begins; times are microseconds since 1970, UTC.

    `arguments`, `settings` and `holes` are JSON, `arguments` of previews only.  `seal` is the keyed
    check of the run's own bytes.  `definitions` are (names as JSON, keyed check, pickle), `tasks` are
    (number, name, declared type, policy as JSON, fingerprint of the code).
    """

    id: str
    flow: str
    created_at: int
    started_at: int
    arguments: str | None = None
    script: str | None = None
    python: str | None = None
    settings: str | None = None
    holes: str | None = None
    seal: bytes | None = None
    result: bytes | None = None
    packed_arguments: bytes | None = None
    definitions: Sequence[tuple[str, bytes | None, bytes]] = ()
    tasks: Sequence[tuple[int, str, str | None, str | None, str | None]] = ()


class Journal:
    """The one writer of a run; all its methods are called in the thread that opened the connection.

    Args:
        connection: As `open_store` gives it; `close` closes it.
        clock: Monotonic seconds.

    Attributes:
        connection: The same.
        number: The run's number in the store, 0 before `begin`.
        waiting: How many rows have been put and not committed.

    >>> from liteflow.store.db import open_store
    >>> journal = Journal(open_store(None))
    >>> run = NewRun("run-1", "etl", 0, 0, tasks=[(0, "load", "int", None, None)])
    >>> journal.begin(run, [(0, "load", 0, None, None)])
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
        self.waiting = 0
        self._batches: list[tuple[str, list[Row]]] = []
        self._noted: set[object] = set()
        self._landed = False
        self._clock = clock
        self._next_look = clock() + LOOK_EVERY_S

    @property
    def base(self) -> int:
        """The row id of the task instance with index 0."""
        return self.number << 32

    def begin(self, run: NewRun, instances: Iterable[Row]) -> None:
        """Write down a run and all its task instances, and commit.

        Args:
            run: The run.
            instances: (index, key, task, inputs, constants) of each task instance.

        Raises:
            RunExistsError: There is a run of this id.
            StoreError: It can't be written; nothing of it was.
        """
        connection = self.connection
        columns = run[:12]
        number = 0

        def write() -> None:
            nonlocal number
            if connection.execute("SELECT 1 FROM run WHERE id = ?", (run.id,)).fetchone():
                raise RunExistsError(run.id, connection.path)
            number = connection.execute(_RUN, columns).lastrowid or 0
            connection.executemany(_DEFINITION, [(number, *row) for row in run.definitions])
            connection.executemany(_TASK, [(number, *row) for row in run.tasks])
            base = number << 32
            connection.executemany(_INSTANCE, ((base, *row) for row in instances))

        self._transact(write)
        self.number = number

    def resume(self, number: int) -> None:
        """Go on with a run that has begun before: what is put from now on is of that run.

        Raises:
            StoreError: It can't be written.
        """
        self.number = number
        self._put(_ALL_STOPPED, [self._span()])
        self._put(_END, [("running", None, None, number)])
        self.commit()

    # --- what is put waits for `commit` ----------------------------------------------------

    def instances(self, rows: Sequence[Row]) -> None:
        """Task instances that came later: (index, key, task, inputs, constants)."""
        base = self.base
        self._put(_INSTANCE, [(base, *row) for row in rows])

    def definitions(self, rows: Sequence[tuple[str, bytes | None, bytes]]) -> None:
        """Definitions of the script's classes: (names as JSON, keyed check, pickle); those known stay."""
        self._put(_DEFINITION, [(self.number, *row) for row in rows])

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

    # --- what commits ----------------------------------------------------------------------

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
                raise RecordRefusedError(connection.path, f"a piece for {_name(row_id)}, which has a value")
            if seq == 0:
                connection.execute("DELETE FROM chunk WHERE id = ?", (row_id,))
            connection.execute("INSERT INTO chunk VALUES (?, ?, ?)", (row_id, seq, data))

        self._transact(write)

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
        self.commit()
        self._checkpoint()

    def close(self) -> None:
        """Close the store.  What has not been committed is not kept."""
        self.connection.close()

    # --- how -------------------------------------------------------------------------------

    def _put(self, statement: str, rows: Sequence[Row]) -> None:
        if not rows:
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
        return self.base, self.base + 0xFFFFFFFF

    def _commit_batches(self) -> None:
        batches, waiting = self._batches, self.waiting
        self._batches, self.waiting = [], 0

        def write() -> None:
            for statement, rows in batches:
                self.connection.executemany(statement, rows)

        try:
            self._transact(write)
        except RecordRefusedError as error:
            self._batches, self.waiting = batches, waiting
            raise self._with_culprit(error) from error.__cause__
        except BaseException:
            # Ctrl-C may come when all is committed already.
            if not self._landed:
                self._batches, self.waiting = batches, waiting
            raise

    def _transact(self, write: Callable[[], None]) -> None:
        connection = self.connection
        self._landed = begun = False
        self._check_file()
        try:
            connection.begin()
            begun = True
            write()
            connection.execute("COMMIT")
            self._landed = True
        except (*FAULTS, OverflowError) as error:
            self._roll_back()
            raise self._explained(error) from error
        except BaseException:
            self._landed = begun and not connection.in_transaction
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # After some errors (a full disk) SQLite has done so by itself; and what stands in the way of
        # a rollback is what is being reported already.
        with suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _explained(self, error: Exception) -> StoreError:
        if isinstance(error, OverflowError):
            return RecordRefusedError(self.connection.path, str(error))
        return explain(error, self.connection.path)

    def _with_culprit(self, error: RecordRefusedError) -> RecordRefusedError:
        """The same error, saying which task instance has had an outcome: SQLite does not."""
        put = [row[0] for sql, rows in self._batches if sql in (_OUTCOME, _SUCCESS) for row in rows]
        for row_id, times in Counter(put).items():
            known = self.connection.execute("SELECT 1 FROM outcome WHERE id = ?", (row_id,)).fetchone()
            if known or times > 1:
                return RecordRefusedError(error.path, f"a second outcome of {_name(row_id)} ({error.detail})")
        return error

    def _check_file(self) -> None:
        """Notice that the file was removed or replaced: SQLite would go on writing, to nowhere."""
        connection = self.connection
        connection.check_process()
        if connection.identity is None or self._clock() < self._next_look:
            return
        self._next_look = self._clock() + LOOK_EVERY_S
        try:
            now = Identity.of(connection.path)
        except FileNotFoundError as error:
            raise StoreGoneError(connection.path, "removed") from error
        except OSError as error:
            raise StoreGoneError(connection.path, f"put out of reach ({error.strerror})") from error
        if now != connection.identity:
            raise StoreGoneError(connection.path, "replaced by another file")

    def _checkpoint(self) -> None:
        # A reader in mid-read, or a disk with no space left, can stand in its way: then all is in the
        # -wal file, as safe as before, and the next who writes to the store brings it over.
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _name(row_id: object) -> str:
    assert isinstance(row_id, int)
    return f"task instance {row_id & 0xFFFFFFFF} of run number {row_id >> 32}"


def _without_surrogates(row: Row) -> Row:
    return tuple([v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in row])
