"""Is a value of the declared type, and if not, which part of it is not?"""

from __future__ import annotations

from typing import Any

from liteflow.hints.checks import check_of, equal_check_of
from liteflow.hints.looking import Check, LazyType, Look


def problem(value: object, wanted: Any, lazy_type: LazyType | None = None) -> str | None:
    """Say what is wrong with a value where a type is declared.

    Args:
        value: Anything.  The containers that Python brings are looked into, whatever their
            size; one-shot iterables and containers of the user's are not.
        wanted: As annotated.
        lazy_type: Gives the declared type of a lazy value (`Any` if it has none; as `resolve`
            has it, so that None's own is NoneType), and None for what is no lazy value.  It
            takes all objects of a class for lazy, or none.  They may stand anywhere in it.

    Returns:
        None if the value is right, or if it cannot be decided; else a phrase for after the
        value's name, with the path to the part that is wrong.

    >>> problem([1, 2], list[int])
    >>> problem([1, 2, "x"], list[int])
    "[2] is 'x' (str), not int"
    >>> problem({"a": None}, int)
    'is a dict, not int'
    """
    if type(value) is wanted:
        return None
    try:
        if Look(lazy_type).wrong(value, _some_check_of(wanted)) is None:
            return None
        phrase = Look(lazy_type).wrong(value, check_of(wanted))
    except RecursionError:  # nested too deeply to be decided
        return None
    return phrase.lstrip() if phrase else None


def _some_check_of(hint: Any) -> Check:
    try:
        return equal_check_of(hint)
    except TypeError:
        return check_of(hint)
