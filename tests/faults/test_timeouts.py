"""A timeout counts from an attempt's start, and each executor keeps it as far as it can."""

from __future__ import annotations

import threading
import time

import pytest
from support.executors import Bench

from liteflow import Flow, RunFailed, Task
from liteflow.executor.inline import InlineExecutor
from liteflow.executor.thread import ThreadExecutor


def threads(function, max_workers: int = 2) -> Bench:
    return Bench(lambda work: ThreadExecutor(work, max_workers), function)


def test_a_thread_over_its_time_is_abandoned_and_the_error_says_so():
    go_on = threading.Event()
    with threads(lambda n: go_on.wait() if n == 0 else n) as bench:
        bench.call(1, timeout=0.1)
        bench.call(1)
        bench.run(lambda: bench.executor.idle and not len(bench))
        go_on.set()

    assert bench.finished == {1}
    failed = bench.failed[0]
    assert (failed.outcome, failed.retryable) == ("timed_out", True)
    assert failed.error == (
        "TimeoutError: ran for over 0.1 s; its thread can't be ended and goes on in the background"
    )
    assert 100_000 <= failed.took < 2_000_000


def test_a_new_thread_takes_the_place_of_one_that_was_abandoned():
    go_on = threading.Event()
    with threads(lambda n: go_on.wait() if n < 6 else n) as bench:
        bench.call(6, timeout=0.05)
        bench.call(20)
        bench.run(lambda: bench.executor.idle and not len(bench))
        go_on.set()

    assert bench.failed.keys() == set(range(6))
    assert bench.finished == set(range(6, 26))


def test_the_late_result_of_an_abandoned_thread_is_not_heard():
    go_on, ended = threading.Event(), threading.Event()

    def waits(n: int) -> int:
        if n == 0:
            go_on.wait()
            ended.set()
        return n

    with threads(waits) as bench:
        bench.call(1, timeout=0.05)
        bench.run(lambda: bench.failed)
        go_on.set()
        ended.wait()
        # What it says arrives before what comes later says.
        bench.call(50)
        bench.run(lambda: len(bench.finished) == 50)

    assert bench.failed.keys() == {0}
    assert 0 not in bench.finished


def test_a_flow_whose_threads_hang_ends_by_itself():
    go_on = threading.Event()
    hang = Task(go_on.wait, "hang").options(timeout=0.1, retries=2)
    started = time.monotonic()

    run = Flow("hang", [hang() for _ in range(4)]).run(db=None, executor="thread", max_workers=2, check=False)
    took = time.monotonic() - started
    go_on.set()

    assert took < 60
    assert {row.state for row in run.tasks.values()} == {"failed"}
    assert {row.attempts for row in run.tasks.values()} == {3}
    with pytest.raises(RunFailed) as caught:
        _ = run.result
    assert type(caught.value.__cause__) is TimeoutError


def test_inline_what_took_too_long_counts_as_timed_out_and_its_result_is_not_used():
    with Bench(InlineExecutor, lambda n: time.sleep(0.1) if n == 0 else n) as bench:
        bench.call(2, timeout=0.05)
        bench.run(lambda: len(bench.ended) == 2)

    assert bench.finished == {1}
    assert bench.failed[0].outcome == "timed_out"
    assert "inline" in bench.failed[0].error


def test_inline_what_failed_by_itself_keeps_its_own_error():
    def fails(_n: int) -> None:
        time.sleep(0.1)
        raise ValueError("its own")

    with Bench(InlineExecutor, fails) as bench:
        bench.call(1, timeout=0.05)
        bench.run(lambda: bench.ended)

    assert (bench.failed[0].outcome, bench.failed[0].error) == ("failed", "ValueError: its own")


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_waiting_for_a_worker_does_not_count(executor: str):
    nap = Task(lambda n: time.sleep(0.3) or n, "nap").options(timeout=1.5)

    run = Flow("naps", [nap(n) for n in range(12)]).run(db=None, executor=executor, max_workers=2)

    assert run.result == list(range(12))
