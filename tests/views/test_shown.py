"""What is shown can do nothing but be read."""

import tracemalloc
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from liteflow.views.shown import cut, label, visible

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


def test_an_escape_sequence_is_shown_and_not_obeyed():
    assert visible("\x1b[31mred\x1b[0m\x07") == r"\x1b[31mred\x1b[0m\x07"


def test_a_direction_override_is_shown_as_its_number():
    assert visible("abc\u202edef") == r"abc\u202edef"


def test_invisible_characters_are_shown():
    assert visible("lo\u200bad\ufeff\u2028") == r"lo\u200bad\ufeff\u2028"


def test_half_a_character_is_shown_and_can_be_printed():
    assert visible("a\udcffb").encode() == rb"a\udcffb"


def test_letters_of_all_scripts_stay_as_they_are():
    assert visible("überträger 日本語 ✓") == "überträger 日本語 ✓"


def test_a_tab_may_be_kept():
    assert visible("a\tb", keep="\t") == "a\tb"
    assert visible("a\tb") == r"a\tb"


@given(ANY_TEXT)
def test_nothing_that_is_shown_moves_a_cursor_or_turns_a_line(text):
    shown = visible(text)

    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode().decode() == shown


@given(ANY_TEXT, st.integers(1, 80))
def test_a_label_is_never_longer_than_its_room(text, limit):
    assert len(label(text, limit)) <= limit


@given(st.text(max_size=30))
def test_what_fits_is_not_cut(text):
    assert cut(text, 30) == text


def test_a_name_of_megabytes_is_cut_before_it_is_looked_at():
    name = "\x00" * 5_000_000
    tracemalloc.start()
    try:
        assert label(name, 10) == r"\x00\x00\…"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
