"""A cluster that goes away, comes back, stays away, grows: with threads of this process for a cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from support.drivers import until

from liteflow import Flow, task
from liteflow.errors import SettingError
from liteflow.executor import presence
from liteflow.executor.cluster import ClusterExecutor
from liteflow.executor.remote import Answer, attempts

RELEASED = threading.Event()
BEGUN: list[int] = []


@task
def waits(n: int) -> int:
    BEGUN.append(n)
    assert RELEASED.wait(60)
    return n


class Harbour(ClusterExecutor):
    """Threads that can be taken away: what they run then goes on unheard, as on a cluster that is cut off."""

    job: Callable[..., Answer] = staticmethod(attempts)  # type: ignore[assignment]

    def __init__(self, patience: float = 60.0) -> None:
        super().__init__(None, "harbour", None, patience)
        self.is_there = True
        self.size = 2
        self.connections = 1
        self.given: list[Future[Any]] = []
        self._threads = ThreadPoolExecutor(8)

    @property
    def pool(self) -> Pool:
        return self

    def submit(self, *job: Any) -> Future[Any]:  # type: ignore[override]
        self.given.append(self._threads.submit(*job))
        return self.given[-1]

    def own_host(self) -> str:
        return "127.0.0.1"

    def places(self) -> int:
        self.check()
        return self.size

    def again(self) -> None:
        self.check()
        self.connections += 1

    def check(self) -> None:
        if not self.is_there:
            raise ConnectionError("no ship in sight")

    def shutdown(self) -> None:
        RELEASED.set()
        self._threads.shutdown()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_ASK_S", 0.01)
    RELEASED.clear()
    BEGUN.clear()


@pytest.fixture
def harbour() -> Iterator[Harbour]:
    with Harbour() as made:
        yield made


def flow(**policy: Any) -> Flow[[], Any]:
    return Flow("f", [waits.options(**policy)(n) for n in range(4)])


def test_what_a_cluster_was_running_is_lost_with_it_and_the_rest_waits_until_it_is_back(harbour, caplog):
    handle = flow(retries=1).start(db=None, executor=harbour)
    until(lambda: len(BEGUN) == 2)
    harbour.is_there = False
    until(lambda: "cluster harbour can't be reached (ConnectionError: no ship in sight)" in caplog.text)
    harbour.is_there = True
    # The two that waited for a place have those of the two that are lost.
    until(lambda: len(BEGUN) == 4)
    RELEASED.set()
    run = handle.wait(60)

    assert run.result == [0, 1, 2, 3]
    assert sorted(row.attempts for row in run.tasks.values()) == [1, 1, 2, 2]
    assert harbour.connections == 2
    assert "cluster harbour is back" in caplog.text


def test_of_a_cluster_that_stays_away_all_that_waits_fails_and_says_what_to_do():
    with Harbour(patience=0) as harbour:
        handle = flow().start(db=None, executor=harbour, check=False)
        until(lambda: len(BEGUN) == 2)
        harbour.is_there = False
        run = handle.wait(60)

    errors = sorted(row.error for row in run.tasks.values())
    assert run.state == "failed"
    assert errors[0] == errors[1] != errors[2] == errors[3]
    assert "the attempt is lost with it" in errors[0]
    assert "could not be reached for 0 s (ConnectionError: no ship in sight); start it again" in errors[3]


def test_a_job_that_a_cluster_has_cancelled_is_a_lost_attempt(harbour):
    harbour.size = 9
    blocked = [harbour._threads.submit(RELEASED.wait, 60) for _ in range(8)]
    handle = flow(retries=1).start(db=None, executor=harbour)
    until(lambda: len(harbour.given) == 4)
    assert harbour.given[0].cancel()
    until(lambda: len(harbour.given) == 5)
    RELEASED.set()

    run = handle.wait(60)
    assert run.result == [0, 1, 2, 3]
    assert sorted(row.attempts for row in run.tasks.values()) == [1, 1, 1, 2]
    assert all(one.result() for one in blocked)


def test_a_cluster_that_grows_gets_more_calls(harbour):
    handle = flow().start(db=None, executor=harbour)
    until(lambda: len(BEGUN) == 2)
    harbour.size = 3
    until(lambda: len(BEGUN) == 3)
    RELEASED.set()

    assert handle.wait(60).result == [0, 1, 2, 3]


def test_that_a_cluster_has_no_workers_is_told_once_until_some_have_come_and_gone(
    harbour, caplog, monkeypatch
):
    def warnings() -> int:
        return caplog.text.count("cluster harbour has no workers: what is to run there waits for some")

    monkeypatch.setattr(presence, "_EMPTY_S", 0.02)
    harbour.size = 0
    handle = flow().start(db=None, executor=harbour)
    until(lambda: warnings() == 1)
    harbour.size = 4
    until(lambda: len(BEGUN) == 4)
    harbour.size = 0
    until(lambda: warnings() == 2)
    RELEASED.set()

    assert handle.wait(60).result == [0, 1, 2, 3]
    assert warnings() == 2


def test_a_run_on_a_cluster_that_is_away_says_so_at_once(harbour):
    harbour.is_there = False

    with pytest.raises(SettingError, match=r"one that can be reached \(no ship in sight\)"):
        flow().run(db=None, executor=harbour)


@pytest.mark.parametrize("wrong", [-1, True, "2", None, float("nan")])
def test_patience_is_a_number_of_seconds(wrong):
    with pytest.raises(SettingError, match="a number of seconds, from 0"):
        Harbour(patience=wrong)
