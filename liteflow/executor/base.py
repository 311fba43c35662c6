"""What the driver and an executor say to each other.

    driver --fill(lane)--> executor      "here are calls; take what you have room for"
    driver <--news-- executor            "this ended, this was printed, this comes back"

Outcomes are plain facts.  A value is bytes all along; the driver reads none of them.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from liteflow.executor.attempt import WireArgument
from liteflow.executor.link import Ask, Chunk, Reply
from liteflow.executor.payload import Large, Payload
from liteflow.function import Function
from liteflow.pickling import Definitions

if TYPE_CHECKING:
    # Start-up: few runs have any.
    from liteflow.secret import Mask
    from liteflow.storage.place import Storage

Needs = tuple[tuple[str, float], ...]
"""What a call takes of where it runs, as plain data: (name, amount) each; memory in bytes."""


class Call(NamedTuple):
    """An attempt to be made.

    `node` is the number of the task instance in its run, `attempt` counts from 1,
    `function` is a number in the run's table, `sources` are the nodes whose values the
    arguments need (below 0: large constants), `timeout` is in seconds.  `behind` is the node
    that must have succeeded just before, in the same worker; -1 for none.  `needs` is what the executor
    is to see to that it gets; of what the driver sees to there are `gpus` alone: what CUDA calls
    those that it has, None if it has none of its own.
    """

    node: int
    attempt: int
    function: int
    args: tuple[WireArgument, ...]
    kwargs: dict[str, WireArgument] | None
    behind: int
    sources: tuple[int, ...]
    timeout: float | None
    needs: Needs = ()
    gpus: str | None = None


class Finished(NamedTuple):
    """An attempt that gave a value, laid out as the journal takes it: made where it ran, and only passed on.

    `row` is the number of its row: the run's first one (`Work.place`) + its node.  Times
    are microseconds; `started` since the run's start.
    """

    row: int
    attempt: int
    started: int
    took: int
    worker: str
    type: str
    codec: str
    size: int
    sha256: bytes
    mac: bytes | None
    preview: str
    exact: int
    code_python: int
    payload: bytes | Large | None


NODE = (1 << 32) - 1
"""A row's node: `row & NODE`."""


class Failed(NamedTuple):
    """An attempt that gave none; `outcome` is failed, timed_out, lost or cancelled."""

    node: int
    attempt: int
    started: int
    took: int
    outcome: str
    error: str
    traceback: str
    exception: bytes | None
    retryable: bool


class Line(NamedTuple):
    """A line that an attempt wrote, with its line end if it had one; `at` is unix time in microseconds."""

    node: int
    attempt: int
    at: int
    stream: str
    text: str


class News(NamedTuple):
    """What came from one worker.

    `returned` are nodes it gave back without having started them; `shown` says that the
    lines have been written where the user sees them already.  Chunks are of attempts that had not
    ended when they came.
    """

    worker: str
    finished: Sequence[Finished] = ()
    failed: Sequence[Failed] = ()
    lines: Sequence[Line] = ()
    returned: Sequence[int] = ()
    shown: bool = False
    asks: Sequence[Ask] = ()
    chunks: Sequence[Chunk] = ()


class Work(NamedTuple):
    """What all executors of a run share.

    `functions` grows while a run does; `function_bytes` pickles one for other processes;
    `payload_of` gives the bytes of a source that a call needs; `epoch_ns` is the monotonic
    time that `started` counts from; `place` gives the row of node 0, and the key that values are
    sealed with (empty: none); `keep` keeps a function of this process that calls grow with, and
    gives its number.  An executor whose calls run in the driver's own thread lets it go on
    meanwhile by `turn`, which takes in news, or (None) does what there is to do once.  `mask` hides the
    run's secrets where an executor itself shows what tasks print; None: it has none.  Large
    values go to `storage`; None: they come here, and those larger than `threshold` bytes may be held where
    they were made (held.py), for calls that need them there: `is_needed` says whether there are any.
    """

    functions: Sequence[Function]
    function_bytes: Callable[[int], bytes]
    definitions: Definitions
    payload_of: Callable[[int], Payload]
    epoch_ns: int
    place: Callable[[], tuple[int, bytes]]
    keep: Callable[[Function], int]
    turn: Callable[[News | None], None]
    mask: Mask | None = None
    storage: Storage | None = None
    threshold: int | None = None
    is_needed: Callable[[int], bool] = lambda _node: True


class Lane(Protocol):
    """Calls that are ready for one executor, most urgent first.

    `alone` says that each is to have a worker to itself when it is given out, for what it takes of the
    machine is taken from then on; `needs` are those of each of the calls.
    """

    @property
    def alone(self) -> bool: ...

    @property
    def needs(self) -> Needs: ...

    def __len__(self) -> int: ...

    def take(self, count: int) -> list[Call]:
        """Up to `count` calls, which now are the executor's."""
        ...

    def follow(self, call: Call, /) -> Call | None:
        """The call that waits for this one alone, and now is the executor's too: to be run behind it."""
        ...

    def early(self, call: Call, /) -> Call | None:
        """One of the calls that wait for this one alone, which has ended and is not told of yet.

        It is the executor's now; what comes of it is to be told behind what came of the other.  It has
        a retry, for it is lost when that doesn't come.
        """
        ...


class Executor(Protocol):
    """Turns calls into outcomes.  All methods are called from the driver's thread.

    - Each call taken ends exactly once: finished, failed or returned.
    - Nothing but `close` ever waits.
    - After `cancel` nothing new is started, and `idle` becomes true some time after the grace.
    - After `close` nothing of it runs any more (threads excepted, which can't be ended).
    """

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Called once, first.  What is registered has as its data a function from the event mask to News."""
        ...

    def fill(self, lane: Lane) -> None:
        """Take what there is room for."""
        ...

    def look_at(self) -> float | None:
        """When `look` wants to be called, in monotonic seconds, if nothing happens before."""
        ...

    def look(self, now: float) -> list[News]:
        """Deal with what is due: timeouts, calls stuck behind a slow one."""
        ...

    def reply(self, node: int, number: int, reply: Reply) -> None:
        """Answer a question of the attempt at `node`."""
        ...

    def waits(self, node: int, waiting: bool) -> None:
        """The attempt at `node` waits for an answer, or no more: another may run in its place."""
        ...

    def resumes(self, node: int) -> bool:
        """Whether the attempt at `node`, which runs, goes on as soon as it has its answer."""
        ...

    def release(self, source: int) -> None:
        """No call will need the value of `source` any more."""
        ...

    def running(self) -> list[tuple[int, int, int, str]]:
        """For lookers: (node, attempt, started as in Finished, worker) of what runs now."""
        ...

    def cancel(self, now: float, grace: float) -> list[News]:
        """Start nothing from here on, and end what runs.

        What was taken and has not started comes back; what runs ends as Failed "cancelled", unless
        it finishes in spite of it.  Not all of that is in what this returns: the rest is news as
        any, until `idle`.

        Args:
            now: Monotonic seconds.
            grace: Seconds between asking (SIGTERM) and forcing (SIGKILL); 0: at once, also when an
                earlier call gave more.
        """
        ...

    @property
    def full(self) -> bool:
        """Whether it takes no further call before one that it has ends, even if all of these wait."""
        ...

    @property
    def idle(self) -> bool:
        """Whether it has no call that is still to end."""
        ...

    def close(self) -> None:
        """End all that runs, at once."""
        ...


class Limits(Protocol):
    """What an executor has to know of a run's settings."""

    @property
    def grace(self) -> float:
        """Seconds that an attempt has to end by itself when it is ended."""
        ...

    def limit(self, executor: str) -> int | None:
        """How many calls an executor of this name is to run at a time; None: nothing was said."""
        ...

    def workers(self, executor: str) -> int:
        """The same, with what holds where nothing was said."""
        ...


class ExecutorFactory(Protocol):
    """Makes the executor of each run that is to use it: what may be given as `executor=`.

    Liteflow's own executors are known by their names; others, such as a cluster's, are plugged in
    by such an object.  Several runs may use one at the same time.

    What calls take (`resources=` of their tasks) they take from this machine, and the driver sees to it.  A
    factory with an attribute `allots` that is true sees to it itself: each lane that its executors are given
    then has calls of one kind, whose `needs` say what they take.

    >>> from liteflow import Flow, task
    >>> from liteflow.executor.inline import InlineExecutor
    >>> class Here:
    ...     name, remote = "here", False
    ...     def make(self, work, settings):
    ...         return InlineExecutor(work)
    >>> Flow("f", task(abs)(-5)).run(db=None, executor=Here()).result
    5
    """

    @property
    def name(self) -> str:
        """What it is called in settings, in messages and in the store."""
        ...

    @property
    def remote(self) -> bool:
        """Whether calls leave this process, so that their functions have to be pickled."""
        ...

    def make(self, work: Work, settings: Limits, /) -> Executor:
        """Make the executor of one run; called from the driver's thread, before anything runs."""
        ...


# What executors register with the selector as a descriptor's data.
Reaction = Callable[[int], list[News]]
