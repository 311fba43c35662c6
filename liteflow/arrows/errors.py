"""What can be wrong with a flow in the arrow language, shown where it is wrong.

    nightly.flow:2:7: `:x` is an output label of two steps; the first is at 1:3
        B :x → C
          ^^
    give one of them another name

A mistake in the text is an `ArrowError`: found before anything runs.  What only shows while values flow (a
merge of what can't be merged, a loop that does not end) is an `ArrowRunError`.
"""

from __future__ import annotations

from attrs import define, field, frozen

from liteflow.errors import DefinitionError, RunError

# A text may be one line of megabytes; of a line, this much is shown around the place.
_SHOWN_BEFORE, _SHOWN_AFTER = 50, 40


@frozen
class At:
    """A place in a text: line and column from 1, and the span `start:end` in characters from 0."""

    line: int
    column: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@frozen
class Origin:
    """Where a flow was read: the name of its file, and the text itself."""

    name: str = "<text>"
    text: str = field(default="", repr=False)

    def at(self, start: int, end: int | None = None) -> At:
        """The place of a span of characters.

        >>> str(Origin(text="A →\\nB").at(4))
        '2:1'
        """
        line = self.text.count("\n", 0, start) + 1
        column = start - self.text.rfind("\n", 0, start)
        return At(line, column, start, start + 1 if end is None else end)


def excerpt(text: str, at: At) -> str:
    """The line of a place, with a mark under it.

    >>> print(excerpt("A → B |\\n", At(1, 7, 6, 7)))
        A → B |
              ^
    """
    begin = at.start - at.column + 1
    stop = text.find("\n", begin)
    stop = len(text) if stop < 0 else stop
    first, last = max(begin, at.start - _SHOWN_BEFORE), min(stop, at.start + _SHOWN_AFTER)
    before, after = "…" * (first > begin), "…" * (last < stop)
    shown = "".join(c if c.isprintable() else " " if c in "\t\r" else "�" for c in text[first:last])
    if not shown.strip():
        return ""
    width = max(1, min(at.end, last) - at.start)
    mark = " " * (len(before) + at.start - first) + "^" * width
    return f"    {before}{shown.rstrip()}{after}\n    {mark}"


# slots=False: an exception needs a __dict__ for its notes; positional, as BaseException unpickles.
@define(eq=False, slots=False)
class ArrowError(DefinitionError, ValueError):
    """A text in the arrow language is wrong.

    `source` is its file (or "<text>"), `line` and `column` count from 1, `excerpt` is the line with a mark
    under the place.
    """

    source: str
    line: int
    column: int
    excerpt: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, origin: Origin, at: At | None, problem: str, remedy: str) -> ArrowError:
        """The error at a place of a text; a model that was never text has no places."""
        if at is None:
            return cls(origin.name, 0, 0, "", problem, remedy)
        return cls(origin.name, at.line, at.column, excerpt(origin.text, at), problem, remedy)

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}:{self.column}: " if self.line else ""
        lines = [where + self.problem, self.excerpt, self.remedy]
        return "\n".join(line for line in lines if line)


class ArrowSyntaxError(ArrowError):
    """The text can't be read: a word, a brace or an arrow is missing or too much."""


class ArrowLimitError(ArrowError):
    """The text is larger, or nested more deeply, than is read."""


class LabelError(ArrowError):
    """A label is used twice, or leads nowhere."""


class LoopError(ArrowError):
    """A loop can't end, or a step can never start."""


class DeclarationError(ArrowError):
    """A declaration contradicts another, itself, or what is made of it."""


class UnknownTaskError(ArrowError, LookupError):
    """A step names a task that nobody has given."""


class StepError(ArrowError):
    """A step's parameters or settings can't be those of its task."""


class ArrowRunError(RunError):
    """A flow in the arrow language can't go on with the values that came."""


@define(eq=False, slots=False)
class MergeError(ArrowRunError, TypeError):
    """A merge got a list in which something is no object."""

    step: str
    index: int
    found: str

    def __str__(self) -> str:
        return (
            f"{self.step} is to merge a list, but its item {self.index} is of type {self.found}, "
            "not an object; let each step before it give one, or leave out the `>`"
        )


@define(eq=False, slots=False)
class ResourceError(ArrowRunError, ValueError):
    """What was loaded is not what its name, or its `content-type`, says."""

    uri: str
    format: str
    problem: str

    def __str__(self) -> str:
        return (
            f"<{self.uri}> can't be read as {self.format}: {self.problem}; correct it, or say what it is: "
            f'<{self.uri}>(- content-type: "text/csv" -)'
        )


@define(eq=False, slots=False)
class GuardError(ArrowRunError, ValueError):
    """A guard looked at more of a value than it may."""

    step: str
    guard: str
    limit: int

    def __str__(self) -> str:
        return (
            f"the guard `{self.guard}` of {self.step} looked at more than {self.limit:,} places; "
            "write a more definite path (fewer `..` and `*`)"
        )


@define(eq=False, slots=False)
class RoundsError(ArrowRunError, RuntimeError):
    """A loop went on for more rounds than it may."""

    step: str
    max_rounds: int

    def __str__(self) -> str:
        return (
            f"the loop back to {self.step} went on for more than {self.max_rounds} rounds; "
            "let its guard fail at some point, or allow more by max_rounds"
        )


@define(eq=False, slots=False)
class NotRunningError(ArrowRunError, LookupError):
    """A step was ended that isn't running: it never began, or has ended already."""

    key: str
    running: list[str]

    def __str__(self) -> str:
        few = ", ".join(self.running[:5]) + (", ..." if len(self.running) > 5 else "")
        return (
            f"{self.key} isn't running, so it can't end: its end was told twice, or it never began; "
            f"running now: {few or 'nothing'}"
        )


@define(eq=False, slots=False)
class ContextError(ArrowRunError, ValueError):
    """The state of a run can't be written, or what is to be read isn't the state of a run of this flow."""

    problem: str

    def __str__(self) -> str:
        return self.problem
