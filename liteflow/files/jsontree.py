"""JSON, strictly: no key twice, no NaN, and every part knows its place.

Python's own reader tells no places, lets the last of two keys win, and takes NaN.

Source: RFC 8259.
"""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # what the standard reader uses itself
from typing import NoReturn

from liteflow.files.mistakes import Mistake, MistakesFoundError, Path
from liteflow.files.tree import DEEPEST, Tree, place_at

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
_LONGEST_NUMBER = 30


def read_json(text: str) -> tuple[Tree, list[Mistake]]:
    """Read a document.

    Returns:
        The document, and mistakes beside which it can still be looked at.

    Raises:
        MistakesFoundError: It is no JSON, or nested too deeply.

    >>> tree, mistakes = read_json('{"a": [1, "x"]}')
    >>> tree.plain(), mistakes
    ({'a': [1, 'x']}, [])
    """
    reading = _Reading(text)
    if not text.strip(" \t\n\r"):
        return Tree(None, 1, 1), []
    tree = reading.value((), 0)
    if reading.at < len(text):
        reading.fail("something follows the end of the document", "keep one document in a file")
    return tree, reading.mistakes


class _Reading:
    def __init__(self, text: str) -> None:
        self.mistakes: list[Mistake] = []
        self.at = 0
        self._text = text
        self._skip()

    def fail(self, problem: str, remedy: str, at: int | None = None) -> NoReturn:
        place = place_at(self._text, self.at if at is None else at)
        raise MistakesFoundError([Mistake(*place, (), f"no JSON: {problem}", remedy)])

    def value(self, path: Path, depth: int) -> Tree:
        if depth >= DEEPEST:
            self.fail(f"nested deeper than {DEEPEST} levels", "no workflow needs that")
        start = self.at
        line, column = place_at(self._text, start)
        first = self._text[start : start + 1]
        if first == "{":
            return self._mapping(path, depth)
        if first == "[":
            return self._list(path, depth)
        scalar = self._string() if first == '"' else self._other()
        raw = self._text[start : self.at]
        self._skip()
        return Tree(scalar, line, column, raw)

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self.at)
        self.at = found.end() if found else self.at

    def _next(self, character: str) -> bool:
        if not self._text.startswith(character, self.at):
            return False
        self.at += 1
        self._skip()
        return True

    def _string(self) -> str:
        try:
            text, self.at = scanstring(self._text, self.at + 1)
        except JSONDecodeError as error:
            self.fail(error.msg.lower(), "close the quotes, and write \\n for a new line", error.pos)
        return str(text)

    def _other(self) -> object:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self.at):
                self.at += len(word)
                return value
        found = _NUMBER.match(self._text, self.at)
        if found is None:
            given = re.match(r"[-\w.]*", self._text[self.at : self.at + 40])
            what = given.group() if given and given.group() else self._text[self.at : self.at + 1]
            remedy = "after the last item comes no comma" if what in ("]", "}") else "write a value"
            self.fail(f"{what!r} is no value" if what else "it ends too early", remedy)
        if len(found.group()) > _LONGEST_NUMBER:
            self.fail(f"a number of {len(found.group())} digits", "write it as text")
        self.at = found.end()
        if found[2] is None and found[3] is None:
            return int(found[1])
        number = float(found.group())
        if number in (float("inf"), float("-inf")):
            self.fail("a number too large", "write it as text", found.start())
        return number

    def _list(self, path: Path, depth: int) -> Tree:
        line, column = place_at(self._text, self.at)
        self._next("[")
        items: list[Tree] = []
        if self._next("]"):
            return Tree(items, line, column)
        while True:
            items.append(self.value((*path, len(items)), depth + 1))
            if self._next("]"):
                return Tree(items, line, column)
            if not self._next(","):
                self.fail("a list goes on without a comma", "put a comma, or ], here")

    def _mapping(self, path: Path, depth: int) -> Tree:
        line, column = place_at(self._text, self.at)
        self._next("{")
        items: dict[str, Tree] = {}
        keys: dict[str, tuple[int, int]] = {}
        if self._next("}"):
            return Tree(items, line, column)
        while True:
            place = place_at(self._text, self.at)
            if not self._text.startswith('"', self.at):
                self.fail("a key in double quotes is missing", "after the last item comes no comma")
            key = self._string()
            self._skip()
            if not self._next(":"):
                self.fail(f"no colon after the key {key[:40]!r}", "put : and a value")
            item = self.value((*path, key), depth + 1)
            if key in items:
                problem = f"is here a second time, after line {keys[key][0]}"
                self.mistakes.append(Mistake(*place, (*path, key), problem, "keep one of them"))
            else:
                items[key], keys[key] = item, place
            if self._next("}"):
                return Tree(items, line, column, keys=keys)
            if not self._next(","):
                self.fail("a mapping goes on without a comma", "put a comma, or }, here")
