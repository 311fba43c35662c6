"""Who wrote this?  A keyed check (MAC) of all that a store holds as a pickle.

    user's key --seal_for(store, run)--> Seal --value, exception, ...--> 32 bytes beside the pickle

Who can write to a store file can plant a pickle, and reading a pickle runs code.  So whatever is
read back from a file carries an HMAC that only its user's programs can make, over the bytes and
their place: the file, the run, the task instance, the attempt.  What was copied from another
place or another file, or changed by one bit, does not match.

A value's check is over its SHA-256, which is compared whenever its bytes are read; so it costs
the same for each value, large or small.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import hmac
import struct
import sys
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

KEY_BYTES: Final = 32
PYTHON: Final = 100 * sys.version_info.major + sys.version_info.minor
"""This Python as the store has it, beside values that hold code: 311 for 3.11."""

ELSEWHERE: Final = "@"
"""What stands in a codec, as the store has it, before the URL of the storage in which a value's bytes lie."""

# Index, attempt, Python, size, length of the codec, digest; behind them the codec and the type.
# Numbers as SQLite has them, so that whatever stands in a planted row has its bytes.
_VALUE = struct.Struct("<5q32s")
_PLACE = struct.Struct("<qq")
_CHUNK = struct.Struct("<4q32s")
_ENTRY = struct.Struct("<3q32s")
_LENGTH = struct.Struct("<q")

# What RFC 2104 calls B, ipad and opad, as tables that work a key's bytes in.
_BLOCK = 64
_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_OPAD = bytes(byte ^ 0x5C for byte in range(256))


class Key(NamedTuple):
    """A secret that tells a user's files from others.

    >>> Key(bytes(32)).id
    '66687aad'
    """

    secret: bytes

    @property
    def id(self) -> str:
        """What the key may be called where all can read it."""
        return sha256(self.secret).hexdigest()[:8]


class Seal:
    """Makes the checks of one run.

    Args:
        key: The run's own key, as `seal_for` makes it; empty if there is none: then the
            checks are None, and what they would be for is stored without.

    >>> seal = seal_for(Key(bytes(32)), "store", "run-1")
    >>> mac = seal.value(0, 1, "pickle", 0, "int", 5, bytes(32))
    >>> matches(mac, seal.value(0, 1, "pickle", 0, "int", 5, bytes(32)))
    True
    >>> matches(mac, seal.value(1, 1, "pickle", 0, "int", 5, bytes(32)))
    False
    """

    __slots__ = ("_inner", "_outer", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        # HMAC-SHA-256 (RFC 2104) with the key worked in once: a third of the time of `hmac.digest` for each.
        block = (key if len(key) <= _BLOCK else sha256(key).digest()).ljust(_BLOCK, b"\0")
        self._inner = sha256(block.translate(_IPAD))
        self._outer = sha256(block.translate(_OPAD))

    def value(  # noqa: PLR0917  the hot path: by position
        self, index: int, attempt: int, codec: str, code_python: int, type_: str, size: int, digest: bytes
    ) -> bytes | None:
        """The check of a value, from what is stored beside it.

        Args:
            index: The task instance's number in its run.
            attempt: Which attempt gave it, from 1.
            codec: How it was made bytes.
            code_python: The Python whose code it holds (see PYTHON); 0 if it holds none.
            type_: Its type's name.
            size: Of its bytes.
            digest: Their SHA-256.
        """
        if not self.key:
            return None
        name = codec.encode()
        head = _VALUE.pack(index, attempt, code_python, size, len(name), digest)
        return self._mac(b"value" + head + name + type_.encode())

    def exception(self, index: int, attempt: int, data: bytes | None) -> bytes | None:
        """The check of the exception that an attempt raised, as a pickle; None for none."""
        return None if data is None else self._made(b"error", _PLACE.pack(index, attempt), data)

    def chunk(  # noqa: PLR0917  as `value`
        self,
        key: str,
        attempt: int,
        number: int,
        name: str | None,
        codec: str,
        code_python: int,
        type_: str,
        size: int,
        digest: bytes,
    ) -> bytes | None:
        """The check of a chunk, from what is stored beside it.

        Args:
            key: The task instance's, which stays when its index changes.
            attempt: Which attempt gave it, from 1.
            number: Which of the attempt's chunks it is, from 0.
            name: Whose it says it is; None: the task instance's own.
            codec, code_python, type_, size, digest: As of `value`.
        """
        head = _CHUNK.pack(attempt, number, code_python, size, digest)
        said = None if name is None else _utf8(name)
        return self._made(b"chunk", head, _utf8(key), said, _utf8(codec), _utf8(type_))

    def entry(  # noqa: PLR0917  as `value`
        self, key: str, version: int, codec: str, code_python: int, type_: str, size: int, digest: bytes
    ) -> bytes | None:
        """The check of a value of the context, from what is stored beside it."""
        head = _ENTRY.pack(version, code_python, size, digest)
        return self._made(b"entry", head, _utf8(key), _utf8(codec), _utf8(type_))

    def growth(self, index: int, data: bytes) -> bytes | None:
        """The check of the calls that a task instance has gone on as."""
        return self._made(b"grown", _PLACE.pack(index, 0), data)

    def definition(self, names: Sequence[str], data: bytes) -> bytes | None:
        """The check of the definition of classes: their qualified names, and the pickle."""
        return self._made(b"class", data, *(name.encode() for name in names))

    def recipe(
        self, flow: str, holes: str | None, result: bytes | None, arguments: bytes | None
    ) -> bytes | None:
        """The check of what a run is made of."""
        text = None if holes is None else holes.encode()
        return self._made(b"recip", flow.encode(), text, result, arguments)

    def _made(self, kind: bytes, *parts: bytes | None) -> bytes | None:
        if not self.key:
            return None
        # With their lengths, so that no byte can move from one part to the next.
        lengths = [_LENGTH.pack(-1 if part is None else len(part)) for part in parts]
        return self._mac(b"".join([kind, *lengths, *(part or b"" for part in parts)]))

    def _mac(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


def _utf8(text: str) -> bytes:
    # As the store keeps half a character (a lone surrogate).
    return text.encode("utf-8", "backslashreplace")


def seal_for(key: Key | None, store_id: str, run_id: str) -> Seal:
    """Return what makes the checks of a run; without a key, one that makes none.

    Workers get the run's key and not the user's: a task that tells it gives away one run.

    Args:
        key: The user's.
        store_id: The file's own, from `meta`: without it, a value of another file of the same
            user would do.
        run_id: The run's.
    """
    if key is None:
        return Seal(b"")
    store = store_id.encode()
    message = b"liteflow run\0" + _LENGTH.pack(len(store)) + store + run_id.encode()
    return Seal(hmac.digest(key.secret, message, "sha256"))


def matches(stored: bytes | None, made: bytes | None) -> bool:
    """Whether a check that is stored is the one that it should be; without either it is not."""
    return stored is not None and made is not None and hmac.compare_digest(stored, made)
