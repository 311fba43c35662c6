"""`${{ tasks.fetch.output }}`: what a text refers to, and where in it.

    reference := "tasks" NAME ("output" item* | "exit_code" | "state")
               | "params" NAME item*  |  "item" item*  |  "input" item*
    item      := .name  |  [0]  |  ["any text"]

`item` is for what is run once an item, `input` for steps of the arrow language: what comes in.

It is a language of look-up and nothing else: no attributes, no calls, no operators, no
formats, so no text can do more than name a value.  Names are joined by dots; one that is
no word stands as `["my task"]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import frozen

from liteflow.errors import nearest
from liteflow.task_types.faults import TemplateError, ValueRefusedError

OPENING, CLOSING = "${{", "}}"
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d][\w-]*")
_STEP = re.compile(r"""\s*(?:\.\s*([^\W\d][\w-]*)|\[\s*(?:(-?\d{1,9})|"([^"]*)"|'([^']*)')\s*\])""")
_ROOTS = ("tasks", "params", "item", "input")
_PARTS = ("output", "exit_code", "state")
Root = Literal["tasks", "params", "item", "input"]
EXAMPLES = "write tasks.NAME.output, tasks.NAME.exit_code, params.NAME or item"
"""What templates of a workflow file may name."""


@frozen
class Reference:
    """What a template names.

    Attributes:
        root: "tasks", "params", "item" or "input".
        name: Of the task or the parameter; else empty.
        part: "output", "exit_code" or "state" of a task, else empty.
        path: Keys that lead on into the value, one after the other.

    >>> str(Reference("tasks", "fetch", "output", ("rows", 0)))
    'tasks.fetch.output.rows[0]'
    """

    root: Root
    name: str = ""
    part: str = ""
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        steps = [step for step in (self.name, self.part) if step]
        return self.root + "".join(_step_text(step) for step in (*steps, *self.path))


@frozen
class Template:
    """A reference in a text, from character `start` up to, not including, `end`."""

    start: int
    end: int
    reference: Reference


def _step_text(step: str | int) -> str:
    if isinstance(step, str) and _WORD.fullmatch(step):
        return f".{step}"
    return f"[{step}]" if isinstance(step, int) else f'["{step}"]' if '"' not in step else f"['{step}']"


def templates_in(text: str) -> tuple[Template, ...]:
    """Return the templates of a text, in their order.

    Raises:
        TemplateError: One has no end, or is no reference.

    >>> [str(t.reference) for t in templates_in("from ${{ params.day }} on")]
    ['params.day']
    """
    return tuple(_scan(text)) if OPENING in text else ()


def references_in(texts: Iterable[str]) -> tuple[Reference, ...]:
    """Return what the templates of some texts name, each once, in their order.

    Raises:
        TemplateError: As `templates_in`.

    >>> [str(r) for r in references_in(["${{ item }} of ${{ params.n }}", "${{ item }}"])]
    ['item', 'params.n']
    """
    return tuple(dict.fromkeys([t.reference for text in texts for t in templates_in(text)]))


def only_template(text: object) -> Reference | None:
    """Return what a text refers to that is one template and nothing else; None if it is anything else.

    Raises:
        TemplateError: As `templates_in`.

    >>> str(only_template(" ${{ params.day }} ")), only_template("on ${{ params.day }}")
    ('params.day', None)
    """
    if not isinstance(text, str):
        return None
    found = templates_in(text)
    alone = len(found) == 1 and text.strip() == text[found[0].start : found[0].end]
    return found[0].reference if alone else None


def _scan(text: str) -> Iterator[Template]:
    start = text.find(OPENING)
    while start >= 0:
        end = _end_of(text, start)
        inside = text[start + len(OPENING) : end - len(CLOSING)]
        yield Template(start, end, _reference(text, start, inside))
        start = text.find(OPENING, end)


def _end_of(text: str, start: int) -> int:
    at, quote = start + len(OPENING), ""
    while at < len(text):
        character = text[at]
        if quote:
            quote = "" if character == quote else quote
        elif text.startswith(CLOSING, at):
            return at + len(CLOSING)
        elif text.startswith(OPENING, at):
            raise TemplateError(text, at, "a template stands inside another one", "give each its own ${{ }}")
        elif character in "\"'":
            quote = character
        at += 1
    raise TemplateError(text, start, "this ${{ has no }}", "close it, or take it away")


def _reference(text: str, start: int, inside: str) -> Reference:
    steps, at, root = _steps(text, start, inside)
    if root in ("item", "input"):
        return Reference(root, path=tuple(steps))
    if not steps or not isinstance(steps[0], str):
        raise TemplateError(text, at, f"{root!r} is not followed by a name", EXAMPLES)
    name, rest = steps[0], steps[1:]
    if root == "params":
        return Reference("params", name, path=tuple(rest))
    if not rest or rest[0] not in _PARTS:
        given = f"{rest[0]!r} is nothing that a task has" if rest else f"what of task {name!r}?"
        raise TemplateError(text, at, given, f"write tasks.{name}.output, .exit_code or .state")
    return Reference("tasks", name, str(rest[0]), tuple(rest[1:]))


def _steps(text: str, start: int, inside: str) -> tuple[list[str | int], int, Root]:
    """Return what follows the root, where the root stands in the text, and the root."""
    begin = _SPACE.match(inside)
    at = begin.end() if begin else 0
    word = _WORD.match(inside, at)
    place = start + len(OPENING) + at
    if word is None:
        raise TemplateError(text, place, "a template names a value", EXAMPLES)
    root = word.group()
    close = nearest(root, _ROOTS)
    steps: list[str | int] = []
    at = word.end()
    while step := _STEP.match(inside, at):
        name, number, *quoted = step.groups()
        steps.append(int(number) if number is not None else next(t for t in (name, *quoted) if t is not None))
        at = step.end()
    if inside[at:].strip():
        wrong = inside[at:].strip()
        problem = f"{wrong[:40]!r} can't stand in a template, which only looks values up"
        raise TemplateError(text, start + len(OPENING) + inside.index(wrong, at), problem, EXAMPLES)
    if root not in _ROOTS:
        remedy = f"did you mean {close[0]!r}? {EXAMPLES}" if close else EXAMPLES
        raise TemplateError(text, place, f"there is no {root!r}", remedy)
    return steps, place, root  # type: ignore[return-value]  # it is one of _ROOTS


def as_text(value: object, name: str) -> str:
    """Return a value as it stands inside a text: text as it is, lists and dicts as JSON.

    Args:
        value: Text, a number, true, false, nothing (which is no text at all), a list or a dict.
        name: What it is called, for the error.

    Raises:
        ValueRefusedError: It is something else.

    >>> as_text("a b", "x"), as_text(2.5, "x"), as_text(True, "x"), as_text([1, None], "x")
    ('a b', '2.5', 'true', '[1, null]')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        kind = type(value).__name__
        problem = f"is a {kind}, which has no text of its own"
        raise ValueRefusedError(name, problem, "make it text, a number, a list or a dict first") from None
