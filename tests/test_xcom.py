"""XComs: any value comes back as it was; an array of any size and layout too."""

import collections
import hashlib
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from support.laws import examples
from support.values import VALUES, Data, alike

from liteflow.errors import NotPicklableError
from liteflow.executor.payload import Large, Payload
from liteflow.xcom import OUT_OF_BAND, decode, encode


def payload_of(encoded):
    return b"".join(encoded.parts)


def round_trip(value):
    encoded = encode(value)
    return decode(encoded.codec, payload_of(encoded))


# --- values --------------------------------------------------------------------------------


@given(VALUES)
@settings(deadline=None, max_examples=examples(300))
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
@settings(deadline=None, max_examples=examples(40))
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
@settings(deadline=None, max_examples=examples(60))
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
