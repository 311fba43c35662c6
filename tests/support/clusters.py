"""What clusters go through in tests: their workers are killed while a random DAG runs."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from support.drivers import query, until

from liteflow import Flow, task


def check_kills_cost_attempts(executor: Any, where: Path, *, kills: int = 3, calls: int = 60) -> None:
    """Kill whichever worker has begun a call last, several times, in the middle of a run; all comes right."""
    chance, notes = random.Random(7), where / "notes"
    notes.touch()

    def add(a: int, b: int) -> int:
        with notes.open("a") as file:
            file.write(f"{os.getppid()}\n")
        time.sleep(0.05)
        return a + b

    # Short calls travel together, and are lost together.
    lazy, plain = task(add, retries=20 * kills), [1, 2]
    values: list[Any] = [1, 2]
    for _ in range(calls):
        a, b = chance.randrange(len(values)), chance.randrange(len(values))
        values.append(lazy(values[a], values[b]))
        plain.append(plain[a] + plain[b])

    handle = Flow("random", values).start(db=where / "random.db", executor=executor)
    killed: set[int] = set()
    for _ in range(kills):
        worker = until(lambda: next((w for w in _workers(notes)[::-1] if w not in killed), None), 60.0)
        os.kill(worker, signal.SIGKILL)
        killed.add(worker)
    run = handle.wait(120)

    assert run.result == plain
    asked = "SELECT key, count(*) FROM attempts WHERE outcome = 'lost' GROUP BY key"
    lost = dict(query(where / "random.db", asked))
    assert sum(lost.values()) >= kills
    assert {key: row.attempts - 1 for key, row in run.tasks.items() if row.attempts > 1} == lost


def _workers(notes: Path) -> list[int]:
    return [int(line) for line in notes.read_text().splitlines(keepends=True) if line.endswith("\n")]
