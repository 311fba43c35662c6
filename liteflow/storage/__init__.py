"""Values that lie elsewhere: in a folder, or an object store, that the processes of a run share.

    a large value --Storage.put--> file:///shared/5d/5d41402a...      (its bytes, once, under their SHA-256)
                                        |
    codec "pickle@file:///shared", reference: size, digest, task --read--> its bytes, checked

Who has made a value puts it there, and who needs it reads it there: the driver and the store have the
reference alone, which travels as any small value does.  What a value lies under is the digest of its bytes:
two that are equal are one, and nothing that is read is trusted, for it has the digest that the reference
says, or is refused.

    place.py    to put and to read        files.py    file://, by Python alone
                                          remote.py   all else, by fsspec

No attrs here: workers import this.
"""

from __future__ import annotations

import struct
from typing import Final

Buffer = bytes | memoryview

HEAD: Final = struct.Struct("<Q32s")
"""What a reference begins with: the size of the bytes, and their SHA-256; behind it is their task."""


def is_reference(data: bytes, size: object, digest: object) -> bool:
    """Whether it is the reference of a value of this size and digest."""
    return len(data) >= HEAD.size and HEAD.unpack_from(data) == (size, digest)


def address_of(url: str, name: str) -> str:
    """Where a value lies.

    Args:
        url: Of the storage.
        name: The value's SHA-256 as hexadecimal digits.

    >>> address_of("file:///shared", "5d41")
    'file:///shared/5d/5d41'
    """
    return f"{url}/{path_of(name)}"


def path_of(name: str) -> str:
    """The path of a value in its storage: one folder with a million files would be slow."""
    return f"{name[:2]}/{name}"
