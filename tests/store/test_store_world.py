"""What the world does to a store while a run writes to it: the disk, other programs, files, forks."""

import os
import sqlite3
import threading

import pytest
from store_rows import START, begin, begun, states, succeeded, value

from liteflow.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreForkedError,
    StoreFullError,
    StoreGoneError,
    StoreReadOnlyError,
)
from liteflow.store.db import open_store
from liteflow.store.journal import LOOK_EVERY_S, Journal
from liteflow.store.lease import this_process


@pytest.fixture
def journal(db):
    journal = begun(db)
    yield journal
    journal.close()


def limit_pages(journal, more):
    (pages,) = journal.connection.execute("PRAGMA page_count").fetchone()
    journal.connection.execute(f"PRAGMA max_page_count = {pages + more}")


def test_a_full_disk_keeps_what_was_committed_and_what_waits(db, journal):
    journal.outcomes([succeeded(journal.base)])
    journal.commit()
    limit_pages(journal, 3)
    journal.outcomes([succeeded(journal.base + 1, b"x" * 100_000)])

    with pytest.raises(StoreFullError, match="make space") as caught:
        journal.commit()
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert str(db) in str(caught.value)
    assert list(states(db).values()) == ["succeeded", "pending", "pending"]
    assert journal.waiting == 1

    limit_pages(journal, 1000)
    journal.commit()
    assert value(db, 1) == b"x" * 100_000


def test_a_piece_that_does_not_fit_leaves_no_trace(db, journal):
    limit_pages(journal, 3)
    with pytest.raises(StoreFullError):
        journal.piece(journal.base, 0, b"x" * 100_000)
    limit_pages(journal, 1000)
    journal.outcomes([succeeded(journal.base)])
    journal.commit()

    assert states(db)["load"] == "succeeded"


def test_a_store_that_may_only_be_read_is_named(journal):
    journal.connection.execute("PRAGMA query_only = ON")
    journal.outcomes([succeeded(journal.base)])

    with pytest.raises(StoreReadOnlyError, match="name another file"):
        journal.commit()


def locked(db):
    other = sqlite3.connect(db, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_lock_that_is_given_back_is_waited_for(db, journal):
    other = locked(db)
    journal.outcomes([succeeded(journal.base)])
    giver = threading.Timer(0.3, other.execute, ["COMMIT"])
    giver.start()
    journal.commit()
    giver.join()
    other.close()

    assert states(db)["load"] == "succeeded"


def test_a_lock_that_is_kept_is_given_up_and_nothing_is_lost(db, journal):
    other = locked(db)
    journal.connection.patience = 0.3
    journal.outcomes([succeeded(journal.base)])

    with pytest.raises(StoreBusyError, match="another program"):
        journal.commit()
    other.close()
    journal.commit()

    assert states(db)["load"] == "succeeded"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def moved_away(db):
    db.rename(db.with_name("elsewhere.db"))


def replaced(db):
    moved_away(db)
    db.write_bytes(db.with_name("elsewhere.db").read_bytes())


@pytest.mark.parametrize(("happens", "word"), [(moved_away, "removed"), (replaced, "replaced")])
def test_a_file_that_is_gone_is_noticed_within_a_second_and_not_written(db, happens, word):
    clock = Clock()
    journal = Journal(open_store(db), clock=clock)
    begin(journal)
    happens(db)
    before = db.with_name("elsewhere.db").read_bytes()
    clock.now = LOOK_EVERY_S
    journal.outcomes([succeeded(journal.base)])

    with pytest.raises(StoreGoneError, match=word):
        journal.commit()
    with pytest.raises(StoreGoneError, match=word):
        clock.now += LOOK_EVERY_S
        journal.piece(journal.base, 0, b"x")

    assert db.with_name("elsewhere.db").read_bytes() == before
    journal.close()


def test_a_damaged_store_is_named(db):
    journal = begun(db, [f"step-{n}" for n in range(2000)])
    (root,) = journal.connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'outcome'"
    ).fetchone()
    journal.end("succeeded", START, None)
    journal.close()
    with db.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)

    journal = Journal(open_store(db))
    journal.claim(1, this_process())
    journal.outcomes([succeeded(journal.base)])
    with pytest.raises(StoreDamagedError, match=r"\.recover"):
        journal.commit()
    journal.close()


def test_a_forked_child_can_write_nothing(db, journal):
    journal.outcomes([succeeded(journal.base)])
    child = os.fork()
    if child == 0:
        try:
            journal.commit()
        except StoreForkedError:
            os._exit(7)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    journal.commit()

    assert os.waitstatus_to_exitcode(status) == 7
    assert states(db)["load"] == "succeeded"
