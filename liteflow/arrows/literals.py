"""The values that are written in a flow: JSON, and YAML that means no more than JSON could.

YAML is read event by event, so nothing in it can be more than a value: no tags, no anchors (so no bombs), no
second document, no key twice.  A plain word is what JSON would make of it (`true`, `null`, a number), else
text:
`no`, `014`, `1:30` and `2026-11-21` stay as they are written.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

# Deeper than anybody writes by hand, and well within what json, repr and == can recurse.
MAX_DEPTH = 100

# Source: https://www.json.org (numbers), https://yaml.org/spec/1.2.2/#103-core-schema (the words)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True)
_WORDS |= dict.fromkeys(("false", "False", "FALSE"), False)
# One short pair on one line, as most parameters are: read at once, for the reader of YAML takes its time.
_PAIR = re.compile(r"[ ]*([A-Za-z_][\w-]*): ([A-Za-z_][\w-]*|-?[0-9]{1,15})[ ]*", re.ASCII)
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)

# Python refuses to read integers of more digits than this.
_MAX_DIGITS = 4000


class LiteralError(ValueError):
    """A literal can't be read; `offset` says where in its text, in characters."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(offset, problem)
        self.offset, self.problem = offset, problem


def read_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        LiteralError: It isn't JSON, or nested more than MAX_DEPTH times.

    >>> read_json('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    depth = 0
    for found in _BRACKETS.finditer(text):
        if found[0][0] != '"':
            depth += 1 if found[0] in "[{" else -1
            if depth > MAX_DEPTH:
                raise LiteralError(found.start(), f"JSON is nested more than {MAX_DEPTH} times")
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_real,
        )
    except json.JSONDecodeError as error:
        raise LiteralError(error.pos, f"this is no JSON: {error.msg}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise LiteralError(0, f"the key {counts.most_common(1)[0][0]!r} is there twice")
    return made


def _no_constant(name: str) -> NoReturn:
    raise LiteralError(0, f"JSON has no {name}")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise LiteralError(0, f"a number of {len(digits):,} digits is too long")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if number - number != 0:
        raise LiteralError(0, f"the number {digits[:40]} is too large")
    return number


def read_yaml(text: str, column: int = 1) -> Any:
    """The value of a YAML text that begins at a column (from 1) of its line.

    Lines are as deep as they look: the first counts from its column, so that `<- a: 1` and a `b: 2` right
    under the
    `a` belong together.  Where that can't be, the first counts from its own first character.

    Raises:
        LiteralError: It isn't YAML, or more than JSON could say.

    >>> read_yaml(" {a: yes, b: [1, 1e3]} ")
    {'a': 'yes', 'b': [1, 1000.0]}
    >>> read_yaml(" a: 1\\n   b: 2 ", column=3)
    {'a': 1, 'b': 2}
    """
    pair = _PAIR.fullmatch(text)
    if pair and pair[1] not in _WORDS:
        return {pair[1]: _plain(pair[2])}
    shift = column - 1
    if "\n" not in text or not shift or not text.partition("\n")[0].strip():
        return _from_events(text)
    try:
        return _from_events(" " * shift + text)
    except LiteralError as error:
        try:
            return _from_events(text)
        except LiteralError:
            raise LiteralError(max(0, error.offset - shift), error.problem) from None


def _from_events(text: str) -> Any:
    import yaml  # noqa: PLC0415  only literals need it, and it takes longer to load than all of a small flow

    try:
        return _Builder(yaml).build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = str(error.problem or error.context)
        raise LiteralError(
            mark.index if mark else 0, f"this is no YAML: {_IN_OUR_WORDS.get(said, said)}"
        ) from None
    except yaml.YAMLError as error:
        raise LiteralError(0, f"this is no YAML: {error}") from None


# What PyYAML says of the slips that are made in one line.
_IN_OUR_WORDS = {
    "expected <block end>, but found ','": "a `,` stands behind a value, outside of `{ }` and `[ ]`",
    "mapping values are not allowed here": "a second `:` stands in one line, outside of `{ }`",
    "expected <block end>, but found '<scalar>'": "something stands behind a text that is closed",
}


class _Builder:
    """Values from the events of YAML, on a stack of its own."""

    def __init__(self, yaml: Any) -> None:
        self.yaml = yaml
        # Lists, and objects with the key that waits for its value.
        self.stack: list[tuple[Any, list[str]]] = []
        self.value: Any = None
        self.documents = 0

    def build(self, text: str) -> Any:
        yaml = self.yaml
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            place = event.start_mark.index
            if isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1 or event.tags or event.version:
                    raise LiteralError(place, "a literal is one YAML document, without directives")
            elif isinstance(event, yaml.NodeEvent):
                self._refuse_more_than_json(event, place)
            if isinstance(event, yaml.ScalarEvent):
                self._add(_plain(event.value) if event.implicit[0] else event.value, place)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                if len(self.stack) == MAX_DEPTH:
                    raise LiteralError(place, f"YAML is nested more than {MAX_DEPTH} times")
                made: Any = [] if isinstance(event, yaml.SequenceStartEvent) else {}
                self._add(made, place)
                self.stack.append((made, []))
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                self.stack.pop()
        return self.value

    def _refuse_more_than_json(self, event: Any, place: int) -> None:
        if event.anchor is not None:
            raise LiteralError(place, "anchors and aliases (& and *) can't be used here; write the value out")
        if getattr(event, "tag", None) is not None:
            raise LiteralError(place, f"tags can't be used here ({event.tag}); values are what JSON has")

    def _add(self, value: Any, place: int) -> None:
        if not self.stack:
            self.value = value
            return
        holder, waiting = self.stack[-1]
        if isinstance(holder, list):
            holder.append(value)
        elif waiting:
            holder[waiting.pop()] = value
        elif not isinstance(value, str):
            raise LiteralError(place, "a key must be text; put it in quotes")
        elif value in holder:
            raise LiteralError(place, f"the key {value!r} is there twice")
        else:
            waiting.append(value)


def _plain(word: str) -> Any:
    """What a plain word of YAML means."""
    if word in _WORDS:
        return _WORDS[word]
    found = _NUMBER.fullmatch(word)
    if not found or len(word) > _MAX_DIGITS:
        return word
    if found[1] is None and found[2] is None:
        return int(word)
    number = float(word)
    return number if number - number == 0 else word
