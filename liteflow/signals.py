"""Ctrl-C, SIGTERM and SIGHUP while a run goes on: they end it well, and then the program.

    signal --first--> the run is asked to stop, what had finished is kept --> Interrupted
           --second-> at once

Handlers are installed in the main thread alone, as Python has it, only where the program has
none of its own, and for as long as a run is driven.  A process that is forked meanwhile, such as a worker of
somebody's pool, has what the program had: it drives no run, and is to end when it is told to.
"""

from __future__ import annotations

import os
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


# What the program had where there are handlers of ours now: for each run, the outer ones first.
_replaced: list[dict[signal.Signals, Any]] = []


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}
    _replaced.append(before)
    try:
        for number in STOPPING:
            now = signal.getsignal(number)
            if now in (signal.SIG_DFL, signal.default_int_handler, _raise):
                before[number] = now
                signal.signal(number, handler)
        yield
    finally:
        # A process that was forked inside has them back already.
        if _replaced:
            _replaced.remove(before)
            _put_back(before)


def _put_back(before: dict[signal.Signals, Any]) -> None:
    for number, old in before.items():
        signal.signal(number, old)


def _leave_all() -> None:
    while _replaced:
        _put_back(_replaced.pop())


os.register_at_fork(after_in_child=_leave_all)
