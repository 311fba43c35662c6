"""What controllers had decided before a run goes on: asked again, with what is recorded.

Twice: first as the calls are recorded, to see which of them stay; then as they are numbered now.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from liteflow.controller import Value
from liteflow.engine import settled
from liteflow.engine.controlled import Replay, WiredCall, replayed, same_feeds
from liteflow.engine.plan import Plan
from liteflow.fingerprint import is_same_code
from liteflow.growth import decoded
from liteflow.outcomes import WITH_VALUE

# Recorded numbers are told from those of today by being higher than any.
_THEN = 1 << 40


class Instance(settled.Instance, Protocol):
    """A recorded task instance (store/rows.py)."""

    @property
    def code(self) -> str | None: ...
    @property
    def constants(self) -> str | None: ...


class Known(Protocol):
    """What is known of a value (store/rows.py)."""

    @property
    def preview(self) -> str: ...
    @property
    def exact(self) -> bool: ...


@frozen
class RecordedControl:
    """One call as it is recorded: whether it has a value, that value's JSON, and what it has taken apart."""

    index: int
    key: str
    code: str | None
    constants: str | None
    inputs: str | None
    given: bool
    json: str | None
    items: Sequence[Sequence[Any]] | None

    def value(self, number: int) -> Value:
        """Its value, if it is the node of this number."""
        return Value((number, ()), self.json, self.items)


def items_in(blob: bytes) -> Sequence[Sequence[Any]] | None:
    """The items of a list that a call has taken apart, from what was written down; None if it has not."""

    body = decoded(marshal.loads(blob)[1])
    return body[0] if len(body) == 2 else None


def recorded_control(
    row: Instance, xcoms: Mapping[str, Known], blobs: Mapping[int, bytes]
) -> RecordedControl:
    """One call of a controlled node, as it is recorded; arguments as for `recorded_controls`."""
    known = xcoms.get(row.key) if row.state in WITH_VALUE else None
    return RecordedControl(
        row.index,
        row.key,
        row.code,
        row.constants,
        row.inputs,
        known is not None,
        known.preview if known is not None and known.exact else None,
        items_in(blobs[row.index]) if row.index in blobs else None,
    )


def recorded_controls(
    plan: Plan,
    same: Mapping[int, int],
    recorded: Sequence[Instance],
    xcoms: Mapping[str, Known],
    blobs: Mapping[int, bytes],
) -> dict[int, list[RecordedControl]]:
    """The recorded calls of each controlled node that is what it was, by its index then.

    Args:
        plan: The nodes of the flow.
        same: Index then -> node, of the calls of the flow that are what they were.
        recorded: All task instances.
        xcoms: What is known of their values, by key.
        blobs: What they have grown to, by index.
    """
    found: dict[int, list[RecordedControl]] = {
        then: [] for then, node in same.items() if node in plan.controls
    }
    for row in recorded:
        if row.parent not in found:
            continue
        found[row.parent].append(recorded_control(row, xcoms, blobs))
    return found


def staying(
    plan: Plan, node: int, calls: Sequence[RecordedControl], key_then: Callable[[int], str]
) -> frozenset[int]:
    """Which recorded calls of a controlled node stay: those that it wants again, as they were.

    Args:
        plan: The nodes of the flow.
        node: The controlled node.
        calls: Its recorded calls.
        key_then: The key of a recorded task instance by its index.
    """
    by_key = {call.key: call for call in calls}
    tasks = plan.controls[node].tasks

    def name_of(source: int) -> str:
        return key_then(source - _THEN) if source >= _THEN else plan.key(source)

    def is_recorded(call: WiredCall) -> bool:
        known = by_key.get(call.key)
        if known is None:
            return False
        inputs = json.loads(known.inputs) if known.inputs else {}
        before = {name: [key_then(source) for source in fed] for name, fed in inputs.items()}
        code = plan.tasks[tasks[call.task][0]].code
        same = is_same_code(known.code, code) and known.constants == call.constants
        return same and same_feeds(before, call, name_of)

    def value_of(key: str) -> Value | None:
        known = by_key[key]
        return known.value(_THEN + known.index) if known.given else None

    replay = replayed(plan, node, is_recorded, value_of)
    return frozenset(by_key[key].index for key in replay.calls)


def what_stays(
    plan: Plan,
    same: Mapping[int, int],
    controlled: Mapping[int, Sequence[RecordedControl]],
    key_then: Callable[[int], str],
) -> tuple[dict[int, frozenset[int]], dict[int, str]]:
    """Of each controlled node, by its index then, the calls that stay; and the nodes of which not all do.

    Args:
        plan, same: As in `recorded_controls`.
        controlled: What that gave.
        key_then: The key of a recorded task instance by its index.
    """
    stays = {then: staying(plan, same[then], calls, key_then) for then, calls in controlled.items()}
    undone = {
        same[then]: "one of its calls changed"
        for then, calls in controlled.items()
        if any(call.index not in stays[then] for call in calls)
    }
    return stays, undone


def rejoined(
    plan: Plan,
    node: int,
    calls: Sequence[RecordedControl],
    stays: frozenset[int],
    moved: Mapping[int, int],
) -> Replay:
    """The controller of a node as it stands now.

    Args:
        plan: The nodes of the flow.
        node: The controlled node.
        calls: Its recorded calls.
        stays: The indexes of those that stay.
        moved: Index then -> number now.
    """
    by_key = {call.key: call for call in calls if call.index in stays}

    def value_of(key: str) -> Value | None:
        known = by_key[key]
        return known.value(moved.get(known.index, known.index)) if known.given else None

    return replayed(plan, node, lambda call: call.key in by_key, value_of)
