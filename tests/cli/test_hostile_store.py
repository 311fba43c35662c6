"""A store that someone else has made: looking at it runs nothing, and what it says does nothing."""

import hashlib
import os
import pickle
import shutil
import sqlite3
from contextlib import closing

import pytest
from cli_program import forked_program

from liteflow import Dag, flow, task
from liteflow.errors import LiteflowError
from liteflow.store.history import History

# What a terminal, a page or a drawing would obey, and what makes a text look like another.
NASTY = (
    '\x1b[2J\x1b]0;owned\x07\x9b31m\r\b\x7f<script>alert(1)</script>"]\n'
    "click a href --> b; \u202egpj.exe\u2066\u200b%%{init}%% [red]x[/red] {{7*7}} "
    '$(touch exploded) `x` \\" -->'
)
# None of these may reach a terminal as it is.
OBEYED = ("\x1b", "\x07", "\x9b", "\r", "\b", "\x7f", "\u202e", "\u2066", "\u200b")

COMMANDS = [
    ("runs",),
    ("runs", "--json"),
    ("show", "latest"),
    ("show", "latest", "--all"),
    ("show", "latest", "--json"),
    ("logs", "latest"),
    ("logs", "latest", "--json"),
    ("visualize", "latest"),
    ("visualize", "latest", "--format", "dot"),
    ("visualize", "latest", "--format", "text"),
    ("visualize", "latest", "--no-fold"),
    ("check",),
    ("check", "--json"),
]
# Text that is kept as it was: what a column is for, or else nothing would be found.
KEPT = {("meta", "name"), ("meta", "value"), ("outcome", "state"), ("instance", "inputs")}


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


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    db = tmp_path_factory.mktemp("hostile") / "liteflow.db"
    some.run(db=db, run_id="run-1", executor="inline", check=False)
    return db


@pytest.fixture
def folder(original, tmp_path):
    shutil.copy(original, tmp_path / "liteflow.db")
    return tmp_path


@pytest.fixture
def bomb(tmp_path):
    """A pickle that leaves a mark when it is read."""

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    data = pickle.dumps(Bomb())
    pickle.loads(data)
    (tmp_path / "exploded").rmdir()
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
                    expression = "? || id" if (table, name) == ("instance", "key") else "?"
                    connection.execute(f"UPDATE {table} SET {name} = {expression}", (NASTY,))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_looking_reads_no_pickle(folder, bomb, command):
    plant(folder / "liteflow.db", bomb)

    done = forked_program(folder)(*command)

    assert done.returncode == (1 if command[0] == "check" else 0), done.stderr
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_whatever_text_a_store_holds_is_only_shown(folder, command):
    soil(folder / "liteflow.db")

    done = forked_program(folder)(*command)

    assert done.returncode == (1 if command[0] == "check" else 0), done.stderr
    said = done.stdout + done.stderr
    assert r"\x1b[2J" in said or r"\u001b[2J" in said or "x1b#91;2J" in said
    for character in OBEYED:
        assert character not in said
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize("form", ["mermaid", "dot", "text"])
def test_whatever_text_a_store_holds_is_only_a_label_in_a_drawing(folder, form):
    soil(folder / "liteflow.db")

    drawn = forked_program(folder)("visualize", "latest", "--format", form).stdout

    assert drawn
    if form == "mermaid":
        assert "<script>" not in drawn
        assert not [line for line in drawn.splitlines() if line.strip().startswith(("click", "%%{"))]


def test_a_graph_that_is_loaded_reads_no_pickle(folder, bomb):
    plant(folder / "liteflow.db", bomb)
    soil(folder / "liteflow.db")

    with History(folder / "liteflow.db") as history:
        (run,) = history.runs()
    try:
        Dag.load(run.id, db=folder / "liteflow.db")
    except LiteflowError as error:
        assert str(error)
    assert not (folder / "exploded").exists()
