"""What happens to the store file while runs use it: what had committed stays, and nothing hangs."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest
from support.drivers import Folder, change, done, ended, faults, until

SCRIPT = """
from liteflow.errors import StoreError

@task
def first() -> int:
    note("first")
    return 1

@task
def second(x: int) -> int:
    note("second")
    while not Path("open").exists():
        time.sleep(0.005)
    return x + 1

@task
def third(x: int) -> int:
    note("third")
    return x + 1

@flow
def etl():
    return third(second(first()))

if __name__ == "__main__":
    if "impatient" in sys.argv:
        # Else the test would take the usual 20 seconds.
        from liteflow.store.db import open_store
        open_store.__kwdefaults__["patience"] = 0.5
    try:
        print(etl.run(run_id="r").result)
    except StoreError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def script(folder: Folder) -> Folder:
    folder.write(SCRIPT)
    return folder


def begin(folder: Folder, *words: str) -> subprocess.Popen[str]:
    """A run in the middle of its second task, the first having committed."""
    process = folder.python("flow.py", *words)
    until(lambda: "second" in folder.starts() and folder.states().get("first") == "succeeded")
    return process


def moved_away(folder: Folder) -> None:
    for path in list(folder.path.glob("liteflow.db*")):
        path.rename(folder.path / f"kept-{path.name}")


def replaced(folder: Folder) -> None:
    moved_away(folder)
    shutil.copy(folder.path / "kept-liteflow.db", folder.db)


@pytest.mark.parametrize("happens", [moved_away, replaced])
def test_a_file_that_is_removed_or_replaced_is_not_written_and_can_be_put_back(script, happens) -> None:
    process = begin(script)
    happens(script)
    there = {path.name for path in script.path.glob("liteflow.db*")}
    (script.path / "open").touch()
    status, out, err = ended(process)

    assert (status, out.partition(" ")[0]) == (0, "StoreGoneError"), err
    assert "put the file back" in out
    assert {path.name for path in script.path.glob("liteflow.db*")} == there
    until(lambda: not script.left())
    for path in list(script.path.glob("liteflow.db*")):
        path.unlink()
    for path in list(script.path.glob("kept-*")):
        path.rename(script.path / path.name.removeprefix("kept-"))
    assert done(script.python("flow.py")) == "3\n"
    assert script.starts()["first"] == 1
    assert faults(script.db) == []


def test_a_lock_of_some_seconds_is_waited_for(script) -> None:
    process = begin(script)
    other = sqlite3.connect(script.db, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    (script.path / "open").touch()
    until(lambda: "third" in script.starts())
    giver = threading.Timer(3.0, other.execute, ["COMMIT"])
    giver.start()

    assert done(process) == "3\n"
    giver.join()
    other.close()
    assert set(script.starts().values()) == {1}


def test_a_lock_for_ever_is_given_up_and_the_run_can_go_on_later(script) -> None:
    process = begin(script, "impatient")
    other = sqlite3.connect(script.db, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (script.path / "open").touch()
    status, out, err = ended(process)
    other.close()

    assert (status, out.partition(" ")[0]) == (0, "StoreBusyError"), err
    assert "is locked by another program" in out
    until(lambda: not script.left())
    assert done(script.python("flow.py")) == "3\n"
    assert script.starts()["first"] == 1


def flip_a_bit(folder: Folder, key: str) -> None:
    change(
        folder.db,
        "UPDATE outcome SET payload = CAST(substr(payload, 1, length(payload) - 2) || x'7f' "
        "|| substr(payload, length(payload)) AS BLOB) WHERE id = (SELECT id FROM instance WHERE key = ?)",
        key,
    )


def begin_and_kill_in_third(folder: Folder) -> None:
    source = SCRIPT.replace('note("third")', 'note("third")\n    if Path("fail").exists(): raise OSError')
    folder.write(source)
    (folder.path / "open").touch()
    (folder.path / "fail").touch()
    status, _, err = ended(folder.python("flow.py"))
    assert status == 1, err
    (folder.path / "fail").unlink()


def test_a_flipped_bit_in_a_value_that_nobody_needs_harms_nobody(script) -> None:
    begin_and_kill_in_third(script)
    flip_a_bit(script, "first")

    assert ended(script.liteflow("resume"))[0] == 0
    assert script.run_state() == "succeeded"
    status, out, err = ended(script.liteflow("check"))
    assert (status, err) == (1, "")
    assert "the value of task instance 0 of run number 1 is not what was stored" in out


def test_a_flipped_bit_in_a_value_that_is_needed_is_noticed(script) -> None:
    begin_and_kill_in_third(script)
    flip_a_bit(script, "second")
    status, out, err = ended(script.liteflow("resume"))

    assert (status, out) == (2, "")
    assert "is damaged" in err
    assert script.starts()["third"] == 1


def test_a_file_that_was_cut_off_is_told_in_one_line(script) -> None:
    begin_and_kill_in_third(script)
    whole = script.db.read_bytes()
    script.db.write_bytes(whole[: len(whole) // 2])

    for words in (("resume",), ("run", "flow.py", "--run-id", "r"), ("runs",)):
        status, out, err = ended(script.liteflow(*words))
        assert (status, out) == (2, ""), words
        assert len(err.splitlines()) == 1, err
        assert "damaged" in err
    assert script.db.read_bytes() == whole[: len(whole) // 2]


# --- file systems of our own -----------------------------------------------------------------


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


MOUNTS = pytest.mark.skipif(not can_mount(), reason="needs a file system of its own (unshare -rm)")


def inside(folder: Folder, commands: str) -> str:
    """Run shell commands where mounting is allowed and seen by nobody else; `python` is ours."""
    text = f'set -e\npython() {{ "{sys.executable}" "$@"; }}\n{commands}'
    return done(folder.start(["unshare", "-rm", "bash", "-c", text]))


FULL = """
import json, sqlite3
from liteflow.errors import StoreFullError

@task
def big(n: int) -> bytes:
    note(f"big-{n}")
    return bytes([n]) * 200_000

@task
def total(*parts: bytes) -> int:
    return sum(map(len, parts))

@flow
def etl():
    return total(*[big(n) for n in range(30)])

def committed():
    store = sqlite3.connect("file:small/a.db?mode=ro", uri=True)
    keys = [key for key, in store.execute("SELECT key FROM xcoms")]
    store.close()
    return keys

if __name__ == "__main__":
    try:
        print(etl.run(run_id="r", db="small/a.db").result)
    except StoreFullError as error:
        print(json.dumps([str(error), committed()]))
        if "here" in sys.argv:
            Path("small/filler").unlink()
            print(etl.run(run_id="r", db="small/a.db").result)
"""
SMALL = """
mkdir small
mount -t tmpfs -o size=32m tmpfs small
head -c 30000000 /dev/zero > small/filler
"""


@MOUNTS
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_full_disk_costs_nothing_committed_and_the_run_goes_on_when_there_is_space(folder, where) -> None:
    folder.write(FULL)
    further = "" if where == "here" else "rm small/filler\npython flow.py\n"
    out = inside(folder, f"{SMALL}\npython flow.py {where}\n{further}")
    told, result = out.splitlines()
    message, committed = json.loads(told)

    assert "the disk is full" in message
    assert "make space" in message
    assert result == "6000000"
    starts = folder.starts()
    names = {key: f"big-{int(key.partition('-')[2] or 1) - 1}" for key in committed}
    assert 0 < len(committed) < 30
    assert {starts[name] for name in names.values()} == {1}, "what had committed has run again"


@MOUNTS
def test_a_store_that_may_only_be_read_is_looked_at_and_not_written(script) -> None:
    (script.path / "open").touch()
    done(script.python("flow.py"))
    (script.path / "ro").mkdir()
    script.db.rename(script.path / "ro" / "liteflow.db")
    out = inside(
        script,
        "mount --bind ro ro\nmount -o remount,bind,ro ro\nexport LITEFLOW_DB=ro/liteflow.db\n"
        "python -m liteflow runs\npython -c 'from flow import etl; etl.run()' 2>&1 || true\n"
        # Given back as it was: nothing has to be written.
        "python flow.py\n",
    )

    assert "succeeded" in out
    assert "StoreReadOnlyError" in out
    assert "allow writing to the file and to its directory" in out
    assert out.endswith("\n3\n")
