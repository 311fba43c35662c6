"""Workers killed at random under load: each kill costs at most the attempt that ran in it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from support.processes import children_of, workers_of

from liteflow import Flow, Task


class Killer(threading.Thread):
    """Kills a worker now and then, at most so often; `kills` counts those that were there to be killed."""

    def __init__(self, most: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.kills = 0
        self.over = threading.Event()
        self._most, self._random = most, random.Random(seed)

    def run(self) -> None:
        while self.kills < self._most and not self.over.wait(self._random.uniform(0.0, 0.03)):
            if workers := workers_of(os.getpid()):
                try:
                    os.kill(self._random.choice(workers), signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.kills += 1


@pytest.mark.parametrize(
    "tasks, kills, workers", [(80, 20, 2), pytest.param(400, 100, 4, marks=pytest.mark.soak)]
)
def test_workers_killed_at_random_cost_at_most_an_attempt_each(
    tasks: int, kills: int, workers: int, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"

    def work(n: int) -> int:
        # O_APPEND: whole lines, whoever writes.
        with starts.open("a") as file:
            file.write(f"{n}\n")
        time.sleep(0.004 * (n % 10))
        return n * n

    # No delay: by default a retry would wait.
    task = Task(work, "work").options(retries=kills, retry_delay=0)
    killer = Killer(kills, seed=tasks)
    killer.start()

    run = Flow("chaos", [task(n) for n in range(tasks)]).run(db=tmp_path / "x.db", max_workers=workers)
    killer.over.set()
    killer.join()

    assert run.result == [n * n for n in range(tasks)]
    started = starts.read_text().split()
    assert set(started) == {str(n) for n in range(tasks)}
    assert len(started) - tasks <= killer.kills
    assert sum(row.attempts - 1 for row in run.tasks.values()) <= killer.kills
    assert killer.kills >= kills / 2


def test_killing_an_idle_worker_costs_nothing(tmp_path: Path) -> None:

    def siblings(_before: object = None) -> list[int]:
        time.sleep(0.2)
        return [pid for pid in children_of(os.getppid()) if pid != os.getpid()]

    def kill(before: list[list[int]]) -> int:
        others = siblings()
        assert set(others) < {pid for found in before for pid in found}
        for pid in others:
            os.kill(pid, signal.SIGKILL)
        return len(others)

    first = [Task(siblings, "siblings")(n) for n in range(3)]
    killed = Task(kill, "kill")(first)
    last = [Task(lambda n, _k: n, "last")(n, killed) for n in range(20)]

    run = Flow("idle", [killed, last]).run(db=tmp_path / "x.db", max_workers=3)

    assert run.result == [2, list(range(20))]
    assert {row.attempts for row in run.tasks.values()} == {1}
