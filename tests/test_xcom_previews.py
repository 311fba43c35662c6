"""Previews: short text that says what a value is, exactly or not, whatever the value does."""

import array
import collections
import json
import math
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from support.laws import examples
from support.values import VALUES, Data, alike

from liteflow.xcom import EXACT_CHARS, PREVIEW_CHARS, encode, preview_of, type_name

# The whole preview of what is exact; of other values "..." and the like may follow.
LONGEST = max(EXACT_CHARS, PREVIEW_CHARS + 10)


def plain(value):
    """Whether JSON can hold a value so that it comes back as it was."""
    if type(value) is list:
        return all(map(plain, value))
    if type(value) is dict:
        return all(type(k) is str and plain(k) and plain(v) for k, v in value.items())
    if type(value) is str:
        return not any("\ud800" <= c <= "\udfff" for c in value)
    if type(value) is float:
        return math.isfinite(value)
    return type(value) in (int, bool, type(None))


@given(VALUES)
@example("\ud83d\ude00")
@example(["\ud83d\ude00"])
@example({"\ud83d\ude00": 1})
@example("x" * (EXACT_CHARS - 2))
@example("x" * (EXACT_CHARS - 1))
@example("é" * 90)
@example(["x" * EXACT_CHARS])
@example([0] * 160)
@example([0] * 170)
@example(10**301)
@example([10**302])
@example({"a": {1: 2}})
@example((1, 2))
@example({"x": math.nan})
@settings(deadline=None, max_examples=examples(300))
def test_an_exact_preview_is_the_values_json_and_no_other_says_so(value):
    text, exact = preview_of(value)

    if exact:
        assert alike(json.loads(text, parse_constant=pytest.fail), value)
        assert len(text) <= EXACT_CHARS
    else:
        assert not plain(value) or len(json.dumps(value)) > EXACT_CHARS or too_large(value)
    assert (text, exact) == (encode(value).preview, encode(value).exact)


def too_large(value):
    if isinstance(value, list):
        return len(value) > 100 or any(map(too_large, value))
    if isinstance(value, dict):
        return any(map(too_large, value.values()))
    return isinstance(value, int) and value.bit_length() > 1000


@given(VALUES)
@settings(deadline=None, max_examples=examples(100))
def test_a_preview_is_short_text_that_a_database_can_hold(value):
    text, _ = preview_of([value, Data(value)])

    assert len(text) <= LONGEST
    assert "\0" not in text
    text.encode("utf-8")


class Named(NamedTuple):
    a: object


class Raises:
    def __repr__(self):
        raise RuntimeError("no repr")


class Exits:
    def __repr__(self):
        sys.exit("gone")


class Recurses:
    def __repr__(self):
        return repr(self)


class NoText:
    def __repr__(self):
        return 3


class Long:
    def __repr__(self):
        return "x" * 1_000_000


class Unstorable:
    def __repr__(self):
        return "\ud800\0" * 150


class OddText(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError("no text")

    def encode(self, *args):
        raise RuntimeError("no bytes")

    def __len__(self):
        raise RuntimeError("no length")


class Text:
    def __repr__(self):
        return OddText("odd")


class OddList(list):
    def __len__(self):
        raise RuntimeError("no length")

    def __iter__(self):
        raise RuntimeError("no items")

    def __repr__(self):
        raise RuntimeError("no repr")


class OddKey:
    def __hash__(self):
        return 1

    def __eq__(self, other):
        raise RuntimeError("not comparable")

    __repr__ = Raises.__repr__


@pytest.mark.parametrize(
    "hostile",
    [Raises(), Exits(), Recurses(), NoText(), Long(), Unstorable(), Text(), OddList([1]), OddKey(), Raises],
    ids=lambda h: type(h).__name__,
)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda h: h,
        lambda h: [h],
        lambda h: ("x", [h]),
        lambda h: {"k": h},
        Named,
        lambda h: Data([h]),
    ],
    ids=["itself", "list", "tuple", "dict", "named tuple", "dataclass"],
)
def test_no_repr_can_hurt_a_preview(hostile, wrap):
    text, exact = preview_of(wrap(hostile))

    assert type(text) is str and not exact
    assert 0 < len(text) <= LONGEST
    assert "\0" not in text
    text.encode("utf-8")


def test_the_users_interrupt_is_no_matter_of_a_repr():
    class Interrupted:
        def __repr__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preview_of([Interrupted()])


class Counting:
    """Counts how often it is asked for its repr."""

    asked = 0

    def __repr__(self):
        Counting.asked += 1
        return "x" * 30


def test_a_preview_asks_for_no_more_than_it_shows():
    value = [[[Counting() for _ in range(10)] for _ in range(10)] for _ in range(10)]
    Counting.asked = 0

    text, _ = preview_of(value)

    assert text.startswith("[[[xxx")
    assert Counting.asked <= 30


@pytest.mark.parametrize(
    "value,preview",
    [
        (Data(list(range(300_000))), "<support.values.Data>"),
        (Named(["x" * 9] * 300_000), "<test_xcom_previews.Named>"),
        ({"n": [1] * 2, "all": Data([0.5] * 300_000)}, "{'n': [1, 1], 'all': <support.values.Data>}"),
        (array.array("d", bytes(2_000_000)), "<array.array>"),
        (collections.deque([0] * 1_100_000), "<collections.deque>"),
        (bytearray(b"x" * 2_000_000), "bytearray(b'xxxxxxxxx"),
        ([bytes(2_000_000)], "[b'\\x00\\x00"),
        ({"x": np.zeros(1_000_000)}, "{'x': array([0., 0., 0., ..., 0., 0., 0.], shape=(1000000,))}"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_large_object_is_not_asked_for_its_repr(value, preview):
    encoded = encode(value)

    assert encoded.preview.startswith(preview)
    assert len(encoded.preview) <= LONGEST
    assert not encoded.exact


@pytest.mark.parametrize(
    "value,preview",
    [
        (42, "42"),
        (1.5, "1.5"),
        (None, "null"),
        ("x", '"x"'),
        ('say "é" ✓ 日本', '"say \\"é\\" ✓ 日本"'),
        (["é", {"ü": "\n"}], '["é", {"ü": "\\n"}]'),
        # Nobody sees these, or they turn round what follows.
        ("é\u202e", '"\\u00e9\\u202e"'),
        (["é", "\x85"], '["\\u00e9", "\\u0085"]'),
        ([1, {"a": [True]}], '[1, {"a": [true]}]'),
        (math.nan, "nan"),
        ((1, 2), "(1, 2)"),
        ({1, 2}, "{1, 2}"),
        (b"ab", "b'ab'"),
        (10**400, "int of 1329 bits"),
        ([10**400], "[int of 1329 bits]"),
        ({1: "x"}, "{1: 'x'}"),
        (Named(1), "Named(a=1)"),
        ([1.5] * 300, "[" + "1.5, " * 10 + "... 300 in all]"),
        ([[[[[1]]]]], "[[[[[1]]]]]"),
        ([[[[(1,)]]]], "[[[[...]]]]"),
        ("y" * 600, '"' + "y" * (PREVIEW_CHARS - 1) + "..."),
        (np.arange(3), "array([0, 1, 2])"),
    ],
    ids=repr,
)
def test_a_preview_reads_as_one_would_write_it(value, preview):
    assert preview_of(value)[0] == preview


def test_a_repr_of_a_class_derived_from_text_is_text():
    assert preview_of(Text()) == ("odd", False)


def test_a_value_that_holds_itself_has_a_preview():
    value = [1]
    value.append(value)

    assert preview_of(value) == ("[1, [1, [1, [1, ...]]]]", False)


def test_a_preview_near_the_end_of_the_stack_is_short_rather_than_an_error():
    deep = []
    for _ in range(200):
        deep = [deep]

    def at(depth):
        return preview_of(deep)[0] if depth == 0 else at(depth - 1)

    def room():
        frame, used = sys._getframe(), 0
        while frame:
            frame, used = frame.f_back, used + 1
        return sys.getrecursionlimit() - used

    assert all(at(depth) for depth in range(0, room() - 60, 20))


def test_types_are_named_as_one_would_import_them():
    assert [type_name(t) for t in (int, dict, np.ndarray, collections.Counter)] == [
        "int",
        "dict",
        "numpy.ndarray",
        "collections.Counter",
    ]
    assert type_name(type("X", (), {"__module__": "a\ud800\0"})) == "a\\ud800\\x00.X"
    assert len(type_name(type("y" * 500, (), {}))) <= PREVIEW_CHARS
