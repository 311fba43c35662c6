"""Is a store what it should be?  Everything is read, nothing is unpickled, nothing is changed.

    SQLite's own checks -> the schema -> what refers to what -> every value against its digest

What only the holder of a key can tell (who wrote a value) is for the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from liteflow.errors import StoreDamagedError
from liteflow.store.history import History
from liteflow.store.place import StorePath
from liteflow.store.reader import Reader, open_reader

# SQLite's checks look at every page; a row of an ordinary question takes milliseconds.
_TIME_LIMIT_S = 600.0
# Of one kind of fault so many are told, and one line says how many more there are.
_MOST = 20
_BATCH = 5000


@frozen
class Finding:
    """Something that is wrong: where, and what."""

    where: str
    problem: str


def check(path: StorePath) -> list[Finding]:
    """Look at all of a store, and return what is wrong with it.

    A run may be going on in it meanwhile: what it has committed is checked.

    Args:
        path: The file.

    Raises:
        StoreError: There is no store to look at, or it can't be read at all.
    """
    try:
        reader = open_reader(path, time_limit=_TIME_LIMIT_S)
    except StoreDamagedError as error:
        return [Finding("file", error.detail)]
    try:
        found = [*_of_sqlite(reader)]
        for look in (_of_tables, _of_inputs, _of_values, _of_shared):
            try:
                found += _some(look(reader))
            except StoreDamagedError as error:
                found.append(Finding("file", error.detail))
        return found
    finally:
        reader.close()


def _of_sqlite(reader: Reader) -> Iterator[Finding]:
    """What SQLite itself finds."""
    try:
        for (said,) in reader.rows(f"PRAGMA integrity_check({_MOST})"):
            if said != "ok":
                yield Finding("file", str(said))
        for table, row, parent, _ in reader.rows("PRAGMA foreign_key_check")[:_MOST]:
            yield Finding(f"table {table}", f"row {row} belongs to no {parent}")
    except StoreDamagedError as error:
        yield Finding("file", error.detail)


def _of_tables(reader: Reader) -> Iterator[Finding]:
    """Rows that SQLite can't tell are wrong."""
    for (row_id,) in reader.rows(
        "SELECT id FROM instance WHERE NOT EXISTS (SELECT 1 FROM run WHERE number = instance.id >> 32)"
    ):
        yield Finding(_name(row_id), "there is no such run")
    for row_id, task in reader.rows(
        "SELECT id, task FROM instance WHERE NOT EXISTS "
        "(SELECT 1 FROM task WHERE task.run = instance.id >> 32 AND task.number = instance.task)"
    ):
        yield Finding(_name(row_id), f"its run has no task {task}")
    # Pieces without an outcome are what is left when a driver dies in mid-value, until its run goes on.
    for (row_id,) in reader.rows(
        "SELECT DISTINCT c.id FROM chunk AS c JOIN run AS r ON r.number = c.id >> 32 "
        "LEFT JOIN outcome AS o ON o.id = c.id "
        "WHERE r.state NOT IN ('running', 'interrupted') AND (o.id IS NULL OR o.payload IS NOT NULL)"
    ):
        yield Finding(_name(row_id), "there are pieces of a value that it does not have")
    for number, id_ in reader.rows(
        "SELECT number, id FROM run WHERE state NOT IN "
        "('running', 'succeeded', 'failed', 'cancelled', 'interrupted')"
    ):
        yield Finding(f"run {id_}", f"run number {number} is in no state that there is")


def _of_inputs(reader: Reader) -> Iterator[Finding]:
    """Sources that are not there, and results without them."""
    last = -1
    while True:
        rows = reader.rows(
            "SELECT i.id, i.inputs, o.state FROM instance AS i LEFT JOIN outcome AS o ON o.id = i.id "
            "WHERE i.id > ? AND i.inputs IS NOT NULL ORDER BY i.id LIMIT ?",
            (last, _BATCH),
        )
        if not rows:
            return
        last = rows[-1][0]
        for row_id, text, state in rows:
            sources = _sources(text)
            if sources is None:
                yield Finding(_name(row_id), f"its inputs are not JSON as it should be: {text[:80]!r}")
                continue
            for source in sources:
                yield from _of_source(reader, row_id, source, state)


def _of_source(reader: Reader, row_id: int, source: int, state: str | None) -> Iterator[Finding]:
    found = reader.rows(
        "SELECT o.state FROM instance AS i LEFT JOIN outcome AS o ON o.id = i.id WHERE i.id = ?",
        ((row_id >> 32 << 32) + source,),
    )
    if not found:
        yield Finding(_name(row_id), f"it waits for task instance {source}, which is not there")
    elif state == "succeeded" and found[0][0] not in ("succeeded", "cached", "skipped"):
        yield Finding(_name(row_id), f"it has a value, and its source {source} has none")


def _of_values(reader: Reader) -> Iterator[Finding]:
    """Values that are not what was stored."""
    with History(reader.path) as history:
        last = -1
        while True:
            rows = reader.rows(
                "SELECT id FROM outcome WHERE id > ? AND state IN ('succeeded', 'cached') "
                "ORDER BY id LIMIT ?",
                (last, _BATCH),
            )
            if not rows:
                return
            last = rows[-1][0]
            for (row_id,) in rows:
                try:
                    for _ in history.node_pieces(row_id >> 32, row_id & 0xFFFFFFFF):
                        pass
                except StoreDamagedError as error:
                    yield Finding(_name(row_id), error.detail)


def _of_shared(reader: Reader) -> Iterator[Finding]:
    """Values of contexts and chunks that are not what was stored."""
    with History(reader.path) as history:
        for run in history.runs():
            try:
                for _ in history.context(run.id):
                    pass
                for row in history.chunks(run.id):
                    history.chunk_bytes(row)
            except StoreDamagedError as error:
                yield Finding(f"run {run.id}", error.detail)


def _some(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Not a million lines about one fault."""
    for count, finding in enumerate(findings):
        if count == _MOST:
            yield Finding("and", "there is more of this kind")
            return
        yield finding


def _sources(text: Any) -> list[int] | None:
    """The indexes in a row's inputs; None if these are not what they should be."""
    try:
        inputs = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(inputs, dict):
        return None
    sources: list[int] = []
    for given in inputs.values():
        if not isinstance(given, list) or not all(type(one) is int and 0 <= one < 1 << 32 for one in given):
            return None
        sources += given
    return sources


def _name(row_id: int) -> str:
    return f"task instance {row_id & 0xFFFFFFFF} of run number {row_id >> 32}"
