"""What the tables and views are, and how a store of an older schema gets to the newest.

    schema.sql: the newest, as SQL          MIGRATIONS: a step from each version to the next

A step changes what is stored, and calls `reshape` where tables have changed their columns.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final

Step = str | Callable[[sqlite3.Connection], None]


@cache
def schema_text() -> str:
    """The SQL that makes the newest schema."""
    with open(os.path.join(os.path.dirname(__file__), "schema.sql"), encoding="utf-8") as file:  # noqa: PTH118, PTH120, PTH123
        return file.read()


def statements(script: str) -> Iterator[str]:
    """Split SQL into its statements.

    >>> list(statements("SELECT 1; -- one;\\nSELECT ';'; "))
    ['SELECT 1;', " -- one;\\nSELECT ';';"]
    """
    start = 0
    for end in (found.end() for found in re.finditer(";", script)):
        if sqlite3.complete_statement(script[start:end]):
            yield script[start:end]
            start = end


def plain(statement: str) -> str:
    """Reduce SQL to what counts: without comments, the end, and blanks that mean nothing.

    >>> plain("CREATE TABLE a (  -- why\\n  b TEXT\\n);")
    'create table a(b text)'
    """
    text = re.sub(r"--[^\n]*", " ", statement)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ?([(),]) ?", r"\1", text).strip(" ;").lower()


def reshape(connection: sqlite3.Connection, schema: str | None = None) -> None:
    """Make what is there as a schema says: tables keep their rows, columns go by their names.

    Inside a transaction, while foreign keys are not enforced: a table that goes would take along
    what refers to it.  The text is then the schema's own, which ALTER TABLE could not do.
    Source: https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes".

    Args:
        connection: To the store.
        schema: Its SQL; None: the newest.
    """
    wanted = {_name(plain(text)): text for text in statements(schema_text() if schema is None else schema)}
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'"
    there = {name: (kind, plain(text)) for kind, name, text in connection.execute(query)}
    # Views name tables, and SQLite will not rename one below them.
    for name, (kind, _) in there.items():
        if kind in ("view", "index"):
            connection.execute(f"DROP {kind} {name}")
    # So that references to a renamed table go on meaning the one that takes its name.
    connection.execute("PRAGMA legacy_alter_table = ON")
    for name, text in wanted.items():
        kind, old = there.get(name, ("", ""))
        if kind != "table":
            connection.execute(text)
        elif old != plain(text):
            _rebuild(connection, name, text)
    connection.execute("PRAGMA legacy_alter_table = OFF")


def _rebuild(connection: sqlite3.Connection, table: str, text: str) -> None:
    old = f"old_{table}"
    connection.execute(f"ALTER TABLE {table} RENAME TO {old}")
    connection.execute(text)
    columns = _columns(connection, old)
    kept = ", ".join(name for name in _columns(connection, table) if name in columns)
    connection.execute(f"INSERT INTO {table} ({kept}) SELECT {kept} FROM {old}")
    connection.execute(f"DROP TABLE {old}")


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def _name(statement: str) -> str:
    """What a CREATE statement creates; `statement` is plain.

    >>> _name("create table a(b text)")
    'a'
    """
    return re.split(r"[ (]", statement, maxsplit=3)[2]


def _to_2(connection: sqlite3.Connection) -> None:
    """Sessions, keyed checks, fingerprints; `by_value` says which Python's code, not only that there is."""
    minor = "CAST(substr(python, instr(python, '.') + 1) AS INTEGER)"
    connection.execute(
        "UPDATE outcome SET by_value = coalesce((SELECT "
        f"100 * substr(python, 1, instr(python, '.') - 1) + {minor} "
        "FROM run WHERE number = outcome.id >> 32 AND python GLOB '[0-9]*.[0-9]*'), 1) WHERE by_value = 1"
    )
    reshape(connection)


def _to_3(connection: sqlite3.Connection) -> None:
    """Task instances that grew from others, what tasks share, chunks."""
    reshape(connection)


def _to_4(connection: sqlite3.Connection) -> None:
    """Events, and task instances that wait."""
    reshape(connection)


def _to_5(connection: sqlite3.Connection) -> None:
    """Values may lie elsewhere, and the views say where."""
    reshape(connection)


def _to_6(connection: sqlite3.Connection) -> None:
    """Results that later runs may take over."""
    reshape(connection)


# MIGRATIONS[n] makes schema n + 2 of schema n + 1, as SQL or as a function, within a transaction that
# it leaves open, while foreign keys are not enforced.  `schema.sql` is always the newest: what a step
# makes of an older file must be the same text, blanks and comments aside (a test holds both together).
MIGRATIONS: Final[Sequence[Step]] = (_to_2, _to_3, _to_4, _to_5, _to_6)


def newest(steps: Sequence[Step] = MIGRATIONS) -> int:
    """The version of the newest schema."""
    return 1 + len(steps)
