"""What the executors share whose workers are not liteflow's own: one attempt, and what it prints.

A print of a task goes where it would have gone anyway, and is kept besides: while calls
run, `sys.stdout` and `sys.stderr` are stand-ins that know whose call writes.  In a process of
somebody's pool it is kept alone, for the driver prints it.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TextIO

from liteflow.executor import attempt
from liteflow.executor.base import Call, Failed, Finished, Line, Work
from liteflow.executor.link import AttemptLink
from liteflow.executor.payload import Large, elsewhere, stored_facts
from liteflow.signing import ELSEWHERE, Seal
from liteflow.system import not_shown, say, show
from liteflow.xcom import LARGE, Encoded

if TYPE_CHECKING:
    # Start-up: few runs have any.
    from liteflow.secret import Mask

_MAX_LINES = 100_000
# Calls find out at once that a stream can't be written, and it is said once.
_losing = threading.Lock()
# Of the runs that go on in this process: to make one costs more than what it makes for one value.
_seal = lru_cache(maxsize=4)(Seal)


class _Notes:
    """What one attempt has written so far.

    `tell` gets each line as it comes; without, they are kept.  `quiet`: nobody else is to see it here.
    `mask`: others see whole lines, without what it hides.
    """

    def __init__(
        self, node: int, number: int, tell: Callable[[Line], None] | None, quiet: bool, mask: Mask | None
    ) -> None:
        self.lines: list[Line] = []
        self._tell = tell or self.lines.append
        self._count = 0
        self.quiet = quiet
        self.mask = mask
        self._node = node
        self._number = number
        self._rest = {"stdout": "", "stderr": ""}

    def write(self, stream: str, text: str) -> list[str]:
        """Keep a text; returns the lines that have become whole."""
        *lines, rest = (self._rest[stream] + text).split("\n")
        for line in lines:
            self.add(stream, line + "\n")
        self._rest[stream] = rest
        return lines

    def unended(self) -> dict[str, str]:
        """What each stream has of a line that has not ended."""
        return self._rest

    def add(self, stream: str, text: str) -> None:
        if self._count < _MAX_LINES:
            self._count += 1
            storable = text.encode("utf-8", "backslashreplace").decode("utf-8")
            self._tell(Line(self._node, self._number, time.time_ns() // 1000, stream, storable))

    def finish(self) -> list[Line]:
        for stream, rest in self._rest.items():
            if rest:
                self.add(stream, rest)
        return self.lines


_writing: ContextVar[_Notes | None] = ContextVar("liteflow_writing", default=None)


@contextmanager
def unheard() -> Iterator[None]:
    """Within this, what this context prints is no attempt's."""
    token = _writing.set(None)
    try:
        yield
    finally:
        _writing.reset(token)


class _Nowhere(io.TextIOBase):
    """Where the output of a program goes that has none: Python has None there, which can't be written to."""

    def write(self, text: str) -> int:
        return len(text)


class _Tee(io.TextIOBase):
    """Stands for a stream, or for none: passes all on, and keeps what a call writes."""

    def __init__(self, name: str, stream: TextIO | None) -> None:
        self._name = name
        self._before = stream
        self._stream: Any = _Nowhere() if stream is None else stream
        # Whether it could not be written since it was taken into use.
        self._lost = False

    def write(self, text: str) -> int:
        notes = _writing.get()
        if notes is not None:
            lines = notes.write(self._name, text)
            if notes.quiet:
                return len(text)
            if notes.mask is not None:
                # A secret may come in two writes.
                text = "".join([notes.mask.text(line) + "\n" for line in lines])
            self._pass_on(text)
            return len(text)
        written: int = self._stream.write(text)
        return written

    def renew(self) -> None:
        """Runs begin to use it, or use it again."""
        self._lost = False

    def stands_for(self, name: str, stream: TextIO | None) -> bool:
        """Whether it is the stand-in of this stream."""
        return self._name == name and self._before is stream

    def show_rest(self, notes: _Notes, mask: Mask) -> None:
        """An attempt has ended, perhaps within a line."""
        self._pass_on(mask.text(notes.unended()[self._name]))

    def flush(self) -> None:
        if _writing.get() is None:
            self._stream.flush()
        else:
            self._pass_on("", flush=True)

    def _pass_on(self, text: str, *, flush: bool = False) -> None:
        """Show what a call writes; as in a worker process, that a stream can't fails no task."""
        if self._lost:
            return
        try:
            show(self._stream, text)
            if flush:
                self._stream.flush()
        except (OSError, ValueError) as error:
            with _losing:
                first, self._lost = not self._lost, True
            if first:
                say(not_shown(error), Hearing.stderr())

    def __del__(self) -> None:
        """Nothing is left to flush: the stream is another's, and may be closed by now."""

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

    # Several threads may run flows, and so may those of a pool's worker.
    _lock = threading.Lock()
    _open = 0
    _before: tuple[TextIO | None, TextIO | None] | None = None
    # `print` holds no reference to the stream that it writes to (CPython's issue 130163).  So one that
    # another thread puts away must not be freed while it prints: it is used again, the last ones are kept.
    _stand_ins: Final[deque[_Tee]] = deque(maxlen=8)
    _handler: _Handler | None = None

    @classmethod
    def start(cls) -> None:
        """Put the stand-ins in place; several runs at once share them."""
        with cls._lock:
            cls._open += 1
            if cls._open == 1:
                cls._before = sys.stdout, sys.stderr
                sys.stdout, sys.stderr = (
                    cls._stand_in("stdout", sys.stdout),
                    cls._stand_in("stderr", sys.stderr),
                )
                cls._handler = _Handler()
                cls._handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
                logging.getLogger().addHandler(cls._handler)

    @classmethod
    def _stand_in(cls, name: str, stream: TextIO | None) -> _Tee:
        known = next((tee for tee in cls._stand_ins if tee.stands_for(name, stream)), None)
        if known is None:
            known = _Tee(name, stream)
            cls._stand_ins.append(known)
        known.renew()
        return known

    @classmethod
    def stderr(cls) -> TextIO | None:
        """The stream that the stand-in for stderr stands for."""
        return None if cls._before is None else cls._before[1]

    @classmethod
    def stop(cls) -> None:
        """Put back what was there."""
        with cls._lock:
            cls._open -= 1
            if cls._open == 0 and cls._before is not None and cls._handler is not None:
                if isinstance(sys.stdout, _Tee):
                    sys.stdout = cls._before[0]
                if isinstance(sys.stderr, _Tee):
                    sys.stderr = cls._before[1]
                logging.getLogger().removeHandler(cls._handler)


def _renew_lock() -> None:
    # A pool may fork while another thread holds it.
    Hearing._lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class Attempt:
    """One attempt of this process: when it began, what it writes, what comes of it.

    Args:
        work: What the run's executors share.
        call: The call.
        worker: What is to be known as its worker.
        tell: Gets each line that it writes, as it comes; None: `lines` gives them, when it has ended.
        quiet: Whether this is another process than the driver's, where what it prints is not to be seen.
    """

    def __init__(
        self,
        work: Work,
        call: Call,
        worker: str,
        *,
        tell: Callable[[Line], None] | None = None,
        quiet: bool = False,
    ) -> None:
        self.function = work.functions[call.function]
        self.call = call
        self._work = work
        self._worker = worker
        # What calls that it returns are to run: here the driver can take the functions themselves.
        self._keep = None if quiet else work.keep
        self._notes = _Notes(call.node, call.attempt, tell, quiet, work.mask)
        self._started_ns = time.monotonic_ns()

    def listen(self) -> Token[_Notes | None]:
        """From here on, what this context prints is this attempt's; give the token to `unheard`."""
        return _writing.set(self._notes)

    def unheard(self, token: Token[_Notes | None]) -> None:
        """The end of what `listen` began."""
        _writing.reset(token)

    def perform(self, link: AttemptLink | None = None) -> Finished:
        """Make the attempt, in this thread; what the task raises is raised.

        Args:
            link: The way to the driver; None: it has none.
        """
        call, keep = self.call, self._keep
        given = (call.args, call.kwargs, self._value_of)
        return self._gave(attempt.perform(self.function, *given, live=keep, link=link))

    def begun(self, link: AttemptLink | None = None) -> Any:
        """Call the function; of a coroutine function this gives the coroutine; `link` as for `perform`."""
        return attempt.begun(self.function, self.call.args, self.call.kwargs, self._value_of, link)

    def completed(self, value: Any) -> Finished:
        """What was begun has given this value."""
        return self._gave(attempt.completed(self.function, value, self._keep))

    def raised(self, error: BaseException) -> Failed:
        """It has raised this."""
        since, took = self._times()
        failure = attempt.failure_of(error, self.function)
        return Failed(self.call.node, self.call.attempt, since, took, attempt.outcome_of(error), *failure)

    def lines(self) -> list[Line]:
        """What it has written, and nobody has been told of."""
        notes = self._notes
        if notes.mask is not None and not notes.quiet:
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, _Tee):
                    stream.show_rest(notes, notes.mask)
        return notes.finish()

    def _value_of(self, source: int) -> Any:
        return self._work.payload_of(source).value()

    def _gave(self, encoded: Encoded) -> Finished:
        if self._work.storage is not None:
            encoded = elsewhere(encoded, self._work.storage, self.function.name)
        since, took = self._times()
        data: bytes | Large
        if encoded.size <= LARGE or ELSEWHERE in encoded.codec:
            data = b"".join(encoded.parts)
        else:
            data = Large.written(encoded.parts, encoded.size)
        first_row, key = self._work.place()
        node, number = self.call.node, self.call.attempt
        facts = stored_facts(encoded, _seal(key), node, number)
        return Finished(first_row + node, number, since, took, self._worker, *facts, data)

    def _times(self) -> tuple[int, int]:
        since_ns = self._started_ns - self._work.epoch_ns
        return since_ns // 1000, (time.monotonic_ns() - self._started_ns) // 1000


def attempt_here(
    work: Work,
    call: Call,
    worker: str,
    passing: type[BaseException] | tuple[()],
    *,
    link: AttemptLink | None = None,
    tell: Callable[[Line], None] | None = None,
    quiet: bool = False,
) -> tuple[Finished | Failed, list[Line]]:
    """Run one call in this thread.

    Args:
        work, call, worker, tell, quiet: As for `Attempt`.
        link: The attempt's way to the driver; None: it has none.
        passing: Exceptions that are not the task's outcome but the user's wish (Ctrl-C).
    """
    one = Attempt(work, call, worker, tell=tell, quiet=quiet)
    token = one.listen()
    outcome: Finished | Failed
    try:
        outcome = one.perform(link)
    except passing:
        raise
    except BaseException as error:  # noqa: BLE001  whatever a task raises is its outcome
        outcome = one.raised(error)
    finally:
        one.unheard(token)
    return outcome, one.lines()
