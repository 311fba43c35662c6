"""A run, or an attempt in it, did not end as asked; or can't go on."""

from __future__ import annotations

from attrs import define

from liteflow.errors.base import DefinitionError, LiteflowError, RunError, shown


@define(eq=False, slots=False, repr=False)
class ResultTypeError(RunError, TypeError):
    """A task returned something else than its annotation says.

    `wanted` is the annotation, `problem` what does not fit it, `preview` the value.
    """

    task: str
    wanted: str
    problem: str
    preview: str

    def __str__(self) -> str:
        # In "is 'x' (str), not int" it has been shown; not so in "is a dict, ...", "[1] is 'x' (str), ...".
        told = self.problem.startswith("is ") and not self.problem.startswith(("is a ", "is an ", "is the "))
        blank = "" if self.problem.startswith("[") else " "
        return (
            f"{self.task}() says that it returns {self.wanted}, but its result{blank}{self.problem}"
            f"{'' if told else f': {self.preview}'}; correct the annotation or the result"
        )


@define(eq=False, slots=False, repr=False)
class NoItemError(RunError, IndexError, KeyError, TypeError):
    """An item was asked for, by `call[key]`, of a value that does not have it.

    `source` is the key of the call, None where only the value is known; `path` the keys, as they
    are written; `found` what the value is, or that part of it in which the next key is not.
    """

    source: str | None
    path: str
    found: str

    def __str__(self) -> str:
        asked = f"{self.source}{self.path}" if self.source is not None else f"item {self.path} of its input"
        return f"{asked} is not there: it would be in {self.found}; take one that is there"


@define(eq=False, slots=False, repr=False)
class ContextError(RunError, LookupError):
    """A value of the run's context can't be had, or not be set."""

    key: str
    problem: str

    def __str__(self) -> str:
        return f"context value {shown(self.key)}: {self.problem}"


@define(eq=False, slots=False, repr=False)
class MapLengthError(RunError, ValueError):
    """The lists that a call is mapped over are not of one length: `lengths` by parameter."""

    key: str
    lengths: dict[str, int]

    def __str__(self) -> str:
        told = ", ".join(f"{name} has {length}" for name, length in self.lengths.items())
        apart = f"{self.key}() is mapped over lists of different lengths: {told}"
        return f"{apart}; one goes with the other, item by item"


@define(eq=False, slots=False, repr=False)
class UnknownExecutorError(RunError):
    """A task has returned calls of one that names an executor which the run's driver has not."""

    task: str
    executor: str
    why: str

    def __str__(self) -> str:
        return (
            f"task {self.task!r} is to run on {self.executor!r}, which the process that drives the run does "
            f"not know ({self.why}); make the executor where the flow is defined, with a name: "
            "PoolExecutor(..., name=...)"
        )


@define(eq=False, slots=False, repr=False)
class GrownTooDeepError(RunError):
    """Calls have returned lists of calls that have returned lists of calls, beyond what a value can be."""

    key: str
    most: int

    def __str__(self) -> str:
        return (
            f"{self.key}() returned a call within a list or the like, within {self.most} others that were "
            "returned so, which is as deep as they may be nested; return the call itself, and hand on what "
            "there is"
        )


@define(eq=False, slots=False, repr=False)
class RunTooLargeError(RunError):
    """A run has grown beyond what can be numbered."""

    most: int

    def __str__(self) -> str:
        return f"a run may have {self.most} task instances at most; if a task calls itself, give it an end"


@define(eq=False, slots=False, repr=False)
class TaskTraceback(LiteflowError):  # noqa: N818  it is no error, but where one came from
    """The traceback of a task's exception, as text, from where the task ran."""

    text: str

    def __str__(self) -> str:
        return "\n" + self.text.rstrip()


@define(eq=False, slots=False, repr=False)
class TaskFailedError(RunError):
    """Stands for a task's exception that could not travel: what it said, as text."""

    error: str

    def __str__(self) -> str:
        return self.error


@define(eq=False, slots=False, repr=False)
class WorkerStartError(RunError):
    """Worker processes don't come up, so nothing can run.

    `cause` is what became of the last one ("ended with exit status 1"), `said` what it wrote.
    """

    cause: str
    said: str

    def __str__(self) -> str:
        said = f"; it said: {self.said.strip()[-2000:]}" if self.said.strip() else ""
        return f"worker processes don't get to work: the last one {self.cause}{said}"


@define(eq=False, slots=False, repr=False)
class RunFailed(RunError):  # noqa: N818  the interface's name
    """A run failed.  Its cause is the exception of the task that failed first.

    `failures` maps the key of each failed task instance to its error, in one line.
    """

    run_id: str
    flow: str
    failures: dict[str, str]
    db: str | None

    def __str__(self) -> str:
        key, error = next(iter(self.failures.items()), ("?", "?"))
        more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
        look = f"; look at it with: liteflow show {self.run_id} --db {self.db}" if self.db else ""
        return f"run {self.run_id} of {self.flow} failed: {key}: {error}{more}{look}"


@define(eq=False, slots=False, repr=False)
class RunTimeoutError(RunFailed, TimeoutError):
    """A run took longer than it may; `timeout` is that in seconds."""

    timeout: float

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.flow} took longer than its {self.timeout:g} s{_go_on(self)}"


@define(eq=False, slots=False, repr=False)
class RunCancelled(RunError):  # noqa: N818  as RunFailed
    """A run was cancelled, so it has no result."""

    run_id: str
    flow: str
    db: str | None

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.flow} was cancelled{_go_on(self)}"


@define(eq=False, slots=False, repr=False)
class RunUnfinishedError(RunError):
    """A run has no result yet: it is `running`, or `interrupted`, for its driver is gone."""

    run_id: str
    flow: str
    state: str
    db: str | None

    def __str__(self) -> str:
        what = f"run {self.run_id} of {self.flow}"
        if self.state == "interrupted":
            return f"{what} has no result, for its driver is gone{_go_on(self)}"
        return f"{what} has no result yet; look at it again when it has ended"


@define(eq=False, slots=False, repr=False)
class SecretMissingError(LiteflowError, ValueError):
    """A run can't go on without secrets that it was given: `variables` by the name of their parameter."""

    run: str
    flow: str
    variables: dict[str, str]

    def __str__(self) -> str:
        names = ", ".join(map(repr, self.variables))
        what = f"run {self.run} of flow {self.flow} was given {names}, and secrets are not stored"
        given = ", ".join(f"{name!r}: ..." for name in self.variables)
        remedy = f"set {' and '.join(self.variables.values())}, or give it again: resume(secrets={{{given}}})"
        return f"{what}; {remedy}"


@define(eq=False, slots=False, repr=False)
class NotResumableError(LiteflowError, ValueError):
    """There is no run to go on with, or this one can't be; `run` is None if none was named."""

    run: str | None
    flow: str
    why: str

    def __str__(self) -> str:
        what = f"run {self.run}" if self.run else f"flow {self.flow}"
        return f"{what} can't be resumed: {self.why}"


@define(eq=False, slots=False, repr=False)
class NotReplayableError(LiteflowError, ValueError):
    """There is no run to replay, or this one can't be; `run` is None if none was named."""

    run: str | None
    flow: str
    why: str

    def __str__(self) -> str:
        what = f"run {self.run}" if self.run else f"flow {self.flow}"
        return f"{what} can't be replayed: {self.why}"


@define(eq=False, slots=False, repr=False)
class OtherArgumentsError(DefinitionError, ValueError):
    """There is a run of this id already, with other arguments."""

    run_id: str
    argument: str

    def __str__(self) -> str:
        return (
            f"run {self.run_id} was begun with another {self.argument}: one id stands for one run with its "
            "arguments; give them as they were, or another run_id"
        )


@define(eq=False, slots=False, repr=False)
class NoOutputError(RunError, KeyError):
    """A value was asked for that the run does not have."""

    run_id: str
    key: str
    why: str

    def __str__(self) -> str:
        return f"run {self.run_id} has no output of {shown(self.key)}: {self.why}"


def _go_on(ended: RunTimeoutError | RunCancelled | RunUnfinishedError) -> str:
    if not ended.db:
        return ""
    return f"; what had finished is kept, go on with: liteflow resume {ended.run_id} --db {ended.db}"
