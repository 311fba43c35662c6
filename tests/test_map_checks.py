"""What a task can't be mapped over is refused when the flow is compiled, with what to do instead (B11)."""

import enum
import itertools
import re
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from dags import dag_of

from liteflow import Failure, Flow, flow, task, unmapped
from liteflow.errors import ArgumentError, EdgeTypeError, FlowError


@task
def double(x: int) -> int:
    return 2 * x


@task
def add(a: int, b: int = 0, *, c: int = 0) -> int:
    return a + b + c


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def anything(x):
    return x


@task
def collect(*numbers: int) -> list[int]:
    return list(numbers)


class Point(NamedTuple):
    x: int
    y: int


class Rows:
    """Iterated over as Python did before there was `__iter__`."""

    def __getitem__(self, index: int) -> int:
        return [1, 2][index]


def giving(hint: Any) -> Any:
    """A lazy value that is declared to be of a type."""

    def source():
        return None

    source.__annotations__["return"] = hint
    return task(source)()


# --- plain values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("abc", "'abc' (str), which is one value: unmapped(...)"),
        (b"abc", "b'abc' (bytes), which is one value"),
        (bytearray(b"abc"), "(bytearray), which is one value"),
        ({1: 2}, "a dict: map over list(d) or list(d.items())"),
        (OrderedDict(), "a OrderedDict: map over list(d)"),
        ({1, 2}, "a set, whose order may be another one in the next run: map over sorted(...)"),
        (frozenset(), "a frozenset, whose order"),
        (5, "5 (int), and no list: unmapped(...) gives it to every item"),
        (None, "None (NoneType), and no list"),
        (double, "<task double> itself; did you mean double()?"),
        (Flow("numbers", double()), "<flow numbers> itself; did you mean numbers()?"),
    ],
)
def test_what_is_no_list_is_refused_with_its_type(value, why):
    with pytest.raises(ArgumentError, match=re.escape("double.map(): 'x' is ") + f".*{re.escape(why)}"):
        double.map(value)
    with pytest.raises(ArgumentError, match=re.escape("add.map(): 'b'")):
        add.map([1], b=value)
    with pytest.raises(ArgumentError, match=re.escape("add.starmap(): '*'")):
        add.starmap(value)


def test_a_list_that_never_ends_is_cut_off_with_a_message():
    with pytest.raises(ArgumentError, match="gives more than 10 000 000 items; if it never ends"):
        double.map(itertools.repeat(1))


def test_an_error_of_the_users_iterator_is_the_users():
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        double.map(broken())


def test_lists_of_different_lengths_are_told_with_their_names():
    with pytest.raises(
        ArgumentError, match=r"different lengths: a has 2, b has 3; .*test_map_checks\.py:\d+"
    ):
        dag_of(add.map([1, 2], [3, 4, 5]))
    with pytest.raises(ArgumentError, match="a has 2, c has 1"):
        dag_of(add.map([1, 2], giving(list[int]), c=[3]))


def test_a_list_that_is_still_to_come_may_have_any_length():
    assert dag_of(add.map([1, 2], giving(list[int]))).nodes[1].key == "add"


def test_a_map_over_nothing_is_told_what_it_needs():
    for call in (add.map(a=unmapped(1)), task(lambda: 1).map(), add.starmap(), collect.map()):
        with pytest.raises(
            ArgumentError, match="is mapped over nothing; give it a list, or feed it one with >>"
        ):
            dag_of(call)
    with pytest.raises(ArgumentError, match=r"add\(\): 'a' is missing"):
        dag_of(add.map(b=[1]))


def test_a_task_in_a_list_is_told_to_be_called():
    with pytest.raises(ArgumentError, match=r"did you mean double\(\)\?"):
        dag_of(anything.map([1, double]))


def test_an_item_that_cannot_travel_is_named():
    with pytest.raises(ArgumentError, match=r"anything\(\): 'x'.*generator"):
        dag_of(anything.map([(n for n in [1])]))


# --- types of items ---------------------------------------------------------------------------


def test_the_items_of_a_plain_list_must_fit():
    with pytest.raises(ArgumentError, match=r"double\(\): 'x'\[2\] is 'x' \(str\), not int"):
        dag_of(double.map([1, 2, "x"]))
    with pytest.raises(ArgumentError, match=r"collect\(\): 'numbers'\[0\] is None, not int"):
        dag_of(collect.map([1], [None]))
    with pytest.raises(EdgeTypeError, match=r"source\(\) gives str, but double\(\) takes x\[1\]: int"):
        dag_of(double.map([1, giving(str)]))


def test_what_goes_to_every_item_must_fit_too():
    with pytest.raises(ArgumentError, match=r"add\(\): 'b' is 'x' \(str\), not int"):
        dag_of(add.map([1], unmapped("x")))
    with pytest.raises(EdgeTypeError, match=r"source\(\) gives list\[int\], but add\(\) takes b: int"):
        dag_of(add.map([1], unmapped(giving(list[int]))))


@pytest.mark.parametrize(
    "hint",
    [
        list[int], tuple[int, ...], tuple[int, int], Sequence[bool], Iterable[int], list, Any, range, Rows,
        Point, list[int] | tuple[int], list[Any], type[enum.Enum],
    ],
    ids=str,
)  # fmt: skip
def test_a_lazy_list_of_what_fits_can_be_mapped_over(hint):
    assert dag_of(double.map(giving(hint))).nodes[1].map is not None


@pytest.mark.parametrize(
    "hint",
    [
        list[str], tuple[int, str], Sequence[int | None], int, None, str, bytes, dict[int, int], set[int],
        Mapping[int, str], list[int] | None, list[int] | str,
    ],
    ids=str,
)  # fmt: skip
def test_a_lazy_list_of_what_does_not_fit_is_refused(hint):
    with pytest.raises(EdgeTypeError, match=r"source\(\) gives .*, but double\(\) takes x: list\[int\]"):
        dag_of(double.map(giving(hint)))


@pytest.mark.parametrize("hint", [int, str, dict[str, int], set[int], None], ids=str)
def test_even_where_items_may_be_anything_a_list_is_needed(hint):
    with pytest.raises(EdgeTypeError, match=r"but anything\(\) takes x: list"):
        dag_of(anything.map(giving(hint)))


def test_a_list_that_may_be_none_says_so():
    with pytest.raises(EdgeTypeError, match=r"it may be None, so let x be list\[int\] \| None"):
        dag_of(double.map(giving(list[int] | None)))


def test_a_map_gives_a_list_of_what_its_task_gives():
    assert dag_of(total(double.map([1]))).nodes[1].key == "total"
    with pytest.raises(EdgeTypeError, match=r"double\(\) gives list\[int\], but add\(\) takes a: int"):
        dag_of(add(double.map([1])))
    with pytest.raises(
        EdgeTypeError, match=r"double\(\)\[0\] gives int, but total\(\) takes values: list\[int\]"
    ):
        dag_of(total(double.map([1])[0]))


def test_a_list_that_may_hold_failures_goes_only_where_these_may_go():
    @task
    def good(values: list[int | Failure]) -> int:
        return sum(value for value in values if value)

    collected = double.map([1], on_error="collect")

    assert dag_of(good(collected)).nodes[1].key == "good"
    assert dag_of(total(double.map([1], on_error="skip"))).nodes[1].key == "total"
    assert dag_of(total(anything.map([1], on_error="collect"))).nodes[1].key == "total"
    with pytest.raises(EdgeTypeError, match=r"gives list\[int \| Failure\], but total\(\) takes"):
        dag_of(total(collected))


def test_a_flows_annotation_is_checked_against_the_list():
    @flow
    def wrong() -> int:
        return double.map([1])

    with pytest.raises(FlowError, match=r"says that it returns int, but what it returns gives list\[int\]"):
        wrong.compile()


# --- starmap ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tuples", "named", "why"),
    [
        ([(1, 2), 5], {}, "'*'[1] is 5 (int), not a tuple of arguments"),
        (["ab"], {}, "'*'[0] is 'ab' (str), not a tuple of arguments"),
        ([(1, 2), (1, 2, 3)], {}, "'*'[1] has 3 items, but it takes 2 by position: a, b"),
        ([(1,), ()], {}, "'*'[1] has 0 items, so a is missing"),
        ([(1, 2)], {"b": unmapped(3)}, "'*'[0] has 2 items, so b is given twice: by the tuple, and by name"),
        ([(1, 2), (3, "x")], {}, "'*[1][1]' is 'x' (str), not int"),
        ([(1, 2), (3, 4)], {"c": [1]}, "different lengths: * has 2, c has 1"),
        ([(1, 2)], {"c": ["x"]}, "'c'[0] is 'x' (str), not int"),
    ],
)
def test_the_tuples_of_a_starmap_must_be_what_the_task_takes(tuples, named, why):
    with pytest.raises(ArgumentError, match=re.escape(why)):
        dag_of(add.starmap(tuples, **named))


def test_lazy_parts_of_tuples_are_checked():
    assert dag_of(add.starmap([(giving(int), 2), giving(tuple[int, int]), giving(Any)])).nodes[3].key == "add"
    with pytest.raises(EdgeTypeError, match=r"gives str, but add\(\) takes \*\[0\]\[1\]: int"):
        dag_of(add.starmap([(1, giving(str))]))
    with pytest.raises(EdgeTypeError, match=r"gives tuple\[int, str\], but add\(\) takes \*\[0\]\[1\]: int"):
        dag_of(add.starmap([giving(tuple[int, str])]))


def test_a_lazy_list_of_tuples_is_checked():
    assert dag_of(add.starmap(giving(list[tuple[int, int]]))).nodes[1].map.star
    assert dag_of(add.starmap(giving(list[Point]))).nodes[1].map.star
    assert dag_of(collect.starmap(giving(list[tuple[int, ...]]))).nodes[1].map.star
    with pytest.raises(EdgeTypeError, match=r"but add\(\) takes \*\[1\]: int"):
        dag_of(add.starmap(giving(list[tuple[int, str]])))
    with pytest.raises(ArgumentError, match="gives tuples of 3 items, but it takes 2 by position"):
        dag_of(add.starmap(giving(list[tuple[int, int, int]])))


def test_rest_arguments_take_tuples_of_any_length():
    assert dag_of(collect.starmap([(1,), (), (1, 2, 3)])).nodes[0].map.star
    with pytest.raises(ArgumentError, match=re.escape("'*[1][2]' is 'x' (str), not int")):
        dag_of(collect.starmap([(1,), (1, 2, "x")]))


# --- hints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "gives"),
    [
        (Generator[int, None, str], str),
        (Iterator[int], type(None)),
        (Iterable[int], type(None)),
        (Generator[int, None, None], type(None)),
        (Any, Any),
        (int, Any),
    ],
    ids=str,
)
def test_a_generator_task_gives_what_its_function_returns_at_its_end(hint, gives):
    def words():
        yield 1

    words.__annotations__["return"] = hint

    assert task(words).signature.returns is gives


def test_a_function_that_only_returns_an_iterator_is_no_generator_task():
    def words() -> Iterator[int]:
        return iter([1])

    assert task(words).signature.returns == Iterator[int]
