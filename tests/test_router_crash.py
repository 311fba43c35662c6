"""A run whose tasks say what runs next survives the death of its driver, wherever it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from liteflow.store.history import History

SCRIPT = """
import os, signal, sys
from liteflow import Flow, NextTask, TaskOutput

flow = Flow("crash", db="x.db", executor=sys.argv[2])
driver = os.getpid()

def told(what):
    with open("told", "a") as file:
        file.write(what + "\\n")
    if sys.argv[1] == what:
        os.kill(int(os.environ["DRIVER"]), signal.SIGKILL)

@flow.task("split")
def split(context):
    told("split")
    return TaskOutput("split", [NextTask("part", inputs=n, spawn_another=True) for n in range(4)])

@flow.task("part")
def part(context, inputs):
    context.update("all", lambda found: sorted({*found, inputs}), [])
    told(f"part {inputs}")
    return TaskOutput(inputs, [NextTask("join")])

@flow.task("join")
def join(context):
    told("join")
    return TaskOutput(context.get("all"), [NextTask("count", inputs=3)])

@flow.task("count")
def count(context, inputs):
    told(f"count {inputs}")
    return TaskOutput(context.get("join"), [NextTask("count", inputs=inputs - 1)] if inputs else None)

os.environ["DRIVER"] = str(os.getpid())
print(flow.resume() if sys.argv[1] == "resume" else flow.run("split"))
"""
STEPS = ["split", *(f"part {n}" for n in range(4)), "join", *(f"count {n}" for n in (3, 2, 1, 0))]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "script.py", *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("step", ["split", "part 2", "join", "count 1"])
def test_a_driver_that_is_killed_costs_what_had_not_committed(tmp_path, step, executor):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")

    assert run(tmp_path, step, executor).returncode == -signal.SIGKILL
    done = committed(tmp_path)
    resumed = run(tmp_path, "resume", executor)

    assert (resumed.stdout, resumed.returncode) == ("{'count': [0, 1, 2, 3]}\n", 0)
    told = Counter((tmp_path / "told").read_text(encoding="utf-8").splitlines())
    assert set(told) == set(STEPS)
    assert told[step] == 2
    assert {what: told[what] for what in done} == dict.fromkeys(done, 1)


def committed(home: Path) -> list[str]:
    """What the steps are called whose outputs were in the store when the driver died."""
    with History(home / "x.db") as history:
        found = [(row.key, row.preview) for row in history.xcoms(history.find_run("latest").id)]
    names = []
    for key, preview in found:
        task = key.partition("-")[0]
        if task == "count":
            names.append(f"count {3 - int(key.partition('-')[2] or 1) + 1}")
        else:
            names.append(f"part {preview}" if task == "part" else task)
    return names
