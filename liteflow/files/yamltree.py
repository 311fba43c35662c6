"""YAML, the part of it that says the same to everybody.

    text --parser's events--> Tree      no objects are made, and no document is nested too deep

Refused are tags and aliases (they run code, or make gigabytes of a page), merge keys, keys
that are given twice (the last would win in silence), and plain words that YAML 1.1, its
successor and people read differently: `NO`, `1:30`, `014`, `1_000`, `2026-11-21`.

PyYAML's parser in C is ten times as fast as its pure one, but its loader crashes on deep nesting: so
its events are taken, which need no depth.  What it does not take the pure one reads again, because that
one says better what is wrong.

Source: https://yaml.org/spec/1.1/, https://yaml.org/type/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from liteflow.files.mistakes import Mistake, MistakesFoundError, Path
from liteflow.files.tree import DEEPEST, Tree

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,29})")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
# Numbers to YAML 1.2 and to people, text to YAML 1.1.
_LIKE_A_NUMBER = re.compile(r"[-+]?(?:0o[0-7]+|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)")
_TAG = "tag:yaml.org,2002:"


# A PyYAML that was built without libyaml has no parser in C.
IN_C: bool = yaml.__with_libyaml__


class _PureParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's parser in Python, without what makes nodes and objects of its events."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


def _refuse(event: Any, problem: str, remedy: str) -> None:
    raise MistakesFoundError([Mistake(*_place(event), (), problem, remedy)])


def _place(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1


def read_yaml(text: str, *, in_c: bool = IN_C) -> tuple[Tree, list[Mistake]]:
    """Read a document.

    Args:
        text: The document.
        in_c: Whether the parser in C is tried first; both give the same.

    Returns:
        The document, and mistakes beside which it can still be looked at.

    Raises:
        MistakesFoundError: It is no YAML, or what is said above.

    >>> tree, mistakes = read_yaml("a: [1, 'x']")
    >>> tree.plain(), mistakes
    ({'a': [1, 'x']}, [])
    """
    if in_c:
        try:
            return _read(_quick(text), text)
        except yaml.MarkedYAMLError:
            # Read again, for the words.
            pass
    try:
        return _read(_PureParser(text), text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise MistakesFoundError([Mistake(line, column, (), f"no YAML: {said}", _remedy(said))]) from None


def _quick(text: str) -> Any:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]  # noqa: PLC0415  it may not be there

    return CParser(text)


def _read(parser: Any, text: str) -> tuple[Tree, list[Mistake]]:
    reading = _Reading(parser, text)
    return reading.document(), reading.mistakes


def _remedy(said: str) -> str:
    if "\\t" in said:
        return "indent with spaces, not with tabs"
    if "quoted scalar" in said:
        return "close the quotes"
    return "correct it; texts with ': ' or ' #' in them need quotes"


class _Reading:
    def __init__(self, parser: Any, text: str) -> None:
        self.mistakes: list[Mistake] = []
        self._next = parser.get_event
        self._text = text
        self._depth = 0
        self._resolver = yaml.resolver.Resolver()

    def document(self) -> Tree:
        event = self._next()
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return Tree(None, 1, 1)
        tree = self._tree(event, ())
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            _refuse(after, "another document begins here", "keep one document in a file")
        return tree

    def _tree(self, event: Any, path: Path) -> Tree:
        self._allowed(event)
        line, column = _place(event)
        if isinstance(event, yaml.ScalarEvent):
            begin: Any = event.start_mark
            end: Any = event.end_mark
            raw = self._text[begin.index : end.index]
            return Tree(self._scalar(event, path), line, column, raw)
        self._depth += 1
        if self._depth > DEEPEST:
            _refuse(event, f"is nested deeper than {DEEPEST} levels", "no workflow needs that")
        if isinstance(event, yaml.SequenceStartEvent):
            tree = Tree(list(self._items(path)), line, column)
        else:
            keys: dict[str, tuple[int, int]] = {}
            tree = Tree(self._mapping(path, keys), line, column, keys=keys)
        self._depth -= 1
        return tree

    def _allowed(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            _refuse(
                event,
                f"*{event.anchor} stands for another part",
                "aliases are not taken: write that part out",
            )
        if event.tag is not None:
            _refuse(event, f"has the tag {event.tag}", "tags are not taken: write plain YAML")

    def _items(self, path: Path) -> Iterator[Tree]:
        number = 0
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            yield self._tree(event, (*path, number))
            number += 1

    def _mapping(self, path: Path, keys: dict[str, tuple[int, int]]) -> dict[str, Tree]:
        items: dict[str, Tree] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            place = _place(event)
            key = self._key(event, path)
            if key is None:
                # Gone through for its mistakes of form.
                self._tree(self._next(), path)
            elif key in items:
                problem = f"is here a second time, after line {keys[key][0]}"
                self.mistakes.append(Mistake(*place, (*path, key), problem, "keep one of them"))
                self._tree(self._next(), (*path, key))
            else:
                keys[key] = place
                items[key] = self._tree(self._next(), (*path, key))
        return items

    def _key(self, event: Any, path: Path) -> str | None:
        place = _place(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._tree(event, path)
            self.mistakes.append(Mistake(*place, path, "has a list or a mapping as a key", "keys are text"))
            return None
        self._allowed(event)
        kind = self._kind(event)
        if kind == "str":
            return str(event.value)
        if kind == "merge":
            self.mistakes.append(Mistake(*place, path, "has a merge key (<<)", "write the keys out"))
        else:
            problem = f"has the key {event.value}, which is {_KINDS.get(kind, kind)} to YAML and no text"
            self.mistakes.append(Mistake(*place, path, problem, f'quote it: "{event.value}"'))
        return None

    def _kind(self, event: Any) -> str:
        """What YAML takes a scalar for: int, str, timestamp, ..."""
        # Only what stands there plainly can be anything else than text.
        if not event.implicit[0]:
            return "str"
        tag: str = self._resolver.resolve(yaml.ScalarNode, event.value, (True, False))  # type: ignore[no-untyped-call]
        return tag.removeprefix(_TAG)

    def _scalar(self, event: Any, path: Path) -> object:
        text, kind = event.value, self._kind(event)
        if kind == "str" and (event.style or not _LIKE_A_NUMBER.fullmatch(text)):
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and _INT.fullmatch(text):
            return int(text)
        if kind == "float" and _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        shown = text if len(text) < 40 else f"{text[:40]}..."
        problem = f"is {shown}, which YAML takes for {_reading(text, kind)}"
        remedy = f'quote it if it is text: "{shown}"; else write a plain number, true or false'
        self.mistakes.append(Mistake(*_place(event), path, problem, remedy))
        # As text: what else is wrong with it will then be said as well.
        return text


_KINDS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "null": "nothing",
    "value": "a special key",
    "str": "text, though it looks like a number",
}


def _reading(text: str, kind: str) -> str:
    """What YAML 1.1 makes of a plain word."""
    if kind == "bool":
        return "true" if text.lower() in ("yes", "on") else "false"
    if kind == "int" and len(text) < 40:
        return f"the number {yaml.SafeLoader('').construct_yaml_int(yaml.ScalarNode('', text))}"
    if kind == "float" and len(text) < 40:
        return f"the number {yaml.SafeLoader('').construct_yaml_float(yaml.ScalarNode('', text))}"
    return _KINDS.get(kind, kind)
