"""Reading what is in a run: task instances, edges, attempts, XComs, logs, values as bytes.

Which runs there are is read by runs.py, which a History goes on from.

Nothing here unpickles anything, and nothing may: who only looks must not run what someone
planted.  Values are bytes in and bytes out, checked against their digest.

Times are unix seconds (UTC).  Each method reads for itself, briefly: a run that goes on is not
held up, and two calls may see it at two moments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve

from liteflow import errors
from liteflow.signing import ELSEWHERE
from liteflow.storage import is_reference
from liteflow.store.queries import ATTEMPTS, CHUNKS, LOGS
from liteflow.store.rows import (
    AttemptRow,
    CachedRow,
    ChunkRow,
    ContextRow,
    DeclaredRow,
    DefinitionRow,
    EdgeRow,
    ExceptionRow,
    GrowthRow,
    LogRow,
    NodeRow,
    Recipe,
    RecordedCall,
    RunRow,
    SealedRow,
    SessionRow,
    Standing,
    StoredPayload,
    TaskRow,
    XComRow,
)
from liteflow.store.runs import Runs, span

__all__ = [
    "AttemptRow",
    "ChunkRow",
    "ContextRow",
    "DeclaredRow",
    "DefinitionRow",
    "EdgeRow",
    "ExceptionRow",
    "History",
    "LogRow",
    "NodeRow",
    "Recipe",
    "RecordedCall",
    "RunRow",
    "SealedRow",
    "SessionRow",
    "Standing",
    "StoredPayload",
    "TaskRow",
    "XComRow",
]

# What a task instance can be only while something drives its run.
_GOING_ON = ("running", "retrying")


class History(Runs):
    """A look into a store; close it, or use it in a `with`.

    Args:
        source: The path of the file; or an open connection, which is left open then.

    Raises:
        StoreError: There is no such file, or it is none of ours, or damaged.  So do all methods.
    """

    # --- what is in a run ------------------------------------------------------------------

    def tasks(self, run_id: str) -> list[TaskRow]:
        """Return the task instances of a run, in the order of the graph."""
        rows = self._of_run(
            TaskRow,
            run_id,
            "SELECT ?3, key, task, state, attempts, started_at / 1e6, ended_at / 1e6, worker, error "
            "FROM every_task WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )
        if any(row.state in _GOING_ON for row in rows) and self.find_run(run_id).state == "interrupted":
            # Nothing of it goes on, whatever was noted before its driver died.
            return [_waiting(row) if row.state in _GOING_ON else row for row in rows]
        return rows

    def edges(self, run_id: str) -> list[EdgeRow]:
        """Return the edges of a run, those into the first task instance first."""
        return self._of_run(
            EdgeRow,
            run_id,
            "SELECT ?3, source, target, parameter FROM every_edge WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )

    def grown(self, run_id: str) -> list[EdgeRow]:
        """Return which task instance grew from which, as edges without a parameter."""
        return self._of_run(
            EdgeRow,
            run_id,
            "SELECT ?3, p.key, c.key, NULL FROM instance AS c "
            "JOIN instance AS p ON p.id = (c.id >> 32 << 32) + c.parent "
            "WHERE c.id >= ?1 AND c.id < ?2 AND c.parent IS NOT NULL ORDER BY c.id",
        )

    def attempts(self, run_id: str, key: str | None = None) -> list[AttemptRow]:
        """Return the attempts at a task instance (None: at any), in order."""
        if key is not None:
            index = self.index_of(run_id, key)
            return [] if index is None else self._of_run(AttemptRow, run_id, ATTEMPTS, index)
        return self._of_run(AttemptRow, run_id, ATTEMPTS)

    def xcoms(self, run_id: str) -> list[XComRow]:
        """Return what is known of the values of a run, without reading them."""
        return self._of_run(
            XComRow,
            run_id,
            "SELECT ?3, key, type, codec, size, sha256, preview, address, exact, by_value "
            "FROM every_xcom WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )

    def logs(self, run_id: str, key: str | None = None, after: int = 0) -> Iterator[LogRow]:
        """Yield what attempts wrote, in the order in which it came.

        Args:
            run_id: The run.
            key: Of one task instance only.
            after: Only lines whose `seq` is higher: what has come since the last look.
        """
        for row in self._newer(LOGS, run_id, key, after, -1):
            yield self._made(LogRow, (run_id, *row))

    def chunks(self, run_id: str, key: str | None = None, after: int = 0) -> Iterator[ChunkRow]:
        """Yield the chunks of attempts that count or may count yet, in the order in which they came.

        Args:
            run_id: The run.
            key: Of one task instance only.
            after: Only chunks whose `seq` is higher: what has come since the last look.
        """
        for row in self._newer(CHUNKS, run_id, key, after, 0):
            yield self._made(ChunkRow, row)

    def last_attempts(self, run_id: str) -> dict[str, int]:
        """Return the last attempt, the one that counts, of each task instance that has given chunks."""
        first, end = span(self._number(run_id))
        query = (
            "SELECT key, max(attempts, last) FROM every_task JOIN "
            "(SELECT id AS given, max(attempt) AS last FROM stream WHERE id >= ? AND id < ? GROUP BY id) "
            "ON id = given"
        )
        return dict(self._reader.rows(query, (first, end)))

    # --- values, as bytes ------------------------------------------------------------------

    def payload(self, run_id: str, index: int) -> StoredPayload | None:
        """Return the bytes of a task instance's value; None if it has none.

        Of one that lies elsewhere they are its reference (`storage`), as its codec says.

        Raises:
            StoreDamagedError: They are not those that were written.
        """
        return self.node_payload(self._number(run_id), index)

    def node_payload(self, run_number: int, index: int) -> StoredPayload | None:
        """The same, by the run's number."""
        row_id = (run_number << 32) + index
        query = (
            "SELECT codec, type, size, sha256, mac, attempt, by_value, payload IS NULL FROM outcome "
            "WHERE id = ? AND state IN ('succeeded', 'cached')"
        )
        if not (found := self._reader.rows(query, (row_id,))):
            return None
        codec, *facts, chunked = found[0]
        # By this digest, which the keyed check is over: another may stand there a moment later.
        data = b"".join(self._pieces(row_id, facts[2], chunked, (codec, facts[1])))
        return self._made(StoredPayload, (codec, data, *facts))

    def cached(self, key: bytes, since: int) -> CachedRow | None:
        """Return the newest result of a key that was made since then; None: there is none.

        Args:
            key: Of the table `cache`.
            since: In microseconds since 1970.
        """
        query = (
            "SELECT r.number, r.id, c.id & 4294967295, c.made_at, o.preview, o.exact FROM cache AS c "
            "JOIN outcome AS o ON o.id = c.id JOIN run AS r ON r.number = c.id >> 32 "
            "WHERE c.key = ? AND c.made_at >= ? AND o.state IN ('succeeded', 'cached') "
            "ORDER BY c.made_at DESC, c.id DESC LIMIT 1"
        )
        for row in self._reader.rows(query, (key, since)):
            return self._made(CachedRow, row)
        return None

    def node_digest(self, run_number: int, index: int) -> bytes:
        """Return the SHA-256 of a value that a task instance has."""
        query = "SELECT sha256 FROM outcome WHERE id = ?"
        (((digest),),) = self._reader.rows(query, ((run_number << 32) + index,))
        return bytes(digest)

    def node_pieces(self, run_number: int, index: int) -> Iterator[bytes]:
        """Yield the bytes of a value in pieces, so that a large one need not be held twice.

        Raises:
            StoreDamagedError: They are not those that were written; known after the last piece.
        """
        row_id = (run_number << 32) + index
        found = self._reader.rows(
            "SELECT sha256, payload IS NULL, codec, size FROM outcome "
            "WHERE id = ? AND state IN ('succeeded', 'cached')",
            (row_id,),
        )
        for sha256, chunked, *how in found:
            yield from self._pieces(row_id, sha256, chunked, how)

    def chunk_bytes(self, row: ChunkRow) -> bytes:
        """Return the bytes of a chunk.

        Raises:
            StoreDamagedError: They are not those that were written.
        """
        data = self._reader.bytes_of("SELECT payload FROM stream WHERE seq = ?", (row.seq,)) or b""
        return self._as_stored(data, row.sha256, f"chunk {row.number} of {row.key}")

    def context(self, run_id: str) -> Iterator[ContextRow]:
        """Yield the values that the tasks of a run share.

        Raises:
            StoreDamagedError: One is not what was written.
        """
        number = self._number(run_id)
        query = (
            "SELECT key, version, type, codec, size, sha256, mac, preview, exact, by_value FROM context "
            "WHERE run = ? ORDER BY key"
        )
        for key, *facts in self._reader.rows(query, (number,)):
            payload = "SELECT payload FROM context WHERE run = ? AND key = ? AND version = ?"
            data = self._reader.bytes_of(payload, (number, key, facts[0]))
            if data is None:
                # It has changed since the last question: that is a new one.
                yield from (row for row in self.context(run_id) if row.key == key)
                continue
            row = self._made(ContextRow, (key, *facts, data))
            self._as_stored(data, row.sha256, f"the context's value {key!r}")
            yield row

    def sealed(self, run_id: str) -> Iterator[SealedRow]:
        """Yield each value's keyed check, with what it is over; no value is read."""
        query = (
            "SELECT id & 4294967295, attempt, codec, by_value, type, size, sha256, mac FROM outcome "
            "WHERE id >= ?1 AND id < ?2 AND state IN ('succeeded', 'cached') AND codec <> 'parts' ORDER BY id"
        )
        for row in self._batches(self._number(run_id), query):
            yield self._made(SealedRow, row)

    def exception(self, run_id: str, index: int) -> ExceptionRow | None:
        """Return the exception that the last attempt at a task instance raised; None if it left none."""
        row_id = (self._number(run_id) << 32) + index
        query = (
            "SELECT attempt, mac, exception IS NULL FROM attempt WHERE id = ? ORDER BY attempt DESC LIMIT 1"
        )
        for attempt, mac, absent in self._reader.rows(query, (row_id,)):
            query = "SELECT exception FROM attempt WHERE id = ? AND attempt = ?"
            data = None if absent else self._reader.bytes_of(query, (row_id, attempt))
            return None if data is None else self._made(ExceptionRow, (attempt, mac, data))
        return None

    @property
    def store_id(self) -> str:
        """The file's own id, random, which keyed checks are bound to."""
        found = self._reader.rows("SELECT value FROM meta WHERE name = 'store_id'")
        return str(found[0][0]) if found else ""

    def key_ids(self, run_id: str) -> list[str]:
        """Return the ids of the keys that a run's checks were made with, it says, the latest first."""
        query = "SELECT key_id FROM session WHERE run = ? AND key_id IS NOT NULL ORDER BY token DESC"
        return list(dict.fromkeys(str(key) for (key,) in self._reader.rows(query, (self._number(run_id),))))

    def last_end(self, run_id: str) -> float | None:
        """Return when the attempt that ended last did, in unix seconds; None if none has."""
        number = self._number(run_id)
        query = (
            "SELECT (SELECT started_at FROM run WHERE number = ?1) + max(ended) FROM ("
            "SELECT max(started + took) AS ended FROM outcome WHERE id >= ?2 AND id < ?3 "
            "UNION ALL SELECT max(started + took) FROM attempt WHERE id >= ?2 AND id < ?3)"
        )
        ((found,),) = self._reader.rows(query, (number, *span(number)))
        return None if found is None else found / 1e6

    # --- what a graph or a resume is made of -----------------------------------------------

    def nodes(self, run_id: str) -> list[NodeRow]:
        """Return the task instances as the graph has them, by index."""
        query = (
            "SELECT id & 4294967295, key, task, inputs FROM instance WHERE id >= ?1 AND id < ?2 ORDER BY id"
        )
        return self._of_run(NodeRow, run_id, query, named=False)

    def declared(self, run_id: str) -> list[DeclaredRow]:
        """Return the tasks that a run uses, by number."""
        query = "SELECT number, name, returns, policy, code FROM task WHERE run = ? ORDER BY number"
        return [self._made(DeclaredRow, row) for row in self._reader.rows(query, (self._number(run_id),))]

    def recorded(self, run_id: str) -> list[RecordedCall]:
        """Return the task instances of a run as a resume compares them with its flow, by index."""
        query = (
            "SELECT e.id & 4294967295, e.key, e.task, i.parent, t.code, i.constants, i.inputs, e.state, "
            "e.attempts, e.error FROM every_task AS e JOIN instance AS i ON i.id = e.id "
            "LEFT JOIN task AS t ON t.run = e.id >> 32 AND t.number = i.task "
            "WHERE e.id >= ?1 AND e.id < ?2 ORDER BY e.id"
        )
        return self._of_run(RecordedCall, run_id, query, named=False)

    def growth(self, run_id: str) -> list[tuple[int, bytes | None, bytes]]:
        """Return what task instances became that gave calls in place of a value, by index.

        Returns:
            (index, keyed check, expansion) of each.
        """
        number = self._number(run_id)
        found = []
        query = "SELECT id, mac FROM growth WHERE id >= ?1 AND id < ?2 ORDER BY id"
        for row_id, mac in self._batches(number, query):
            data = self._reader.bytes_of("SELECT expansion FROM growth WHERE id = ?", (row_id,))
            row = self._made(GrowthRow, (row_id & 0xFFFFFFFF, mac, data or b""))
            found.append((row.index, row.mac, row.data))
        return found

    def definitions(self, run_id: str) -> list[DefinitionRow]:
        """Return the definitions of the script's classes."""
        number, found = self._number(run_id), []
        for names, mac in self._reader.rows("SELECT names, mac FROM definition WHERE run = ?", (number,)):
            query = "SELECT payload FROM definition WHERE run = ? AND names = ?"
            data = self._reader.bytes_of(query, (number, names))
            found.append(DefinitionRow(self._names(names), mac, data or b""))
        return found

    def recipe(self, run_id: str) -> Recipe:
        """Return what the run was made of."""
        number = self._number(run_id)
        ((holes, seal),) = self._reader.rows("SELECT holes, seal FROM run WHERE number = ?", (number,))
        return Recipe(
            arguments=self._reader.bytes_of("SELECT arguments FROM run WHERE number = ?", (number,)),
            result=self._reader.bytes_of("SELECT result FROM run WHERE number = ?", (number,)),
            holes=holes,
            seal=seal,
            definitions=tuple(self.definitions(run_id)),
        )

    def standing(self, run_id: str) -> Standing:
        """Return how far a run has come."""
        number = self._number(run_id)
        succeeded = (
            "SELECT id & 4294967295, size FROM outcome "
            "WHERE id >= ?1 AND id < ?2 AND state IN ('succeeded', 'cached')"
        )
        attempts = "SELECT id & 4294967295, max(attempt) FROM attempt WHERE id >= ?1 AND id < ?2 GROUP BY id"
        return Standing(dict(self._batches(number, succeeded)), dict(self._batches(number, attempts)))

    # --- how -------------------------------------------------------------------------------

    def _pieces(self, row_id: int, sha256: Any, chunked: int, how: Sequence[Any]) -> Iterator[bytes]:
        """The bytes of a value, and an error behind them if they are not its; `how`: codec and size."""
        codec, size = how
        if isinstance(codec, str) and ELSEWHERE in codec:
            reference = b"".join(self._whole(row_id))
            yield reference
            right = is_reference(reference, size, sha256)
        else:
            digest = hashlib.sha256()
            for piece in self._chunks(row_id) if chunked else self._whole(row_id):
                digest.update(piece)
                yield piece
            right = digest.digest() == sha256
        if not right:
            where = f"task instance {row_id & 0xFFFFFFFF} of run number {row_id >> 32}"
            raise errors.StoreDamagedError(self.path, f"the value of {where} is not what was stored")

    def _as_stored(self, data: bytes, sha256: bytes, what: str) -> bytes:
        if hashlib.sha256(data).digest() != sha256:
            raise errors.StoreDamagedError(self.path, f"{what} is not what was stored")
        return data

    def _whole(self, row_id: int) -> Iterator[bytes]:
        yield self._reader.bytes_of("SELECT payload FROM outcome WHERE id = ?", (row_id,)) or b""

    def _chunks(self, row_id: int) -> Iterator[bytes]:
        for (seq,) in self._reader.rows("SELECT seq FROM chunk WHERE id = ? ORDER BY seq", (row_id,)):
            query = "SELECT data FROM chunk WHERE id = ? AND seq = ?"
            yield self._reader.bytes_of(query, (row_id, seq)) or b""

    def _names(self, text: str) -> tuple[str, ...]:
        try:
            names = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise errors.StoreDamagedError(
                self.path, f"a definition's names are no JSON: {text[:100]!r}"
            ) from error
        return tuple(map(str, names if isinstance(names, list) else [names]))


def _waiting(row: TaskRow) -> TaskRow:
    return evolve(row, state="pending", started_at=None, worker=None)
