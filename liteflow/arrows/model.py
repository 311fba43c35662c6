"""What a text in the arrow language says, as data: frozen, and equal when the meaning is written the same.

    Model -- items --> FlowDeclaration | TaskDeclaration | Statement
    Statement          source? -> Step -> Step -> destination?
    Step               labels, prefix, guard, and a body: Mention | Fan | Block

Places (`at`) and the text of literals are kept for messages and for `fmt`, and don't count when models are
compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import field, frozen

from liteflow.arrows.errors import At, Origin


@frozen
class Literal:
    """A value that is written in the flow; `text` is how, between its marks.

    `form` is "yaml" (`<- ->`, `(- -)`), "json" (`<{ }>`, `([ ])`, ...) or "empty" (`<>`, `()`).
    """

    form: str
    value: Any
    text: str | None = field(default=None, eq=False, repr=False)
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)

    @classmethod
    def of(cls, value: object) -> Literal:
        """A literal of a JSON value: as JSON if it is an object or a list, else as YAML."""
        return cls("json" if isinstance(value, dict | list) else "yaml", value)


@frozen
class Label:
    """`:name`; the name is kept without the colon."""

    name: str
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Start:
    """`:start`, the start of the scope."""

    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class End:
    """`:end`, the end of the scope."""

    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Resource:
    """`<uri>(parameters)`: something to load from, or to write to."""

    uri: str
    parameters: Literal | None = None
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Mention:
    """A task by its name, perhaps with parameters."""

    name: str
    parameters: Literal | None = None
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Fan:
    """`A|B|C`: a block of one statement a task."""

    mentions: tuple[Mention, ...]
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Block:
    """`{ ... }`: a scope with its own start, end and labels."""

    statements: tuple[Statement, ...]
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)
    closed_at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Guard:
    """The JSONPath between backticks that decides whether a step runs."""

    expression: str
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Step:
    """One step of a statement.  `prefix` is "" or "*" (once for each item) or ">" (its input is merged)."""

    body: Mention | Fan | Block
    input_label: Label | None = None
    prefix: str = ""
    guard: Guard | None = None
    output_label: Label | None = None
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Destination:
    """Where a statement's last output goes; with `merge`, what comes together there is merged."""

    target: Label | Start | End | Resource
    merge: bool = False
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Statement:
    """A chain of steps, from its source (or the scope's start) to its destination (or the scope's end)."""

    steps: tuple[Step, ...]
    source: Label | Start | Literal | Resource | None = None
    destination: Destination | None = None
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class FlowDeclaration:
    """`@flow name (parameters) '''doc'''`; `at` is the name's place, `begins` the declaration's."""

    name: str
    parameters: Literal | None = None
    doc: str | None = None
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)
    begins: int | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class TaskDeclaration:
    """`@task name = base (parameters) '''doc''' { block }`."""

    name: str
    base: str | None = None
    parameters: Literal | None = None
    doc: str | None = None
    block: Block | None = None
    at: At | None = field(default=None, eq=False, repr=False, kw_only=True)
    begins: int | None = field(default=None, eq=False, repr=False, kw_only=True)


@frozen
class Model:
    """A whole text: declarations and statements, in its order."""

    items: tuple[FlowDeclaration | TaskDeclaration | Statement, ...]
    origin: Origin = field(factory=Origin, eq=False, repr=False)

    @property
    def flow(self) -> FlowDeclaration | None:
        """The declaration of the flow, if there is one."""
        return next((item for item in self.items if isinstance(item, FlowDeclaration)), None)

    @property
    def tasks(self) -> tuple[TaskDeclaration, ...]:
        """The declarations of tasks."""
        return tuple(item for item in self.items if isinstance(item, TaskDeclaration))

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements of the outermost scope."""
        return tuple(item for item in self.items if isinstance(item, Statement))

    def mentions(self) -> Iterator[Mention]:
        """Every task that is named by a step, in the order of the text."""
        blocks = [Block(self.statements), *(task.block for task in self.tasks if task.block)]
        for block in blocks:
            yield from _mentions(block)


def _mentions(body: Mention | Fan | Block) -> Iterator[Mention]:
    match body:
        case Mention():
            yield body
        case Fan(mentions):
            yield from mentions
        case Block(statements):
            for statement in statements:
                for step in statement.steps:
                    yield from _mentions(step.body)
