"""What tasks start ends with them, also where it has left their session; nothing outlives the driver."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.processes import MARK, all_gone, marked, new_mark

from liteflow import Flow, Task

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS adopts no orphans")


def daemonise(folder: str, name: str, *, stop: bool = False) -> None:
    """Leave a process that is in a session of its own, and whose parents have ended."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            Path(folder, name).touch()
            if stop:
                os.kill(os.getpid(), signal.SIGSTOP)
            os.execlp("sleep", "sleep", "1000")
        os._exit(0)
    while not Path(folder, name).exists():
        time.sleep(0.005)


def in_a_session_of_its_own(folder: str) -> None:
    subprocess.Popen(["sh", "-c", f"touch {folder}/left; sleep 1000 & sleep 1000"], start_new_session=True)


def daemon(folder: str) -> None:
    daemonise(folder, "left")


def stopped_daemon(folder: str) -> None:
    daemonise(folder, "left", stop=True)


def deaf_daemon(folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    daemonise(folder, "left")


def daemons_of_daemons(folder: str) -> None:
    daemonise(folder, "first")
    if os.fork() == 0:
        os.setsid()
        in_a_session_of_its_own(folder)
        daemonise(folder, "second")
        time.sleep(1000)


ESCAPES = [in_a_session_of_its_own, daemon, stopped_daemon, deaf_daemon, daemons_of_daemons]


def escaping(escape: Callable[[str], None], folder: Path, then: Callable[[], Any]) -> Callable[[], Any]:
    def escaped() -> Any:
        escape(str(folder))
        while not (folder / "left").exists():
            time.sleep(0.005)
        return then()

    return escaped


def sleep_long() -> None:
    time.sleep(1000)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    text = new_mark()
    monkeypatch.setenv(MARK, text)
    return text


@pytest.mark.parametrize("escape", ESCAPES, ids=[e.__name__ for e in ESCAPES])
@pytest.mark.parametrize(
    "then, outcome",
    [(sleep_long, "failed"), (die, "failed"), (int, "succeeded")],
    ids=["late", "dead", "well"],
)
def test_what_has_left_its_session_ends_with_its_worker(
    escape: Callable[[str], None], then: Callable[[], Any], outcome: str, tmp_path: Path, mark: str
) -> None:
    limit = 0.6 if then is sleep_long else 10.0
    task = Task(escaping(escape, tmp_path, then), "escaping").options(timeout=limit)

    run = Flow("escape", task()).run(db=None, check=False, grace=0.2)

    assert run.tasks["escaping"].state == outcome
    assert all_gone(mark, 0.0, but_supervisors=True)
    assert all_gone(mark, 5.0)


def test_a_child_that_was_left_lives_on_for_the_next_task_of_the_run(tmp_path: Path) -> None:
    def leave() -> int:
        return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid

    def alive(pid: int) -> int:
        os.kill(pid, 0)
        return pid

    run = Flow("left", Task(alive, "alive")(Task(leave, "leave")())).run(db=None, max_workers=1)

    with pytest.raises(ProcessLookupError):
        os.kill(run.result, 0)


DRIVER = """
import os, sys, time
sys.path.insert(0, {tests!r})
from faults.test_escapes import *
folder = Path({folder!r})

def sleeps(n):
    subprocess.Popen(["sleep", "1000"])
    (folder / f"sleeping-{{n}}").touch()
    time.sleep(1000)

def busy(n):
    (folder / f"sleeping-{{n}}").touch()
    while True:
        pass

escapes = Task(escaping({escape}, folder, sleep_long), "escapes")()
Flow("driver", [escapes, Task(sleeps, "sleeps")(1), Task(busy, "busy")(2)]).run(db={db!r}, max_workers=3)
"""


@pytest.mark.parametrize("escape", ESCAPES, ids=[e.__name__ for e in ESCAPES])
def test_when_the_driver_is_killed_all_is_gone_within_two_seconds(
    escape: Callable[[str], None], tmp_path: Path, mark: str
) -> None:
    tests = str(Path(__file__).parents[1])
    source = DRIVER.format(
        tests=tests, folder=str(tmp_path), escape=escape.__name__, db=str(tmp_path / "x.db")
    )
    driver = subprocess.Popen([sys.executable, "-c", source])
    until = time.monotonic() + 20
    while len([*tmp_path.glob("sleeping-*"), *tmp_path.glob("left")]) < 3:
        assert driver.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    # Itself, a supervisor, three workers, and what the tasks have started.
    assert len(marked(mark)) >= 6

    driver.kill()
    driver.wait()

    assert all_gone(mark, 2.0)


def test_when_driver_and_workers_are_stopped_and_the_driver_is_killed_all_is_gone(
    tmp_path: Path, mark: str
) -> None:
    tests = str(Path(__file__).parents[1])
    source = DRIVER.format(tests=tests, folder=str(tmp_path), escape="daemon", db=str(tmp_path / "x.db"))
    driver = subprocess.Popen([sys.executable, "-c", source])
    until = time.monotonic() + 20
    while len([*tmp_path.glob("sleeping-*"), *tmp_path.glob("left")]) < 3:
        assert driver.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    parents = {pid: Path(f"/proc/{pid}/stat").read_text().split()[3] for pid in marked(mark)}
    (supervisor,) = [pid for pid, parent in parents.items() if parent == str(driver.pid)]
    for pid in parents.keys() - {supervisor}:
        os.kill(pid, signal.SIGSTOP)

    driver.kill()
    driver.wait()

    assert all_gone(mark, 2.0)


def test_an_idle_supervisor_of_a_driver_that_was_killed_ends_too(mark: str) -> None:
    source = (
        "from liteflow import *\nimport sys\nFlow('f', Task(int, 'int')()).run(db=None)\n"
        "print(flush=True)\nsys.stdin.read()"
    )
    driver = subprocess.Popen([sys.executable, "-c", source], stdin=-1, stdout=-1)
    assert driver.stdout is not None
    select.select([driver.stdout], [], [], 20)

    driver.kill()
    driver.communicate()

    assert all_gone(mark, 2.0)
