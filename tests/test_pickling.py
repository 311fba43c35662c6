"""Values as bytes: any of them, with holes anywhere, with large buffers beside."""

import collections
import dataclasses
import enum
import functools
import subprocess
import sys
import typing

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.script import run_script

from liteflow import pickling
from liteflow.pickling import Definitions, dumps, loads, pack, unpack

# --- holes ---------------------------------------------------------------------------------


class Hole:
    """Stands for a value that is not there yet."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        raise AssertionError("a hole is not pickled")

    def __hash__(self):
        return hash(self.number)


def is_hole(thing):
    return isinstance(thing, Hole)


@dataclasses.dataclass
class Data:
    a: object
    b: object


@attrs.frozen
class Frozen:
    a: object
    b: object


class Pair(typing.NamedTuple):
    a: object
    b: object


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __eq__(self, other):
        return (self.a, self.b) == (other.a, other.b)

    __hash__ = None


HOLES = [Hole(n) for n in range(4)]
ATOMS = st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)


def nested(leaves):
    """Any nesting of containers and objects, as (class, parts) trees, so that it can be built twice."""
    return st.recursive(
        leaves,
        lambda inner: st.tuples(
            st.sampled_from([list, tuple, dict, collections.deque, Data, Frozen, Pair, Slots]),
            st.lists(inner, max_size=3),
        ).map(lambda tree: Tree(*tree)),
        max_leaves=12,
    )


class Tree(typing.NamedTuple):
    kind: type
    parts: list


def build(tree, leaf):
    if not isinstance(tree, Tree):
        return leaf(tree)
    parts = [build(part, leaf) for part in tree.parts]
    if tree.kind is dict:
        return {f"k{i}": part for i, part in enumerate(parts)}
    if tree.kind in (list, tuple, collections.deque):
        return tree.kind(parts)
    return tree.kind(parts, [*parts[:1], "b"])


@given(nested(st.sampled_from(HOLES) | ATOMS), st.lists(ATOMS, min_size=4, max_size=4), st.booleans())
@settings(deadline=None, max_examples=examples(150))
def test_values_stand_in_the_places_of_the_holes_wherever_these_are(tree, values, by_value):
    def filled(leaf):
        return values[leaf.number] if is_hole(leaf) else leaf

    value = build(tree, lambda leaf: leaf)
    # A lambda beside it: then all of it is pickled the other way.
    whole = [value, lambda: 1] if by_value else [value, 1]

    packed = pack(whole, is_hole, Definitions())
    result = unpack(packed.data, [filled(hole) for hole in packed.holes])

    assert result[0] == build(tree, filled)
    assert len(set(packed.holes)) == len(packed.holes)


HOLE = Hole(0)


def closing_over(value):
    return lambda: value


@pytest.mark.parametrize(
    "value,get",
    [
        (HOLE, lambda v: v),
        ({HOLE}, lambda v: next(iter(v))),
        (frozenset([HOLE]), lambda v: next(iter(v))),
        ({HOLE: 1}, lambda v: next(iter(v))),
        ({(1, HOLE): 1}, lambda v: next(iter(v))[1]),
        (functools.partial(max, HOLE), lambda v: v.args[0]),
        (lambda hole=HOLE: hole, lambda v: v()),
        (closing_over(HOLE), lambda v: v()),
        (collections.OrderedDict(a=HOLE), lambda v: v["a"]),
        (collections.defaultdict(list, a=HOLE), lambda v: v["a"]),
        (collections.ChainMap({}, {"a": HOLE}), lambda v: v["a"]),
        (np.array([HOLE, 1], dtype=object), lambda v: v[0]),
        (ValueError("no", HOLE), lambda v: v.args[1]),
        (slice(HOLE), lambda v: v.stop),
        (Slots("x", {"y": [HOLE]}), lambda v: v.b["y"][0]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_hole_is_found_in(value, get):
    packed = pack(value, is_hole, Definitions())

    assert packed.holes == (HOLE,)
    assert get(unpack(packed.data, ["filled"])) == "filled"


def test_one_hole_that_stands_in_many_places_gets_one_object():
    first, second = Hole(0), Hole(1)

    packed = pack([first, {"x": second}, (first, second)], is_hole, Definitions())
    result = unpack(packed.data, [["a"], ["b"]])

    assert packed.holes == (first, second)
    assert result[0] is result[2][0] and result[1]["x"] is result[2][1]


def test_a_value_that_holds_itself_can_have_holes():
    value = [HOLE]
    value.append(value)

    packed = pack(value, is_hole, Definitions())
    result = unpack(packed.data, [1])

    assert result[0] == 1 and result[1] is result


def test_holes_are_filled_in_another_process():
    run_script(
        """
        from liteflow.pickling import pack, unpack
        class Later: pass
        class Point:
            def __init__(self, x): self.x = x
        value = {"p": Point(Later()), "f": lambda n: Point(n)}
        packed = pack(value, lambda o: isinstance(o, Later), there.definitions)
        assert len(packed.holes) == 1
        def read(data, values):
            value = unpack(data, values)
            return value["f"](value["p"].x + 1)
        back = there(read, packed.data, [41])
        assert type(back) is Point and back.x == 42
        """
    )


# --- any values ----------------------------------------------------------------------------

VALUES = nested(
    ATOMS
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.sampled_from([int, print, Data, enum.Flag, ..., NotImplemented, len, int | None, list[int]])
)


@given(VALUES)
@settings(deadline=None, max_examples=examples(100))
def test_any_value_comes_back_as_it_was_the_short_way_and_the_long(tree):
    value = build(tree, lambda leaf: leaf)

    assert loads(dumps(value).data) == value
    assert loads(dumps([value, lambda: 1]).data)[0] == value


@pytest.mark.parametrize(
    "value,by_value",
    [
        (1, False),
        (Data(1, print), False),
        (type(None), False),
        (int | None, False),
        ([Slots, dumps], False),
        (lambda: 1, True),
        ([1, lambda: 1], True),
        ((lambda: 1).__code__, True),
        (type("Local", (), {"__module__": __name__}), True),
        (functools.lru_cache(lambda: 1), True),
    ],
)
def test_it_is_said_whether_the_bytes_hold_code(value, by_value):
    assert dumps(value).by_value is by_value


# --- large buffers -------------------------------------------------------------------------


def test_large_buffers_lie_beside_the_pickle_and_small_ones_in_it():
    large, small = np.arange(1000.0), np.arange(10.0)

    pickled = dumps([large, small], out_of_band=1000)

    assert len(pickled.buffers) == 1
    assert len(pickled.data) < 1000
    (buffer,) = pickled.buffers
    assert np.shares_memory(np.frombuffer(buffer, dtype="f8"), large)
    back = loads(pickled.data, pickled.buffers)
    assert np.array_equal(back[0], large) and np.array_equal(back[1], small)


def test_buffers_are_not_mixed_up_where_pickling_had_to_begin_again():
    zeros, ones = np.zeros(1000), np.ones(1000)

    pickled = dumps([zeros, lambda: 1, ones], out_of_band=1000)

    assert len(pickled.buffers) == 2
    back = loads(pickled.data, pickled.buffers)
    assert np.array_equal(back[0], zeros) and np.array_equal(back[2], ones)


def test_plain_data_needs_no_cloudpickle():
    code = (
        "import sys, datetime, enum, logging; from liteflow import pickling\n"
        "class Color(enum.Enum): RED = 1\n"
        "Color.__module__ = 'nowhere'\n"
        "pickling.loads(pickling.dumps({'a': [1, datetime.date.today(), logging.INFO, print]}).data)\n"
        "assert 'cloudpickle' not in sys.modules and 'attrs' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=pickling.__path__[0] + "/../..")
