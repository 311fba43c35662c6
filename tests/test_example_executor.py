"""The example of an executor (examples/executor) keeps all promises, and its page shows it as it is."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from support.drivers import until
from support.processes import gone

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "executor"
PAGE = (ROOT / "docs" / "further-engines.md").read_text(encoding="utf-8")
sys.path.insert(0, str(EXAMPLE))

from liteflow_spool import SpoolExecutor  # noqa: E402
from liteflow_spool.folder import Folder, names  # noqa: E402
from liteflow_spool.pool import SpoolPool, WorkerGoneError  # noqa: E402
from liteflow_spool.worker import Worker  # noqa: E402

from liteflow import Flow, task  # noqa: E402
from liteflow.errors import SettingError  # noqa: E402
from liteflow.testing import executor_suite  # noqa: E402
from liteflow.testing.conformance import ExecutorSuite  # noqa: E402

Start = Callable[..., subprocess.Popen[bytes]]

# As a name means it, so that all tests have one; its own are below.
TestSpool = executor_suite(lambda: "spool")


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts workers, or what else is to find the example; what still runs in the end is killed."""
    started: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "PYTHONPATH": f"{EXAMPLE}{os.pathsep}{ROOT}"}

    def process(*words: object, command: str = "-m") -> subprocess.Popen[bytes]:
        given = ("liteflow_spool", *words) if command == "-m" else words
        line = [sys.executable, command, *map(str, given)]
        started.append(subprocess.Popen(line, env=environment, stdin=subprocess.DEVNULL))
        return started[-1]

    yield process
    for one in started:
        one.kill()
        one.wait()


@pytest.fixture(scope="module", autouse=True)
def spool(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpoolExecutor]:
    """The executor that is called `spool`, with a worker for two parcels at a time."""
    folder = tmp_path_factory.mktemp("spool")
    start(folder, "--places", 2)
    with SpoolExecutor(folder) as made:
        until(lambda: made.places() == 2)
        yield made


def left(folder: Folder) -> list[str]:
    return [name for room in folder.rooms for name in names(room)]


def beats_in(folder: Path) -> Callable[[], str]:
    """A task that says which process runs it, and goes on until it is released."""

    def beats() -> str:
        (folder / f"begun-{os.getpid()}").touch()
        while not (folder / "released").exists():
            time.sleep(0.02)
        return "done"

    return beats


def begun(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in folder.glob("begun-*")]


def test_a_worker_that_is_killed_costs_an_attempt_and_another_makes_the_next(start, tmp_path):
    first = start(tmp_path / "spool", "--places", 1)
    # A worker that is slow may be taken for dead too: it is the first attempt that counts.
    again = task(beats_in(tmp_path), retries=100)

    with SpoolExecutor(tmp_path / "spool", lost_after=1.0) as spool:
        handle = Flow("f", again()).start(db=None, executor=spool)
        until(lambda: begun(tmp_path))
        first.kill()
        first.wait()
        assert gone(begun(tmp_path), 20)
        start(tmp_path / "spool", "--places", 1)
        (tmp_path / "released").touch()
        ended = handle.wait(60)

    assert ended.result == "done"
    assert ended.tasks["beats"].attempts >= 2


def test_a_worker_that_is_told_to_stop_ends_what_it_runs_and_takes_no_more(start, tmp_path):
    folder = Folder(tmp_path / "spool")
    worker = start(tmp_path / "spool", "--places", 1)

    with SpoolExecutor(tmp_path / "spool", max_workers=1) as spool:
        handle = Flow("f", task(beats_in(tmp_path))() >> task(abs)(-1)).start(db=None, executor=spool)
        until(lambda: begun(tmp_path))
        worker.terminate()
        (tmp_path / "released").touch()
        status = worker.wait(60)
        until(lambda: names(folder.waiting))
        handle.cancel()
        ended = handle.wait(60)

    assert status == 0
    assert ended.tasks["beats"].state == "succeeded"
    assert left(folder) == []


def test_when_a_driver_is_killed_what_it_had_running_is_ended_and_what_waited_taken_away(start, tmp_path):
    folder = Folder(tmp_path / "spool")
    start(tmp_path / "spool", "--places", 1, "--lost-after", 1.0)
    script = tmp_path / "driver.py"
    script.write_text(
        "import os, time\nfrom pathlib import Path\n"
        "from liteflow import Flow, task\nfrom liteflow_spool import SpoolExecutor\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "def beats(n: int) -> None:\n"
        "    (folder / f'begun-{os.getpid()}').touch()\n"
        "    time.sleep(1000)\n"
        "Flow('f', [task(beats, retries=100)(n) for n in range(3)]).run(\n"
        "    db=None, executor=SpoolExecutor(folder / 'spool', max_workers=3))\n"
    )
    driver = start(script, command="-u")
    until(lambda: begun(tmp_path))
    driver.send_signal(signal.SIGKILL)

    driver.wait()

    until(lambda: left(folder) == [])
    assert gone(begun(tmp_path), 20)


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_what_a_driver_that_died_long_ago_has_left_is_not_run_but_taken_away(tmp_path):
    folder = Folder(tmp_path / "spool")
    (folder.alive / "ghost").write_text("0 17")
    folder.put(folder.waiting, "000000001.ghost", pickle.dumps(Runs(tmp_path / "ran")))
    worker = Worker(folder, 1, lost_after=0.3)

    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(worker.serve)
        until(lambda: not left(folder) and "ghost" not in names(folder.alive))
        worker.stop()
        serving.result(20)

    assert not (tmp_path / "ran").exists()
    assert names(folder.alive) == []


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[SpoolPool]:
    """A pool whose folder nobody serves."""
    pool = SpoolPool(tmp_path / "alone", 30)
    yield pool
    pool.shutdown()


def test_what_waits_is_taken_back_and_has_never_run(alone, tmp_path):
    parcel = alone.submit(abs, -1)

    assert parcel.cancel() and parcel.cancelled()
    assert left(Folder(tmp_path / "alone")) == []


def test_what_runs_is_unwanted_when_it_is_cancelled_and_done_when_its_worker_says_so(alone, tmp_path):
    folder = Folder(tmp_path / "alone")
    (folder.alive / "worker").write_text("1 1")
    parcel = alone.submit(abs, -1)
    (folder.waiting / parcel.name).rename(folder.taken / f"{parcel.name}@worker")

    assert not parcel.cancel() and not parcel.done()
    assert left(folder) == [f"{parcel.name}@worker"] == names(folder.unwanted)
    folder.put(folder.answers, parcel.name, pickle.dumps((7, None)))
    assert parcel.result(20) == 7


def test_a_parcel_that_lies_nowhere_is_lost(alone, tmp_path):
    parcel = alone.submit(abs, -1)
    (Folder(tmp_path / "alone").waiting / parcel.name).unlink()

    assert isinstance(parcel.exception(20), WorkerGoneError)


def test_a_parcel_that_a_worker_can_not_read_is_lost_and_says_why(spool):
    parcel = spool.pool.submit(int, "no number")

    assert "TypeError" in str(parcel.exception(20))  # int takes no `wanted`


def test_a_spool_that_is_closed_settles_what_is_under_way_and_takes_no_more(tmp_path):
    pool = SpoolPool(tmp_path, 30)
    parcel = pool.submit(abs, -1)
    pool.shutdown()

    assert parcel.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(abs, -1)
    assert names(Folder(tmp_path).alive) == []


@pytest.mark.parametrize("folder", ["file", "not mounted/spool"])
def test_a_folder_that_can_not_be_made_is_a_mistake_in_a_setting(folder, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(SettingError, match="folder that can be written to"):
        Flow("f", task(abs)(-1)).run(db=None, executor=SpoolExecutor(tmp_path / folder))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_name_that_the_package_plugs_in_means_the_folder_of_the_environment(tmp_path, monkeypatch):
    plugged = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    [(name, value)] = plugged["liteflow.executors"].items()
    default = EntryPoint(name, value, "liteflow.executors").load()

    monkeypatch.delenv("LITEFLOW_SPOOL", raising=False)
    with pytest.raises(SettingError, match="LITEFLOW_SPOOL"):
        default()
    monkeypatch.setenv("LITEFLOW_SPOOL", str(tmp_path / "there"))
    with default() as made:
        assert (made.name, default()) == (name, made)
        assert made.places() == 0
        assert (tmp_path / "there" / "waiting").is_dir()


# --- the page ------------------------------------------------------------------------------


def test_what_the_page_shows_of_the_example_is_in_the_example():
    sources = [path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.py")]
    shown = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert len(shown) >= 2
    assert [block for block in shown if not any(block in source for source in sources)] == []


def test_the_page_names_every_test_of_the_suite_and_no_other():
    named = re.findall(r"`(test_\w+)`", PAGE.partition("## Which test shows which promise")[2])

    assert sorted(named) == sorted(name for name in dir(ExecutorSuite) if name.startswith("test_"))
