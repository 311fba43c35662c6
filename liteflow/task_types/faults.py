"""What goes wrong in tasks of workflow files while they run, and in the texts that they are made of."""

from __future__ import annotations

import signal

from attrs import define

from liteflow.errors import DefinitionError, RunError, shown


@define(eq=False, slots=False)
class TemplateError(DefinitionError, ValueError):
    """A template can't stand where it stands, or says nothing that can be looked up.

    `offset` is the place in `text`, in characters from 0.
    """

    text: str
    offset: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        line = self.text.count("\n", 0, self.offset) + 1
        column = self.offset - self.text.rfind("\n", 0, self.offset)
        return f"line {line}, column {column} of {shown(self.text, 60)}: {self.problem}; {self.remedy}"


@define(eq=False, slots=False)
class CommandError(RunError):
    """A command ended with an exit code that means failure.

    `exit_code` is negative when a signal ended it, as in `subprocess`; `stderr` are its last words.
    """

    exit_code: int
    stderr: str

    def __str__(self) -> str:
        last = self.stderr.strip().rpartition("\n")[2][:300]
        said = f"; its last words: {last}" if last else "; it said nothing on stderr"
        if self.exit_code >= 0:
            return f"the command ended with exit code {self.exit_code}{said}"
        try:
            name = signal.Signals(-self.exit_code).name
        except ValueError:
            name = f"signal {-self.exit_code}"
        return f"the command was ended by {name}{said}"


@define(eq=False, slots=False)
class ValueRefusedError(RunError, ValueError):
    """A value can't go where a template wants it; `problem` says why, `remedy` what to do."""

    name: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"the value of {self.name} {self.problem}; {self.remedy}"


@define(eq=False, slots=False)
class UnfitValueError(RunError, ValueError):
    """With its values in the places of its templates, a task is none that its type can do."""

    kind: str
    problem: str

    def __str__(self) -> str:
        return f"type: {self.kind}, with the values of its templates: {self.problem}"


@define(eq=False, slots=False)
class ConditionError(RunError, TypeError):
    """A `when` can't be told; `problem` says why these two values can't be compared by `sign`."""

    left: object
    sign: str
    right: object
    problem: str

    def __str__(self) -> str:
        return f"when: {shown(self.left, 60)} {self.sign} {shown(self.right, 60)}: {self.problem}"


@define(eq=False, slots=False)
class OutputError(RunError, ValueError):
    """What a task gave is not what its `outputs` says."""

    outputs: str
    problem: str

    def __str__(self) -> str:
        return f"outputs: {self.outputs}, but {self.problem}; correct the task, or its outputs"


@define(eq=False, slots=False)
class CallError(RunError, LookupError):
    """What `call: module:function` names can't be called.

    `searched` are the folders in which modules were looked for.
    """

    call: str
    problem: str
    searched: tuple[str, ...]

    def __str__(self) -> str:
        where = f"; modules were looked for in: {', '.join(self.searched)}" if self.searched else ""
        return f"call: {self.call}: {self.problem}{where}"


@define(eq=False, slots=False)
class HttpError(RunError):
    """A server refused a request, and would again."""

    method: str
    url: str
    status: int | None
    problem: str

    def __str__(self) -> str:
        return f"{self.method} {self.url}: {self.problem}"


class HttpTryAgainError(HttpError):
    """A request failed in a way that another attempt may not: a 5xx, a 429, no answer."""


@define(eq=False, slots=False)
class MissingExtraError(RunError, ImportError):
    """A task needs a library that is not installed."""

    what: str
    extra: str

    def __str__(self) -> str:
        return f"{self.what} needs more than liteflow brings: pip install 'liteflow[{self.extra}]'"
