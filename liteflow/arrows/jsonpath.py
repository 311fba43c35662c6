"""Guards: does a JSONPath match a value at least once?

Paths and filters are those of RFC 9535, with `=` for `==`, with `and`, `or`, `not` for `&&`, `||`, `!`, and
one difference: a filter on an object tests the object itself, not its members.  There are no functions;
nothing is evaluated but paths and comparisons, so a guard from a stranger can do no more than look.

Source: https://www.rfc-editor.org/rfc/rfc9535
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

# More places than this in one look at one value means that the path multiplies (`$..*..*`).
MAX_LOOKS = 1_000_000
# Parentheses and filters in one another.
MAX_DEPTH = 50

_WORD = re.compile(
    r"""\s*(?:(?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d][\w-]*)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<sign>\.\.|==|!=|<=|>=|&&|\|\||[$@.*\[\](),:?=<>!]))""",
    re.VERBOSE | re.ASCII,
)
_SAME = {"=": "==", "&&": "and", "||": "or", "!": "not"}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NOTHING = object()


class PathError(ValueError):
    """It is no JSONPath; `offset` says where, in characters."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(offset, problem)
        self.offset, self.problem = offset, problem


class TooManyLooksError(Exception):
    """The path multiplied beyond MAX_LOOKS."""


@frozen
class Key:
    """`.name`, `['name']`: a member of an object."""

    name: str


@frozen
class Index:
    """`[n]`: an item of a list, from its end if negative."""

    n: int


@frozen
class Slice:
    """`[from:to:step]`: some items of a list."""

    slice: tuple[int | None, int | None, int | None]


@frozen
class Every:
    """`*`: every member or item."""


@frozen
class Filter:
    """`[?...]`: what the condition holds for."""

    condition: Condition


@frozen
class Segment:
    """One step down a path; with `deep` (`..`), from anywhere below."""

    selectors: tuple[Key | Index | Slice | Every | Filter, ...]
    deep: bool = False


@frozen
class Path:
    """A path from the whole value (`$`) or, in a filter, from what is tested (`@`)."""

    segments: tuple[Segment, ...]
    from_root: bool = True

    @property
    def definite(self) -> bool:
        """Whether it leads to one place at most."""
        return all(
            not s.deep and len(s.selectors) == 1 and isinstance(s.selectors[0], Key | Index)
            for s in self.segments
        )


@frozen
class Constant:
    """A value that is written in a filter."""

    value: Any


@frozen
class Compare:
    """`left operator right`."""

    operator: str
    left: Path | Constant
    right: Path | Constant


@frozen
class Not:
    """`not condition`."""

    condition: Condition


@frozen
class Both:
    """`a and b`, or `a or b`; `word` says which."""

    word: str
    conditions: tuple[Condition, ...]


Condition = Path | Compare | Not | Both


def matches(path: Path, value: object) -> bool:
    """Whether a path leads anywhere in a value.

    Raises:
        TooManyLooksError: It looked at more than MAX_LOOKS places.

    >>> matches(read_path("$[?(@.status=0)]"), {"status": 0})
    True
    >>> matches(read_path("$[?(@.n > 1 and not @.done)]"), [{"n": 1}, {"n": 2, "done": False}])
    False
    """
    return _Look(value).any(path, value)


class _Look:
    """One look at one value."""

    def __init__(self, root: object) -> None:
        self.root = root
        self.looks = 0

    def any(self, path: Path, here: object) -> bool:
        return next(self.found(path, here), _NOTHING) is not _NOTHING

    def found(self, path: Path, here: object) -> Iterator[object]:
        """The places that a path leads to, lazily."""
        places: Iterator[object] = iter((self.root if path.from_root else here,))
        for segment in path.segments:
            places = self._after(segment, places)
        return places

    def _after(self, segment: Segment, places: Iterator[object]) -> Iterator[object]:
        for place in places:
            for start in self._below(place) if segment.deep else (place,):
                for selector in segment.selectors:
                    for chosen in self._chosen(selector, start):
                        self._count()
                        yield chosen

    def _count(self) -> None:
        self.looks += 1
        if self.looks > MAX_LOOKS:
            raise TooManyLooksError

    def _below(self, place: object) -> Iterator[object]:
        """A value and all that is in it."""
        stack = [place]
        while stack:
            self._count()
            here = stack.pop()
            yield here
            stack.extend(reversed(_members(here)))

    def _chosen(self, selector: Key | Index | Slice | Every | Filter, place: object) -> Iterator[object]:
        match selector:
            case Key(name):
                if isinstance(place, dict) and name in place:
                    yield place[name]
            case Index(n):
                if isinstance(place, list) and -len(place) <= n < len(place):
                    yield place[n]
            case Slice(limits):
                if isinstance(place, list) and limits[2] != 0:
                    yield from place[slice(*limits)]
            case Every():
                yield from _members(place)
            case Filter(condition):
                tested = place if isinstance(place, list) else [place] if isinstance(place, dict) else []
                for one in tested:
                    self._count()
                    if self.holds(condition, one):
                        yield one

    def holds(self, condition: Condition, here: object) -> bool:
        match condition:
            case Path():
                return self.any(condition, here)
            case Not(inner):
                return not self.holds(inner, here)
            case Both("and", conditions):
                return all(self.holds(one, here) for one in conditions)
            case Both(_, conditions):
                return any(self.holds(one, here) for one in conditions)
            case Compare(sign, left, right):
                return _compare(sign, self._value(left, here), self._value(right, here))

    def _value(self, operand: Path | Constant, here: object) -> object:
        if isinstance(operand, Constant):
            return operand.value
        return next(self.found(operand, here), _NOTHING)


def _members(place: object) -> list[object]:
    return list(place.values()) if isinstance(place, dict) else place if isinstance(place, list) else []


def _kind(value: object) -> str:
    """What JSON calls it: `true` is no number there."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    return "number" if isinstance(value, int | float) else type(value).__name__


def _compare(sign: str, left: object, right: object) -> bool:
    if sign == "==":
        return _kind(left) == _kind(right) and left == right
    if sign == "!=":
        return not _compare("==", left, right)
    comparable = _kind(left) == _kind(right) in ("number", "str")
    return comparable and _ORDERS[sign](left, right)


def read_path(text: str) -> Path:
    """Read a JSONPath.

    Raises:
        PathError: It is none.

    >>> read_path("$.a[0]").definite
    True
    """
    return _Reader(text).whole()


class _Reader:
    """Recursive descent over the words of a path."""

    def __init__(self, text: str) -> None:
        self.words: list[tuple[str, str, int]] = []
        at = 0
        end = len(text.rstrip())
        while at < end:
            found = _WORD.match(text, at)
            if not found:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise PathError(at, f"{text[at]!r} can't stand in a JSONPath")
            kind = found.lastgroup or ""
            self.words.append((kind, _SAME.get(found[kind], found[kind]), found.start(kind)))
            at = found.end()
        self.words.append(("end", "", end))
        self.at = 0
        self.depth = 0

    def whole(self) -> Path:
        if self.peek() != "$":
            raise self.wrong("a path begins with `$`")
        path = self.path()
        if self.words[self.at][0] != "end":
            raise self.wrong("the path was expected to end here")
        return path

    def peek(self) -> str:
        kind, word, _ = self.words[self.at]
        return word if kind in ("sign", "end") or word in ("and", "or", "not") else kind

    def take(self, wanted: str) -> str:
        if self.peek() != wanted:
            raise self.wrong(f"`{wanted}` was expected")
        self.at += 1
        return self.words[self.at - 1][1]

    def taken(self, sign: str) -> bool:
        if self.peek() != sign:
            return False
        self.at += 1
        return True

    def wrong(self, problem: str) -> PathError:
        return PathError(self.words[self.at][2], problem)

    def path(self) -> Path:
        from_root = self.taken("$")
        if not from_root:
            self.take("@")
        segments = []
        while self.peek() in (".", "..", "["):
            deep = self.taken("..")
            if self.peek() == "[":
                segments.append(Segment(self.bracket(), deep))
            else:
                if not deep:
                    self.take(".")
                segments.append(Segment((Every() if self.taken("*") else self.key(),), deep))
        return Path(tuple(segments), from_root)

    def key(self) -> Key:
        if self.words[self.at][0] != "name":
            raise self.wrong("a name was expected after the dot")
        self.at += 1
        return Key(self.words[self.at - 1][1])

    def bracket(self) -> tuple[Key | Index | Slice | Every | Filter, ...]:
        self.take("[")
        selectors = [self.selector()]
        while self.taken(","):
            selectors.append(self.selector())
        self.take("]")
        return tuple(selectors)

    def selector(self) -> Key | Index | Slice | Every | Filter:
        if self.taken("*"):
            return Every()
        if self.taken("?"):
            return Filter(self.condition())
        if self.peek() == "text":
            return Key(self.text())
        limits = [self.integer()]
        while self.taken(":"):
            limits.append(self.integer())
        if len(limits) == 1 and limits[0] is not None:
            return Index(limits[0])
        if 2 <= len(limits) <= 3:
            return Slice((limits[0], limits[1], limits[2] if len(limits) == 3 else None))
        raise self.wrong("a key in quotes, a number, `from:to`, `*` or `?` was expected in the brackets")

    def integer(self) -> int | None:
        if self.peek() != "number":
            return None
        word = self.words[self.at][1]
        if not word.lstrip("-").isdigit() or len(word) > 15:
            raise self.wrong("an index is a whole number")
        self.at += 1
        return int(word)

    def text(self) -> str:
        word = self.words[self.at][1]
        body = word[1:-1]
        if word[0] == "'":
            body = body.replace("\\'", "'").replace('"', '\\"')
        try:
            read: str = json.loads(f'"{body}"', strict=False)
        except json.JSONDecodeError:
            raise self.wrong("a wrong `\\` in quoted text") from None
        self.at += 1
        return read

    # --- filters -------------------------------------------------------------------------

    def condition(self) -> Condition:
        return self.joined("or", lambda: self.joined("and", self.negation))

    def joined(self, word: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self.taken(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Both(word, tuple(parts))

    def negation(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.wrong(f"conditions are nested more than {MAX_DEPTH} times")
        try:
            return Not(self.negation()) if self.taken("not") else self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> Condition:
        if self.taken("("):
            inner = self.condition()
            self.take(")")
            return inner
        begin = self.at
        left = self.operand()
        sign = self.peek()
        sign = "==" if sign == "=" else sign
        if sign not in ("==", "!=", *_ORDERS):
            if isinstance(left, Path):
                return left
            raise self.wrong("a comparison was expected, such as `@.n > 1`")
        self.at += 1
        right = self.operand()
        for operand in (left, right):
            if isinstance(operand, Path) and not operand.definite:
                self.at = begin
                raise self.wrong(
                    "a path that is compared leads to one place: no `..`, `*`, slice or filter in it"
                )
        return Compare(sign, left, right)

    def operand(self) -> Path | Constant:
        kind, word, _ = self.words[self.at]
        if word in ("$", "@") and kind == "sign":
            return self.path()
        if kind == "text":
            return Constant(self.text())
        constants: dict[str, Any] = {"true": True, "false": False, "null": None}
        if kind == "name" and word in constants:
            self.at += 1
            return Constant(constants[word])
        if kind == "number":
            self.at += 1
            return Constant(json.loads(word) if len(word) < 400 else float(word))
        raise self.wrong("`@`, `$`, a number, text in quotes, true, false or null was expected")
