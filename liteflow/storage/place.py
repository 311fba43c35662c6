"""To put values into a storage, and to read them there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple, NoReturn, Protocol
from urllib.parse import unquote, urlsplit

from liteflow.signing import ELSEWHERE
from liteflow.storage import HEAD, Buffer, address_of

_CODECS: Final = ("pickle", "buffers")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Reference(NamedTuple):
    """The payload of a value that lies elsewhere: its size in bytes, its SHA-256, and the task that made it.

    >>> Reference.of(Reference(5, bytes(32), "load").data).task
    'load'
    """

    size: int
    digest: bytes
    task: str

    @property
    def data(self) -> bytes:
        """As it is stored."""
        return HEAD.pack(self.size, self.digest) + self.task.encode(errors="replace")

    @staticmethod
    def of(data: bytes) -> Reference:
        """The inverse.

        Raises:
            ValueError: It is none.
        """
        if len(data) < HEAD.size:
            raise ValueError(f"a reference of {len(data)} bytes")
        size, digest = HEAD.unpack_from(data)
        return Reference(size, digest, data[HEAD.size :].decode(errors="replace"))


class Place(Protocol):
    """Where values lie, by their names: the SHA-256 as hexadecimal digits.

    All methods may raise any Exception: whoever calls them says for which value.
    """

    def probe(self) -> None:
        """See that it can be written, without leaving anything; make the folder if only that is missing."""
        ...

    def write(self, name: str, parts: Sequence[Buffer]) -> None:
        """Let the parts lie there, one behind the other, whole or not at all."""
        ...

    def read(self, name: str, most: int) -> bytearray:
        """What lies there, of which no more than `most` bytes are wanted.

        Raises:
            FileNotFoundError: Nothing.
        """
        ...


class Storage:
    """Where a run has its large values.

    Args:
        url: As `checked_url` gives it.
        threshold: In bytes; larger values go there.
    """

    __slots__ = ("threshold", "url")

    def __init__(self, url: str, threshold: int) -> None:
        self.url = url
        self.threshold = threshold

    def takes(self, codec: str, size: int) -> bool:
        """Whether a value is to lie there; what a run goes on as, for one, is none."""
        return size > self.threshold and codec in _CODECS

    def put(
        self, codec: str, parts: Sequence[Buffer], size: int, digest: bytes, task: str
    ) -> tuple[str, bytes]:
        """Write a value, unless it is there already; give its codec and its reference.

        Args:
            codec, parts, size, digest: As of `xcom.Encoded`; `digest` is the SHA-256.
            task: What has made it, for messages.

        Raises:
            StoredElsewhereError: It can't be written.
        """
        name = digest.hex()
        try:
            place = place_of(self.url, os.getpid())
            if not _lies_there(place, name, size, digest):
                place.write(name, parts)
        except Exception as error:  # noqa: BLE001  storages have errors of their own
            _refuse(task, address_of(self.url, name), f"can't be written ({_line(error)})", error)
        return f"{codec}{ELSEWHERE}{self.url}", Reference(size, digest, task).data

    def probe(self) -> None:
        """See that values can be written there from here.

        Raises:
            SettingError: They can't.
            StorageMissingError: What is needed for it is not installed.
        """
        # Start-up: attrs.
        from liteflow.errors import SettingError, StorageMissingError  # noqa: PLC0415

        try:
            place_of(self.url, os.getpid()).probe()
        except ImportError as error:
            raise StorageMissingError(self.url, str(error)) from error
        except Exception as error:
            missing = isinstance(error, FileNotFoundError) and self.url.startswith("file://")
            why = "the folder that it lies in is not there; make that first" if missing else _line(error)
            wants = f"the URL of a storage that can be written ({why})"
            raise SettingError("a run", "xcom_storage", self.url, wants) from error


def read(codec: str, reference: bytes) -> tuple[str, bytearray]:
    """Return the codec of a value's bytes, and the bytes: a copy, to change as one likes.

    Args:
        codec, reference: As `put` has given them.

    Raises:
        StoredElsewhereError: They are gone, changed, or can't be read.
    """
    own, _, url = codec.partition(ELSEWHERE)
    size, digest, task = Reference.of(reference)
    name = digest.hex()
    try:
        data = place_of(url, os.getpid()).read(name, size + 1)
    except FileNotFoundError as error:
        _refuse(task, address_of(url, name), "is gone", error)
    except Exception as error:  # noqa: BLE001  as above
        _refuse(task, address_of(url, name), f"can't be read ({_line(error)})", error)
    if len(data) != size or sha256(data).digest() != digest:
        _refuse(task, address_of(url, name), "is not what was put there", None)
    return own, data


def lies_there(codec: str, reference: bytes) -> bool:
    """Whether something lies where a value's bytes should be; arguments as `read`."""
    _, _, url = codec.partition(ELSEWHERE)
    try:
        return bool(place_of(url, os.getpid()).read(Reference.of(reference).digest.hex(), 1))
    except Exception:  # noqa: BLE001  storages have errors of their own, and with any it can't be had
        return False


def checked_url(url: Any) -> str:
    """Return a storage's URL as it is used.

    Raises:
        ValueError: It is none; its arguments are what it must be, and how it may be shown.

    >>> checked_url("file:///shared/values/")
    'file:///shared/values'
    """

    def refuse(wants: str, given: Any = url) -> NoReturn:
        raise ValueError(wants, given)

    if not isinstance(url, str) or not _URL.match(url):
        refuse('a URL like "file:///shared" or "s3://bucket/folder", or None')
    if not url.isprintable() or not url.isascii() or " " in url:
        refuse("of ASCII characters, others like %20")
    parts = urlsplit(url)
    if parts.password is not None:
        # It would stand in the store, beside each value.
        refuse("without a password, which fsspec's configuration may have", f"{parts.scheme}://...")
    if parts.query or parts.fragment:
        refuse("without ? and #")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            refuse("with an absolute path, like file:///shared (three slashes)")
        if not unquote(parts.path).strip("/") or "\0" in unquote(parts.path):
            refuse("a folder of its own")
        return "file://" + parts.path.rstrip("/")
    if not (parts.netloc + parts.path).strip("/"):
        refuse("a bucket or a folder of its own")
    return url.rstrip("/")


@lru_cache(maxsize=16)
def place_of(url: str, _process: int) -> Place:
    """Where a storage's values lie; in each process another, for connections are not to be shared.

    Raises:
        ImportError: What is needed for it is not installed.
    """
    # Start-up: the one that is needed.
    if url.startswith("file://"):
        from liteflow.storage.files import Folder  # noqa: PLC0415

        return Folder(unquote(url.removeprefix("file://")))
    from liteflow.storage.remote import Remote  # noqa: PLC0415

    return Remote(url)


# --- how -----------------------------------------------------------------------------------


def _lies_there(place: Place, name: str, size: int, digest: bytes) -> bool:
    """Whether it is there whole: what an altered one would cost later is more than to look."""
    try:
        data = place.read(name, size + 1)
    except FileNotFoundError:
        return False
    return len(data) == size and sha256(data).digest() == digest


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"


def _refuse(task: str, address: str, problem: str, cause: BaseException | None) -> NoReturn:
    # Start-up: attrs, which not every worker needs.
    from liteflow.errors import StoredElsewhereError  # noqa: PLC0415

    raise StoredElsewhereError(task, address, problem) from cause
