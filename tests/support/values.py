"""Any values, for hypothesis, and whether two are the same in every respect."""

import dataclasses
import math
import struct

from hypothesis import strategies as st


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
