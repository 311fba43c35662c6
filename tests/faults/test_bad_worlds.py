"""A machine that gives less than is asked for: fewer workers and a note, or a clear error; never a hang."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.processes import gone

FLOW = """
    import os, sys, time, warnings
    from liteflow import Flow, LiteflowError, Task

    def slow(n):
        time.sleep(0.05)
        return n, os.getpid()

    flow = Flow("flow", [Task(slow, "slow")(n) for n in range(20)])
    try:
        run = flow.run(db=None, max_workers=8)
    except LiteflowError as error:
        print("error:", error)
    else:
        assert [n for n, _ in run.result] == list(range(20))
        print("workers:", len({pid for _, pid in run.result}))
"""


def script(
    tmp_path: Path, source: str, *, site: str = "", before: str = "", prefix: tuple[str, ...] = ()
) -> str:
    """What a script prints, stderr included; `site` is run at the start of every Python process."""
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(site))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*prefix, sys.executable, "-c", textwrap.dedent(before) + textwrap.dedent(source)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


FORKS = """
    import os, sys
    really, made = os.fork, []
    def fork():
        if len(made) >= {most}:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        made.append(1)
        return really()
    os.fork = fork
"""


def test_with_room_for_two_processes_a_run_goes_on_with_two_workers_and_says_so(tmp_path: Path) -> None:
    said = script(tmp_path, FLOW, site=FORKS.format(most=2))

    assert "workers: 2" in said
    note = "not all of 8 worker processes can be started: Resource temporarily unavailable"
    assert said.count(note) == 1


def test_with_room_for_no_process_the_error_says_why(tmp_path: Path) -> None:
    said = script(tmp_path, FLOW, site=FORKS.format(most=0))

    assert "error: worker processes" in said
    assert "Resource temporarily unavailable" in said
    assert "Traceback" not in said


def test_where_not_even_a_supervisor_can_be_started_the_error_says_why(tmp_path: Path) -> None:
    site = """
        import _posixsubprocess
        def fork_exec(*args):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        _posixsubprocess.fork_exec = fork_exec
    """
    said = script(tmp_path, FLOW, site=site)

    assert "error: worker processes" in said
    assert "Resource temporarily unavailable" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("most", [8, 12, 16, 24, 32, 48, 64])
def test_with_few_descriptors_there_are_fewer_workers_or_an_error_says_why(tmp_path: Path, most: int) -> None:
    before = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))\n"
    imports = "import sqlite3, cloudpickle, liteflow.flow, liteflow.launch, liteflow.executor.process.pool\n"

    said = script(tmp_path, FLOW, before=imports + before)

    if most < 24:
        assert "Too many open files" in said or "open files" in said
    else:
        assert "workers: " in said
        assert "workers: 8" in said or "not all of 8 worker processes can be started: Too many" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="the limit does not hold for root")
def test_with_a_limit_on_processes_there_are_fewer_workers_or_an_error_says_why(tmp_path: Path) -> None:
    before = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n"

    assert "error: worker processes" in script(tmp_path, FLOW, before=before)


def test_without_pidfd_nothing_is_missed(tmp_path: Path) -> None:
    said = script(tmp_path, FLOW, site="import os\ndel os.pidfd_open\n")

    assert said.startswith("workers: ")


def test_without_pidfd_the_supervisor_of_a_killed_driver_ends_though_a_child_holds_its_socket(
    tmp_path: Path,
) -> None:
    source = """
        import os, signal, threading, time
        from liteflow import Flow, Task

        def busy():
            with open(PATH, "w") as file:
                print(os.getppid(), os.getpid(), file=file)
            os.rename(PATH, PATH + ".done")
            time.sleep(1000)

        def fork_and_die():
            while not os.path.exists(PATH + ".done"):
                time.sleep(0.01)
            if os.fork() == 0:
                time.sleep(8)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=fork_and_die).start()
        Flow("busy", Task(busy, "busy")()).run(db=None)
    """
    path = str(tmp_path / "pids")
    (tmp_path / "sitecustomize.py").write_text("import os\ndel os.pidfd_open\n")
    subprocess.run(
        [sys.executable, "-c", f"PATH = {path!r}\n" + textwrap.dedent(source)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
        check=False,
    )
    pids = [int(pid) for pid in Path(path + ".done").read_text().split()]

    assert gone(pids, 3.0)


def test_without_proc_runs_work_and_children_in_the_workers_group_are_ended(tmp_path: Path) -> None:
    source = (
        FLOW
        + """
    def leaves():
        import subprocess
        return subprocess.Popen(["sleep", "1000"]).pid

    pid = Flow("leaves", Task(leaves, "leaves")()).run(db=None).result
    until = time.monotonic() + 2
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            print("gone")
            break
        time.sleep(0.01)
    assert not os.listdir("/proc")
    print("no proc")
    """
    )
    hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
    try:
        subprocess.run([*hidden, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to hide /proc")

    said = script(tmp_path, source, prefix=hidden)

    assert "workers: " in said
    assert "gone" in said
    assert "no proc" in said


def test_a_worker_that_can_do_nothing_at_all_is_not_started_for_ever(tmp_path: Path) -> None:
    site = """
        import os, sys
        if any("supervisor" in arg for arg in sys.orig_argv):
            import liteflow.executor.process.worker as worker
            def receive(self):
                raise RuntimeError("it reads nothing")
            worker._Worker._receive = receive
    """
    said = script(tmp_path, FLOW, site=site)

    assert "error: worker processes" in said
    assert "it reads nothing" in said
