"""How runs are made quick, and easy to step through, while a test goes on.

Both hold for all runs that begin in this process meanwhile, whatever thread begins them, and may be
used inside each other and themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from liteflow.policy import Policy
from liteflow.where import have_everything_run


@contextmanager
def inline() -> Iterator[None]:
    """Run all tasks in the thread that calls `run`, one at a time, whatever they and their flow name.

    So breakpoints work, what a test replaces is replaced for tasks too, and no process is started.
    As on the executor `"inline"`, a timeout ends nothing.  Steps that wait (`wait:delay`) still wait.

    >>> import os
    >>> from liteflow import Flow, task
    >>> with inline():
    ...     Flow("f", task(os.getpid, executor="process")()).run(db=None).result == os.getpid()
    True
    """
    before = have_everything_run("inline")
    try:
        yield
    finally:
        have_everything_run(before)


@contextmanager
def no_waiting() -> Iterator[list[float]]:
    """Make the next attempt at once where a policy says to wait; give the delays there would have been.

    Yields:
        The delays in seconds, in the order in which attempts failed, as they come.

    >>> from liteflow import Flow, task
    >>> def fails() -> None:
    ...     raise OSError("not yet")
    >>> patient = task(fails, retries=3, retry_delay=60, backoff=2)
    >>> with inline(), no_waiting() as delays:
    ...     ended = Flow("f", patient()).run(db=None, check=False)
    >>> ended.state, delays
    ('failed', [60.0, 120.0, 240.0])
    """
    delays: list[float] = []
    with _lock:
        _told.append(delays)
        _replace(_at_once)
    try:
        yield delays
    finally:
        with _lock:
            # By identity: two lists of the same delays are equal.
            _told[:] = [one for one in _told if one is not delays]
            if not _told:
                _replace(_delay_before)


_lock = threading.Lock()
_told: list[list[float]] = []
_delay_before = Policy.delay_before


def _at_once(policy: Policy, attempt: int, random: Callable[[], float]) -> float:
    for delays in list(_told):
        delays.append(_delay_before(policy, attempt, random))
    return 0.0


def _replace(delay_before: Callable[[Policy, int, Callable[[], float]], float]) -> None:
    # The class is frozen for its instances, not for us; a checker would not let a method be assigned.
    type.__setattr__(Policy, "delay_before", delay_before)
