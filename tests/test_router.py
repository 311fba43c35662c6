"""Flows whose tasks say what runs next, from outside."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from liteflow import Context, Flow, NextTask, RunFailed, TaskOutput, flow, skip, task
from liteflow.errors import (
    ArgumentError,
    DecoratedError,
    FlowError,
    NotPicklableError,
    OtherArgumentsError,
    SettingError,
    UnknownNameError,
)
from liteflow.executor import PoolExecutor

EVERYWHERE = ["thread", "process", "inline"]

# What tasks have done; what a closure holds would be a part of their code.
TOLD: list[object] = []


def map_reduce(count: int, **options) -> Flow:
    made = Flow("map-reduce", **options)

    @made.task("split")
    def split(context):
        context.set("all", [])
        return TaskOutput("split", [NextTask("part", inputs=n, spawn_another=True) for n in range(count)])

    @made.task("part")
    def part(context, inputs):
        context.update("all", lambda found: [*found, inputs])
        return TaskOutput(inputs, [NextTask("join")])

    @made.task("join")
    def join(context):
        return TaskOutput(sorted(context.get("all")))

    return made


def loop(rounds: int, **options) -> Flow:
    made = Flow("loop", **options)

    @made.task("count")
    def count(context, inputs):
        n = inputs or 0
        return TaskOutput(n, [NextTask("count", inputs=n + 1)] if n < rounds else None)

    return made


def chain(**options) -> Flow:
    """a, then b with inputs, which gives what it got."""
    made = Flow("chain", **options)
    made.add_task("a", lambda context: TaskOutput("from a", [NextTask("b", inputs={"x": [1, 2]})]))
    made.add_task("b", lambda context, inputs: TaskOutput((context.get("a"), inputs)))
    return made


# --- what comes out ------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_a_run_is_the_outputs_of_the_tasks_that_asked_for_nothing(executor):
    run = chain(db=None).run("a", executor=executor)

    assert run == {"b": ("from a", {"x": [1, 2]})}
    assert run.result == {"b": ("from a", {"x": [1, 2]})}
    assert str(run) == "{'b': ('from a', {'x': [1, 2]})}"
    assert run.output("a") == "from a"


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_map_reduce_has_all_its_items(executor):
    made = map_reduce(5, db=None)

    assert [made.run("split", executor=executor) for _ in range(10)] == [{"join": [0, 1, 2, 3, 4]}] * 10


@pytest.mark.soak
def test_map_reduce_has_all_its_items_two_thousand_times():
    made = map_reduce(3, db=None)

    assert all(made.run("split") == {"join": [0, 1, 2]} for _ in range(2000))


def test_of_a_final_task_that_ran_several_times_the_last_output_counts():
    made = Flow(db=None)
    made.add_task("begin", lambda _: TaskOutput(0, [NextTask("end", inputs=n) for n in (1, 2, 3)]))
    made.add_task("end", lambda _, n: TaskOutput(n))

    assert made.run("begin") == {"end": 3}


def test_a_name_in_the_context_means_what_the_task_gave_last():
    made = loop(3, db=None)
    made.run("count")

    assert made.context.get("count") == 3
    assert made.get_context().to_dict() == {"count": 3}


def test_keys_count_and_never_mean_another_task():
    made = Flow(db=None)
    made.add_task("t-2", lambda _: TaskOutput("other"))

    @made.task("t")
    def again(context, inputs):
        return TaskOutput(
            "again" if inputs else 0, None if inputs else [NextTask("t-2"), NextTask("t", inputs=1)]
        )

    run = made.run("t")

    assert run == {"t-2": "other", "t": "again"}
    assert set(run.tasks) == {"t", "t-2", "t-3"}


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_large_outputs_and_inputs_come_whole(executor):
    made = Flow(db=None)
    made.add_task("a", lambda _: TaskOutput(b"x" * 20_000_000, [NextTask("b", inputs=b"y" * 3_000_000)]))
    made.add_task("b", lambda context, inputs: TaskOutput((len(context.get("a")), len(inputs))))

    assert made.run("a", executor=executor) == {"b": (20_000_000, 3_000_000)}


async def doubled(context, inputs):
    return TaskOutput(2 * inputs)


def test_coroutine_and_generator_functions_are_tasks_too():
    made = Flow(db=None)

    @made.task("yields")
    def yields(context):
        yield "half"
        return TaskOutput(1, [NextTask("doubled", inputs=21)])

    made.add_task("doubled", doubled)

    chunks = [(chunk.task_id, chunk.value) for chunk in made.stream("yields")]
    assert chunks == [("yields", "half"), ("yields", 1), ("doubled", 42)]


def test_settings_of_a_task_hold():
    made = Flow(db=None)
    tries = []

    @made.task("flaky", retries=2)
    def flaky(context):
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")
        return TaskOutput("at last")

    assert made.run("flaky") == {"flaky": "at last"}
    assert len(tries) == 3


def test_it_runs_on_four_threads_unless_told_otherwise():
    made, together = Flow(db=None), threading.Barrier(4)

    made.add_task("begin", lambda _: TaskOutput(0, [NextTask("one", spawn_another=True)] * 5))
    running, most = [], []

    @made.task("one")
    def one(context):
        running.append(1)
        most.append(len(running))
        if len(most) <= 4:
            together.wait(20)
        running.pop()
        return TaskOutput(0)

    made.run("begin")
    assert max(most) == 4


def test_a_pool_of_ones_own_runs_it():
    with ThreadPoolExecutor(2) as pool:
        assert chain(db=None, executor=PoolExecutor(pool)).run("a")["b"][0] == "from a"


# --- one run and another -------------------------------------------------------------------


def test_nothing_of_one_run_is_seen_by_the_next():
    made = Flow(db=None, context={"given": 1})

    @made.task("look")
    def look(context):
        seen = context.to_dict()
        context.set("left", "behind")
        return TaskOutput(seen)

    assert made.run("look", inputs={"n": 1}) == {"look": {"given": 1, "n": 1}}
    assert made.run("look", inputs={"m": 2}) == {"look": {"given": 1, "m": 2}}


def test_two_runs_of_one_flow_at_once_are_apart():
    made, both = Flow(db=None), threading.Barrier(2)

    @made.task("begin")
    def begin(context):
        both.wait(20)
        return TaskOutput(0, [NextTask("end")])

    made.add_task("end", lambda context: TaskOutput(context.get("who")))
    handles = [made.start("begin", inputs={"who": who}) for who in "ab"]

    assert [handle.result(30) for handle in handles] == [{"end": "a"}, {"end": "b"}]


def test_the_same_id_gives_the_run_back(tmp_path):
    made = chain(db=tmp_path / "x.db")
    first = made.run("a", run_id="one")
    again = made.run("a", run_id="one")

    assert again == first == {"b": ("from a", {"x": [1, 2]})}
    assert (str(again), again.result) == (str(first), first.result)
    assert again.context.get("a") == "from a"
    with pytest.raises(OtherArgumentsError):
        made.run("b", run_id="one")


def test_an_unfinished_run_goes_on_where_it_was(tmp_path):
    broken, ran = [True], []
    made = Flow(db=tmp_path / "x.db")
    made.add_task("a", lambda _: ran.append("a") or TaskOutput(0, [NextTask("b"), NextTask("c")]))
    made.add_task("b", lambda _: ran.append("b") or TaskOutput("b", [NextTask("d")]))
    made.add_task("d", lambda context: ran.append("d") or TaskOutput("d"))

    @made.task("c")
    def c(context):
        ran.append("c")
        if broken:
            raise ValueError("c")
        return TaskOutput("c", [NextTask("d", inputs=1)])

    with pytest.raises(RunFailed):
        made.run("a")
    assert sorted(ran) == ["a", "b", "c", "d"]
    broken.clear()
    ran.clear()

    assert made.resume() == {"d": "d"}
    assert ran == ["c", "d"]


def test_what_was_skipped_is_not_run_again_by_a_resume(tmp_path):
    TOLD.clear()
    made = Flow(db=tmp_path / "x.db", max_workers=1)
    made.add_task("a", lambda _: TaskOutput(0, [NextTask("b", spawn_another=True, inputs=n) for n in (1, 2)]))

    @made.task("b")
    def b(context, inputs):
        TOLD.append(inputs)
        if inputs == 1:
            return TaskOutput(0, [NextTask("c")])
        return skip()

    @made.task("c")
    def c(context):
        TOLD.append("c")
        if TOLD.count("c") == 1:
            raise ValueError
        return TaskOutput("c")

    with pytest.raises(RunFailed):
        made.run("a")

    assert made.resume() == {"c": "c"}
    assert TOLD == [1, 2, "c", "c"]


def test_what_came_of_code_that_has_changed_is_made_again(tmp_path):
    def made(text: str, fails: bool) -> Flow:
        one = Flow("f", db=tmp_path / "x.db")
        one.add_task("a", lambda _: TaskOutput(0, [NextTask("b"), NextTask("other")]))
        one.add_task("other", lambda _: TaskOutput("kept"))
        one.add_task("b", lambda _: TaskOutput(text, [NextTask("c", inputs=text)]))

        @one.task("c")
        def c(context, inputs):
            if fails:
                raise ValueError
            return TaskOutput(inputs)

        return one

    with pytest.raises(RunFailed):
        made("first", True).run("a")

    run = made("second", False).resume()
    assert run == {"other": "kept", "c": "second"}
    assert {key: row.attempts for key, row in run.tasks.items()}["other"] == 1


# --- what goes wrong -----------------------------------------------------------------------


def test_pictures_show_all_who_asked_for_a_join_after_a_resume_too(tmp_path):
    broken = [True]
    made = Flow(executor="inline", db=tmp_path / "x.db")
    parts = [NextTask("part", inputs=n, spawn_another=True) for n in (1, 2)]
    made.add_task("split", lambda _: TaskOutput(0, parts))
    made.add_task("part", lambda _, n: TaskOutput(n, [NextTask("join", inputs=i) for i in ("x", n)]))

    @made.task("join")
    def join(context, given):
        if broken:
            raise ValueError("join")
        return TaskOutput(given)

    with pytest.raises(RunFailed):
        made.run("split", run_id="r")
    # One starts when both parts have ended; the others wait for it, and it has failed.
    first = {("split", "part"), ("split", "part-2"), ("part", "join"), ("part-2", "join")}
    assert drawn(tmp_path / "x.db") == first
    broken.clear()
    made.resume("r")

    assert drawn(tmp_path / "x.db") == first | {("part", "join-2"), ("part-2", "join-3")}


def drawn(db: Path) -> set[tuple[str, str]]:
    """The edges of the run `r` in the store."""
    with closing(sqlite3.connect(db)) as store:
        return set(store.execute("SELECT source, target FROM edges WHERE run_id = 'r'"))


def test_errors_keep_their_type():
    made = Flow(db=None)
    made.add_task("bad", lambda _: 1 / 0)

    with pytest.raises(RunFailed) as failed:
        made.run("bad")
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_a_name_that_there_is_not_is_an_error_that_lists_those_there_are(executor):
    made = Flow(db=None)
    made.add_task("begin", lambda _: TaskOutput(0, [NextTask("ned")]))
    made.add_task("end", lambda _: TaskOutput(0))

    with pytest.raises(
        UnknownNameError, match=r"flow flow has no task 'beginn'; did you mean 'begin'\? it has: begin, end"
    ):
        made.run("beginn")
    with pytest.raises(RunFailed, match="flow flow has no task 'ned'") as failed:
        made.run("begin", executor=executor)
    assert isinstance(failed.value.__cause__, UnknownNameError)


def test_what_waits_for_a_task_that_has_failed_does_not_run():
    made, ran = map_reduce(3, db=None), []
    made.add_task("join", lambda _: ran.append(1))

    @made.task("part")
    def part(context, inputs):
        if inputs == 1:
            raise ValueError
        return TaskOutput(inputs, [NextTask("join")])

    assert made.run("split", check=False).state == "failed"
    assert ran == []


@task
def called() -> None:
    """Stands where no call may."""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda _: "text", 'task t returned str "text"; it has to return a TaskOutput'),
        (lambda _: None, "task t returned None;"),
        (lambda _: TaskOutput([called()]), "holds a call of a task"),
        (lambda _: TaskOutput(0, [NextTask("t", inputs=called())]), "holds a call of a task"),
        (
            lambda _: TaskOutput(0, (one for one in ["t"])),
            "that holds NextTasks, as NextTask('report'), not str \"t\"",
        ),
    ],
)
def test_what_is_no_task_output_is_told(given, says):
    made = Flow(db=None)
    made.add_task("t", given)

    with pytest.raises(RunFailed) as failed:
        made.run("t")
    assert isinstance(failed.value.__cause__, TypeError)
    assert says in str(failed.value.__cause__)


def test_inputs_that_cannot_travel_are_told():
    made = Flow(db=None)
    made.add_task("t", lambda _: TaskOutput(0, [NextTask("t", inputs=threading.Lock())]))

    with pytest.raises(RunFailed) as failed:
        made.run("t")
    assert isinstance(failed.value.__cause__, NotPicklableError)


@pytest.mark.parametrize("function", [lambda: 0, lambda a, b, c: 0, lambda *, context: 0])
def test_a_function_of_something_else_is_no_task(function):
    with pytest.raises(DecoratedError, match=r"takes \(context\) or \(context, inputs\)"):
        Flow().add_task("t", function)


def test_the_task_that_runs_first_has_to_be_named():
    made = chain(db=None)

    with pytest.raises(
        ArgumentError, match="name the task that runs first, of a, b; on the command line as start=NAME"
    ):
        made.run()
    with pytest.raises(ArgumentError, match="is one task"):
        made.run("a", "b")
    with pytest.raises(UnknownNameError, match="has no parameter 'x'"):
        made.run("a", x=1)
    with pytest.raises(ArgumentError, match="inputs as a dict"):
        made.run("a", inputs=[1])


def test_styles_are_not_mixed_in_one_flow():
    @task
    def one() -> int:
        return 1

    @flow
    def plain():
        return one()

    with pytest.raises(FlowError, match="tasks by name are for one that has none"):
        plain.add_task("t", lambda context: TaskOutput(0))
    with pytest.raises(ArgumentError, match="by name"):
        plain.run("one")
    with pytest.raises(FlowError, match="can't be a part of another flow"):
        chain()()


def test_a_flow_travels_with_a_task_that_names_it():
    made = Flow(db=None)

    @made.task("outer")
    def outer(context):
        return TaskOutput(dict(made.run("inner", db=None, executor="inline")))

    made.add_task("inner", lambda context: TaskOutput("within"))

    assert made.run("outer", executor="process") == {"outer": {"inner": "within"}}


def test_a_context_made_by_hand_calls_a_task_by_itself():
    @Flow().task("t")
    def one(context: Context) -> TaskOutput:
        return TaskOutput(context.get("x") + 1)

    assert one(Context().from_dict({"x": 1})) == TaskOutput(2)


def test_every_way_to_run_it_takes_the_name_of_the_task_that_runs_first():
    made = chain(db=None)

    async def program():
        chunks = [chunk.task_id async for chunk in made.astream("a")]
        return chunks, dict(await made.arun("a"))

    outputs = dict(made.run("a"))
    assert dict(made.start("a").result()) == outputs
    assert asyncio.run(program()) == ([chunk.task_id for chunk in made.stream("a")], outputs)


def test_a_decorator_without_the_name_of_its_task_is_refused():
    with pytest.raises(SettingError, match="a task: name must be text"):

        @Flow().task
        def forgotten(context):
            return TaskOutput(1)
