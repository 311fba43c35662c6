"""The wall clock is set, a day forth and a day back, while a run goes on: durations and order stay right."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.drivers import ROOT, Folder, done, ended, kill, until

from liteflow.store.history import History

# What `import` finds in the driver and in every worker before anything else: a wall clock that a file moves.
CLOCK = """
import os, time

def moved(seconds):
    try:
        with open({shift!r}) as file:
            return seconds + float(file.read())
    except FileNotFoundError:
        return seconds

_time, _time_ns = time.time, time.time_ns
time.time = lambda: moved(_time())
time.time_ns = lambda: int(moved(0.0)) * 1_000_000_000 + _time_ns()
"""

SCRIPT = """
@task
def first() -> str:
    note("first")
    return "first"

@task(timeout=20)
def second(x: str) -> float:
    note("second")
    while not Path("open").exists():
        time.sleep(0.005)
    return time.time()

@task(retries=1, retry_delay=0.05, timeout=20)
def third(x: float) -> float:
    note("third")
    if len((STARTS / "third").read_bytes().splitlines()) == 1:
        raise OSError("once")
    return time.time()

@flow
def etl():
    return third(second(first()))

if __name__ == "__main__":
    run = etl.run(run_id="r", timeout=60)
    print(run.state)
"""

DAY = 86_400


@pytest.fixture
def script(folder: Folder) -> Folder:
    folder.write(SCRIPT)
    (folder.path / "clock").mkdir()
    (folder.path / "clock" / "sitecustomize.py").write_text(CLOCK.format(shift=str(folder.path / "shift")))
    return folder


def begin(folder: Folder):
    return folder.python("flow.py", env={"PYTHONPATH": f"{folder.path / 'clock'}:{ROOT}"})


def set_clock(folder: Folder, seconds: int) -> None:
    (folder.path / "shift").write_text(str(seconds))


def assert_times_are_right(folder: Folder) -> None:
    with History(folder.db) as history:
        run = history.find_run("r")
        tasks = {row.key: row for row in history.tasks("r")}
    attempts = folder.query("SELECT key, started_at, ended_at FROM attempts ORDER BY started_at, key")
    assert [key for key, _, _ in attempts] == ["first", "second", "third", "third"]
    assert all(started <= ended for _, started, ended in attempts)
    assert all(a[2] <= b[1] for a, b in pairwise(attempts))
    assert run.started_at <= tasks["first"].started_at
    assert tasks["third"].ended_at <= run.ended_at
    assert run.ended_at - run.started_at < 60


@pytest.mark.parametrize("shift", [DAY, -DAY], ids=["forth", "back"])
def test_a_clock_that_is_set_in_mid_run_changes_no_duration_and_no_order(script: Folder, shift: int) -> None:
    process = begin(script)
    until(lambda: "second" in script.starts())
    set_clock(script, shift)
    (script.path / "open").touch()

    assert done(process, within=30) == "succeeded\n"
    # The clock of the workers was set, too: else this would show nothing.
    now, then = (float(p) for (p,) in script.query("SELECT preview FROM xcoms WHERE key <> 'first'"))
    assert abs(now - then) < DAY / 2
    with History(script.db) as history:
        assert abs(now - history.find_run("r").started_at - shift) < 60
    assert_times_are_right(script)


@pytest.mark.parametrize("shift", [DAY, -DAY], ids=["forth", "back"])
def test_a_driver_lives_whatever_the_clock_says(script: Folder, shift: int) -> None:
    process = begin(script)
    until(lambda: "second" in script.starts())
    set_clock(script, shift)
    env = {"PYTHONPATH": f"{script.path / 'clock'}:{ROOT}"}

    assert ended(script.new_liteflow("resume", "r", env=env))[0] == 3
    assert '"state": "running"' in done(script.new_liteflow("runs", "--json", env=env))
    (script.path / "open").touch()
    assert done(process) == "succeeded\n"


@pytest.mark.parametrize("shift", [-DAY, DAY], ids=["back", "forth"])
def test_a_run_that_goes_on_after_the_clock_was_set_keeps_its_order(script: Folder, shift: int) -> None:
    process = begin(script)
    until(lambda: "second" in script.starts() and script.states().get("first") == "succeeded")
    kill(process)
    set_clock(script, shift)
    (script.path / "open").touch()
    assert done(begin(script)) == "succeeded\n"

    with History(script.db) as history:
        run, tasks = history.find_run("r"), {row.key: row for row in history.tasks("r")}
    assert run.started_at <= tasks["first"].ended_at <= tasks["second"].started_at
    assert tasks["second"].ended_at <= tasks["third"].started_at <= tasks["third"].ended_at <= run.ended_at
