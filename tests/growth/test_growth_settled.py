"""A run goes on after calls of it have ended without a value: what follows from that is told anew, or stays.

What fails is told by a set of this process, so that the code is the same in the run and in its resume.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liteflow import Failure, Flow, Run, skip, task

FAILING: set[str] = set()
RAN: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def nothing_fails_yet():
    FAILING.clear()
    RAN.clear()


@task
def leaf(name: str) -> str:
    RAN[name] += 1
    if name in FAILING:
        raise OSError(f"{name} is to fail")
    return name


@task
def decided(name: str) -> str:
    RAN[name] += 1
    return skip(f"{name} is not wanted")


def seen(value: Any) -> Any:
    return value.error if isinstance(value, Failure) else value


def joined(name: str, values: list[Any]) -> list[Any]:
    RAN[name] += 1
    return [seen(value) for value in values]


every = task(joined, name="every")
some = task(joined, name="some", when="any")
tidy = task(joined, name="tidy", when="always")


@task(when="always")
def item(value: Any) -> Any:
    return seen(value)


@task
def grown(made: Any) -> Any:
    return build(made)


def build(made: Any) -> Any:
    """The expression that a tree of plain data stands for."""
    kind, parts = made
    if kind == "leaf":
        return leaf(parts)
    if kind == "grown":
        return grown(parts)
    if kind == "map":
        return leaf.map(parts)
    if kind == "chain":
        return item.map(leaf.map(parts))
    return {"every": every, "some": some, "tidy": tidy}[kind]("join", [build(part) for part in parts])


def begun(expression: Any, folder: Path) -> tuple[Run[Any], Run[Any]]:
    """A run of it, and its resume, in which nothing fails any more."""
    flow = Flow("settled", expression, db=folder / "s.db", executor="thread")
    run = flow.run(check=False)
    assert run.state == "failed"
    FAILING.clear()
    RAN.clear()
    return run, flow.resume(run.id)


@pytest.mark.parametrize("join", [some, tidy])
@pytest.mark.parametrize("depth", ["in the flow", "in a call"])
def test_what_took_a_failure_runs_again_when_that_has_a_value_and_so_does_what_follows(join, depth, tmp_path):
    FAILING.add("b")
    kind = "some" if join is some else "tidy"
    tree = (kind, [("leaf", "a"), ("leaf", "b")])
    first = build(tree) if depth == "in the flow" else grown(tree)
    run, resumed = begun(tidy("last", [first]), tmp_path)

    assert run.output("tidy" if kind == "some" else "tidy-2" if depth == "in the flow" else "tidy") == [
        ["a", "OSError: b is to fail"]
    ]
    assert resumed.result == [["a", "b"]]
    assert RAN == {"b": 1, "join": 1, "last": 1}


def test_an_item_that_took_a_failure_runs_again_and_the_others_do_not(tmp_path):
    FAILING.add("b")
    _, resumed = begun(item.map(leaf.map(["a", "b", "c"])), tmp_path)

    assert resumed.result == ["a", "b", "c"]
    assert RAN == {"b": 1}
    assert resumed.tasks["item[0]"].ended_at < resumed.tasks["item[1]"].started_at


def test_what_has_skipped_itself_stays_skipped_and_so_does_what_follows(tmp_path):
    FAILING.add("late")
    no = decided("no")
    followed = leaf(no)
    run, resumed = begun([some("either", [no, leaf("a")]), tidy("all", [followed]), leaf("late")], tmp_path)

    assert run.output("some") == ["no is not wanted", "a"]
    assert resumed.result == [["no is not wanted", "a"], ["decided was skipped"], "late"]
    assert RAN == {"late": 1}
    states = {key: row.state for key, row in resumed.tasks.items()}
    assert (states["decided"], states["leaf"]) == ("skipped", "skipped")


def test_what_a_map_has_collected_stays_as_it_is_for_those_too_that_take_it_later(tmp_path):
    FAILING.update({"b", "late"})
    listed = leaf.map(["a", "b", "c"], on_error="collect")
    _, resumed = begun([tidy("early", listed), every("now", [leaf("late"), listed])], tmp_path)

    failure = Failure("leaf[1]", "failed", "OSError: b is to fail")
    assert resumed.result == [["a", "OSError: b is to fail", "c"], ["late", ["a", failure, "c"]]]
    assert RAN == {"late": 1, "now": 1}


def test_a_call_that_has_skipped_itself_decides_anew_when_its_input_does(tmp_path):
    @task(when="always")
    def unless(value: Any) -> Any:
        return skip("nothing there") if isinstance(value, Failure) else value

    FAILING.add("b")
    _, resumed = begun(tidy("last", [unless(leaf("b"))]), tmp_path)

    assert resumed.result == ["b"]


NAMES = st.sampled_from("abcdef")
TREES = st.recursive(
    st.tuples(st.just("leaf"), NAMES)
    | st.tuples(st.sampled_from(["map", "chain"]), st.lists(NAMES, max_size=3)),
    lambda trees: (
        st.tuples(st.just("grown"), trees)
        | st.tuples(st.sampled_from(["every", "some", "tidy"]), st.lists(trees, min_size=1, max_size=3))
    ),
    max_leaves=6,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tree=TREES, failing=st.sets(NAMES, min_size=1))
def test_a_run_that_goes_on_when_nothing_fails_any_more_gives_what_one_gives_in_which_nothing_has_failed(
    tree, failing, tmp_path
):
    flow = Flow("law", build(tree), db=tmp_path / "law.db", executor="thread", max_workers=2)
    FAILING.clear()
    right = flow.run().result
    FAILING.update(failing)
    run = flow.run(check=False)
    FAILING.clear()

    assert (run if run.state == "succeeded" else flow.resume(run.id)).result == right
