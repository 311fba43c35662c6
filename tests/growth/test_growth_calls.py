"""Tasks that return lazy values go on as those calls: routing, loops and recursion are plain Python."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from liteflow import Failure, skip, task


@task
def double(x: int) -> int:
    return 2 * x


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def several(n: int) -> list[int]:
    return [double(i) for i in range(n)]


@task
def nest() -> dict[Any, Any]:
    return {"a": double(1), "b": [several(2), 5], 3: (double(2),)}


@task
def an_item() -> int:
    return several(3)[2]


@task
def a_map() -> list[int]:
    return double.map(several(3))


@task
def router(kind: str) -> int:
    return double(10) if kind == "one" else total([double(1), double(2)])


@task
def count(n: int, i: int = 0) -> int:
    return i if i >= n else count(n, i + 1)


@task
def sum_to(n: int) -> int:
    return n if n <= 1 else add(n, sum_to(n - 1))


@task
def of_a_closure(n: int) -> int:
    @task
    def inner(x: int) -> int:
        return x + n

    return inner(1)


@task
def of_a_lambda() -> Any:
    return task(lambda x: x + 1)(2)


class Box:
    def __init__(self, content: int) -> None:
        self.content = content


@task
def content(box: Any) -> int:
    return box.content


@task
def boxed() -> int:
    return content(Box(7))


@task
def length(data: bytes) -> int:
    return len(data)


@task
def large(size: int) -> bytes:
    return b"x" * size


@task
def large_argument() -> int:
    return length(b"x" * 200_000)


@task
def large_result() -> bytes:
    return large(3_000_000)


@task
def deep(n: int) -> Any:
    return [deep(n - 1)] if n else 0


CALLS = [
    (lambda: router("one"), 20),
    (lambda: [router("one"), router("two")], [20, 6]),
    (lambda: total(several(3)), 6),
    (lambda: total(several(0)), 0),
    (nest, {"a": 2, "b": [[0, 2], 5], 3: (4,)}),
    (lambda: nest()["b"][0], [0, 2]),
    (an_item, 4),
    (a_map, [0, 4, 8]),
    (lambda: double.map(a_map()), [0, 8, 16]),
    (lambda: several.map([0, 1, 2]), [[], [0], [0, 2]]),
    (lambda: count(30), 30),
    (lambda: sum_to(20), 210),
    (lambda: of_a_closure(4), 5),
    (of_a_lambda, 3),
    (boxed, 7),
    (large_argument, 200_000),
    (lambda: length(large_result()), 3_000_000),
    (lambda: length.map([b"x" * 100_000] * 3), [100_000] * 3),
    (lambda: length.map(large.map([2_000_000, 5])), [2_000_000, 5]),
]


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize(("expression", "expected"), CALLS)
def test_what_a_task_goes_on_as_is_its_result(run, expression, expected):
    assert run(expression()).result == expected


@pytest.mark.parametrize("executor", ["process"])
def test_so_it_is_with_many_at_once_in_processes(run):
    assert run([expression() for expression, _ in CALLS]).result == [expected for _, expected in CALLS]


def test_values_may_lie_as_deep_as_the_calls_that_gave_them(run):
    value = run(deep(50)).result
    for _ in range(50):
        (value,) = value
    assert value == 0


def test_keys_tell_where_a_call_came_from_and_do_not_grow_with_depth(run):
    made = run([router("two"), count(3)])

    assert {key: row.state for key, row in made.tasks.items()} == dict.fromkeys(
        [
            "router",
            "count",
            "router/double",
            "router/double-2",
            "router/total",
            "count/count",
            "count/count-2",
            "count/count-3",
        ],
        "succeeded",
    )
    assert (made.output("router/double-2"), made.output("count/count-3")) == (4, 3)


# --- what can't be gone on with ------------------------------------------------------------


@task
def uncalled() -> int:
    return double


@task
def of_another_type() -> str:
    return double(1)


@task
def of_another_shape() -> dict[str, int]:
    return [double(1)]


@task
def with_a_wrong_argument() -> int:
    return double("x")


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (uncalled, "ArgumentError", r"did you mean double()?"),
        (of_another_type, "ResultTypeError", "says that it returns str, but its result gives int"),
        (
            of_another_shape,
            "ResultTypeError",
            "says that it returns dict[str, int], but its result is a list",
        ),
        (with_a_wrong_argument, "ArgumentError", "double(): 'x' is 'x' (str), not int"),
    ],
)
def test_calls_that_can_not_be_the_result_fail_the_task_that_returned_them(run, wrong, error, text):
    made = run(wrong())

    assert list(made.failure.failures) == [wrong.name]
    assert type(made.failure.__cause__).__name__ == error
    assert text in str(made.failure.__cause__)


# --- attempts at what has grown ------------------------------------------------------------


@task
def failing() -> int:
    raise ValueError("inner")


@task
def goes_on_failing() -> int:
    return failing()


def test_an_error_in_a_grown_call_has_its_key_and_its_own_traceback(run):
    made = run([goes_on_failing(), double(1)])

    assert made.failure.failures == {"goes_on_failing/failing": "ValueError: inner"}
    assert isinstance(made.failure.__cause__, ValueError)
    assert 'raise ValueError("inner")' in str(made.failure.__cause__.__cause__)
    assert made.tasks["goes_on_failing"].state == "upstream_failed"
    assert made.output("double") == 2


@task(retries=2)
def flaky(marker: str) -> int:
    """Fails twice."""
    with Path(marker).open("a+") as file:
        file.seek(0)
        before = len(file.read())
        file.write("x")
    if before < 2:
        raise OSError("not yet")
    return before


@task
def goes_on_flaky(marker: str) -> int:
    return flaky(marker)


def test_a_grown_call_is_tried_again_by_itself(run, tmp_path):
    made = run(goes_on_flaky(str(tmp_path / "marker")))

    assert made.result == 2
    rows = made.tasks
    assert (rows["goes_on_flaky"].attempts, rows["goes_on_flaky/flaky"].attempts) == (1, 3)


@task(timeout=0.3)
def slow() -> int:
    time.sleep(60)
    return 1


@task
def goes_on_slow() -> int:
    return slow()


@pytest.mark.parametrize("executor", ["process"])
def test_a_grown_call_has_its_own_timeout(run):
    made = run(goes_on_slow())

    assert made.failure.failures == {"goes_on_slow/slow": "TimeoutError: ran for over 0.3 s and was ended"}


@task(executor="thread")
def in_a_thread() -> str:
    return threading.current_thread().name


@task
def goes_on_in_a_thread() -> str:
    return in_a_thread()


def test_a_grown_call_runs_on_the_executor_that_it_names(run):
    assert run(goes_on_in_a_thread()).result.startswith("liteflow-thread")


# --- size ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [4_000, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("executor", ["inline"])
def test_a_loop_of_thousands_of_rounds_neither_overflows_nor_slows_down(run, rounds):
    # One half beside the other, and again if the machine was busy with something else in the second.
    for _ in range(5):
        made = run(count(rounds))
        assert made.result == rounds
        began = [row.started_at for row in made.tasks.values()]
        if began[-1] - began[rounds // 2] < 3 * (began[rounds // 2] - began[0]):
            return

    raise AssertionError("the second half takes longer than the first")


@pytest.mark.parametrize("executor", ["inline"])
def test_a_recursion_of_thousands_does_not_overflow(run):
    assert run(sum_to(2000)).result == 2000 * 2001 // 2


# --- inputs without a value ------------------------------------------------------------------


@task
def unwanted() -> int:
    return skip("nobody wants it")


@task(when="always")
def told(values: list[Any]) -> list[Any]:
    return [value.error if isinstance(value, Failure) else value for value in values]


@task
def tells(n: int) -> list[Any]:
    return told([unwanted(), failing() if n else 0, double(n)])


@pytest.mark.parametrize(
    "n, result", [(0, ["nobody wants it", 0, 0]), (1, ["nobody wants it", "ValueError: inner", 2])]
)
def test_calls_that_a_task_returns_may_run_though_their_inputs_have_no_value(run, n, result):
    made = run(tells(n))

    assert made.output("tells") == result
    assert made.state == ("failed" if n else "succeeded")
