"""Keyed checks: one for each thing in each place, which nobody makes without the key."""

import hashlib
import hmac
import os
import sqlite3
import struct

import pytest

from liteflow import flow, task
from liteflow.keys import Keyring
from liteflow.pickling import loads
from liteflow.signing import PYTHON, Key, Seal, matches, seal_for
from liteflow.store.history import History

KEY = Key(bytes(range(32)))
VALUE = (3, 1, "pickle", 0, "int", 5, b"d" * 32)
OTHERS = [
    (4, 1, "pickle", 0, "int", 5, b"d" * 32),
    (3, 2, "pickle", 0, "int", 5, b"d" * 32),
    (3, 1, "buffers", 0, "int", 5, b"d" * 32),
    (3, 1, "pickle", PYTHON, "int", 5, b"d" * 32),
    (3, 1, "pickle", 0, "str", 5, b"d" * 32),
    (3, 1, "pickle", 0, "int", 6, b"d" * 32),
    (3, 1, "pickle", 0, "int", 5, b"e" * 32),
    (3, 1, "pickl", 0, "eint", 5, b"d" * 32),
]


def test_the_check_of_a_value_is_an_hmac_over_a_fixed_layout():
    seal = seal_for(KEY, "store", "run-1")

    message = b"liteflow run\0" + struct.pack("<q", 5) + b"storerun-1"
    run_key = hmac.new(KEY.secret, message, "sha256").digest()
    layout = b"value" + struct.pack("<5q32s", 3, 1, 0, 5, 6, b"d" * 32) + b"pickle" + b"int"
    assert seal.key == run_key
    assert seal.value(*VALUE) == hmac.new(run_key, layout, hashlib.sha256).digest()


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: f"{other[:6]}")
def test_whatever_is_changed_about_a_value_changes_its_check(other):
    seal = seal_for(KEY, "store", "run-1")

    assert not matches(seal.value(*VALUE), seal.value(*other))
    assert matches(seal.value(*VALUE), seal.value(*VALUE))


@pytest.mark.parametrize(
    ("key", "store", "run"),
    [
        (Key(b"x" * 32), "store", "run-1"),
        (KEY, "store2", "run-1"),
        (KEY, "store", "run-2"),
        (KEY, "storer", "un-1"),
    ],
)
def test_another_key_file_or_run_makes_another_check(key, store, run):
    assert not matches(seal_for(KEY, "store", "run-1").value(*VALUE), seal_for(key, store, run).value(*VALUE))


def test_a_check_of_one_kind_does_not_do_for_another():
    seal = seal_for(KEY, "store", "run-1")

    made = {
        seal.exception(1, 1, b"data"),
        seal.exception(1, 2, b"data"),
        seal.definition(["a"], b"data"),
        seal.definition(["a", "d"], b"ata"),
        seal.recipe("a", None, b"data", None),
        seal.recipe("a", None, None, b"data"),
        seal.recipe("a", "", b"data", None),
        seal.recipe("a", "d", b"ata", None),
    }
    assert len(made) == 8
    assert seal.exception(1, 1, None) is None


def test_without_a_key_there_is_no_check_and_nothing_matches():
    seal = seal_for(None, "store", "run-1")

    assert seal.value(*VALUE) is seal.definition(["a"], b"") is seal.recipe("a", None, None, None) is None
    assert not matches(seal.value(*VALUE), seal.value(*VALUE))
    assert not matches(None, b"x" * 32)


def test_whatever_stands_in_a_planted_row_has_a_check():
    seal = Seal(b"k" * 32)

    assert seal.value(-1, 2**63 - 1, "", -(2**63), "", 0, b"") is not None


# --- runs ----------------------------------------------------------------------------------


@task
def number() -> int:
    return 42


@task
def large() -> bytes:
    return bytes(300_000)


@task
def code():
    return lambda: 1


@task
def broken(x: int) -> int:
    raise KeyError("no")


@task(retries=1)
def flaky(mark: str) -> str:
    if not os.path.exists(mark):  # noqa: PTH110
        os.mkdir(mark)  # noqa: PTH102
        raise ValueError("not yet")
    return mark


@flow
def once_more(mark: str):
    return flaky(mark)


@flow
def mixed():
    n = number()
    return n, large(), code(), broken(n)


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_all_that_a_run_stores_as_pickles_has_its_check(tmp_path, executor):
    db = tmp_path / "a.db"
    run = mixed.run(db=db, executor=executor, check=False)

    with History(db) as history:
        key = Keyring().own()
        seal = seal_for(key, history.store_id, run.id)
        assert history.key_ids(run.id) == [key.id]
        rows = list(history.sealed(run.id))
        recipe = history.recipe(run.id)
        nodes = {node.key: node.index for node in history.nodes(run.id)}
        raised = history.exception(run.id, nodes["broken"])
    assert {row.index for row in rows} == {nodes["number"], nodes["large"], nodes["code"]}
    for row in rows:
        facts = (row.attempt, row.codec, row.code_python, row.type, row.size, row.sha256)
        assert matches(row.mac, seal.value(row.index, *facts))
    assert {row.index: row.code_python for row in rows}[nodes["code"]] == PYTHON
    assert matches(recipe.seal, seal.recipe("mixed", recipe.holes, recipe.result, recipe.arguments))
    assert raised is not None
    assert isinstance(loads(raised.data), KeyError)
    assert matches(raised.mac, seal.exception(nodes["broken"], 1, raised.data))


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_the_check_of_a_value_is_bound_to_the_attempt_that_gave_it(tmp_path, executor):
    db = tmp_path / "a.db"
    run = once_more.run(mark=str(tmp_path / "mark"), db=db, executor=executor)

    with History(db) as history:
        seal = seal_for(Keyring().own(), history.store_id, run.id)
        (row,) = history.sealed(run.id)
    assert row.attempt == 2
    assert row.mac == seal.value(0, 2, row.codec, 0, row.type, row.size, row.sha256)


def test_the_users_key_is_not_in_the_file(tmp_path):
    db = tmp_path / "a.db"
    mixed.run(db=db, check=False)

    own = Keyring().own()
    assert own is not None
    assert own.secret not in db.read_bytes()
    assert own.secret.hex().encode() not in db.read_bytes()


def test_where_no_key_can_be_kept_values_are_stored_without_a_check(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    db = tmp_path / "a.db"

    run = mixed.run(db=db, check=False)

    assert run.output("number") == 42
    with sqlite3.connect(db) as connection:
        assert connection.execute("SELECT DISTINCT mac FROM outcome").fetchall() == [(None,)]
        assert connection.execute("SELECT seal FROM run").fetchall() == [(None,)]
        assert connection.execute("SELECT key_id FROM session").fetchall() == [(None,)]
