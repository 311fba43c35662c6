"""Guards: which paths match which values."""

from __future__ import annotations

import pytest

from liteflow.arrows.jsonpath import PathError, matches, read_path

BOOKS = {"store": {"book": [{"price": 8, "isbn": "0-553"}, {"price": 22, "title": "it's"}], "open": True}}

CASES = [
    ("$", {}, True),
    ("$.store.open", BOOKS, True),
    ("$.store['book'][0].price", BOOKS, True),
    ("$.store.book[2]", BOOKS, False),
    ("$.store.book[-1].title", BOOKS, True),
    ("$.store.book[1:].isbn", BOOKS, False),
    ("$..price", BOOKS, True),
    ("$..nothing", BOOKS, False),
    ("$.store.book[*].isbn", BOOKS, True),
    ("$.store.book[?(@.price > 20)]", BOOKS, True),
    ("$.store.book[?(@.price > 20 and @.isbn)]", BOOKS, False),
    ("$.store.book[?@.price < 10 || @.title == 'x']", BOOKS, True),
    ('$.store.book[?(@.title = "it\'s")]', BOOKS, True),
    (r"$.store.book[?(@.title = 'it\'s')]", BOOKS, True),
    ("$.store.book[?(not @.isbn)]", BOOKS, True),
    ("$.store.book[?(not (@.isbn or @.title))]", BOOKS, False),
    ("$[?(@.status=0)]", {"status": 0}, True),
    ("$[?(@.status=0)]", {"status": False}, False),
    ("$[?(@.status=0)]", {"status": 0.0}, True),
    ("$[?(@.status=0)]", {}, False),
    ("$[?(@.status!=0)]", {}, True),
    ("$[?(@.status=0)]", [{"status": 1}, {"status": 0}], True),
    ("$[?(@ > 3)]", [1, 2, 4], True),
    ("$[?(@.n > 'a')]", {"n": 3}, False),
    ("$[?(@.a < $.b)]", {"a": 1, "b": 2}, True),
    ("$[?(@.a = null)]", {"a": None}, True),
    ("$[?(@.a = null)]", {}, False),
    ("$[?(@.a <= -1.5e1)]", {"a": -15}, True),
    ("$.a", "text", False),
    ("$[0]", "text", False),
    ("$['and'].or", {"and": {"or": 1}}, True),
]


@pytest.mark.parametrize(
    ("path", "value", "wanted"), CASES, ids=[f"{path} {value}"[:60] for path, value, _ in CASES]
)
def test_a_path_matches_as_it_should(path, value, wanted):
    assert matches(read_path(path), value) is wanted


@pytest.mark.parametrize(
    ("path", "offset"),
    [
        ("", 0),
        ("a", 0),
        ("$.", 2),
        ("$[", 2),
        ("$[1.5]", 2),
        ("$[?(@.a", 7),
        ("$[?1]", 4),
        ("$.a b", 4),
        ("$[?(@.a = x)]", 10),
        ("$[1:2:3:4]", 9),
        ("$[?(@..a = 1)]", 4),
        ("$.a)", 3),
        ("$['a]", 2),
        ("$.a.__class__()", 13),
    ],
)
def test_what_is_no_path_says_where(path, offset):
    with pytest.raises(PathError) as caught:
        read_path(path)

    assert caught.value.offset == offset


def test_a_deep_value_is_looked_through_without_recursion():
    value: object = {"x": 1}
    for _ in range(50_000):
        value = [value]

    assert matches(read_path("$..x"), value)
