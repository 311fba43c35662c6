"""Conditions: what they mean, and that no text can be more than a look-up and a comparison."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples

from liteflow.task_types.conditions import (
    Compared,
    Constant,
    Joined,
    Listed,
    Negated,
    holds,
    parse_condition,
    text_of,
)
from liteflow.task_types.faults import ConditionError, TemplateError

VALUES = {
    "params.env": "prod",
    "params.n": 3,
    "params.dry": False,
    "tasks.list.output": ["a", "b"],
    "item.size": 7,
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("${{ params.env }}", True),
        ("${{ params.dry }}", False),
        ('${{ params.env }} == "prod"', True),
        ("${{ params.env }} != 'prod'", False),
        ("${{ params.n }} >= 3 and ${{ params.n }} < 4.5", True),
        ("not ${{ params.dry }}", True),
        ("not ${{ params.n }} == 3", False),
        ('${{ params.env }} in ["test", "prod"]', True),
        ('"c" not in ${{ tasks.list.output }}', True),
        ('"ro" in ${{ params.env }}', True),
        ("${{ item.size }} > ${{ params.n }}", True),
        ("false or (true and not false)", True),
        ("true or false and false", True),
        ("(true or false) and false", False),
        ("${{ params.dry }} == null", False),
        ("-1 < ${{ params.n }}", True),
        ("[] == []", True),
        ("${{params.n}}==3", True),
    ],
)
def test_a_condition_means_what_it_says(text, wanted):
    assert holds(parse_condition(text), VALUES) is wanted


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("${{ params.env }} == prod", 21, "'prod' is no value; if it is text, quote it"),
        ("${{ params.n }} > ", 17, "a value is missing"),
        ("${{ params.n }} = 3", 16, "can't stand in a condition"),
        ("1 < 2 < 3", 6, "two values are compared at a time; join comparisons with and"),
        ("(true", 5, "')' is missing"),
        ("true true", 5, "'true' can't stand here"),
        ("${{ params.n }}()", 15, "'(' can't stand here"),
        ("__import__('os')", 0, "'__import__' is no value"),
        ("[1 2]", 3, "',' is missing"),
        ("1 + 1 == 2", 2, "can't stand in a condition"),
        ('"\\q" == 1', 0, "can't be read"),
        ("(" * 60 + "true" + ")" * 60, 41, "more than 40 levels deep"),
        ("not " * 60 + "true", 164, "more than 40 levels deep"),
        ("${{ params.n", 0, "has no }}"),
        ("", 0, "a value is missing"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text, offset, says):
    with pytest.raises(TemplateError) as caught:
        parse_condition(text)

    assert says in str(caught.value)
    assert caught.value.offset == offset


@pytest.mark.parametrize("text", ['"3" == 3', "3 < '4'", "[1] < 2", "1 in 2", "null < 1"])
def test_values_that_can_not_be_compared_are_an_error_and_not_false(text):
    with pytest.raises(ConditionError, match="when: "):
        holds(parse_condition(text), {})


LITERALS = st.one_of(st.integers(-9, 9), st.booleans(), st.none())


def written(value):
    return json.dumps(value)


@st.composite
def conditions(draw, depth=3):
    """A condition as a file has it, and as Python has it."""
    kind = draw(
        st.sampled_from(["value", "compare"] if depth == 0 else ["value", "compare", "not", "and", "or"])
    )
    if kind == "value":
        value = draw(LITERALS)
        return written(value), repr(value)
    if kind == "compare":
        sign = draw(st.sampled_from(["==", "!=", "<", ">="]))
        left, right = draw(st.integers(-3, 3)), draw(st.integers(-3, 3))
        return f"{left} {sign} {right}", f"({left} {sign} {right})"
    if kind == "not":
        text, python = draw(conditions(depth - 1))
        return f"not ({text})", f"(not {python})"
    parts = draw(st.lists(conditions(depth - 1), min_size=2, max_size=3))
    return (
        f" {kind} ".join(f"({text})" for text, _ in parts),
        "(" + f" {kind} ".join(python for _, python in parts) + ")",
    )


@settings(max_examples=examples(200), deadline=None)
@given(conditions())
def test_a_condition_is_true_when_the_same_in_python_is(condition):
    text, python = condition

    assert holds(parse_condition(text), {}) == bool(eval(python))


@settings(max_examples=examples(300), deadline=None)
@given(st.text("()[],<>=!'\"\\${} .anotri0", max_size=40))
def test_whatever_a_text_holds_it_is_a_condition_or_refused_with_a_place_in_it(text):
    try:
        parse_condition(text)
    except TemplateError as error:
        assert 0 <= error.offset <= len(text)


WORDS = st.text("ab'\"\\ é$", max_size=4)
CONSTANTS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), WORDS).map(Constant)
LOOKED = st.sampled_from(["params.env", "item", 'tasks["a b"].output[0]']).map(
    lambda text: parse_condition(f"${{{{ {text} }}}}")
)


def joined(parts):
    two = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        parts.map(Negated),
        st.lists(parts, max_size=3).map(tuple).map(Listed),
        st.builds(Compared, parts, st.sampled_from(["==", "<", "not in"]), parts),
        st.builds(Joined, st.sampled_from(["and", "or"]), two),
    )


@settings(max_examples=examples(200), deadline=None)
@given(st.recursive(CONSTANTS | LOOKED, joined, max_leaves=8))
def test_a_condition_that_is_written_is_read_as_the_same(condition):
    assert parse_condition(text_of(condition)) == condition
