"""A task, a flow or an expression is wrong: found before anything runs."""

from __future__ import annotations

from attrs import define

from liteflow.errors.base import DefinitionError, nearest, shown


@define(eq=False, slots=False, repr=False)
class TaskNotPicklableError(DefinitionError, TypeError):
    """The function of a task holds something that can't travel to a worker process."""

    task: str
    path: str
    culprit: str
    why: str

    def __str__(self) -> str:
        where = f"its {self.path.strip()} is a {self.culprit}" if self.path else f"it is a {self.culprit}"
        return (
            f"task {self.task} can't be sent to a worker process: {where} ({self.why}); "
            f'open such things inside the task, or run it with executor="thread"'
        )


@define(eq=False, slots=False, repr=False)
class NotPicklableError(DefinitionError, TypeError):
    """A value can't be turned into bytes, so it can't travel to a worker or be stored.

    `path` leads to the part at fault (empty: the value itself), `culprit` is that part's
    type, `why` what pickle said.
    """

    path: str
    culprit: str
    why: str

    def __str__(self) -> str:
        where = f"its part {self.path.strip()} is a {self.culprit}" if self.path else f"a {self.culprit}"
        return (
            f"can't be stored or sent to a worker: {where} ({self.why}); "
            "pass data instead, and open such things in the task that uses them"
        )


@define(eq=False, slots=False, repr=False)
class DecoratedError(DefinitionError, TypeError):
    """Something was made a task or a flow that can't be one; `what` is "task" or "flow"."""

    what: str
    given: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.given} can't be a {self.what}: {self.remedy}"


@define(eq=False, slots=False, repr=False)
class SettingError(DefinitionError, ValueError):
    """A setting of a task, a policy or a flow is out of its range; `wants` says the range."""

    owner: str
    setting: str
    given: object
    wants: str

    def __str__(self) -> str:
        given = f"{shown(self.given)} ({type(self.given).__name__})"
        return f"{self.owner}: {self.setting} must be {self.wants}, not {given}"


@define(eq=False, slots=False, repr=False)
class ExecutorMissingError(DefinitionError, ImportError):
    """A task or a run names an executor that nothing here stands for.

    `extra` is what is to be installed for it, None if liteflow does not know; `known` are the
    names there are; `why` says what went wrong when it was loaded.
    """

    executor: str
    extra: str | None
    known: list[str]
    why: str | None = None

    def __str__(self) -> str:
        problem = f"executor {self.executor!r} is not there" + (f" ({self.why})" if self.why else "")
        if self.extra is not None:
            return f"{problem}; install it (pip install {self.extra!r}), or use {', '.join(self.known)}"
        return f"{problem}; there are {', '.join(self.known)}, and PoolExecutor(..., name={self.executor!r})"


@define(eq=False, slots=False, repr=False)
class UnknownNameError(DefinitionError, TypeError, KeyError):
    """A name was used that is not there; `known` are those that are."""

    owner: str
    what: str
    name: object
    known: list[str]

    def __str__(self) -> str:
        close = nearest(self.name, self.known)
        meant = f"; did you mean {close[0]!r}?" if close else ";"
        names = [*close, *(name for name in self.known if name not in close)]
        some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        has = f"it has: {some}" if names else "it has none"
        return f"{self.owner} has no {self.what} {shown(self.name)}{meant} {has}"


@define(eq=False, slots=False, repr=False)
class ArgumentError(DefinitionError, TypeError):
    """An argument of a task's call or of a flow is missing, doubled or of a wrong type.

    `owner` is the call or flow, `place` where the call was written.
    """

    owner: str
    parameter: str | None
    problem: str
    place: str | None = None

    def __str__(self) -> str:
        # A problem may begin with the path to it: 'rows'[2] is ...
        blank = "" if self.problem.startswith("[") else " "
        which = f": {self.parameter!r}" if self.parameter else ""
        return f"{self.owner}{which}{blank}{self.problem}{_at(self.place)}"


@define(eq=False, slots=False, repr=False)
class EdgeTypeError(DefinitionError, TypeError):
    """What flows along an edge does not fit the parameter that it flows into.

    `source` gives a value of type `gives`; the `parameter` of `target` takes `takes`.
    """

    source: str
    gives: str
    target: str
    parameter: str
    takes: str
    remedy: str
    place: str | None = None

    def __str__(self) -> str:
        return (
            f"{self.source} gives {self.gives}, but {self.target} takes {self.parameter}: {self.takes}; "
            f"{self.remedy}{_at(self.place)}"
        )


@define(eq=False, slots=False, repr=False)
class LookedInsideError(DefinitionError, TypeError):
    """A flow used a task's value while it was being built, when there is none yet."""

    value: str
    use: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.value} has not run yet, so its value {self.use}; {self.remedy}"


@define(eq=False, slots=False, repr=False)
class LazyAttributeError(LookedInsideError, AttributeError):
    """A flow asked a task's value for an attribute, when there is no value yet."""


@define(eq=False, slots=False, repr=False)
class ArrowError(DefinitionError, TypeError):
    """What stands beside `>>` can't stand there."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


@define(eq=False, slots=False, repr=False)
class CycleError(DefinitionError, ValueError):
    """Calls wait for each other in a circle; `cycle` are their keys, in the order of the data.

    `flow` is the name of what holds them, `what` says what that is: a flow, or a task that
    returned them.
    """

    flow: str
    cycle: list[str]
    what: str = "flow"

    def __str__(self) -> str:
        keys = self.cycle if len(self.cycle) <= 8 else [*self.cycle[:5], "...", *self.cycle[-2:]]
        length = f" ({len(self.cycle)} calls)" if len(self.cycle) > 8 else ""
        circle = " >> ".join([*keys, self.cycle[0]])
        return f"{self.what} {self.flow} has a cycle{length}: {circle}; take one of these arrows away"


@define(eq=False, slots=False, repr=False)
class DuplicateKeyError(DefinitionError, ValueError):
    """Two calls were given the same key."""

    key: str
    places: tuple[str, str]

    def __str__(self) -> str:
        first, second = self.places
        return f"two calls are named {self.key!r}, at {first} and at {second}; give one another name"


@define(eq=False, slots=False, repr=False)
class FlowError(DefinitionError, TypeError):
    """A flow can't be built, or what a task returned to go on with; `what` is "flow" or "task"."""

    flow: str
    problem: str
    what: str = "flow"

    def __str__(self) -> str:
        return f"{self.what} {self.flow} {self.problem}"


@define(eq=False, slots=False, repr=False)
class NoCodeError(DefinitionError, TypeError):
    """A graph that was read from a store was to be run."""

    flow: str
    db: str
    script: str | None

    def __str__(self) -> str:
        what = f"liteflow run {self.script}:{self.flow}" if self.script else "the script that defines it"
        return (
            f"this graph of {self.flow} was read from {self.db}, which holds results but no code: "
            f"it can be looked at but not run; run {what}"
        )


def _at(place: str | None) -> str:
    return f" (at {place})" if place else ""
