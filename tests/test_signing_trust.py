"""What a store gives to be unpickled is this user's own, or trusted; nothing else is read."""

import hashlib
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from attrs import asdict

from liteflow import flow, task
from liteflow.errors import CodeOfOtherPythonError, ForeignValueError, StoreDamagedError
from liteflow.keys import Keyring
from liteflow.signing import PYTHON, seal_for
from liteflow.store.history import History
from liteflow.store.rewrite import Checked
from liteflow.trust import TrustedValues

MINE = Keyring({"LITEFLOW_KEY": "the key of this user"})
THEIRS = Keyring({"LITEFLOW_KEY": "the key of another user"})


@task
def first() -> int:
    return 1


@task
def second() -> int:
    return 2


@task
def code():
    return lambda: 3


@task
def large() -> bytes:
    return bytes(20_000_000)


@task
def broken() -> int:
    raise KeyError("no")


@flow
def some():
    return first(), second(), code(), broken()


@flow
def big():
    return large()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store of this user; `run-2` has the same values in the same places as `run-1`."""
    db = tmp_path_factory.mktemp("store") / "a.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITEFLOW_KEY", "the key of this user")
        for run_id in ("run-1", "run-2"):
            some.run(db=db, run_id=run_id, executor="inline", check=False)
    return db


@pytest.fixture
def db(original, tmp_path):
    return shutil.copy(original, tmp_path / "a.db")


@pytest.fixture
def bomb(tmp_path):
    """A pickle that leaves a mark when it is read."""
    mark = tmp_path / "exploded"

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    return pickle.dumps(Bomb())


def change(db, statement, *values):
    with closing(sqlite3.connect(db)) as connection, connection:
        assert connection.execute(statement, values).rowcount


def values(db, keyring=MINE, run="run-1", **options):
    history = History(db)
    return TrustedValues(history, history.find_run(run), keyring=keyring, **options)


def index(db, key):
    with History(db) as history:
        return history.index_of("run-1", key)


def test_what_this_user_has_stored_is_read(db):
    found = values(db)

    assert found.payload(index(db, "first")).value() == 1
    assert found.payload(index(db, "code")).value()() == 3
    assert found.payload(index(db, "broken")) is None
    assert isinstance(pickle.loads(found.exception(index(db, "broken"))), KeyError)
    assert found.exception(index(db, "first")) is None
    assert found.recipe().result is not None
    assert found.definitions() == []


def test_a_large_value_is_read_as_it_was_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("LITEFLOW_KEY", "the key of this user")
    run = big.run(db=tmp_path / "a.db", run_id="run-1")

    assert values(tmp_path / "a.db").payload(0).value() == run.result


def test_with_another_key_nothing_is_read_and_the_error_says_what_to_do(db):
    found = values(db, THEIRS)

    for read in (
        lambda: found.payload(index(db, "first")),
        lambda: found.exception(index(db, "broken")),
        found.recipe,
    ):
        with pytest.raises(ForeignValueError) as caught:
            read()
        assert caught.value.key_id == MINE.own().id
        assert "run-1" in str(caught.value)
        assert f"key {MINE.own().id}" in str(caught.value)
        assert "--trust (trust=True)" in str(caught.value)


def test_without_any_key_nothing_is_read(db):
    with pytest.raises(ForeignValueError):
        values(db, Keyring({"HOME": "/proc/nowhere"})).payload(0)


def test_trusted_all_is_read_whoever_made_it(db):
    found = values(db, THEIRS, trust=True)

    assert found.payload(index(db, "first")).value() == 1
    assert found.exception(index(db, "broken")) is not None
    assert found.recipe().result is not None


def test_a_key_of_before_reads_what_it_has_made(db, tmp_path):
    state = tmp_path / "state"
    rotated = Keyring({"XDG_STATE_HOME": str(state)})
    rotated.own()
    old = state / "liteflow" / "key.old"
    old.write_bytes(MINE.own().secret)
    old.chmod(0o600)

    assert values(db, rotated).payload(index(db, "first")).value() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outcome SET mac = zeroblob(32)",
        "UPDATE outcome SET attempt = 2",
        "UPDATE outcome SET type = 'str'",
        "UPDATE outcome SET size = 6",
        "UPDATE outcome SET codec = 'buffers'",
        "UPDATE meta SET value = 'other'",
        "UPDATE run SET id = 'run-3'",
    ],
)
def test_a_value_whose_facts_were_changed_is_not_read(db, statement):
    change(db, statement.replace("'run-3'", "'run-3' WHERE number = 1"))
    run = "run-3" if "run-3" in statement else "run-1"

    with pytest.raises(StoreDamagedError, match="does not match the check"):
        values(db, run=run).payload(index(db, "first") if run == "run-1" else 0)


def test_a_value_without_a_check_is_not_read(db):
    change(db, "UPDATE outcome SET mac = NULL")

    with pytest.raises(ForeignValueError, match="was not made with a key of yours"):
        values(db).payload(index(db, "first"))


def test_a_bomb_with_the_right_digest_is_not_read(db, bomb, tmp_path):
    place = (1 << 32) + index(db, "first")
    change(
        db,
        "UPDATE outcome SET payload = ?, sha256 = ? WHERE id = ?",
        bomb,
        hashlib.sha256(bomb).digest(),
        place,
    )

    with pytest.raises(StoreDamagedError, match="task instance 0 in run run-1"):
        values(db).payload(index(db, "first"))
    assert not (tmp_path / "exploded").exists()


def test_a_flipped_bit_is_noticed_also_in_what_is_trusted(db, bomb):
    change(db, "UPDATE outcome SET payload = ? WHERE id = ?", bomb, (1 << 32) + index(db, "first"))

    with pytest.raises(StoreDamagedError, match="is not what was stored"):
        values(db, trust=True).payload(index(db, "first"))


@pytest.mark.parametrize("source", ["another place", "another run", "another file"])
def test_a_value_with_its_check_from_elsewhere_is_not_read(db, original, tmp_path, monkeypatch, source):
    monkeypatch.setenv("LITEFLOW_KEY", "the key of this user")
    there, number, key = db, 1, "second"
    if source == "another run":
        number, key = 2, "first"
    if source == "another file":
        there, key = tmp_path / "b.db", "first"
        some.run(db=there, run_id="run-1", executor="inline", check=False)
    with closing(sqlite3.connect(there)) as connection:
        columns = "payload, sha256, mac, size, type, codec"
        row = connection.execute(
            f"SELECT {columns} FROM outcome WHERE id = ?", ((number << 32) + index(db, key),)
        ).fetchone()

    change(db, f"UPDATE outcome SET ({columns}) = (?, ?, ?, ?, ?, ?) WHERE id = 1 << 32", *row)

    with pytest.raises(StoreDamagedError, match="does not match the check"):
        values(db).payload(0)


@pytest.mark.parametrize("column", ["result", "arguments", "holes"])
def test_a_bomb_in_what_a_run_was_made_of_is_not_read(db, bomb, column):
    change(db, f"UPDATE run SET {column} = ?", "[[0]]" if column == "holes" else bomb)

    with pytest.raises(StoreDamagedError, match="what it was made of"):
        values(db).recipe()


def test_a_bomb_for_an_exception_or_a_definition_is_not_read(db, bomb):
    change(db, "UPDATE attempt SET exception = ?", bomb)
    change(db, "INSERT INTO definition VALUES (1, '[\"Colour\"]', zeroblob(32), ?)", bomb)

    with pytest.raises(StoreDamagedError, match="the exception of task instance"):
        values(db).exception(index(db, "broken"))
    with pytest.raises(StoreDamagedError, match="the definition of Colour"):
        values(db).definitions()


# --- all of a run --------------------------------------------------------------------------


def test_the_verdicts_name_each_pickle_and_read_none(db, bomb, tmp_path):
    assert {verdict for _, verdict in values(db).verdicts()} == {"own"}
    assert {what.rpartition(" ")[0] for what, _ in values(db).verdicts()} == {
        "what it was made",
        "the value of task instance",
        "the exception of task instance",
    }
    assert {verdict for _, verdict in values(db, THEIRS).verdicts()} == {"foreign"}

    change(db, "UPDATE outcome SET mac = NULL")
    change(db, "UPDATE attempt SET exception = ?", bomb)
    verdicts = dict(values(db).verdicts())
    assert verdicts[f"the value of task instance {index(db, 'first')}"] == "unsealed"
    assert verdicts[f"the exception of task instance {index(db, 'broken')}"] == "foreign"
    assert verdicts["what it was made of"] == "own"
    assert not (tmp_path / "exploded").exists()


def checked(db, key, **changed):
    """A value as the store gives it when it is moved."""
    with History(db) as history:
        row = next(row for row in history.sealed("run-1") if row.index == index(db, key))
    facts = {**asdict(row), "node": row.index, "data": None, **changed}
    return Checked(**{name: facts[name] for name in Checked._fields})


@pytest.mark.parametrize("trust", [False, True])
def test_a_value_that_is_moved_gets_the_check_of_its_new_place(db, trust):
    with History(db) as history:
        seal = seal_for(MINE.own(), history.store_id, "run-1")
    old = checked(db, "first")
    mac = values(db, trust=trust).remac(seal)(old, 7)

    assert mac == seal.value(7, old.attempt, old.codec, old.code_python, old.type, old.size, old.sha256)


@pytest.mark.parametrize("changed", [{"mac": bytes(32)}, {"attempt": 2}, {"sha256": bytes(32)}, {"node": 1}])
@pytest.mark.parametrize("trust", [False, True])
def test_what_has_no_right_check_gets_none_by_being_moved(db, changed, trust):
    with History(db) as history:
        seal = seal_for(MINE.own(), history.store_id, "run-1")

    assert values(db, trust=trust).remac(seal)(checked(db, "first", **changed), 7) is None


def test_an_exception_that_is_moved_gets_the_check_of_its_new_place(db):
    place = index(db, "broken")
    with History(db) as history:
        seal = seal_for(MINE.own(), history.store_id, "run-1")
        raised = history.exception("run-1", place)
    old = Checked(place, raised.attempt, "", 0, "", 0, b"", raised.mac, raised.data)

    assert values(db).remac(seal)(old, 7) == seal.exception(7, raised.attempt, raised.data)
    assert values(db).remac(seal)(old._replace(data=b"other"), 7) is None


# --- another Python ------------------------------------------------------------------------


def made_by_other_python(db):
    """Values as Python 3.1 would have left them: same user, same key."""
    with History(db) as history:
        seal = seal_for(MINE.own(), history.store_id, "run-1")
        rows = {row.index: row for row in history.sealed("run-1")}
    change(db, "UPDATE run SET python = '3.1.4'")
    row = rows[index(db, "code")]
    mac = seal.value(row.index, row.attempt, row.codec, 301, row.type, row.size, row.sha256)
    change(db, "UPDATE outcome SET by_value = 301, mac = ? WHERE id = ?", mac, (1 << 32) + row.index)


@pytest.mark.parametrize("trust", [False, True])
def test_code_of_another_python_is_refused_by_name_and_all_else_is_read(db, trust):
    made_by_other_python(db)
    found = values(db, trust=trust)

    with pytest.raises(CodeOfOtherPythonError) as caught:
        found.payload(index(db, "code"))
    assert (caught.value.run_id, caught.value.key, caught.value.made_by) == ("run-1", "code", "3.1")
    assert caught.value.this == f"{PYTHON // 100}.{PYTHON % 100}"
    assert "'code'" in str(caught.value)
    assert found.payload(index(db, "first")).value() == 1


def test_the_python_of_a_value_cannot_be_lied_about(db):
    change(db, "UPDATE outcome SET by_value = 0 WHERE by_value > 0")

    with pytest.raises(StoreDamagedError):
        values(db).payload(index(db, "code"))


SCRIPT = """
import enum, sys
from liteflow import flow, task

class Colour(enum.Enum):
    RED = 1

class Odd(Exception):
    pass

@task
def colour() -> Colour:
    return Colour.RED

@task
def broken() -> int:
    raise Odd("no")

@flow
def f():
    return colour(), broken()

f.run(db=sys.argv[1], run_id="run-1", check=False)
"""


def test_classes_of_the_script_are_given_to_the_python_that_reads_them(tmp_path):
    script, db = tmp_path / "s.py", tmp_path / "a.db"
    script.write_text(SCRIPT)
    environment = {**os.environ, "LITEFLOW_KEY": "the key of this user"}
    subprocess.run([sys.executable, script, db], env=environment, check=True, timeout=60)

    bundles = values(db).definitions()
    assert "Colour" in {name for bundle in bundles for name in bundle.names}

    change(db, "UPDATE run SET python = '3.1.4'")
    assert values(db).definitions() == []
