"""Ctrl-C, SIGTERM and SIGHUP: the run is cancelled, what had finished is kept, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

import pytest
from support.drivers import Folder, done, ended, faults, until

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
ALL = pytest.mark.parametrize("number", STATUS, ids=[number.name for number in STATUS])

SCRIPT = """
import signal, subprocess

@task
def quick() -> int:
    note("quick")
    return 1

@task
def busy(x: int) -> int:
    note("busy")
    if Path("open").exists():
        return x
    subprocess.run(["sleep", "1000"])
    return x

@task
def deaf(x: int) -> int:
    for number in range(1, 30):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    note("deaf")
    while not Path("open").exists():
        try:
            time.sleep(1000)
        except BaseException:
            pass
    return x

@flow(grace=0.3)
def runs_busy():
    return busy(quick())

@flow(grace=0.3)
def runs_deaf():
    return deaf(quick())

@flow(grace=1000)
def patient():
    return deaf(quick())

# Here a program begins that may be asked to end; what was before is Python's own time.
note("run")
if __name__ == "__main__":
    globals()[sys.argv[1]].run()
    print("went on")
"""


@pytest.fixture
def script(folder: Folder) -> Folder:
    folder.write(SCRIPT)
    return folder


def begin(folder: Folder, how: str, flow: str, **options: Any) -> subprocess.Popen[str]:
    """Start a run in a group of its own, as a shell does for what is in the foreground."""
    if how == "forked":
        return folder.liteflow("run", f"flow.py:{flow}", own_session=True)
    options = {"start_new_session": True} | options
    if how == "cli":
        return folder.new_liteflow("run", f"flow.py:{flow}", **options)
    return folder.python("flow.py", flow, **options)


def until_it_waits(folder: Folder) -> None:
    until(lambda: folder.starts().keys() & {"busy", "deaf"} and folder.states().get("quick") == "succeeded")


def assert_ended_well(folder: Folder, process: subprocess.Popen[str], number: int) -> str:
    status, out, err = ended(process)
    assert status == STATUS[signal.Signals(number)], err
    assert "Traceback" not in out + err, err
    assert "went on" not in out
    until(lambda: not folder.left())
    return err


@ALL
@pytest.mark.parametrize(
    ("how", "flow"),
    [("cli", "runs_busy"), ("forked", "runs_deaf"), ("script", "runs_deaf")],
)
def test_a_signal_cancels_the_run_and_keeps_what_had_finished(script, how, flow, number) -> None:
    process = begin(script, how, flow)
    until_it_waits(script)
    # A terminal sends it to the whole group.
    os.killpg(process.pid, number)
    err = assert_ended_well(script, process, number)

    assert script.run_state() == "cancelled"
    assert script.states()["quick"] == "succeeded"
    assert set(script.states().values()) == {"succeeded", "cancelled"}
    assert "go on with: liteflow resume" in err
    (script.path / "open").touch()
    assert ended(script.liteflow("resume"))[0] == 0
    assert script.run_state() == "succeeded"
    assert script.starts()["quick"] == 1
    assert faults(script.db) == []


@ALL
@pytest.mark.parametrize("how", ["cli", "script"])
def test_a_signal_in_the_first_moments_ends_it_as_quietly(script, how, number) -> None:
    for n, moment in enumerate((0.003, 0.03, 0.1)):
        process = begin(script, how, "runs_busy")
        until(lambda n=n: script.starts().get("run", 0) > n)
        time.sleep(moment)
        os.killpg(process.pid, number)
        status, _out, err = ended(process)

        assert status in (-number, STATUS[number]), err
        assert "Traceback" not in err, err
        assert {state for (state,) in script.query("SELECT state FROM runs")} <= {"cancelled"}
    until(lambda: not script.left())


@pytest.mark.parametrize("how", ["cli", "script"])
def test_a_second_ctrl_c_ends_at_once(script, how) -> None:
    process = begin(script, how, "patient")
    until_it_waits(script)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert_ended_well(script, process, signal.SIGINT)

    assert time.monotonic() - began < 60
    assert script.run_state() == "cancelled"


@pytest.mark.parametrize("how", ["cli", "script"])
def test_under_nohup_a_hang_up_changes_nothing(script, how) -> None:
    process = begin(script, how, "runs_busy", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until_it_waits(script)
    os.killpg(process.pid, signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    assert script.run_state() == "running"
    process.send_signal(signal.SIGTERM)
    assert_ended_well(script, process, signal.SIGTERM)


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_a_program_may_catch_it_and_go_on(folder, executor) -> None:
    folder.write(
        """
@task
def waits() -> None:
    note("waits")
    time.sleep(2 if sys.argv[1] == "thread" else 1000)

if __name__ == "__main__":
    try:
        Flow("waits", waits()).run(executor=sys.argv[1], grace=0.2)
    except KeyboardInterrupt as stop:
        import signal
        print("caught", stop, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""
    )
    process = folder.python("flow.py", executor)
    until(folder.starts)
    process.send_signal(signal.SIGTERM)

    assert done(process) == "caught ended by SIGTERM True\n"
    assert folder.run_state() == "cancelled"


def test_a_program_with_a_handler_of_its_own_keeps_it(folder) -> None:
    folder.write(
        """
import signal

@task
def waits() -> int:
    note("waits")
    while not Path("open").exists():
        time.sleep(0.01)
    return 1

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: Path("open").touch())
    print(Flow("waits", waits()).run().result)
"""
    )
    process = folder.python("flow.py")
    until(folder.starts)
    process.send_signal(signal.SIGTERM)

    assert done(process) == "1\n"


# --- runs in the background ------------------------------------------------------------------

BACKGROUND = """
@task
def quick() -> int:
    note("quick")
    return 1

@task
def waits(x: int) -> int:
    note("waits")
    if not Path("open").exists():
        time.sleep(1000)
    return x

@flow(grace=0.3)
def etl():
    return waits(quick())

def until(holds):
    while not holds():
        time.sleep(0.005)

if __name__ == "__main__":
    handle = etl.start(run_id="r")
    until((STARTS / "waits").exists)
"""


def test_a_handle_cancels_its_run_and_what_had_finished_is_kept(folder) -> None:
    folder.write(
        BACKGROUND
        + """
    from liteflow.errors import RunCancelled
    print(handle.done, handle.state)
    handle.cancel()
    run = handle.wait(10)
    print(run.state, handle.done, run.output("quick"))
    try:
        handle.result()
    except RunCancelled as error:
        print(error)
    handle.cancel()
    Path("open").touch()
    print(etl.run(run_id="r").result)
"""
    )
    out = done(folder.python("flow.py"))

    assert out.splitlines()[:2] == ["False running", "cancelled True 1"]
    assert "run r of etl was cancelled; what had finished is kept, go on with: liteflow resume r" in out
    assert out.endswith("\n1\n")
    assert folder.starts() == {"quick": 1, "waits": 2}


def test_a_program_that_ends_while_a_run_goes_on_cancels_it(folder) -> None:
    folder.write(BACKGROUND + "    print('over')\n")
    began = time.monotonic()
    status, out, err = ended(folder.python("flow.py"))

    assert (status, out) == (0, "over\n")
    assert "Traceback" not in err, err
    assert time.monotonic() - began < 60
    assert folder.run_state() == "cancelled"
    assert folder.states() == {"quick": "succeeded", "waits": "cancelled"}
    until(lambda: not folder.left())


def test_ctrl_c_while_a_program_waits_for_a_handle_ends_both(folder) -> None:
    folder.write(BACKGROUND + "    handle.wait()\n")
    process = folder.python("flow.py")
    until(lambda: folder.starts().get("waits"))
    process.send_signal(signal.SIGINT)
    status, _out, err = ended(process)

    # The wait is the program's own, and so is its KeyboardInterrupt.
    assert status in (130, -signal.SIGINT)
    assert "KeyboardInterrupt" in err
    assert folder.run_state() == "cancelled"
    until(lambda: not folder.left())


def test_a_wait_with_a_limit_leaves_the_run_alone(folder) -> None:
    folder.write(
        BACKGROUND
        + """
    try:
        handle.wait(0.05)
    except TimeoutError as error:
        print(error, handle.state)
    handle.cancel()
    handle.wait()
"""
    )

    assert done(folder.python("flow.py")) == "run r has not ended within 0.05 s; it goes on running\n"


def test_a_run_takes_no_longer_than_its_timeout_and_can_be_resumed(folder) -> None:
    folder.write(
        BACKGROUND.partition("if __name__")[0]
        + """
if __name__ == "__main__":
    began = time.monotonic()
    run = etl.run(run_id="r", timeout=1.0, check=False)
    print(run.state, type(run.failure).__name__, time.monotonic() - began < 60)
    Path("open").touch()
    print(etl.resume().result)
"""
    )

    assert done(folder.python("flow.py")) == "failed RunTimeoutError True\n1\n"
    assert folder.starts() == {"quick": 1, "waits": 2}


def test_many_signals_of_all_kinds_in_a_moment_still_end_it_well(script) -> None:
    process = begin(script, "script", "runs_deaf")
    until_it_waits(script)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT) * 5:
        process.send_signal(number)
    status, _out, err = ended(process)

    assert status in STATUS.values()
    assert "Traceback" not in err, err
    assert script.run_state() == "cancelled"
    until(lambda: not script.left())
