"""What a look into a store gives: one frozen class for each kind of row.

Times are unix seconds (UTC).  Each field is annotated as plainly as `str` or `float | None`:
`made` reads that, to see that a file holds what it should.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, TypeVar

from attrs import field, fields, frozen

from liteflow import errors

R = TypeVar("R")


@frozen
class RunRow:
    """One run.

    `arguments_text` is JSON (parameter -> preview), `settings` too; `number` is what the
    tables use in place of the id.  The `owner_` fields say which process drives it, since when,
    while one does; a run whose driver has died is `interrupted` at once, whatever is recorded.
    """

    id: str
    flow: str
    state: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    error: str | None
    number: int
    arguments_text: str | None
    script: str | None
    python: str | None
    settings: str | None
    owner_host: str | None = None
    owner_pid: int | None = None
    owner_since: float | None = None


@frozen
class SessionRow:
    """A driver of a run, from 1; `ended_at` is None while it drives, or if it died and nobody knows yet."""

    run_id: str
    token: int
    host: str
    pid: int
    since: float
    beat_at: float
    ended_at: float | None
    python: str | None
    key_id: str | None


@frozen
class TaskRow:
    """One task instance; `attempts` is how many were made, the times are those of the last."""

    run_id: str
    key: str
    task: str
    state: str
    attempts: int
    started_at: float | None
    ended_at: float | None
    worker: str | None
    error: str | None


@frozen
class EdgeRow:
    """`target` waits for `source`, whose output goes into `parameter` (None: only the order counts)."""

    run_id: str
    source: str
    target: str
    parameter: str | None


@frozen
class AttemptRow:
    """One try of a task instance, which has ended; `attempt` counts from 1."""

    run_id: str
    key: str
    attempt: int
    outcome: str
    started_at: float | None
    ended_at: float | None
    worker: str | None
    error: str | None
    traceback: str | None


@frozen
class XComRow:
    """What is known of a value without reading it.

    `size` is that of its bytes; `exact` says that the preview is its JSON, whole;
    `code_python` which Python's code it holds, which no other minor version can read: 311 for
    3.11, 0 if it holds none; `address` where its bytes lie, None: in the store.
    """

    run_id: str
    key: str
    type: str
    codec: str
    size: int
    sha256: str
    preview: str
    address: str | None
    exact: bool = field(converter=bool)
    code_python: int


@frozen
class LogRow:
    """One line that an attempt wrote or logged; `seq` grows from line to line."""

    run_id: str
    key: str
    attempt: int
    at: float
    stream: str
    line: str
    seq: int


@frozen
class NodeRow:
    """A task instance as the graph has it: `task` is a number in the run's tasks, `inputs` JSON."""

    index: int
    key: str
    task: int
    inputs: str | None


@frozen
class RecordedCall:
    """A task instance as a resume compares it with the flow of today.

    `code` and `constants` are fingerprints, `inputs` is JSON as in NodeRow, `state` and what follows as
    in TaskRow; `parent` is the index of the call that it grew from.
    """

    index: int
    key: str
    task: str | None
    parent: int | None
    code: str | None
    constants: str | None
    inputs: str | None
    state: str
    attempts: int
    error: str | None


@frozen
class GrowthRow:
    """What a task instance became that gave calls in place of a value, and its keyed check."""

    index: int
    mac: bytes | None
    data: bytes


@frozen
class DeclaredRow:
    """A task as a run uses it; `policy` is JSON."""

    number: int
    name: str
    returns: str | None
    policy: str | None
    code: str | None


@frozen
class StoredPayload:
    """The bytes of a value, how to read them, and what its keyed check covers (see XComRow)."""

    codec: str
    data: bytes
    type: str
    size: int
    sha256: bytes
    mac: bytes | None
    attempt: int
    code_python: int


@frozen
class CachedRow:
    """A result that a later run may take over, without its bytes.

    `index` is that of its task instance in the run; `made_at` is in microseconds since 1970;
    `preview` and `exact` are those of an XComRow.
    """

    run_number: int
    run_id: str
    index: int
    made_at: int
    preview: str
    exact: int


@frozen
class ContextRow:
    """A value that the tasks of a run share, whole; what there is of it beside `data` as of an XCom."""

    key: str
    version: int
    type: str
    codec: str
    size: int
    sha256: bytes
    mac: bytes | None
    preview: str
    exact: int
    code_python: int
    data: bytes


@frozen
class ChunkRow:
    """A chunk, without its bytes; `seq` grows from chunk to chunk, `number` within the attempt.

    `name` is whose chunk the task has said it is, if it has.
    """

    seq: int
    index: int
    key: str
    attempt: int
    number: int
    at: float
    name: str | None
    type: str
    codec: str
    size: int
    sha256: bytes
    mac: bytes | None
    preview: str
    exact: bool = field(converter=bool)
    code_python: int


@frozen
class SealedRow:
    """A value's keyed check, and what that is over; `index` is the task instance's."""

    index: int
    attempt: int
    codec: str
    code_python: int
    type: str
    size: int
    sha256: bytes
    mac: bytes | None


@frozen
class ExceptionRow:
    """The exception that an attempt raised, as a pickle, and its keyed check."""

    attempt: int
    mac: bytes | None
    data: bytes


@frozen
class DefinitionRow:
    """Classes of the script that are defined together: their qualified names, keyed check and pickle."""

    names: tuple[str, ...]
    mac: bytes | None
    data: bytes


@frozen
class Recipe:
    """What a run was made of, as bytes: its arguments, and the expression that makes its result.

    `seal` is the keyed check of these and of `holes`.
    """

    arguments: bytes | None
    result: bytes | None
    holes: str | None
    seal: bytes | None
    definitions: tuple[DefinitionRow, ...]


@frozen
class Standing:
    """How far a run has come: what a resume has to know.

    `succeeded` maps the index of each task instance that has a value to that value's size in
    bytes, `attempts` those that have been tried in vain to the number of the last attempt.
    """

    succeeded: dict[int, int]
    attempts: dict[int, int]


def made(path: str, row: type[R], values: tuple[Any, ...]) -> R:
    """Return a row as its class has it; SQLite's types are promises that a planted file may break.

    Raises:
        StoreDamagedError: A value is of another type than the class says.
    """
    types = tuple(map(type, values))
    known = _seen_types.setdefault(row, set())
    if types not in known:
        for name, wanted, given in zip(_names_of(row), _wanted(row), types, strict=True):
            if given not in wanted:
                raise errors.StoreDamagedError(path, f"{row.__name__}.{name} is a {given.__name__}")
        known.add(types)
    return row(*values)


_KINDS: dict[str, frozenset[type]] = {
    "str": frozenset({str}),
    "bytes": frozenset({bytes}),
    "int": frozenset({int}),
    "bool": frozenset({int}),
    "float": frozenset({int, float}),
}
_seen_types: dict[type, set[tuple[type, ...]]] = {}


def _names_of(row: type) -> list[str]:
    return [one.name for one in fields(row)]


def _wanted(row: type) -> list[frozenset[type]]:
    """The types that each field may have, from how it is annotated: `str`, `float | None`."""
    kinds = []
    for one in fields(row):
        kind, _, optional = str(one.type).partition(" | ")
        kinds.append(_KINDS[kind] | {NoneType} if optional else _KINDS[kind])
    return kinds
