"""A folder that holds values, on a disk or a network file system.

A file is written under another name, brought to the disk, and renamed: under its own name it is whole.  What
a process leaves that dies while it writes is a file whose name ends in `.part`; nothing reads those.

No attrs here: workers import this.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from liteflow.storage import Buffer, path_of

_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK


class Folder:
    """A folder of values.

    Args:
        path: Absolute.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def probe(self) -> None:
        """See that it can be written; a folder that is not there, in one that is, is made for its owner."""
        with suppress(FileExistsError):
            os.mkdir(self._path, 0o700)  # noqa: PTH102  as all here: Path loads much
        path = self._part("probe")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600))
        os.unlink(path)  # noqa: PTH108

    def write(self, name: str, parts: Sequence[Buffer]) -> None:
        """Write a file; all of it is on the disk before it has its name."""
        path = f"{self._path}/{path_of(name)}"
        folder = os.path.dirname(path)  # noqa: PTH120
        try:
            # Not what it lies in: where a network drive is not there, that must not be made.
            os.mkdir(folder)  # noqa: PTH102
            _to_disk(self._path)
        except FileExistsError:
            pass
        part = self._part(name)
        # Who may read the folder may read what is in it: workers may be other users.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
        try:
            try:
                for data in parts:
                    view = memoryview(data).cast("B")
                    while view.nbytes:
                        view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(part, path)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(part)  # noqa: PTH108
            raise
        _to_disk(folder)

    def read(self, name: str, most: int) -> bytearray:
        """The bytes of a file, as a copy: what another program does to it later changes nothing here."""
        # A pipe of that name would be waited for.
        descriptor = os.open(f"{self._path}/{path_of(name)}", os.O_RDONLY | _FLAGS)
        try:
            data = bytearray(min(most, os.fstat(descriptor).st_size))
            view = memoryview(data)
            while view.nbytes:
                count = os.readv(descriptor, [view])
                if not count:
                    break
                view = view[count:]
        finally:
            os.close(descriptor)
        return data

    def _part(self, name: str) -> str:
        return f"{self._path}/.{name[:16]}-{os.urandom(8).hex()}.part"


def _to_disk(folder: str) -> None:
    """Names are in their folder, and that has to be on the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
