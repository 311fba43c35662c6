"""Tables and JSON fit where they go: a terminal of any width, a pipe, another program."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteflow.cli.output import knows_unicode, table, to_json, width

CELLS = st.text(st.characters(exclude_categories=()), max_size=40)
TABLES = st.integers(1, 5).flatmap(
    lambda columns: st.lists(st.lists(CELLS, min_size=columns, max_size=columns), min_size=1, max_size=5)
)


def lines_of(rows, wide):
    return ["".join(text for _, text in line) for line in table(rows, wide)]


def test_columns_stand_under_each_other():
    assert lines_of([["id", "flow"], ["3f2a", "etl"], ["1", "daily"]], None) == [
        "id    flow ",
        "3f2a  etl  ",
        "1     daily",
    ]


def test_wide_letters_take_two_columns():
    assert lines_of([["key", "x"], ["日本", "1"]], None) == ["key   x", "日本  1"]


def test_the_widest_column_gives_way_first():
    assert lines_of([["id", "error"], ["3f2a", "a" * 100]], 20)[1] == "3f2a  aaaaaaaaaaaaa…"


def test_where_columns_do_not_fit_each_row_has_lines_of_its_own():
    rows = [["id", "flow", "state", "started"], ["3f2a", "etl", "failed", "2026-11-21 04:11"]]
    assert [line.rstrip() for line in lines_of(rows, 20)] == [
        "id: 3f2a",
        "flow: etl",
        "state: failed",
        "started: 2026-11-21…",
    ]


@given(TABLES, st.integers(20, 200))
def test_no_line_is_wider_than_the_terminal(rows, wide):
    rows = [["column"] * len(rows[0]), *rows]
    assert all(width(line) <= wide for line in lines_of(rows, wide))


@given(TABLES)
def test_a_cell_cannot_turn_a_line_or_reach_the_terminal(rows):
    assert all(line.isprintable() for line in lines_of(rows, 80))


NUMBERS = st.floats() | st.integers()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | CELLS | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELLS, inner, max_size=3),
)


@given(VALUES)
def test_json_is_json_whatever_is_in_it(value):
    def refuse(constant):
        raise AssertionError(constant)

    text = to_json(value)

    assert text.isascii()
    json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("encoding", "knows"),
    [("utf-8", True), ("ascii", False), ("latin-1", False), ("nonsense", False), (None, False)],
)
def test_a_stream_is_asked_what_it_can_show(encoding, knows):
    assert knows_unicode(encoding) is knows
