"""Where a user's key lies: one file in the home directory, made when it is first needed.

    LITEFLOW_KEY   or   $XDG_STATE_HOME/liteflow/key   (~/.local/state/liteflow/key)
                        $XDG_STATE_HOME/liteflow/key.old*, .../keys/*   keys of before, to read with

Whoever knows the key can make values that are taken for this user's.  So the file is for its
owner alone, and one that others can read is refused, as ssh does with its own.  Where no key
can be kept (no home, a disk that may only be read), there is none: runs go on, and their values
are stored without a check.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Final

from liteflow import errors
from liteflow.signing import KEY_BYTES, Key

VARIABLE: Final = "LITEFLOW_KEY"
SHORTEST: Final = 16
"""So many characters LITEFLOW_KEY must have."""

# A path is text here: no pathlib at start-up.
# ruff: noqa: PTH103, PTH111, PTH112, PTH116, PTH117, PTH118, PTH120, PTH208


class Keyring:
    """The keys of whoever runs this program.

    Args:
        environ: The environment, as `os.environ` has it.

    >>> Keyring({"LITEFLOW_KEY": "correct horse battery"}).own().id
    'b97fe325'
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._given = environ.get(VARIABLE, "")
        self._directory = _directory(environ)

    def own(self) -> Key | None:
        """Return the key that checks are made with; made now if there is none yet.

        None where none can be kept.

        Raises:
            KeyRefusedError: The key is no secret, or no key.
        """
        if self._given:
            return _from_text(self._given)
        if self._directory is None:
            return None
        path = os.path.join(self._directory, "key")
        key = _read(path) if _is_safe(self._directory) else None
        if key is None and _make(self._directory, path):
            key = _read(path)
        return key

    def known(self) -> list[Key]:
        """Return all keys that a stored check may have been made with, the newest first.

        None is made.  Files that others can read are left out where LITEFLOW_KEY is set.

        Raises:
            KeyRefusedError: As `own`.
        """
        keys = [_from_text(self._given)] if self._given else []
        if self._directory is None:
            return keys
        try:
            safe = _is_safe(self._directory)
            found = [_read(path) for path in _paths(self._directory)] if safe else []
        except errors.KeyRefusedError:
            if not self._given:
                raise
            return keys
        return keys + [key for key in found if key is not None]


# --- how -----------------------------------------------------------------------------------


def _directory(environ: Mapping[str, str]) -> str | None:
    """Where keys are kept; None without a home.

    Source: XDG Base Directory Specification 0.8: a path that is not absolute is no path.
    """
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = environ.get("HOME") or os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "liteflow")


def _paths(directory: str) -> list[str]:
    old = sorted(name for name in os.listdir(directory) if name.startswith("key.old"))
    older = os.path.join(directory, "keys")
    with suppress(FileNotFoundError, NotADirectoryError):
        old += [os.path.join("keys", name) for name in sorted(os.listdir(older))]
    return [os.path.join(directory, name) for name in ("key", *old)]


def _from_text(text: str) -> Key:
    if len(text) < SHORTEST:
        raise errors.KeyRefusedError(
            VARIABLE, f"it has {len(text)} characters, which can be guessed; give {SHORTEST} or more"
        )
    return Key(sha256(b"liteflow key\0" + os.fsencode(text)).digest())


def _is_safe(directory: str) -> bool:
    """See that nobody else can put a key there; False if there is no such directory.

    Raises:
        KeyRefusedError: Somebody can.
    """
    try:
        found = os.stat(directory)
    except OSError:
        # There is none, or none that we may look into: no key.
        return False
    if found.st_uid != os.geteuid():
        raise errors.KeyRefusedError(directory, f"it belongs to another user (uid {found.st_uid}); {_OTHER}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise errors.KeyRefusedError(directory, f"others may write to it; change that: chmod 700 {directory}")
    return os.access(directory, os.R_OK | os.X_OK)


def _read(path: str) -> Key | None:
    """Read a key; None if there is none of this name."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror or str(error)
        raise errors.KeyRefusedError(path, f"{why}; {_OTHER}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise errors.KeyRefusedError(path, f"it is no regular file; {_OTHER}")
        if found.st_uid != os.geteuid():
            raise errors.KeyRefusedError(path, f"it belongs to another user (uid {found.st_uid}); {_OTHER}")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.filemode(found.st_mode)
            raise errors.KeyRefusedError(
                path, f"others may read or write it ({mode}); if none has: chmod 600 {path}, else remove it"
            )
        secret = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(secret) != KEY_BYTES:
        raise errors.KeyRefusedError(
            path, f"a key has {KEY_BYTES} bytes, and it {_size(found.st_size)}; remove it"
        )
    return Key(secret)


_OTHER = f"remove it, or set {VARIABLE} to a key of your own"


def _size(size: int) -> str:
    return f"has {size}" if size else "is empty"


def _make(directory: str, path: str) -> bool:
    """Make a key, whole or not at all; whether there is one then, ours or that of who was quicker."""
    home = directory
    while not os.path.isdir(home):
        home = os.path.dirname(home)
    try:
        if os.geteuid() == 0 != os.stat(home).st_uid:
            # sudo in a user's home: a directory of root's there would be in the user's own way.
            return False
        os.makedirs(directory, mode=0o700, exist_ok=True)
        temporary = f"{path}.{os.getpid()}-{os.urandom(4).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
    except OSError:
        # No home, or one that may only be read: there is no place for a key.
        return False
    try:
        os.write(descriptor, os.urandom(KEY_BYTES))
        os.fsync(descriptor)
        # Unlike a rename, a link does not take away what another has put there meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        return True
    except OSError:
        # No space, or no links on that disk.
        return False
    finally:
        os.close(descriptor)
        os.unlink(temporary)  # noqa: PTH108
    return True
