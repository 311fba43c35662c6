"""One at a time: who writes to a store, or brings its log over, holds a lock of its directory.

SQLite has locks of its own, and they do.  But up to 3.51.2, if one connection brings the log
over just as another begins to write a new one, what was written can get lost, or the file
damaged.  Source: https://www.sqlite.org/wal.html, "The WAL-Reset Bug".

The lock is `flock` on the directory: nothing is left beside the file, and the file itself is
never opened, which would drop SQLite's locks.  Where it can't be had, all goes on without.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import weakref
from typing import Final

_FIXED: Final = (3, 51, 3)
# Older branches that got the repair too: (branch, first version with it).
_BACK_PORTS: Final = {(3, 50): 7, (3, 44): 6}
_FIRST: Final = (3, 7, 0)


def has_reset_bug(version: tuple[int, int, int]) -> bool:
    """Whether a version of SQLite has the fault that the lock is for.

    >>> [has_reset_bug(v) for v in [(3, 40, 1), (3, 44, 6), (3, 50, 6), (3, 51, 3)]]
    [True, False, True, False]
    """
    back_port = _BACK_PORTS.get(version[:2])
    return _FIRST <= version < _FIXED and (back_port is None or version[2] < back_port)


def sqlite_here() -> tuple[str, bool]:
    """Return the version of SQLite in use, and whether it has that fault."""
    return sqlite3.sqlite_version, has_reset_bug(sqlite3.sqlite_version_info)


class Guard:
    """The lock of one connection.

    Args:
        path: Of the store.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = -1
        try:
            directory = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
            self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            # A directory that may be entered and not read: SQLite's own locks have to do.
            return
        _open.add(self)

    def take(self) -> bool:
        """Take the lock, if nobody has it; True also where there is none to take."""
        if self._descriptor >= 0:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                # The file system has no such locks.
                self.close()
        return True

    def give_back(self) -> None:
        """Let others have it."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the directory."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def guard_for(path: str) -> Guard | None:
    """The guard of a store, where SQLite needs one."""
    return Guard(path) if has_reset_bug(sqlite3.sqlite_version_info) else None


_open: weakref.WeakSet[Guard] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child: it would go on holding its parent's lock when that has died."""
    for guard in list(_open):
        guard.close()


os.register_at_fork(after_in_child=_let_go)
