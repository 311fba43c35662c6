"""How a store is looked into, which may be anybody's file: read-only, limited, and never trusted.

    path --check--> SQLite, read-only --check_schema--> rows, a batch at a time

A file that no one writes to is read as it lies there (`immutable`), so that looking leaves
nothing beside it and works where nothing may be written.  Should someone begin to write
meanwhile, what was read is thrown away and read again with SQLite's locks.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from liteflow import errors
from liteflow.store.db import StoreConnection, check_schema, recognise, uri
from liteflow.store.faults import FAULTS, explain, explained
from liteflow.store.place import Identity, StorePath, absolute, check_readable
from liteflow.store.queries import bound
from liteflow.store.schema import newest

T = TypeVar("T")
Row = tuple[Any, ...]

# For one batch of rows; ours take milliseconds.
TIME_LIMIT_S: Final = 10.0
# Larger columns are payloads, and those are read by `bytes_of`.
_COLUMN_LIMIT = 16 * 1024 * 1024
_PAYLOAD_LIMIT = 1_000_000_000
# SQLite counts its own steps; the clock is looked at after so many, which is some milliseconds.
_STEPS = 100_000
_WAIT_S = 5.0


def open_reader(path: StorePath, *, time_limit: float = TIME_LIMIT_S, in_all: bool = False) -> Reader:
    """Open a store to look into it; it is never made, and nothing in it runs.

    Args:
        path: The file.
        time_limit: For one batch of rows, in seconds.
        in_all: It is for all that is read until it is closed.

    Raises:
        StoreError: There is none, it is no store of ours, or it can't be read.
    """
    place = absolute(path)
    check_readable(place)
    return Reader(place, time_limit, in_all=in_all)


class Reader:
    """Rows of a store.  Close it when done.

    Args:
        source: The path of a file, absolute; or an open connection, which stays open.
        time_limit: For one batch of rows, in seconds.
        in_all: It is for all batches together, from now on.
    """

    def __init__(
        self, source: str | StoreConnection, time_limit: float = TIME_LIMIT_S, *, in_all: bool = False
    ) -> None:
        self._time_limit = time_limit
        self._end = time.monotonic() + time_limit if in_all else None
        self._deadline = 0.0
        # How the file was when it was opened to be read as it lies there; None: it is read with locks.
        self._alone: _Facts | None = None
        self._owned = isinstance(source, str)
        if isinstance(source, str):
            self.path = source
            self._connection: sqlite3.Connection = self._open()
        else:
            self.path, self._connection = source.path, source

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._connection.close()

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return what a query gives, all of it.

        Raises:
            StoreDamagedError: The file is damaged.
            StoreSlowError: It took too long.
            StoreError: The file can't be read.
        """
        return self._read(lambda connection: connection.execute(query, bound(query, values)).fetchall())

    def bytes_of(self, query: str, values: tuple[object, ...]) -> bytes | None:
        """Return the one large value that a query gives; None if it gives no row or NULL.

        Raises:
            StoreError: As `rows`.
        """

        def read(connection: sqlite3.Connection) -> object:
            if self._owned:
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _PAYLOAD_LIMIT)
            try:
                row = connection.execute(query, bound(query, values)).fetchone()
            finally:
                if self._owned:
                    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _COLUMN_LIMIT)
            return row and row[0]

        found = self._read(read)
        if found is None or isinstance(found, bytes):
            return found
        raise errors.StoreDamagedError(self.path, f"a {type(found).__name__} where bytes belong")

    # --- how -------------------------------------------------------------------------------

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        while True:
            before = self._alone
            if before is None:
                return self._explained(read)
            try:
                found = self._explained(read)
            except errors.StoreDamagedError:
                if _facts(self.path) == before:
                    raise
            else:
                if _facts(self.path) == before:
                    return found
            # Someone has begun to write, or has written.
            self._connection.close()
            check_readable(self.path)
            self._connection = self._open()

    def _explained(self, read: Callable[[sqlite3.Connection], T]) -> T:
        self._deadline = self._end or time.monotonic() + self._time_limit
        try:
            return read(self._connection)
        except FAULTS as error:
            raise self._explanation(error) from error

    def _explanation(self, error: Exception) -> errors.StoreFileError:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_INTERRUPT":
            return errors.StoreSlowError(self.path, f"it took over {self._time_limit:g} s")
        if name == "SQLITE_TOOBIG":
            return errors.StoreDamagedError(self.path, "a text or number column holds many megabytes")
        if name == "SQLITE_ERROR" or (not name and isinstance(error, sqlite3.OperationalError)):
            # Our queries are right; so it is JSON that is none, or text that is no UTF-8.
            return errors.StoreDamagedError(self.path, str(error))
        return explain(error, self.path)

    def _open(self) -> sqlite3.Connection:
        facts = _facts(self.path)
        try:
            version = recognise(self.path)
            if version == 0:
                why = "it is an empty database (if a run is just making it, look again)"
                raise errors.NotAStoreError(self.path, why)
            if version < newest():
                raise errors.OlderStoreError(self.path, f"schema version {version}; this is {newest()}")
            connection = self._connect("mode=ro" if facts.pending else "mode=ro&immutable=1")
        except (errors.StoreReadOnlyError, errors.StoreUnreadableError) as error:
            if not facts.pending:
                raise
            raise errors.StoreUnreadableError(
                self.path,
                f"what was written last lies in {self.path}-wal, and SQLite can read that only where it may "
                f"write ({error.detail}); copy both files to such a directory",
            ) from error
        self._alone = None if facts.pending else facts
        return connection

    def _connect(self, parameters: str) -> sqlite3.Connection:
        with explained(self.path):
            connection = sqlite3.connect(
                f"{uri(self.path)}?{parameters}", timeout=_WAIT_S, isolation_level=None, uri=True
            )
        try:
            self._settle(connection)
            self._deadline = self._end or time.monotonic() + self._time_limit
            check_schema(connection, self.path)
        except FAULTS as error:
            connection.close()
            raise self._explanation(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _settle(self, connection: sqlite3.Connection) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _COLUMN_LIMIT)
        for pragma in (
            "query_only = ON",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "mmap_size = 0",
            "wal_autocheckpoint = 0",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.set_progress_handler(self._is_late, _STEPS)

    def _is_late(self) -> int:
        return int(time.monotonic() > self._deadline)


class _Facts(NamedTuple):
    """What changes when somebody writes; `pending` is what lies in the -wal file, in bytes."""

    file: Identity
    size: int
    changed_ns: int
    pending: int


def _facts(path: str) -> _Facts:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise errors.StoreUnreadableError(path, error.strerror or str(error)) from error
    try:
        pending = os.stat(f"{path}-wal").st_size  # noqa: PTH116
    except OSError:
        pending = 0
    return _Facts(Identity(found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns, pending)
