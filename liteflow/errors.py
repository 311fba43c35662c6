"""What can go wrong, said so that the reader knows what happened, where, and what to do.

Every error that liteflow raises on purpose is here and derives from `LiteflowError`.  An
error keeps its facts as fields; the sentence is made from them when it is shown.

    LiteflowError
      DefinitionError   a task, a flow or an expression is wrong: found before anything runs
      RunError          a run did not end as asked
      StoreError        the store file cannot do what was asked of it

Errors cross process borders as pickles, and BaseException unpickles by calling its class
with positional arguments: so none is keyword-only and none is frozen, and `slots=False`
because an exception needs a `__dict__` for its notes.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from time import gmtime, strftime

from attrs import define


class LiteflowError(Exception):
    """Whatever liteflow raises on purpose."""


class DefinitionError(LiteflowError):
    """A task, a flow or an expression is wrong; nothing has run yet."""


class RunError(LiteflowError):
    """A run, or an attempt in it, did not end as it should."""


class StoreError(LiteflowError):
    """The store file cannot do what was asked of it."""


def shown(value: object, limit: int = 80) -> str:
    """Return a value's repr for a message: short, and harmless whatever its class does."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  a message about bad input must not fail on it
        return f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def nearest(name: object, known: Iterable[str]) -> list[str]:
    """Return those of `known` that a misspelt name may mean, the likeliest first.

    >>> nearest("retires", ["name", "retries", "timeout"])
    ['retries']
    """
    from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

    # It takes some microseconds for each, and a flow may have a million names.
    some = list(islice(known, 2000))
    return [k for k in some if k.startswith(f"{name}.")][:3] or get_close_matches(str(name), some, n=3)


def _go_on(ended: RunTimeoutError | RunCancelled) -> str:
    if not ended.db:
        return ""
    return f"; what had finished is kept, go on with: liteflow resume {ended.run_id} --db {ended.db}"


def _at(place: str | None) -> str:
    return f" (at {place})" if place else ""


# --- definitions: tasks, lazy values, flows, DAGs ------------------------------------------


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
class DecoratedError(DefinitionError, TypeError):
    """Something was made a task or a flow that can't be one; `what` is "task" or "flow"."""

    what: str
    given: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.given} can't be a {self.what}: {self.remedy}"


@define(eq=False, slots=False)
class SettingError(DefinitionError, ValueError):
    """A setting of a task, a policy or a flow is out of its range; `wants` says the range."""

    owner: str
    setting: str
    given: object
    wants: str

    def __str__(self) -> str:
        given = f"{shown(self.given)} ({type(self.given).__name__})"
        return f"{self.owner}: {self.setting} must be {self.wants}, not {given}"


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
class LookedInsideError(DefinitionError, TypeError):
    """A flow used a task's value while it was being built, when there is none yet."""

    value: str
    use: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.value} has not run yet, so its value {self.use}; {self.remedy}"


@define(eq=False, slots=False)
class LazyAttributeError(LookedInsideError, AttributeError):
    """A flow asked a task's value for an attribute, when there is no value yet."""


@define(eq=False, slots=False)
class ArrowError(DefinitionError, TypeError):
    """What stands beside `>>` can't stand there."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
class DuplicateKeyError(DefinitionError, ValueError):
    """Two calls were given the same key."""

    key: str
    places: tuple[str, str]

    def __str__(self) -> str:
        first, second = self.places
        return f"two calls are named {self.key!r}, at {first} and at {second}; give one another name"


@define(eq=False, slots=False)
class FlowError(DefinitionError, TypeError):
    """A flow can't be built, or what a task returned to go on with; `what` is "flow" or "task"."""

    flow: str
    problem: str
    what: str = "flow"

    def __str__(self) -> str:
        return f"{self.what} {self.flow} {self.problem}"


@define(eq=False, slots=False)
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


# --- runs and attempts ---------------------------------------------------------------------


@define(eq=False, slots=False)
class ResultTypeError(RunError, TypeError):
    """A task returned something else than its annotation says.

    `wanted` is the annotation, `problem` what does not fit it, `preview` the value.
    """

    task: str
    wanted: str
    problem: str
    preview: str

    def __str__(self) -> str:
        return (
            f"{self.task}() says that it returns {self.wanted}, but its result {self.problem}: "
            f"{self.preview}; correct the annotation or the result"
        )


@define(eq=False, slots=False)
class ContextError(RunError, LookupError):
    """A value of the run's context can't be had, or not be set."""

    key: str
    problem: str

    def __str__(self) -> str:
        return f"context value {shown(self.key)}: {self.problem}"


@define(eq=False, slots=False)
class MapLengthError(RunError, ValueError):
    """The lists that a call is mapped over are not of one length: `lengths` by parameter."""

    key: str
    lengths: dict[str, int]

    def __str__(self) -> str:
        told = ", ".join(f"{name} has {length}" for name, length in self.lengths.items())
        return f"{self.key}() is mapped over lists of different lengths: {told}; one goes with the other, item by item"


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
class GrownTooDeepError(RunError):
    """Calls have returned lists of calls that have returned lists of calls, beyond what a value can be."""

    key: str
    most: int

    def __str__(self) -> str:
        return (
            f"{self.key}() returned a call within a list or the like, within {self.most} others that were "
            "returned so: no value can be nested that deep; return the call itself, and hand on what there is"
        )


@define(eq=False, slots=False)
class RunTooLargeError(RunError):
    """A run has grown beyond what can be numbered."""

    most: int

    def __str__(self) -> str:
        return f"a run may have {self.most} task instances at most; if a task calls itself, give it an end"


@define(eq=False, slots=False)
class TaskTraceback(LiteflowError):  # noqa: N818  it is no error, but where one came from
    """The traceback of a task's exception, as text, from where the task ran."""

    text: str

    def __str__(self) -> str:
        return "\n" + self.text.rstrip()


@define(eq=False, slots=False)
class TaskFailedError(RunError):
    """Stands for a task's exception that could not travel: what it said, as text."""

    error: str

    def __str__(self) -> str:
        return self.error


@define(eq=False, slots=False)
class WorkerStartError(RunError):
    """Worker processes don't come up, so nothing can run.

    `cause` is what became of the last one ("ended with exit status 1"), `said` what it wrote.
    """

    cause: str
    said: str

    def __str__(self) -> str:
        said = f"; it said: {self.said.strip()[-2000:]}" if self.said.strip() else ""
        return f"worker processes don't get to work: the last one {self.cause}{said}"


@define(eq=False, slots=False)
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


@define(eq=False, slots=False)
class RunTimeoutError(RunFailed, TimeoutError):
    """A run took longer than it may; `timeout` is that in seconds."""

    timeout: float

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.flow} took longer than its {self.timeout:g} s{_go_on(self)}"


@define(eq=False, slots=False)
class RunCancelled(RunError):  # noqa: N818  as RunFailed
    """A run was cancelled, so it has no result."""

    run_id: str
    flow: str
    db: str | None

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.flow} was cancelled{_go_on(self)}"


@define(eq=False, slots=False)
class NotResumableError(LiteflowError, ValueError):
    """There is no run to go on with, or this one can't be; `run` is None if none was named."""

    run: str | None
    flow: str
    why: str

    def __str__(self) -> str:
        what = f"run {self.run}" if self.run else f"flow {self.flow}"
        return f"{what} can't be resumed: {self.why}"


@define(eq=False, slots=False)
class OtherArgumentsError(DefinitionError, ValueError):
    """There is a run of this id already, with other arguments."""

    run_id: str
    argument: str

    def __str__(self) -> str:
        return (
            f"run {self.run_id} was begun with another {self.argument}: one id stands for one run with its "
            "arguments; give them as they were, or another run_id"
        )


@define(eq=False, slots=False)
class NoOutputError(RunError, KeyError):
    """A value was asked for that the run does not have."""

    run_id: str
    key: str
    why: str

    def __str__(self) -> str:
        return f"run {self.run_id} has no output of {self.key!r}: {self.why}"


# --- the store -----------------------------------------------------------------------------


@define(eq=False, slots=False)
class StoreFileError(StoreError):
    """Something is the matter with a store file; the subclasses say what.

    `path` is the file, `detail` what was found or what SQLite said.  The subclasses are not
    decorated: they have the same facts, and each attrs class costs every program start-up time.
    """

    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: SQLite says: {self.detail}; if that tells you nothing, please report it"


class StorePlaceError(StoreFileError):
    """A store can't be where it was asked to be."""

    def __str__(self) -> str:
        return f"{self.path} can't hold a store: {self.detail}"


class StoreMissingError(StoreFileError):
    """There is no file to look into."""

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}; a store is made by the first run that writes to it"


class NotAStoreError(StoreFileError):
    """The file is there and is something else; it was left as it is."""

    def __str__(self) -> str:
        return f"{self.path} is no store of liteflow: {self.detail}; it was left untouched, name another file"


class NewerStoreError(StoreFileError):
    """The file was written by a newer liteflow; it was left as it is."""

    def __str__(self) -> str:
        return f"{self.path} is of a newer liteflow ({self.detail}); it was left untouched, upgrade liteflow"


class OlderStoreError(StoreFileError):
    """The file is of an older schema, which only a writer may bring up to date."""

    def __str__(self) -> str:
        return f"{self.path} is of an older liteflow ({self.detail}); any run that writes to it updates it"


class StoreReadOnlyError(StoreFileError):
    """The file or its directory may only be read."""

    def __str__(self) -> str:
        return (
            f"{self.path} can't be written ({self.detail}): allow writing to the file and to its directory, "
            "where SQLite keeps a log beside it, or name another file"
        )


class StoreUnreadableError(StoreFileError):
    """The file may not be read, or not with what belongs to it."""

    def __str__(self) -> str:
        return f"{self.path} can't be read: {self.detail}"


class StoreFullError(StoreFileError):
    """There is no space left for what was to be written."""

    def __str__(self) -> str:
        return (
            f"the disk is full: {self.path} can't grow ({self.detail}); what had been committed is kept, "
            "so make space and go on"
        )


class StoreBusyError(StoreFileError):
    """Another program holds the file's lock for too long."""

    def __str__(self) -> str:
        return (
            f"{self.path} is locked by another program ({self.detail}); end what writes to it "
            "(see: fuser, lsof), then try again"
        )


class StoreGoneError(StoreFileError):
    """The file was removed or replaced while it was in use, so nothing more is written to it."""

    def __str__(self) -> str:
        return (
            f"{self.path} was {self.detail} while a run was writing to it; what this run did since "
            "is lost: put the file back, or start a new run"
        )


class StoreDamagedError(StoreFileError):
    """What the file holds is not what was written."""

    def __str__(self) -> str:
        return (
            f"{self.path} is damaged: {self.detail}; keep a copy of it (with its -wal file), "
            "restore a backup, or save what can be read with: sqlite3 FILE .recover"
        )


class StoreSlowError(StoreFileError):
    """Reading was given up: the file is far larger than it looks, or made to be slow."""

    def __str__(self) -> str:
        return f"{self.path}: reading was given up, {self.detail}"


class StoreForkedError(StoreFileError):
    """A forked copy of a driver tried to write: two processes on one connection destroy the file."""

    def __str__(self) -> str:
        return (
            f"{self.path} was opened by another process ({self.detail}); a forked child can't go on with "
            "its parent's run, start one of its own there"
        )


class RecordRefusedError(StoreFileError):
    """What was to be written contradicts what is stored: a bug in liteflow, not a fault of the file."""

    def __str__(self) -> str:
        return f"{self.path} refuses what was written: {self.detail}; a bug in liteflow, please report it"


class ValueTooLargeError(StoreFileError):
    """A value is larger than SQLite can hold in one place."""

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}; write large data to a file and pass its path"


@define(eq=False, slots=False)
class RunExistsError(StoreError, ValueError):
    """A run is to have an id that another run has already."""

    run_id: str
    path: str

    def __str__(self) -> str:
        return f"there is a run {self.run_id!r} in {self.path} already; give another run_id"


@define(eq=False, slots=False)
class NoSuchRunError(StoreError, LookupError):
    """No run, or more than one, is meant by `ref`.

    `latest` are a few runs to choose from, each in one line; `ambiguous` says that they are
    those that `ref` could mean, not just the latest.
    """

    ref: str
    path: str
    latest: tuple[str, ...]
    ambiguous: bool

    def __str__(self) -> str:
        runs = "; ".join(self.latest)
        if self.ambiguous:
            return f"{shown(self.ref)} is the beginning of several run ids in {self.path}: {runs}; give more of it"
        if not runs:
            return f"there is no run {shown(self.ref)} in {self.path}: it has no runs at all yet"
        return f"there is no run {shown(self.ref)} in {self.path}; the latest are: {runs}"


@define(eq=False, slots=False)
class RunOwnedError(StoreError):
    """Another driver has the run: process `pid` on `host`, since `since` (unix seconds).

    `silent` is for how many seconds nothing was heard of it, where that is all that can be
    known; None: it lives.
    """

    run_id: str
    path: str
    host: str
    pid: int
    since: float
    silent: float | None = None

    def __str__(self) -> str:
        began = strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(self.since))
        who = f"process {self.pid} on {self.host} (since {began})"
        if self.silent is None:
            what = f"wait for it to end, or end it (kill {self.pid})"
        else:
            what = (
                f"it can't be looked at from here, and was heard of {self.silent:.0f} s ago: wait for it to "
                "end, or, if it is dead, until nothing has been heard of it for 30 s"
            )
        return f"run {self.run_id!r} in {self.path} is being driven by {who}; {what}, then try again"


@define(eq=False, slots=False)
class LeaseLostError(StoreError):
    """Another driver has taken the run over while this one was silent; nothing more is written here.

    `host` and `pid` say who has it now; None: nobody.
    """

    run_id: str
    path: str
    host: str | None
    pid: int | None

    def __str__(self) -> str:
        now = "has ended" if self.pid is None else f"is driven by process {self.pid} on {self.host} now"
        return (
            f"run {self.run_id!r} in {self.path} {now}: it was taken over while this process was silent; "
            "what had been committed is kept, nothing more is written from here"
        )


class KeyRefusedError(StoreFileError):
    """The key that tells a user's values from others' is no secret, or no key; `path` is where it lies."""

    def __str__(self) -> str:
        return f"{self.path} can't be the key that stored values are checked with: {self.detail}"


@define(eq=False, slots=False)
class ForeignValueError(StoreError):
    """What is stored may be of someone else, and reading it would run their code.

    `path` is the file, `what` is to be read, `key_id` names the key that it says it was made with;
    None: it names none.
    """

    path: str
    what: str
    key_id: str | None

    def __str__(self) -> str:
        made = f"was made with key {self.key_id}" if self.key_id else "was not made with a key of yours"
        return (
            f"{self.what} in {self.path} {made}; its values are Python pickles that can run code: "
            "if you know where it comes from, use --trust (trust=True)"
        )


@define(eq=False, slots=False)
class CodeOfOtherPythonError(StoreError):
    """A value holds code of another Python, which would crash this one; versions as in "3.11"."""

    run_id: str
    key: str
    made_by: str
    this: str

    def __str__(self) -> str:
        return (
            f"the value of {self.key!r} in run {self.run_id} holds code of Python {self.made_by}, "
            f"which Python {self.this} can't run; read it with Python {self.made_by}, or run the task again"
        )


# --- the command line ----------------------------------------------------------------------


@define(eq=False, slots=False)
class CommandLineError(LiteflowError, ValueError):
    """A command line can't be carried out as it stands: wrong usage, a bad file, no such thing."""

    problem: str

    def __str__(self) -> str:
        return self.problem
