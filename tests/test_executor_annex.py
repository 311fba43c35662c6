"""Annexes: what lets calls be ended on a cluster, on a small one of threads that any machine has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.annexes import Threads
from support.drivers import until
from support.processes import gone

from liteflow import Flow, Run, task
from liteflow.task_types import Shell
from liteflow.testing import executor_suite

TestAnnex = executor_suite(Threads)


@pytest.fixture
def cluster() -> Iterator[Threads]:
    with Threads(1) as made:
        yield made


def run(expression: Any, executor: Any) -> Run[Any]:
    return Flow("f", expression).run(db=None, check=False, executor=executor)


@task
def process(_after: Any = None) -> int:
    return os.getpid()


def test_an_annex_serves_one_call_after_the_other(cluster):
    one, two = run([process(), process()], cluster).result

    assert one == two != os.getpid()


def test_a_call_finds_the_environment_of_its_worker_as_it_is_now(cluster, monkeypatch):
    @task
    def devices() -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    before = run(devices(), cluster).result
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")

    assert (before, run(devices(), cluster).result) == ("0", "3")


def test_of_calls_that_travel_together_the_one_that_dies_alone_is_charged(cluster):
    @task(retries=1)
    def some(n: int) -> int:
        if n == 250:
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    rows = run([some(n) for n in range(300)], cluster).tasks.values()

    assert max(cluster.jobs.sizes) > 1
    assert {row.key: row.attempts for row in rows if row.attempts != 1} == {"some-251": 2}
    assert {row.key for row in rows if row.state != "succeeded"} == {"some-251"}


def test_the_time_of_a_call_begins_with_the_call_not_with_its_process(cluster, monkeypatch, tmp_path):
    # A new annex is needed, and takes long to come up.
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(1.1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    began = time.monotonic()
    ended = run(task(abs, timeout=1.0)(-1), cluster)

    assert ended.result == 1
    assert time.monotonic() - began > 1.1


def test_what_a_call_has_started_ends_with_it(cluster, tmp_path):
    beats = tmp_path / "beats"

    def starts() -> None:
        subprocess.run(["sh", "-c", f"while :; do printf . >> {beats}; sleep 0.02; done"], check=True)

    # On a busy machine its time may be over before what it starts has begun: then it is given more.
    for timeout in (0.3, 1.0, 5.0, 20.0):
        ended = run(task(starts, timeout=timeout)(), cluster)
        assert "TimeoutError" in str(ended.tasks["starts"].error)
        if beats.exists():
            break

    size = beats.stat().st_size
    time.sleep(0.2)
    assert beats.stat().st_size <= size + 1


@pytest.mark.skipif(sys.platform != "linux", reason="a process finds its group in /proc")
def test_a_shell_command_is_in_the_group_of_its_annex_and_so_ends_with_it(cluster):
    def groups() -> tuple[int, str]:
        return os.getpid(), Shell(run="cut -d ' ' -f 5 /proc/$$/stat").run()

    annex, group = run(task(groups)(), cluster).result

    assert int(group) == annex


WORKER = """\
import os, sys, threading
from pathlib import Path
from liteflow import Flow, task
sys.path.insert(0, sys.argv[1])
from test_executor_annex import Threads

def hangs(path):
    import subprocess
    child = subprocess.Popen(["sleep", "3600"])
    with open(path, "w") as file:
        file.write(f"{os.getpid()} {child.pid}\\n")
    child.wait()

Flow("f", task(hangs)(sys.argv[2])).run(db=None, executor=Threads())
"""


@pytest.mark.parametrize("first", ["worker", "annex"])
def test_an_annex_and_what_its_call_has_started_end_with_its_worker_however_that_ends(first, tmp_path):
    script, begun = tmp_path / "worker.py", tmp_path / "begun"
    script.write_text(WORKER)
    with subprocess.Popen([sys.executable, script, Path(__file__).parent, begun]) as worker:
        until(lambda: begun.exists() and begun.read_text().endswith("\n"))
        pids = [int(pid) for pid in begun.read_text().split()]
        if first == "annex":
            # As Ray's workers do: they end their child, and then themselves.
            worker.send_signal(signal.SIGSTOP)
            os.kill(pids[0], signal.SIGKILL)
        worker.kill()

    assert gone(pids, 20.0)


def test_an_environment_in_which_no_process_starts_is_told(cluster, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("LITEFLOW_TEST", str(time.time_ns()))

    error = run(process(), cluster).tasks["process"].error

    assert "/nowhere/python" in error
