"""The process that workers are forked from, and that ends them: one thread, nothing of the user's.

    driver --exec--> supervisor --fork--> worker, worker, ...

Why not straight from the driver: a fork of a program with threads and open connections can
hang or damage them, and an exec costs 50 ms of imports each time.  The supervisor is clean,
has imported what every worker needs, and forks a worker in a few milliseconds: also when one
has died, and for each further run of the same program.

It is there as long as the driver is: at the end of its socket it kills all workers, with all
that is left of what they had started.  A process that has left its worker's session is a stranger
here: it becomes the supervisor's own child when its worker has ended, and ends with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any, NoReturn

from liteflow.executor.process import wire, worker
from liteflow.system import adopt_orphans, children, death_notice, end_group, taken_status

# With nothing to do for this long, it ends; the next run starts another one.
IDLE_S = 2.0

# Where no notice of the driver's death is to be had, it is looked at so often.
_LOOK_MS = 500.0
# What workers leave behind is gone within this time, unless the kernel itself is stuck with it.
_STRANGERS_S = 1.0

# What the functions of most programs need: cloudpickle if they are the script's own, and if
# they are a module's, what that module imports of ours.
_WARMING = ("cloudpickle", "attrs", "liteflow.task", "liteflow.flow")


def main(number: int, parent: int) -> NoReturn:
    """Serve the driver.

    Args:
        number: Descriptor of the socket to it.
        parent: Its process id.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the driver's thread has blocked would be blocked in all that tasks start.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    adopt_orphans()
    _Supervisor(socket.socket(fileno=number), parent).run()


class _Supervisor:
    def __init__(self, driver: socket.socket, parent: int) -> None:
        self._driver = driver
        self._parent = parent
        self._reader = wire.Reader(driver)
        self._children: set[int] = set()
        self._idle_since = time.monotonic()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(driver, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        # A child that the driver forked may hold the other end of our socket open for longer
        # than the driver lives.  (No PDEATHSIG: it follows the thread that started us.)
        self._notice = death_notice(parent)
        if self._notice is not None:
            self._poll.register(self._notice, select.POLLIN)

    def run(self) -> NoReturn:
        cold = list(_WARMING)
        while True:
            # The first worker does not wait until all is imported; those after it find it there.
            ready = dict(self._poll.poll(0 if cold else self._patience()))
            if self._notice in ready or (self._notice is None and os.getppid() != self._parent):
                self._end()
            if self._driver.fileno() in ready:
                if not self._reader.receive():
                    self._end()
                for kind, body, descriptors in self._reader.frames():
                    if kind == wire.SPAWN:
                        self._spawn(body, descriptors)
                    elif kind == wire.SIGNAL:
                        self._signal(*body)
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
                self._reap()
            if ready:
                continue
            if cold:
                importlib.import_module(cold.pop(0))
                gc.freeze()
            elif not self._children and time.monotonic() >= self._idle_since + IDLE_S:
                self._end()

    def _patience(self) -> float | None:
        """How long to wait for the driver, in milliseconds."""
        if self._children:
            return _LOOK_MS if self._notice is None else None
        return max(0.0, self._idle_since + IDLE_S - time.monotonic()) * 1000

    def _spawn(self, body: dict[str, Any], descriptors: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            # Before its sockets close: that alone would be the end of a worker.
            self._tell(wire.NOT_SPAWNED, (body["number"], error.strerror or type(error).__name__))
            for descriptor in descriptors:
                os.close(descriptor)
            return
        if pid == 0:
            try:
                self._become_worker(body, descriptors)
            except BaseException:  # noqa: BLE001  its last words, which the driver will read
                traceback.print_exc()
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children.add(pid)
        self._tell(wire.SPAWNED, (body["number"], pid))

    def _become_worker(self, body: dict[str, Any], descriptors: list[int]) -> NoReturn:
        # A session of its own, before anything else: from here on its group can be killed.
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._driver.close()
        if self._notice is not None:
            os.close(self._notice)
        os.close(self._wake)
        os.close(self._waker)
        data, control, page, out, err, out_end, err_end, *home = descriptors
        os.dup2(out_end, 1)
        os.dup2(err_end, 2)
        os.close(out_end)
        os.close(err_end)
        os.environ.clear()
        os.environ.update(body["environment"])
        os.umask(body["umask"])
        try:
            os.chdir(home[0] if home else body["directory"])
        except OSError as error:
            print(f"can't work in {body['directory']}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        for descriptor in home:
            os.close(descriptor)
        worker.main(data, control, page, (out, err), os.getppid())

    def _signal(self, pid: int, number: int) -> None:
        # Only while we have not reaped it: its number can't be another's then.
        if pid in self._children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _reap(self) -> None:
        def end_what_it_started(pid: int) -> None:
            if pid in self._children:
                end_group(pid)

        exits = []
        while (ended := taken_status(end_what_it_started)) is not None:
            if ended[0] in self._children:
                self._children.discard(ended[0])
                self._idle_since = time.monotonic()
                exits.append(ended)
        if exits:
            # An end is told when nothing is left of what has ended.
            self._end_strangers()
        for exited in exits:
            self._tell(wire.EXITED, exited)

    def _end_strangers(self) -> None:
        """End what workers that are gone have left behind, and what that leaves behind."""
        until = time.monotonic() + _STRANGERS_S
        while strangers := [pid for pid in children() if pid not in self._children]:
            for pid in strangers:
                # Our child, so its number is its own until we wait for it.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() >= until:
                # Another look follows the next end of one of them.
                return
            select.select([], [], [], 0.001)

    def _tell(self, kind: int, body: Any) -> None:
        try:
            self._driver.sendall(wire.frame(kind, body))
        except OSError:
            self._end()

    def _end(self) -> NoReturn:
        """The driver is gone or has no work: take the workers along, and what they leave behind."""
        for pid in self._children:
            end_group(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._children.clear()
        self._end_strangers()
        os._exit(0)
