"""YAML, the part of it that says the same to everybody.

Refused are tags and aliases (they run code, or make gigabytes of a page), merge keys, keys
that are given twice (the last would win in silence), and plain words that YAML 1.1, its
successor and people read differently: `NO`, `1:30`, `014`, `1_000`, `2026-11-21`.

Source: https://yaml.org/spec/1.1/, https://yaml.org/type/; the pure Python loader of PyYAML,
because the one in C crashes on deep nesting.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from liteflow.files.mistakes import Mistake, MistakesFoundError, Path
from liteflow.files.tree import DEEPEST, Tree

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,29})")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
# Numbers to YAML 1.2 and to people, text to YAML 1.1.
_LIKE_A_NUMBER = re.compile(r"[-+]?(?:0o[0-7]+|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)")
_TAG = "tag:yaml.org,2002:"


class _Composer(yaml.SafeLoader):
    """Composes nodes, up to a depth, of a document without aliases and tags; it makes no objects."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            _refuse(
                event,
                f"*{event.anchor} stands for another part",
                "aliases are not taken: write that part out",
            )
        if getattr(event, "tag", None) is not None:
            _refuse(event, f"has the tag {event.tag}", "tags are not taken: write plain YAML")
        self.depth += 1
        if self.depth > DEEPEST:
            _refuse(event, f"is nested deeper than {DEEPEST} levels", "no workflow needs that")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refuse(event: Any, problem: str, remedy: str) -> None:
    mark = event.start_mark
    raise MistakesFoundError([Mistake(mark.line + 1, mark.column + 1, (), problem, remedy)])


def read_yaml(text: str) -> tuple[Tree, list[Mistake]]:
    """Read a document.

    Returns:
        The document, and mistakes beside which it can still be looked at.

    Raises:
        MistakesFoundError: It is no YAML, or what is said above.

    >>> tree, mistakes = read_yaml("a: [1, 'x']")
    >>> tree.plain(), mistakes
    ({'a': [1, 'x']}, [])
    """
    composer = _Composer(text)
    try:
        node = composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise MistakesFoundError([Mistake(line, column, (), f"no YAML: {said}", _remedy(said))]) from None
    finally:
        composer.dispose()
    if node is None:
        return Tree(None, 1, 1), []
    reading = _Reading(text)
    return reading.tree(node, ()), reading.mistakes


def _remedy(said: str) -> str:
    if "\\t" in said:
        return "indent with spaces, not with tabs"
    if "single document" in said:
        return "keep one document in a file"
    if "quoted scalar" in said:
        return "close the quotes"
    return "correct it; texts with ': ' or ' #' in them need quotes"


class _Reading:
    def __init__(self, text: str) -> None:
        self.mistakes: list[Mistake] = []
        self._text = text

    def tree(self, node: yaml.Node, path: Path) -> Tree:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if isinstance(node, yaml.ScalarNode):
            raw = self._text[node.start_mark.index : node.end_mark.index]
            return Tree(self._scalar(node, path), line, column, raw)
        if isinstance(node, yaml.SequenceNode):
            return Tree([self.tree(item, (*path, i)) for i, item in enumerate(node.value)], line, column)
        items: dict[str, Tree] = {}
        keys: dict[str, tuple[int, int]] = {}
        for key_node, item in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            place = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            if key in items:
                problem = f"is here a second time, after line {keys[key][0]}"
                self.mistakes.append(Mistake(*place, (*path, key), problem, "keep one of them"))
                continue
            keys[key] = place
            items[key] = self.tree(item, (*path, key))
        return Tree(items, line, column, keys=keys)

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str":
            return str(node.value)
        place = node.start_mark.line + 1, node.start_mark.column + 1
        if not isinstance(node, yaml.ScalarNode):
            self.mistakes.append(Mistake(*place, path, "has a list or a mapping as a key", "keys are text"))
        elif node.tag == f"{_TAG}merge":
            self.mistakes.append(Mistake(*place, path, "has a merge key (<<)", "write the keys out"))
        else:
            kind = node.tag.removeprefix(_TAG)
            problem = f"has the key {node.value}, which is {_KINDS.get(kind, kind)} to YAML and no text"
            self.mistakes.append(Mistake(*place, path, problem, f'quote it: "{node.value}"'))
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        text, kind = node.value, node.tag.removeprefix(_TAG)
        if kind == "str" and (node.style is not None or not _LIKE_A_NUMBER.fullmatch(text)):
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and _INT.fullmatch(text):
            return int(text)
        if kind == "float" and _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        place = node.start_mark.line + 1, node.start_mark.column + 1
        shown = text if len(text) < 40 else f"{text[:40]}..."
        problem = f"is {shown}, which YAML takes for {_reading(text, kind)}"
        remedy = f'quote it if it is text: "{shown}"; else write a plain number, true or false'
        self.mistakes.append(Mistake(*place, path, problem, remedy))
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
