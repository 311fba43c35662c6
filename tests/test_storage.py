"""Large values in a storage: who has made one puts it there, and who needs it reads it there."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import sha256
from multiprocessing import get_context

import pytest

from liteflow import Context, Flow, NextTask, TaskOutput, task
from liteflow.errors import (
    ForeignValueError,
    RunFailed,
    SettingError,
    StorageMissingError,
    StoreDamagedError,
    StoredElsewhereError,
)
from liteflow.executor import PoolExecutor
from liteflow.storage.files import Folder
from liteflow.store.check import check

np = pytest.importorskip("numpy")
SIZE = 200_000


@task
def make(letter: str = "a") -> bytes:
    return letter.encode() * SIZE


@task
def length(data: bytes) -> int:
    return len(data)


@task
def zeros() -> "np.ndarray":
    return np.zeros(SIZE)


@task
def changed(values: "np.ndarray") -> float:
    values[0] = 1.0
    return float(values.sum())


@pytest.fixture
def storage(tmp_path):
    """Options of a run whose large values lie in a folder beside its store."""
    return {
        "db": tmp_path / "s.db",
        "xcom_storage": (tmp_path / "values").as_uri(),
        "xcom_threshold": 50_000,
        "executor": "inline",
    }


def files(tmp_path):
    """What lies in the storage, by what it is called."""
    return {path.name: path for path in (tmp_path / "values").rglob("*") if path.is_file()}


def xcoms(db):
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["key"]: dict(row) for row in connection.execute("SELECT * FROM xcoms")}


@pytest.mark.parametrize("executor", ["process", "thread", "async", "inline", "pool"])
def test_a_large_value_lies_there_and_the_store_has_its_address(executor, storage, tmp_path):
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        where = PoolExecutor(pool) if executor == "pool" else executor
        run = Flow("f", [make("b"), length(make("b"))]).run(**storage | {"executor": where})

    assert run.result == [b"b" * SIZE, SIZE]
    (path,) = files(tmp_path).values()
    assert sha256(path.read_bytes()).hexdigest() == path.name
    known = xcoms(storage["db"])
    assert known["make"]["address"] == f"{storage['xcom_storage']}/{path.name[:2]}/{path.name}"
    assert known["make"]["sha256"] == path.name
    assert known["make"]["size"] == path.stat().st_size
    assert (known["make"]["codec"], known["make"]["type"]) == ("pickle", "bytes")
    assert known["make"]["preview"].startswith("b'bbb")
    assert known["length"]["address"] is None
    with closing(sqlite3.connect(storage["db"])) as connection:
        ((most,),) = connection.execute("SELECT max(length(payload)) FROM outcome")
    assert most < 1000


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_an_array_comes_back_as_one_that_may_be_changed(executor, storage):
    values = zeros()

    run = Flow("f", [changed(values), changed(values)]).run(**storage | {"executor": executor})

    assert run.result == [1.0, 1.0]
    assert xcoms(storage["db"])["zeros"]["codec"] == "buffers"


def test_a_value_that_is_there_already_is_not_written_again(storage, tmp_path):
    Flow("f", make()).run(**storage)
    (before,) = files(tmp_path).values()
    inode = before.stat().st_ino

    Flow("g", [make(), make()]).run(**storage)

    assert [path.stat().st_ino for path in files(tmp_path).values()] == [inode]


def test_what_is_not_over_the_threshold_stays_in_the_store(storage, tmp_path):
    run = Flow("f", make()).run(**storage | {"xcom_threshold": SIZE * 2})

    assert run.result == b"a" * SIZE
    assert files(tmp_path) == {}
    assert xcoms(storage["db"])["make"]["address"] is None


def test_a_run_that_goes_on_reads_them_there_and_so_does_who_looks_later(storage, tmp_path):
    ready = tmp_path / "ready"

    @task
    def wait_for(data: bytes) -> int:
        if not ready.exists():
            raise ValueError("not yet")
        return len(data)

    flow = Flow("f", {"data": make(), "length": wait_for(make())}, **storage)
    flow.run(run_id="one", check=False)
    ready.touch()

    # What was put there stays there, wherever the rest goes.
    flow.resume(xcom_storage=None)

    assert flow.run(run_id="one").result == {"data": b"a" * SIZE, "length": SIZE}


def test_what_a_task_goes_on_as_stays_with_the_driver_which_has_to_read_it(storage):
    @task
    def twice(n: int) -> int:
        return 2 * n

    @task
    def grow(numbers: list[int]) -> list[int]:
        return twice.map(numbers)

    run = Flow("f", grow([1, 2, 3])).run(**storage | {"xcom_threshold": 0})

    assert run.result == [2, 4, 6]
    assert xcoms(storage["db"])["grow/twice[0]"]["address"]


def test_tasks_that_share_a_context_read_them_too(storage):
    @task
    def look(context: Context, after: bytes) -> int:
        return len(context.get("make"))

    assert Flow("f", look(after=make())).run(**storage | {"executor": "thread"}).result == SIZE


@pytest.mark.parametrize("executor", ["process", "inline"])
def test_what_a_task_gives_that_says_what_runs_next_lies_there_too(executor, storage, tmp_path):
    flow = Flow("f")
    flow.add_task("a", lambda context: TaskOutput(bytes(SIZE), [NextTask("b")]))
    flow.add_task("b", lambda context: TaskOutput(len(context.get("a"))))

    run = flow.run("a", **storage | {"executor": executor})

    assert run.output("b") == SIZE
    assert run.output("a") == bytes(SIZE)
    assert xcoms(storage["db"])["a"]["size"] == next(iter(files(tmp_path).values())).stat().st_size


def test_a_value_that_is_gone_is_an_error_that_names_it(storage, tmp_path):
    run = Flow("f", length(make())).run(**storage)
    (path,) = files(tmp_path).values()
    path.unlink()

    with pytest.raises(StoredElsewhereError, match=r"task make at file:.*is gone.*--from make") as caught:
        run.output("make")

    assert caught.value.task == "make"
    assert caught.value.address.endswith(path.name)


def test_a_value_that_was_changed_is_refused_and_mended_when_it_is_made_again(storage, tmp_path):
    flow = Flow("f", make())
    flow.run(run_id="one", **storage)
    (path,) = files(tmp_path).values()
    whole = path.read_bytes()
    for damage in (whole[:-1], whole + b"x", b"x" + whole[1:], b""):
        path.write_bytes(damage)
        with pytest.raises(StoredElsewhereError, match="is not what was put there"):
            _ = flow.run(run_id="one", **storage).result

        flow.run(**storage)

        assert path.read_bytes() == whole


def test_a_task_that_needs_a_value_which_is_gone_fails_and_says_so(storage, tmp_path):
    @task
    def lose(data: bytes) -> int:
        for path in files(tmp_path).values():
            path.unlink()
        return 1

    @task
    def need(data: bytes, after: int) -> int:
        return len(data)

    data = make()
    with pytest.raises(RunFailed) as caught:
        Flow("f", need(data, lose(data))).run(**storage)

    assert isinstance(caught.value.__cause__, StoredElsewhereError)
    assert caught.value.__cause__.problem == "is gone"


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_a_value_that_can_not_be_written_costs_its_attempt_alone(executor, storage, tmp_path):
    folder = tmp_path / "values"

    @task
    def unplug() -> int:
        folder.rmdir()
        return 1

    @task
    def after(_: int) -> bytes:
        return bytes(SIZE)

    small = unplug()
    run = Flow("f", [after(small), small]).run(**storage | {"executor": executor, "check": False})

    assert run.tasks["unplug"].state == "succeeded"
    assert "can't be written (No such file" in run.tasks["after"].error
    assert not folder.exists()


def test_a_process_that_dies_while_it_writes_leaves_nothing_under_the_name(tmp_path):
    class Deadly(list):
        def __iter__(self):
            yield bytes(100)
            os.kill(os.getpid(), signal.SIGKILL)

    name = "ab" * 32
    child = os.fork()
    if not child:
        Folder(str(tmp_path)).write(name, Deadly())
        os._exit(0)
    _, status = os.waitpid(child, 0)

    assert os.WTERMSIG(status) == signal.SIGKILL
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".part"]
    with pytest.raises(FileNotFoundError):
        Folder(str(tmp_path)).read(name, 100)
    Folder(str(tmp_path)).write(name, [b"whole"])
    assert Folder(str(tmp_path)).read(name, 100) == b"whole"


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        Folder(str(tmp_path)).write("ab" * 32, [b"some", 3])  # type: ignore[list-item]

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "url",
    [
        "/shared",
        "shared",
        3,
        "",
        "file://shared/values",
        "file:relative",
        "file:///",
        "file:///%00",
        "file:///a b",
        "file:///a?b=c",
        "s3://",
        "s3://user:secret@bucket",
        "ftp://h/\n",
    ],
)
def test_a_url_that_is_none_is_refused_before_anything_runs(url, tmp_path):
    with pytest.raises(SettingError, match="xcom_storage") as caught:
        Flow("f", make()).run(db=tmp_path / "s.db", xcom_storage=url)

    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_is_a_number_of_bytes():
    for threshold in (-1, 1.5, True, 1 << 50):
        with pytest.raises(SettingError, match="xcom_threshold"):
            Flow("f", make()).run(db=None, xcom_threshold=threshold)


def test_a_folder_that_can_not_be_written_is_refused_before_anything_runs(storage, tmp_path):
    (tmp_path / "values").write_text("a file")
    for url in (storage["xcom_storage"], (tmp_path / "not there" / "values").as_uri()):
        with pytest.raises(SettingError, match="can be written"):
            Flow("f", make()).run(**storage | {"xcom_storage": url})

    assert [path.name for path in tmp_path.iterdir()] == ["values"]


def test_without_fsspec_another_storage_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fsspec", None)

    with pytest.raises(StorageMissingError, match=r"liteflow\[storage\]"):
        Flow("f", make()).run(db=tmp_path / "s.db", xcom_storage="s3://no-such-bucket")

    assert list(tmp_path.iterdir()) == []


def test_a_reference_that_was_changed_is_damage_and_another_address_is_not_ours(storage):
    flow = Flow("f", length(make()))
    flow.run(run_id="one", **storage)

    def change(what):
        with closing(sqlite3.connect(storage["db"])) as connection:
            connection.execute(f"UPDATE outcome SET {what} WHERE codec LIKE '%@%'")
            connection.commit()

    change("codec = replace(codec, '/values', '/others')")
    with pytest.raises(StoreDamagedError):
        flow.run(run_id="one", **storage).output("make")
    change("codec = replace(codec, '/others', '/values')")
    assert len(flow.run(run_id="one", **storage).output("make")) == SIZE
    assert check(storage["db"]) == []
    for damage in ("payload = x'00'", "payload = zeroblob(40)"):
        change(damage)
        assert "is not what was stored" in check(storage["db"])[0].problem
        with pytest.raises((StoreDamagedError, ForeignValueError)):
            flow.run(run_id="one", **storage).output("make")


SCRIPT = """
from liteflow import flow, task

@task
def make() -> bytes:
    return bytes(200_000)

@task
def length(data: bytes) -> int:
    return len(data)

@flow
def sizes() -> int:
    return length(make())
"""


def test_the_command_line_takes_it_shows_it_and_repairs_what_is_lost(tmp_path):
    (tmp_path / "sizes.py").write_text(SCRIPT)

    def liteflow(*words):
        command = [sys.executable, "-m", "liteflow", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    there = (tmp_path / "values").as_uri()
    words = ("--xcom-storage", there, "--xcom-threshold", "1000", "--mode", "inline", "-q")
    assert liteflow("run", "sizes.py", *words).returncode == 0
    shown = json.loads(liteflow("show", "latest", "--json").stdout)
    addresses = {one["key"]: one["xcom"]["address"] for one in shown["tasks"]}
    (path,) = files(tmp_path).values()
    assert addresses == {"make": f"{there}/{path.name[:2]}/{path.name}", "length": None}
    path.unlink()

    gone = liteflow("run", "sizes.py", "--only", "length", *words)
    assert gone.returncode == 2
    assert "is gone" in gone.stderr
    assert "liteflow run FILE --from make" in gone.stderr

    assert liteflow("run", "sizes.py", "--from", "make", *words).returncode == 0
    assert liteflow("clear", "sizes", "--yes").returncode == 0
    # Another store may need it.
    assert path.exists()


# --- by fsspec -----------------------------------------------------------------------------


def test_a_storage_that_fsspec_reaches_holds_values(storage, tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    flow = Flow("f", [make("c"), length(make("c"))])
    run = flow.run(**storage | {"xcom_storage": "memory://values/of-c"})

    assert run.result == [b"c" * SIZE, SIZE]
    address = xcoms(storage["db"])["make"]["address"]
    assert address.startswith("memory://values/of-c/")
    fsspec.filesystem("memory").rm(address)
    with pytest.raises(StoredElsewhereError, match="is gone"):
        run.output("make-2")


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_one_in_which_a_file_can_be_seen_before_it_is_whole_is_written_aside_first(
    executor, storage, tmp_path
):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    run = Flow("f", length(make())).run(
        **storage | {"xcom_storage": f"local://{tmp_path}/values", "executor": executor}
    )

    assert run.output("make") == b"a" * SIZE
    assert [len(name) for name in files(tmp_path)] == [64]


def test_one_that_fsspec_does_not_know_or_can_not_reach_is_refused(storage):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    with pytest.raises(SettingError, match="xcom_storage"):
        Flow("f", make()).run(**storage | {"xcom_storage": "nonsense://values"})
    assert not storage["db"].exists()
