"""Commands that run on threads, inline or on an event loop end with the driver, by whatever hand it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from support.drivers import Folder, ended, kill, until
from support.processes import gone, parent_of, programs

from liteflow import Flow, task
from liteflow.executor.watched import _BOOT, _ROOT, Watched
from liteflow.executor.watcher import SIZE, STARTING, Page
from liteflow.system import anonymous_file
from liteflow.task_types import Shell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

FILE = """
workflow_name: lasting
tasks:
  shell: {run: "sleep 1000 & echo $$ >> pids; wait"}
  program: {run: [sh, -c, "echo $$ >> pids; exec sleep 1000"]}
  silent: {run: "exec > /dev/null 2>&1; echo $$ >> pids; sleep 1000", depends_on: []}
"""

SCRIPT = """
import threading
from liteflow.task_types import Shell

def said(command):
    return Shell(run=command).run()

def started(command):
    thread = threading.Thread(target=said, args=(command,), daemon=True)
    thread.start()
    return thread

"""


def commands(folder: Folder) -> list[int]:
    """The commands that have begun: each writes its process id in one step."""
    pids = folder.path / "pids"
    return [int(line) for line in pids.read_text().splitlines()] if pids.exists() else []


def watchers(folder: Folder, driver: subprocess.Popen[str]) -> set[int]:
    """The watchers that are up: what has forked them is the driver's child, they are not."""
    named = [pid for pid, line in programs(str(folder.path)).items() if "executor.watcher" in line]
    return {pid for pid in named if parent_of(pid) not in (None, driver.pid)}


def all_are_gone(folder: Folder) -> bool:
    return not folder.left()


# With its group: as a terminal does that is closed, or whoever means well.
@pytest.mark.parametrize(
    "mode, count, killed", [("thread", 3, os.killpg), ("async", 3, os.kill), ("inline", 1, os.kill)]
)
def test_when_the_driver_is_killed_its_commands_and_their_children_end(
    mode: str, count: int, killed: Callable[[int, int], None], folder: Folder
) -> None:
    (folder.path / "w.yaml").write_text(FILE)
    words = ["run", "w.yaml", "--executor", mode, "--max-workers", "4"]
    driver = folder.liteflow(*words, own_session=True)
    until(lambda: len(commands(folder)) == count)
    until(lambda: watchers(folder, driver))

    killed(driver.pid, signal.SIGKILL)
    driver.communicate()

    until(lambda: all_are_gone(folder))


def test_a_child_that_the_driver_has_forked_and_that_lives_on_keeps_no_command_alive(folder: Folder) -> None:
    folder.write(
        SCRIPT + "started('echo $$ >> pids; sleep 1000')\n"
        "while not Path('forks').exists(): time.sleep(0.005)\n"
        "child = os.fork()\n"
        "if child: Path('child.new').write_text(str(child)); os.rename('child.new', 'child')\n"
        "time.sleep(1000)\n"
    )
    driver = folder.script("flow.py")
    until(lambda: watchers(folder, driver))
    (folder.path / "forks").touch()
    until((folder.path / "child").exists)
    child = int((folder.path / "child").read_text())

    driver.send_signal(signal.SIGKILL)

    try:
        until(lambda: all_are_gone(folder))
        assert not gone([child], 0)
    finally:
        os.kill(child, signal.SIGKILL)
        driver.communicate()


def test_a_forked_child_that_ends_leaves_its_parents_commands_alone(folder: Folder) -> None:
    folder.write(
        SCRIPT + "thread = started('touch begun; until [ -e go ]; do sleep 0.01; done; touch well')\n"
        "while not Path('begun').exists(): time.sleep(0.005)\n"
        # Newer Pythons warn of threads that a child does not have.
        "import warnings; warnings.simplefilter('ignore'); child = os.fork()\n"
        "if not child: sys.exit(len(said('exit 0')))\n"
        "os.waitpid(child, 0); Path('go').touch(); thread.join()\n"
    )

    status, _, err = ended(folder.script("flow.py"))

    assert (status, err) == (0, "")
    assert (folder.path / "well").exists()


def test_a_driver_that_ends_well_leaves_neither_a_watcher_nor_a_word(folder: Folder) -> None:
    folder.write(
        SCRIPT + "thread = started('until [ -e go ]; do sleep 0.01; done')\n"
        "while not Path('go').exists(): time.sleep(0.005)\n"
        "thread.join()\n"
        "try:\n    while True: os.wait()\n"
        "except ChildProcessError: print('no child')\n"
    )
    driver = folder.python("-X", "dev", "-W", "error", "flow.py")
    until(lambda: watchers(folder, driver))
    (folder.path / "go").touch()

    assert ended(driver) == (0, "no child\n", "")
    until(lambda: all_are_gone(folder))


def test_a_watcher_that_is_killed_is_followed_by_another(folder: Folder) -> None:
    folder.write(SCRIPT + "said('sleep 1000')\n")
    driver = folder.script("flow.py")
    (first,) = until(lambda: watchers(folder, driver))
    os.kill(first, signal.SIGKILL)
    until(lambda: watchers(folder, driver) - {first})

    kill(driver)

    until(lambda: all_are_gone(folder))


def test_where_no_watcher_can_be_started_commands_run_all_the_same_and_it_is_told_once(
    folder: Folder,
) -> None:
    folder.write(
        SCRIPT + "sys.executable = '/nowhere/python'\n"
        "said('until [ -e told ]; do sleep 0.01; done; echo done')\n"
    )
    driver = folder.script("flow.py")
    assert driver.stderr is not None
    line = driver.stderr.readline()
    (folder.path / "told").touch()

    status, out, rest = ended(driver)

    assert "if this program is killed, its commands go on: no watcher comes up: " in line
    assert "/nowhere/python" in line
    assert (status, out, rest) == (0, "done\n", "")


@pytest.mark.parametrize("told", ["by its pipe", "by the system"])
def test_a_number_that_is_another_processes_by_now_is_left_alone(told: str) -> None:
    descriptor = anonymous_file("test")
    os.ftruncate(descriptor, SIZE)
    reading, lifeline = os.pipe()
    driver = subprocess.Popen(["sleep", "1000"])
    ours = subprocess.Popen(["sleep", "1000"], process_group=0)
    # As if it had been given the number of one of ours, which has ended.
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    for place, group in enumerate([STARTING, other.pid, ours.pid]):
        Page(descriptor).put(place, group)
    numbers = {"lifeline": reading, "page": descriptor, "process": driver.pid, "session": os.getsid(0)}
    try:
        boot = _BOOT.format(root=_ROOT, **numbers)
        subprocess.run([sys.executable, "-c", boot], pass_fds=(reading, descriptor), check=True)
        assert (ours.poll(), other.poll()) == (None, None)

        if told == "by its pipe":
            os.close(lifeline)
        else:
            driver.kill()

        assert ours.wait(20) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (driver, ours, other):
            process.kill()
            process.wait()
        if told == "by the system":
            os.close(lifeline)
        os.close(reading)
        os.close(descriptor)


def test_what_has_left_its_place_is_not_ended_with_the_program_and_the_place_is_taken_again() -> None:
    groups = Watched()
    left, here = (subprocess.Popen(["sleep", "1000"], process_group=0) for _ in range(2))
    try:
        first, second = groups.enter(), groups.enter()
        groups.started(first, left.pid)
        groups.started(second, here.pid)
        groups.leave(first)

        groups.end()

        assert here.wait(20) == -signal.SIGKILL
        assert left.poll() is None
        groups.leave(second)
        assert {groups.enter(), groups.enter()} == {first, second}
    finally:
        for process in (left, here):
            process.kill()
            process.wait()
        for place in (first, second):
            groups.leave(place)
        groups.forget()


def test_in_a_worker_process_a_command_is_in_the_workers_group_which_the_pool_ends() -> None:
    def groups() -> tuple[int, str]:
        return os.getpid(), Shell(run="cut -d ' ' -f 5 /proc/$$/stat").run()

    worker, group = Flow("f", task(groups)()).run(db=None).result

    assert int(group) == worker
