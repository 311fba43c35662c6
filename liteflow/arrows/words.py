"""Models as text, piece by piece: how labels, literals, documentation and steps are written in a line.

What needs lines of its own (a long literal, documentation of several lines) has line breaks in its text;
layout.py decides about the rest.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

from liteflow.arrows.literals import LiteralError, read_yaml
from liteflow.arrows.model import (
    Destination,
    End,
    Fan,
    FlowDeclaration,
    Label,
    Literal,
    Mention,
    Resource,
    Start,
    Statement,
    Step,
    TaskDeclaration,
)
from liteflow.arrows.parse import REFUSED

# Longer JSON is written over several lines.
_LONG_JSON = 80


def literal(given: Literal) -> str:
    """A literal source.

    >>> literal(Literal("json", {"a": 1})), literal(Literal("empty", {})), literal(Literal.of("text"))
    ('<{"a": 1}>', '<>', '<- "text" ->')
    """
    return "<>" if given.form == "empty" else f"<{_marked(given)}>"


def parameters(given: Literal | None) -> str:
    """Parameters, right behind a name.

    >>> parameters(Literal("json", [1, 2])), parameters(None)
    ('([1, 2])', '')
    """
    return "" if given is None else "()" if given.form == "empty" else f"({_marked(given)})"


def _marked(given: Literal) -> str:
    if given.form == "json":
        return _json(given.value)
    text = given.text
    if text is None:
        return f"- {_json(given.value)} -"
    if "\n" not in text:
        return f"- {text.strip()} -" if text.strip() else "- -"
    return f"-\n{_dedented(given, text)}\n-"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > _LONG_JSON:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return REFUSED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _dedented(given: Literal, text: str) -> str:
    """The lines of a YAML literal at the margin, if they mean the same there; else their value as JSON."""
    column = given.at.column + 2 if given.at else 1
    for shift in (column - 1, 0):
        lines = textwrap.dedent(" " * shift + text).strip("\n").rstrip()
        try:
            if _same(read_yaml(f"\n{lines}\n"), given.value):
                return lines
        except LiteralError:
            continue
    return _json(given.value)


def _same(one: Any, other: Any) -> bool:
    """`1`, `1.0` and `True` are equal in Python, and not the same here."""
    return json.dumps({} if one is None else one) == json.dumps(other)


def doc(text: str) -> str:
    """Documentation between its marks.

    >>> print(doc("It's so."))
    '''It's so.'''
    >>> print(doc("One.\\nTwo."))
    '''
    One.
    Two.
    '''
    """
    quotes = '"""' if "'''" in text else "'''"
    return (
        f"{quotes}\n{text}\n{quotes}"
        if "\n" in text or text.endswith(quotes[0])
        else f"{quotes}{text}{quotes}"
    )


def prefix(step: Step) -> str:
    """What stands before a step's tasks or block."""
    return "".join(
        part + " "
        for part in (
            step.input_label and f":{step.input_label.name}",
            step.prefix,
            step.guard and f"?`{step.guard.expression}`",
        )
        if part
    )


def suffix(step: Step) -> str:
    """What stands behind a step's tasks or block."""
    return f" :{step.output_label.name}" if step.output_label else ""


def tasks(body: Mention | Fan) -> str:
    """`A|B(- n: 1 -)`."""
    mentions = body.mentions if isinstance(body, Fan) else (body,)
    return "|".join(mention.name + parameters(mention.parameters) for mention in mentions)


def source(given: Label | Start | Literal | Resource) -> str:
    """The source of a statement."""
    match given:
        case Label(name):
            return f":{name}"
        case Start():
            return ":start"
        case Literal():
            return literal(given)
        case Resource(uri, values):
            return f"<{uri}>{parameters(values)}"


def destination(given: Destination) -> str:
    """The destination of a statement."""
    target = ":end" if isinstance(given.target, End) else source(given.target)
    return f"> {target}" if given.merge else target


def flow_head(given: FlowDeclaration) -> str:
    """The declaration of a flow."""
    return " ".join(part for part in ("@flow", given.name, parameters(given.parameters), _doc(given)) if part)


def task_head(given: TaskDeclaration) -> str:
    """The declaration of a task, without its block."""
    base = f"= {given.base}" if given.base else ""
    parts = ("@task", given.name, base, parameters(given.parameters), _doc(given))
    return " ".join(part for part in parts if part)


def _doc(given: FlowDeclaration | TaskDeclaration) -> str:
    return "" if given.doc is None else doc(given.doc)


def needs_semicolon(item: object, following: object) -> bool:
    """Whether, without a `;`, what follows would be read as part of an item."""
    if not isinstance(following, Statement):
        return False
    first = following.steps[0]
    begins = following.source is None
    if isinstance(item, TaskDeclaration):
        bare = begins and first.input_label is None and not first.prefix and first.guard is None
        return item.block is None and bare and not isinstance(first.body, Mention | Fan)
    if not isinstance(item, Statement):
        return False
    by_label = isinstance(following.source, Label) or (begins and first.input_label is not None)
    to_label = item.destination is not None and isinstance(item.destination.target, Label)
    return by_label or to_label
