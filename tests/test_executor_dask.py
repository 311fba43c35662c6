"""DaskExecutor: what all executors promise, and what is Dask's: lost workers, drivers that die, resources."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clusters import check_kills_cost_attempts
from support.drivers import query, until
from support.processes import gone
from test_random_dags import check_random_dags

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'liteflow[dask]'")

from liteflow import Flow, Run, task  # noqa: E402
from liteflow.errors import SettingError  # noqa: E402
from liteflow.executor import DaskExecutor  # noqa: E402
from liteflow.testing import executor_suite  # noqa: E402

TestDask = executor_suite(lambda: "dask")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler here, and two workers in processes of their own."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as made:
        yield made


@pytest.fixture
def dask(cluster: Any) -> Iterator[DaskExecutor]:
    with DaskExecutor(cluster.scheduler_address, name="cluster") as made:
        yield made


@task
def number(n: int) -> int:
    return n


def run(expression: Any, executor: Any, **options: Any) -> Run[Any]:
    return Flow("f", expression).run(executor=executor, **{"db": None, "check": False, **options})


def test_a_random_dag_gives_what_plain_evaluation_gives(dask, tmp_path):
    check_random_dags(dask, 15, tmp_path)


def test_a_worker_that_joins_in_the_middle_of_a_run_takes_part_in_it(cluster, dask, tmp_path):
    released = tmp_path / "released"

    def waits(n: int) -> int:
        (tmp_path / f"begun-{n}").touch()
        while not released.exists():
            time.sleep(0.02)
        return os.getppid()

    wait = task(waits)
    handle = Flow("f", [wait(n) for n in range(6)]).start(db=None, executor=dask)
    until(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
    cluster.scale(3)
    until(lambda: len(list(tmp_path.glob("begun-*"))) == 3)
    released.touch()
    ended = handle.wait(60)
    cluster.scale(2)
    until(lambda: len(cluster.scheduler.workers) == 2)

    assert len(set(ended.result)) == 3
    assert {row.attempts for row in ended.tasks.values()} == {1}
    assert run([number(n) for n in range(20)], dask).result == list(range(20))


def test_a_cluster_is_given_by_its_address_and_runs_several_parcels_at_a_time(dask, tmp_path):
    def meets(mine: str, other: str) -> int:
        (tmp_path / mine).touch()
        while not (tmp_path / other).exists():
            time.sleep(0.01)
        return os.getpid()

    one, two = run([task(meets)("a", "b"), task(meets)("b", "a")], dask, timeout=60).result

    assert len({one, two, os.getpid()}) == 3


def test_a_client_of_the_user_stays_open(cluster):
    with distributed.Client(cluster, set_as_default=False) as client:
        with DaskExecutor(client, name="mine") as dask:
            assert run(number(1), dask).result == 1
        assert client.submit(abs, -3).result() == 3


def test_a_worker_of_the_cluster_that_is_lost_costs_one_attempt_and_dask_makes_none_of_its_own(
    cluster, dask, tmp_path
):
    begun = tmp_path / "begun"

    def waits() -> str:
        with begun.open("a") as file:
            file.write(f"{os.getppid()}\n")
        while len(begun.read_text().split()) < 2:
            time.sleep(0.02)
        return "done"

    handle = Flow("f", task(waits, retries=1)()).start(db=tmp_path / "f.db", executor=dask)
    until(lambda: begun.exists() and begun.read_text().endswith("\n"))
    os.kill(int(begun.read_text()), signal.SIGKILL)
    ended = handle.wait(60)

    assert ended.result == "done"
    assert ended.tasks["waits"].attempts == 2
    ((error,),) = query(tmp_path / "f.db", "SELECT error FROM attempts WHERE outcome = 'lost'")
    assert re.fullmatch(
        r"KilledWorker: tcp://[\d.:]+ is gone; the attempt is lost with its worker \(pool cluster\)", error
    )
    # Dask starts another worker in its place; the next test needs it.
    until(lambda: len(cluster.scheduler.workers) == 2)


def test_workers_that_are_killed_in_the_middle_of_a_run_cost_attempts_and_no_result(cluster, dask, tmp_path):
    check_kills_cost_attempts(dask, tmp_path)
    until(lambda: len(cluster.scheduler.workers) == 2)


CLUSTER = """\
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    options = {"host": "127.0.0.1", "scheduler_port": int(sys.argv[1]), "dashboard_address": None}
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", **options
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


class Whole:
    """A whole cluster in a process of its own, which can be killed and started again where it was."""

    def __init__(self) -> None:
        self.address = ""
        self.start()

    def start(self) -> None:
        port = self.address.rpartition(":")[2] or "0"
        command = [sys.executable, "-c", CLUSTER, port]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, **pipes)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def whole() -> Iterator[Whole]:
    made = Whole()
    yield made
    made.kill()


def waiting_calls(folder: Path, **policy: Any) -> list[Any]:
    """Four calls that wait until they are released, and tell that they have begun."""

    def waits(n: int) -> int:
        (folder / f"begun-{n}").touch()
        while not (folder / "released").exists():
            time.sleep(0.02)
        return n

    wait = task(waits, **policy)
    return [wait(n) for n in range(4)]


def test_a_cluster_that_goes_away_loses_what_it_was_running_and_the_run_goes_on_when_it_is_back(
    whole, tmp_path, caplog
):
    with DaskExecutor(whole.address, name="away") as away:
        handle = Flow("f", waiting_calls(tmp_path, retries=3)).start(db=None, executor=away)
        until(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
        whole.kill()
        until(lambda: "cluster away can't be reached" in caplog.text)
        (tmp_path / "released").touch()
        whole.start()
        ended = handle.wait(120)

    assert ended.result == [0, 1, 2, 3]
    assert sorted(row.attempts for row in ended.tasks.values()) == [1, 1, 2, 2]
    assert "cluster away is back" in caplog.text


def test_what_a_worker_runs_ends_when_its_scheduler_is_gone(whole, tmp_path):
    begun = tmp_path / "begun"

    def hangs() -> None:
        begun.write_text(f"{os.getpid()}\n")
        time.sleep(3600)

    async def joins() -> Any:
        return await distributed.Worker(whole.address, nthreads=1, resources={"here": 1})

    with distributed.Client(whole.address, set_as_default=False) as client:
        client.sync(joins)
        with DaskExecutor(client, name="halved", patience=0) as halved:
            call = task(hangs, resources={"here": 1})()
            handle = Flow("f", call).start(db=None, executor=halved, check=False)
            until(lambda: begun.exists() and begun.read_text().endswith("\n"))
            whole.kill()

            assert gone([int(begun.read_text())], 20.0)
            assert handle.wait(60).state == "failed"


def test_a_cluster_that_stays_away_fails_what_waits_for_it_and_a_resume_goes_on(whole, tmp_path):
    flow, db = Flow("f", waiting_calls(tmp_path)), tmp_path / "f.db"
    with DaskExecutor(whole.address, name="gone", patience=0) as gone:
        handle = flow.start(db=db, executor=gone, check=False)
        until(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
        whole.kill()
        ended = handle.wait(60)

    assert ended.state == "failed"
    errors = [row.error for row in ended.tasks.values()]
    assert sum("lost" in error for error in errors) == 2
    assert sum("could not be reached for 0 s" in error for error in errors) == 2

    (tmp_path / "released").touch()
    whole.start()
    with DaskExecutor(whole.address, name="gone") as back:
        assert flow.resume(db=db, executor=back).result == [0, 1, 2, 3]


DRIVER = """\
import sys, time
from pathlib import Path
from liteflow import Flow, task
from liteflow.executor import DaskExecutor

def ticks(beats):
    while True:
        with open(beats, "ab") as file:
            file.write(b".")
        time.sleep(0.02)

Flow("f", task(ticks)(sys.argv[2])).run(db=None, executor=DaskExecutor(sys.argv[1]))
"""


def test_a_driver_that_dies_leaves_nothing_running_on_the_cluster(cluster, tmp_path):
    script, beats = tmp_path / "driver.py", tmp_path / "beats"
    script.write_text(DRIVER)
    with subprocess.Popen([sys.executable, script, cluster.scheduler_address, beats]) as driver:
        until(beats.exists)
        driver.kill()

    size = -1
    deadline = time.monotonic() + 20
    while size != (size := beats.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_calls_take_of_the_resources_that_they_are_told(cluster):
    with DaskExecutor(cluster, name="gpus", resources={"GPU": 1}) as gpus:
        handle = Flow("f", number(1)).start(db=None, executor=gpus)
        until(lambda: any(t.resource_restrictions == {"GPU": 1} for t in cluster.scheduler.tasks.values()))
        handle.cancel()

        assert handle.wait(30).state == "cancelled"


def test_a_call_waits_for_a_worker_that_has_what_its_task_takes_and_a_warning_tells(cluster, dask, caplog):
    takes = number.options(resources={"gpus": 1, "memory": "1GB", "telescope": 1})
    wanted = {"GPU": 1, "MEMORY": 10**9, "telescope": 1}
    handle = Flow("f", [takes(7), number(8)]).start(db=None, executor=dask)
    until(lambda: any(t.resource_restrictions == wanted for t in cluster.scheduler.tasks.values()))
    until(lambda: "nothing of cluster has GPU: 1, MEMORY: 1e+09, telescope: 1" in caplog.text)

    async def joins() -> Any:
        return await distributed.Worker(cluster.scheduler_address, nthreads=1, resources=wanted)

    with distributed.Client(cluster) as client:
        worker = client.sync(joins)
        assert handle.wait(60).result == [7, 8]
        assert run([takes(n) for n in range(5)], dask).result == list(range(5))
        client.sync(worker.close)


def test_the_cluster_that_is_made_here_has_what_this_machine_has():
    takes = number.options(resources={"cpus": 1, "memory": "1MB"})
    assert run([takes(n) for n in range(3)], "dask").result == [0, 1, 2]


WRONG = [
    5,
    object(),
    ["tcp://127.0.0.1:1"],
    "",
    "tcp://",
    "127.0.0.1",
    "tcp://127.0.0.1:x",
    "http://127.0.0.1:1",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_cluster_is_refused(wrong):
    with pytest.raises(SettingError, match="the address of a scheduler"):
        DaskExecutor(wrong)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_a_limit_is_a_number_of_calls(wrong):
    with pytest.raises(SettingError, match="a whole number from 1, or None"):
        DaskExecutor(max_workers=wrong)


def test_a_flow_that_names_dask_loads_it_when_it_runs():
    code = (
        "import sys\n"
        "from liteflow import Flow, task\n"
        "import liteflow.executor\n"
        "flow = Flow('f', task(abs)(-1), executor='dask')\n"
        "print('distributed' in sys.modules, flow.run(db=None).result, 'distributed' in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "False 1 True\n"
    assert done.stderr == ""


def test_short_calls_travel_together(dask, cluster):
    before = cluster.scheduler.transition_counter

    assert run([number(n) for n in range(1000)], dask).result == list(range(1000))

    # A job is four at least: waiting, processing, memory, forgotten.
    assert (cluster.scheduler.transition_counter - before) / 4 < 500


@pytest.mark.filterwarnings("error")
def test_values_that_dask_calls_large_go_there_without_a_warning(dask):
    def size(data: bytes) -> int:
        return len(data)

    assert run(task(size)(bytes(12_000_000)), dask).result == 12_000_000


def test_large_values_stay_on_the_cluster_for_as_long_as_they_are_needed(cluster, dask, tmp_path):
    make, use = task(lambda: bytes(3_000_000)), task(len)
    data = make()
    there = task(len, executor="thread")(data)

    ended = run([use(data), use(data), there, data], dask, db=tmp_path / "s.db")

    assert ended.result == [3_000_000] * 3 + [bytes(3_000_000)]
    with distributed.Client(cluster, set_as_default=False) as client:
        until(lambda: not [key for key in client.who_has() if key.startswith("Shared")])


def test_the_policy_says_whether_a_timeout_or_a_lost_worker_is_worth_another_attempt():
    def hangs() -> None:
        time.sleep(60)

    def dies() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    slow = task(hangs, retries=1, timeout=0.1, retry_on=TimeoutError)
    ended = run([slow(), task(dies, retries=3, retry_on=OSError)()], "dask")

    assert {key: row.attempts for key, row in ended.tasks.items()} == {"hangs": 2, "dies": 1}
