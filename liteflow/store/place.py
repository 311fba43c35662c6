"""Where may a store lie?  What is looked at before SQLite opens a file, and how it is made.

SQLite would make the file readable to all, follow a link that someone planted, and use its
write-ahead log on network file systems, where that corrupts files.

Nothing here opens a store that exists.  Closing a descriptor drops all locks that this
process has on the file, and so those of a run that goes on in it.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import NamedTuple

from liteflow import errors

StorePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

# On these the write-ahead log is not safe: its index is memory that processes share, which
# works on one machine only.  Source: https://www.sqlite.org/wal.html, "Overview", point 2.
NETWORK_FILE_SYSTEMS = frozenset(
    "9p afs beegfs ceph cifs coda davfs fuse.ceph fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.rclone "  # noqa: SIM905
    "fuse.s3fs fuse.sshfs fuse.vmhgfs-fuse gfs2 gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs smb2 smb3 smbfs "
    "vboxsf vmhgfs".split()
)

DEFAULT_DB = "liteflow.db"
"""The store file, in the working directory, where nothing names another."""

# Between making a file and closing our descriptor of it, no other thread may lock it.
_making = threading.Lock()


class Identity(NamedTuple):
    """Which file a path leads to; another file there has another one."""

    device: int
    inode: int

    @staticmethod
    def of(path: str) -> Identity:
        """The identity of the file that is there now.

        Raises:
            FileNotFoundError: There is none.
        """
        found = os.stat(path)  # noqa: PTH116  a path is text here: no pathlib at start-up
        return Identity(found.st_dev, found.st_ino)


def default_db() -> str:
    """The store file where none is named: `LITEFLOW_DB`, else `liteflow.db` in the working directory."""
    return os.environ.get("LITEFLOW_DB") or DEFAULT_DB


def absolute(path: StorePath) -> str:
    """Return the path as text, from the root.

    Raises:
        StorePlaceError: It is empty or no path at all, or relative to a directory that is gone.

    >>> absolute(b"/data/../liteflow.db")
    '/liteflow.db'
    """
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise errors.StorePlaceError(repr(text), "it is no path; give the path of a file")
    try:
        return os.path.abspath(text)  # noqa: PTH100
    except FileNotFoundError:
        why = "the working directory has been removed; go to another one, or name the file from the root"
        raise errors.StorePlaceError(text, why) from None


def prepare(path: str) -> None:
    """Make an empty file for a store, or see that the one that is there may become or be one.

    Raises:
        StorePlaceError: There can be no store: no directory, a network file system, a file
            that others may change.
        NotAStoreError: It is a directory or a device.
        StoreReadOnlyError: It, or its directory, may not be written.
        StoreFullError: There is no space left.
    """
    directory = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
    if not os.path.isdir(directory):  # noqa: PTH112
        raise errors.StorePlaceError(path, f"there is no directory {directory}; make it first")
    kind = file_system_of(directory)
    if kind in NETWORK_FILE_SYSTEMS:
        raise errors.StorePlaceError(
            path,
            f"{directory} is on a network file system ({kind}), where SQLite files get corrupted; "
            "name a file on a local disk, and copy it when the run has ended",
        )
    with _making:
        made = _make(path)
    if not made:
        _check(path, directory)


def check_readable(path: str) -> None:
    """See that there is a file to look into.

    Raises:
        StoreMissingError: There is none.
        NotAStoreError: It is empty, a directory or a device.
        StoreUnreadableError: It may not be read.
    """
    found = _look_at(path)
    if found is None:
        raise errors.StoreMissingError(path, "there is no such file")
    if not os.access(path, os.R_OK):
        raise errors.StoreUnreadableError(path, "permission denied")
    if not found.st_size:
        raise errors.NotAStoreError(path, "the file is empty (if a run is just making it, look again)")


def file_system_of(directory: str, mounts: str = "/proc/self/mountinfo") -> str | None:
    """Return the type of the file system that a directory is on, if that can be told and matters.

    A file system on a disk of this machine has a device with a major number, and its type
    does not matter.  Those without are looked up where Linux lists what is mounted.
    """
    device = os.stat(directory).st_dev  # noqa: PTH116
    if os.major(device):
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(mounts, encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
            for line in lines:
                # 36 35 98:0 /root /mount/point options - type source options; proc(5)
                left, _, right = line.partition(" - ")
                if left.split(" ")[2:3] == [number]:
                    return right.split(" ")[0]
    except OSError:
        # No Linux, or no /proc: then SQLite's own checks have to do.
        return None
    return None


# --- how -----------------------------------------------------------------------------------


def _look_at(path: str) -> os.stat_result | None:
    """The file's facts; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise errors.StoreUnreadableError(path, error.strerror or str(error)) from error
    if stat.S_ISDIR(found.st_mode):
        raise errors.NotAStoreError(path, "it is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise errors.NotAStoreError(path, "it is not a regular file")
    return found


def _make(path: str) -> bool:
    """Make the file, for its owner only; whether there was none."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDWR, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise errors.StoreReadOnlyError(path, why) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.StoreFullError(path, why) from error
        raise errors.StorePlaceError(path, why) from error
    os.close(descriptor)
    return True


def _check(path: str, directory: str) -> None:
    found = _look_at(path)
    if found is None:
        raise errors.StorePlaceError(path, "it is a link to a file that does not exist; name the file itself")
    user = os.geteuid()
    if user not in (found.st_uid, 0):
        raise errors.StorePlaceError(
            path, "it belongs to another user, who could plant values in it; copy it first"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        if found.st_size:
            raise errors.StorePlaceError(
                path, "other users may write to it, and so plant values; if you trust it: chmod go-w"
            )
        os.chmod(path, 0o600)  # noqa: PTH101
    if not os.access(path, os.R_OK | os.W_OK):
        raise errors.StoreReadOnlyError(path, "permission denied")
    if not os.access(directory, os.W_OK):
        raise errors.StoreReadOnlyError(path, f"permission denied for {directory}")
