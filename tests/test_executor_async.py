"""The async executor: coroutine functions on one event loop, with timeouts and cancelling."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from support.executors import Bench

from liteflow import Flow, Run, RunFailed, task
from liteflow.executor.coroutines import AsyncExecutor


def here() -> tuple[int, str]:
    """Which process and thread this is."""
    return os.getpid(), threading.current_thread().name.rstrip("0123456789")


LOOP = (os.getpid(), "liteflow-async-")
THREAD = (os.getpid(), "liteflow-thread-")


@task
async def where() -> tuple[int, str]:
    return here()


@task
def plainly_where() -> tuple[int, str]:
    return here()


def run(expression: Any, **options: Any) -> Run[Any]:
    return Flow("f", expression).run(**{"db": None, "check": False, **options})


class Meeting:
    """Lets everybody go when so many have come; `most` is how many were there at once."""

    def __init__(self, expected: int) -> None:
        self.expected, self.there, self.most = expected, 0, 0
        self.all_there = asyncio.Event()

    async def come(self) -> None:
        self.there += 1
        self.most = max(self.most, self.there)
        if self.there == self.expected:
            self.all_there.set()
        await self.all_there.wait()
        self.there -= 1


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What holds up whoever waits for it, until the test ends at the latest."""
    event = threading.Event()
    yield event
    event.set()


# --- where -----------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["process", "thread", "async"])
def test_a_coroutine_function_runs_on_the_event_loop_whatever_the_flow_names(executor):
    assert run(where(), executor=executor).result == LOOP


def test_a_coroutine_function_runs_elsewhere_if_its_task_says_so():
    elsewhere = run([where.options(executor=name)() for name in ("thread", "process")]).result

    assert elsewhere[0] == THREAD
    assert elsewhere[1][0] != os.getpid()


def test_inline_means_all_of_it():
    assert run(where(), executor="inline").result == here()


def test_a_plain_function_on_the_async_executor_runs_in_a_thread_and_holds_up_no_loop():
    assert run(plainly_where(), executor="async").result == THREAD
    assert run(plainly_where.options(executor="async")()).result == THREAD


def test_one_run_may_use_several_executors_at_a_time():
    calls = {name: plainly_where.options(executor=name)() for name in ("process", "thread", "inline")}

    places = run({**calls, "async": where()}).result

    assert places["thread"] == THREAD
    assert places["async"] == LOOP
    assert places["inline"] == here()
    assert places["process"][0] != os.getpid()


# --- at once ---------------------------------------------------------------------------------


def test_two_thousand_coroutines_wait_at_once():
    meeting = Meeting(2000)

    @task
    async def meet(n: int) -> int:
        await meeting.come()
        return n

    assert run([meet(n) for n in range(2000)]).result == list(range(2000))


@pytest.mark.parametrize("limit", [3, {"async": 3, "thread": 1}])
def test_no_more_run_at_once_than_the_limit_says(limit):
    meeting = Meeting(3)

    @task
    async def meet() -> None:
        await meeting.come()

    assert run([meet() for _ in range(9)], max_workers=limit).state == "succeeded"
    assert meeting.most == 3


def test_what_depends_on_a_coroutine_gets_its_value_and_the_other_way_round():
    @task
    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    @task
    def doubled(n: int) -> int:
        return 2 * n

    assert run(later(1) >> doubled() >> later() >> doubled()).result == 10


# --- timeouts --------------------------------------------------------------------------------


def test_a_coroutine_over_its_time_is_cancelled_where_it_waits_and_can_tidy_up():
    tidied = []

    @task(timeout=0.05)
    async def waits() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            tidied.append("up")

    ended = run(waits())

    assert ended.tasks["waits"].error == "TimeoutError: ran for over 0.05 s"
    assert isinstance(ended.failure.__cause__, TimeoutError)
    assert tidied == ["up"]


def test_a_timeout_is_retried_as_the_policy_says():
    tries = []

    @task(timeout=0.3, retries=2, retry_on=TimeoutError)
    async def waits() -> int:
        tries.append(1)
        await asyncio.sleep(1000 if len(tries) < 3 else 0)
        return len(tries)

    assert run(waits()).result == 3


def test_a_coroutine_that_swallows_its_cancelling_is_left_to_itself_after_the_grace():
    async def deaf() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)

    ended = run(task(deaf).options(timeout=0.05)(), grace=0.05)

    assert "does not end when it is cancelled" in ended.tasks["deaf"].error


def test_what_a_coroutine_returns_after_its_time_counts_no_more():
    async def stubborn() -> int:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1000)
        return 5

    ended = run(task(stubborn).options(timeout=0.05)())

    assert ended.tasks["stubborn"].error == "TimeoutError: ran for over 0.05 s"


def test_a_call_that_holds_up_the_loop_is_found_out_and_calls_after_it_go_to_a_new_loop(gate):
    @task(timeout=0.1, executor="async")
    async def holds_up() -> None:
        gate.wait()

    ended = run([holds_up(), where()], grace=0.1, max_workers=1)

    assert "holds up the event loop" in ended.tasks["holds_up"].error
    assert ended.tasks["where"].state == "succeeded"


def test_calls_that_a_held_up_loop_has_not_begun_begin_on_a_new_one(gate):
    began = threading.Event()

    async def one(n: int) -> int:
        if n == 0:
            began.set()
            gate.wait()
        return n

    with Bench(lambda work: AsyncExecutor(work, 10, 0.05), one) as bench:
        bench.call(timeout=0.2)
        bench.run(began.is_set)
        bench.call(3, timeout=5.0)
        bench.run(lambda: bench.finished == {1, 2, 3})

    assert bench.failed[0].outcome == "timed_out"


# --- what coroutines do to each other, and to us ----------------------------------------------


def test_each_coroutine_keeps_what_it_prints_apart_from_what_others_print():
    turns = Meeting(2)

    @task
    async def talk(name: str) -> None:
        print(name, "begins")
        await turns.come()
        await asyncio.to_thread(print, name, "in a thread")
        await asyncio.create_task(said(name))

    async def said(name: str) -> None:
        print(name, "ends")

    logs = run([talk("a"), talk("b")]).logs

    for key, name in (("talk", "a"), ("talk-2", "b")):
        assert [row.line for row in logs(key)] == [f"{name} begins", f"{name} in a thread", f"{name} ends"]


def test_context_variables_of_one_coroutine_are_unknown_to_others():
    variable: ContextVar[int] = ContextVar("variable", default=0)

    @task
    async def add(n: int) -> int:
        variable.set(variable.get() + n)
        return variable.get()

    variable.set(100)

    assert run([add(1), add(2), add(3)], max_workers=1).result == [1, 2, 3]


def test_an_error_in_a_coroutine_is_its_own_with_no_frame_of_the_library():
    @task
    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("not here")

    ended = run(fails())

    assert isinstance(ended.failure.__cause__, LookupError)
    frames = traceback.format_exception(ended.failure.__cause__)
    assert not [line for line in frames if "liteflow/executor" in line]
    assert [line for line in frames if "test_executor_async.py" in line]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_would_end_a_program_ends_only_the_coroutine_that_raises_it(error):
    @task
    async def raises() -> None:
        raise error

    @task
    async def lets_another_raise() -> None:
        await asyncio.gather(asyncio.create_task(raises.fn()))

    ended = run([raises(), lets_another_raise(), where()])

    assert ended.tasks["raises"].state == ended.tasks["lets_another_raise"].state == "failed"
    assert ended.tasks["where"].state == "succeeded"


def test_what_a_coroutine_leaves_running_is_cancelled_when_the_run_ends():
    left = []

    async def forever() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            left.append("cancelled")

    @task
    async def leaves() -> None:
        left.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)

    run(leaves())

    assert left[1:] == ["cancelled"]


def test_no_thread_is_left_when_runs_have_ended():
    run(where())

    assert [t.name for t in threading.enumerate() if t.name.startswith("liteflow-async")] == []


# --- cancelling ------------------------------------------------------------------------------


def test_a_run_that_is_cancelled_cancels_its_coroutines_and_lets_them_tidy_up(tmp_path: Path):
    waiting, tidied = threading.Event(), []

    @task
    async def waits() -> None:
        waiting.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            tidied.append("up")
            raise

    handle = Flow("f", [waits(), where()]).start(db=tmp_path / "x.db")
    assert waiting.wait(10)
    handle.cancel()
    ended = handle.wait(10)

    assert ended.state == "cancelled"
    assert tidied == ["up"]
    assert {row.key: row.state for row in ended.tasks.values()}["waits"] == "cancelled"


def bench(function: Callable[[int], Any], max_workers: int = 2, grace: float = 0.05) -> Bench:
    return Bench(lambda work: AsyncExecutor(work, max_workers, grace), function)


def test_what_is_cancelled_before_its_first_step_comes_back_as_not_begun(gate):
    began = threading.Event()

    async def one(n: int) -> int:
        if n == 0:
            began.set()
            gate.wait()
        return n

    with bench(one, max_workers=5) as calls:
        calls.call(1)
        calls.run(began.is_set)
        calls.call(4)
        calls.executor.fill(calls)
        calls.cancel(10.0)
        gate.set()
        calls.run(lambda: calls.executor.idle)

    assert calls.finished == {0}
    assert calls.returned == {1, 2, 3, 4}


def test_after_the_grace_nothing_is_waited_for():
    async def deaf(_n: int) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)

    with bench(deaf) as calls:
        calls.call(2)
        calls.run(calls.executor.running)
        calls.cancel(0.05)
        calls.run(lambda: calls.executor.idle)

    assert {failed.outcome for failed in calls.failed.values()} == {"cancelled"}


def test_nothing_starts_after_cancelling():
    async def one(n: int) -> int:
        return n

    with bench(one) as calls:
        calls.cancel(1.0)
        calls.call(3)
        calls.executor.fill(calls)

        assert calls.executor.idle
        assert len(calls) == 3


# --- awaiting runs ---------------------------------------------------------------------------


def test_arun_leaves_the_event_loop_free_and_gives_the_run():
    async def program() -> Any:
        meeting = Meeting(2)

        @task
        async def asks(loop: int) -> int:
            done = asyncio.run_coroutine_threadsafe(meeting.come(), loops[loop])
            return await asyncio.wrap_future(done) or 7

        loops = [asyncio.get_running_loop()]
        ours = asyncio.create_task(meeting.come())
        run = await Flow("f", asks(0)).arun(db=None)
        await ours
        return run.result

    assert asyncio.run(program()) == 7


def test_several_runs_may_be_awaited_at_once():
    async def program() -> list[Any]:
        runs = await asyncio.gather(*[Flow("f", where()).arun(db=None) for _ in range(5)])
        return [one.result for one in runs]

    assert asyncio.run(program()) == [LOOP] * 5


def test_arun_raises_what_run_raises_and_check_says_whether():
    @task
    async def fails() -> None:
        raise LookupError("not here")

    flow = Flow("f", fails())
    with pytest.raises(RunFailed) as caught:
        asyncio.run(flow.arun(db=None))
    unchecked = asyncio.run(flow.arun(db=None, check=False))

    assert isinstance(caught.value.__cause__, LookupError)
    assert unchecked.state == "failed"


def test_a_coroutine_that_is_cancelled_while_it_awaits_a_run_cancels_the_run(tmp_path: Path):
    began = threading.Event()

    @task
    async def waits() -> None:
        began.set()
        await asyncio.sleep(1000)

    async def program() -> None:
        awaiting = asyncio.create_task(Flow("f", waits()).arun(db=tmp_path / "x.db", run_id="one"))
        await asyncio.to_thread(began.wait, 10)
        awaiting.cancel()
        await awaiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(program())

    assert Flow("f", where()).start(db=tmp_path / "y.db").wait(10).state == "succeeded"
    assert state_of(tmp_path / "x.db", "one") == "cancelled"


def test_a_run_that_was_started_can_be_awaited_and_outlives_who_awaits_it(gate):
    @task(executor="thread")
    def waits() -> int:
        gate.wait()
        return 4

    async def program() -> Any:
        handle = Flow("f", waits()).start(db=None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await handle
        assert not handle.done
        gate.set()
        first = (await handle).result
        return first, (await handle).result

    assert asyncio.run(program()) == (4, 4)


@task
async def counts(n: int):
    for i in range(n):
        yield i
    # An asynchronous generator returns nothing.


@pytest.mark.parametrize("kept", [False, True])
def test_astream_gives_what_stream_gives_with_the_loop_free(kept, tmp_path):
    flow = Flow("f", counts())
    options = {"db": tmp_path / "x.db" if kept else None, "n": 3}

    async def program() -> list[Any]:
        return [chunk async for chunk in flow.astream(**options)]

    assert asyncio.run(program()) == list(flow.stream(**options))


def test_the_chunks_of_a_run_come_while_it_goes_on():
    async def program() -> list[Any]:
        go_on = asyncio.Event()
        loop = asyncio.get_running_loop()

        @task
        async def talks():
            yield "first"
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go_on.wait(), loop))
            yield "second"

        seen = []
        async for chunk in Flow("f", talks()).astream(db=None):
            seen.append(chunk.value)
            go_on.set()
        return seen

    assert asyncio.run(program())[:2] == ["first", "second"]


def test_astream_raises_at_its_end_what_the_run_raises():
    @task
    async def fails():
        yield 1
        raise LookupError("not here")

    seen = []

    async def program() -> None:
        async for chunk in Flow("f", fails()).astream(db=None):
            seen.append(chunk.value)

    with pytest.raises(RunFailed):
        asyncio.run(program())
    assert seen[:1] == [1]


@pytest.mark.parametrize("how", ["left", "cancelled"])
def test_whoever_stops_reading_a_stream_cancels_its_run(how, tmp_path):
    @task
    async def talks():
        yield 1
        await asyncio.sleep(1000)

    async def read(until: int) -> None:
        chunks = Flow("f", talks()).astream(db=tmp_path / "x.db", run_id="one")
        async with contextlib.aclosing(chunks):
            async for _ in chunks:
                first.set()
                until -= 1
                if not until:
                    break

    async def program() -> None:
        if how == "left":
            await read(1)
            return
        reading = asyncio.create_task(read(2))
        await first.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    first = asyncio.Event()
    asyncio.run(program())

    assert state_of(tmp_path / "x.db", "one") == "cancelled"


def state_of(path: Path, run_id: str) -> str:
    from liteflow.store.history import History

    with History(path) as history:
        return str(history.find_run(run_id).state)


def test_a_thousand_sleeps_take_hardly_longer_than_one():
    @task
    async def nap(n: int) -> int:
        await asyncio.sleep(0.1)
        return n

    began = time.monotonic()
    assert run([nap(n) for n in range(1000)]).result == list(range(1000))
    # The benchmark has the sharp limit; here the machine may be busy.
    assert time.monotonic() - began < 50
