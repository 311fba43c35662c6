"""What `name=value` means: JSON if it is JSON and the parameter is not text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteflow.cli.arguments import read_resources, read_value, split_arguments
from liteflow.errors import CommandLineError

Title = NewType("Title", str)


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("3", Any, 3),
        ("3", str, "3"),
        ("3", Annotated[str, "a title"], "3"),
        ("3", Title, "3"),
        ("3", Literal["1", "3"], "3"),
        ("3", Literal[1, 3], 3),
        ("3", str | None, "3"),
        ("3", Optional[str], "3"),  # noqa: UP045  users write it
        ("3", int | str, 3),
        ("null", str | None, None),
        ("null", str, "null"),
        ('"x"', str, '"x"'),
        ('"x"', Any, "x"),
        ("x", Any, "x"),
        ("", str, ""),
        ("", Any, ""),
        ("true", bool, True),
        ("[1, 2]", list[int], [1, 2]),
        ("[1, 2]", Sequence[int], [1, 2]),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ("data.csv", Path, Path("data.csv")),
        ("2026", Path, Path("2026")),
        ("data.csv", Path | None, Path("data.csv")),
        ("data.csv", str | Path, "data.csv"),
        ("NaN", Any, "NaN"),
        ("9" * 5000, Any, "9" * 5000),
        ("[" * 100_000, Any, "[" * 100_000),
        ("1e3", float, 1000.0),
        ("many", int, "many"),
    ],
)
def test_a_value_is_read_as_its_parameter_wants_it(text, annotation, value):
    read = read_value(text, annotation)
    assert (read, type(read)) == (value, type(value))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_can_be_given(value):
    assert read_value(json.dumps(value)) == value


@given(st.text())
def test_text_can_say_anything(text):
    assert read_value(text, str) == text


def test_a_value_may_hold_equals_signs():
    assert split_arguments(["query=a=1&b=2", "empty="]) == {"query": "a=1&b=2", "empty": ""}


@pytest.mark.parametrize("word", ["verbose", "=3", "", "\udcff"])
def test_a_word_without_a_name_or_a_value_is_refused(word):
    with pytest.raises(CommandLineError, match="write name=value"):
        split_arguments([word])


def test_an_argument_given_twice_is_refused():
    with pytest.raises(CommandLineError, match="'n' is given twice"):
        split_arguments(["n=1", "m=2", "n=3"])


def test_resources_are_amounts_by_name():
    assert read_resources(["gpus=2", "cpus=0.5", "memory=8GB", "x=y=z"]) == {
        "gpus": 2,
        "cpus": 0.5,
        "memory": "8GB",
        "x": "y=z",
    }
    assert read_resources([]) is None


@pytest.mark.parametrize("words", [["gpus"], ["=1"], ["gpus=1", "gpus=2"]])
def test_what_can_be_no_amount_by_name_is_refused(words):
    with pytest.raises(CommandLineError, match="--resource "):
        read_resources(words)
