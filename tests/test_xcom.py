"""XComs: any value comes back as it was, and its preview can be trusted, or says that it can't."""

import array
import collections
import dataclasses
import hashlib
import json
import math
import struct
import sys
import threading
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from liteflow.errors import NotPicklableError
from liteflow.executor.payload import Large, Payload
from liteflow.xcom import EXACT_CHARS, OUT_OF_BAND, PREVIEW_CHARS, decode, encode, preview_of, type_name

# The whole preview of what is exact; of other values "..." and the like may follow.
LONGEST = max(EXACT_CHARS, PREVIEW_CHARS + 10)


def payload_of(encoded):
    return b"".join(encoded.parts)


def round_trip(value):
    encoded = encode(value)
    return decode(encoded.codec, payload_of(encoded))


def alike(a, b):
    """Whether two values are the same in type, in sign, in every part; NaN is like NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return alike(a.real, b.real) and alike(a.imag, b.imag)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return alike(list(a), list(b)) and alike(list(a.values()), list(b.values()))
    return a == b


@dataclasses.dataclass
class Data:
    x: object


# Text with everything: lone surrogates and pairs of them, NUL, what no terminal should see.
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.binary(max_size=9), st.complex_numbers()
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(TEXT | st.integers(), inner, max_size=4),
        st.builds(Data, inner).map(lambda d: [d, d.x]).map(lambda pair: pair[1]),
    ),
    max_leaves=15,
)


# --- values --------------------------------------------------------------------------------


@given(VALUES)
@settings(deadline=None, max_examples=300)
def test_any_value_comes_back_as_it_was(value):
    encoded = encode(value)

    assert alike(decode(encoded.codec, payload_of(encoded)), value)
    assert encoded.size == len(payload_of(encoded))
    assert encoded.sha256 == hashlib.sha256(payload_of(encoded)).digest()
    assert encoded.type == type(value).__name__


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -0.0,
        math.inf,
        5e-324,
        10**5000,
        -(10**40),
        2**63,
        True,
        None,
        ...,
        NotImplemented,
        "",
        b"",
        "\ud800",
        "\ud800\udc00",
        "a\0b",
        "\u202etxt.exe",
        range(10**12),
        {1: "a", "1": "b", (): "c"},
        [[]],
        ((),),
        {"": {"": {}}},
        frozenset({1, 2}),
        collections.Counter("abca"),
        int,
        len,
        slice(1, None),
    ],
    ids=lambda v: type(v).__name__,
)
def test_values_that_others_lose_come_back_as_they_were(value):
    assert alike(round_trip(value), value)
    assert alike(round_trip([value, {"k": value}]), [value, {"k": value}])


def test_a_value_that_holds_itself_comes_back_so():
    value = {"self": None}
    value["self"] = value

    back = round_trip(value)

    assert back["self"] is back


def test_an_object_that_stands_in_many_places_is_still_one():
    part = [1]

    first, second = round_trip([part, part])

    assert first is second


def test_the_value_itself_is_not_kept():
    value = [1]

    assert round_trip(value) is not value


def test_code_is_told_from_data():
    assert encode(lambda: 1).by_value
    assert not encode(Data(len)).by_value


def test_what_can_not_be_stored_is_told_with_the_path_to_it():
    with pytest.raises(NotPicklableError) as caught:
        encode({"rows": [1, threading.Lock()]})

    assert (caught.value.path, caught.value.culprit) == ("['rows'][1]", "lock")


# --- arrays --------------------------------------------------------------------------------

# Not times: numpy itself pickles them without their byte order.
DTYPES = st_numpy.scalar_dtypes().filter(lambda dtype: dtype.kind not in "mM")
ARRAYS = st_numpy.arrays(DTYPES, st_numpy.array_shapes(min_dims=1, max_dims=3, max_side=40))


@given(ARRAYS, st.sampled_from(["C", "F", "reversed", "every other"]))
@settings(deadline=None, max_examples=40)
def test_arrays_come_back_with_type_shape_and_order(values, layout):
    # Large enough to lie beside the pickle, where it is contiguous.
    repeats = 1 + OUT_OF_BAND // values.nbytes
    whole = np.concatenate([values] * repeats)
    given_ = {
        "C": whole,
        "F": np.asfortranarray(whole),
        "reversed": whole[::-1],
        "every other": np.concatenate([whole, whole])[::2],
    }[layout]

    encoded = encode([given_, values])
    large, small = decode(encoded.codec, payload_of(encoded))

    for back, was in [(large, given_), (small, values)]:
        assert (back.dtype, back.shape) == (was.dtype, was.shape)
        assert back.flags.fnc == was.flags.fnc
        assert back.tobytes() == was.tobytes()


@given(st.lists(st.integers(0, 3 * OUT_OF_BAND), max_size=5))
@settings(deadline=None, max_examples=60)
def test_buffers_of_any_size_in_any_order_find_their_places(sizes):
    arrays = [np.full(size, i, dtype="u1") for i, size in enumerate(sizes)]

    encoded = encode(arrays)

    for back, was in zip(decode(encoded.codec, payload_of(encoded)), arrays, strict=True):
        assert np.array_equal(back, was)
    assert encoded.codec == ("buffers" if any(size >= OUT_OF_BAND for size in sizes) else "pickle")
    assert encoded.size == len(payload_of(encoded))


def test_a_large_array_is_copied_neither_on_its_way_out_nor_in():
    whole = np.arange(100_000.0)

    encoded = encode({"x": whole})
    payload = bytearray(payload_of(encoded))
    back = decode(encoded.codec, payload)["x"]

    assert any(np.shares_memory(np.frombuffer(part, "u1"), whole) for part in encoded.parts)
    assert np.shares_memory(back, np.frombuffer(payload, "u1"))
    assert (back.__array_interface__["data"][0] - np.frombuffer(payload, "u1").ctypes.data) % 64 == 0


def test_arrays_and_code_in_one_value_are_not_mixed_up():
    zeros, ones = np.zeros(5000), np.ones(5000)

    back = round_trip([zeros, lambda: 1, ones])

    assert np.array_equal(back[0], zeros) and back[1]() == 1 and np.array_equal(back[2], ones)
    assert encode([zeros, lambda: 1]).size < 1.1 * zeros.nbytes


@pytest.mark.parametrize("count", [10, 4_000, 20_000])
@pytest.mark.parametrize("by_descriptor", [False, True])
def test_a_task_may_change_the_array_that_it_is_given_whatever_its_size(count, by_descriptor):
    encoded = encode(np.arange(count))
    data = Large.written(encoded.parts, encoded.size) if by_descriptor else payload_of(encoded)
    payload = Payload(encoded.codec, data)

    changed = payload.value()
    changed[:] = -1

    assert np.array_equal(payload.value(), np.arange(count))


def test_an_unknown_codec_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'zstd'.*newer liteflow"):
        decode("zstd", b"")


# --- previews ------------------------------------------------------------------------------


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
@settings(deadline=None, max_examples=300)
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
@settings(deadline=None, max_examples=100)
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
        (Data(list(range(300_000))), "<test_xcom.Data>"),
        (Named(["x" * 9] * 300_000), "<test_xcom.Named>"),
        ({"n": [1] * 2, "all": Data([0.5] * 300_000)}, "{'n': [1, 1], 'all': <test_xcom.Data>}"),
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
        ('say "é"', '"say \\"\\u00e9\\""'),
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
        (Text(), "odd"),
    ],
    ids=repr,
)
def test_a_preview_reads_as_one_would_write_it(value, preview):
    assert preview_of(value)[0] == preview


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
