"""`flow.replay`, and what two runs compare to: arguments of then, code of now, a run of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from liteflow import Context, Flow, NextTask, Secret, TaskOutput, flow, task
from liteflow.errors import (
    NoSuchRunError,
    NotReplayableError,
    RunFailed,
    SecretMissingError,
    UnknownNameError,
)
from liteflow.replaying import differences
from liteflow.store.history import History
from liteflow.stored import stored_run

OPTIONS = {"executor": "inline"}


@task
def scaled(n: int, factor: int = 2) -> int:
    return n * factor


@task
def listed(n: int) -> list[int]:
    return list(range(n))


@flow
def numbers(n: int = 3):
    return listed(scaled(n))


@pytest.fixture
def db(tmp_path):
    return tmp_path / "x.db"


def test_a_replay_is_a_new_run_that_is_given_what_the_other_was(db):
    then = numbers.run(n=5, inputs={"scaled.factor": 3}, db=db, **OPTIONS)
    now = numbers.replay(then.id, db=db, **OPTIONS)

    assert now.id != then.id
    assert now.result == then.result == list(range(15))


def test_by_default_the_latest_run_of_the_flow_is_replayed(db):
    numbers.run(n=1, db=db, **OPTIONS)
    numbers.run(n=2, db=db, **OPTIONS)
    Flow("another", scaled(7)).run(db=db, **OPTIONS)

    assert numbers.replay(db=db, **OPTIONS).result == [0, 1, 2, 3]


def test_some_arguments_may_be_otherwise(db):
    then = numbers.run(n=5, inputs={"scaled.factor": 3}, db=db, **OPTIONS)

    assert numbers.replay(then.id, inputs={"n": 1}, db=db, **OPTIONS).result == [0, 1, 2]
    assert numbers.replay(then.id, inputs={"scaled.factor": 1}, db=db, **OPTIONS).result == list(range(5))


def test_a_default_is_that_of_the_day(db):
    def flow_of(default):
        @flow(name="daily", db=db, **OPTIONS)
        def daily(n: int = default):
            return scaled(n)

        return daily

    then = flow_of(10).run()

    assert flow_of(11).replay(then.id).result == 20
    assert flow_of(11).run().result == 22


def test_the_code_is_that_of_now(db):
    then = Flow("f", scaled(1)).run(db=db, **OPTIONS)

    @task(name="scaled")
    def otherwise(n: int) -> int:
        return n + 100

    assert Flow("f", otherwise(1)).replay(then.id, db=db, **OPTIONS).result == 101


def test_a_run_that_failed_can_be_replayed_and_fails_as_any(db):
    @task
    def fragile(n: int) -> int:
        return 1 // n

    broken = Flow("broken", fragile(), db=db, **OPTIONS)
    then = broken.run(n=0, check=False)

    with pytest.raises(RunFailed) as caught:
        broken.replay(then.id)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert broken.replay(then.id, inputs={"n": 1}).result == 1


def test_a_flow_whose_tasks_say_what_comes_next_begins_where_it_began(db):
    routed = Flow(name="routed", db=db, executor="inline")

    @routed.task("count")
    def count(_context: Context, inputs: dict[str, int]) -> TaskOutput:
        left = inputs["left"]
        return TaskOutput(left, [NextTask("count", {"left": left - 1})] if left else None)

    then = routed.run("count", inputs={"left": 3})
    now = routed.replay(then.id)

    assert len(now.tasks) == len(then.tasks) == 4
    assert differences(then, now).changed == {}


def test_secrets_are_given_again(db):
    @task
    def login(token: Secret) -> int:
        return len(token)

    site = Flow("site", login(), db=db, **OPTIONS)
    then = site.run(token="12345678")

    with pytest.raises(SecretMissingError):
        site.replay(then.id)
    assert site.replay(then.id, inputs={"token": "1234"}).result == 4


REFUSED = {
    "nothing is kept": ({"db": None}, NotReplayableError, "with db=None nothing is kept"),
    "no such run": ({"run_id": "nosuch"}, NoSuchRunError, "there is no run 'nosuch'"),
    "of another flow": ({"run_id": "other"}, NotReplayableError, "it is a run of flow another, not of"),
    "arguments that were not kept": ({"run_id": "odd"}, NotReplayableError, "could not be kept; call run"),
    "an unknown argument": ({"run_id": "good", "inputs": {"m": 1}}, UnknownNameError, "has no input 'm'"),
    "an unknown option": ({"executer": "inline"}, UnknownNameError, "did you mean 'executor'"),
}


@pytest.mark.parametrize(("given", "error", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_replayed_is_refused_before_anything_runs(db, given, error, told):
    @flow(db=db, **OPTIONS)
    def taking(value: object = 1):
        return scaled(2)

    taking.run(run_id="good")
    taking.run(value=(n for n in "ab"), run_id="odd")
    Flow("another", scaled(1)).run(db=db, run_id="other", **OPTIONS)

    with pytest.raises(error, match=told):
        taking.replay(**given)
    assert taking.replay("good").result == 4


def test_a_flow_that_never_ran_has_nothing_to_replay(db):
    Flow("another", scaled(1)).run(db=db, **OPTIONS)
    with pytest.raises(NotReplayableError, match="it has no run in"):
        numbers.replay(db=db, **OPTIONS)


# --- what differs ----------------------------------------------------------------------------


def compared(db, first, second):
    """Run two versions of a task, and compare."""
    runs = [Flow("f", {"value": task(fn, name="made")()}).run(db=db, **OPTIONS) for fn in (first, second)]
    return differences(*runs)


class Plain:
    def __init__(self, n):
        self.n = n

    def __repr__(self):
        return f"Plain({self.n})"


class Refusing:
    def __init__(self, n):
        self.made = lambda: n

    def __eq__(self, other):
        raise TypeError("not with me")

    __hash__ = None


SAME = {
    "numbers": (lambda: 1, lambda: 1),
    "a set in another order": (lambda: {"a", "b", "c", "d"}, lambda: {"d", "c", "b", "a"}),
    "the same objects, or others like them": (lambda: ["x" * 9] * 2, lambda: ["x" * 9, "".join(["x"] * 9)]),
    "objects": (lambda: Plain(1), lambda: Plain(1)),
}
CHANGED = {
    "numbers": (lambda: 1, lambda: 2),
    "kinds": (lambda: 1, lambda: 1.0),
    "truth": (lambda: [1], lambda: [True]),
    "objects": (lambda: Plain(1), lambda: Plain(2)),
    "what can't be compared": (lambda: Refusing(1), lambda: Refusing(2)),
}


@pytest.mark.parametrize(("first", "second"), SAME.values(), ids=SAME)
def test_values_that_are_the_same_are_told_to_be(db, first, second):
    found = compared(db, first, second)
    assert (found.same, dict(found.changed)) == (1, {})


@pytest.mark.parametrize(("first", "second"), CHANGED.values(), ids=CHANGED)
def test_values_that_are_not_are_told_with_what_they_were(db, first, second):
    found = compared(db, first, second)
    assert found.same == 0
    assert found.changed.keys() == {"made"}


def test_a_value_that_can_not_be_read_any_more_is_not_the_same(db):
    runs = [Flow("f", task(lambda n=n: [n], name="made")()).run(db=db, **OPTIONS) for n in (1, 2)]
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE outcome SET payload = CAST(payload || 'x' AS BLOB)")
    with History(db) as history:
        then, now = (stored_run(db, history.find_run(run.id), False) for run in runs)

    assert differences(then, now).changed == {"made": ("[1]", "[2]")}


def test_calls_that_one_of_them_has_not_are_named(db):
    mapped = Flow("f", scaled.map(listed()), db=db, **OPTIONS)
    then, now = mapped.run(n=2), mapped.run(n=3)
    shrunk = differences(now, then)

    assert differences(then, now).now_only == ("scaled[2]",)
    assert (shrunk.then_only, shrunk.same) == (("scaled[2]",), 2)
    assert shrunk.changed == {"listed": ("[0, 1, 2]", "[0, 1]")}


def grown(n: int = 3, more: int = 1):
    return scaled(n, more)


def shrunk(n: int = 4):
    return scaled(n)


def test_a_parameter_that_is_gone_and_was_not_given_is_no_matter(db):
    then = flow(grown, name="numbers").run(n=5, db=db, **OPTIONS)

    assert flow(shrunk, name="numbers").replay(then.id, db=db, **OPTIONS).result == 10


def test_a_parameter_that_is_gone_and_was_given_is_told_of_with_what_there_is_now(db):
    then = flow(grown, name="numbers").run(n=5, more=7, db=db, **OPTIONS)

    with pytest.raises(
        NotReplayableError, match=f"run {then.id} .* was given more, and the flow takes n now"
    ):
        flow(shrunk, name="numbers").replay(then.id, db=db, **OPTIONS)


def test_a_parameter_that_is_new_has_its_default(db):
    then = flow(shrunk, name="numbers").run(db=db, **OPTIONS)

    assert flow(grown, name="numbers").replay(then.id, db=db, **OPTIONS).result == 4


def test_what_is_to_be_otherwise_and_is_no_parameter_is_refused(db):
    then = flow(grown, name="numbers").run(n=5, db=db, **OPTIONS)

    with pytest.raises(UnknownNameError, match=r"has no .*'most'"):
        flow(shrunk, name="numbers").replay(then.id, inputs={"most": 1}, db=db, **OPTIONS)
