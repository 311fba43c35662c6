"""The bytes of values on their way: small ones as they are, large ones as shared memory.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from liteflow import xcom
from liteflow.signing import ELSEWHERE, PYTHON, Seal
from liteflow.system import anonymous_file

if TYPE_CHECKING:
    from liteflow.storage.place import Storage


class Large:
    """A payload in memory that processes hand to each other by descriptor, never by copy.

    Whoever holds the object holds the memory; it goes when the last one lets go.
    """

    __slots__ = ("__weakref__", "descriptor", "size")

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size

    def __del__(self) -> None:
        os.close(self.descriptor)

    @staticmethod
    def written(parts: Sequence[xcom.Buffer], size: int) -> Large:
        """Put the parts of a payload one after the other into fresh memory."""
        large = Large(anonymous_file("liteflow-value"), size)
        for part in parts:
            view = memoryview(part).cast("B")
            while view.nbytes:
                view = view[os.write(large.descriptor, view) :]
        return large

    def read(self, start: int, length: int) -> bytes:
        """A part of the payload."""
        return os.pread(self.descriptor, length, start)

    def private(self) -> memoryview:
        """The payload, of which changes stay with whoever makes them (copy on write)."""
        return memoryview(mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_COPY))


class Payload(NamedTuple):
    """The bytes of a value, and how to read them."""

    codec: str
    data: bytes | Large

    def value(self) -> Any:
        """A fresh copy of the value, to change as one likes; this runs code (it is a pickle)."""
        if not isinstance(self.data, bytes):
            return xcom.decode(self.codec, self.data.private())
        if self.codec == "pickle":
            return xcom.decode(self.codec, self.data)
        if ELSEWHERE in self.codec:
            # Start-up: few runs have any.
            from liteflow.storage.place import read  # noqa: PLC0415

            codec, data = read(self.codec, self.data)
            return xcom.decode(codec, memoryview(data))
        # An array in bytes would be read-only, and one of another size would not.
        return xcom.decode(self.codec, memoryview(bytearray(self.data)))


def elsewhere(encoded: xcom.Encoded, storage: Storage, task: str) -> xcom.Encoded:
    """Put a value's bytes into a storage, if they are to lie there; a reference is then in their place.

    Args:
        encoded: The value.
        storage: Where large values go.
        task: What has made it, for messages.

    Raises:
        StoredElsewhereError: They can't be written.
    """
    if storage.takes(encoded.codec, encoded.size):
        facts = (encoded.codec, encoded.parts, encoded.size, encoded.sha256)
        codec, reference = storage.put(*facts, task)
        return encoded._replace(codec=codec, parts=(reference,))
    if encoded.size > storage.threshold:
        # Start-up: loaded already, where a task says what runs next.
        from liteflow.nexts import NEXT, with_output  # noqa: PLC0415

        if encoded.codec == NEXT:
            return with_output(encoded, lambda output: elsewhere(output, storage, task))
    return encoded


def stored_facts(
    encoded: xcom.Encoded, seal: Seal, node: int, attempt: int
) -> tuple[str, str, int, bytes, bytes | None, str, int, int]:
    """What is stored of a value beside its payload, as the store has it (no booleans: they bind slowly).

    Args:
        encoded: The value.
        seal: Makes its keyed check.
        node: The number of the task instance in its run.
        attempt: Which attempt gave it, from 1.
    """
    type_, codec, size, sha256, preview, exact, by_value, _parts = encoded
    code_python = PYTHON if by_value else 0
    mac = seal.value(node, attempt, codec, code_python, type_, size, sha256)
    return type_, codec, size, sha256, mac, preview, 1 if exact else 0, code_python
