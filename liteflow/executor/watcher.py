"""Ends what a process has started when that process is gone, by whatever hand: the watcher.

    driver    --exec--> watcher    kills the groups that are on the driver's page
    annex     --fork--> watcher    kills the annex's own group

A process that is killed can't end anything, and its children live on.  So another one, which is nobody's
child, waits for its end, and does nothing else.  The pool has its supervisor for that, whose children the
workers are.

No attrs here, and little else: a watcher is to be up soon.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from liteflow.system import death_notice, end_group

# So many groups there may be at once: each has two pipes, and no process may have so many descriptors.
MOST: Final = 16_384
SIZE: Final = 4 * MOST
# What stands on a page for a group that is just being made.
STARTING: Final = -1


class Page:
    """The groups that a process has started, in memory that its watcher shares.

    Each place holds a group, `STARTING`, or 0 for none; it is written in one step, so that it is whole
    whenever the writer dies.

    Args:
        descriptor: Of `SIZE` bytes that can be mapped.
    """

    def __init__(self, descriptor: int) -> None:
        self._places = memoryview(mmap.mmap(descriptor, SIZE)).cast("i")

    def put(self, place: int, group: int) -> None:
        """Write one place; `place` counts from 0."""
        self._places[place] = group

    def groups(self, used: int = MOST) -> dict[int, int]:
        """What stands in the first places, by place; empty ones left out."""
        return {place: group for place, group in enumerate(self._places[:used].tolist()) if group}


def watch(process: int, ends: Iterable[int], groups: Callable[[], Iterable[int]]) -> NoReturn:
    """Wait until a process is gone, end what it has started, and end.

    Args:
        process: Its id.
        ends: Descriptors of pipes that end with it; one is enough.  (What it has forked may hold them
            open, so where the system tells of its death, that is enough too.)
        groups: Which groups are to be ended, asked when it is gone.
    """
    poll = select.poll()
    for descriptor in (*ends, death_notice(process)):
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
    poll.poll()
    for group in groups():
        end_group(group)
    os._exit(0)


def main(lifeline: int, page: int, process: int, session: int) -> NoReturn:
    """Watch over the process that has started this one.

    Args:
        lifeline: Descriptor of a pipe that ends with it.
        page: Descriptor of its page.
        process: Its id.
        session: The session that it, and all groups that it makes, are in.
    """
    if os.fork():
        # Nobody's child: a program may wait for all of its own.
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # It ends with the other, which may have time to end well, and not before.
        signal.signal(number, signal.SIG_IGN)
    groups = Page(page).groups
    watch(process, [lifeline], lambda: [one for one in groups().values() if _is_its_own(one, session)])


def _is_its_own(group: int, session: int) -> bool:
    """Whether a group is still the one that was written down.

    A number stays on the page only until its process may be waited for, so that nobody else can have it;
    but of a process whose parent has died, the system's first process may have done that already.
    """
    if group == STARTING:
        return False
    try:
        return os.getsid(group) == session
    except OSError:
        # Its leader has ended.  What is left of the group keeps the number its own.
        return True
