"""How attempts end that don't end by themselves: at their time limit, cancelled, or with their worker.

Pure, but for the count of what the kernel has killed.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import NamedTuple

from liteflow.executor.base import Call, Failed
from liteflow.function import Function
from liteflow.system import memory_kills


class Condemned(NamedTuple):
    """A worker is to be ended: why, and what is done next.

    `node` is the call for whose sake (None: whichever runs), `outcome` what becomes of it:
    timed_out or cancelled.  `signal` is sent at `due` (monotonic seconds); after SIGTERM, SIGKILL
    is, `grace` seconds later.
    """

    node: int | None
    outcome: str
    due: float
    signal: signal.Signals
    grace: float


def ended(call: Call, functions: Sequence[Function], condemned: Condemned, started: int, took: int) -> Failed:
    """The outcome of an attempt that was ended on purpose; times as in Failed."""
    times = call.node, call.attempt, started, took
    if condemned.outcome == "cancelled":
        return Failed(*times, "cancelled", "cancelled", "", None, False)
    retry_on = functions[call.function].retry_on
    error = f"TimeoutError: ran for over {call.timeout:g} s and was ended"
    retryable = Exception in retry_on or TimeoutError in retry_on
    return Failed(*times, "timed_out", error, "", None, retryable)


def lost(call: Call, functions: Sequence[Function], cause: str, started: int, took: int) -> Failed:
    """The outcome of an attempt whose worker process ended: it "4711 was killed by SIGKILL"."""
    error = f"its worker process {cause}"
    retryable = Exception in functions[call.function].retry_on
    return Failed(call.node, call.attempt, started, took, "lost", error, "", None, retryable)


class MemoryKills:
    """Tells whether a SIGKILL may have been the kernel's, for want of memory: by counting those it sent."""

    def __init__(self) -> None:
        self._accounted = memory_kills()

    def may_be_one(self) -> bool | None:
        """Whether there is one more than is accounted for, which then is; None: the kernel does not tell."""
        now = memory_kills()
        if now is None or self._accounted is None:
            return None
        if now <= self._accounted:
            return False
        self._accounted += 1
        return True


def cause_of_death(exitcode: int, memory: bool | None = None) -> str:
    """Say how a worker process ended.

    Args:
        exitcode: As `subprocess` has it: n >= 0 is what the process exited with, -n means
            that signal n killed it.
        memory: Whether the kernel has killed something for want of memory meanwhile; None: unknown.

    Source: https://docs.python.org/3/library/subprocess.html#subprocess.Popen.returncode

    >>> cause_of_death(-9, memory=False)
    'was killed by SIGKILL'
    >>> cause_of_death(-9, memory=True)
    'was killed by the kernel (out of memory?)'
    >>> cause_of_death(-9)
    'was killed by SIGKILL; if nobody did that, the machine ran out of memory'
    >>> cause_of_death(3)
    'ended with exit status 3'
    """
    if exitcode >= 0:
        return f"ended with exit status {exitcode}"
    if exitcode == -signal.SIGKILL and memory:
        return "was killed by the kernel (out of memory?)"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    guess = exitcode == -signal.SIGKILL and memory is None
    return f"was killed by {name}" + ("; if nobody did that, the machine ran out of memory" if guess else "")
