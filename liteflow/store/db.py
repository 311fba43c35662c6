"""How a store is opened: made, recognised, brought up to date, or refused unharmed.

    path --prepare--> a file of ours --recognise--> new | ours | older --migrate--> StoreConnection
                                          |
                                          +--> refused: another application's, a newer schema, no database

All connections belong to one thread (those in memory excepted, see `open_store`) and none
may be used by a forked child.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

from liteflow import errors
from liteflow.store.faults import FAULTS, explain, explained
from liteflow.store.guard import Guard, guard_for
from liteflow.store.place import Identity, StorePath, absolute, prepare
from liteflow.store.schema import MIGRATIONS, Step, newest, plain, schema_text, statements

APPLICATION_ID: Final = 0x6C69666C  # "lifl"
MEMORY: Final = ":memory:"

T = TypeVar("T")

Durability = Literal["normal", "full"]
_SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}
# SQLite waits for a lock this long at a time, and we again and again: between, Ctrl-C gets through.
_WAIT_S = 0.2
# How long the last words of a connection wait for others that write; then SQLite's own locks have to do.
_CLOSING_S = 1.0
# What a rollback journal begins with; its bytes 16 to 19 say how many pages the file had before.
_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_LOG_LIMIT = 64 * 1024 * 1024


class StoreConnection(sqlite3.Connection):
    """A connection that knows which file it is for.

    Attributes:
        path: Of the file, absolute; ":memory:" if there is none.
        identity: Which file that was when it was opened; None in memory.
        process: The id of the process that opened it.
        patience: How long to wait for a lock, in seconds.
        guard: Is held while something is written.
    """

    path: str = MEMORY
    identity: Identity | None = None
    process: int = 0
    patience: float = 20.0
    guard: Guard | None = None

    @property
    def store_id(self) -> str:
        """The file's own id, random."""
        (found,) = self.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchone()
        return str(found)

    def check_process(self) -> None:
        """See that this is not a forked copy.

        Raises:
            StoreForkedError: It is one.
        """
        if os.getpid() != self.process:
            raise errors.StoreForkedError(self.path, f"process {self.process}, this is {os.getpid()}")

    def begin(self) -> None:
        """Begin a transaction that writes, when whoever writes now has done so.

        Raises:
            StoreBusyError: The lock was not to be had in time.
            StoreError: SQLite can't begin.
        """
        _patiently(self, lambda: self._guarded(lambda: self.execute("BEGIN IMMEDIATE")))

    def commit(self) -> None:
        """Commit what has been begun."""
        self.execute("COMMIT")
        self._give_back()

    def rollback(self) -> None:
        """Take back what has been begun, if anything has."""
        try:
            # After some errors (a full disk) SQLite has done so by itself.
            if self.in_transaction:
                self.execute("ROLLBACK")
        finally:
            self._give_back()

    def checkpoint(self) -> None:
        """Bring the log into the file, if nobody is in the way."""
        self._guarded(lambda: self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        self._give_back()

    def close(self) -> None:
        """Close the file; the last one to do so brings the log into it."""
        guard, self.guard = self.guard, None
        if guard is not None and self.process == os.getpid():
            until = time.monotonic() + _CLOSING_S
            while not guard.take() and time.monotonic() < until:
                time.sleep(0.001)
        super().close()
        if guard is not None:
            guard.close()

    def _guarded(self, act: Callable[[], object]) -> None:
        """Do what needs the guard, and keep it; on any failure it is given back."""
        if self.guard is not None and not self.guard.take():
            raise _GuardTakenError("another run in this directory is writing")
        try:
            act()
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        if self.guard is not None:
            self.guard.give_back()


class _GuardTakenError(sqlite3.OperationalError):
    """As SQLite's own, where it can't have a lock."""

    sqlite_errorname = "SQLITE_BUSY"


def open_store(
    path: StorePath | None, durability: Durability = "normal", *, patience: float = 20.0
) -> StoreConnection:
    """Open a store to write to it; make it if there is none.

    Args:
        path: The file; None or ":memory:" for a store in memory, gone when it is closed, which
            other threads may read when the run has ended.
        durability: "full" loses nothing that was committed when the power fails; "normal" may
            lose the last moments then, but nothing when only the process dies.
        patience: How long to wait for other writers, in seconds.

    Raises:
        StoreError: It can't be; what is there is left as it was.

    >>> connection = open_store(None)
    >>> connection.execute("SELECT count(*) FROM runs").fetchone()
    (0,)
    >>> connection.close()
    """
    if path is None or path in (MEMORY, MEMORY.encode()):
        return _open_in_memory()
    place = absolute(path)
    prepare(place)
    version = recognise(place)
    with explained(place):
        connection = sqlite3.connect(
            f"{uri(place)}?mode=rw",
            timeout=_WAIT_S,
            isolation_level=None,
            factory=StoreConnection,
            uri=True,
        )
    try:
        connection.path, connection.patience = place, patience
        connection.process, connection.identity = os.getpid(), Identity.of(place)
        connection.guard = guard_for(place)
        _settle(connection, durability)
        if version < newest():
            migrate(connection)
        check_schema(connection, place)
    except FAULTS as error:
        connection.close()
        raise explain(error, place) from error
    except BaseException:
        connection.close()
        raise
    return connection


def recognise(path: str) -> int:
    """Return the schema version of the store at a path, 0 if the file is still empty.

    The file is only read, and as it lies there if nothing is pending beside it: of a file
    that is not ours, not one byte changes, here or beside it.

    Raises:
        NotAStoreError: It is another application's, or no database.
        NewerStoreError: A newer liteflow wrote it.
    """
    try:
        before = _standing(path)
        if not before[-1]:
            try:
                return _version(path, "mode=ro&immutable=1")
            except FAULTS:
                # With locks it would be read no better, and SQLite would leave its files beside it.
                if _standing(path) == before:
                    raise
                # Someone has just now begun to write to it.
        return _version(path, "mode=ro")
    except FAULTS as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_READONLY_ROLLBACK":
            raise explain(error, path) from error
        try:
            if _began_empty(path):
                return 0
        except FileNotFoundError:
            # Another process has just now rolled it back.
            return recognise(path)
        raise explain(error, path) from error


def _began_empty(path: str) -> bool:
    """Whether what is to be rolled back began with an empty file, which it will be again.

    The power went in a store's first moment: it was to become one, and its journal, of which SQLite
    had let go, is back.  Whoever opens it to write rolls back; who only reads can't.
    Source: https://www.sqlite.org/fileformat2.html#the_rollback_journal, "Rollback Journal Header Format".
    """
    with open(f"{path}-journal", "rb") as journal:  # noqa: PTH123
        head = journal.read(20)
    return head[:8] == _JOURNAL and head[16:20] == bytes(4)


def _standing(path: str) -> tuple[int, int, int]:
    """What changes when somebody writes: the file's size and time, and how much is pending beside it."""
    wal = f"{path}-wal"
    pending = os.path.getsize(wal) if os.path.exists(wal) else 0  # noqa: PTH110, PTH202
    try:
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        # Taken away just now; SQLite says so.
        return 0, 0, pending
    return found.st_size, found.st_mtime_ns, pending


def migrate(
    connection: StoreConnection, steps: Sequence[Step] = MIGRATIONS, schema: Callable[[], str] | None = None
) -> None:
    """Bring a store up to date, in one transaction; another process may have been quicker.

    Args:
        connection: To the store; empty ones get the newest schema.
        steps: See MIGRATIONS.
        schema: Gives the newest schema's SQL.
    """
    try:
        # Not to be changed within a transaction.
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.begin()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            _run(connection, (schema or schema_text)())
            connection.execute("INSERT INTO meta VALUES ('store_id', ?)", (os.urandom(16).hex(),))
        else:
            for step in steps[version - 1 :]:
                if callable(step):
                    step(connection)
                else:
                    _run(connection, step)
        if version < newest(steps):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {newest(steps)}")
        connection.commit()
    finally:
        connection.rollback()
        connection.execute("PRAGMA foreign_keys = ON")


def check_schema(connection: sqlite3.Connection, path: str) -> None:
    """See that a store of the newest version holds our tables, indexes and views, and nothing else.

    A trigger or a view of another text would be code that someone planted.

    Raises:
        StoreDamagedError: It holds something else.
    """
    # sqlite_stat1 and the like are made by ANALYZE; indexes without text belong to their tables.
    query = "SELECT sql, name FROM sqlite_master WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_stat?'"
    rows = connection.execute(query).fetchall()
    text = schema_text()
    if len(rows) == text.count("\nCREATE ") and all(f"{sql};" in text for sql, _ in rows):
        # To the letter what this version makes; the long way costs a millisecond or two.
        return
    wanted = {plain(statement) for statement in statements(text)}
    found = {plain(str(sql)): str(name) for sql, name in rows}
    if strange := found.keys() - wanted:
        names = ", ".join(sorted(found[sql] for sql in strange)[:5])
        raise errors.StoreDamagedError(path, f"it holds what liteflow did not put there ({names[:200]})")
    if missing := wanted - found.keys():
        raise errors.StoreDamagedError(path, f"{len(missing)} of its tables and views are missing")


def uri(path: str) -> str:
    """Return an absolute path as SQLite takes it with parameters.

    >>> uri("/data/100% sure?.db")
    'file:///data/100%25 sure%3f.db'
    """
    return "file://" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


# --- how -----------------------------------------------------------------------------------


def _open_in_memory() -> StoreConnection:
    # A run's store in memory is written by the thread that runs it and read, later, by any:
    # SQLite itself takes care of one at a time.
    connection = sqlite3.connect(
        MEMORY, isolation_level=None, factory=StoreConnection, check_same_thread=False
    )
    connection.process = os.getpid()
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection)
    return connection


def _version(path: str, parameters: str) -> int:
    connection = sqlite3.connect(f"{uri(path)}?{parameters}", timeout=_WAIT_S, isolation_level=None, uri=True)
    try:
        # In one transaction: another run may be making the store between one question and the next.
        connection.execute("BEGIN")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        connection.close()
    if application != APPLICATION_ID:
        if application or version or objects:
            raise errors.NotAStoreError(
                path,
                f"it is another application's database (application_id {application:#x}, {objects} tables)",
            )
        return 0
    if version > newest():
        raise errors.NewerStoreError(path, f"schema version {version}; this liteflow knows up to {newest()}")
    return int(version)


def _settle(connection: StoreConnection, durability: Durability) -> None:
    """Set what holds for this connection, as RELIABILITY asks for."""
    for pragma in (
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        "foreign_keys = ON",
        f"synchronous = {_SYNCHRONOUS[durability]}",
        f"journal_size_limit = {_LOG_LIMIT}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    # The first statement that needs the file's lock, and the only one that SQLite doesn't wait for.
    mode = _patiently(connection, lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
    if mode != "wal":
        raise errors.StorePlaceError(
            connection.path, f"SQLite can't keep its write-ahead log there (it stays with {mode!r})"
        )


def _patiently(connection: StoreConnection, act: Callable[[], T]) -> T:
    """Do what may find the file locked, for as long as the connection has patience."""
    until = time.monotonic() + connection.patience
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            explanation = explain(error, connection.path)
            if not isinstance(explanation, errors.StoreBusyError):
                raise explanation from error
            if time.monotonic() >= until:
                waited = f"waited {connection.patience:g} s"
                raise errors.StoreBusyError(connection.path, f"{explanation.detail}, {waited}") from error
            # SQLite has waited by itself, where it does; where it does not, this is the wait.
            time.sleep(0.01)


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript(): it commits what has been begun.
    for statement in statements(script):
        connection.execute(statement)
