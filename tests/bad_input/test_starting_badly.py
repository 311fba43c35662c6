"""What a run is started with, and what its values do at their worst: more rows of B and C."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from bad_rows import assert_refused, note, row

import liteflow
from liteflow import Flow, Task, flow
from liteflow.errors import ArgumentError, SettingError, UnknownNameError
from liteflow.store.history import History


@flow
def etl(path: str = "p", n: int = 1):
    return note([path, n])


REFUSED = [
    row(
        "B14-option-misspelt",
        lambda: etl.run(exectuor="thread"),
        UnknownNameError,
        "did you mean 'executor'?",
    ),
    row(
        "B14-option-misspelt-2",
        lambda: etl.run(max_worker=2),
        UnknownNameError,
        "did you mean 'max_workers'?",
    ),
    row("B14-by-position", lambda: etl.run("p"), ArgumentError, "flow etl", "by name"),
    row("B-observer", lambda: etl.run(observer=5), SettingError, "observer"),
    row("B20-surrogate", lambda: etl.run(db="\ud800.db"), SettingError, "db must be a path"),
]


@pytest.mark.parametrize(
    ("use", "error", "words"), [pytest.param(*r.values[:2], r.values[2:], id=r.id) for r in REFUSED]
)
def test_a_bad_start_is_refused_before_anything_runs(use, error, words, folder):
    assert_refused(use, error, words, folder)


def test_c4_a_repr_that_hangs_costs_no_more_than_seconds(folder):
    script = (
        "import time\nfrom liteflow import Flow, Task\n"
        "class Hangs:\n    def __repr__(self):\n        time.sleep(1000)\n"
        "print(Flow('f', Task(Hangs, 'hangs')()).run(db=None).state)\n"
    )
    (folder / "hangs.py").write_text(script)

    done = subprocess.run(
        [sys.executable, "hangs.py"], capture_output=True, text=True, timeout=10, check=False
    )

    assert done.stdout == "succeeded\n", done.stderr


def test_c2_the_traceback_of_a_result_that_cannot_be_stored_shows_no_frame_of_ours(folder):
    run = Flow("f", Task(threading.Lock, "lock")()).run(db="x.db", check=False)

    with History("x.db") as history:
        (attempt,) = history.attempts(run.id)
    assert str(Path(liteflow.__file__).parent) not in (attempt.traceback or "")
