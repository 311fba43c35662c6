"""`liteflow check`: what is wrong with a store is said, and nothing in it is unpickled."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from cli_program import SCRIPT, forked_program

OWN = {"LITEFLOW_KEY": "the key of this user"}
OTHER = {"LITEFLOW_KEY": "the key of another user"}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    (folder / "etl.py").write_text(SCRIPT)
    call = forked_program(folder)
    assert call("run", "etl.py", "--run-id", "good-1", env=OWN).returncode == 0
    assert call("run", "etl.py", "--run-id", "good-2", env=OWN).returncode == 0
    return folder / "liteflow.db"


@pytest.fixture
def folder(original, tmp_path):
    shutil.copy(original, tmp_path / "liteflow.db")
    return tmp_path


@pytest.fixture
def check(folder):
    def call(*words, env=OWN):
        done = forked_program(folder)("check", *words, env=env)
        assert done.stderr == ""
        return done

    return call


def change(folder, statement, *values):
    with closing(sqlite3.connect(folder / "liteflow.db")) as connection, connection:
        assert connection.execute(statement, values).rowcount


def test_a_sound_store_of_ones_own_is_said_to_be_so(check):
    done = check()

    assert done.returncode == 0
    assert "sound" in done.stdout
    assert "values: 8 yours" in done.stdout
    assert f"SQLite {sqlite3.sqlite_version}" in done.stdout


def test_as_json_there_are_versions_counts_and_findings(check, folder):
    report = json.loads(check("--json").stdout)

    assert report["findings"] == []
    assert report["values"] == {"own": 8}
    assert report["sqlite"] == sqlite3.sqlite_version
    assert report["path"] == "liteflow.db"


def test_values_that_are_gone_from_a_storage_are_found_if_it_is_to_be_read(check, folder):
    (folder / "lists.py").write_text(
        "from liteflow import Flow, task\n"
        "@task\ndef numbers() -> list[int]: return [*range(1000)]\n"
        "flow = Flow('lists', [numbers(), numbers()])\n"
    )
    there = ("--xcom-storage", (folder / "there").as_uri(), "--xcom-threshold", "1000")
    run = forked_program(folder)("run", "lists.py", "--run-id", "far", *there, env=OWN)
    assert run.returncode == 0, run.stderr

    before = check("--storages")
    (value,) = [path for path in (folder / "there").rglob("*") if path.is_file()]
    value.unlink()
    of_the_store, of_all = check(), check("--storages", "--run", "far")

    assert (before.returncode, of_the_store.returncode, of_all.returncode) == (0, 0, 1)
    assert "in storages: 2 of them\n" in before.stdout
    assert "in storages: 2 of them, which --storages reads, too" in of_the_store.stdout
    for index in (0, 1):
        assert f"task instance {index} of run far: its value at {value.as_uri()} is gone" in of_all.stdout
    assert "2 findings" in of_all.stdout


def test_who_checks_is_not_sent_to_storages_of_others(check, folder):
    change(
        folder, "UPDATE outcome SET codec = 'pickle@file:///somewhere' WHERE codec = 'pickle' AND id & 1 = 0"
    )

    done = check("--storages")

    assert "somewhere" not in done.stdout
    assert "of another key, or changed" in done.stdout


def test_values_of_another_user_are_found(check):
    done = check(env=OTHER)

    assert done.returncode == 1
    assert "run good-1" in done.stdout
    assert "a key that is not yours" in done.stdout
    assert "8 of another key, or changed" in done.stdout


def test_one_changed_value_is_found_in_its_run(check, folder):
    change(folder, "UPDATE outcome SET attempt = 2 WHERE id = (1 << 32) + 1")

    report = json.loads(check("--json").stdout)

    assert report["values"] == {"own": 7, "foreign": 1}
    (finding,) = report["findings"]
    assert finding["where"] == "run good-1"
    assert "the value of task instance 1" in finding["problem"]
    assert check("--run", "good-2").returncode == 0
    assert check("--run", "good-1").returncode == 1


def test_a_flipped_bit_in_a_value_that_is_never_used_is_found(check, folder):
    change(folder, "UPDATE outcome SET payload = CAST(payload || x'00' AS BLOB) WHERE id = 1 << 32")

    done = check()

    assert done.returncode == 1
    assert "task instance 0 of run number 1" in done.stdout


def test_values_that_were_stored_where_no_key_could_be_kept_are_counted(check, folder):
    change(folder, "UPDATE outcome SET mac = NULL")

    done = check()

    assert done.returncode == 0
    assert "6 without a check, 2 yours" in done.stdout or "2 yours, 6 without a check" in done.stdout


def test_a_damaged_file_is_a_finding(check, folder):
    data = bytearray((folder / "liteflow.db").read_bytes())
    data[4096 * 3 : 4096 * 3 + 200] = b"x" * 200
    (folder / "liteflow.db").write_bytes(data)

    assert check().returncode == 1


def test_without_a_store_there_is_nothing_to_check(tmp_path):
    done = forked_program(tmp_path)("check")

    assert done.returncode == 2
    assert "there is no such file" in done.stderr
    assert not list(tmp_path.iterdir())


def test_checking_changes_nothing(check, folder):
    before = (folder / "liteflow.db").read_bytes()

    check()

    assert [path.name for path in folder.iterdir()] == ["liteflow.db"]
    assert (folder / "liteflow.db").read_bytes() == before
