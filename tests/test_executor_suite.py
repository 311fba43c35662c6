"""liteflow's own executors, and pools, keep the promises of all executors."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from liteflow.executor import PoolExecutor
from liteflow.executor.base import Limits, News, Work
from liteflow.executor.inline import InlineExecutor
from liteflow.testing import executor_suite


def forks() -> PoolExecutor:
    return PoolExecutor(ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")))


# Threads can't be ended, and die with the program; the calls of the driver's own thread can't even be left.
TestInline = executor_suite(lambda: "inline", leaves=False, ends=False, survives=False)
TestThread = executor_suite(lambda: "thread", ends=False, survives=False)
TestAsync = executor_suite(lambda: "async", ends=False, survives=False)
TestProcess = executor_suite(lambda: "process")
TestThreadPool = executor_suite(lambda: PoolExecutor(ThreadPoolExecutor(2)), ends=False, survives=False)
TestProcessPool = executor_suite(forks, ends=False, survives=False)


def test_what_an_executor_can_not_promise_is_no_test_of_its_suite():
    names = {name for name in dir(TestProcess) if name.startswith("test_")}
    left_out = {name for name in names if getattr(TestInline, name) is None}

    assert len(left_out) == 6
    assert all(getattr(TestProcess, name) is not None for name in names)


class Mute(InlineExecutor):
    """Loses what tasks print."""

    def __init__(self, work: Work) -> None:
        super().__init__(work._replace(turn=lambda news: work.turn(news and news._replace(lines=()))))

    def look(self, now: float) -> list[News]:
        return [news._replace(lines=()) for news in super().look(now)]


class Muted:
    name, remote = "mute", False

    def make(self, work: Work, settings: Limits, /) -> Mute:
        return Mute(work)


def test_the_suite_finds_a_promise_that_is_broken():
    suite, executor = executor_suite(Muted)(), Muted()

    suite.test_a_map_makes_a_call_an_item(executor)
    with pytest.raises(AssertionError):
        suite.test_what_a_task_prints_and_logs_is_kept_under_its_name(executor)
