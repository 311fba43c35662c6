"""Runs whose tasks take some of the machine: they get it, in turn, and what can't is refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest
from dags import dag_of, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st
from support import laws
from support.executors import Bench

from liteflow import Context, Flow, RunFailed, task, unmapped
from liteflow.engine.machine import Machine
from liteflow.errors import NoRoomError, SettingError
from liteflow.executor import PoolExecutor
from liteflow.executor.base import Call, Lane, News, Work
from liteflow.executor.inline import InlineExecutor
from liteflow.executor.process.pool import ProcessExecutor
from liteflow.executor.thread import ThreadExecutor
from liteflow.system import cores
from liteflow.testing import inline

_PATIENCE_S = 30.0


class Watched:
    """Notes what calls take that run now, and refuses more than there is."""

    def __init__(self, **has: float) -> None:
        self.has = has
        self.most_at_once = 0
        self._taken: dict[int, dict[str, float]] = {}
        self._lock = threading.Lock()

    def begin(self, number: int, takes: dict[str, float]) -> None:
        with self._lock:
            self._taken[number] = takes
            self.most_at_once = max(self.most_at_once, len(self._taken))
            for name, most in self.has.items():
                total = sum(Fraction(str(one.get(name, 0))) for one in self._taken.values())
                assert total <= most, f"{total} of {name} are taken, and there are {most}"

    def end(self, number: int) -> None:
        with self._lock:
            del self._taken[number]

    def task(self, number: int, takes: dict[str, float], executor: str | None = None) -> Any:
        """A task that takes this, and returns its number and what it was given."""

        def work(*inputs: Any) -> Any:
            self.begin(number, takes)
            time.sleep(0.001)
            self.end(number)
            return number, inputs

        return task(work, name=f"work-{number}", resources=takes, executor=executor)


_takes = st.fixed_dictionaries(
    {}, optional={"cpus": st.sampled_from([0.5, 1, 2, 3]), "disk": st.integers(1, 2), "gpus": st.just(1)}
)


@settings(max_examples=laws.examples(200, 12), deadline=None)
@given(st.lists(st.tuples(_takes, st.integers(0, 2), st.sampled_from(["inline", None])), max_size=8))
def test_what_runs_never_takes_more_than_there_is_and_all_ends_as_plain_evaluation_has_it(demands):
    machine = Watched(cpus=3, disk=2, gpus=1)
    calls: list[Any] = []
    for number, (takes, width, executor) in enumerate(demands):
        calls.append(machine.task(number, takes, executor)(*calls[-width:] if width else ()))
    plain = evaluate(dag_of(calls))

    run = Flow("f", calls).run(db=None, executor="thread", resources=machine.has)

    assert run.result == plain


@pytest.mark.parametrize("executor", ["process", "thread", "async", "inline"])
def test_each_executor_runs_calls_that_take_all_of_a_machine_one_after_the_other(executor, tmp_path):
    lock = tmp_path / "lock"

    @task(resources={"telescope": 1})
    def look(star: int) -> int:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        time.sleep(0.001)
        lock.unlink()
        return star

    # Each would fail at the file of another that runs beside it.
    stars = list(range(6))
    run = Flow("stars", look.map(stars)).run(db=None, executor=executor, resources={"telescope": 1})
    assert run.result == stars


def test_coroutines_take_their_turns_too():
    machine = Watched(telescope=2)

    async def look(star: int) -> int:
        machine.begin(star, {"telescope": 1})
        await asyncio.sleep(0.001)
        machine.end(star)
        return star

    calls = task(look, resources={"telescope": 1}).map(range(20))
    assert Flow("stars", calls).run(db=None, resources=machine.has).result == list(range(20))
    assert machine.most_at_once <= 2


def test_executors_of_one_run_share_the_machine():
    machine = Watched(cpus=1)
    with PoolExecutor(ThreadPoolExecutor(4)) as pool:
        places = ("thread", "inline", pool)
        calls = [machine.task(n, {"cpus": 1}, places[n % 3])() for n in range(12)]
        run = Flow("f", calls).run(db=None, resources={"cpus": 1})
    assert [number for number, _ in run.result] == list(range(12))
    assert machine.most_at_once == 1


def test_calls_that_fit_run_beside_each_other():
    together = threading.Barrier(3)

    @task(resources={"cpus": 1}, executor="thread")
    def meet(_number: int) -> int:
        return together.wait(_PATIENCE_S)

    run = Flow("f", meet.map(range(3))).run(db=None, resources={"cpus": 3})
    assert sorted(run.result) == [0, 1, 2]


def test_a_call_that_takes_nothing_waits_for_nobody():
    released = threading.Event()

    @task(resources={"telescope": 1})
    def look() -> bool:
        return released.wait(_PATIENCE_S)

    @task
    def release() -> None:
        released.set()

    run = Flow("f", [look(), look(), release()]).run(db=None, executor="thread", resources={"telescope": 1})
    assert run.result == [True, True, None]


def test_each_process_sees_its_own_gpus_alone_and_ends_with_its_call(tmp_path):
    @task(resources={"gpus": 1})
    def use(number: int) -> tuple[str, int]:
        # Both are here at the same time.
        (tmp_path / str(number)).touch()
        until = time.monotonic() + _PATIENCE_S
        while not (tmp_path / str(number ^ 1)).exists():
            assert time.monotonic() < until
            time.sleep(0.005)
        return os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()

    @task
    def after(_used: object) -> tuple[str | None, int]:
        return os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()

    used = use.map(range(2))
    run = Flow("f", [used, after(used)]).run(
        db=None, executor="process", max_workers=2, resources={"gpus": 2}
    )
    of_calls, (seen, pid) = run.result
    assert sorted(gpus for gpus, _ in of_calls) == ["0", "1"]
    assert pid not in [one for _, one in of_calls]
    assert seen == os.environ.get("CUDA_VISIBLE_DEVICES")


def test_gpus_are_those_that_cuda_may_see(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, 3,-1,4")

    @task(resources={"gpus": 2})
    def use() -> str:
        return os.environ["CUDA_VISIBLE_DEVICES"]

    assert Flow("f", use()).run(db=None).result == "GPU-a,3"
    with pytest.raises(NoRoomError, match="this machine has gpus: 2"):
        Flow("f", use.options(resources={"gpus": 3})()).run(db=None)


# --- what never fits -----------------------------------------------------------------------


def test_a_call_that_never_fits_is_refused_before_anything_runs(tmp_path):
    ran = tmp_path / "ran"

    @task
    def first() -> None:
        ran.touch()

    @task(resources={"telescope": 2, "cpus": 1})
    def look(_before: None) -> None: ...

    with pytest.raises(NoRoomError) as caught:
        Flow("f", look(first())).run(db=tmp_path / "f.db", executor="inline", resources={"telescope": 1})
    assert str(caught.value).startswith("task look takes telescope: 2, and this machine has telescope: 1")
    assert not ran.exists()
    assert not (tmp_path / "f.db").exists()


def test_a_call_that_a_task_returns_and_that_never_fits_fails_that_task():
    @task(resources={"memory": "900TB"})
    def large() -> None: ...

    @task
    def grow() -> Any:
        return large()

    run = Flow("f", [grow(), task(abs)(-1)]).run(db=None, executor="thread", check=False)
    assert run.tasks["grow"].state == "failed"
    assert "task large takes memory: 900TB" in str(run.tasks["grow"].error)
    assert run.tasks["abs"].state == "succeeded"


def test_calls_that_tasks_return_take_what_their_own_task_says():
    machine = Watched(telescope=1)

    def looks(star: int, *_after: int) -> int:
        machine.begin(star, {"telescope": 1})
        time.sleep(0.002)
        machine.end(star)
        return star

    # The same function under the same name, once without and once with.
    look = task(looks)

    @task
    def grow() -> Any:
        alone = look(0)
        return look.options(resources={"telescope": 1}).map(range(1, 8), unmapped(alone))

    run = Flow("f", grow()).run(db=None, executor="thread", resources={"telescope": 1})
    assert run.result == list(range(1, 8))


def test_who_waits_for_one_that_can_not_begin_beside_it_is_told():
    @task(resources={"telescope": 1})
    def waits(context: Context) -> Any:
        return context.get("sets")

    @task(resources={"telescope": 1}, name="sets")
    def sets() -> int:
        return 1

    run = Flow("f", [waits(), sets()]).run(
        db=None, executor="thread", resources={"telescope": 1}, check=False
    )
    assert run.tasks["waits"].state == "failed"
    assert "can't run or end while this one waits" in str(run.tasks["waits"].error)
    assert run.tasks["sets"].state == "succeeded"


# --- how they are given out ----------------------------------------------------------------


class Alone(Bench):
    """A lane whose calls are given out alone; `most_out` is how many were given out and had not ended."""

    alone = True
    gpus: str | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.given = self.most_out = 0

    def take(self, count: int) -> list[Call]:
        taken = [call._replace(gpus=self.gpus) for call in super().take(count)]
        self.given += len(taken)
        self.most_out = max(self.most_out, self.given - len(self.ended))
        return taken


@pytest.mark.parametrize(
    "make",
    [lambda work: ProcessExecutor(work, 1, 0.1), lambda work: ThreadExecutor(work, 1)],
    ids=["process", "thread"],
)
def test_a_call_that_takes_something_waits_behind_no_other(make):
    with Alone(make, lambda number: number) as bench:
        bench.call(200)
        bench.run(lambda: len(bench.finished) == 200)
    assert bench.most_out == 1


def test_no_call_is_given_to_a_process_that_is_about_to_end_for_its_gpus():
    with Alone(lambda work: ProcessExecutor(work, 1, 0.1), lambda number: number) as bench:
        bench.gpus = "0"
        bench.call(4)
        bench.run(lambda: len(bench.finished) == 4)
    assert bench.given == 4


class Reluctant(InlineExecutor):
    """Gives each call back once before it runs it."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._back: list[int] = []
        self._known: set[int] = set()

    def fill(self, lane: Lane) -> None:
        (call,) = lane.take(1)
        if call.node in self._known:
            super().fill(One(call))
        else:
            self._known.add(call.node)
            self._back.append(call.node)

    def look_at(self) -> float | None:
        return 0.0 if self._back else super().look_at()

    def look(self, now: float) -> list[News]:
        back, self._back = self._back, []
        return [News("reluctant", returned=back), *super().look(now)]


class One:
    """A lane with one call."""

    alone, needs = False, ()

    def __init__(self, call: Call) -> None:
        self._calls = [call]

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, count: int) -> list[Call]:
        return [self._calls.pop()]

    def follow(self, call: Call, /) -> Call | None:
        return None


class ReluctantFactory:
    name, remote = "reluctant", False

    def make(self, work: Work, _settings: Any) -> Reluctant:
        return Reluctant(work)


def test_a_call_that_comes_back_without_having_begun_gives_back_what_it_held():
    look = task(abs, resources={"telescope": 1})
    flow = Flow("f", [look(-1), look(-2), look(-3)])
    assert flow.run(db=None, executor=ReluctantFactory(), resources={"telescope": 1}).result == [1, 2, 3]


def test_the_longest_path_goes_first_whoever_takes_something():
    order: list[int] = []

    @task
    def note(number: int, *_before: None) -> None:
        order.append(number)

    taking = note.options(resources={"cpus": 1})
    calls = [taking(3), note(2, taking(1, note(0)))]
    Flow("f", calls).run(db=None, executor="inline", resources={"cpus": 1})
    assert order[0] == 0
    order.clear()
    calls = [note(3), note(2, note(1, taking(0)))]
    Flow("f", calls).run(db=None, executor="inline", resources={"cpus": 1})
    assert order[0] == 0


# --- the rest ------------------------------------------------------------------------------


def test_a_failed_attempt_gives_back_what_it_held():
    tries: list[int] = []

    @task(resources={"telescope": 1}, retries=2)
    def look() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("clouds")
        return len(tries)

    run = Flow("f", [look(), task(abs, resources={"telescope": 1})(-2)]).run(
        db=None, executor="thread", resources={"telescope": 1}
    )
    assert run.result == [3, 2]


def test_other_resources_lose_no_result(tmp_path):
    ran, fails = tmp_path / "ran", tmp_path / "fails"

    @task
    def first() -> int:
        # Not twice.
        ran.touch(exist_ok=False)
        return 1

    def second(one: int) -> int:
        if fails.exists():
            raise OSError
        return one + 1

    def flow_with(**resources: float) -> Flow[..., int]:
        last = task(second, resources=resources)
        return Flow("f", last(first.options(resources=resources)()))

    db = tmp_path / "f.db"
    fails.touch()
    with pytest.raises(RunFailed):
        flow_with(cpus=1).run(db=db, executor="thread")
    fails.unlink()
    assert flow_with(memory=1000).resume(db=db, executor="thread").result == 2


def test_the_store_has_what_tasks_take_and_what_the_run_was_told(tmp_path):
    db = tmp_path / "f.db"
    Flow("f", task(abs, resources={"cpus": 1, "memory": "1MB"})(-1)).run(
        db=db, executor="inline", resources={"telescope": 1}
    )
    with sqlite3.connect(db) as connection:
        ((policy, told),) = connection.execute(
            "SELECT task.policy ->> 'resources', run.settings ->> 'resources' FROM task JOIN run"
        )
    assert policy == '{"cpus":1,"memory":1000000}'
    assert told == '{"telescope":1}'


def test_in_a_test_nothing_has_to_be_there():
    use = task(abs, resources={"gpus": 64})
    with inline():
        assert Flow("f", use(-1)).run(db=None).result == 1


def test_a_flow_may_say_what_the_machine_has():
    use = task(abs, resources={"telescope": 1})(-1)
    assert Flow("f", use, resources={"telescope": 1}).run(db=None, executor="inline").result == 1
    with pytest.raises(SettingError, match="a run: resources"):
        Flow("f", use).run(db=None, resources=3)  # type: ignore[arg-type]


def test_what_the_machine_has_is_found():
    has = dict(Machine.of(None).amounts)
    assert has["cpus"] == cores()
    assert 2**20 < has["memory"] <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    takes = task(abs, resources={"cpus": cores(), "memory": has["memory"]})
    assert Flow("f", takes(-1)).run(db=None, executor="inline").result == 1
