"""A store is made, recognised, brought up to date, or refused unharmed."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from store_rows import begun, mode_of, succeeded, unprivileged

from liteflow.errors import (
    NewerStoreError,
    NotAStoreError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StorePlaceError,
    StoreReadOnlyError,
)
from liteflow.store import db as store_db
from liteflow.store import place
from liteflow.store.db import migrate, open_store, plain, schema_text, statements
from liteflow.store.history import History
from liteflow.store.schema import MIGRATIONS

SCHEMAS = Path(__file__).parent / "schemas"


def rows(path, query):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def folder_bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_new_store_is_for_its_owner_only(db):
    before = os.umask(0)
    try:
        connection = open_store(db)
    finally:
        os.umask(before)
    connection.execute("BEGIN IMMEDIATE")

    assert [mode_of(path) for path in db.parent.iterdir()] == [0o600] * 3
    connection.close()


def test_a_store_says_what_it_is(db):
    open_store(db).close()

    assert rows(db, "PRAGMA application_id") == [(0x6C69666C,)]
    assert rows(db, "PRAGMA user_version") == [(store_db.newest(),)]
    assert rows(db, "PRAGMA journal_mode") == [("wal",)]
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]
    tables = "SELECT strict FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    assert set(rows(db, tables)) == {(1,)}


def test_each_store_has_an_id_of_its_own(db):
    open_store(db).close()
    open_store(db.with_name("other.db")).close()
    query = "SELECT value FROM meta WHERE name = 'store_id'"

    (mine,), (other,) = rows(db, query), rows(db.with_name("other.db"), query)
    assert mine != other
    assert len(mine[0]) == 32


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_durability_says_when_sqlite_waits_for_the_disk(db, durability, synchronous):
    connection = open_store(db, durability)

    assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    connection.close()


@pytest.mark.parametrize(
    ("pragma", "wanted"),
    [
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("mmap_size", 0),
        ("journal_size_limit", 64 * 1024 * 1024),
    ],
)
def test_a_writing_connection_is_set_as_the_rules_say(db, pragma, wanted):
    connection = open_store(db)

    assert connection.execute(f"PRAGMA {pragma}").fetchone() == (wanted,)
    connection.close()


@pytest.mark.parametrize(
    "name", ["a b.db", "100%.db", "what?.db", "a#b.db", "%2e.db", "ünï.db", "'.db", ":x", "-wal", "a\nb"]
)
def test_any_name_will_do(tmp_path, name):
    path = tmp_path / name
    begun(path).close()

    assert path.exists()
    with History(path) as history:
        assert [run.id for run in history.runs()] == ["run-1"]


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_a_path_may_be_text_a_path_or_bytes(db, kind):
    open_store(kind(db)).close()

    assert db.exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are Unicode there")
def test_a_name_that_is_no_text_will_do(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.db"
    begun(path).close()

    with History(path) as history:
        assert history.find_run("run-1").id == "run-1"


@pytest.mark.parametrize("nowhere", [None, ":memory:", b":memory:"])
def test_a_store_in_memory_leaves_nothing(tmp_path, monkeypatch, nowhere):
    monkeypatch.chdir(tmp_path)
    begun(nowhere).close()

    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_of_ours_becomes_a_store_for_us_only(db):
    db.touch()
    db.chmod(0o666)
    open_store(db).close()

    assert mode_of(db) == 0o600
    assert rows(db, "PRAGMA user_version") == [(store_db.newest(),)]


def test_a_store_whose_making_was_broken_off_is_made_anew(db):
    connection = sqlite3.connect(db)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()

    begun(db).close()


# --- what is refused -----------------------------------------------------------------------


def foreign(path, script):
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def half_done(path):
    """The power went while another application wrote to its database; a log of old lies beside it."""
    journal = path.with_name(f"{path.name}-journal")
    foreign(path, "CREATE TABLE a (b); INSERT INTO a VALUES ('before')")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA cache_size = 1; BEGIN; UPDATE a SET b = 'after'")
        connection.executemany("INSERT INTO a VALUES (?)", [("x" * 1000,)] * 100)
        left = path.read_bytes(), journal.read_bytes()
    path.write_bytes(left[0])
    journal.write_bytes(left[1])
    path.with_name(f"{path.name}-wal").write_bytes(b"of old")


REFUSED = {
    "text": (lambda path: path.write_text("dear diary, " * 500), NotAStoreError, "no store"),
    "a little text": (lambda path: path.write_text("hi"), NotAStoreError, "no store"),
    "noise": (lambda path: path.write_bytes(os.urandom(8192)), NotAStoreError, "no store"),
    "a directory": (lambda path: path.mkdir(), NotAStoreError, "a directory"),
    "a pipe": (os.mkfifo, NotAStoreError, "not a regular file"),
    "tables of others": (
        lambda path: foreign(path, "CREATE TABLE run (id)"),
        NotAStoreError,
        "another application's",
    ),
    "another application": (
        lambda path: foreign(path, "PRAGMA application_id = 7; VACUUM"),
        NotAStoreError,
        "0x7",
    ),
    "others' log": (
        lambda path: foreign(path, "PRAGMA journal_mode = WAL; CREATE TABLE a (b)"),
        NotAStoreError,
        "another application's",
    ),
    "others' change, half done": (half_done, StoreReadOnlyError, "ROLLBACK"),
    "a link to nowhere": (lambda path: path.symlink_to("nothing.db"), StorePlaceError, "link"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_store_is_refused_and_left_as_it_is(db, what):
    make, error, words = REFUSED[what]
    make(db)
    before = folder_bytes(db.parent) if what != "a pipe" else None

    with pytest.raises(error, match=words) as caught:
        open_store(db)

    assert str(db) in str(caught.value)
    if before is not None:
        assert folder_bytes(db.parent) == before


def newer(path):
    begun(path).close()
    foreign(path, "PRAGMA user_version = 99")


def test_a_newer_store_is_refused_and_left_as_it_is(db):
    newer(db)
    before = folder_bytes(db.parent)

    with pytest.raises(NewerStoreError, match="99"):
        open_store(db)
    with pytest.raises(NewerStoreError, match="upgrade"):
        History(db)

    assert folder_bytes(db.parent) == before


def test_a_newer_store_whose_writer_was_killed_keeps_what_lies_beside_it(db):
    newer(db)
    code = f"import os, sqlite3; c = sqlite3.connect({str(db)!r}); c.execute('BEGIN IMMEDIATE')\n"
    code += "c.execute(\"UPDATE run SET flow = 'x'\"); c.commit(); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    wal = db.with_name(f"{db.name}-wal")
    before = db.read_bytes(), wal.read_bytes()
    assert before[1]

    with pytest.raises(NewerStoreError):
        open_store(db)

    assert (db.read_bytes(), wal.read_bytes()) == before


@pytest.mark.parametrize("path", ["", b"", "a\0b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(StorePlaceError, match="no path"):
        open_store(path)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(StorePlaceError, match=r"no directory .*/no/such"):
        open_store(tmp_path / "no" / "such" / "a.db")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_store_that_others_may_write_is_refused(db, mode):
    begun(db).close()
    db.chmod(mode)

    with pytest.raises(StorePlaceError, match="chmod go-w"):
        open_store(db)


def refusal(action):
    """What opening says when it refuses, as text, and the error's name."""

    def tell():
        try:
            action()
        except StoreError as error:
            return f"{type(error).__name__}: {error}"
        return "nothing"

    return tell


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_a_store_of_another_user_is_refused(open_folder):
    db = open_folder / "a.db"
    begun(db).close()
    db.chmod(0o644)

    assert "another user" in unprivileged(refusal(lambda: open_store(db)))


def test_a_directory_that_may_not_be_written_is_named(open_folder):
    folder = open_folder / "closed"
    folder.mkdir()
    folder.chmod(0o555)

    said = unprivileged(refusal(lambda: open_store(folder / "a.db")))
    assert said.startswith("StoreReadOnlyError")
    assert "allow writing" in said


def test_a_file_that_may_not_be_written_is_named(open_folder):
    folder = open_folder / "mine"
    folder.mkdir()
    folder.chmod(0o777)
    db = folder / "a.db"

    def try_it():
        begun(db).close()
        db.chmod(0o400)
        return refusal(lambda: open_store(db))()

    assert unprivileged(try_it).startswith("StoreReadOnlyError")


def test_what_someone_planted_is_refused(db):
    begun(db).close()
    foreign(db, "CREATE TRIGGER t AFTER INSERT ON outcome BEGIN DELETE FROM outcome; END")

    with pytest.raises(StoreDamagedError, match=r"did not put there \(t\)"):
        open_store(db)


def test_statistics_of_sqlite_are_nothing_planted(db):
    journal = begun(db)
    journal.outcomes([succeeded(journal.base)])
    journal.end("succeeded", 0, None)
    journal.close()
    foreign(db, "ANALYZE")

    open_store(db).close()


# --- network file systems ------------------------------------------------------------------


def mounted(folder, kind):
    """A folder that is on no disk, and a list of mounts that says what it is on instead."""
    device = Path("/dev/shm").stat().st_dev if Path("/dev/shm").is_dir() else 1 << 8
    if os.major(device):
        pytest.skip("no file system without a disk here")
    mounts = folder / "mountinfo"
    mounts.write_text(
        "22 1 253:0 / / rw,relatime - ext4 /dev/vda rw\n"
        f"36 22 {os.major(device)}:{os.minor(device)} / /mnt/a\\040b rw shared:7 - {kind} server:/x rw\n"
    )
    return "/dev/shm", str(mounts)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "tmpfs"])
def test_the_file_system_is_found_where_linux_lists_it(tmp_path, kind):
    assert place.file_system_of(*mounted(tmp_path, kind)) == kind


def test_where_nothing_is_listed_the_file_system_is_not_known(tmp_path):
    folder, mounts = mounted(tmp_path, "nfs4")

    assert place.file_system_of(folder, mounts + "-none") is None
    Path(mounts).write_text("22 1 0:999999 / / rw - nfs4 server:/x rw\n")
    assert place.file_system_of(folder, mounts) is None


def test_the_type_of_a_file_system_on_a_disk_does_not_matter(tmp_path):
    device = tmp_path.stat().st_dev
    if not os.major(device):
        pytest.skip("no disk here")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 {os.major(device)}:{os.minor(device)} / / rw - ocfs2 /dev/vda rw\n")

    assert place.file_system_of(str(tmp_path), str(mounts)) is None


def test_a_network_file_system_is_refused_with_the_reason(tmp_path, monkeypatch):
    folder, _ = mounted(tmp_path, "tmpfs")
    kind = place.file_system_of(folder)
    monkeypatch.setattr(place, "NETWORK_FILE_SYSTEMS", frozenset({kind}))
    path = Path(folder) / f"liteflow-test-{os.getpid()}.db"

    with pytest.raises(StorePlaceError, match=f"network file system .{kind}., where .* corrupted"):
        open_store(path)

    assert not path.exists()


# --- several at once -----------------------------------------------------------------------


def test_many_may_open_a_new_store_at_once(db):
    together, errors = threading.Barrier(8), []

    def make(number):
        try:
            together.wait()
            begun(db, run_id=f"run-{number}").close()
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with History(db) as history:
        assert {run.number for run in history.runs()} == set(range(1, 9))


def test_a_store_that_stays_locked_is_given_up_with_a_reason(db):
    open_store(db).close()
    other = sqlite3.connect(db, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    connection = open_store(db, patience=0.3)
    with pytest.raises(StoreBusyError, match=r"locked by another program .* waited 0.3 s"):
        connection.begin()

    other.execute("ROLLBACK")
    connection.begin()
    connection.close()
    other.close()


# --- versions ------------------------------------------------------------------------------


def of_version(path, version):
    """A store as that version of the schema made it, with a run in it."""
    connection = sqlite3.connect(path)
    connection.executescript((SCHEMAS / f"{version}.sql").read_text())
    connection.executescript(
        f"PRAGMA application_id = {store_db.APPLICATION_ID}; PRAGMA user_version = {version}; VACUUM;"
    )
    columns = "number, id, flow, state, created_at, started_at"
    connection.execute(f"INSERT INTO run ({columns}) VALUES (1, 'old', 'etl', 'succeeded', 1, 1)")
    connection.commit()
    connection.close()
    path.chmod(0o600)


@pytest.mark.parametrize("version", range(1, store_db.newest() + 1))
def test_a_store_of_any_version_is_brought_up_to_date(db, version):
    """If this fails because schema.sql has changed: that is a new version, with a step in MIGRATIONS."""
    of_version(db, version)
    open_store(db).close()

    found = {plain(sql) for (sql,) in rows(db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    assert found == {plain(statement) for statement in statements(schema_text())}
    with History(db) as history:
        assert history.find_run("old").flow == "etl"


def test_what_a_store_of_version_1_holds_stays(db):
    of_version(db, 1)
    connection = sqlite3.connect(db)
    first = 1 << 32
    connection.executescript(
        f"""
        PRAGMA foreign_keys = ON;
        UPDATE run SET state = 'running', python = '3.12.4', result = x'aa', holes = '[]';
        INSERT INTO definition VALUES (1, '["A"]', x'bb');
        INSERT INTO task VALUES (1, 0, 'step', 'int', '{{}}');
        INSERT INTO instance VALUES ({first}, 'plain', 0, NULL), ({first + 1}, 'code', 0, '{{"x":[0]}}');
        INSERT INTO outcome VALUES
            ({first}, 'succeeded', 1, 2, 3, 'w', NULL, 'int', 'pickle', 1, x'00', '1', 1, 0, x'01'),
            ({first + 1}, 'succeeded', 1, 2, 3, 'w', NULL, 'f', 'pickle', 2, x'00', '-', 0, 1, NULL);
        INSERT INTO chunk VALUES ({first + 1}, 0, x'02');
        INSERT INTO attempt VALUES ({first}, 1, 'failed', 1, 1, 'w', 'no', 'Traceback', x'03');
        INSERT INTO running VALUES ({first}, 1, 1, 'w');
        INSERT INTO log (id, attempt, at, stream, line) VALUES ({first}, 1, 1, 'stdout', 'hello');
        """
    )
    before = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    info = "SELECT name FROM pragma_table_info(?)"
    columns = {table: [name for (name,) in connection.execute(info, (table,))] for table in TABLES}
    connection.close()
    connection = open_store(db)

    for table, was in before.items():
        found = connection.execute(f"SELECT {', '.join(columns[table])} FROM {table}").fetchall()
        if table == "outcome":
            was = [(*row[:-2], {0: 0, 1: 312}[row[-2]], row[-1]) for row in was]  # noqa: PLW2901
        assert found == was, table
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with History(db) as history:
        # It has no driver that anybody knows of.
        assert history.find_run("old").state == "interrupted"
        assert [row.code_python for row in history.xcoms("old")] == [0, 312]


TABLES = ("meta", "run", "definition", "task", "instance", "outcome", "chunk", "attempt", "running", "log")


def test_the_newest_schema_is_kept_for_those_who_come_after():
    assert (SCHEMAS / f"{store_db.newest()}.sql").exists()


STEP = "ALTER TABLE run ADD COLUMN host TEXT; UPDATE run SET host = 'here; -- there';"


def test_a_step_changes_what_is_there_and_the_version(db):
    begun(db).close()
    connection = open_store(db)
    migrate(connection, (*MIGRATIONS, STEP, lambda one: one.execute("CREATE TABLE extra (a)")))
    connection.close()

    assert rows(db, "SELECT id, host FROM run") == [("run-1", "here; -- there")]
    assert rows(db, "PRAGMA user_version") == [(store_db.newest() + 2,)]
    assert rows(db, "SELECT count(*) FROM extra") == [(0,)]


def test_steps_that_were_taken_are_not_taken_again(db):
    connection = open_store(db)
    migrate(connection, (*MIGRATIONS, STEP))
    migrate(connection, (*MIGRATIONS, STEP))
    migrate(connection, (*MIGRATIONS, STEP, "CREATE TABLE extra (a);"))
    connection.close()

    assert rows(db, "PRAGMA user_version") == [(store_db.newest() + 2,)]


def test_a_step_that_fails_leaves_the_store_as_it_was(db):
    begun(db).close()
    connection = open_store(db)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*MIGRATIONS, STEP, "CREATE TABLE extra (a); CREATE TABLE run (a);"))
    assert not connection.in_transaction
    connection.close()

    assert rows(db, "PRAGMA user_version") == [(store_db.newest(),)]
    assert "host" not in [name for _, name, *_ in rows(db, "PRAGMA table_info(run)")]
    open_store(db).close()


def test_a_new_store_gets_the_newest_schema_at_once(db):
    sqlite3.connect(db).close()
    connection = sqlite3.connect(db, isolation_level=None, factory=store_db.StoreConnection)
    migrate(connection, (STEP,), lambda: "CREATE TABLE meta (name, value); CREATE TABLE newest (a);")
    connection.close()

    assert rows(db, "PRAGMA user_version") == [(2,)]
    assert rows(db, "SELECT count(*) FROM newest") == [(0,)]


def test_opening_a_store_to_write_loads_no_attrs_classes_but_errors():
    code = "import sys, liteflow.store.journal; print({'liteflow.store.rows'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
