"""A store of someone else is resumed, and its results are read, by those who say that they trust it."""

import hashlib
import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from liteflow import flow, task
from liteflow.errors import ForeignValueError, RunFailed, StoreDamagedError, StoreError
from liteflow.keys import Keyring

OWN, OTHER = "the key of this user", "the key of another user"


@task
def first() -> int:
    return 1


@task
def second() -> int:
    return 2


@task
def third(x: int, y: int, gate: str) -> int:
    return 10 * x + y + len(Path(gate).read_text())


@flow
def etl(gate: str) -> int:
    return third(first(), second(), gate)


@pytest.fixture
def gate(tmp_path):
    """While there is no such file, the last task fails."""
    return tmp_path / "gate"


@pytest.fixture
def db(tmp_path):
    return tmp_path / "a.db"


@pytest.fixture
def other_user(monkeypatch):
    """Whatever is stored inside is another user's."""
    monkeypatch.setenv("LITEFLOW_KEY", OTHER)


@pytest.fixture
def bomb(tmp_path):
    """A pickle that leaves a mark when it is read, with the digest that the store has beside it."""

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    return pickle.dumps(Bomb())


def became(monkeypatch, key):
    monkeypatch.setenv("LITEFLOW_KEY", key)


def begin(db, gate):
    """A run whose last task has failed."""
    with pytest.raises(RunFailed):
        etl.run(gate=str(gate), db=db, run_id="run-1", executor="inline")
    gate.touch()


def change(db, statement, *values):
    with closing(sqlite3.connect(db)) as connection, connection:
        assert connection.execute(statement, values).rowcount


def test_a_run_of_ones_own_is_resumed_without_a_question(db, gate):
    begin(db, gate)

    assert etl.resume(db=db, executor="inline").result == 12


def test_a_run_of_another_user_is_resumed_only_if_it_is_trusted(db, gate, other_user, monkeypatch):
    begin(db, gate)
    their_id = Keyring().own().id
    became(monkeypatch, OWN)

    with pytest.raises(ForeignValueError, match=f"key {their_id}.*--trust"):
        etl.resume(db=db, executor="inline")
    assert etl.resume(db=db, executor="inline", trust=True).result == 12


def test_a_result_of_another_user_is_read_only_if_it_is_trusted(db, gate, other_user, monkeypatch):
    gate.touch()
    etl.run(gate=str(gate), db=db, run_id="run-1", executor="inline")
    became(monkeypatch, OWN)

    with pytest.raises(ForeignValueError, match="trust=True"):
        etl.run(gate=str(gate), db=db, run_id="run-1").result  # noqa: B018  reading it is what is refused
    assert etl.run(gate=str(gate), db=db, run_id="run-1", trust=True).result == 12


def test_what_was_stored_where_no_key_could_be_kept_is_trusted_or_not_read(db, gate, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    begin(db, gate)

    with pytest.raises(ForeignValueError, match="trust=True"):
        etl.resume(db=db, executor="inline")
    assert etl.resume(db=db, executor="inline", trust=True).result == 12


def test_a_run_reads_its_own_values_also_where_no_key_can_be_kept(db, gate, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    gate.touch()

    run = etl.run(gate=str(gate), db=db, executor="inline")

    assert (run.result, run.output("first")) == (12, 1)


PLANTED = [
    "UPDATE outcome SET payload = :bomb, sha256 = :digest, size = :size WHERE state = 'succeeded'",
    "UPDATE run SET result = :bomb",
    "UPDATE run SET arguments = :bomb",
    "INSERT INTO definition VALUES (1, '[\"Colour\"]', zeroblob(32), :bomb)",
]


@pytest.mark.parametrize("statement", PLANTED)
def test_a_bomb_in_ones_own_store_goes_off_in_no_process(db, gate, bomb, tmp_path, statement):
    begin(db, gate)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            statement, {"bomb": bomb, "digest": hashlib.sha256(bomb).digest(), "size": len(bomb)}
        )

    with pytest.raises(StoreDamagedError, match="run-1"):
        etl.resume(db=db, executor="process")
    assert not (tmp_path / "exploded").exists()


def test_a_bomb_for_an_exception_does_not_go_off_when_its_run_is_given_back(db, gate, bomb, tmp_path):
    begin(db, gate)
    change(db, "UPDATE attempt SET exception = ?", bomb)

    with pytest.raises((StoreError, RunFailed)):
        etl.run(gate=str(gate), db=db, run_id="run-1", executor="inline").result  # noqa: B018
    assert not (tmp_path / "exploded").exists()


def test_values_that_have_changed_places_are_not_computed_with(db, gate):
    begin(db, gate)
    columns = "payload, sha256, mac, size, type, codec"
    with closing(sqlite3.connect(db)) as connection, connection:
        rows = connection.execute(
            f"SELECT id, {columns} FROM outcome WHERE state = 'succeeded' ORDER BY id"
        ).fetchall()
        for (place, *_), (_, *row) in zip(rows, reversed(rows), strict=True):
            connection.execute(
                f"UPDATE outcome SET ({columns}) = (?, ?, ?, ?, ?, ?) WHERE id = ?", (*row, place)
            )

    with pytest.raises(StoreDamagedError, match="does not match the check"):
        etl.resume(db=db, executor="process")
