"""Runs one command to its end, and nothing of it beyond: what it prints, how it ended.

In a worker process the command stays in the worker's process group, which the pool ends as
a whole: at a timeout, a cancel, or the driver's death.  Elsewhere (thread, inline) it gets a
group of its own, and its time is kept here.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO

from liteflow.system import death_notice

# The kernel takes no longer text in an environment or an argument list.
# Source: execve(2), "Limits on size of arguments and environment" (MAX_ARG_STRLEN, 32 pages).
LONGEST_TEXT = 131_071
# How often an end is looked for where the system has no notice of it.
_LOOK_EVERY_S = 0.05
# So much of stderr is kept for the error.
_LAST_WORDS = 4000


class Ended(NamedTuple):
    """How a command ended; `exit_code` is negative when a signal ended it."""

    exit_code: int
    stdout: bytes
    stderr: str


def in_worker() -> bool:
    """Whether this process is one of the pool's workers, whose group the pool ends."""
    # The driver never loads that module, and a worker leads the session it was given.
    return "liteflow.executor.process.worker" in sys.modules and os.getsid(0) == os.getpid()


def run_command(
    command: str | Sequence[str],
    *,
    cwd: str | None,
    environment: Mapping[str, str] | None,
    timeout: float | None,
) -> Ended:
    """Run a command, pass on what it prints while it runs, and return how it ended.

    It reads nothing: its stdin is empty.  What it has left in the background is not waited
    for.

    Args:
        command: A text for /bin/sh, or a program and its arguments.
        cwd: Its working directory; None: ours.
        environment: All of its environment; None: ours.
        timeout: Seconds, after which its group is killed; None for any time.

    Raises:
        TimeoutError: It took longer.
        OSError: It could not be started.
    """
    own_group = not in_worker()
    process = subprocess.Popen(
        command,
        shell=isinstance(command, str),
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Before the exec, or a kill of the group could come too early and find nobody.
        process_group=0 if own_group else None,
    )
    if own_group:
        _running.add(process.pid)
    try:
        listener = _Listener(process)
        listener.listen(None if timeout is None or not own_group else time.monotonic() + timeout)
        if listener.late:
            raise TimeoutError(f"the command ran for over {timeout:g} s")
        return Ended(process.wait(), b"".join(listener.stdout), listener.last_words())
    finally:
        if own_group:
            _end_group(process.pid)
            _running.discard(process.pid)
        else:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


class _Listener:
    """Reads both pipes until the command has ended; its children may hold them open for longer."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None and process.stderr is not None
        self.stdout: list[bytes] = []
        self.late = False
        self._stderr = b""
        self._process = process
        out, err = process.stdout.fileno(), process.stderr.fileno()
        self._echoes = {out: _Echo(sys.stdout), err: _Echo(sys.stderr)}
        self._out = out
        self._poll = select.poll()
        for pipe in (out, err):
            os.set_blocking(pipe, False)
            self._poll.register(pipe, select.POLLIN)

    def listen(self, deadline: float | None) -> None:
        notice = death_notice(self._process.pid)
        if notice is not None:
            self._poll.register(notice, select.POLLIN)
        try:
            while self._echoes:
                wait = None if deadline is None else deadline - time.monotonic()
                if wait is not None and wait <= 0:
                    self.late = True
                    return
                if notice is None:
                    wait = _LOOK_EVERY_S if wait is None else min(wait, _LOOK_EVERY_S)
                ready = [fd for fd, _ in self._poll.poll(None if wait is None else wait * 1000)]
                ended = notice in ready or (notice is None and self._process.poll() is not None)
                for pipe in [*self._echoes] if ended else ready:
                    if pipe in self._echoes:
                        self._read(pipe, all_of_it=ended)
                if ended:
                    return
            self._outlast(deadline)
        finally:
            if notice is not None:
                os.close(notice)
            for echo in self._echoes.values():
                echo.write(b"", final=True)

    def last_words(self) -> str:
        return self._stderr.decode("utf-8", "replace")

    def _outlast(self, deadline: float | None) -> None:
        """It has closed both pipes and runs on."""
        try:
            self._process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.late = True

    def _read(self, pipe: int, *, all_of_it: bool) -> None:
        while True:
            try:
                data = os.read(pipe, 65536)
            except BlockingIOError:
                return
            if not data:
                self._poll.unregister(pipe)
                self._echoes.pop(pipe).write(b"", final=True)
                return
            self._echoes[pipe].write(data)
            if pipe == self._out:
                self.stdout.append(data)
            else:
                self._stderr = (self._stderr + data)[-_LAST_WORDS:]
            if not all_of_it:
                return


class _Echo:
    """Passes bytes on to a stream of text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: bytes, *, final: bool = False) -> None:
        text = self._decoder.decode(data, final)
        if text:
            self._stream.write(text)


_running: set[int] = set()


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # So it is with most: nobody was left.
        return


@atexit.register
def _end_all() -> None:
    """A program that ends while threads still run commands takes them along."""
    for pid in list(_running):
        _end_group(pid)
