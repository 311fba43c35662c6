"""What liteflow gives to the tests of others: runs in one place, no waiting, a store of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from liteflow import Context, Flow, task
from liteflow.testing import inline, no_waiting

ROOT = Path(__file__).resolve().parent.parent


@task(executor="process")
def process() -> int:
    return os.getpid()


@task
async def thread() -> str:
    return threading.current_thread().name


@task(retries=3, retry_delay=3600, executor="thread")
def third_time(context: Context) -> int:
    times: int = context.update("times", lambda n: n + 1, 0)
    if times < 3:
        raise OSError("not yet")
    return times


def test_inline_all_tasks_run_in_the_callers_thread_whatever_names_another_place():
    here = Flow("f", [process(), thread()], executor="process")

    with inline():
        assert here.run(db=None).result == [os.getpid(), threading.current_thread().name]
        assert here.run(db=None, executor="thread").result[0] == os.getpid()


def test_after_inline_all_is_as_it_was_whatever_happened():
    with pytest.raises(KeyError), inline(), inline():
        raise KeyError

    assert Flow("f", thread()).run(db=None).result != threading.current_thread().name


def test_without_waiting_attempts_follow_at_once_and_the_delays_are_told():
    with no_waiting() as outer, no_waiting() as inner:
        assert Flow("f", third_time()).run(db=None).result == 3

    assert inner == outer == [3600, 3600]
    assert third_time.policy.delay_before(2, lambda: 0.0) == 3600


TESTS = """\
import os
from pathlib import Path
from liteflow import Flow, task

@task(retries=1, retry_delay=3600)
def fails():
    raise OSError(os.getpid())

def test_a_flow(liteflow_store, liteflow_inline, liteflow_no_waiting):
    run = Flow("f", fails()).run(check=False)
    assert str(os.getpid()) in run.tasks["fails"].error
    assert liteflow_no_waiting == [3600]
    assert liteflow_store.exists() and not Path("liteflow.db").exists()

def test_another(liteflow_store):
    assert not liteflow_store.exists()
"""


def test_the_fixtures_are_there_for_tests_of_others_and_load_nothing_before_they_are_used(tmp_path):
    (tmp_path / "test_f.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(
        "import sys\ndef pytest_configure():\n    assert 'liteflow.policy' not in sys.modules\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "liteflow.testing.plugin"]

    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
