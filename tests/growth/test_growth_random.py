"""Random growing graphs give what plain evaluation gives, on any executor, killed and resumed or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support import growing
from support.growing import DEADLY, LOG, Program, Reckoning, flow_of, programs

from liteflow.store.history import History

ANY_HEALTH = list(HealthCheck)


def reckoned(made: list[Program]) -> tuple[list[int | None], Reckoning]:
    reckoning = Reckoning()
    return [reckoning.value_of(program) for program in made], reckoning


def check(run: Any, made: list[Program]) -> None:
    """The run has come to what plain evaluation comes to."""
    values, reckoning = reckoned(made)
    failures = run.failure.failures if run.failure is not None else {}
    assert {error.removeprefix("ValueError: ") for error in failures.values()} == reckoning.failed
    assert run.state == ("failed" if reckoning.failed else "succeeded")
    assert run.output("report") == values
    ended = {"succeeded", "failed", "skipped", "upstream_failed"}
    assert {row.state for row in run.tasks.values()} <= ended


@pytest.mark.parametrize("executor, examples", [("inline", 40), ("thread", 12), ("process", 6)])
def test_a_random_growing_graph_gives_what_plain_evaluation_gives(executor: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=ANY_HEALTH)
    @given(programs())
    def run(made: list[Program]) -> None:
        check(flow_of(made).run(db=None, executor=executor, max_workers=2, check=False), made)

    run()


@pytest.mark.soak
@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_many_large_random_growing_graphs(executor: str) -> None:
    @settings(max_examples=1000, deadline=None, suppress_health_check=ANY_HEALTH)
    @given(programs(most=60))
    def run(made: list[Program]) -> None:
        check(flow_of(made).run(db=None, executor=executor, max_workers=2, check=False), made)

    run()


# --- killed and resumed --------------------------------------------------------------------


def drive_until_killed(made: list[Program], db: Path, log: Path, after: int, how: tuple[str, str]) -> int:
    """Run a program in a process of its own, which the n-th attempt kills; give how it ended."""
    env = {**os.environ, LOG: str(log), DEADLY: str(after)}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    ended = subprocess.run(
        [sys.executable, growing.__file__, str(db), *how],
        input=json.dumps(made),
        text=True,
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode


def committed(db: Path) -> tuple[dict[str, Any], set[str]]:
    """The rows of what the store says has succeeded, and the names of the programs that they are of."""
    if not db.exists():
        return {}, set()
    with History(db) as history:
        if not history.runs():
            return {}, set()
        rows = {row.key: row for row in history.tasks("a") if row.state == "succeeded"}
        names = {line.line.strip() for line in history.logs("a") if line.key in rows}
    return rows, names


def check_killed_and_resumed(
    made: list[Program], where: Path, after: list[int], how: tuple[str, str]
) -> None:
    # As it reaches the other process: what is a tuple here would be another argument there.
    made = json.loads(json.dumps(made))
    db, log = where / "run.db", where / "log"
    kept: dict[str, Any] = {}
    done: dict[str, int] = {}
    for number in after:
        seen = len(log.read_text().splitlines()) if log.exists() else 0
        killed = drive_until_killed(made, db, log, seen + number, how)
        rows, names = committed(db)
        assert kept.items() <= rows.items(), "a result was lost, or made again"
        kept = rows
        # How often each has run by the time that its result is there.
        ran = Counter(log.read_text().splitlines())
        done = {name: done.get(name, ran[name]) for name in names}
        if killed == 0:
            # It has failed, then, and is tried again: with what had its Failure.
            kept, done = {}, {}
            break

    run = flow_of(made).run(db=db, executor=how[0], durability=how[1], run_id="a", max_workers=2, check=False)

    check(run, made)
    assert kept.items() <= committed(db)[0].items()
    ran = Counter(log.read_text().splitlines())
    assert {name: ran[name] for name in done} == done
    assert set(ran) == reckoned(made)[1].ran


HOW = st.tuples(st.sampled_from(["inline", "thread", "process"]), st.sampled_from(["normal", "full"]))


def soaked(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    # Without shrinking: each example is some processes.
    @settings(max_examples=examples, deadline=None, suppress_health_check=ANY_HEALTH, phases=[Phase.generate])
    @given(programs(), st.lists(st.integers(1, 15), min_size=1, max_size=3), HOW)
    def run(made: list[Program], after: list[int], how: tuple[str, str]) -> None:
        where = tmp_path_factory.mktemp("killed")
        monkeypatch.setenv(LOG, str(where / "log"))
        check_killed_and_resumed(made, where, after, how)

    run()


def test_a_growing_run_whose_driver_is_killed_goes_on_and_does_nothing_twice(tmp_path_factory, monkeypatch):
    soaked(tmp_path_factory, monkeypatch, 3)


@pytest.mark.soak
def test_many_growing_runs_whose_drivers_are_killed(tmp_path_factory, monkeypatch):
    soaked(tmp_path_factory, monkeypatch, 500)
