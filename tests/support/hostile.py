"""A store of someone else: pickles that leave a mark when they are read, and text that is obeyed."""

import hashlib
import os
import pickle
import sqlite3
from contextlib import closing

from liteflow import flow, task

# What a terminal, a page or a drawing would obey, and what makes a text look like another.
NASTY = (
    '\x1b[2J\x1b]0;owned\x07\x9b31m\r\b\x7f<script>alert(1)</script>"]\n'
    "click a href --> b; \u202egpj.exe\u2066\u200b%%{init}%% [red]x[/red] {{7*7}} "
    '$(touch exploded) `x` \\" -->'
)
# None of these may reach a terminal as it is.
OBEYED = ("\x1b", "\x07", "\x9b", "\r", "\b", "\x7f", "\u202e", "\u2066", "\u200b")

# Text that is kept as it was: what a column is for, or else nothing would be found.
KEPT = {("meta", "name"), ("meta", "value"), ("outcome", "state"), ("instance", "inputs")}
# Text that no two rows have in common.
APART = {("instance", "key"): "id", ("run", "id"): "number"}


@task
def first() -> int:
    print("a line")
    return 1


@task
def second(x: int) -> int:
    return x


@task
def broken(x: int) -> int:
    raise KeyError("no")


@flow
def some(name: str = "x"):
    return broken(second(first()))


def bomb_in(folder):
    """A pickle that makes a folder `exploded` in this one when it is read."""

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(folder / "exploded"),)

    data = pickle.dumps(Bomb())
    pickle.loads(data)
    (folder / "exploded").rmdir()
    return data


def tables(connection):
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in names:
        yield table, [row[1:3] for row in connection.execute(f"PRAGMA table_info({table})")]


def plant(db, bomb):
    """Put bombs into all blobs, their digests beside them; and classes and chunks that are bombs too."""
    with closing(sqlite3.connect(db)) as connection, connection:
        for table, columns in tables(connection):
            for name, kind in columns:
                if kind == "BLOB" and name not in ("sha256", "mac", "seal"):
                    connection.execute(f"UPDATE {table} SET {name} = ?", (bomb,))
        connection.execute("INSERT INTO definition VALUES (1, '[\"Colour\"]', zeroblob(32), ?)", (bomb,))
        connection.execute(
            "UPDATE outcome SET sha256 = ?, size = ? WHERE state = 'succeeded'",
            (hashlib.sha256(bomb).digest(), len(bomb)),
        )
        (place,) = connection.execute("SELECT max(id) FROM outcome WHERE state = 'succeeded'").fetchone()
        connection.execute("UPDATE outcome SET payload = NULL WHERE id = ?", (place,))
        connection.execute("INSERT INTO chunk VALUES (?, 0, ?)", (place, bomb))


def soil(db):
    """Put nasty text into all columns that take text."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table, columns in tables(connection):
            for name, kind in columns:
                if kind == "TEXT" and (table, name) not in KEPT:
                    expression = f"? || {APART[table, name]}" if (table, name) in APART else "?"
                    connection.execute(f"UPDATE {table} SET {name} = {expression}", (NASTY,))
