"""Cancelling: nothing new starts, what has not started comes back, what runs is ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import pytest
from support.executors import Bench

from liteflow.executor.inline import InlineExecutor
from liteflow.executor.process.pool import ProcessExecutor
from liteflow.executor.thread import ThreadExecutor

# Workers can't import the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def processes(function: Callable[[int], object], max_workers: int = 2) -> Bench:
    return Bench(lambda work: ProcessExecutor(work, max_workers, 1.0), function)


def starts(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


def noting(folder: Path, then: Callable[[int], object]) -> Callable[[int], object]:
    def noted(n: int) -> object:
        (folder / str(n)).touch()
        return then(n)

    return noted


def sleeps(_n: int) -> None:
    time.sleep(1000)


def tidies_up(n: int) -> int:
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    print("waiting", flush=True)
    while not told:
        time.sleep(0.01)
    return n


def exits_when_told(_n: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told"))
    print("waiting", flush=True)
    time.sleep(1000)


def deaf(_n: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("waiting", flush=True)
    time.sleep(1000)


def stopped(_n: int) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def test_what_runs_is_cancelled_and_what_waits_comes_back(tmp_path: Path) -> None:
    # Two hundred are quick, so that those after them travel together.
    quick = noting(tmp_path, lambda n: None if n < 200 else time.sleep(1000))
    with processes(quick) as bench:
        bench.call(400)
        bench.run(lambda: len(starts(tmp_path)) > 201)
        started_before = starts(tmp_path)
        bench.cancel(5.0)
        bench.run(lambda: bench.executor.idle)
        bench.call(3)
        bench.run(lambda: True)

    assert set(bench.failed) | bench.finished == starts(tmp_path)
    assert {(f.outcome, f.error, f.retryable) for f in bench.failed.values()} == {
        ("cancelled", "cancelled", False)
    }
    assert bench.finished == set(range(200))
    assert not bench.returned & started_before
    assert len(bench.failed) == 2


def test_an_attempt_that_finishes_within_the_grace_has_finished() -> None:
    with processes(tidies_up) as bench:
        bench.call(2)
        bench.run(lambda: len(bench.lines) == 2)
        bench.cancel(20.0)
        bench.run(lambda: bench.executor.idle)

    assert bench.finished == {0, 1}
    assert bench.failed == {}


@pytest.mark.parametrize("function", [exits_when_told, deaf])
def test_an_attempt_that_answers_sigterm_with_an_error_or_not_at_all_is_cancelled(
    function: Callable[[int], object],
) -> None:
    with processes(function) as bench:
        bench.call(1)
        bench.run(lambda: bench.lines)
        bench.cancel(0.5)
        bench.run(lambda: bench.executor.idle, 5.0)

    assert bench.failed[0].outcome == "cancelled"
    assert bench.failed[0].error == "cancelled"


def test_a_stopped_attempt_is_cancelled_after_the_grace() -> None:
    with processes(stopped) as bench:
        bench.call(1)
        bench.run(bench.executor.running)
        bench.cancel(0.3)
        bench.run(lambda: bench.executor.idle, 5.0)

    assert bench.failed[0].outcome == "cancelled"


def test_cancelling_again_with_no_grace_ends_at_once() -> None:
    with processes(deaf) as bench:
        bench.call(2)
        bench.run(lambda: len(bench.lines) == 2)
        bench.cancel(1000.0)
        bench.cancel(0.0)
        began = time.monotonic()
        bench.run(lambda: bench.executor.idle)

    assert time.monotonic() - began < 60
    assert {f.outcome for f in bench.failed.values()} == {"cancelled"}


def test_cancelling_before_any_worker_is_up_returns_all() -> None:
    with processes(sleeps) as bench:
        bench.call(1)
        bench.executor.fill(bench)
        bench.cancel(1.0)
        bench.run(lambda: bench.executor.idle)

    assert bench.returned == {0} or bench.failed[0].outcome == "cancelled"


def test_a_cancelled_thread_is_abandoned_and_the_error_says_so() -> None:
    go_on = threading.Event()
    with Bench(lambda work: ThreadExecutor(work, 2), lambda n: go_on.wait() if n else n) as bench:
        bench.call(5)
        bench.run(lambda: bench.finished and len(bench) == 2)
        bench.cancel(10.0)
        assert bench.executor.idle
        go_on.set()
        bench.run(lambda: True)

    assert bench.finished == {0}
    assert {(f.outcome, f.retryable) for f in bench.failed.values()} == {("cancelled", False)}
    assert all("goes on in the background" in f.error for f in bench.failed.values())


def test_an_inline_executor_runs_nothing_after_it_was_cancelled() -> None:
    with Bench(InlineExecutor, lambda n: n) as bench:
        bench.call(1)
        bench.run(lambda: bench.finished)
        bench.cancel(1.0)
        bench.call(1)
        bench.run(lambda: True)
        bench.executor.fill(bench)

    assert bench.executor.idle
    assert bench.finished == {0}
    assert len(bench) == 1
