"""A run belongs to one driver; many runs, and many drivers, share one file."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest
from support.drivers import Folder, change, done, ended, faults, freeze, kill, until

SCRIPT = """
@task
def quick(n: int) -> int:
    note(f"quick-{n}")
    return n

@task
def waits(*numbers: int) -> int:
    note("waits")
    while not Path("open").exists():
        time.sleep(0.005)
    return sum(numbers)

@flow
def etl(many: int = 20):
    return waits(*[quick(n) for n in range(many)])

if __name__ == "__main__":
    print(etl.run(run_id="r").result)
"""


@pytest.fixture
def script(folder: Folder) -> Folder:
    folder.write(SCRIPT)
    return folder


def until_it_waits(folder: Folder, times: int = 1) -> None:
    quick = "SELECT count(*) FROM xcoms"
    until(lambda: folder.starts().get("waits", 0) >= times and folder.query(quick) == [(20,)])


def begun(folder: Folder) -> subprocess.Popen[str]:
    """A driver in the middle of the run."""
    process = folder.liteflow("run", "flow.py", "--run-id", "r")
    until_it_waits(folder)
    return process


def interrupted(folder: Folder) -> None:
    """A run in the middle, whose driver was killed."""
    kill(begun(folder))


COMMANDS = {
    "resume": ("resume", "r"),
    "run --resume": ("run", "flow.py", "--resume"),
    "run --run-id": ("run", "flow.py", "--run-id", "r"),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_second_driver_is_refused_with_who_and_since_when(script: Folder, words) -> None:
    first = begun(script)
    status, out, err = ended(script.liteflow(*words))

    assert (status, out) == (3, "")
    host = os.uname().nodename
    wanted = rf"liteflow: run 'r' in .*liteflow\.db is being driven by process {first.pid} on {host} \(since "
    assert re.match(wanted + r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\); .*kill " + str(first.pid), err), err
    assert len(err.splitlines()) == 1
    (script.path / "open").touch()
    assert ended(first)[0] == 0
    assert set(script.starts().values()) == {1}


def race(folder: Folder, drivers: int) -> None:
    """So many resume one run at once: one drives it, the others are refused, nothing is done twice."""
    interrupted(folder)
    before = folder.starts()
    racers = [folder.liteflow("resume", "r") for _ in range(drivers)]
    until(lambda: len([r for r in racers if r.poll() is not None]) == drivers - 1)
    until(lambda: folder.starts()["waits"] > before["waits"])
    (folder.path / "open").touch()
    results = [ended(racer) for racer in racers]

    assert sorted(status for status, _, _ in results) == [0, *[3] * (drivers - 1)], results
    after = folder.starts()
    assert {name for name in after if after[name] != before[name]} == {"waits"}
    assert after["waits"] == before["waits"] + 1
    assert folder.query("SELECT count(*) FROM xcoms") == [(21,)]
    assert folder.run_state() == "succeeded"
    assert faults(folder.db) == []


@pytest.mark.parametrize("n", range(7))
def test_of_two_that_race_for_a_run_one_gets_it(script: Folder, n: int) -> None:
    race(script, 2)


@pytest.mark.parametrize("n", range(3))
def test_of_three_that_race_for_a_run_one_gets_it(script: Folder, n: int) -> None:
    race(script, 3)


@pytest.mark.soak
@pytest.mark.parametrize("n", range(50))
def test_of_two_or_three_that_race_fifty_times_one_gets_it(script: Folder, n: int) -> None:
    race(script, 2 + n % 2)


def test_of_three_that_begin_one_run_at_once_one_does(script: Folder) -> None:
    (script.path / "open").touch()
    results = [ended(p) for p in [script.python("flow.py") for _ in range(3)]]

    # Who comes while another drives it is refused; who comes later gets what it gave.
    assert {out for status, out, _ in results if status == 0} == {"190\n"}
    assert all("RunOwnedError" in err for status, _, err in results if status)
    assert set(script.starts().values()) == {1}
    assert script.query("SELECT count(*) FROM runs") == [(1,)]


def test_a_dead_drivers_run_is_taken_over_at_once(script: Folder) -> None:
    interrupted(script)
    (script.path / "open").touch()

    assert ended(script.liteflow("resume"))[0] == 0
    assert script.query("SELECT outcome, count(*) FROM attempts GROUP BY 1") == [("succeeded", 21)]


def frozen(folder: Folder) -> subprocess.Popen[str]:
    process = begun(folder)
    freeze(process)
    return process


def test_a_frozen_driver_keeps_its_run(script: Folder) -> None:
    process = frozen(script)
    assert ended(script.liteflow("resume", "r"))[0] == 3
    process.send_signal(signal.SIGCONT)
    (script.path / "open").touch()

    assert ended(process)[0] == 0


@pytest.mark.parametrize("how", ["cli", "script"])
def test_a_driver_whose_run_was_taken_over_while_it_was_frozen_commits_nothing_more(script, how) -> None:
    if how == "cli":
        process = begun(script)
    else:
        process = script.python("flow.py")
        until_it_waits(script)
    freeze(process)
    # As if the machine had been started anew: the only way to get at a run whose driver lives.
    change(script.db, "UPDATE session SET boot = 'an earlier one'")
    new = script.liteflow("resume", "r")
    until_it_waits(script, times=2)
    # It wakes, and what ran there ends while the new driver is at work.
    process.send_signal(signal.SIGCONT)
    status, out, err = ended(process)
    assert script.run_state() == "running"
    (script.path / "open").touch()

    if how == "cli":
        assert (status, out) == (3, "")
        assert len([line for line in err.splitlines() if line.startswith("liteflow:")]) == 1
    else:
        assert status == 1
    assert f"is driven by process {new.pid} on {os.uname().nodename} now" in err
    assert ended(new)[0] == 0
    assert script.run_state() == "succeeded"
    assert script.query("SELECT outcome, count(*) FROM attempts GROUP BY 1") == [("succeeded", 21)]
    until(lambda: not script.left())


MANY = """
@task
def step(n: int, before: int = 0) -> int:
    return n + before

@flow
def chains(start: int = 0):
    last = []
    for row in range(10):
        value = step(start + row)
        for n in range(3):
            value = step(n, value)
        last.append(value)
    return last

if __name__ == "__main__":
    start = int(sys.argv[1])
    for n in range(3):
        assert chains.run(start=start, run_id=f"{start}-{n}").result == [start + row + 3 for row in range(10)]
"""


def test_six_drivers_with_forty_tasks_each_share_one_file(folder: Folder) -> None:
    folder.write(MANY)
    for driver in [folder.python("flow.py", str(n)) for n in range(6)]:
        done(driver)
    # Before we look: that would leave some beside it.
    assert [path.name for path in folder.path.glob("liteflow.db*")] == ["liteflow.db"]

    assert folder.query("SELECT state, count(*) FROM runs GROUP BY 1") == [("succeeded", 18)]
    assert folder.query("SELECT state, count(*) FROM tasks GROUP BY 1") == [("succeeded", 18 * 40)]
    assert folder.query("SELECT count(*), count(DISTINCT run_id || key) FROM xcoms") == [(720, 720)]
    assert faults(folder.db) == []


def test_threads_of_one_program_run_flows_on_one_file(folder: Folder) -> None:
    folder.write(
        MANY.partition("if __name__")[0]
        + """
if __name__ == "__main__":
    handles = [chains.start(start=n) for n in range(4)]
    print([handle.result()[0] for handle in handles])
"""
    )

    assert done(folder.python("flow.py")) == "[3, 4, 5, 6]\n"
    assert folder.query("SELECT state, count(*) FROM tasks GROUP BY 1") == [("succeeded", 160)]
    assert faults(folder.db) == []


def test_one_program_is_refused_a_run_that_it_drives_itself(folder: Folder) -> None:
    folder.write(
        SCRIPT.partition("if __name__")[0]
        + """
if __name__ == "__main__":
    from liteflow.errors import RunOwnedError
    handle = etl.start(run_id="r")
    while not (STARTS / "waits").exists():
        time.sleep(0.005)
    try:
        etl.run(run_id="r")
    except RunOwnedError as error:
        print(error.pid == os.getpid())
    Path("open").touch()
    print(handle.result(), etl.run(run_id="r").result)
"""
    )

    assert done(folder.python("flow.py")) == "True\n190 190\n"
