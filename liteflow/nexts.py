"""What a task of the next-task style gives: its output, and what runs next.

    TaskOutput("routed", [NextTask("report", inputs={"rows": 3})])

    TaskOutput --directed--> Directed --encoded--> bytes: the output, and plain data of what is asked for

The driver unpickles none of it: inputs of next tasks go through it as pickles, with a digest beside them that
tells equal ones.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Generator, Iterable
from hashlib import blake2b, sha256
from typing import Any, Final, NamedTuple, Self

from liteflow import pickling, xcom
from liteflow.context import Context
from liteflow.pickling import Definitions

NEXT: Final = "next"
"""The codec of an attempt's payload that is an output, and what runs next."""

# Marshal's format that all Pythons read from 3.4 on.
_MARSHAL: Final = 4
_ATOMS: Final = frozenset({int, float, str, bytes, bool, type(None), complex})


class _NextTask(NamedTuple):
    id: str
    inputs: Any = None
    spawn_another: bool = False


class NextTask(_NextTask):
    """A task that is to run next.

    Asked for again while it waits or runs, with equal inputs, it runs once; with others it runs once more
    after that.  It waits until no instance is left of the tasks that have asked for it, so that a task
    which many ask for comes after all of them.  `spawn_another` asks for an instance of its own, at once.

    Attributes:
        id: The task's name.
        inputs: What its function gets as second argument, if it has one; anything that can be pickled.
        spawn_another: Whether it is to be one more, whatever waits or runs.

    Raises:
        ArgumentError: `id` is no text or empty, or `spawn_another` neither True nor False.

    >>> NextTask("report")
    NextTask(id='report', inputs=None, spawn_another=False)
    """

    __slots__ = ()

    def __new__(cls, id: str, inputs: Any = None, spawn_another: bool = False) -> Self:
        """Look at what was given."""
        if not isinstance(id, str) or not id.strip():
            name = getattr(id, "name", None) or getattr(id, "__name__", None)
            meant = f"NextTask({name if isinstance(name, str) else 'report'!r})"
            raise _refused("NextTask", "id", f"the name of a task, as {meant}", id)
        if type(spawn_another) is not bool:
            raise _refused("NextTask", "spawn_another", "True or False", spawn_another)
        return super().__new__(cls, id, inputs, spawn_another)


class _TaskOutput(NamedTuple):
    output: Any
    next_tasks: Iterable[NextTask] | None = None


class TaskOutput(_TaskOutput):
    """What a task of the next-task style returns.

    Attributes:
        output: Its output, anything that can be pickled.
        next_tasks: What runs next; nothing, None or empty: then the output is one of the run's.

    Raises:
        ArgumentError: `next_tasks` is no list of NextTasks.

    >>> TaskOutput("done")
    TaskOutput(output='done', next_tasks=None)
    """

    __slots__ = ()

    def __new__(cls, output: Any, next_tasks: Iterable[NextTask] | None = None) -> Self:
        """Look at what was given."""
        if next_tasks is not None:
            if isinstance(next_tasks, str | bytes | NextTask) or not isinstance(next_tasks, Iterable):
                raise _refused("TaskOutput", "next_tasks", "a list, as [NextTask('report')]", next_tasks)
            # What can be gone through once is looked at when the task has returned.
            for one in next_tasks if isinstance(next_tasks, list | tuple) else ():
                if not isinstance(one, NextTask):
                    raise _refused("TaskOutput", *_ITEM, one)
        return super().__new__(cls, output, next_tasks)


_ITEM: Final = ("next_tasks", "a list that holds NextTasks, as NextTask('report')")


def _refused(owner: str, parameter: str, wants: str, given: object) -> Exception:
    from liteflow.errors import ArgumentError  # noqa: PLC0415  attrs: not for every worker

    return ArgumentError(owner, parameter, f"has to be {wants}, not {_a(given)}")


class Directed(NamedTuple):
    """A TaskOutput that has been looked at."""

    output: Any
    next_tasks: tuple[NextTask, ...]


WireRequest = tuple[str, Any, bytes | None, bool]
"""A NextTask as plain data: its task, its inputs as a wire argument, their digest, `spawn_another`."""


def directed(name: str, value: Any) -> Directed:
    """Look at what a function has returned.

    Raises:
        TypeError: It is no TaskOutput.
        ArgumentError: Something that is to run next is no NextTask.

    >>> directed("greet", TaskOutput("Hello"))
    Directed(output='Hello', next_tasks=())
    """
    if not isinstance(value, TaskOutput):
        raise TypeError(
            f"task {name} returned {_a(value)}; it has to return a TaskOutput, like TaskOutput(value)"
        )
    found = () if value.next_tasks is None else tuple(value.next_tasks)
    for one in found:
        # Others have been looked at already; these came one by one.
        if not isinstance(one, NextTask):
            raise _refused(f"task {name}", *_ITEM, one)
    return Directed(value.output, found)


def encoded(value: Directed) -> xcom.Encoded:
    """Encode an output, with what runs next, for the driver; without that it is an output as any.

    Raises:
        NotPicklableError: Which part can't be pickled, and why.
    """
    output = xcom.encode(value.output)
    if not value.next_tasks:
        return output
    definitions = Definitions()
    requests = tuple([_request(one, definitions) for one in value.next_tasks])
    bundles = tuple([(tuple(bundle.names), bundle.data) for bundle in definitions.bundles])
    return _together(output, requests, bundles)


def _together(output: xcom.Encoded, requests: tuple[WireRequest, ...], bundles: Any) -> xcom.Encoded:
    data = marshal.dumps((tuple(output[:-1]), b"".join(output.parts), requests, bundles), _MARSHAL)
    return output._replace(codec=NEXT, size=len(data), sha256=sha256(data).digest(), parts=(data,))


def with_output(encoded: xcom.Encoded, change: Callable[[xcom.Encoded], xcom.Encoded]) -> xcom.Encoded:
    """Change the output of what `encoded` has given, and leave what runs next as it is."""
    output, requests, bundles = decoded(b"".join(encoded.parts))
    return _together(change(output), requests, bundles)


def decoded(data: bytes) -> tuple[xcom.Encoded, tuple[WireRequest, ...], Any]:
    """The inverse: the output, what runs next, and the classes of the script that its inputs need."""
    facts, payload, requests, bundles = marshal.loads(data)
    return xcom.Encoded._make((*facts, (payload,))), requests, bundles


# --- functions as they run -----------------------------------------------------------------


def call(
    fn: Callable[..., Any], name: str, with_inputs: bool, context: Context, inputs: Any = None
) -> Directed:
    """Call a task's function."""
    return directed(name, fn(context, inputs) if with_inputs else fn(context))


async def acall(
    fn: Callable[..., Any], name: str, with_inputs: bool, context: Context, inputs: Any = None
) -> Directed:
    """Call a task's coroutine function."""
    return directed(name, await (fn(context, inputs) if with_inputs else fn(context)))


def stream(
    fn: Callable[..., Any], name: str, with_inputs: bool, context: Context, inputs: Any = None
) -> Generator[Any, None, Directed]:
    """Call a task's generator function; what it yields are chunks."""
    return directed(name, (yield from (fn(context, inputs) if with_inputs else fn(context))))


# --- how -----------------------------------------------------------------------------------


def _request(asked: NextTask, definitions: Definitions) -> WireRequest:
    inputs = asked.inputs
    if inputs is None:
        return asked.id, None, None, bool(asked.spawn_another)
    wire = inputs if type(inputs) in _ATOMS else (pickling.dumps(inputs, definitions).data, ())
    return asked.id, wire, digest(inputs), bool(asked.spawn_another)


def digest(inputs: Any) -> bytes | None:
    """What equal inputs have in common, as far as that can be told; None for none."""
    if inputs is None:
        return None
    # Start-up: few tasks give the next one inputs, and this loads half of Python's own tools.
    from liteflow.fingerprint import UnstableValueError, digest_of  # noqa: PLC0415

    try:
        return digest_of(inputs)
    except UnstableValueError:
        # Equal ones may differ as pickles: then they are not dropped as the same, which only costs time.
        return blake2b(pickling.dumps(inputs, Definitions()).data, digest_size=16).digest()


def _a(value: Any) -> str:
    if value is None:
        return "None"
    return f"{type(value).__name__} {xcom.preview_of(value)[0][:80]}"
