"""`check` finds what is wrong with a store, and nothing where all is well."""

import sqlite3

import pytest
from store_rows import START, begun, failed, in_pieces, succeeded, tried

from liteflow.errors import NotAStoreError, StoreMissingError
from liteflow.store.check import check

INPUTS = [None, '{"x":[0]}', '{"x":[0,1]}']


@pytest.fixture
def whole(db):
    """A store with a run that has ended, a large value among what it holds."""
    journal = begun(db, inputs=INPUTS)
    journal.outcomes([succeeded(journal.base)])
    journal.piece(journal.base + 1, 0, b"ab")
    journal.piece(journal.base + 1, 1, b"cd")
    journal.outcomes([in_pieces(journal.base + 1, b"abcd")])
    journal.attempts([tried(journal.base + 2)])
    journal.outcomes([failed(journal.base + 2)])
    journal.end("failed", START + 1, "no")
    journal.close()
    return db


def spoiled(db, statement):
    connection = sqlite3.connect(db)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_sound_store_gives_no_findings(whole):
    assert check(whole) == []


def test_a_store_that_is_written_to_is_checked_too(db):
    journal = begun(db, inputs=INPUTS)
    journal.outcomes([succeeded(journal.base)])
    journal.piece(journal.base + 1, 0, b"ab")
    journal.commit()

    assert check(db) == []
    journal.close()


@pytest.mark.parametrize(
    ("statement", "where", "problem"),
    [
        ("UPDATE outcome SET payload = x'00' WHERE id & 3 = 0", "task instance 0", "not what was stored"),
        ("UPDATE chunk SET data = x'00' WHERE seq = 1", "task instance 1", "not what was stored"),
        ("DELETE FROM chunk WHERE seq = 1", "task instance 1", "not what was stored"),
        ("UPDATE outcome SET sha256 = NULL WHERE id & 3 = 0", "task instance 0", "not what was stored"),
        ("DELETE FROM outcome WHERE id & 3 = 1", "task instance 1", "pieces of a value"),
        ("DELETE FROM outcome WHERE id & 3 = 0", "task instance 1", "its source 0 has none"),
        ("DELETE FROM instance WHERE id & 3 = 0", "table outcome", "belongs to no instance"),
        ("UPDATE instance SET inputs = '{\"x\":[7]}' WHERE id & 3 = 2", "task instance 2", "waits for"),
        ("UPDATE instance SET inputs = '[[[' WHERE id & 3 = 2", "task instance 2", "inputs are not JSON"),
        ("UPDATE instance SET inputs = '{\"x\":[-1]}' WHERE id & 3 = 2", "task instance 2", "inputs are not"),
        ("UPDATE instance SET task = 9 WHERE id & 3 = 2", "task instance 2", "no task 9"),
        ("DELETE FROM run", "table task", "belongs to no run"),
        ("UPDATE run SET state = 'odd'", "run run-1", "no state"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(whole, statement, where, problem):
    spoiled(whole, statement)

    found = [one for one in check(whole) if one.where.startswith(where) and problem in one.problem]
    assert len(found) == 1, check(whole)


def test_a_damaged_page_is_found(whole):
    connection = sqlite3.connect(whole)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'outcome'").fetchone()
    connection.close()
    with whole.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)

    assert any(one.where == "file" for one in check(whole))


def test_what_someone_planted_is_found(whole):
    spoiled(whole, "CREATE VIEW planted AS SELECT 1")

    assert ["planted" in one.problem for one in check(whole)] == [True]


def test_one_fault_repeated_is_told_a_few_times(db):
    journal = begun(db, [f"step-{n}" for n in range(100)])
    journal.outcomes([succeeded(journal.base + n) for n in range(100)])
    journal.end("succeeded", START, None)
    journal.close()
    spoiled(db, "UPDATE outcome SET payload = x'00'")

    assert len(check(db)) == 21


def test_checking_changes_nothing_and_leaves_nothing(whole):
    before = whole.read_bytes()
    check(whole)

    assert whole.read_bytes() == before
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]


def test_what_is_no_store_is_refused(db, tmp_path):
    with pytest.raises(StoreMissingError):
        check(db)
    db.write_text("hello, this is no database at all")
    with pytest.raises(NotAStoreError):
        check(db)
