"""Ctrl-C, SIGTERM and SIGHUP while a run goes on: they end it well, and then the program.

    signal --first--> the run is asked to stop, what had finished is kept --> Interrupted
           --second-> at once

Handlers are installed in the main thread alone, as Python has it, only where the program has
none of its own, and for as long as a run is driven.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal has ended a run; `number` is the signal.

    Where nobody catches it, the program ends quietly with exit status 128 + `number`.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}"


class _Exit(Interrupted, SystemExit):
    """The same for programs: Python prints no traceback of a SystemExit."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def interrupted(number: int) -> Interrupted:
    """Return what to raise when a signal has ended a run."""
    # At a prompt or in a notebook nothing ends, and a SystemExit would look as if something should.
    interactive = hasattr(sys, "ps1") or "IPython" in sys.modules
    return Interrupted(number) if interactive else _Exit(number)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise interrupted(number)


@contextmanager
def raised() -> Iterator[None]:
    """Inside, a signal that would end the program is raised as Interrupted instead."""
    with _handled(_raise):
        yield


@contextmanager
def passed_to(act: Callable[[int], None]) -> Iterator[None]:
    """Inside, signals that would end the program are given to `act`; it may be called at any moment."""
    with _handled(lambda number, _frame: act(number)):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for number in STOPPING:
        now = signal.getsignal(number)
        if now in (signal.SIG_DFL, signal.default_int_handler, _raise):
            before[number] = now
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
