"""Maps: one task instance for each item, in order, whatever the list is and wherever it comes from."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.drivers import query

from liteflow import Failure, Flow, skip, task, unmapped
from liteflow.errors import ArgumentError, EdgeTypeError, RunFailed


@task
def double(x: int) -> int:
    return 2 * x


@task
def increased(x: int) -> int:
    return x + 1


@task
def add(a: int, b: int = 100, *, c: int = 0) -> int:
    return a + b + c


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def texts(n: int) -> list[str]:
    return [str(i) for i in range(n)]


@task
def pairs(n: int) -> list[tuple[int, int]]:
    return [(i, 10 * i) for i in range(n)]


@task
def table(n: int) -> list[int]:
    """A mapped task that goes on as a mapped call."""
    return double.map(range(n))


@task
def uneven(x: int) -> int:
    if x % 3 == 0:
        raise ValueError(f"{x} is a multiple of three")
    if x % 2:
        skip("odd")
    return x


@task
def whatever(anything: Any) -> Any:
    return anything


MAPS = [
    (lambda: double.map([1, 2, 3]), [2, 4, 6]),
    (lambda: double.map(x for x in (3, 2, 1)), [6, 4, 2]),
    (lambda: double.map(numbers(4)), [0, 2, 4, 6]),
    (lambda: numbers(3) >> double.map() >> total(), 6),
    (lambda: double.map([]), []),
    (lambda: total(double.map(numbers(0))), 0),
    (lambda: increased.map(double.map([])), []),
    (lambda: add.map([1, 2], [10, 20]), [11, 22]),
    (lambda: add.map(numbers(2), [10, 20], c=numbers(2)), [10, 22]),
    (lambda: add.map([1, 2], unmapped(5)), [6, 7]),
    (lambda: add.map([1, 2], b=unmapped(increased(6)), c=[3, 4]), [11, 13]),
    (lambda: add.map([increased(1), 2, double(4)], unmapped(0)), [2, 2, 8]),
    (lambda: add.starmap([(1, 2), (3,), (4, 5)]), [3, 103, 9]),
    (lambda: add.starmap(pairs(3), c=unmapped(1)), [1, 12, 23]),
    (lambda: add.starmap([(1, 2)], c=[7]), [10]),
    (lambda: table.map([0, 1, 3]), [[], [0], [0, 2, 4]]),
    (lambda: total.map(table.map(numbers(4))), [0, 0, 2, 6]),
    (lambda: increased.map(double.map(increased.map(numbers(3)))), [3, 5, 7]),
    (lambda: add.map(double.map(numbers(3)), increased.map(numbers(3))), [1, 4, 7]),
    (lambda: add.map(double.map(numbers(3)), numbers(3)), [0, 3, 6]),
    (lambda: double.map([4, 5])[1] >> add(total(double.map(numbers(3)))), 106),
    (lambda: double.map(numbers(3))[2], 4),
    (lambda: add(double.map(numbers(3))[-1], total(double.map(numbers(3)))), 10),
    (lambda: {"a": double.map([1]), "b": [increased.map(numbers(2)), 5]}, {"a": [2], "b": [[1, 2], 5]}),
    (lambda: whatever.map([None, [1], {"k": 2}, b"b"]), [None, [1], {"k": 2}, b"b"]),
    (lambda: whatever.map([double.map([1, 2]), increased.map(numbers(2))]), [[2, 4], [1, 2]]),
    (lambda: whatever({"maps": [double.map([1]), double.map(numbers(2))]}), {"maps": [[2], [0, 2]]}),
]


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize(("expression", "expected"), MAPS)
def test_a_map_gives_the_list_that_a_loop_would_give(run, expression, expected):
    assert run(expression()).result == expected


@pytest.mark.parametrize("executor", ["process"])
def test_so_do_many_maps_at_once_in_processes(run):
    assert run([expression() for expression, _ in MAPS]).result == [expected for _, expected in MAPS]


def test_the_items_are_task_instances_that_are_called_by_their_place(run):
    made = run(total(double.map([5, 6])))

    assert {key: row.state for key, row in made.tasks.items()} == {
        "double": "succeeded",
        "double[0]": "succeeded",
        "double[1]": "succeeded",
        "total": "succeeded",
    }
    assert (made.output("double"), made.output("double[1]")) == ([10, 12], 12)


# --- what goes on when ---------------------------------------------------------------------


@task
def let_go(x: int, where: str) -> int:
    """Item 0 returns when item 1 of the second map has been there; alone it would wait forever."""
    until = time.monotonic() + 20
    while x == 0 and not Path(where, "second-1").exists():
        assert time.monotonic() < until, "element 1 waits for all elements of the first map"
        time.sleep(0.002)
    return x


@task
def second(x: int, where: str) -> int:
    Path(where, f"second-{x}").touch()
    return x


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("executor", ["thread", "process"])
def test_an_element_of_a_chain_goes_on_as_soon_as_it_is_ready_itself(run, lazy, tmp_path):
    items = numbers(2) if lazy else [0, 1]
    where = unmapped(str(tmp_path))

    assert run(second.map(let_go.map(items, where), where)).result == [0, 1]


@task
def meet(x: int, where: str) -> int:
    """Notes how many of its like run now."""
    mine = Path(where, str(x))
    mine.touch()
    now = len(list(Path(where).iterdir()))
    time.sleep(0.01)
    mine.unlink()
    return now


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("most", [1, 2])
def test_no_more_items_run_at_once_than_the_map_allows(run, most, tmp_path):
    crowd = meet.map(numbers(12), unmapped(str(tmp_path)), max_active=most)

    assert max(run(crowd, max_workers=4).result) <= most


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_bounded_map_is_bounded_behind_another_map_too(run, tmp_path):
    crowd = meet.map(increased.map(range(8)), unmapped(str(tmp_path)), max_active=1)

    assert run(crowd, max_workers=4).result == [1] * 8


@pytest.mark.parametrize("executor", ["process"])
def test_a_bounded_map_is_bounded_behind_calls_that_a_worker_would_run_on_from(run, tmp_path):
    crowd = meet.map([increased(n) for n in range(24)], unmapped(str(tmp_path)), max_active=1)

    assert run(crowd, max_workers=4).result == [1] * 24


@pytest.mark.parametrize("executor", ["process"])
def test_a_map_over_a_map_that_has_not_grown_waits_for_it_wherever_its_other_list_was_made(run):
    # One worker, which knows all functions by then, gets the longer way first, and runs on from the
    # first list to the map over it: before the other list is there.
    begun = increased(2)
    first, other = numbers(begun), increased.map(numbers(begun))

    assert run(total(double.map(add.map(first, other))), max_workers=1).result == 18


def test_a_bounded_map_goes_on_after_items_that_fail_are_skipped_or_grow(run):
    made = run([uneven.map(range(12), max_active=1, on_error="collect"), table.map([2, 3], max_active=1)])

    collected, tables = made.result
    assert [x for x in collected if not isinstance(x, Failure)] == [2, 4, 8, 10]
    assert tables == [[0, 2], [0, 2, 4]]


# --- items that fail -----------------------------------------------------------------------


def test_a_failed_item_fails_the_run_and_what_takes_the_list(run):
    made = run(total(uneven.map([2, 3, 4])))

    assert made.state == "failed"
    assert {key: row.state for key, row in made.tasks.items()} == {
        "uneven": "upstream_failed",
        "uneven[0]": "succeeded",
        "uneven[1]": "failed",
        "uneven[2]": "succeeded",
        "total": "upstream_failed",
    }
    with pytest.raises(RunFailed, match=r"uneven\[1\]: ValueError: 3 is a multiple of three") as caught:
        _ = made.result
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_failed_item_can_be_collected_as_data(run):
    made = run(uneven.map(range(4), on_error="collect"))

    assert made.state == "succeeded"
    assert made.result == [
        Failure("uneven[0]", "failed", "ValueError: 0 is a multiple of three"),
        Failure("uneven[1]", "skipped", "odd"),
        2,
        Failure("uneven[3]", "failed", "ValueError: 3 is a multiple of three"),
    ]


def test_a_failed_item_can_be_left_out(run):
    made = run([total(uneven.map(numbers(9), on_error="skip")), uneven.map([3], on_error="skip")])

    assert made.result == [14, []]
    assert made.tasks["uneven[3]"].state == "failed"


def test_what_maps_over_a_map_that_leaves_out_has_the_items_that_are_left(run):
    made = run(double.map(uneven.map(numbers(9), on_error="skip")))

    assert made.result == [4, 8, 16]
    assert [key for key in made.tasks if key.startswith("double[")] == ["double[0]", "double[1]", "double[2]"]


def test_an_element_of_a_chain_whose_input_failed_never_runs_and_the_others_do(run):
    made = run(double.map(uneven.map([2, 3, 4])))

    states = {key: row.state for key, row in made.tasks.items()}
    assert [states[f"double[{i}]"] for i in range(3)] == ["succeeded", "upstream_failed", "succeeded"]
    assert (states["double"], made.state) == ("upstream_failed", "failed")


def test_a_run_that_is_given_back_has_its_failures_as_they_were_and_leaves_out_what_it_left_out(tmp_path):
    recipe = [uneven.map(range(4), on_error=how) for how in ("collect", "skip")]
    flow = Flow("kept", recipe, db=tmp_path / "s.db", executor="thread")

    made, again = flow.run(run_id="a"), flow.run(run_id="a")

    assert again.result == made.result
    assert again.result[1] == [2]


# --- what can't be mapped ------------------------------------------------------------------


def test_lists_of_different_lengths_are_named_with_their_lengths(run):
    with pytest.raises(RunFailed) as caught:
        _ = run(add.map(numbers(2), numbers(3))).result
    error = str(caught.value.__cause__)
    assert "'a'" in error or "a " in error
    assert "2" in error
    assert "3" in error


def test_what_follows_a_map_of_different_lengths_ends_with_it(run):
    made = run(total(double.map(add.map([1, 2, 3], double.map([1, 2])))))

    assert made.state == "failed"
    states = {key: row.state for key, row in made.tasks.items() if "[" not in key}
    assert states == {
        "add": "failed",
        "double": "succeeded",
        "double-2": "upstream_failed",
        "total": "upstream_failed",
    }


def test_plain_lists_of_different_lengths_are_told_before_anything_runs(run):
    with pytest.raises(ArgumentError, match="a has 3, b has 2"):
        run(add.map([1, 2, 3], [1, 2]), check=True)


@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        (lambda: double.map(5), ArgumentError, "5 .*unmapped"),
        (lambda: double.map("12"), ArgumentError, "one value: unmapped"),
        (lambda: double.map({"a": 1}), ArgumentError, "dict"),
        (lambda: double.map(["a"]), ArgumentError, "not int"),
        (lambda: double.map(total([1])), EdgeTypeError, "int"),
        (lambda: double.map(texts(3)), EdgeTypeError, "str"),
        (lambda: total(texts.map([1])), EdgeTypeError, r"list\[list\[str\]\]"),
    ],
)
def test_what_is_no_list_of_the_right_things_is_refused_when_the_flow_is_compiled(expression, error, text):
    with pytest.raises(error, match=text):
        Flow("f", expression()).compile()


def test_an_iterable_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr("liteflow.mapped.MOST_ITEMS", 1000)
    with pytest.raises(ArgumentError, match="more than 1 000 items; if it never ends, cut it off"):
        double.map(count())


@pytest.mark.parametrize("value, text", [(5, "5"), ("ab", "one value"), ({"a": 1}, "dict"), ({1}, "sorted")])
def test_a_result_that_is_no_list_fails_the_map_with_an_error_that_says_so(run, value, text):
    made = run([whatever.map(whatever(value)), double(1)])

    assert made.state == "failed"
    (error,) = made.failure.failures.values()
    assert text in error
    assert list(made.failure.failures) == ["whatever"] or list(made.failure.failures) == ["whatever-2"]
    assert made.output("double") == 2


def test_an_item_that_is_not_there_is_told_by_the_call_that_takes_it(run):
    made = run(increased(double.map([1, 2])[7]))

    (error,) = made.failure.failures.values()
    assert "item [7] of its input is not there: it would be in a list of 2 items" in error


def test_an_items_result_of_a_wrong_type_fails_that_item(run):
    @task
    def wrong(x: int) -> int:
        return x if x else "nothing"

    made = run(wrong.map(range(3), on_error="collect"))

    assert made.result[1:] == [1, 2]
    assert "ResultTypeError" in made.result[0].error


# --- size ----------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("executor", ["process"])
def test_a_hundred_thousand_items_come_in_order(run):
    made = run(total(increased.map(double.map(numbers(100_000)))))

    assert made.result == sum(2 * i + 1 for i in range(100_000))


def test_ten_thousand_items_come_in_order(run):
    assert run(increased.map(double.map(range(10_000)))).result == [2 * i + 1 for i in range(10_000)]


def test_hundreds_of_maps_over_each_other_do_not_overflow(run):
    chain: Any = numbers(2)
    for _ in range(400):
        chain = increased.map(chain)

    assert run(chain).result == [400, 401]


def test_the_store_says_which_call_feeds_which_item(run, tmp_path):
    run(double.map([increased(1), increased(2)]), db=tmp_path / "s.db")

    edges = query(tmp_path / "s.db", "SELECT source, target FROM edges WHERE target LIKE 'double[%'")
    assert sorted(edges) == [("increased", "double[0]"), ("increased-2", "double[1]")]
