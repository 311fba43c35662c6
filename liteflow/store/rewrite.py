"""A run's graph is changed in its store, when its flow has changed before it goes on.

    renumber: calls are at other places -> replace_tasks, update_instances: the flow as it is now

All of it happens inside the journal's transaction.  Attempts and log lines stay: they happened.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final, NamedTuple

from liteflow.outcomes import WITH_VALUE
from liteflow.store.newrun import INSTANCE, TASK, Row

_LAST = 0xFFFFFFFF
# Tables with the ids of task instances.
_WITH_IDS: Final = (
    *("instance", "outcome", "chunk", "growth", "cache", "stream", "attempt", "running", "log", "wait"),
)
_UPSERT = (
    f"{INSTANCE} ON CONFLICT (id) DO UPDATE SET "
    "key = excluded.key, task = excluded.task, parent = excluded.parent, "
    "inputs = excluded.inputs, constants = excluded.constants"
)


class Checked(NamedTuple):
    """What a keyed check is bound to: of a value (`data` is None), or of an attempt's exception."""

    node: int
    attempt: int
    codec: str
    code_python: int
    type: str
    size: int
    sha256: bytes
    mac: bytes
    data: bytes | None


Remac = Callable[[Checked, int], bytes | None]
"""Gives the check that is right at another index, if the old one was right: a planted value must get none."""


def renumber(connection: sqlite3.Connection, number: int, mapping: Mapping[int, int], remac: Remac) -> None:
    """Give task instances of a run other indexes, wherever these stand (`parent` and `inputs` too).

    Args:
        connection: In a transaction.
        number: The run's.
        mapping: Old index -> new index; no two to one.  Those that are not in it stay.
        remac: See there.
    """
    base = number << 32
    moved = {old: new for old, new in mapping.items() if old != new}
    if not moved:
        return
    _remac_values(connection, base, moved, remac)
    _remac_exceptions(connection, base, moved, remac)
    # References are right again at the end.
    connection.execute("PRAGMA defer_foreign_keys = ON")
    pairs = [(-(base + new), base + old) for old, new in moved.items()]
    for table in _WITH_IDS:
        # By way of negative ids, so that two can change places.
        connection.executemany(f"UPDATE {table} SET id = ? WHERE id = ?", pairs)
        connection.execute(f"UPDATE {table} SET id = -id WHERE id < 0")
    _change_parents(connection, number, moved)
    _change_inputs(connection, number, lambda source: moved.get(source, source))


def replace_tasks(connection: sqlite3.Connection, number: int, rows: Sequence[Row]) -> None:
    """Let a run have other tasks: (number, name, declared type, policy, code).

    What is there already keeps its task, which gets a number behind the new ones.
    """
    (highest,) = connection.execute("SELECT max(number) FROM task WHERE run = ?", (number,)).fetchone()
    shift = max(-1 if highest is None else highest, *(int(str(row[0])) for row in rows), -1) + 1
    connection.execute("UPDATE task SET number = number + ? WHERE run = ?", (shift, number))
    connection.execute(
        "UPDATE instance SET task = task + ? WHERE id BETWEEN ? AND ?", (shift, *_span(number))
    )
    connection.executemany(TASK, [(number, *row) for row in rows])


def update_instances(connection: sqlite3.Connection, number: int, rows: Sequence[Row]) -> None:
    """Let a run have these task instances: (index, key, task, parent, inputs, constants).

    Those at other indexes stay if they have an outcome, and go if they have none; so do tasks
    that nothing is of any more.
    """
    base, span = number << 32, _span(number)
    connection.executemany(_UPSERT, [(base, *row) for row in rows])
    wanted = {row[0] for row in rows}
    query = (
        "SELECT i.id - ?, o.state FROM instance AS i LEFT JOIN outcome AS o ON o.id = i.id "
        "WHERE i.id BETWEEN ? AND ?"
    )
    states = dict(connection.execute(query, (base, *span)).fetchall())
    others = {index for index in states if index not in wanted}
    gone = {index for index in others if states[index] is None}
    connection.executemany("DELETE FROM instance WHERE id = ?", [(base + index,) for index in gone])
    # What a value of the past was made of may be made again now: it is not from that.
    given = {index for index, state in states.items() if state in WITH_VALUE}
    _change_inputs(connection, number, lambda source: source if source in given else None, others - gone)
    query = "SELECT DISTINCT task FROM instance WHERE id BETWEEN ? AND ?"
    used = {task for (task,) in connection.execute(query, span)}
    known = connection.execute("SELECT number FROM task WHERE run = ?", (number,)).fetchall()
    unused = [(number, task) for (task,) in known if task not in used]
    connection.executemany("DELETE FROM task WHERE run = ? AND number = ?", unused)


def _span(number: int) -> tuple[int, int]:
    return number << 32, (number << 32) + _LAST


def _change_parents(connection: sqlite3.Connection, number: int, moved: Mapping[int, int]) -> None:
    query = "SELECT id, parent FROM instance WHERE id BETWEEN ? AND ? AND parent IS NOT NULL"
    grown = connection.execute(query, _span(number)).fetchall()
    rows = [(moved[parent], row_id) for row_id, parent in grown if parent in moved]
    connection.executemany("UPDATE instance SET parent = ? WHERE id = ?", rows)


def _change_inputs(
    connection: sqlite3.Connection,
    number: int,
    changed: Callable[[int], int | None],
    only: Container[int] | None = None,
) -> None:
    """Change the indexes of sources (of some task instances only); None takes one away."""
    query = "SELECT id, inputs FROM instance WHERE id BETWEEN ? AND ? AND inputs IS NOT NULL"
    rows = []
    for row_id, text in connection.execute(query, _span(number)).fetchall():
        if only is not None and row_id & _LAST not in only:
            continue
        inputs: dict[str, list[int]] = json.loads(text)
        new = {
            name: [one for source in sources if (one := changed(source)) is not None]
            for name, sources in inputs.items()
        }
        if new != inputs:
            rows.append((json.dumps(new, separators=(",", ":"), ensure_ascii=False), row_id))
    connection.executemany("UPDATE instance SET inputs = ? WHERE id = ?", rows)


def _remac_values(connection: sqlite3.Connection, base: int, moved: Mapping[int, int], remac: Remac) -> None:
    query = (
        "SELECT attempt, codec, by_value, type, size, sha256, mac, NULL FROM outcome "
        "WHERE id = ? AND mac IS NOT NULL"
    )
    for old, new in moved.items():
        for facts in connection.execute(query, (base + old,)).fetchall():
            mac = remac(Checked(old, *facts), new)
            connection.execute("UPDATE outcome SET mac = ? WHERE id = ?", (mac, base + old))


def _remac_exceptions(
    connection: sqlite3.Connection, base: int, moved: Mapping[int, int], remac: Remac
) -> None:
    query = (
        "SELECT attempt, mac, exception FROM attempt "
        "WHERE id = ? AND mac IS NOT NULL AND exception IS NOT NULL"
    )
    for old, new in moved.items():
        for attempt, mac, data in connection.execute(query, (base + old,)).fetchall():
            made = remac(Checked(old, attempt, "", 0, "", len(data), b"", mac, data), new)
            row = (made, base + old, attempt)
            connection.execute("UPDATE attempt SET mac = ? WHERE id = ? AND attempt = ?", row)
