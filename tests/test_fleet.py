"""The benchmarks' simulated workers: a thousand at once, with outcomes as of real ones."""

from __future__ import annotations

import pytest

from benchmarks import simulated
from benchmarks.fleet import Fleet
from liteflow import Flow, task


@task
def double(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("shape", ["fan_out", "layered", "mapped", "long"])
def test_a_thousand_simulated_workers_are_at_work_at_once(shape, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    seen = simulated.SHAPES[shape](2000)

    assert seen["tasks"] >= 2000
    assert seen["at_once"] == 1000
    assert (tmp_path / "liteflow.db").exists()


def test_calls_last_as_long_as_the_clock_of_their_fleet_says(tmp_path):
    fleet = Fleet(3, lasts=lambda _node: 3600.0)

    run = Flow("f", [double(n) for n in range(7)]).run(db=tmp_path / "f.db", executor=fleet)

    assert run.result == [0, 2, 4, 6, 8, 10, 12]
    assert fleet.clock_s == 3 * 3600
    assert fleet.busy_s == 7 * 3600
    times = [(row.started_at, row.ended_at) for row in run.tasks.values()]
    assert [round(ended - started) for started, ended in times] == [3600] * 7


def test_what_fails_or_prints_on_a_fleet_does_so_as_anywhere():
    def fails(number: int) -> None:
        print("so far", number)
        raise ValueError(f"no {number}")

    run = Flow("f", task(fails, retries=1)(5)).run(db=None, executor=Fleet(), check=False)

    assert run.tasks["fails"].state == "failed"
    assert run.tasks["fails"].attempts == 2
    assert "ValueError: no 5" in run.tasks["fails"].error
    assert [line.line for line in run.logs("fails") if line.stream == "stdout"] == ["so far 5"] * 2
