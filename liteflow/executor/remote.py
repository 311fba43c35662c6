"""Runs calls in a process of somebody else's pool: plain data in, plain data out.

The pool needs to know one function, `attempts`, by its name; liteflow has to be installed where its
workers run.  What a call needs comes with it: its function as a pickle, which is read once in each
worker, and the values of its sources.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast

from liteflow import pickling
from liteflow.executor.attempt import failure_of
from liteflow.executor.base import Call, Failed, Finished, Line, Work
from liteflow.executor.local import Hearing, attempt_here
from liteflow.executor.payload import Large, Payload
from liteflow.function import Function

if TYPE_CHECKING:
    from liteflow.executor.door import Address
    from liteflow.storage.place import Storage


class Home(NamedTuple):
    """Where calls come from.

    Attributes:
        door: Where the driver hears what they say; None: nowhere.
        storage: Where their large values go; None: into the answer.
        over: Larger ones, in bytes, are held where they are made; None: none is.
    """

    door: Address | None = None
    storage: Storage | None = None
    over: int | None = None


class Answer(NamedTuple):
    """What came of calls; `took` is all the time that they took, in microseconds.

    Times of outcomes count from when the calls came, rows are the bare nodes, and nothing is sealed.
    """

    pid: int
    took: int
    outcomes: list[tuple[Finished | Failed, list[Line]]]


def attempts(
    functions: Mapping[int, bytes],
    bundles: Sequence[tuple[tuple[str, ...], bytes]],
    sources: Mapping[int, tuple[str, bytes | Large]],
    calls: Iterable[Call],
    home: Home,
) -> Answer:
    """Make attempts, one after the other.

    Args:
        functions: The pickles of the functions that are called, by their numbers.
        bundles: The script's classes.
        sources: The values that the calls need: codec and bytes, by source.
        calls: The calls.
        home: Where they come from.
    """
    began_ns = time.monotonic_ns()
    if bundles:
        _learn(tuple(bundles))
    # By their numbers, as in a list, though it has gaps.
    read: dict[int, Function] = {}
    work = Work(
        functions=cast("Sequence[Function]", read),
        function_bytes=_not_here,
        definitions=pickling.Definitions(),
        payload_of=lambda source: Payload(*sources[source]),
        epoch_ns=began_ns,
        place=lambda: (0, b""),
        keep=_not_here,
        turn=_not_here,
        storage=home.storage,
    )
    outcomes: list[tuple[Finished | Failed, list[Line]]] = []
    Hearing.start()
    try:
        for call in calls:
            try:
                read[call.function] = _function(functions[call.function])
            except BaseException as error:  # noqa: BLE001  reading a function runs the user's code
                since = (time.monotonic_ns() - began_ns) // 1000
                failed = Failed(call.node, call.attempt, since, 0, "failed", *failure_of(error, None))
                outcomes.append((failed, []))
                continue
            outcome, lines = _attempt(work, call, home.door)
            # What may be held is for whoever holds it.
            outcomes.append((outcome if home.over is not None else _without_memory(outcome), lines))
    finally:
        Hearing.stop()
    return Answer(os.getpid(), (time.monotonic_ns() - began_ns) // 1000, outcomes)


def _attempt(work: Work, call: Call, door: Address | None) -> tuple[Finished | Failed, list[Line]]:
    if door is None:
        return attempt_here(work, call, "", (), quiet=True)
    # Start-up: few calls talk to their driver.
    from liteflow.executor.door import Visit  # noqa: PLC0415

    visit = Visit(door)
    try:
        link = visit.link(call.node, call.attempt)
        return attempt_here(work, call, "", (), link=link, quiet=True)
    finally:
        visit.close()


@lru_cache(maxsize=256)
def _function(data: bytes) -> Function:
    return Function(*pickling.loads(data))


@lru_cache(maxsize=256)
def _learn(bundles: tuple[tuple[tuple[str, ...], bytes], ...]) -> None:
    pickling.learn(pickling.Bundle(*bundle) for bundle in bundles)


def _without_memory(outcome: Finished | Failed) -> Finished | Failed:
    """The outcome with its value as bytes: shared memory reaches no further than this machine."""
    if isinstance(outcome, Finished) and isinstance(outcome.payload, Large):
        return outcome._replace(payload=outcome.payload.read(0, outcome.payload.size))
    return outcome


def _not_here(_: object) -> NoReturn:
    raise AssertionError("only the driver's process has this")
