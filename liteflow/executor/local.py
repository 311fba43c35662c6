"""What the executors inside the driver's process share: one attempt, and what it prints.

A print of a task goes where it would have gone anyway, and is kept besides: while calls
run, `sys.stdout` and `sys.stderr` are stand-ins that know whose call writes.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TextIO

from liteflow.executor import attempt
from liteflow.executor.base import Call, Failed, Finished, Line, Work
from liteflow.executor.payload import Large, stored_facts
from liteflow.signing import Seal
from liteflow.xcom import LARGE

_MAX_LINES = 100_000
# Of the runs that go on in this process: to make one costs more than what it makes for one value.
_seal = lru_cache(maxsize=4)(Seal)


class _Notes:
    """What one attempt has written so far."""

    def __init__(self, node: int, number: int) -> None:
        self.lines: list[Line] = []
        self._node = node
        self._number = number
        self._rest = {"stdout": "", "stderr": ""}

    def write(self, stream: str, text: str) -> None:
        *lines, rest = (self._rest[stream] + text).split("\n")
        for line in lines:
            self.add(stream, line + "\n")
        self._rest[stream] = rest

    def add(self, stream: str, text: str) -> None:
        if len(self.lines) < _MAX_LINES:
            storable = text.encode("utf-8", "backslashreplace").decode("utf-8")
            self.lines.append(Line(self._node, self._number, time.time_ns() // 1000, stream, storable))

    def finish(self) -> list[Line]:
        for stream, rest in self._rest.items():
            if rest:
                self.add(stream, rest)
        return self.lines


_writing: ContextVar[_Notes | None] = ContextVar("liteflow_writing", default=None)


class _Tee(io.TextIOBase):
    """Stands for a stream: passes all on, and keeps what a call writes."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name = name
        self._stream = stream

    def write(self, text: str) -> int:
        notes = _writing.get()
        if notes is not None:
            notes.write(self._name, text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        notes = _writing.get()
        if notes is not None:
            try:
                for line in self.format(record).splitlines():
                    notes.add("log", line + "\n")
            except Exception:  # noqa: BLE001  as logging's own handlers do: a bad record fails no task
                self.handleError(record)


class Hearing:
    """Listens to what calls of this process print and log, from `start` to `stop`."""

    _open = 0
    _before: tuple[TextIO, TextIO] | None = None
    _handler: _Handler | None = None

    @classmethod
    def start(cls) -> None:
        """Put the stand-ins in place; several runs at once share them."""
        cls._open += 1
        if cls._open == 1:
            cls._before = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = _Tee("stdout", sys.stdout), _Tee("stderr", sys.stderr)
            cls._handler = _Handler()
            cls._handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
            logging.getLogger().addHandler(cls._handler)

    @classmethod
    def stop(cls) -> None:
        """Put back what was there."""
        cls._open -= 1
        if cls._open == 0 and cls._before is not None and cls._handler is not None:
            if isinstance(sys.stdout, _Tee):
                sys.stdout = cls._before[0]
            if isinstance(sys.stderr, _Tee):
                sys.stderr = cls._before[1]
            logging.getLogger().removeHandler(cls._handler)


def attempt_here(
    work: Work, call: Call, worker: str, passing: type[BaseException] | tuple[()]
) -> tuple[Finished | Failed, list[Line]]:
    """Run one call in this thread.

    Args:
        work: What the run's executors share.
        call: The call.
        worker: What this thread is called.
        passing: Exceptions that are not the task's outcome but the user's wish (Ctrl-C).
    """
    function = work.functions[call.function]
    notes = _Notes(call.node, call.attempt)
    token = _writing.set(notes)
    started_ns = time.monotonic_ns()
    since = (started_ns - work.epoch_ns) // 1000
    outcome: Finished | Failed
    try:
        encoded = attempt.perform(function, call.args, call.kwargs, lambda s: work.payload_of(s).value())
        took = (time.monotonic_ns() - started_ns) // 1000
        data: bytes | Large
        if encoded.size <= LARGE:
            data = b"".join(encoded.parts)
        else:
            data = Large.written(encoded.parts, encoded.size)
        first_row, key = work.place()
        facts = stored_facts(encoded, _seal(key), call.node, call.attempt)
        outcome = Finished(first_row + call.node, call.attempt, since, took, worker, *facts, data)
    except passing:
        raise
    except BaseException as error:  # noqa: BLE001  whatever a task raises is its outcome
        failure = attempt.failure_of(error, function)
        took = (time.monotonic_ns() - started_ns) // 1000
        outcome = Failed(call.node, call.attempt, since, took, "failed", *failure)
    finally:
        _writing.reset(token)
    return outcome, notes.finish()
