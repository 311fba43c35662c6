"""What differs from one operating system to the next: the ways of the others, tried on this one."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A process of its own: statuses of all its children are taken.
STATUSES = """
import os, signal, time
from liteflow.system import taken_status
{without}
told, children = [], {{}}
assert taken_status(told.append) is None
for how in (0, 7, -signal.SIGKILL):
    pid = os.fork()
    if not pid:
        if how < 0:
            os.kill(os.getpid(), -how)
        os._exit(how)
    children[pid] = how
found = {{}}
while len(found) < 3:
    ended = taken_status(told.append)
    if ended is not None:
        found[ended[0]] = ended[1]
assert found == children and sorted(told) == sorted(children)
assert taken_status(told.append) is None
"""

# The supervisor of the worker processes, which loses one of them.
POOL = """
import os
from pathlib import Path
from liteflow import Flow, task
from liteflow.executor.process import nursery
nursery._BOOT = {without!r} + nursery._BOOT

@task(retries=1)
def once(n):
    if not Path("died").exists():
        Path("died").touch()
        os._exit(3)
    return n

@task
def add(a, b):
    return a + b

if __name__ == "__main__":
    run = Flow("f", add(once(1), add(2, 3))).run(db="x.db")
    print(run.result, run.tasks["once"].attempts)
"""

SYSTEMS = {"this": "", "macOS before Python 3.13": "import os; del os.waitid; "}


def done(script, folder):
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is as it is")
@pytest.mark.parametrize("without", SYSTEMS.values(), ids=SYSTEMS)
def test_the_status_of_each_child_is_taken_once(tmp_path, without):
    done(STATUSES.format(without=without), tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is as it is")
@pytest.mark.parametrize("without", SYSTEMS.values(), ids=SYSTEMS)
def test_a_worker_that_dies_is_told_of(tmp_path, without):
    assert done(POOL.format(without=without), tmp_path) == "6 2\n"
