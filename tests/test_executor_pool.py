"""PoolExecutor: tasks on any concurrent.futures.Executor, shared by threads or in other processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from support.executors import Bench

from liteflow import Context, Flow, NextTask, Run, RunFailed, TaskOutput, task
from liteflow.errors import ContextError, SettingError, TaskNotPicklableError
from liteflow.executor import PoolExecutor, futures
from liteflow.settings import RunSettings

# Pools of other processes than forks can't import the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

FORK = multiprocessing.get_context("fork")


class StrictPool(Executor):
    """Runs a job when it is submitted, as another process would have it: all goes through plain pickle."""

    def __init__(self) -> None:
        self.jobs = 0
        self.parcels: list[Any] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.jobs += 1
        self.parcels.append(args[3])
        future: Future[Any] = Future()
        fn, args, kwargs = pickle.loads(pickle.dumps((fn, args, kwargs)))
        future.set_result(pickle.loads(pickle.dumps(fn(*args, **kwargs))))
        return future


POOLS: dict[str, Callable[[], Executor]] = {
    "threads": lambda: ThreadPoolExecutor(2),
    "forks": lambda: ProcessPoolExecutor(2, mp_context=FORK),
    "strict": StrictPool,
}


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> Iterator[PoolExecutor]:
    with PoolExecutor(POOLS[request.param]()) as made:
        yield made


@pytest.fixture
def threads() -> Iterator[PoolExecutor]:
    with PoolExecutor(ThreadPoolExecutor(2)) as made:
        yield made


@pytest.fixture
def forks() -> Iterator[PoolExecutor]:
    with PoolExecutor(ProcessPoolExecutor(2, mp_context=FORK)) as made:
        yield made


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def run(expression: Any, executor: Any, **options: Any) -> Run[Any]:
    return Flow("f", expression).run(executor=executor, **{"db": None, "check": False, **options})


@task
def number(n: int) -> int:
    return n


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def process() -> int:
    return os.getpid()


@task
def thread() -> str:
    return threading.current_thread().name


# --- what a task gives is the same everywhere ------------------------------------------------


def test_a_flow_gives_on_a_pool_what_it_gives_anywhere(pool):
    expression = {"sums": [add(number(n), b=n) for n in range(50)], "last": number(1) >> add(b=2) >> add(b=3)}

    ended = run(expression, pool)

    assert ended.result == {"sums": [2 * n for n in range(50)], "last": 6}


def test_large_values_go_both_ways(pool):
    def grown(data: bytes) -> bytes:
        return data + b"!"

    data = bytes(300_000)

    assert run(task(grown)(data) >> task(grown)() >> task(grown)(), pool).result == data + b"!!!"


def test_an_error_on_a_pool_is_the_tasks_own(pool):
    def fails(n: int) -> int:
        raise LookupError(f"no {n}")

    with pytest.raises(RunFailed) as caught:
        run(task(fails)(3), pool, check=True)

    assert isinstance(caught.value.__cause__, LookupError)
    assert "no 3" in str(caught.value.__cause__)


def test_a_result_of_the_wrong_type_or_that_cannot_be_kept_is_told_as_anywhere(pool):
    def lies() -> int:
        return "text"  # type: ignore[return-value]

    def locks() -> Any:
        return threading.Lock()

    ended = run([task(lies)(), task(locks)()], pool)

    assert "ResultTypeError" in ended.tasks["lies"].error
    assert "lock" in ended.tasks["locks"].error


def test_what_tasks_print_is_kept_and_shown_once(pool, capsys):
    def talk(n: int) -> None:
        print("number", n)
        print("oh", file=sys.stderr)

    ended = run([task(talk)(n) for n in range(3)], pool)

    lines = [(row.stream, row.line) for row in ended.logs("talk-2")]
    assert lines == [("stdout", "number 1"), ("stderr", "oh")]
    assert sorted(capsys.readouterr().out.splitlines()) == ["number 0", "number 1", "number 2"]


def test_attempts_are_retried(pool, tmp_path):
    def flaky(marker: str) -> str:
        if not Path(marker).exists():
            Path(marker).touch()
            raise OSError("not yet")
        return "done"

    assert run(task(flaky).options(retries=1)(str(tmp_path / "marker")), pool).result == "done"


def test_coroutine_functions_run_there_if_their_task_says_so(pool):
    async def later() -> int:
        return 5

    assert run(task(later).options(executor=pool)(), "thread").result == 5


def test_a_run_with_a_pool_can_be_resumed_on_another(tmp_path, pool):
    marker = tmp_path / "marker"

    def fails_first(a: int) -> int:
        if not marker.exists():
            raise OSError("not yet")
        return a + 1

    flow = Flow("f", number(4) >> task(fails_first)())
    first = flow.run(db=tmp_path / "x.db", executor=pool, check=False)
    marker.touch()
    again = flow.resume(db=tmp_path / "x.db", executor="thread")

    assert first.state == "failed"
    assert (again.id, again.result) == (first.id, 5)


def test_times_of_a_pool_in_other_processes_lie_within_the_run(forks):
    def slow() -> int:
        time.sleep(0.05)
        return 1

    began = time.time()
    rows = run(task(slow)() >> number(), forks).tasks
    slow_row, next_row = rows["slow"], rows["number"]

    assert began - 0.001 <= slow_row.started_at <= slow_row.ended_at - 0.05
    assert slow_row.ended_at <= next_row.started_at + 0.001
    assert next_row.ended_at <= time.time()


def test_several_runs_on_a_pool_share_a_store(pool, tmp_path):
    flow = Flow("f", add(number(), 1))

    runs = [flow.run(db=tmp_path / "x.db", executor=pool, n=n) for n in (1, 2)]

    assert [one.output("number") for one in runs] == [1, 2]
    assert [one.result for one in runs] == [2, 3]


# --- pools of threads ------------------------------------------------------------------------


def test_threads_take_functions_that_could_not_be_pickled(threads):
    lock = threading.Lock()

    def hold() -> str:
        with lock:
            return threading.current_thread().name

    assert run(task(hold)(), threads).result.startswith("ThreadPoolExecutor")


# --- pools of processes ----------------------------------------------------------------------


def test_what_cannot_travel_is_told_before_anything_runs(forks, tmp_path):
    lock = threading.Lock()
    marker = tmp_path / "marker"

    def touch() -> None:
        marker.touch()

    def hold() -> None:
        with lock:
            pass

    with pytest.raises(TaskNotPicklableError, match="hold"):
        run(task(touch)() >> task(hold)(), forks)
    assert not marker.exists()


def test_spawned_processes_need_no_part_of_the_program():
    scale = 3

    def scaled(n: int) -> int:
        return scale * n

    with PoolExecutor(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))) as pool:
        assert run([task(scaled)(n) for n in range(3)], pool).result == [0, 3, 6]


# A pool whose workers know nothing of the script: each job has a fresh interpreter.
STRANGERS = """\
import pickle, subprocess, sys
from concurrent.futures import Executor, Future
WORKER = (
    "import pickle, sys; fn, args = pickle.load(sys.stdin.buffer); "
    "sys.stdout.buffer.write(pickle.dumps(fn(*args)))"
)
class Strangers(Executor):
    def submit(self, fn, /, *args):
        done = subprocess.run(
            [sys.executable, "-c", WORKER], input=pickle.dumps((fn, args)), capture_output=True, check=True
        )
        future = Future()
        future.set_result(pickle.loads(done.stdout))
        return future
"""


@pytest.mark.parametrize("kind", ["fork", "spawn", "strangers"])
def test_a_class_of_the_script_is_itself_again(kind, tmp_path):
    if kind == "strangers":
        (tmp_path / "strangers.py").write_text(STRANGERS)
        make = "__import__('strangers').Strangers()"
    else:
        make = f"ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({kind!r}))"
    script = tmp_path / "script.py"
    script.write_text(
        "import enum, multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from liteflow import Flow, task\n"
        "from liteflow.executor import PoolExecutor\n"
        "class Colour(enum.Enum):\n"
        "    RED = 1\n"
        "@task\n"
        "def paint() -> Colour: return Colour.RED\n"
        "@task\n"
        "def is_red(colour: Colour) -> bool: return colour is Colour.RED\n"
        "if __name__ == '__main__':\n"
        f"    with PoolExecutor({make}) as pool:\n"
        "        done = Flow('f', [paint(), is_red(paint())]).run(db=None, executor=pool).result\n"
        "        print(done[0] is Colour.RED, done[1])\n"
    )

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "True True\n"


def test_many_short_calls_travel_together():
    pool = StrictPool()

    ended = run([number(n) for n in range(2000)], PoolExecutor(pool, max_workers=2))

    assert ended.result == list(range(2000))
    assert pool.jobs < 1000


def test_calls_with_a_timeout_travel_alone():
    pool = StrictPool()
    quick = number.options(timeout=10)

    ended = run([[number(n) for n in range(200)], [quick(n) for n in range(50)]], PoolExecutor(pool, 2))

    assert ended.result == [list(range(200)), list(range(50))]
    with_timeout = [parcel for parcel in pool.parcels if any(call.timeout for call in parcel)]
    assert [len(parcel) for parcel in with_timeout] == [1] * 50


# --- what goes wrong -------------------------------------------------------------------------


def test_a_pool_that_is_shut_down_is_told_clearly_and_not_tried_again(pool):
    if isinstance(pool.pool, StrictPool):
        pytest.skip("it can't be shut down")
    pool.shutdown()

    ended = run([number.options(retries=5)(1), number(2)], pool)

    error = ended.tasks["number"].error
    assert "shutdown" in error
    assert "takes no calls: give the run one that is open" in error
    assert pool.name in error
    assert ended.tasks["number"].attempts == 1


def test_a_pool_that_is_shut_down_in_the_middle_ends_the_run_with_an_error(gate):
    pool = ThreadPoolExecutor(1)
    began = threading.Event()

    def waits() -> None:
        began.set()
        gate.wait()

    handle = Flow("f", [task(waits)(), number(1)]).start(db=None, executor=PoolExecutor(pool, 5))
    assert began.wait(10)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    ended = handle.wait(10)

    assert ended.tasks["waits"].state == "succeeded"
    assert "takes no calls" in ended.tasks["number"].error


def test_a_worker_that_dies_costs_its_attempt_and_says_that_it_was_lost(forks):
    def dies() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RunFailed) as caught:
        run(task(dies)(), forks, check=True)

    assert "BrokenProcessPool" in str(caught.value)
    assert "the attempt is lost with its worker" in str(caught.value)


def test_a_worker_that_is_forked_during_a_run_ends_when_it_is_told_to(forks):
    """How `ProcessPoolExecutor` ends those that are left when one has died, and then waits for them."""

    def ends() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "it goes on"

    with pytest.raises(RunFailed, match="BrokenProcessPool"):
        run(task(ends)(), forks, check=True)


def test_a_pool_that_recovers_gets_the_attempt_again():
    class Recovers(StrictPool):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.jobs:
                return super().submit(fn, *args, **kwargs)
            self.jobs += 1
            future: Future[Any] = Future()
            future.set_exception(ConnectionError("worker gone"))
            return future

    assert run(number.options(retries=1)(4), PoolExecutor(Recovers())).result == 4


# --- timeouts and cancelling -----------------------------------------------------------------


def test_a_thread_over_its_time_is_left_to_itself_and_keeps_its_place(gate):
    def waits() -> None:
        gate.wait()

    began = time.monotonic()
    with PoolExecutor(ThreadPoolExecutor(2)) as pool:
        ended = run([task(waits).options(timeout=0.1)(), [number(n) for n in range(5)]], pool)
        assert time.monotonic() - began >= 0.1
        gate.set()

    assert ended.tasks["waits"].error.startswith("TimeoutError: ran for over 0.1 s; it can't be ended there")
    assert ended.tasks["number-5"].state == "succeeded"


def test_the_time_of_a_call_begins_when_a_thread_has_it_not_when_it_waits_for_one(gate):
    busy = ThreadPoolExecutor(1)
    busy.submit(gate.wait)

    handle = Flow("f", number.options(timeout=0.4)(4)).start(db=None, executor=PoolExecutor(busy))
    with pytest.raises(TimeoutError):
        handle.wait(0.5)
    gate.set()

    assert handle.result(10) == 4
    busy.shutdown()


def test_a_process_over_its_time_is_left_to_itself(tmp_path):
    released = tmp_path / "released"

    def waits(path: str) -> None:
        while not Path(path).exists():
            time.sleep(0.01)

    with PoolExecutor(ProcessPoolExecutor(2, mp_context=FORK)) as pool:
        ended = run([task(waits).options(timeout=0.2)(str(released)), number(1)], pool)
        released.touch()

    assert "ran for over 0.2 s" in ended.tasks["waits"].error
    assert ended.tasks["number"].state == "succeeded"


def test_when_all_places_are_held_for_good_what_waits_is_given_up(gate, monkeypatch):
    monkeypatch.setattr(futures, "_HELD_S", 0.2)

    def waits() -> None:
        gate.wait()

    held = task(waits).options(timeout=0.1)

    with PoolExecutor(ThreadPoolExecutor(2)) as pool:
        ended = run([held(), held(), number(1)], pool)
        gate.set()

    assert "all 2 places of the pool are held" in ended.tasks["number"].error


def test_a_place_that_is_free_again_is_used(gate):
    def waits() -> None:
        gate.wait()

    def opens() -> None:
        gate.set()

    with PoolExecutor(ThreadPoolExecutor(1)) as pool:
        expression = [task(waits).options(timeout=0.1)(), number(1)]
        handle = Flow("f", expression).start(db=None, executor=pool)
        with pytest.raises(TimeoutError):
            handle.wait(0.5)
        gate.set()
        assert handle.wait(10).tasks["number"].state == "succeeded"


def test_cancelling_takes_back_what_has_not_begun_and_leaves_the_rest(gate):
    began = threading.Event()

    def one(n: int) -> int:
        began.set()
        gate.wait()
        return n

    with ThreadPoolExecutor(1) as pool, bench(PoolExecutor(pool, 3), one) as calls:
        calls.call(3)
        calls.run(began.is_set)
        calls.cancel(1.0)
        calls.run(lambda: calls.executor.idle)
        gate.set()

    assert calls.failed[0].outcome == "cancelled"
    assert calls.returned == {1, 2}


def test_every_call_of_a_pool_ends_exactly_once_however_it_is_cancelled(pool):
    def one(n: int) -> int:
        return n

    for after in range(0, 60, 7):
        with bench(pool, one) as calls:
            calls.call(60)
            calls.run(lambda calls=calls, after=after: len(calls.ended) >= after)
            calls.cancel(0.0)
            calls.run(lambda calls=calls: calls.executor.idle)
            taken = 60 - len(calls)

            assert len(calls.ended) == taken


def bench(pool: PoolExecutor, function: Callable[[int], Any]) -> Bench:
    return Bench(lambda work: pool.make(work, RunSettings(db=None)), function)


# --- choosing one ----------------------------------------------------------------------------


def test_a_pool_may_be_given_to_a_task_a_flow_or_a_run(threads):
    expression = [thread.options(executor=threads)(), thread()]
    name = "ThreadPoolExecutor"

    of_task = run(expression, "inline").result
    of_flow = Flow("f", expression, executor=threads).run(db=None).result

    assert [name in of_task[0], name in of_task[1]] == [True, False]
    assert [name in one for one in of_flow] == [True, True]


def test_several_pools_serve_one_run(threads, forks):
    places = [process.options(executor=threads)(), process.options(executor=forks)(), process()]

    here, fork, worker = run(places, "process").result

    assert here == os.getpid()
    assert len({here, fork, worker}) == 3


def test_several_runs_use_one_pool_at_once(threads):
    handles = [Flow("f", [number(n) for n in range(20)]).start(db=None, executor=threads) for _ in range(5)]

    assert [handle.result(20) for handle in handles] == [list(range(20))] * 5


@pytest.mark.parametrize(
    "given, options",
    [
        ({"max_workers": 2}, {}),
        ({}, {"max_workers": 2}),
        ({"name": "some"}, {"max_workers": {"some": 2}}),
        ({"max_workers": 5}, {"max_workers": 2}),
    ],
)
def test_the_lowest_limit_holds(given, options):
    there, most = 0, 0
    lock = threading.Lock()
    pair = threading.Barrier(2)

    def meet() -> None:
        nonlocal there, most
        with lock:
            there += 1
            most = max(most, there)
        pair.wait(10)
        with lock:
            there -= 1

    with PoolExecutor(ThreadPoolExecutor(8), **given) as pool:
        ended = run([task(meet)() for _ in range(8)], pool, **options)

    assert ended.state == "succeeded"
    assert most == 2


def test_a_pool_as_long_as_it_says_nothing_runs_as_many_as_it_has_workers():
    everybody = threading.Barrier(7)

    with PoolExecutor(ThreadPoolExecutor(7)) as pool:
        assert run([task(lambda: everybody.wait(10) >= 0)() for _ in range(7)], pool).state == "succeeded"


def test_two_pools_of_one_name_in_one_run_are_refused(threads):
    other = PoolExecutor(ThreadPoolExecutor(1), name=threads.name)

    with pytest.raises(SettingError, match="is taken"):
        run([number.options(executor=threads)(1), number.options(executor=other)(2)], "inline")
    other.shutdown()


def test_a_pool_travels_by_its_name(threads):
    again = pickle.loads(pickle.dumps(threads))
    elsewhere = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer).name)"],
        input=pickle.dumps(threads),
        capture_output=True,
        check=True,
    )

    assert again is threads
    assert elsewhere.stdout.decode().strip() == threads.name


def test_calls_that_a_task_returns_run_on_the_pool_that_they_name(threads, forks):
    inner = thread.options(executor=threads)

    def goes_on() -> str:
        return inner()  # type: ignore[return-value]

    for executor in ("thread", "process", forks):
        assert run(task(goes_on)(), executor).result.startswith("ThreadPoolExecutor")


def test_the_record_says_where_it_ran(threads, tmp_path):
    ended = run(number.options(executor=threads)(1), "inline", db=tmp_path / "x.db")

    assert ended.tasks["number"].worker == threads.name


@pytest.mark.parametrize("wrong", [None, 5, "threads", ThreadPoolExecutor])
def test_what_is_no_pool_is_refused(wrong):
    with pytest.raises(SettingError, match=r"concurrent\.futures\.Executor, such as ThreadPoolExecutor\(4\)"):
        PoolExecutor(wrong)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_a_limit_is_a_number_of_calls(wrong):
    with ThreadPoolExecutor(1) as pool, pytest.raises(SettingError, match="a whole number from 1, or None"):
        PoolExecutor(pool, wrong)


def test_loky_serves_as_any_pool():
    loky = pytest.importorskip("loky")
    with PoolExecutor(loky.get_reusable_executor(2)) as pool:
        assert run([add(number(n), 1) for n in range(50)], pool).result == list(range(1, 51))


# --- a pool that runs calls in the thread which gives it them ---------------------------------


@pytest.fixture
def here() -> Iterator[PoolExecutor]:
    with PoolExecutor(StrictPool()) as made:
        yield made


@task
def shared(n: int, context: Context) -> int:
    before = context.get(f"shared[{n - 1}]") if n else 0
    context.update("sum", lambda so_far: so_far + n, 0)
    context.get_stream().put(before)
    return before + n


@task
def of_another(key: str, context: Context) -> object:
    return context.get(key)


def test_calls_in_the_drivers_own_thread_share_values_and_give_chunks(here):
    flow = Flow("f", shared.map(range(5)), db=None, executor=here)

    given = [chunk.value for chunk in flow.stream() if chunk.task_id == "shared[4]"]

    assert given == [6, 10]
    assert flow.context.get("sum") == 10


def test_calls_in_the_drivers_own_thread_say_what_runs_next(here):
    made = Flow(db=None, executor=here)
    made.add_task(
        "split", lambda _: TaskOutput(3, [NextTask("part", n, spawn_another=True) for n in range(3)])
    )
    made.add_task("part", lambda context, n: TaskOutput(context.get("split") * n, [NextTask("join")]))
    made.add_task("join", lambda context: TaskOutput(context.get("part")))

    assert made.run("split") == {"join": 6}


def test_a_call_in_the_drivers_own_thread_is_told_what_it_would_wait_for_in_vain(here):
    run = Flow("f", [of_another("number"), number(1)]).run(db=None, executor=here, check=False)

    assert isinstance(run.failure.__cause__, ContextError)
    assert "it is not there yet, and nothing else runs while this thread waits" in str(run.failure)
