"""What does an error of SQLite mean for its user?

    sqlite3.Error --explain--> StoreError: what happened, where, what to do

The error of SQLite stays its cause.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from liteflow import errors

# By the beginning of SQLite's name of the error, the most specific ones first.
# Source: https://www.sqlite.org/rescode.html


@cache
def _meanings() -> tuple[tuple[str, type[errors.StoreFileError]], ...]:
    # A function: a store that nothing goes wrong with loads none of them.
    return (
        ("SQLITE_FULL", errors.StoreFullError),
        # A disk too small for the shared index of the log reports nothing else than this.
        ("SQLITE_IOERR_SHMSIZE", errors.StoreFullError),
        ("SQLITE_READONLY_DBMOVED", errors.StoreGoneError),
        ("SQLITE_READONLY", errors.StoreReadOnlyError),
        ("SQLITE_PERM", errors.StoreReadOnlyError),
        ("SQLITE_BUSY", errors.StoreBusyError),
        ("SQLITE_LOCKED", errors.StoreBusyError),
        ("SQLITE_NOTADB", errors.NotAStoreError),
        ("SQLITE_CORRUPT", errors.StoreDamagedError),
        ("SQLITE_CANTOPEN", errors.StoreUnreadableError),
        ("SQLITE_INTERRUPT", errors.StoreSlowError),
        ("SQLITE_TOOBIG", errors.ValueTooLargeError),
        ("SQLITE_CONSTRAINT", errors.RecordRefusedError),
        ("SQLITE_MISMATCH", errors.RecordRefusedError),
    )


# What sqlite3 raises; of a damaged file even the error message may be no text.
FAULTS = (sqlite3.Error, UnicodeDecodeError)


def explain(error: Exception, path: str) -> errors.StoreFileError:
    """Return the error to raise for one of FAULTS; chain it: `raise explain(...) from error`.

    >>> explain(sqlite3.DatabaseError("malformed"), "a.db")
    StoreFileError('a.db', 'malformed')
    """
    if isinstance(error, UnicodeDecodeError):
        return errors.StoreDamagedError(path, f"there is text that is none ({error.reason})")
    name: str = getattr(error, "sqlite_errorname", "")
    detail = f"{error} [{name}]" if name else str(error)
    for beginning, meaning in _meanings():
        if name.startswith(beginning):
            return meaning(path, detail)
    return errors.StoreFileError(path, detail)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Inside, SQLite's errors become ours."""
    try:
        yield
    except FAULTS as error:
        raise explain(error, path) from error
