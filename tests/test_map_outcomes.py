"""What stands for a value that is not there, `when=`, and what a task returns to go on with."""

import contextlib
import pickle
from typing import Any

import pytest
from dags import number, total

from liteflow import Failure, Flow, Policy, Skip, flow, skip, task
from liteflow.compiler import compile_growth
from liteflow.errors import (
    ArgumentError,
    CycleError,
    DefinitionError,
    EdgeTypeError,
    FlowError,
    ResultTypeError,
    SettingError,
)

# --- skip and Failure -------------------------------------------------------------------------


def test_skip_raises_what_ends_a_task_with_its_reason():
    with pytest.raises(Skip) as caught:
        skip("nothing new")

    assert (caught.value.reason, str(caught.value)) == ("nothing new", "nothing new")
    assert pickle.loads(pickle.dumps(caught.value)).reason == "nothing new"


def test_a_tasks_own_except_does_not_swallow_a_skip():
    def careful() -> None:
        with contextlib.suppress(Exception):
            skip()

    with pytest.raises(Skip):
        careful()


def test_a_reason_is_text():
    with pytest.raises(TypeError, match="takes its reason as text, not as int"):
        skip(5)


def test_a_failure_is_false_and_keeps_its_facts():
    failure = Failure("double[1]", "failed", "ValueError: no")

    assert not failure
    assert (failure.key, failure.state, failure.error) == ("double[1]", "failed", "ValueError: no")
    assert repr(failure) == "Failure(key='double[1]', state='failed', error='ValueError: no')"


def test_a_failure_never_changes():
    failure = Failure("double[1]", "failed")

    with pytest.raises(AttributeError, match="never changes"):
        failure.key = "x"
    with pytest.raises(AttributeError, match="never changes"):
        del failure.error
    with pytest.raises(AttributeError):
        failure.other = 1


def test_failures_with_the_same_facts_are_equal_in_every_process():
    failure = Failure("double[1]", "failed", "no")
    again = pickle.loads(pickle.dumps(failure))

    assert (again, hash(again)) == (failure, hash(failure))
    assert failure != Failure("double[1]", "skipped", "no")
    assert failure != ("double[1]", "failed", "no")


# --- when -------------------------------------------------------------------------------------


@task(when="always")
def clean_up(*results: Any) -> None: ...


def test_when_is_a_setting_of_a_task():
    assert clean_up.policy.when == "always"
    assert clean_up.options(when="any").policy.when == "any"
    assert Policy().when == "all"
    assert pickle.loads(pickle.dumps(Policy(when="any"))).when == "any"


@pytest.mark.parametrize("bad", ["never", None, True, "ALL", ["all"]])
def test_when_is_one_of_three(bad):
    with pytest.raises(SettingError, match="task clean_up: when must be one of"):
        clean_up.options(when=bad)


# --- what a task returns to go on with ----------------------------------------------------------


@task
def double(x: int) -> int:
    return 2 * x


def test_what_a_task_returns_compiles_to_a_dag():
    dag = compile_growth(
        "router", {"sum": total([double(1), 2]), "items": double.map([1, 2])}, dict[str, Any]
    )

    assert [node.key for node in dag.nodes] == ["double", "total", "double-2"]
    assert [hole.source for hole in dag.result.holes] == [1, 2]


@pytest.mark.parametrize(
    ("returned", "declared"),
    [
        (lambda: double(1), int),
        (lambda: double(1), Any),
        (lambda: double(1), float | str),
        (lambda: [double(1), 2], list[int]),
        (lambda: double.map([1]), list[int]),
        (lambda: number(1), int),
    ],
)
def test_calls_that_give_what_a_task_says_it_returns_are_fine(returned, declared):
    assert compile_growth("router", returned(), declared).nodes


@pytest.mark.parametrize(
    ("returned", "declared", "why"),
    [
        (lambda: double(1), str, r"router\(\) says that it returns str, but its result gives int, not str"),
        (lambda: [double(1), "x"], list[int], r"its result\[1\] is 'x' \(str\), not int"),
        (lambda: double.map([1]), int, r"gives list\[int\], not int"),
    ],
)
def test_calls_that_give_something_else_are_refused(returned, declared, why):
    with pytest.raises(ResultTypeError, match=why):
        compile_growth("router", returned(), declared)


def test_what_is_wrong_with_returned_calls_names_the_task():
    a, b = double(), double()
    a >> b >> a
    wrong = [
        (double("x"), ArgumentError, r"double\(\): 'x' is 'x' \(str\), not int"),
        (double(double.map([1])), EdgeTypeError, r"gives list\[int\]"),
        ([double(1), double], ArgumentError, r"task router: 'what it returns' .*did you mean double\(\)"),
        (a, CycleError, "task router has a cycle"),
        (double(), ArgumentError, "'x' is missing"),
    ]
    for returned, error, why in wrong:
        with pytest.raises(error, match=why) as caught:
            compile_growth("router", returned)
        if isinstance(caught.value, DefinitionError):
            assert caught.value.__notes__ == ["(in what task router returned)"]


def test_calls_of_a_flow_that_was_built_before_do_not_belong_to_a_task():
    leaked = []

    @flow
    def owner() -> int:
        leaked.append(double(1))
        return leaked[0]

    owner.compile()

    with pytest.raises(
        FlowError, match=r"^task router uses double\(\) .*belongs to another building of flow owner"
    ):
        compile_growth("router", leaked[0])


def test_a_task_that_runs_while_a_flow_is_being_built_can_go_on_with_calls():
    grown = []

    def goes_on() -> int:
        grown.append(compile_growth("goes_on", double(3)))
        return 1

    @flow
    def outer() -> int:
        return double(Flow("inner", task(goes_on)()).run(db=None, executor="inline").result)

    assert outer.compile().nodes
    assert [node.args for node in grown[0].nodes] == [(3,)]
