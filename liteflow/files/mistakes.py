"""What is wrong in a workflow file: all of it at once, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, frozen

from liteflow.errors import DefinitionError, nearest

Path = tuple[str | int, ...]
"""The way to a place in a document: keys of mappings, numbers of items."""


@frozen(order=True)
class Mistake:
    """One thing that is wrong; line and column are counted from 1.

    >>> Mistake(3, 5, ("tasks", "a", "retires"), "is unknown", "did you mean 'retries'?").said("x.yaml")
    "x.yaml:3:5: tasks.a.retires is unknown; did you mean 'retries'?"
    """

    line: int
    column: int
    path: Path
    problem: str
    remedy: str

    def said(self, file: str) -> str:
        """Return it as a line of text."""
        where = f"{path_text(self.path)} " if self.path else ""
        return f"{file}:{self.line}:{self.column}: {where}{self.problem}; {self.remedy}"


@define(eq=False, slots=False)
class WorkflowFileError(DefinitionError, ValueError):
    """A workflow file can't be used; `mistakes` are all that were found, in the order of the file."""

    file: str
    mistakes: tuple[Mistake, ...]

    def __str__(self) -> str:
        lines = [mistake.said(self.file) for mistake in self.mistakes[:100]]
        if len(self.mistakes) > len(lines):
            lines.append(f"... and {len(self.mistakes) - len(lines)} more")
        return (
            lines[0]
            if len(lines) == 1
            else "\n".join([f"{self.file} has {len(self.mistakes)} mistakes:", *lines])
        )


@define(eq=False, slots=False)
class WorkflowPathError(DefinitionError, ValueError):
    """A path is no workflow file that can be read."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


class MistakesFoundError(Exception):
    """Carries the mistakes of a document to where its file is known; it does not leave this room."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(len(self.mistakes))


def path_text(path: Path) -> str:
    """Return a path as people write it.

    >>> path_text(("tasks", "my task", "depends_on", 0))
    'tasks["my task"].depends_on[0]'
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("-", "_").isidentifier():
            text += f".{step}" if text else step
        else:
            text += '["' + step[:60].encode("unicode_escape").decode("ascii") + '"]'
    return text


def meant(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a remedy for an unknown name: the nearest known one, else what there is.

    >>> meant("retires", ["run", "retries"])
    "did you mean 'retries'?"
    """
    known = list(known)
    close = nearest(name, known)
    if close:
        return f"did you mean {close[0]!r}?"
    return otherwise or (f"there is: {', '.join(known[:20])}" if known else "there is no other")
