"""Runs `liteflow`, or a script, by the hundred: each in a process of its own that starts at once.

    tests --words, folder, environment, streams--> template --fork--> python -m liteflow WORDS
          <--pid; at its end the exit status------                    or python SCRIPT WORDS

A new interpreter takes half a second before `liteflow` has read a word; a fork of one that has
imported it takes a hundredth.  What depends on how an interpreter starts (what it imports, its
streams' encoding, the first moments of a signal) is tested with real ones.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

LARGEST_REQUEST = 1 << 20


@dataclass(frozen=True)
class Request:
    """What is to run where.

    Args:
        what: `liteflow`, with words for it; or `script`, with its path and words for it.
        environment: All of it.
        memory: How much address space it may have, in bytes.
        powerless: Not as root.
        own_session: It leads a session, as what is started with `setsid` does.
    """

    what: str
    words: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]
    memory: int | None = None
    powerless: bool = False
    own_session: bool = False


class _Template:
    """The process that is forked; it ends when this one does, and what was forked of it does not."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_REQUEST)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("template.py")), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def close(self) -> None:
        self._control.close()
        self._process.wait()

    def fork(self, request: Request, streams: tuple[int, int, int]) -> tuple[int, socket.socket]:
        """Fork; return the process's id, and where its exit status will be told (-n: by signal n)."""
        told, tells = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with tells:
            text = json.dumps(vars(request)).encode()
            socket.send_fds(self._control, [text], [*streams, tells.fileno()])
        return int(told.recv(64)), told


@cache
def _template() -> _Template:
    made = _Template()
    atexit.register(made.close)
    return made


class Forked:
    """A process that was forked; to be used as `subprocess.Popen` of text is.

    Args:
        stdin, stdout, stderr: Descriptors; None for what is read here, and for nothing to read there.
    """

    def __init__(
        self,
        request: Request,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.args = [request.what, *request.words]
        self.returncode: int | None = None
        null = os.open(os.devnull, os.O_RDONLY)
        self.stdout, out = _caught(stdout)
        self.stderr, err = _caught(stderr)
        given = (null if stdin is None else stdin, out, err)
        self.pid, self._told = _template().fork(request, given)
        for descriptor in {null, out, err} - {stdout, stderr}:
            os.close(descriptor)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, these seconds at most; give the exit status."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                said = self._told.recv(64)
            except (BlockingIOError, TimeoutError):
                return None
            self._told.close()
            self.returncode = int(said)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as nothing can prevent."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; give what it has written to what is read here."""
        until = None if timeout is None else time.monotonic() + timeout
        said: dict[IO[str], bytes] = {s: b"" for s in (self.stdout, self.stderr) if s and not s.closed}
        with selectors.DefaultSelector() as ready:
            for stream in said:
                ready.register(stream, selectors.EVENT_READ, stream)
            while ready.get_map():
                found = ready.select(None if until is None else max(0.0, until - time.monotonic()))
                if not found:
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
                for key, _ in found:
                    piece = os.read(key.fd, 1 << 16)
                    said[key.data] += piece
                    if not piece:
                        ready.unregister(key.data)
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        for stream in said:
            stream.close()
        out, err = (_text(said.get(stream, b"")) for stream in (self.stdout, self.stderr))  # type: ignore[arg-type]
        return out, err


def _caught(descriptor: int | None) -> tuple[IO[str] | None, int]:
    if descriptor is not None:
        return None, descriptor
    ours, theirs = os.pipe()
    return os.fdopen(ours, encoding="utf-8", errors="surrogateescape"), theirs


def _text(said: bytes) -> str:
    return said.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
