"""Runs one command to its end, and nothing of it beyond: what it prints, how it ended.

In a worker process the command stays in the worker's process group, which the pool ends as
a whole: at a timeout, a cancel, or the driver's death; so it is in an annex.  Elsewhere (thread,
inline) it gets a group of its own, its time is kept here, and a watcher ends it if we are killed.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self, TextIO

from liteflow.executor.watched import Watched, watched
from liteflow.system import child_ended, death_notice, end_group

# The kernel takes no longer text in an environment or an argument list.
# Source: execve(2), "Limits on size of arguments and environment" (MAX_ARG_STRLEN, 32 pages).
LONGEST_TEXT = 131_071
# How often an end is looked for where the system has no notice of it.
_LOOK_EVERY_S = 0.05
_SHORTEST_LOOK_S = 0.0005
# A command that closes its pipes within this time needs no notice: that is nearly all that end so soon.
_BRIEF_S = 0.005
# What a pipe holds, unless somebody asks for more.  Source: pipe(7), "Pipe capacity".
_PIPE_BYTES = 65536
# So much of stderr is kept for the error.
_LAST_WORDS = 4000


class Ended(NamedTuple):
    """How a command ended; `exit_code` is negative when a signal ended it."""

    exit_code: int
    stdout: bytes
    stderr: str


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
    groups = watched()
    # Our own pipes: Popen would make files of its, which takes longer than the reading does.
    with _Pipe(sys.stdout) as out, _Pipe(sys.stderr) as err:
        process, place = None, -1 if groups is None else groups.enter()
        try:
            process = subprocess.Popen(
                command,
                shell=isinstance(command, str),
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out.writing,
                stderr=err.writing,
                # Before the exec, or a kill of the group could come too early and find nobody.
                process_group=None if groups is None else 0,
            )
            if groups is not None:
                groups.started(place, process.pid)
            deadline = None if timeout is None or groups is None else time.monotonic() + timeout
            listener = _Listener(process, out, err)
            listener.listen(deadline)
        finally:
            _end(process, groups, place)
        if listener.late:
            raise TimeoutError(f"the command ran for over {timeout:g} s")
        return Ended(process.returncode, b"".join(out.data), listener.last_words())


def _end(process: subprocess.Popen[bytes] | None, groups: Watched | None, place: int) -> None:
    """End what is left of a command, and take its status."""
    if process is not None and groups is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    elif process is not None:
        end_group(process.pid)
    if groups is not None:
        # Before it is waited for: from then on, its number may be another's.
        groups.leave(place)
    if process is not None:
        process.wait()


class _Pipe:
    """What a command writes, passed on to a stream of text.

    Attributes:
        reading, writing: Its ends; -1 when closed.
        data: What has come, if it is kept.
    """

    __slots__ = ("_decoder", "_stream", "data", "reading", "writing")

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder: codecs.IncrementalDecoder | None = None
        self.data: list[bytes] = []
        self.reading, self.writing = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_how: object) -> None:
        self.close_writing()
        os.close(self.reading)

    def close_writing(self) -> None:
        """The command has its end."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def echo(self, data: bytes, *, final: bool = False) -> None:
        if self._decoder is None:
            if not data:
                # Most commands are silent on one of their two.
                return
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = self._decoder.decode(data, final)
        if text:
            self._stream.write(text)


class _Listener:
    """Reads both pipes until the command has ended; its children may hold them open for longer."""

    def __init__(self, process: subprocess.Popen[bytes], out: _Pipe, err: _Pipe) -> None:
        self.late = False
        self._process = process
        self._out = out
        self._last_words = b""
        self._pipes = {pipe.reading: pipe for pipe in (out, err)}
        self._poll = select.poll()
        for pipe in (out, err):
            pipe.close_writing()
            self._poll.register(pipe.reading, select.POLLIN)

    def listen(self, deadline: float | None) -> None:
        brief_until = time.monotonic() + _BRIEF_S
        notice, asked = None, False
        try:
            while self._pipes:
                wait = None if deadline is None else deadline - time.monotonic()
                if wait is not None and wait <= 0:
                    self.late = True
                    return
                if notice is None:
                    look = _LOOK_EVERY_S if asked else _BRIEF_S
                    wait = look if wait is None else min(wait, look)
                ready = [fd for fd, _ in self._poll.poll(None if wait is None else wait * 1000)]
                if notice in ready or (notice is None and asked and self._has_ended()):
                    self._read_what_is_there()
                    return
                for number in ready:
                    self._read(number)
                if not asked and self._pipes and time.monotonic() >= brief_until:
                    asked, notice = True, death_notice(self._process.pid)
                    if notice is not None:
                        self._poll.register(notice, select.POLLIN)
            self._outlast(deadline)
        finally:
            if notice is not None:
                os.close(notice)
            for pipe in self._pipes.values():
                pipe.echo(b"", final=True)

    def last_words(self) -> str:
        return self._last_words.decode("utf-8", "replace")

    def _outlast(self, deadline: float | None) -> None:
        """It has closed both pipes; most that do so end at once, others run on."""
        if deadline is None:
            if child_ended(self._process.pid, wait=True) is None:
                self._process.wait()
            return
        wait = _SHORTEST_LOOK_S
        while not self._has_ended():
            left = deadline - time.monotonic()
            if left <= 0:
                self.late = True
                return
            time.sleep(min(wait, left))
            wait = min(2 * wait, _LOOK_EVERY_S)

    def _has_ended(self) -> bool:
        ended = child_ended(self._process.pid)
        return self._process.poll() is not None if ended is None else ended

    def _read_what_is_there(self) -> None:
        """Once: a pipe holds no more than one read takes, and who is left behind may write for ever."""
        for number, _ in self._poll.poll(0):
            if number in self._pipes:
                self._read(number)

    def _read(self, number: int) -> None:
        """Read what a pipe has, which is ready: so this does not wait."""
        pipe, data = self._pipes[number], os.read(number, _PIPE_BYTES)
        pipe.echo(data, final=not data)
        if not data:
            self._poll.unregister(number)
            del self._pipes[number]
        elif pipe is self._out:
            pipe.data.append(data)
        else:
            self._last_words = (self._last_words + data)[-_LAST_WORDS:]
