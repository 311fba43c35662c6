"""RayExecutor: what all executors promise, and what is Ray's: lost workers, drivers that die, resources."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clusters import check_kills_cost_attempts
from support.drivers import until
from support.processes import gone
from test_random_dags import check_random_dags

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'liteflow[ray]'")

from ray.cluster_utils import Cluster  # noqa: E402

from liteflow import Flow, Run, task  # noqa: E402
from liteflow.errors import SettingError  # noqa: E402
from liteflow.executor import RayExecutor  # noqa: E402
from liteflow.testing import executor_suite  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """A cluster of this machine alone, with two places."""
    # Workers can import the tests that they share with others.
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        resources={"telescope": 1},
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield ray
    ray.shutdown()


TestRay = executor_suite(lambda: "ray")


@task
def number(n: int) -> int:
    return n


def run(expression: Any, executor: Any, **options: Any) -> Run[Any]:
    return Flow("f", expression).run(executor=executor, **{"db": None, "check": False, **options})


def test_a_random_dag_gives_what_plain_evaluation_gives(tmp_path):
    check_random_dags("ray", 15, tmp_path)


def test_a_connection_of_the_program_stays_open():
    with RayExecutor(name="mine") as mine:
        assert run(number(1), mine).result == 1

    assert ray.is_initialized()


def test_a_worker_of_the_cluster_that_is_lost_costs_one_attempt_and_ray_makes_none_of_its_own(tmp_path):
    begun = tmp_path / "begun"

    def waits() -> str:
        with begun.open("a") as file:
            file.write(f"{os.getppid()}\n")
        while len(begun.read_text().split()) < 2:
            time.sleep(0.02)
        return "done"

    handle = Flow("f", task(waits, retries=1)()).start(db=None, executor="ray")
    until(lambda: begun.exists() and begun.read_text().endswith("\n"))
    os.kill(int(begun.read_text()), signal.SIGKILL)
    ended = handle.wait(60)

    assert ended.result == "done"
    assert ended.tasks["waits"].attempts == 2


def test_workers_that_are_killed_in_the_middle_of_a_run_cost_attempts_and_no_result(tmp_path):
    check_kills_cost_attempts("ray", tmp_path)


WAITS = """\
import json, logging, sys, time
from pathlib import Path
from liteflow import Flow, task
from liteflow.executor import RayExecutor

folder = Path(sys.argv[2])

def waits(n):
    with open(folder / "begun", "a") as file:
        file.write(f"{n}\\n")
    while not (folder / "released").exists():
        time.sleep(0.02)
    return n

if __name__ == "__main__":
    logging.basicConfig(filename=folder / "log", format="%(asctime)s %(message)s")
    wait = task(waits, retries=9)
    with RayExecutor(sys.argv[1], name="away") as ray:
        run = Flow("f", [wait(n) for n in range(4)]).run(db=None, executor=ray)
    print(json.dumps([run.result, sorted(row.attempts for row in run.tasks.values())]))
"""


class Whole:
    """A cluster whose head runs no tasks, and a driver with four calls that wait until they are released."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start(0)
        self.node = self.cluster.add_node(num_cpus=1)
        command = [sys.executable, "-c", WAITS, self.cluster.address, folder]
        self.driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def start(self, cpus: int, port: int = 0) -> None:
        head = {"num_cpus": cpus, "include_dashboard": False, "gcs_server_port": port}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)

    def begun(self, count: int) -> None:
        """Wait until so many attempts have begun."""
        file = self.folder / "begun"
        until(lambda: file.exists() and len(file.read_text().splitlines()) >= count, 60)

    def assert_right_when_released(self) -> None:
        """Let the calls end: what was lost has been made again, and nothing else."""
        (self.folder / "released").touch()
        out, _ = self.driver.communicate(timeout=120)
        result, attempts = json.loads(out)
        assert result == [0, 1, 2, 3]
        # The one that ran there; and one that Ray was just about to begin there, at most.
        assert attempts in ([1, 1, 1, 2], [1, 1, 2, 2])


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path)
    yield made
    made.driver.kill()
    made.driver.communicate()
    made.cluster.shutdown()


def test_nodes_that_join_and_leave_in_the_middle_of_a_run_cost_only_what_they_were_running(whole):
    whole.begun(1)
    whole.cluster.add_node(num_cpus=1)
    whole.begun(2)
    whole.cluster.remove_node(whole.node)

    whole.assert_right_when_released()


def test_a_cluster_that_goes_away_loses_what_it_was_running_and_the_run_goes_on_when_it_is_back(whole):
    whole.begun(1)
    port = int(whole.cluster.address.rpartition(":")[2])
    whole.cluster.shutdown()
    log = whole.folder / "log"
    until(lambda: "cluster away can't be reached" in log.read_text(), 60)
    whole.start(2, port)

    whole.assert_right_when_released()
    assert "cluster away is back" in log.read_text()


def test_large_values_stay_on_the_cluster_and_come_home_too(tmp_path):
    make, use = task(lambda: bytes(3_000_000)), task(len)
    data = make()
    there = task(len, executor="thread")(data)

    ended = run([use(data), use(data), there, data], "ray", db=tmp_path / "s.db")

    assert ended.result == [3_000_000] * 3 + [bytes(3_000_000)]


DRIVER = """\
import os, subprocess, sys
from liteflow import Flow, task
from liteflow.executor import RayExecutor

def hangs(path):
    child = subprocess.Popen(["sleep", "3600"])
    with open(path, "w") as file:
        file.write(f"{os.getpid()} {child.pid}\\n")
    child.wait()

Flow("f", task(hangs)(sys.argv[2])).run(db=None, executor=RayExecutor(sys.argv[1]))
"""


def test_an_address_at_which_nothing_listens_is_refused_at_once():
    # In a process of its own, for this one is connected already.
    code = (
        "from liteflow import Flow, task\n"
        "from liteflow.executor import RayExecutor\n"
        "Flow('f', task(abs)(-1)).run(db=None, executor=RayExecutor('127.0.0.1:9'))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert "address must be that of a Ray cluster that can be reached" in done.stderr.splitlines()[-1]
    assert "Connection refused" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_a_driver_that_is_ended_leaves_nothing_running_on_the_cluster(number, status, tmp_path):
    script, begun = tmp_path / "driver.py", tmp_path / "begun"
    script.write_text(DRIVER)
    address = ray.get_runtime_context().gcs_address
    with subprocess.Popen([sys.executable, script, address, begun], stderr=subprocess.DEVNULL) as driver:
        until(lambda: begun.exists() and begun.read_text().endswith("\n"), 60)
        driver.send_signal(number)

    assert driver.returncode == status
    assert gone([int(pid) for pid in begun.read_text().split()], 20.0)


def test_calls_take_the_resources_that_they_are_told(tmp_path):
    """There is one telescope, so one looks at a time, however many places are said to be there."""

    def looks(notes: Path) -> None:
        for word in ("begin ", "end "):
            with notes.open("a") as file:
                file.write(word)
            time.sleep(0.05)

    look, notes = task(looks), tmp_path / "notes"
    with RayExecutor(name="scopes", max_workers=3, resources={"telescope": 1, "CPU": 0}) as scopes:
        assert scopes.places() == 1
        run([look(notes) for _ in range(3)], scopes)

    assert notes.read_text() == "begin end " * 3


def test_calls_take_what_their_tasks_say(tmp_path):
    """There is one telescope, and calls that take no more than part of a processor run beside who has it."""

    def looks(notes: Path, released: Path) -> None:
        # Another that had it too would find the note of this one.
        notes.touch(exist_ok=False)
        while not released.exists():
            time.sleep(0.02)
        notes.unlink()

    look, note = task(looks, resources={"telescope": 1, "cpus": 0.5}), tmp_path / "note"
    release = task(lambda path: path.touch(), resources={"cpus": 0.5})
    released = tmp_path / "released"
    ended = run([[look(note, released) for _ in range(3)], release(released)], "ray")

    assert ended.state == "succeeded"


def test_a_warning_tells_of_what_no_node_has(caplog):
    moon = number.options(resources={"moon": 1, "memory": "1MB"})
    with RayExecutor(name="there") as there:
        handle = Flow("f", moon(1)).start(db=None, executor=there)
        until(lambda: "nothing of there has CPU: 1, memory: 1e+06, moon: 1" in caplog.text)
        handle.cancel()
        assert handle.wait(60).state == "cancelled"


def test_the_policy_says_whether_a_timeout_or_a_lost_worker_is_worth_another_attempt():
    def hangs() -> None:
        time.sleep(60)

    def dies() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    slow = task(hangs, retries=1, timeout=0.1, retry_on=TimeoutError)
    ended = run([slow(), task(dies, retries=3, retry_on=OSError)()], "ray")

    assert {key: row.attempts for key, row in ended.tasks.items()} == {"hangs": 2, "dies": 1}


@pytest.mark.parametrize("wrong", [5, "", object()])
def test_what_is_no_address_is_refused(wrong):
    with pytest.raises(SettingError, match="the address of a Ray cluster"):
        RayExecutor(wrong)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_a_limit_is_a_number_of_calls(wrong):
    with pytest.raises(SettingError, match="a whole number from 1, or None"):
        RayExecutor(max_workers=wrong)
