"""Groups of processes that end with this process, however it ends.

    enter() ----> a place on a page that the watcher shares    before a group is made
    started() --> its number                                   a moment later
    leave() ----> the place is empty                           before its leader is waited for

    a thread looks at the page ----> a watcher                 when something has been there for a while

To write a number into memory takes no system call, so commands cost what they did; and programs whose
commands are all brief need no watcher.  A number that stands on the page can be nobody else's: for as long
as nobody has waited for a process, its number is not given to another.
"""

from __future__ import annotations

import atexit
import errno
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from liteflow.executor.watcher import MOST, SIZE, STARTING, Page
from liteflow.system import anonymous_file, end_group, say

_ROOT = str(Path(__file__).resolve().parents[2])
_BOOT = (
    "import sys; sys.path.insert(0, {root!r}); from liteflow.executor.watcher import main; "
    "main({lifeline}, {page}, {process}, {session})"
)
# A group that has been there for one to two of these has a watcher come up.
_LOOK_S = 0.025
# Where there is one, it is looked so often whether there is anything left to watch over.
_SELDOM_S = 1.0
# So often a watcher is started, at most: whatever prevents or ends so many would end more.
_TRIES = 3
# A program that ends waits so long for a group that is just being made.
_STARTING_S = 10.0


class Watched:
    """The groups of one process, and their watcher.  All threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = -1
        self._page: Page | None = None
        self._free: list[int] = []
        self._used = 0
        self._looking = False
        self._lifeline = -1
        self._tries = _TRIES

    def enter(self) -> int:
        """Take a place for a group that is about to be made.

        Raises:
            OSError: There are too many at once, or no memory can be shared.
        """
        try:
            place = self._free.pop()
        except IndexError:
            place = self._new_place()
        self._shared().put(place, STARTING)
        # After it is written, as whoever stops looking looks once more.
        if not self._looking:
            self._look_out()
        return place

    def started(self, place: int, group: int) -> None:
        """Say which group it is."""
        self._shared().put(place, group)

    def leave(self, place: int) -> None:
        """Say that a group has been ended, or was never made."""
        self._shared().put(place, 0)
        self._free.append(place)

    def end(self) -> None:
        """End all groups: the program ends."""
        limit = time.monotonic() + _STARTING_S
        while STARTING in self._groups().values() and time.monotonic() < limit:
            time.sleep(0.001)
        for place, group in self._groups().items():
            if group != STARTING:
                end_group(group)
                self._shared().put(place, 0)

    def forget(self) -> None:
        """Let go of all: in a forked child, to which none of it belongs."""
        for descriptor in (self._lifeline, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)

    def _new_place(self) -> int:
        with self._lock:
            if self._used == MOST:
                raise OSError(errno.EAGAIN, f"{MOST} commands run at once, and more can't")
            self._used += 1
            return self._used - 1

    def _shared(self) -> Page:
        if self._page is None:
            with self._lock:
                if self._page is None:
                    self._descriptor = anonymous_file("liteflow-groups")
                    os.ftruncate(self._descriptor, SIZE)
                    self._page = Page(self._descriptor)
        return self._page

    def _groups(self) -> dict[int, int]:
        return {} if self._page is None else self._page.groups(self._used)

    # --- the thread that sees to it that there is a watcher ---

    def _look_out(self) -> None:
        with self._lock:
            if self._looking:
                return
            self._looking = True
        try:
            threading.Thread(target=self._look, name="liteflow-lookout", daemon=True).start()
        except RuntimeError:
            # The program is at its end, and `end` takes all along; or it can have no more threads now.
            self._looking = False

    def _look(self) -> None:
        """Have a watcher when a group is found that was there at the last look; stop when there is none."""
        before: set[tuple[int, int]] = set()
        while self._goes_on():
            if self._lifeline >= 0 and not _has_no_reader(self._lifeline, _SELDOM_S):
                # There is one.
                continue
            time.sleep(_LOOK_S)
            now = {entry for entry in self._groups().items() if entry[1] != STARTING}
            if now & before and not self._watcher_comes():
                # It stays as if somebody looked: there is no use in more of this.
                return
            before = now

    def _goes_on(self) -> bool:
        if self._groups():
            return True
        self._looking = False
        if not self._groups():
            return False
        with self._lock:
            # One more has come just now, and took us for looking.  Or it has begun to look itself.
            ours, self._looking = not self._looking, True
        return ours

    def _watcher_comes(self) -> bool:
        """Start a watcher; False: that has been tried too often."""
        if not self._tries:
            return _do_without("somebody ends each watcher")
        self._tries -= 1
        why_not = self._start()
        return why_not is None or self._tries > 0 or _do_without(f"no watcher comes up: {why_not}")

    def _start(self) -> str | None:
        """Start a watcher, and say why there is none if so."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        try:
            reading, self._lifeline = os.pipe()
            try:
                starter = self._started_by(reading)
            finally:
                os.close(reading)
        except OSError as error:
            return str(error)
        # It forks the watcher, and ends.
        status = starter.wait()
        return f"its exit status is {status}" if status else None

    def _started_by(self, lifeline: int) -> subprocess.Popen[bytes]:
        numbers = {
            "lifeline": lifeline,
            "page": self._descriptor,
            "process": os.getpid(),
            "session": os.getsid(0),
        }
        # None of the user's modules, none of our streams, and no signal of our terminal.
        return subprocess.Popen(
            [sys.executable, "-P", "-S", "-c", _BOOT.format(root=_ROOT, **numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            pass_fds=(lifeline, self._descriptor),
            start_new_session=True,
        )


def _has_no_reader(pipe: int, within_s: float) -> bool:
    """Whether nobody is at the other end, or soon will not be: the watcher has been killed."""
    poll = select.poll()
    # That is told without asking.
    poll.register(pipe, 0)
    return bool(poll.poll(within_s * 1000))


def _do_without(why: str) -> bool:
    say(f"if this program is killed, its commands go on: {why}", sys.__stderr__)
    return False


_own = Watched()
_is_annex = False


def watched() -> Watched | None:
    """The groups of this process; None if none are needed, for its own is ended as a whole.

    So it is in workers of the pool, whose supervisor does it, and in annexes, whose watcher does.
    """
    worker = sys.modules.get("liteflow.executor.process.worker")
    if (_is_annex or (worker is not None and worker.is_running)) and os.getsid(0) == os.getpid():
        # Both lead the session they were given; what they fork does not.
        return None
    return _own


def this_is_an_annex() -> None:
    """Say that this process's own group is ended as a whole."""
    global _is_annex  # noqa: PLW0603  once, before any call
    _is_annex = True


@atexit.register
def _end() -> None:
    _own.end()


def _forget() -> None:
    global _own  # noqa: PLW0603  a forked child's groups are its own
    _own.forget()
    _own = Watched()


os.register_at_fork(after_in_child=_forget)
