"""May this be unpickled?  All that is read from a store goes through here before its pickles are.

    History --bytes, checks--> TrustedValues --bytes--> whoever unpickles
                                    |
                                    +--> ForeignValueError, StoreDamagedError, CodeOfOtherPythonError

Reading a pickle runs what whoever wrote it wanted to run.  So a value must carry the check that
only this user's keys can make (`signing`), or the user has said that the file is trusted.  Code
of another Python is refused even then: it would end this process.

Looking (History, views) needs none of this: it unpickles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal

from liteflow import errors
from liteflow.engine.contexts import Entry
from liteflow.executor.payload import Payload
from liteflow.keys import Keyring
from liteflow.pickling import Bundle
from liteflow.signing import ELSEWHERE, PYTHON, Key, Seal, matches, seal_for

if TYPE_CHECKING:
    from liteflow.store.history import History, Recipe, RunRow
    from liteflow.store.rewrite import Checked
    from liteflow.store.rows import ChunkRow, ContextRow, SealedRow, StoredPayload

# What cloudpickle calls to make a function or a class is found in each pickle that holds one.
_CODE: Final = b"cloudpickle"

# So many chunks are read at a time, and no more when they have so many bytes.
_CHUNKS: Final = 500
_CHUNK_BYTES: Final = 8 * 1024 * 1024

Verdict = Literal["own", "unsealed", "foreign"]


class TrustedValues:
    """What a stored run has as pickles, as far as they may be read.

    Args:
        history: The file, open.
        run: The run.
        keyring: This user's keys; None: those of the environment.
        trust: Whether the user says that the file is trusted, whoever wrote it.

    Raises:
        KeyRefusedError: The user's key is no secret.
    """

    def __init__(
        self, history: History, run: RunRow, *, keyring: Keyring | None = None, trust: bool = False
    ) -> None:
        self._history = history
        self._run = run
        self._trust = trust
        keys = self._known(keyring or Keyring())
        self._key_ids = [key.id for key in keys]
        store_id = history.store_id
        self._seals = [seal_for(key, store_id, run.id) for key in keys]

    def payload(self, index: int) -> Payload | None:
        """Return the value of a task instance; None if it has none.

        Args:
            index: Its number in the run.

        Raises:
            ForeignValueError: Another user may have made it.
            StoreDamagedError: It is not what was stored.
            CodeOfOtherPythonError: It holds code that this Python can't run.
        """
        stored = self.stored(index)
        return None if stored is None else Payload(stored.codec, stored.data)

    def stored(self, index: int) -> StoredPayload | None:
        """Return the same with what is known of it; errors as `payload`."""
        stored = self._history.node_payload(self._run.number, index)
        if stored is None:
            return None
        facts = (stored.attempt, stored.codec, stored.code_python, stored.type, stored.size, stored.sha256)
        self._check(
            f"the value of task instance {index}",
            stored.mac,
            [seal.value(index, *facts) for seal in self._seals],
        )
        if stored.code_python not in (0, PYTHON):
            raise self._other_python(self._key(index), stored.code_python)
        return stored

    def kept(self, index: int) -> Payload:
        """Return the value of a task instance that has one; errors as `payload`."""
        payload = self.payload(index)
        assert payload is not None
        return payload

    def context(self) -> dict[str, Entry]:
        """Return what the run's tasks share.

        Raises:
            StoreError: As `payload`.
        """
        found = {}
        for row in self._history.context(self._run.id):
            self._check(f"the context's value {row.key!r}", row.mac, self._made_of_entry(row))
            if row.code_python not in (0, PYTHON):
                raise self._other_python(row.key, row.code_python)
            shown = (row.preview, row.exact, row.code_python)
            found[row.key] = Entry(row.version, row.type, row.codec, row.size, row.sha256, *shown, row.data)
        return found

    def chunk(self, row: ChunkRow) -> Payload:
        """Return the value of a chunk.

        Raises:
            StoreError: As `payload`.
        """
        self._check(f"chunk {row.number} of {row.key}", row.mac, self._made_of_chunk(row))
        if row.code_python not in (0, PYTHON):
            raise self._other_python(row.key, row.code_python)
        return Payload(row.codec, self._history.chunk_bytes(row))

    def chunks(
        self, key: str | None, after: int, counts: Mapping[str, int] | None = None
    ) -> tuple[list[tuple[ChunkRow, Payload]], int]:
        """Return some chunks, and where to go on: none are left when these are none.

        Args:
            key: Of which task instance; None: of any.
            after: Behind which `seq`.
            counts: Which attempt of a task instance counts; of one that is not there, and if it
                is None, all do.

        Raises:
            StoreError: As `payload`.
        """
        found: list[tuple[ChunkRow, Payload]] = []
        size = 0
        for row in self._history.chunks(self._run.id, key, after):
            after = row.seq
            if counts is None or counts.get(row.key, row.attempt) == row.attempt:
                found.append((row, self.chunk(row)))
                size += row.size
            if len(found) == _CHUNKS or size > _CHUNK_BYTES:
                break
        return found, after

    def exception(self, index: int) -> bytes | None:
        """Return the pickle of what the last attempt at a task instance raised.

        None where its text must do: there is none, or none that this Python reads.

        Raises:
            StoreError: As `payload`.
        """
        stored = self._history.exception(self._run.id, index)
        if stored is None:
            return None
        self._check(
            f"the exception of task instance {index}",
            stored.mac,
            [seal.exception(index, stored.attempt, stored.data) for seal in self._seals],
        )
        return None if self._is_of_other_python(stored.data) else stored.data

    def recipe(self) -> Recipe:
        """Return what the run was made of.

        Raises:
            StoreError: As `payload`.
        """
        found = self._history.recipe(self._run.id)
        parts = (self._run.flow, found.holes, found.result, found.arguments)
        self._check("what it was made of", found.seal, [seal.recipe(*parts) for seal in self._seals])
        if any(self._is_of_other_python(blob or b"") for blob in (found.result, found.arguments)):
            raise self._other_python("(result)", _minor(self._run.python))
        return found

    def growths(self) -> dict[int, bytes]:
        """Return what task instances went on as, by their numbers in the run.

        Raises:
            StoreError: As `payload`.
        """
        found = {}
        for index, mac, data in self._history.growth(self._run.id):
            what = f"the calls that task instance {index} went on as"
            self._check(what, mac, [seal.growth(index, data) for seal in self._seals])
            found[index] = data
        return found

    def definitions(self) -> list[Bundle]:
        """Return the classes of the script, as far as this Python reads them: with another none.

        Raises:
            StoreError: As `payload`.
        """
        if _minor(self._run.python) != PYTHON:
            return []
        found = self._history.definitions(self._run.id)
        for row in found:
            made = [seal.definition(row.names, row.data) for seal in self._seals]
            self._check(f"the definition of {', '.join(row.names)[:80]}", row.mac, made)
        return [Bundle(row.names, row.data) for row in found]

    def verdicts(self) -> Iterator[tuple[str, Verdict]]:
        """Yield what each pickle of the run is, and what its keyed check says; none is unpickled.

        `own`: made with a key of this user, for this place, and unchanged (whether a value's bytes
        are those of its digest, whoever reads them sees); `unsealed`: there is no check, made where
        no key could be kept; `foreign`: made with another key, or changed.

        Raises:
            StoreError: The file can't be read.
        """
        run, history, seals = self._run, self._history, self._seals
        found = history.recipe(run.id)
        parts = (run.flow, found.holes, found.result, found.arguments)
        yield "what it was made of", _verdict(found.seal, [seal.recipe(*parts) for seal in seals])
        for row in found.definitions:
            made = [seal.definition(row.names, row.data) for seal in seals]
            yield f"the definition of {', '.join(row.names)[:80]}", _verdict(row.mac, made)
        for value in history.sealed(run.id):
            yield f"the value of task instance {value.index}", self._verdict_of(value)
        for entry in history.context(run.id):
            yield f"the context's value {entry.key!r}", _verdict(entry.mac, self._made_of_entry(entry))
        for chunk in history.chunks(run.id):
            yield f"chunk {chunk.number} of {chunk.key}", _verdict(chunk.mac, self._made_of_chunk(chunk))
        for index in history.standing(run.id).attempts:
            raised = history.exception(run.id, index)
            if raised is not None:
                made = [seal.exception(index, raised.attempt, raised.data) for seal in seals]
                yield f"the exception of task instance {index}", _verdict(raised.mac, made)

    def elsewhere(self) -> Iterator[tuple[int, str, bytes]]:
        """Yield the values that lie in storages: their task instances' numbers, codecs and references.

        Those that are not `own` are left out: nobody is to be sent to an address of somebody else's.

        Raises:
            StoreError: The file can't be read.
        """
        for value in self._history.sealed(self._run.id):
            if ELSEWHERE not in value.codec or self._verdict_of(value) != "own":
                continue
            stored = self._history.payload(self._run.id, value.index)
            if stored is not None:
                yield value.index, stored.codec, stored.data

    def remac(self, seal: Seal) -> Callable[[Checked, int], bytes | None]:
        """Return what makes a check right for another place in the run.

        What has no right check where it is, gets none there: moving a value makes it nobody's own.

        Args:
            seal: Makes the run's new checks.
        """

        def moved(old: Checked, to: int) -> bytes | None:
            made = [_made(one, old, old.node) for one in self._seals]
            return _made(seal, old, to) if _verdict(old.mac, made) == "own" else None

        return moved

    # --- how -------------------------------------------------------------------------------

    def _verdict_of(self, value: SealedRow) -> Verdict:
        """What the keyed check of a task instance's value says."""
        facts = (value.attempt, value.codec, value.code_python, value.type, value.size, value.sha256)
        return _verdict(value.mac, [seal.value(value.index, *facts) for seal in self._seals])

    def _made_of_entry(self, row: ContextRow) -> list[bytes | None]:
        """The checks that a value of the context may have."""
        facts = (row.codec, row.code_python, row.type, row.size, row.sha256)
        return [seal.entry(row.key, row.version, *facts) for seal in self._seals]

    def _made_of_chunk(self, row: ChunkRow) -> list[bytes | None]:
        """The checks that a chunk may have."""
        return [
            seal.chunk(
                row.key,
                row.attempt,
                row.number,
                row.name,
                row.codec,
                row.code_python,
                row.type,
                row.size,
                row.sha256,
            )
            for seal in self._seals
        ]

    def _known(self, keyring: Keyring) -> list[Key]:
        try:
            return keyring.known()
        except errors.KeyRefusedError:
            # Who trusts the file needs no key to read it.
            if self._trust:
                return []
            raise

    def _check(self, what: str, stored: bytes | None, made: list[bytes | None]) -> None:
        if self._trust or any(matches(stored, one) for one in made):
            return
        key_ids = self._history.key_ids(self._run.id)
        if stored is not None and any(key in self._key_ids for key in key_ids):
            raise errors.StoreDamagedError(
                self._history.path,
                f"{what} in run {self._run.id} does not match the check of whoever stored it: "
                "it was changed, or put there by someone else",
            )
        named = key_ids[0] if stored is not None and key_ids else None
        raise errors.ForeignValueError(self._history.path, f"run {self._run.id}", named)

    def _key(self, index: int) -> str:
        keys = (row.key for row in self._history.nodes(self._run.id) if row.index == index)
        return next(keys, str(index))

    def _is_of_other_python(self, data: bytes) -> bool:
        return _CODE in data and _minor(self._run.python) != PYTHON

    def _other_python(self, key: str, code_python: int) -> errors.CodeOfOtherPythonError:
        return errors.CodeOfOtherPythonError(self._run.id, key, _version(code_python), _version(PYTHON))


def _made(seal: Seal, of: Checked, node: int) -> bytes | None:
    if of.data is not None:
        return seal.exception(node, of.attempt, of.data)
    return seal.value(node, of.attempt, of.codec, of.code_python, of.type, of.size, of.sha256)


def _verdict(stored: bytes | None, made: list[bytes | None]) -> Verdict:
    if stored is None:
        return "unsealed"
    return "own" if any(matches(stored, one) for one in made) else "foreign"


def _minor(version: str | None) -> int:
    """A Python version as the store has it beside values; 0 for none that can be read.

    >>> _minor("3.11.4"), _minor(None)
    (311, 0)
    """
    parts = (version or "").split(".")
    if len(parts) < 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return 0
    return 100 * int(parts[0]) + int(parts[1])


def _version(minor: int) -> str:
    return f"{minor // 100}.{minor % 100}" if minor >= 100 else "of another version"
