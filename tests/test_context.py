"""The values that the tasks of a run share: the same on every executor, kept, and never a hang."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.drivers import until

from liteflow import Context, Flow, flow, task
from liteflow.errors import ContextError, NotPicklableError, RunFailed, SettingError, UnknownNameError
from liteflow.executor import PoolExecutor
from liteflow.executor.door import Door, Visit
from liteflow.executor.talk import Talk


def made(kind: str) -> Iterator[Any]:
    """An executor as flows take it; "forks" are processes of a pool that is not ours."""
    if kind != "forks":
        yield kind
        return
    with PoolExecutor(ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork"))) as pool:
        yield pool


@pytest.fixture(params=["process", "thread", "inline", "async", "forks"])
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from made(request.param)


@pytest.fixture(params=["process", "thread", "inline", "forks"])
def waiting(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An executor on which a plain function may wait; a coroutine does it by `aget`."""
    yield from made(request.param)


@pytest.fixture(params=["process", "thread", "forks"])
def parallel(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One on which calls that wait do not lie on each other."""
    yield from made(request.param)


@task
def put(key: str, value: Any, context: Context) -> None:
    context.set(key, value)


@task
def got(key: str, context: Context) -> Any:
    return context.get(key)


@task
def count(n: int, context: Context) -> int:
    return int(context.update("count", lambda before: before + n, 0))


def failure_of(recipe: Any, executor: Any, **more: Any) -> str:
    with pytest.raises(RunFailed) as caught:
        Flow("f", recipe).run(db=None, executor=executor, **more)
    assert isinstance(caught.value.__cause__, ContextError)
    return str(caught.value.__cause__)


# --- on every executor ---------------------------------------------------------------------


def test_what_one_task_sets_another_gets(executor):
    assert Flow("f", put("a", {"b": [1]}) >> got("a").named("after")).run(db=None, executor=executor)[
        "after"
    ] == {"b": [1]}


def test_a_value_that_is_got_is_a_copy(executor):
    @task
    def changes(context: Context):
        context.set("items", [1])
        context.get("items").append(2)
        return context.get("items")

    assert Flow("f", changes()).run(db=None, executor=executor)["changes"] == [1]


def test_updates_of_many_tasks_are_all_counted(executor):
    run = Flow("f", [count(n) for n in range(100)]).run(db=None, executor=executor, max_workers=4)

    assert run.context.get("count") == sum(range(100))


def test_what_many_have_appended_to_one_list_is_all_there(executor):
    @task
    def append(n: int, context: Context):
        items = context.get("items")
        items.append(n)
        context.set("items", items)

    run = Flow("f", [append(n) for n in range(40)], context={"items": []}).run(
        db=None, executor=executor, max_workers=4
    )

    assert sorted(run.context.get("items")) == list(range(40))


def test_a_tasks_output_is_there_under_its_key(executor):
    @task
    def outputs(_after: Any, context: Context):
        return context.get("source"), context.get("source-2", None), context.to_dict()["source"]

    @task
    def source():
        return 5

    assert Flow("f", outputs(source())).run(db=None, executor=executor)["outputs"] == (5, None, 5)


def test_the_value_of_a_task_that_grew_is_made_of_its_parts(executor):
    @task
    def double(n: int) -> int:
        return 2 * n

    @task
    def goes_on(n: int) -> Any:
        return [double(n), double(n + 1)]

    run = Flow(
        "f", [goes_on(1), double.map([1, 2]).named("each"), got("goes_on"), got("each").named("all")]
    ).run(db=None, executor=executor)

    assert (run["got"], run["all"]) == ([2, 4], [2, 4])


@task
def all_that_is_there(_: object, context: Context) -> dict[str, Any]:
    return context.to_dict()


def test_a_tasks_output_takes_the_place_of_a_value_that_the_run_started_from(executor):
    start = {"count": 5, "seen": 3, "before": 0}
    before = all_that_is_there(1).named("before")
    made = Flow("f", all_that_is_there(before).named("seen"), context=start, db=None, executor=executor)

    assert made.run().result == {"count": 5, "seen": 3, "before": start}
    assert made.context.to_dict() == {"count": 5, "seen": made.run().result, "before": start}
    assert made.context.get("before") == start


@task
def chained(n: int, context: Context) -> int:
    return context.get(f"chained[{n - 1}]") + 1 if n else 0


def test_what_has_just_ended_is_there(waiting):
    assert Flow("f", chained.map(range(6))).run(db=None, executor=waiting).result == list(range(6))


def test_a_default_is_given_at_once(executor):
    @task
    def asks(context: Context):
        return context.get("nothing", "default"), context.get("nothing", None)

    assert Flow("f", asks()).run(db=None, executor=executor)["asks"] == ("default", None)


def test_two_that_wait_for_a_third_let_it_run_in_their_place(waiting):
    run = Flow("f", [got("a"), got("a"), put("a", 3)]).run(db=None, executor=waiting, max_workers=2)

    assert (run["got"], run["got-2"]) == (3, 3)


def test_what_waits_for_a_task_that_is_still_to_come_gets_its_output(waiting):
    @task
    def last(_after: Any):
        return "there"

    first = put("a", 1)
    run = Flow("f", [got("last"), last(first)]).run(db=None, executor=waiting, max_workers=1)

    assert run["got"] == "there"


def test_coroutines_wait_while_others_go_on():
    @task
    async def asks(context: Context):
        return await context.aget("answers")

    @task
    async def answers():
        return 42

    assert Flow("f", [asks(), answers()]).run(db=None)["asks"] == 42


def test_a_coroutine_that_would_hold_up_the_others_is_told_so():
    @task
    async def asks(context: Context):
        return context.get("nothing")

    assert "aget" in failure_of([asks()], "async")


def test_a_value_that_nobody_gives_is_an_error_when_all_others_have_ended(waiting):
    assert "'nothing'" in failure_of([got("nothing"), put("a", 1)], waiting)


def test_two_that_wait_for_each_other_are_told(waiting):
    @task
    def one(context: Context):
        return context.get("other")

    @task
    def other(context: Context):
        return context.get("one")

    with pytest.raises(RunFailed) as caught:
        Flow("f", [one(), other()]).run(db=None, executor=waiting, max_workers=2)
    assert "can't run or end" in str(caught.value)


def test_who_waits_for_what_follows_from_it_is_told(waiting):
    @task
    def follows(_after: Any):
        pass

    assert "follows" in failure_of([follows(got("follows"))], waiting)


def test_who_waits_for_a_task_that_fails_is_told(waiting):
    @task
    def fails():
        raise ValueError

    run = Flow("f", [got("fails"), fails()]).run(db=None, executor=waiting, check=False, max_workers=2)

    assert "has no output: it is failed" in str(run.tasks["got"].error)


def test_who_caught_the_error_goes_on(parallel):
    @task
    def asks(context: Context):
        try:
            return context.get("nothing")
        except ContextError:
            context.set("nothing", "mine")
            return "gave it"

    run = Flow("f", [asks(), got("asks")]).run(db=None, executor=parallel, max_workers=2)

    assert run["got"] == "gave it"


def test_threads_of_a_task_may_ask_at_once(executor):
    @task
    def asks(context: Context):
        threads = [threading.Thread(target=context.update, args=("n", lambda n: n + 1, 0)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return context.get("n")

    assert Flow("f", asks()).run(db=None, executor=executor)["asks"] == 20


def test_large_values_are_shared_too(executor):
    large = bytes(5_000_000)

    assert (
        Flow("f", put("a", large) >> got("a").named("after")).run(db=None, executor=executor)["after"]
        == large
    )


def test_what_can_not_be_pickled_is_refused(executor):
    @task
    def sets(context: Context):
        context.set("a", threading.Lock())

    with pytest.raises(RunFailed) as caught:
        Flow("f", sets()).run(db=None, executor=executor)
    assert isinstance(caught.value.__cause__, NotPicklableError)


def test_what_a_failed_attempt_has_set_stays(executor):
    @task(retries=1)
    def tries(context: Context):
        if context.update("tries", lambda n: n + 1, 0) == 1:
            raise ValueError
        return context.get("tries")

    assert Flow("f", tries()).run(db=None, executor=executor)["tries"] == 2


def test_a_timeout_ends_who_waits(parallel, tmp_path):
    over = tmp_path / "over"

    @task
    def goes_on():
        until(over.exists)

    @task(when="always")
    def then(_):
        over.touch()

    asks = got.options(timeout=0.3, name="asks")
    expression = [asks("nothing") >> then(), goes_on()]
    run = Flow("f", expression).run(db=None, executor=parallel, check=False, max_workers=2)

    assert "TimeoutError" in str(run.tasks["asks"].error)


def test_a_run_that_is_cancelled_ends_who_waits(parallel, tmp_path):
    @task
    def goes_on(path: str):
        Path(path).touch()
        until((Path(path).parent / "over").exists)

    @flow
    def f(path):
        return [got("nothing"), goes_on(path)]

    path = tmp_path / "begun"
    handle = f.start(path=str(path), db=None, executor=parallel, max_workers=2, grace=0.1)
    until(path.exists)
    handle.cancel()

    assert handle.wait(10).state == "cancelled"
    # Of what can't be killed there.
    (tmp_path / "over").touch()


# --- the parameter -------------------------------------------------------------------------


def test_the_parameter_may_stand_anywhere():
    @task
    def first(context: Context, x: Any) -> Any:
        return context.get("start"), x

    @task
    def last(x: int, *, context: Context | None = None) -> Any:
        assert context is not None
        return context.get("start"), x

    @task
    def with_rest(x: int, context: Context, *rest: int) -> Any:
        return context.get("start"), x, rest

    run = Flow(
        "f", [first(1), last(2), with_rest(3, 4, 5), last(6) >> first().named("fed")], context={"start": 0}
    ).run(db=None, executor="thread")

    assert dict(run) == {"first": (0, 1), "last": (0, 2), "with_rest": (0, 3, (4, 5)), "fed": (0, (0, 6))}


def test_a_call_does_not_give_it():
    with pytest.raises(UnknownNameError, match="context"):
        got("a", context=Context())  # type: ignore[call-arg]


def test_maps_get_it():
    @task
    def add(context: Context, x: int, y: int) -> int:
        return int(context.get("start")) + x + y

    run = Flow(
        "f", [add.map([1, 2], [3, 4]), add.starmap([(1, 1)]).named("star")], context={"start": 10}
    ).run(db=None, executor="thread")

    assert (run["add"], run["star"]) == ([14, 16], [12])


# --- a context by itself -------------------------------------------------------------------


def test_a_context_made_by_hand_is_a_plain_store():
    context = Context().from_dict({"a": 1})
    context.set("b", 2)
    context.get_stream().put("nobody reads it")

    assert context.update("a", lambda n: n + 1) == 2
    assert context.to_dict() == {"a": 2, "b": 2}
    with pytest.raises(ContextError, match="'c'"):
        context.get("c")


def test_keys_are_texts():
    with pytest.raises(ContextError, match="int"):
        Context().set(1, 2)  # type: ignore[arg-type]


# --- what a flow starts from, and leaves ---------------------------------------------------


def test_a_flow_starts_each_run_from_the_values_that_it_was_given():
    counting = Flow("f", count(1), context=Context().from_dict({"count": 5}), db=None, executor="thread")
    before = counting.context.to_dict()
    results = [counting.run().result for _ in range(2)]

    assert before == {"count": 5}
    assert results == [6, 6]
    assert counting.context.to_dict() == {"count": 6}
    assert counting.get_context().get("count") == 6


def test_a_tasks_output_is_in_the_context_of_the_last_run():
    f = Flow("f", put("a", 1), db=None, executor="thread")
    f.run()

    assert f.context.to_dict() == {"a": 1, "put": None}


def test_a_start_that_is_no_context_is_refused():
    with pytest.raises(SettingError, match="context"):
        Flow("f", count(1)).run(db=None, context=5)  # type: ignore[arg-type]


# --- what is kept --------------------------------------------------------------------------

SCRIPT = """
import os, signal
from liteflow import Context, flow, task

@task
def first(context: Context):
    context.set("first", [1])
    context.update("count", lambda n: n + 1, 10)

@task
def dies(_after, context: Context):
    context.update("count", lambda n: n + 1, 0)
    if not os.path.exists("died"):
        open("died", "w").close()
        os.kill(int(os.environ["DRIVER"]), signal.SIGKILL)
        signal.pause()
    return context.to_dict()

@flow(context={"start": 0})
def f():
    return dies(first())

if __name__ == "__main__":
    os.environ["DRIVER"] = str(os.getpid())
    f.run(db="store.db", run_id="run-1")
"""


def test_what_was_set_survives_the_death_of_the_driver(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    died = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, timeout=60, check=False)
    go_on = "import script; print(script.f.resume(db='store.db').result)"
    done = subprocess.run(
        [sys.executable, "-c", go_on], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )

    assert died.returncode == -9
    found = eval(done.stdout)  # what our own program has printed
    # Whatever had committed: `first` counts once, `dies` once or twice.
    assert (found["start"], found["first"]) == (0, [1])
    assert found["count"] in (12, 13)


def test_who_can_write_to_the_file_can_not_plant_a_value(tmp_path):
    import sqlite3

    db = tmp_path / "store.db"
    run = Flow("f", put("a", 1)).run(db=db, executor="thread")
    connection = sqlite3.connect(db)
    connection.execute("UPDATE context SET mac = zeroblob(32)")
    connection.commit()
    connection.close()

    with pytest.raises(Exception, match="does not match the check"):
        _ = run.context


def test_where_all_places_of_a_pool_wait_who_waits_is_told():
    @task
    def last():
        return "there"

    recipe = [got("last").named("first"), got("last").named("second"), last()]
    with PoolExecutor(ThreadPoolExecutor(2)) as pool:
        error = failure_of(recipe, pool)

    assert "it waits for task instance last" in error


def test_a_host_that_is_not_this_machine_is_refused():
    with ProcessPoolExecutor(1) as processes, pytest.raises(SettingError, match=r"192\.0\.2\.1"):
        Flow("f", count(1)).run(db=None, executor=PoolExecutor(processes, host="192.0.2.1"))


def test_only_who_has_the_key_comes_in():
    talk = Talk(lambda: None)
    door = Door(talk, lambda: None, "127.0.0.1")
    stranger = Visit(door.address._replace(key=bytes(32), driver=(0, 0)))
    link = stranger.link(0, 1)
    assert link is not None

    with pytest.raises(ContextError, match="can't be reached"):
        link.get("a", wait=False)

    assert talk.take() == ([], [], [])
    stranger.close()
    door.close()


def test_a_stranger_who_says_nothing_is_shown_out_when_the_door_closes():
    door = Door(Talk(lambda: None), lambda: None, "127.0.0.1")
    with socket.create_connection(door.address[:2], timeout=10) as stranger:
        asked = stranger.recv(1000)
        door.close()

        assert asked
        assert stranger.recv(1000) == b""
