"""The driver's side of supervisors: started when needed, kept for the next run, never shared.

Each run that uses processes has a supervisor to itself for as long as it lasts.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from liteflow.executor.process import wire
from liteflow.executor.process.page import SIZE, Page
from liteflow.system import anonymous_file, death_notice

_ROOT = str(Path(__file__).resolve().parents[3])
_BOOT = (
    "import sys; sys.path.insert(0, {root!r}); from liteflow.executor.process.supervisor import main; "
    "sys.path.remove({root!r}); main({number}, {parent})"
)
# An exit is told within this time of the death, unless the machine is in a bad way.
_PATIENCE_S = 5.0
# A supervisor that is let go of ends by itself within this time, or is killed.
_ENDS_S = 1.0


class Supervisor:
    """A supervisor process, and what it has told.

    Raises:
        OSError: It can't be started.
    """

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        boot = _BOOT.format(root=_ROOT, number=theirs.fileno(), parent=os.getpid())
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(self.socket.close)
            self.process = subprocess.Popen(
                [sys.executable, *["-O"] * sys.flags.optimize, "-P", "-c", boot],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Not ours, which may have been removed meanwhile.
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            undo.pop_all()
        self.socket.setblocking(False)
        self._reader = wire.Reader(self.socket)
        self._writer = wire.Writer(self.socket)
        # Worker number -> process id, and process id -> how it ended.
        self.pids: dict[int, int] = {}
        self.exits: dict[int, int] = {}
        # Worker number -> why there is no process.
        self.refused: dict[int, str] = {}
        self.lost = False
        self._made = 0
        self._spare: Hatchling | None = None

    def hatch(self) -> Hatchling:
        """Return a worker that is coming up: the spare one if there is one, else a new one."""
        spare, self._spare = self._spare, None
        return spare or Hatchling(self)

    def keep_spare(self) -> None:
        """See that a worker comes up for whoever takes this supervisor next."""
        if self._spare is None:
            self._spare = Hatchling(self)

    def drop_spare(self) -> None:
        """End the spare worker, if there is one."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()

    def spawn(self, descriptors: Iterable[wire.Descriptor]) -> int:
        """Ask for a worker, and return its number; `pids[number]` is there some milliseconds later."""
        self._made += 1
        umask = os.umask(0o077)
        os.umask(umask)
        body = {
            "number": self._made,
            "directory": _directory(),
            "environment": dict(os.environ),
            "umask": umask,
        }
        descriptors = tuple(descriptors)
        self._writer.send(wire.frame(wire.SPAWN, body, len(descriptors)), descriptors)
        return self._made

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a worker and all of its group."""
        if self.lost:
            # Workers have ended with it; what they had started has not.  The number of a
            # group is nobody else's as long as there is anybody in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
            return
        self._writer.send(wire.frame(wire.SIGNAL, (pid, int(number))))

    def hear(self) -> None:
        """Take in what it has told."""
        try:
            self.lost = not self._reader.receive()
        except BlockingIOError:
            return
        for kind, body, _descriptors in self._reader.frames():
            if kind == wire.SPAWNED:
                self.pids[body[0]] = body[1]
                # The number of a worker that has ended may be a new one's.
                self.exits.pop(body[1], None)
            elif kind == wire.NOT_SPAWNED:
                self.refused[body[0]] = body[1]
            elif kind == wire.EXITED:
                self.exits[body[0]] = body[1]

    def wait_for(self, pids: Iterable[int], seconds: float = _PATIENCE_S) -> bool:
        """Wait until these workers have ended; whether they have, in this time."""
        wanted = set(pids)
        until = time.monotonic() + seconds
        self.socket.setblocking(True)
        try:
            while not wanted <= self.exits.keys() and not self.lost:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self.socket.settimeout(left)
                with contextlib.suppress(TimeoutError):
                    self.hear()
        finally:
            self.socket.setblocking(False)
        return True

    def pid_of(self, number: int) -> int | None:
        """The process id of a worker that was asked for, None if there is none; waits until it is known."""
        until = time.monotonic() + 60
        while (
            number not in self.pids
            and number not in self.refused
            and not self.lost
            and time.monotonic() < until
        ):
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                self.hear()
        self.socket.setblocking(False)
        return self.pids.get(number)

    def alive(self) -> bool:
        """Whether it still serves."""
        self.hear()
        return not self.lost and self.process.poll() is None

    def end(self) -> None:
        """End it; workers that it still has end with it."""
        self.socket.close()
        self._reader.close()
        notice = death_notice(self.process.pid)
        if notice is not None:
            # `wait` with a limit looks again and again, milliseconds apart.
            select.select([notice], (), (), _ENDS_S)
            os.close(notice)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.0 if notice is not None else _ENDS_S)
            return
        self.process.kill()
        self.process.wait()


class _Held:
    """A descriptor that is closed when nobody holds this any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class Hatchling:
    """A worker process that is coming up, and our ends of what we share with it.

    Attributes:
        supervisor: Whose child it is.
        number: What the supervisor calls it.
        data, control: The sockets.
        page: The shared page.
        pipes: The reading ends of what it writes to stdout and stderr.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        with contextlib.ExitStack() as undo:
            self.data, data = _pair(undo)
            self.control, control = _pair(undo)
            memory = _Held(anonymous_file("liteflow-page"))
            os.ftruncate(memory.descriptor, SIZE)
            self.page = Page(memory.descriptor)
            undo.callback(self.page.close)
            self.page.idle()
            out, out_end = _pipe(undo)
            err, err_end = _pipe(undo)
            self.pipes = (out, err)
            theirs = [data, control, memory, _Held(os.dup(out)), _Held(os.dup(err)), out_end, err_end]
            with contextlib.suppress(OSError):
                # It finds a directory that was moved or removed, too; if we may not open it, the name does.
                theirs.append(_Held(os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)))
            self.number = supervisor.spawn(theirs)
            undo.pop_all()

    def close(self) -> None:
        """Let go of everything that is shared with it; if it still runs, it ends by that."""
        self.data.close()
        self.control.close()
        self.page.close()
        for pipe in self.pipes:
            os.close(pipe)


def _pair(undo: contextlib.ExitStack) -> tuple[socket.socket, _Held]:
    ours, theirs = socket.socketpair()
    undo.callback(ours.close)
    ours.setblocking(False)
    return ours, _Held(theirs.detach())


def _pipe(undo: contextlib.ExitStack) -> tuple[int, _Held]:
    ours, theirs = os.pipe()
    undo.callback(os.close, ours)
    os.set_blocking(ours, False)
    return ours, _Held(theirs)


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  the text, as it is
    except OSError:
        return "a directory that has been removed"


_idle: list[Supervisor] = []
_guard = threading.Lock()
_registered = False


def warm() -> None:
    """See that a worker comes up for a run that is about to begin, while its flow is compiled."""
    with _guard:
        _register()
        # If it can't be had, the run itself will say so, or do without.
        with contextlib.suppress(OSError):
            if not (_idle and _idle[-1].alive()):
                _idle.append(Supervisor())
            _idle[-1].keep_spare()


def cool() -> None:
    """There will be no run after all: a worker that was to be ready for it is not needed."""
    with _guard:
        for supervisor in _idle:
            supervisor.drop_spare()


def take() -> Supervisor:
    """Return a supervisor for one run: one that is idle, or a new one."""
    with _guard:
        _register()
        while _idle:
            supervisor = _idle.pop()
            if supervisor.alive():
                return supervisor
            supervisor.end()
    return Supervisor()


def give_back(supervisor: Supervisor) -> None:
    """A run is over: keep its supervisor for the next one, if it has no workers left."""
    supervisor.drop_spare()
    with _guard:
        if not _idle and supervisor.alive():
            _idle.append(supervisor)
            return
    supervisor.end()


def _register() -> None:
    global _registered  # noqa: PLW0603  done once a process
    if not _registered:
        _registered = True
        atexit.register(_end_idle)
        os.register_at_fork(after_in_child=_forget)


def _end_idle() -> None:
    with _guard:
        while _idle:
            supervisor = _idle.pop()
            # It has nothing to tidy up, so nobody has to wait for it.
            supervisor.process.send_signal(signal.SIGKILL)
            supervisor.end()


def _forget() -> None:
    """In a forked child: they are the parent's."""
    while _idle:
        supervisor = _idle.pop()
        supervisor.socket.close()
        # The child must not wait for a process that is not its own.
        supervisor.process.returncode = 0
