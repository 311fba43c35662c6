"""One look at a value: which parts are lazy, where we are, and what every check can do.

A check has two ways to look:

    wrong(value)    what is wrong with one value, and where in it: exact
    surely(values)  whether many are right, seen without running Python code for each, as in
                    `set(map(type, values))`; False means: look at each

A phrase has the path first, "[2]['k'] is 'x' (str), not int", and a blank for no path, so
that a step can always be put in front.  No property or `__iter__` of the user's is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from liteflow.hints.fitting import fits
from liteflow.hints.text import describe, show

LazyType = Callable[[object], Any]
# How deep a type that holds itself is followed: what lies below is taken to be right.
_DEEPEST = 50


class Check:
    """Whether values are of one declared type; this one takes anything."""

    def __init__(self, hint: Any) -> None:
        self.hint = hint

    def wrong(self, value: object, look: Look) -> str | None:
        """Return what is wrong with a value that is not lazy itself; None if nothing is."""
        return None

    def surely(self, values: Iterable[object], look: Look) -> bool:
        """Whether all are right, as far as can be seen at once; an iterator is used up."""
        return True

    def is_not(self, value: object) -> str:
        kind, hint = show(type(value)), show(self.hint)
        same = kind == hint
        return f" is {describe(value, modules=same)}, not {show(self.hint, modules=True) if same else hint}"


class Look:
    """One call of `problem`: which values are lazy, and where we are in types that hold themselves."""

    def __init__(self, lazy_type: LazyType | None) -> None:
        self._lazy_type = lazy_type
        self._entered: list[Check] = []
        self._seen: dict[tuple[Check, int], str | None] = {}

    def wrong(self, value: object, check: Check) -> str | None:
        """Return what is wrong with a value, which may be lazy."""
        if self._lazy_type is not None:
            given = self._lazy_type(value)
            if given is not None:
                return None if fits(given, check.hint) else f" gives {show(given)}, not {show(check.hint)}"
        return check.wrong(value, self)

    def first_wrong(self, values: Iterable[object], check: Check) -> tuple[int, object, str] | None:
        """Return the first of many values that is wrong: its index, itself, and what is wrong."""
        if not check.surely(values, self):
            for index, value in enumerate(values):
                if phrase := self.wrong(value, check):
                    return index, value, phrase
        return None

    def kinds(self, values: Iterable[object]) -> set[type] | None:
        """Return the types of values; None if lazy ones are among them."""
        if self._lazy_type is None:
            return set(map(type, values))
        one_each = {type(value): value for value in values}
        return None if any(self._lazy_type(one) is not None for one in one_each.values()) else set(one_each)

    def inside(self, check: Check, value: object, look_on: Callable[[], str | None]) -> str | None:
        """Look on within a named type, unless that has been done, or goes too deep.

        Only what is met inside itself is remembered: a million flat records are no tree.
        """
        again = check in self._entered
        key = (check, id(value))
        if again and (key in self._seen or len(self._entered) > _DEEPEST):
            return self._seen.get(key)
        if again:
            self._seen[key] = None
        self._entered.append(check)
        phrase = look_on()
        self._entered.pop()
        if again:
            self._seen[key] = phrase
        return phrase

    def surely_inside(self, check: Check, look_on: Callable[[], bool]) -> bool:
        """Look on at many within a named type, but once: their number may grow with each level."""
        if check in self._entered:
            return False
        self._entered.append(check)
        sure = look_on()
        self._entered.pop()
        return sure
