"""A look is read-only, leaves nothing behind, and takes nothing in a file for granted."""

import os
import sqlite3
import subprocess
import sys

import pytest
from store_rows import START, begin, begun, succeeded, tried, unprivileged

from liteflow.errors import (
    NotAStoreError,
    StoreDamagedError,
    StoreError,
    StoreMissingError,
    StoreSlowError,
    StoreUnreadableError,
)
from liteflow.store.db import newest, open_store, schema_text
from liteflow.store.history import History
from liteflow.store.journal import Journal
from liteflow.store.reader import open_reader


def ended(db, **more):
    """A store that a run has been written to, and is closed."""
    journal = begun(db, **more)
    journal.outcomes([succeeded(journal.base)])
    journal.attempts([tried(journal.base + 1)])
    journal.logs([(journal.base, 1, START, "stdout", "hello")])
    journal.end("succeeded", START + 1, None)
    journal.close()


def look_at_everything(db):
    with History(db) as history:
        history.runs()
        for run in history.finds("latest"):
            for ask in ("tasks", "edges", "attempts", "xcoms", "nodes", "declared", "standing", "recipe"):
                getattr(history, ask)(run.id)
            list(history.logs(run.id))
            history.payload(run.id, 0)


def killed(db):
    """A store whose driver was killed with commits that are still beside the file."""
    code = (
        "import os, sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from store_rows import begun, succeeded\n"
        f"journal = begun({str(db)!r})\n"
        "journal.outcomes([succeeded(journal.base)]); journal.commit(); os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert db.with_name(f"{db.name}-wal").stat().st_size


# --- what can be looked into ---------------------------------------------------------------


def test_looking_makes_no_store(db):
    with pytest.raises(StoreMissingError, match="no such file"):
        History(db)

    assert list(db.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.touch(), "empty"),
        (lambda path: path.write_text("hello"), "not a database"),
        (os.mkfifo, "not a regular file"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE a (b)").connection.close(), "another"),
        (lambda path: sqlite3.connect(path).execute("PRAGMA journal_mode=WAL").connection.close(), "empty"),
    ],
    ids=["a directory", "an empty file", "a text", "a pipe", "another's", "an empty database"],
)
def test_what_is_no_store_is_refused_by_what_it_is(db, make, words):
    make(db)

    with pytest.raises(NotAStoreError, match=words):
        History(db)


def test_looking_leaves_nothing_beside_a_store_and_changes_nothing(db):
    ended(db)
    before = db.read_bytes(), db.stat().st_mtime_ns

    look_at_everything(db)

    assert [path.name for path in db.parent.iterdir()] == [db.name]
    assert (db.read_bytes(), db.stat().st_mtime_ns) == before


def test_a_store_that_was_cut_short_is_told_damaged_and_nothing_is_left_beside_it(db):
    ended(db)
    os.truncate(db, db.stat().st_size // 2)

    with pytest.raises(StoreDamagedError):
        look_at_everything(db)

    assert [path.name for path in db.parent.iterdir()] == [db.name]


def test_a_reader_can_write_nothing(db):
    ended(db)
    for prepare in (lambda: None, lambda: killed(db.with_name("killed.db"))):
        prepare()
    for path in (db, db.with_name("killed.db")):
        reader = open_reader(path)
        with pytest.raises(StoreError, match="can't be written"):
            reader.rows("DELETE FROM run")
        reader.close()


def test_what_a_killed_driver_had_committed_is_seen(db):
    killed(db)

    with History(db) as history:
        assert history.payload("run-1", 0).data == b"12345"
        assert history.tasks("run-1")[0].state == "succeeded"


def closed_folder(open_folder, make):
    folder = open_folder / "closed"
    folder.mkdir()
    db = folder / "a.db"
    make(db)
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o555)
    return db


def said_of(db):
    def tell():
        try:
            look_at_everything(db)
        except StoreError as error:
            return f"{type(error).__name__}: {error}"
        return "all"

    return tell


def test_a_store_in_a_folder_that_may_only_be_read_can_be_looked_into(open_folder):
    db = closed_folder(open_folder, ended)

    assert unprivileged(said_of(db)) == "all"


def test_pending_commits_in_a_folder_that_may_only_be_read_are_not_passed_over(open_folder):
    def make(db):
        killed(db)
        db.with_name(f"{db.name}-shm").unlink()

    db = closed_folder(open_folder, make)

    said = unprivileged(said_of(db))
    assert said.startswith("StoreUnreadableError")
    assert "copy both files" in said


def test_a_store_that_may_not_be_read_is_named(open_folder):
    db = closed_folder(open_folder, ended)
    db.chmod(0o000)

    assert unprivileged(said_of(db)).startswith("StoreUnreadableError: ")


# --- while others write --------------------------------------------------------------------


def test_a_look_sees_what_is_committed_while_it_looks(db):
    ended(db)
    with History(db) as history:
        assert len(history.runs()) == 1

        journal = Journal(open_store(db))
        begin(journal, run_id="run-2")
        assert len(history.runs()) == 2
        journal.outcomes([succeeded(journal.base)])
        journal.commit()
        assert history.tasks("run-2")[0].state == "succeeded"
        journal.end("succeeded", START, None)
        assert history.find_run("run-2").state == "succeeded"
        begin(journal, run_id="run-3")
        assert len(history.runs()) == 3
        journal.close()

        assert len(history.runs()) == 3


def test_a_look_that_is_overtaken_in_mid_read_reads_again(db):
    """Whole runs are written while rows are read from the file as it lies there."""
    journal = Journal(open_store(db))
    for number in range(50):
        begin(journal, ["a"], run_id=f"run-{number}")
    journal.close()
    reader = open_reader(db)
    calls = iter(range(10**9))

    def write():
        if next(calls) == 40:
            journal = Journal(open_store(db))
            begin(journal, [f"step-{n}" for n in range(3000)], run_id="late")
            journal.end("succeeded", START, None)
            journal.close()
        return 0

    # SQLite calls this while it reads; at the 40th time it has some of the rows.
    reader._connection.set_progress_handler(write, 3)

    assert reader.rows("SELECT id FROM run ORDER BY number")[-1] == ("late",)
    assert next(calls) > 40
    reader.close()


def test_a_store_that_is_removed_while_one_looks_is_named(db):
    ended(db)
    with History(db) as history:
        db.unlink()
        with pytest.raises(StoreUnreadableError, match="No such file"):
            history.runs()


def test_looking_does_not_hold_up_a_run(db):
    journal = begun(db)
    with History(db) as history:
        lines = history.logs("run-1")
        journal.logs([(journal.base, 1, START + n, "stdout", "x") for n in range(6000)])
        journal.commit()
        next(lines)
        journal.end("succeeded", START, None)

        assert db.with_name(f"{db.name}-wal").stat().st_size == 0
    journal.close()


# --- files that someone made ---------------------------------------------------------------


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER bomb AFTER INSERT ON run BEGIN DELETE FROM run; END",
        "CREATE VIEW bomb AS SELECT 1",
        "CREATE TABLE bomb (a)",
        "CREATE INDEX bomb ON run (error)",
        "DROP VIEW tasks; CREATE VIEW tasks AS SELECT * FROM run AS bomb",
    ],
)
def test_a_file_with_something_planted_is_refused_by_its_name(db, planted):
    ended(db)
    connection = sqlite3.connect(db)
    connection.executescript(planted)
    connection.close()

    with pytest.raises(StoreDamagedError, match=r"did not put there .*(bomb|tasks)"):
        History(db)


def test_a_file_that_lacks_something_is_refused(db):
    ended(db)
    connection = sqlite3.connect(db)
    connection.execute("DROP VIEW logs")
    connection.close()

    with pytest.raises(StoreDamagedError, match="1 of its tables and views are missing"):
        History(db)


def test_a_schema_is_known_by_what_it_means_not_by_its_blanks(db):
    connection = sqlite3.connect(db)
    connection.executescript(
        schema_text().replace("    ", "\t").replace("CREATE TABLE meta (", "CREATE TABLE meta (  -- other\n")
    )
    connection.executescript(f"PRAGMA application_id = 0x6C69666C; PRAGMA user_version = {newest()}")
    connection.close()

    look_at_everything(db)


def forge(db, statement):
    """Change a store in a way that STRICT tables and foreign keys forbid."""
    connection = sqlite3.connect(db, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '') WHERE type = 'table'")
    connection.close()
    connection = sqlite3.connect(db, isolation_level=None)
    # Tables without STRICT turn text that looks like a number into one, and these values don't.
    connection.execute(statement)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = sql || ' STRICT' WHERE type = 'table' AND sql LIKE 'CREATE%)%' "
        "AND sql NOT LIKE '%WITHOUT ROWID%'"
    )
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, ', WITHOUT ROWID', 'STRICT, WITHOUT ROWID') "
        "WHERE sql LIKE '%WITHOUT ROWID%'"
    )
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE run SET flow = x'00ff'",
        "UPDATE run SET error = x'00'",
        "UPDATE instance SET key = x'00'",
        "UPDATE instance SET task = 'x'",
        "UPDATE outcome SET state = x'00'",
        "UPDATE outcome SET attempt = 'x'",
        "UPDATE outcome SET size = 'large'",
        "UPDATE outcome SET payload = 'text'",
        "UPDATE attempt SET error = x'00'",
        "UPDATE log SET line = x'00'",
        "UPDATE log SET line = CAST(x'ff' AS TEXT)",
        "UPDATE instance SET inputs = '{' WHERE key = 'total'",
        "UPDATE definition SET names = '['",
        "UPDATE definition SET payload = 7",
        "UPDATE run SET flow = CAST(zeroblob(20000000) AS TEXT)",
    ],
)
def test_a_file_that_holds_what_it_should_not_is_refused(db, statement):
    ended(db, inputs=[None, '{"x":[0]}', '{"x":[0]}'], definitions=[('["A"]', None, b"a")])
    look_at_everything(db)
    forge(db, statement)

    with pytest.raises(StoreDamagedError):
        look_at_everything(db)


def test_edges_to_nowhere_are_passed_over(db):
    ended(db, inputs=[None, '{"x":[0, 77, -1, 4294967296, null, "a", [1], {"b": 1}]}'])

    with History(db) as history:
        found = {(row.source, row.target) for row in history.edges("run-1")}
    assert ("load", "double") in found


def test_every_byte_that_is_wrong_gives_a_value_or_an_error_of_ours(db):
    ended(db)
    whole = db.read_bytes()
    for at in range(0, len(whole), 1009):
        db.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            look_at_everything(db)
        except StoreError as error:
            assert str(db) in str(error)


@pytest.mark.parametrize("pages", [1, 5, 10])
def test_a_store_that_was_cut_off_is_damaged(db, pages):
    ended(db)
    os.truncate(db, pages * 4096)

    with pytest.raises((StoreDamagedError, NotAStoreError)):
        look_at_everything(db)


def test_reading_that_takes_too_long_is_given_up(db):
    ended(db)
    reader = open_reader(db, time_limit=0.05)

    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(StoreSlowError, match=r"given up, it took over 0.05 s"):
        reader.rows(endless)
    assert reader.rows("SELECT id FROM run") == [("run-1",)]
    reader.close()
