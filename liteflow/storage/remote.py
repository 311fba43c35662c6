"""Whatever fsspec reaches holds values: S3, Google Cloud Storage, Azure, SFTP, HDFS, ...

Source: https://filesystem-spec.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from liteflow.storage import Buffer, path_of

# There an object is seen when all of it is there; elsewhere it is written under another name first.
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"})


class Remote:
    """A folder or a bucket of values.

    Args:
        url: Its URL, as fsspec understands it.

    Raises:
        ImportError: What fsspec needs for it is not installed.
        ValueError: It knows no such storage.
    """

    def __init__(self, url: str) -> None:
        # Installed apart.
        import fsspec  # noqa: PLC0415

        self._is_whole = url.partition("://")[0] in _WHOLE
        # It remembers what lay in a folder, and others write there.
        self._files, self._path = fsspec.core.url_to_fs(url, use_listings_cache=False)

    def probe(self) -> None:
        """See that it can be written."""
        path = f"{self._path}/.probe-{os.urandom(8).hex()}"
        self._files.makedirs(self._path, exist_ok=True)
        self._files.pipe_file(path, b"liteflow")
        self._files.rm_file(path)

    def write(self, name: str, parts: Sequence[Buffer]) -> None:
        """Write an object."""
        path, data = f"{self._path}/{path_of(name)}", b"".join(parts)
        if self._is_whole:
            self._files.pipe_file(path, data)
            return
        part = f"{self._path}/.{name[:16]}-{os.urandom(8).hex()}.part"
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(part, data)
        try:
            self._files.mv(part, path)
        except BaseException:
            self._files.rm_file(part)
            raise

    def read(self, name: str, most: int) -> bytearray:
        """The bytes of an object."""
        return bytearray(self._files.cat_file(f"{self._path}/{path_of(name)}", 0, most))
