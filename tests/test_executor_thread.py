"""Threads of the driver: short calls lie ready behind each other, and none is held up by a slow one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from support.executors import Bench

from liteflow import Flow, task
from liteflow.executor.thread import ThreadExecutor


def threads(function, max_workers: int = 2) -> Bench:
    return Bench(lambda work: ThreadExecutor(work, max_workers), function)


def test_short_calls_are_given_to_a_thread_before_it_asks_for_more():
    together = 0
    with threads(lambda n: n, max_workers=1) as bench:
        bench.call(100)
        while len(bench.finished) < 100:
            before = len(bench)
            bench.executor.fill(bench)
            together = max(together, before - len(bench))
            bench.run(lambda: len(bench.finished) > 99 - len(bench))

    assert together > 1


@pytest.mark.parametrize("slow", [60, 61, 62, 63, 64, 79])
def test_what_lies_behind_a_slow_call_is_run_by_another_thread(slow):
    go_on = threading.Event()
    with threads(lambda n: go_on.wait(20) if n == slow else n) as bench:
        bench.call(80)
        bench.run(lambda: len(bench.finished) == 79)
        assert slow not in bench.finished
        go_on.set()
        bench.run(lambda: slow in bench.finished)


def test_a_run_hears_of_a_slow_call_whose_followers_were_taken_back():
    @task
    def work(n: int) -> int:
        # Longer than a thread may be silent for; were it shorter, nothing would be taken back.
        time.sleep(0.3 if n == 60 else 0)
        return n

    handle = Flow("f", [work(n) for n in range(80)]).start(db=None, executor="thread", max_workers=1)

    assert sum(handle.wait(60).result) == 80 * 79 // 2


@pytest.mark.parametrize("slow", [30, 31, 32, 33])
def test_what_lies_behind_a_call_that_is_over_its_time_runs_all_the_same(slow):
    go_on = threading.Event()
    with threads(lambda n: go_on.wait(20) if n == slow else n, max_workers=1) as bench:
        bench.call(60, timeout=0.3)
        bench.run(lambda: len(bench.ended) == 60)
        go_on.set()

    assert bench.failed.keys() == {slow}
    assert bench.failed[slow].outcome == "timed_out"


@pytest.mark.parametrize("after", range(0, 60, 7))
def test_each_call_ends_once_whenever_they_are_cancelled(after):
    begun: list[int] = []
    with threads(begun.append) as bench:
        bench.call(60)
        bench.run(lambda: len(bench.finished) >= after)
        bench.cancel(grace=0.0)
        bench.run(lambda: bench.executor.idle)
        ended, left = bench.ended, {call.node for call in bench.take(60)}

    assert ended | left == set(range(60))
    assert not ended & left
    assert bench.returned.isdisjoint(begun)


def test_the_time_of_a_call_begins_when_its_thread_comes_to_it():
    def naps(n: int) -> int:
        time.sleep(0.01)
        return n

    with threads(naps, max_workers=1) as bench:
        bench.call(60, timeout=0.4)
        bench.run(lambda: len(bench.ended) == 60)

    assert not bench.failed


PRINTS = """
import sys, threading, time
from liteflow import Flow, task

sys.setswitchinterval(1e-6)
flow, over = Flow("f", task(abs)(-1)), threading.Event()

def runs():
    for _ in range(60):
        flow.run(db=None, executor="inline")
    over.set()

threading.Thread(target=runs).start()
while not over.is_set():
    print("a", "b", "c")
"""


def test_a_program_may_print_while_runs_begin_and_end_in_its_threads():
    ran = subprocess.run(
        [sys.executable, "-c", PRINTS], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ran.returncode, ran.stderr, set(ran.stdout.splitlines())) == (0, "", {"a b c"})
