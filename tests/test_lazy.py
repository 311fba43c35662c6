"""Lazy values: how `>>` connects them, their items, and what can't be done with a value that is not there."""

import asyncio
import contextlib
import copy
import json
import math
import operator
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from liteflow import Call, DefinitionError, Item, Lazy, task
from liteflow.errors import ArrowError, LookedInsideError, SettingError


@task
def source() -> int: ...
@task
def other() -> int: ...
@task
def one(x: int, scale: int = 1) -> int: ...
@task
def two(x: int, y: int, *, z: int = 0) -> int: ...
@task
def keyword(*, x: int, y: int) -> int: ...
@task
def free() -> int: ...
@task
def many(*xs: int) -> int: ...
@task
def one_and_many(x: int, *rest: int) -> int: ...
@task
def pair() -> tuple[int, str]: ...
@task
def triple() -> tuple[tuple[int, str], dict[str, list[float]]]: ...
@task
def numbers() -> list[int]: ...
@task
def anything(): ...


def fed(call):
    return call._arguments


def ordered(call):
    return list(call._after)


# --- >> ------------------------------------------------------------------------------------


def test_an_arrow_feeds_the_first_free_required_parameter_and_gives_its_right_side():
    a, b = source(), one()

    assert (a >> b) is b
    assert fed(b) == {"x": a}
    assert ordered(b) == []


def test_an_arrow_skips_parameters_that_are_given():
    a, b = source(), two(5)
    a >> b

    assert fed(b) == {"x": 5, "y": a}


def test_an_arrow_feeds_keyword_only_parameters_too():
    a, b = source(), keyword(y=1)
    a >> b

    assert fed(b) == {"x": a, "y": 1}


def test_arrows_feed_one_parameter_after_the_other_also_as_separate_statements():
    a, b, c = source(), other(), two()
    a >> c
    b >> c

    assert fed(c) == {"x": a, "y": b}


def test_an_arrow_only_orders_when_nothing_is_free():
    a, b = source(), free()
    a >> b

    assert fed(b) == {}
    assert ordered(b) == [a]


def test_a_parameter_with_a_default_is_not_fed():
    a, b = source(), one(1)
    a >> b

    assert fed(b) == {"x": 1}
    assert ordered(b) == [a]


def test_bare_tasks_are_called_on_either_side():
    b = source >> one

    assert isinstance(b, Call)
    assert fed(b)["x"]._task == source
    assert fed(source() >> one)["x"]._task == source
    assert fed(source >> one())["x"]._task == source


def test_a_chain_of_arrows_goes_from_left_to_right():
    c = source() >> one() >> one(scale=2)

    assert fed(c)["scale"] == 2
    assert fed(fed(c)["x"])["x"]._task == source


def test_a_list_on_the_left_flows_as_one_value():
    a, b, c = source(), other(), two()
    [a, b] >> c

    assert fed(c) == {"x": [a, b]}


def test_a_tuple_on_the_left_flows_as_several_arguments():
    a, b, c = source(), other(), two()
    (a, b) >> c

    assert fed(c) == {"x": a, "y": b}


def test_lists_and_tuples_on_the_left_may_hold_bare_tasks_and_each_other():
    a, c, d = source(), one(), one()
    [a, other, (a, [a])] >> c
    ([a, a],) >> d

    assert fed(c)["x"][0] is a
    assert fed(c)["x"][1]._task == other
    assert fed(c)["x"][2] == (a, [a])
    assert fed(d) == {"x": [a, a]}


def test_a_tuple_may_leave_parameters_free():
    a, c = source(), two()
    (a,) >> c

    assert fed(c) == {"x": a}


def test_a_tuple_with_nothing_free_only_orders():
    a, b, c = source(), other(), free()
    (a, [b]) >> c

    assert fed(c) == {}
    assert ordered(c) == [a, b]


def test_a_tuple_that_is_longer_than_what_is_free_is_refused_and_changes_nothing():
    a, c = source(), two(1)

    with pytest.raises(ArrowError, match=r"2 values flow to two\(\), which has 1 free: y"):
        (a, a) >> c
    assert fed(c) == {"x": 1}


def test_what_is_left_over_goes_to_the_rest_parameter():
    a, b, c, d = source(), other(), many(), one_and_many()
    a >> c
    (a, b) >> c
    (a, b, b) >> d

    assert fed(c) == {"xs": [a, a, b]}
    assert fed(d) == {"x": a, "rest": [b, b]}


def test_the_rest_parameter_keeps_what_the_call_gave_it():
    a, c = source(), one_and_many(1, 2)
    a >> c

    assert fed(c) == {"x": 1, "rest": [2, a]}


def test_a_list_on_the_right_fans_out():
    a, b, c = source(), one(), two()
    fan = a >> [b, c, one]

    assert fan[:2] == [b, c]
    assert [fed(call) for call in fan] == [{"x": a}] * 3


def test_a_fan_goes_on_as_one_list():
    d = source() >> [one(), one(scale=2)] >> one()

    assert [fed(call).get("scale") for call in fed(d)["x"]] == [None, 2]


def test_a_fan_can_fan_out_again():
    fan = source() >> [one(), one()] >> [one, two]

    assert [[x._task for x in fed(call)["x"]] for call in fan] == [[one, one]] * 2


def test_a_fan_is_the_list_that_it_looks_like_once_it_is_copied():
    assert type(copy.copy(source() >> [one()])) is list


def test_numpy_does_not_take_the_arrow_for_its_own():
    with pytest.raises(ArrowError, match=r"ndarray.*give plain values as arguments"):
        np.array([1, 2]) >> one()


# --- what can't stand beside >> (B8, B9, B10) -------------------------------------------------


@pytest.mark.parametrize(
    ("connect", "named"),
    [
        (lambda: source() >> None, "None"),
        (lambda: source() >> 5, "5 (int)"),
        (lambda: source >> 5, "5 (int)"),
        (lambda: source() >> "one", "'one' (str)"),
        (lambda: source() >> (one(), one()), "use a list to fan out"),
        (lambda: source() >> [one(), 5], "5 (int)"),
        (lambda: source() >> [one(), [one()]], "(list)"),
        (lambda: source() >> [], "the list is empty"),
        (lambda: [] >> one(), "the list is empty"),
        (lambda: () >> one(), "the tuple is empty"),
        (lambda: [source(), []] >> one(), "the list is empty"),
        (lambda: None >> one(), "None stands on the left"),
        (lambda: 5 >> one(), "5 (int) stands on the left"),
        (lambda: [source(), 5] >> one(), "5 (int) stands on the left"),
        (lambda: {"a": source()} >> one(), "(dict) stands on the left"),
        (lambda: 5 >> one, "5 (int) stands on the left"),
        (lambda: source() >> pair()[0], "feed pair() itself"),
        (lambda: source() >> len, "(builtin_function_or_method)"),
    ],
)
def test_what_cannot_stand_beside_an_arrow_is_refused_by_name(connect, named):
    with pytest.raises(ArrowError) as caught:
        connect()
    assert isinstance(caught.value, TypeError)
    assert named in str(caught.value)


def test_a_refused_fan_feeds_none_of_its_calls():
    b = one()
    with pytest.raises(ArrowError):
        source() >> [b, 5]
    assert fed(b) == {}


def test_a_list_that_holds_itself_is_refused_without_end():
    loop = [source()]
    loop.append(loop)

    with pytest.raises(ArrowError, match="holds itself"):
        loop >> one()


# --- used as if it were there (B5, B10) -------------------------------------------------------

USES = {
    "truth": (bool, "decide inside a task"),
    "not": (operator.not_, "decide inside a task"),
    "and": (lambda x: x and 1, "decide inside a task"),
    "choice of a task": (lambda x: source() >> one() if x else 1, "decide inside a task"),
    "iteration": (list, "pass it on whole"),
    "for": (lambda x: [i for i in x], "pass it on whole"),  # noqa: C416
    "star": (lambda x: one(*x), "pass it on whole"),
    "unpacking": (lambda x: dict(zip("ab", x, strict=True)), "pass it on whole"),
    "len": (len, "inside a task"),
    "search": (lambda x: 1 in x, "inside a task"),
    "text": (str, "repr()"),
    "f-string": (lambda x: f"{x}", "{x!r}"),
    "format": ("{:>5}".format, "{x!r}"),
    "percent": (lambda x: "%s" % x, "repr()"),  # noqa: UP031
    "int": (int, "compute inside a task"),
    "float": (float, "compute inside a task"),
    "index": (lambda x: [1][x], "compute inside a task"),
    "range": (range, "compute inside a task"),
    "round": (round, "compute inside a task"),
    "floor": (math.floor, "compute inside a task"),
    "abs": (abs, "compute inside a task"),
    "minus": (lambda x: -x, "compute inside a task"),
    "plus": (lambda x: x + 1, "can't be used with +"),
    "plus from the right": (lambda x: 1 + x, "can't be used with +"),
    "array plus": (lambda x: np.array([1]) + x, "can't be used with +"),
    "arrow and plus": (lambda x: source() >> x + 1, "can't be used with +"),
    "times": (lambda x: [1] * x, "compute inside a task"),
    "power": (lambda x: x**2, "can't be used with **"),
    "mod": (lambda x: x % 2, "can't be used with %"),
    "divmod": (lambda x: divmod(x, 2), "compute inside a task"),
    "matrix": (lambda x: x @ x, "can't be used with @"),
    "or": (lambda x: x | 1, "can't be used with |"),
    "left shift": (lambda x: x << one(), "connect tasks with >>"),
    "greater": (lambda x: x > one(), ">> connects tasks"),
    "less": (lambda x: x < 5, ">> connects tasks"),
    "sort": (lambda x: sorted([x, x]), ">> connects tasks"),
    "call": (lambda x: x(1), "call it inside a task"),
    "attribute": (lambda x: x.shape, "take .shape inside a task"),
    "attribute of other libraries": (lambda x: x.compute(), r'to run it: Flow("name", ...).run().result'),
    "attribute of ours": (lambda x: x.task, "take .task inside a task"),
    "with": (lambda x: contextlib.ExitStack().enter_context(x), "inside a task"),
    "lazy item": (lambda x: anything()[x], "choose the item inside a task"),
    "setting an item": (lambda x: operator.setitem(x, 0, 1), "in a task"),
    "deleting an item": (lambda x: operator.delitem(x, 0), "in a task"),
    "open": (open, "inside a task"),
    "pickle": (pickle.dumps, "source.fn(...)"),
}


@pytest.mark.parametrize("use", USES)
def test_using_a_value_that_is_not_there_is_refused_with_what_to_do(use):
    how, remedy = USES[use]
    with pytest.raises(LookedInsideError) as caught:
        how(source())
    assert isinstance(caught.value, DefinitionError)
    assert isinstance(caught.value, TypeError)
    assert "source() has not run yet" in str(caught.value)
    assert remedy in str(caught.value)


def test_a_missing_attribute_is_an_attribute_error_too():
    assert not hasattr(source(), "shape")
    assert getattr(source(), "shape", 5) == 5


def test_awaiting_is_refused():
    async def wait():
        await source()

    async def each():
        async for _ in source():
            pass

    async def inside():
        async with source():
            pass

    for use in (wait, each, inside):
        with pytest.raises(LookedInsideError, match=r"source\(\) has not run yet"):
            asyncio.run(use())


def test_lazy_values_are_equal_and_hashed_by_identity():
    a, b = source(), source()

    assert a == a  # noqa: PLR0124
    assert a != b
    assert (a == 1) is False
    assert {a: 1, b: 2}[a] == 1
    assert a in {a}


def test_looking_at_a_lazy_value_is_harmless():
    assert repr(source()) == "<lazy source()>"
    assert repr(pair()[0]) == "<lazy pair()[0]>"
    assert repr([source()]) == "[<lazy source()>]"
    assert f"{source()!r}" == "<lazy source()>"


def test_a_lazy_value_is_no_json():
    with pytest.raises(TypeError):
        json.dumps(source())


def test_copies_of_what_holds_a_call_hold_the_same_call():
    a = source()

    assert copy.copy(a) is a
    assert copy.deepcopy([{"a": a}]) == [{"a": a}]


def test_numpy_and_dataclasses_can_hold_lazy_values():
    @dataclass(frozen=True)
    class Job:
        x: object

    a = source()

    assert Job(a).x is a
    assert np.array([a, 1], dtype=object)[0] is a


# --- items ----------------------------------------------------------------------------------


def test_items_are_lazy_too():
    item = triple()[1]["k"][0]

    assert isinstance(item, Item)
    assert isinstance(item, Lazy)
    assert item._path() == (1, "k", 0)
    assert item._type() is float


def test_a_tuple_of_known_length_can_be_unpacked():
    number, text = pair()
    (inner_number, inner_text), rest = triple()

    assert [x._path() for x in (number, text)] == [(0,), (1,)]
    assert [x._path() for x in (inner_number, inner_text, rest)] == [(0, 0), (0, 1), (1,)]
    assert (number._type(), inner_text._type()) == (int, str)


def test_unpacking_into_too_many_or_too_few_names_fails_as_always():
    with pytest.raises(ValueError, match="not enough values"):
        _a, _b, _c = pair()
    with pytest.raises(ValueError, match="too many values"):
        (_a,) = pair()


@pytest.mark.parametrize("call", [numbers, anything])
def test_a_result_of_unknown_length_cannot_be_unpacked(call):
    with pytest.raises(LookedInsideError, match=r"annotate the result as a tuple of fixed length"):
        _a, _b = call()


def test_items_flow_like_calls():
    b = pair()[0] >> one()

    assert fed(b)["x"]._path() == (0,)
    assert (pair()[1] >> free())._after[0]._path() == (1,)


# --- names ----------------------------------------------------------------------------------


def test_naming_gives_the_same_call():
    a = source()

    assert a.named("the source") is a
    assert a.named("the source") is a


def test_a_call_has_one_name():
    a = source().named("first")

    with pytest.raises(SettingError, match=r"must be the one it has \(from .*test_lazy.py:\d+\)"):
        a.named("second")
