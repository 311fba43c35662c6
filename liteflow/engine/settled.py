"""A run goes on: what of it that ended without a value stays so, and what follows from the rest?  (Pure.)

    recorded task instances --settle--> lost        stay so: they were skipped, or a map has collected them
                                        stale       were made of what is tried again, and run again too
                                        changing    have a value that is made of such

What a call took as a Failure, or was skipped for, may have a value this time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from liteflow.outcomes import WITH_VALUE

_SKIPPED = "skipped"
_TRIED_AGAIN = ("failed", "upstream_failed", _SKIPPED)


class Instance(Protocol):
    """A recorded task instance (store/rows.py)."""

    @property
    def index(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def parent(self) -> int | None: ...
    @property
    def inputs(self) -> str | None: ...
    @property
    def state(self) -> str: ...
    @property
    def attempts(self) -> int: ...


@frozen
class Settled:
    """What `settle` finds, by recorded index.

    Attributes:
        lost: Ended without a value, and stay as they are.
        stale: Have ended, and run again because of what their inputs do now: why.
        changing: Have grown, and have a value that others may be made anew; what has grown stays.
    """

    lost: frozenset[int] = frozenset()
    stale: Mapping[int, str] = field(factory=dict)
    changing: frozenset[int] = frozenset()


def settle(calls: Sequence[Instance], *, failed: bool) -> Settled:
    """Look through the task instances of a run that goes on.

    Args:
        calls: All that are recorded.
        failed: Whether the run had come to its end, and failed.  One that was broken off makes nothing
            twice: what ended before that is as good as what would have ended after.

    >>> from types import SimpleNamespace as Call
    >>> bad = Call(index=0, key="bad", parent=None, inputs=None, state="failed", attempts=1)
    >>> tidy = Call(index=1, key="tidy", parent=None, inputs='{"x":[0]}', state="succeeded", attempts=1)
    >>> settle([bad, tidy], failed=True).stale
    {1: 'its input from bad is tried again'}
    """
    without = [call for call in calls if call.state in _TRIED_AGAIN]
    if not without:
        return Settled()
    by_index = {call.index: call for call in calls}
    lost = {call.index for call in without if _decided(call) or is_collected(call, by_index)}
    _follow_skipped(calls, by_index, lost)
    again = [call for call in without if call.index not in lost]
    if not again or not failed:
        return Settled(frozenset(lost))
    stale, changing = _touched(calls, by_index, again, lost)
    return Settled(frozenset(lost - stale.keys()), stale, frozenset(changing))


def is_collected(call: Instance, by_index: Mapping[int, Instance]) -> bool:
    """Return whether a complete map has a call, or what it is within, as a Failure among its items."""
    while call.parent is not None:
        parent = by_index[call.parent]
        is_item = call.key.startswith(f"{parent.key}[")
        if is_item and call.state in _TRIED_AGAIN and parent.state in WITH_VALUE:
            return True
        call = parent
    return False


# --- how -----------------------------------------------------------------------------------


def _decided(call: Instance) -> bool:
    """Whether it has said itself that it is skipped, in an attempt; others are skipped because of it."""
    return call.state == _SKIPPED and call.attempts > 0


def _follow_skipped(calls: Sequence[Instance], by_index: Mapping[int, Instance], lost: set[int]) -> None:
    """Add those that were skipped because of what stays as it is, and of nothing else."""
    followers = {call.index: call for call in calls if call.state == _SKIPPED and call.index not in lost}
    if not followers:
        return
    reasons = {index: [*_sources(call)] for index, call in followers.items()}
    for call in calls:
        if call.parent in reasons:
            reasons[call.parent].append(call.index)
    found = True
    while found:
        # Sources stand before what they feed, and behind the calls that have grown to them.
        found = False
        for index in (*sorted(followers), *sorted(followers, reverse=True)):
            lacking = [one for one in reasons[index] if by_index[one].state not in WITH_VALUE]
            if index not in lost and lacking and lost.issuperset(lacking):
                lost.add(index)
                found = True


def _touched(
    calls: Sequence[Instance], by_index: Mapping[int, Instance], again: Sequence[Instance], lost: set[int]
) -> tuple[dict[int, str], set[int]]:
    """What is stale, and what changes, because some are tried again."""
    ended = [call for call in calls if call.state in WITH_VALUE or call.index in lost]
    consumers: dict[int, list[Instance]] = defaultdict(list)
    for call in ended:
        for source in _sources(call):
            consumers[source].append(call)
    fed_by_item = _fed_by_item(ended, by_index)
    stale: dict[int, str] = {}
    changing: set[int] = set()
    moving = list(again)
    while moving:
        call = moving.pop()
        if call.parent is not None and by_index[call.parent].state in WITH_VALUE:
            parent = by_index[call.parent]
            if parent.index not in changing and parent.index not in stale:
                changing.add(parent.index)
                moving.append(parent)
        what = "is tried again" if call.state in _TRIED_AGAIN else "changed"
        for consumer in consumers[call.index]:
            # A map over a map goes by its items.
            if consumer.index in stale or (call.index, consumer.index) in fed_by_item:
                continue
            stale[consumer.index] = f"its input from {call.key} {what}"
            changing.discard(consumer.index)
            moving.append(consumer)
    return stale, changing


def _fed_by_item(ended: Sequence[Instance], by_index: Mapping[int, Instance]) -> set[tuple[int, int]]:
    """The maps of which each item is fed by one of another map: (source, map)."""
    found = set()
    for call in ended:
        if call.parent is None or not call.inputs:
            continue
        parent = by_index[call.parent]
        place = call.key.removeprefix(parent.key)
        for source in _sources(call):
            feeds = by_index[source]
            if feeds.parent is not None and feeds.key == f"{by_index[feeds.parent].key}{place}":
                found.add((feeds.parent, parent.index))
    return found


def _sources(call: Instance) -> list[int]:
    return [source for those in json.loads(call.inputs).values() for source in those] if call.inputs else []
