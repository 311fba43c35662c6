"""Those who write to one store do so one at a time, also where SQLite has a fault; its log stays bounded."""

import os
import signal
import sqlite3

import pytest
from store_rows import START, begun, states, succeeded

from liteflow.errors import StoreBusyError
from liteflow.store.guard import Guard, has_reset_bug

LIMIT = 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False),
        ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 2), True), ((3, 51, 3), False),
        ((3, 52, 0), False), ((4, 0, 0), False),
    ],
)  # fmt: skip
def test_it_is_known_which_versions_of_sqlite_have_the_fault(version, wanted):
    assert has_reset_bug(version) is wanted


def test_only_one_has_the_guard_of_a_directory(db):
    one, other = Guard(str(db)), Guard(str(db))

    assert one.take() is True
    assert other.take() is False
    one.give_back()
    assert other.take() is True
    one.close()
    other.close()
    assert list(db.parent.iterdir()) == []


def test_where_a_directory_can_not_be_locked_all_goes_on(db):
    one = Guard(str(db / "nowhere" / "a.db"))

    assert one.take() is True
    one.give_back()
    one.close()


def test_a_forked_child_does_not_hold_its_parents_guard(db):
    one, other = Guard(str(db)), Guard(str(db))
    assert one.take() is True
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b".")
            signal.pause()
        finally:
            os._exit(0)
    os.read(reading, 1)
    # As if the parent had died: its own descriptor is gone, the child is there.
    one.close()

    assert other.take() is True
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writing)
    os.close(reading)
    other.close()


@pytest.fixture
def guarded(db, monkeypatch):
    """A journal of a store as SQLite with the fault needs it, whichever SQLite this is."""
    monkeypatch.setattr("liteflow.store.guard.has_reset_bug", lambda version: True)
    journal = begun(db)
    yield journal
    journal.close()


def test_nothing_is_written_while_another_holds_the_guard(db, guarded):
    other = Guard(str(db))
    assert other.take() is True
    guarded.connection.patience = 0.1
    guarded.outcomes([succeeded(guarded.base)])
    with pytest.raises(StoreBusyError, match="another run in this directory"):
        guarded.commit()
    assert states(db)["load"] == "pending"

    other.give_back()
    guarded.commit()
    assert states(db)["load"] == "succeeded"
    # And it was given back.
    assert other.take() is True
    other.close()


def test_who_waits_for_the_files_own_lock_does_not_hold_the_guard(db, guarded):
    writer = sqlite3.connect(db, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    guarded.connection.patience = 0.1
    with pytest.raises(StoreBusyError):
        guarded.beat()
    other = Guard(str(db))

    assert other.take() is True
    other.close()
    writer.close()


def test_a_reader_that_is_stuck_makes_the_log_grow_and_then_it_shrinks_again(db):
    journal = begun(db, [f"step-{n}" for n in range(90)])
    reader = sqlite3.connect(f"file:{db}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM run").fetchall()
    wal = db.with_name(f"{db.name}-wal")
    for n in range(80):
        journal.outcomes([succeeded(journal.base + n, bytes(1_000_000))])
        journal.commit()
    assert wal.stat().st_size > LIMIT
    reader.close()

    for n in range(80, 90):
        journal.outcomes([succeeded(journal.base + n)])
        journal.commit()
    assert wal.stat().st_size <= LIMIT
    journal.end("succeeded", START, None)
    assert wal.stat().st_size == 0
    journal.close()
