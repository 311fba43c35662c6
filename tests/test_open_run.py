"""A run is looked at by a program that does not drive it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from support.drivers import environment, kill, query, until

from liteflow import Flow, NextTask, Run, TaskOutput, open_run, task
from liteflow.errors import NoOutputError, NoSuchRunError, RunFailed, RunUnfinishedError, StoreMissingError

SCRIPT = """
import threading
from dataclasses import dataclass
from liteflow import Context, Flow, task

@dataclass
class Seen:
    n: int

@task
def first():
    return Seen(1)

@task(retries=1)
def talks(seen, context: Context):
    tries = context.update("tries", lambda n: n + 1, 0)
    yield tries, seen
    if tries == 1:
        raise ValueError("once")
    yield "last"
    threading.Event().wait()

Flow("talk", talks(first())).run(db="x.db", run_id="r")
"""


def test_another_process_sees_a_run_while_it_goes_on_and_when_its_driver_is_gone(tmp_path):
    db = tmp_path / "x.db"
    driver = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment(tmp_path), text=True
    )
    try:
        until(lambda: query(db, "SELECT 1 FROM runs"))
        run = open_run("r", db=db)
        until(lambda: "last" in values(run))

        assert (run.state, run.tasks["first"].state) == ("running", "succeeded")
        number, seen = values(run)[0]
        # The chunk of the attempt that failed is left out, though the later one has not ended.
        assert (number, seen.n, len(values(run))) == (2, 1, 2)
        assert open_run("talk", db=db).output("first").n == 1
        with pytest.raises(NoOutputError, match="has not succeeded yet"):
            run.output("talks")
        with pytest.raises(RunUnfinishedError, match="no result yet"):
            _ = run.result
    finally:
        kill(driver)

    gone = open_run(db=db)
    assert (gone.state, values(gone)[1:]) == ("interrupted", ["last"])
    with pytest.raises(RunUnfinishedError, match="liteflow resume r --db"):
        _ = gone.result


def values(run: Run[Any]) -> list[Any]:
    """What it has streamed so far."""
    return [chunk.value for chunk in run.chunks("talks")]


def test_a_run_that_has_ended_is_as_it_was_given(tmp_path, monkeypatch):
    @task
    def half(n: int) -> float:
        return 1 / n

    monkeypatch.setenv("LITEFLOW_DB", str(tmp_path / "x.db"))
    Flow("good", [half(2), half(4)]).run(executor="inline")
    bad = Flow("bad", half(0)).run(executor="inline", check=False)
    routed = Flow("routed")
    routed.add_task("a", lambda _: TaskOutput(1, [NextTask("b")]))
    routed.add_task("b", lambda _: TaskOutput(2))
    routed.run("a")

    assert open_run("good").result == [0.5, 0.25]
    assert open_run() == {"b": 2}
    again = open_run(bad.id[:6])
    assert (again.id, again.state) == (bad.id, "failed")
    with pytest.raises(RunFailed) as failed:
        _ = again.result
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(StoreMissingError):
        open_run(db=tmp_path / "none.db")
    Flow("f", task(abs)(-1)).run(db=tmp_path / "x.db", executor="inline")

    with pytest.raises(NoSuchRunError, match="there is no run 'nobody'"):
        open_run("nobody", db=tmp_path / "x.db")


@pytest.mark.parametrize("on_error", ["collect", "skip"])
def test_what_a_map_has_collected_is_no_failure_of_a_run_from_the_store_either(on_error, tmp_path):
    def odd(n: int) -> int:
        raise ValueError(f"{n} is not odd")

    db = tmp_path / "runs.db"
    expression = [task(odd).map([2, 4], on_error=on_error), task(odd, name="last")(6)]
    run = Flow("f", expression).run(db=db, executor="inline", check=False)

    assert open_run(db=db).failure.failures == run.failure.failures == {"last": "ValueError: 6 is not odd"}
