"""`when: ${{ params.env }} == "prod" and not ${{ params.dry }}`: is a task to run?

    condition  := conjunction ("or" conjunction)*
    conjunction:= negation ("and" negation)*
    negation   := "not" negation | comparison
    comparison := value (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") value)?
    value      := template | number | "text" | 'text' | true | false | null
               |  "[" value, ... "]" | "(" condition ")"

Templates are looked up; nothing is called, computed or made.  A value alone counts as false when it is
false, 0, null or empty.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn

from attrs import frozen

from liteflow.task_types.faults import ConditionError, TemplateError
from liteflow.task_types.templates import CLOSING, OPENING, Reference, templates_in

MOST_NESTED = 40
"""Brackets and `not` may stand so deep in each other."""

_EXAMPLES = 'write for example ${{ params.env }} == "prod"'
_CONSTANTS: Final = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?(?![\w.]))|(?P<text>"(?:[^"\\]|\\.)*"|'[^']*')"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign>==|!=|<=|>=|[<>()\[\],]))"""
)
_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}


@frozen
class Constant:
    """A value that stands in the condition itself."""

    value: object


@frozen
class Looked:
    """The value of a template."""

    reference: Reference


@frozen
class Listed:
    """A list of values."""

    items: tuple[Condition, ...]


@frozen
class Compared:
    """Two values and what is asked of them: one of `==`, `<`, `in`, ..."""

    left: Condition
    sign: str
    right: Condition


@frozen
class Negated:
    """`not` and a condition."""

    part: Condition


@frozen
class Joined:
    """Conditions with one word, "and" or "or", between them."""

    word: str
    parts: tuple[Condition, ...]


Condition = Constant | Looked | Listed | Compared | Negated | Joined


def parse_condition(text: str | bool) -> Condition:
    """Read a condition.

    Raises:
        TemplateError: It is none; with the place in the text.

    >>> parse_condition("${{ params.n }} > 3")
    Compared(left=Looked(reference=Reference(root='params', name='n', part='', path=())), sign='>', \
right=Constant(value=3))
    """
    return Constant(text) if isinstance(text, bool) else _Parser(text).whole()


def holds(condition: Condition, values: Mapping[str, object]) -> bool:
    """Whether a condition is true.

    Args:
        condition: As `parse_condition` gives it.
        values: By what the templates say, as `str(reference)` writes it.

    Raises:
        ConditionError: Two values can't be compared in that way.

    >>> condition = parse_condition("${{ params.n }} > 3 and not ${{ params.dry }}")
    >>> holds(condition, {"params.n": 4, "params.dry": ""})
    True
    """
    return bool(_value(condition, values))


def references_of(condition: Condition) -> Iterator[Reference]:
    """Iterate over what the templates of a condition name, in their order."""
    return (part.reference for part in parts_of(condition) if isinstance(part, Looked))


def parts_of(condition: Condition) -> Iterator[Condition]:
    """Iterate over a condition and all that it is made of, in the order of the text."""
    yield condition
    match condition:
        case Listed(parts) | Joined(_, parts):
            inner = parts
        case Negated(part):
            inner = (part,)
        case Compared(left, _, right):
            inner = (left, right)
        case _:
            inner = ()
    for part in inner:
        yield from parts_of(part)


def text_of(  # noqa: PLR0911  a list of cases
    condition: Condition,
    looked: Callable[[Reference], str] = lambda reference: f"{OPENING} {reference} {CLOSING}",
    literal: Callable[[object], str] = json.dumps,
    called: Callable[[Compared], bool] = lambda comparison: False,
) -> str:
    """Return a condition as it is written.

    Args:
        condition: As `parse_condition` gives it.
        looked: What stands for a template.
        literal: What stands for a constant.
        called: Which comparisons are written as calls of `compared`, for Python's own see no mistake in them.

    >>> text_of(parse_condition("not(${{ item }}=='a' or ${{ item }} in [1,2])"))
    'not (${{ item }} == "a" or ${{ item }} in [1, 2])'
    """

    def part(inner: Condition) -> str:
        text = text_of(inner, looked, literal, called)
        simple = isinstance(inner, Constant | Looked | Listed)
        # Of a comparison in another one Python makes a chain; the rest reads better without brackets.
        bare = isinstance(condition, Joined | Negated) and isinstance(inner, Compared)
        return text if simple or bare else f"({text})"

    match condition:
        case Constant(value):
            return literal(value)
        case Looked(reference):
            return looked(reference)
        case Listed(items):
            return f"[{', '.join(map(part, items))}]"
        case Negated(inner):
            return f"not {part(inner)}"
        case Joined(word, parts):
            return f" {word} ".join(map(part, parts))
        case Compared(left, sign, right) if called(condition):
            sides = (text_of(side, looked, literal, called) for side in (left, right))
            return f"compared({next(sides)}, {literal(sign)}, {next(sides)})"
        case Compared(left, sign, right):
            return f"{part(left)} {sign} {part(right)}"


def _value(condition: Condition, values: Mapping[str, object]) -> Any:  # noqa: PLR0911  a list of cases
    match condition:
        case Constant(value):
            return value
        case Looked(reference):
            return values[str(reference)]
        case Listed(items):
            return [_value(item, values) for item in items]
        case Negated(part):
            return not _value(part, values)
        case Joined("and", parts):
            return all(_value(part, values) for part in parts)
        case Joined(_, parts):
            return any(_value(part, values) for part in parts)
        case Compared(left, sign, right):
            return compared(_value(left, values), sign, _value(right, values))


def compared(left: Any, sign: str, right: Any) -> bool:
    """Whether a comparison holds, as a condition makes it.

    Raises:
        ConditionError: Two values can't be compared in that way: one is text and one a number, for example.

    >>> compared("3", "==", "3"), compared(3, "in", [1, 2])
    (True, False)
    """
    # A command's output is text, and "3" == 3 would silently be false for ever.
    if {_is_number(left), _is_number(right)} == {True, False} and str in (type(left), type(right)):
        raise ConditionError(
            left, sign, right, "one is text and one a number; outputs: json makes numbers of output"
        )
    try:
        return bool(_SIGNS[sign](left, right))
    except TypeError:
        raise ConditionError(left, sign, right, "they can't be compared in this way") from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    reference: Reference | None = None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [*_tokens(text), _Token("end", "", len(text.rstrip()))]
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._joined("or")
        if self._next.kind != "end":
            self._refuse(f"{self._next.text[:40]!r} can't stand here")
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, *texts: str) -> bool:
        tokens = self._tokens[self._at : self._at + len(texts)]
        found = tuple(t.text for t in tokens if t.kind in ("word", "sign")) == texts
        self._at += len(texts) if found else 0
        return found

    def _joined(self, word: str) -> Condition:
        parts = [self._part_of(word)]
        while self._takes(word):
            parts.append(self._part_of(word))
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _part_of(self, word: str) -> Condition:
        return self._joined("and") if word == "or" else self._negation()

    def _negation(self) -> Condition:
        if self._takes("not"):
            return Negated(self._deeper(self._negation))
        left = self._operand()
        sign = self._sign()
        if sign is None:
            return left
        compared = Compared(left, sign, self._operand())
        if self._sign() is not None:
            self._at -= 1
            self._refuse("two values are compared at a time", "join comparisons with and")
        return compared

    def _sign(self) -> str | None:
        if self._takes("not", "in"):
            return "not in"
        if self._next.kind in ("sign", "word") and self._next.text in _SIGNS:
            return self._take().text
        return None

    def _operand(self) -> Condition:  # noqa: RET503  its end refuses
        token = self._next
        if self._takes("("):
            condition = self._deeper(lambda: self._joined("or"))
            self._expect(")")
            return condition
        if self._takes("["):
            return self._deeper(self._list)
        if token.kind == "word" and token.text in _CONSTANTS:
            return Constant(_CONSTANTS[self._take().text])
        if token.kind == "template" and token.reference is not None:
            self._take()
            return Looked(token.reference)
        if token.kind in ("number", "text"):
            return Constant(self._literal(self._take()))
        problem = "a value is missing" if token.kind == "end" else f"{token.text[:40]!r} is no value"
        remedy = f"if it is text, quote it; {_EXAMPLES}" if token.kind == "word" else _EXAMPLES
        self._refuse(problem, remedy)

    def _list(self) -> Condition:
        items: list[Condition] = []
        while not self._takes("]"):
            if items:
                self._expect(",")
            items.append(self._operand())
        return Listed(tuple(items))

    def _literal(self, token: _Token) -> object:
        if token.text.startswith("'"):
            return token.text[1:-1]
        try:
            return json.loads(token.text, strict=False)
        except ValueError as error:
            self._at -= 1
            self._refuse(f"{token.text[:40]} can't be read ({error})", "write it as JSON has it")

    def _deeper(self, read: Callable[[], Condition]) -> Condition:
        self._depth += 1
        if self._depth > MOST_NESTED:
            self._refuse(f"it is more than {MOST_NESTED} levels deep", "make it simpler")
        condition = read()
        self._depth -= 1
        return condition

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            self._refuse(f"{text!r} is missing", "add it")

    def _refuse(self, problem: str, remedy: str = _EXAMPLES) -> NoReturn:
        raise TemplateError(self._text, self._next.start, problem, remedy)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    for template in templates_in(text):
        yield from _plain_tokens(text, at, template.start)
        yield _Token("template", text[template.start : template.end], template.start, template.reference)
        at = template.end
    yield from _plain_tokens(text, at, len(text))


def _plain_tokens(text: str, at: int, end: int) -> Iterator[_Token]:
    while text[at:end].strip():
        found = _TOKEN.match(text, at, end)
        if found is None or found.lastgroup is None:
            start = at + len(text[at:end]) - len(text[at:end].lstrip())
            problem = f"{text[start:end].strip()[:40]!r} can't stand in a condition"
            raise TemplateError(text, start, problem, _EXAMPLES)
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        at = found.end()
