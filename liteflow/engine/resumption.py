"""Which results of a run may stay, now that it goes on with the code of today?  (Pure.)

    what the store recorded + the graph of today --compare--> kept | again, and why | gone

A result stays if its call is what it was (the task's code, the constant arguments, what feeds
which parameter) and so is every call that it waits for.  Calls are the same by their keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from attrs import frozen

from liteflow.fingerprint import is_same_code


@frozen
class Before:
    """A task instance as it was recorded; `inputs` is JSON: parameter -> indexes of sources."""

    index: int
    key: str
    code: str | None
    constants: str | None
    inputs: str | None
    succeeded: bool


@frozen
class Now:
    """The same call in the graph of today."""

    key: str
    code: str
    constants: str | None
    inputs: str | None


@frozen
class Resumption:
    """What a resume does.

    Attributes:
        kept: Nodes whose results stay.
        same: Recorded index -> node, of the calls that are what they were.
        again: Nodes that had a result, and run again: node -> why.
        moved: Recorded index -> its node in the graph of today, behind its end for those that
            are gone; empty if all stand where they stood.
        gone: Recorded indexes (as moved) of calls that the graph of today does not have.
        changed: Whether anything is not as it was recorded.
    """

    kept: frozenset[int]
    same: Mapping[int, int]
    again: Mapping[int, str]
    moved: Mapping[int, int]
    gone: tuple[int, ...]
    changed: bool


def compare(
    before: Sequence[Before], now: Sequence[Now], undone: Mapping[int, str] | None = None
) -> Resumption:
    """Compare what was recorded with the graph of today, in which sources come before targets.

    Args:
        before, now: The calls.
        undone: Nodes that have no value any more, and why, though they are what they were.

    >>> fed = '{"x":[0]}'
    >>> was = [Before(0, "a", "3.11 aa", None, None, True), Before(1, "b", "3.11 bb", None, fed, True)]
    >>> compare(was, [Now("a", "3.11 AA", None, None), Now("b", "3.11 bb", None, fed)]).again
    {0: 'its code changed', 1: 'its input from a changed'}
    """
    recorded = {row.key: row for row in before}
    keys_before = {row.index: row.key for row in before}
    keys_now = [call.key for call in now]
    changed: dict[int, str] = {}
    kept: set[int] = set()
    again: dict[int, str] = {}
    same: dict[int, int] = {}
    for node, call in enumerate(now):
        row = recorded.get(call.key)
        if row is None:
            changed[node] = "it is new"
            continue
        why = (undone or {}).get(node) or _why(row, call, keys_before, keys_now, changed)
        if why is not None:
            changed[node] = why
            if row.succeeded:
                again[node] = why
            continue
        same[row.index] = node
        if row.succeeded:
            kept.add(node)
    moved, gone = _moved(before, keys_now)
    return Resumption(frozenset(kept), same, again, moved, gone, bool(changed or moved or gone))


def _why(
    row: Before,
    call: Now,
    keys_before: Mapping[int, str],
    keys_now: Sequence[str],
    changed: Mapping[int, str],
) -> str | None:
    if not is_same_code(row.code, call.code):
        return "its code changed"
    if row.constants != call.constants:
        return "its arguments changed"
    inputs = _inputs(call.inputs)
    if row.inputs != call.inputs or changed:
        fed_before = {p: [keys_before.get(i) for i in s] for p, s in _inputs(row.inputs).items()}
        fed_now = {p: [keys_now[i] for i in s] for p, s in inputs.items()}
        if fed_before != fed_now:
            return _other_inputs(fed_before, fed_now)
    for parameter, sources in inputs.items():
        for source in sources:
            if source in changed:
                name = keys_now[source]
                return f"its input from {name} changed" if parameter else f"{name}, before it, changed"
    return None


def _other_inputs(before: Mapping[str, list[str | None]], now: Mapping[str, list[str]]) -> str:
    for parameter, sources in now.items():
        if before.get(parameter) != sources:
            names = ", ".join(sources[:3]) + (", ..." if len(sources) > 3 else "")
            return f"its {parameter} comes from {names} now" if parameter else f"it waits for {names} now"
    return "it waits for less than it did"


def _moved(before: Sequence[Before], keys_now: Sequence[str]) -> tuple[dict[int, int], tuple[int, ...]]:
    places = {key: node for node, key in enumerate(keys_now)}
    moved, gone = {}, []
    behind = len(keys_now)
    for row in before:
        place = places.get(row.key)
        if place is None:
            place = behind
            behind += 1
            gone.append(place)
        moved[row.index] = place
    if all(old == new for old, new in moved.items()):
        moved = {}
    return moved, tuple(gone)


def _inputs(text: str | None) -> dict[str, list[int]]:
    return json.loads(text) if text else {}
