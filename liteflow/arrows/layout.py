"""One canonical layout: a model as text, and `fmt`, which lays a text out anew and keeps its comments.

    A → {            a block of chains has a line for each; one of single steps stays in its line: { A  B }
      B → C
      D
    } → E

Arrows are `→`.  A statement that is too long, or has comments between its steps, has a line for each step.
A comment behind something stays behind it, another stays before what follows; at most one blank line stays
between items.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence

from attrs import frozen

from liteflow.arrows import words
from liteflow.arrows.model import Block, FlowDeclaration, Model, Statement, Step, TaskDeclaration
from liteflow.arrows.parse import read

WIDTH = 100
_INDENT = 2
# As many characters before an item are looked at for a blank line.
_GAP = 500

Item = FlowDeclaration | TaskDeclaration | Statement


@frozen
class Comment:
    """A comment: where it begins, and whether something stands before it in its line."""

    text: str
    start: int
    behind: bool


def fmt(text: str, name: str = "<text>") -> str:
    """Lay a flow out in the one canonical way; its meaning and its comments stay.

    Raises:
        ArrowError: The text can't be read.

    >>> print(fmt("A->{B->C  D}->E # all"), end="")
    A → {
      B → C
      D
    } → E  # all
    """
    model, spans = read(text, name)
    return _Writer(text, _comments(text, spans)).write(model)


def write(model: Model) -> str:
    """A model as text in the canonical layout, without comments.

    >>> from liteflow.arrows.parse import parse
    >>> write(parse("A :x->B;:x->C"))
    'A :x → B;\\n:x → C\\n'
    """
    return _Writer("", ()).write(model)


def _comments(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[Comment]:
    """Between words there is nothing but blanks and comments."""
    gaps = zip([0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)], strict=True)
    for begin, end in gaps:
        for found in re.finditer(r"#[^\n]*", text[begin:end]):
            start = begin + found.start()
            line = text[text.rfind("\n", 0, start) + 1 : start]
            yield Comment(found[0].rstrip(), start, bool(line.strip()))


@frozen
class _Unit:
    """A part of a statement: its text up to a block, the block, and the text behind."""

    before: str
    block: Block | None
    behind: str
    start: int


class _Writer:
    """Lines, in the order of the text, with the comments that belong before and behind them."""

    def __init__(self, text: str, comments: Sequence[Comment] | Iterator[Comment]) -> None:
        self.text = text
        self.comments = deque(comments)
        self.starts = [comment.start for comment in self.comments]
        self.lines: list[str] = []
        self.ends_in_comment = False
        self.inlines: dict[int, str | None] = {}

    def write(self, model: Model) -> str:
        self._items(model.items, 0)
        self._flush(len(self.text) + 1, 0)
        return "\n".join(self.lines) + "\n"

    # --- items -----------------------------------------------------------------------------

    def _items(self, items: Sequence[Item], indent: int) -> None:
        for number, item in enumerate(items):
            following = items[number + 1] if number + 1 < len(items) else None
            apart = number > 0 and isinstance(item, Statement) != isinstance(items[number - 1], Statement)
            start = _start(item)
            self._flush(start, indent, first=number == 0)
            self._blank_line(start, number == 0, apart)
            end = ";" if following is not None and words.needs_semicolon(item, following) else ""
            match item:
                case FlowDeclaration():
                    self._line(words.flow_head(item) + end, indent)
                case TaskDeclaration():
                    self._task(item, end)
                case Statement():
                    self._statement(item, indent, end)

    def _task(self, item: TaskDeclaration, end: str) -> None:
        head = words.task_head(item)
        if item.block is None:
            self._line(head + end, 0)
            return
        inline = self._inline_block(item.block)
        if inline is not None and len(head) + len(inline) < WIDTH and "\n" not in head:
            self._line(f"{head} {inline}{end}", 0)
            return
        self._line(f"{head} {{", 0)
        self._block(item.block, 0)
        self._line("}" + end, 0)

    def _statement(self, statement: Statement, indent: int, end: str) -> None:
        inline = self._inline(statement)
        if inline is not None and indent + len(inline) <= WIDTH:
            self._line(inline + end, indent)
            return
        units = _units(statement)
        broken = len(units) > 1 and (
            self._has_comment(_start(statement), units[-1].start) or self._too_long(units, indent)
        )
        line, depth = "", indent
        for number, unit in enumerate(units):
            if broken and number:
                self._line(line.rstrip(), depth)
                depth, line = indent + _INDENT, ""
                self._flush(unit.start, depth)
            line += unit.before
            line_of_block = unit.block and self._inline_block(unit.block)
            if unit.block is not None and line_of_block is None:
                self._line(line + "{", depth)
                self._block(unit.block, depth)
                line = "}"
            else:
                line += line_of_block or ""
            line += unit.behind + (" → " if number + 1 < len(units) else end)
        self._line(line, depth)

    def _block(self, block: Block, indent: int) -> None:
        self._items(block.statements, indent + _INDENT)
        self._flush(block.closed_at.start if block.closed_at else 0, indent + _INDENT)

    def _too_long(self, units: Sequence[_Unit], indent: int) -> bool:
        """Whether a line would be, if only blocks broke the statement."""
        length = indent
        for unit in units:
            inline = unit.block and self._inline_block(unit.block)
            length += len(unit.before.rpartition("\n")[2])
            if unit.block is not None and inline is None:
                if length >= WIDTH:
                    return True
                length = indent + 1
            length += len(inline or "") + len(unit.behind) + 3
            if length > WIDTH:
                return True
        return False

    # --- in one line -----------------------------------------------------------------------

    def _inline(self, statement: Statement) -> str | None:
        """A statement in one line, if it may be; its length is not looked at."""
        if id(statement) not in self.inlines:
            self.inlines[id(statement)] = self._made_inline(statement)
        return self.inlines[id(statement)]

    def _made_inline(self, statement: Statement) -> str | None:
        parts = []
        units = _units(statement)
        if self._has_comment(_start(statement), units[-1].start):
            return None
        for unit in units:
            block = "" if unit.block is None else self._inline_block(unit.block)
            if block is None:
                return None
            parts.append(unit.before + block + unit.behind)
        text = " → ".join(parts)
        return None if "\n" in text or len(text) > WIDTH else text

    def _inline_block(self, block: Block) -> str | None:
        """A block in one line: of one statement, or of single steps, and without comments."""
        single = len(block.statements) == 1
        if block.at and block.closed_at and self._has_comment(block.at.start, block.closed_at.start):
            return None
        made = "{ "
        for statement, following in zip(block.statements, [*block.statements[1:], None], strict=True):
            text = self._inline(statement)
            alone = len(statement.steps) == 1 and statement.source is None and statement.destination is None
            if text is None or not (single or (alone and not isinstance(statement.steps[0].body, Block))):
                return None
            made += text + (
                "; " if words.needs_semicolon(statement, following) else "  " if following else " }"
            )
            if len(made) > WIDTH:
                return None
        return made

    # --- lines and comments ----------------------------------------------------------------

    def _line(self, text: str, indent: int) -> None:
        self.lines.append(" " * indent + text)
        self.ends_in_comment = False

    def _has_comment(self, start: int, end: int) -> bool:
        return bisect_left(self.starts, start) < bisect_left(self.starts, end)

    def _flush(self, before: int, indent: int, first: bool = False) -> None:
        """Write the comments that stand before a place in the text."""
        while self.comments and self.comments[0].start < before:
            comment = self.comments.popleft()
            if comment.behind and self.lines and not self.ends_in_comment:
                self.lines[-1] += f"  {comment.text}"
                self.ends_in_comment = True
            else:
                self._blank_line(comment.start, first, apart=False)
                self._line(comment.text, indent)
                self.ends_in_comment = True
            first = False

    def _blank_line(self, start: int, first: bool, apart: bool) -> None:
        """Keep a blank line that stands before a place, but for the first of a scope."""
        if first or not self.lines or not self.lines[-1]:
            return
        gap = self.text[max(0, start - _GAP) : start]
        if apart or gap[len(gap.rstrip()) :].count("\n") > 1:
            self.lines.append("")


def _start(item: Item) -> int:
    if isinstance(item, Statement):
        return item.at.start if item.at else 0
    return item.begins or 0


def _units(statement: Statement) -> list[_Unit]:
    units = []
    if statement.source is not None:
        units.append(_Unit(words.source(statement.source), None, "", _start(statement)))
    units.extend(_unit(step) for step in statement.steps)
    if statement.destination is not None:
        at = statement.destination.at
        units.append(_Unit(words.destination(statement.destination), None, "", at.start if at else 0))
    return units


def _unit(step: Step) -> _Unit:
    start = step.at.start if step.at else 0
    before, behind = words.prefix(step), words.suffix(step)
    if isinstance(step.body, Block):
        return _Unit(before, step.body, behind, start)
    return _Unit(before + words.tasks(step.body) + behind, None, "", start)
