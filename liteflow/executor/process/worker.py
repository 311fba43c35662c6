"""The worker's side of the pool: read calls, run them, send what came of them.

    main thread     data socket -> pending -> one call after the other -> outbox -> data socket
    control thread  control socket: give back what has not started; its end: die with the driver
                    pipes: what a long call prints, and that it has given a chunk

A worker is forked by the supervisor into a session of its own.  It has two sockets to the driver
and shares nothing else with anybody but its page, so its death can't hurt another.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from itertools import count
from typing import Any, NoReturn

from liteflow import pickling
from liteflow.executor import attempt
from liteflow.executor.link import AttemptLink, Chunk, Gathering, Reply, Request
from liteflow.executor.payload import Large, Payload, elsewhere, stored_facts
from liteflow.executor.process import wire
from liteflow.executor.process.capture import Capture
from liteflow.executor.process.page import Page
from liteflow.executor.process.state import LONG_NS, State
from liteflow.function import Function
from liteflow.signing import ELSEWHERE, Seal
from liteflow.system import adopt_orphans, children, end_with_parent
from liteflow.xcom import LARGE, Encoded

# Outcomes of short calls are sent together, but none waits longer than this.
_HOLD_NS = 5_000_000
# A worker with more children than this looks, so often, whether some have ended and nobody asks.
_MANY_CHILDREN = 100
_TIDY_NS = 1_000_000_000
# While a call prints, its lines are sent this often.
_LINES_EVERY_S = 0.02

_WireCall = tuple[int, int, int, tuple[Any, ...], dict[str, Any] | None, int]


def main(data: int, control: int, page: int, pipes: tuple[int, int], parent: int) -> NoReturn:
    """Run calls until the driver is done, or gone.

    Args:
        data: Descriptor of the socket for calls and outcomes.
        control: Descriptor of the socket whose end means that the driver is gone.
        page: Descriptor of the shared page.
        pipes: The reading ends of the pipes that stdout and stderr lead to.
        parent: The driver's process id.
    """
    global is_running  # noqa: PLW0603  it is the process's own
    is_running = True
    # Ctrl-C is the driver's matter.  Not SIG_IGN: programs that tasks start would ignore it, too.
    signal.signal(signal.SIGINT, _unheeded)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.register_at_fork(after_in_child=_in_fork)
    end_with_parent(parent)
    # What leaves our session is still ours, and is ended with us.
    adopt_orphans()
    faulthandler.enable(2, all_threads=False)
    capture = Capture(pipes, (data, control))
    _Worker(socket.socket(fileno=data), socket.socket(fileno=control), Page(page), capture).run()


def _unheeded(_number: int, _frame: object) -> None:
    pass


# Whether this is a worker, or a copy of one.
is_running = False
# Whether this is a copy of a worker, which a task has forked (to ask for the process id is a system call).
_forked = False


def _in_fork() -> None:
    """A child that a task forks is no worker, and can be interrupted, as its own would be."""
    global _forked  # noqa: PLW0603  it is the process's own
    _forked = True
    if signal.getsignal(signal.SIGINT) is _unheeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Worker:
    def __init__(self, data: socket.socket, control: socket.socket, page: Page, capture: Capture) -> None:
        self._data = data
        self._control = control
        self._page = page
        self._capture = capture
        self._reader = wire.Reader(data)
        self._sending = threading.Lock()
        self._taking = threading.Lock()
        # A byte tells the control thread that a chunk waits to be sent.
        self._nudged, self._nudge = os.pipe()
        self._state = State()
        # Makes an attempt; where large values go elsewhere, they have gone when it is made.
        self._perform: Callable[..., Encoded] = attempt.perform
        self._tidy_at = 0
        self._began_ns = 0
        self._pid = os.getpid()
        self._epoch_ns = 0
        self._first_row = 0
        self._seal = Seal(b"")
        self._name = f"process-{self._pid}"
        # Calls that have come and not started; whoever pops one has it (popping is atomic).
        self._pending: deque[tuple[dict[int, Any], _WireCall]] = deque()
        self._last_read = 0
        self._recalled = 0
        self._functions: dict[int, bytes | Function] = {}
        self._large: dict[int, Payload] = {}
        self._small: dict[int, Any] = {}
        # The GPUs of calls that have some of their own, by node.
        self._gpus: dict[int, str] = {}
        self._outbox: deque[tuple[bool, tuple[Any, ...], Large | None]] = deque()
        # The last call that succeeded, and its value: the next one may run behind it.
        self._last = -1
        self._last_payload: Payload | None = None
        self._unmet: deque[int] = deque()
        self._chunks = Gathering()
        # What calls have asked and is not answered; any thread of a call may ask, one reads.
        self._numbers = count()
        self._replies: dict[int, Reply] = {}
        self._turn = threading.Condition()
        self._somebody_reads = False

    def run(self) -> NoReturn:
        """Serve until the driver is gone, or a task has closed our descriptors: then nobody can be served."""
        threading.Thread(target=self._control_thread, name="liteflow-control", daemon=True).start()
        try:
            self._serve()
        except OSError:
            os._exit(1)

    def _serve(self) -> NoReturn:
        self._send(wire.frame(wire.HELLO, (self._pid,)))
        sent_ns = time.monotonic_ns()
        while True:
            try:
                values, call = self._pending.popleft()
            except IndexError:
                # Idle only when all is told: if that fails, the last call is to blame.
                self._flush()
                self._page.idle()
                self._receive()
                sent_ns = time.monotonic_ns()
                continue
            if call[5] >= 0 and call[5] != self._last:
                # What it was to run behind has failed.
                self._unmet.append(call[0])
                continue
            self._small = values
            if self._gpus and call[0] in self._gpus:
                self._attempt_with_gpus(call)
            ended_ns = self._attempt(call)
            state = self._state
            if state.renew is not None:
                state.renew()
            if state.touched or ended_ns >= state.look_at or ended_ns - self._began_ns >= LONG_NS:
                self._tidy(ended_ns)
            if ended_ns - sent_ns > _HOLD_NS and self._pending:
                self._flush()
                sent_ns = ended_ns

    # --- the main thread -------------------------------------------------------------------

    def _attempt(self, call: _WireCall) -> int:
        node, number, function_number, args, kwargs, _behind = call
        started_ns = time.monotonic_ns()
        self._page.running(node, number, started_ns)
        self._capture.begin(node, number)
        function: Function | None = None
        try:
            function = self._function(function_number)
            # What the first call of a function imports is not the call's own time.
            self._began_ns = started_ns = time.monotonic_ns()
            talks = function.streams or function.context is not None
            link = AttemptLink(node, number, partial(self._ask, node, number), self._give) if talks else None
            # What it sets of context variables (decimal's context, say) is its own.
            encoded = copy_context().run(self._perform, function, args, kwargs, self._value, None, link)
            self._be_the_worker()
        except BaseException as error:  # noqa: BLE001  whatever a task raises is its outcome
            self._be_the_worker()
            ended, failure = attempt.outcome_of(error), attempt.failure_of(error, function)
            del error
            self._capture.end()
            ended_ns = time.monotonic_ns()
            times = ((started_ns - self._epoch_ns) // 1000, (ended_ns - started_ns) // 1000)
            outcome = (node, number, *times, ended, *failure)
            self._last = -1
            self._outbox.append((False, outcome, None))
            return ended_ns
        self._capture.end()
        ended_ns = time.monotonic_ns()
        started, took = (started_ns - self._epoch_ns) // 1000, (ended_ns - started_ns) // 1000
        facts = stored_facts(encoded, self._seal, node, number)
        row = (self._first_row + node, number, started, took, self._name, *facts)
        # What goes on as other calls has no value that one behind it could take.
        self._last = node if encoded.codec != "growth" else -1
        if encoded.size <= LARGE or ELSEWHERE in encoded.codec:
            data = encoded.parts[0] if len(encoded.parts) == 1 else b"".join(encoded.parts)
            self._last_payload = Payload(encoded.codec, data)  # type: ignore[arg-type]
            self._outbox.append((True, (*row, data), None))
        else:
            large = Large.written(encoded.parts, encoded.size)
            self._last_payload = Payload(encoded.codec, large)
            self._outbox.append((True, (*row, None), large))
            self._flush()
        return ended_ns

    def _attempt_with_gpus(self, call: _WireCall) -> NoReturn:
        """Make an attempt that sees its own GPUs alone, and end.

        CUDA looks once in a process for what there is, and what a process has had on a GPU stays there
        until it ends: so the next call has another one.
        """
        os.environ["CUDA_VISIBLE_DEVICES"] = self._gpus[call[0]]
        self._attempt(call)
        self._page.idle()
        self._flush()
        os._exit(0)

    def _be_the_worker(self) -> None:
        """End this process if it is a copy that a task has forked: the result is the other's."""
        if _forked:
            os._exit(0)

    def _tidy(self, now_ns: int) -> None:
        """Leave the process to the next call as it was before the last one."""
        try:
            self._state.put_back(now_ns)
        except Exception:  # noqa: BLE001  whatever it is that can't be put back
            # This process is fit for no other call, and a new worker is.
            self._page.idle()
            self._flush()
            os._exit(0)
        if now_ns >= self._tidy_at:
            self._tidy_at = now_ns + _TIDY_NS
            _bury(_MANY_CHILDREN)

    def _function(self, number: int) -> Function:
        function = self._functions[number]
        if isinstance(function, bytes):
            function = self._functions[number] = Function(*pickling.loads(function))
            # What its module does when it is imported stays.
            self._state.keep()
        return function

    def _value(self, source: int) -> Any:
        small = self._small.get(source)
        if small is None:
            if source == self._last and self._last_payload is not None:
                return self._last_payload.value()
            return self._large[source].value()
        if type(small) is bytes:
            return pickling.loads(small)
        return Payload(*small).value()

    # --- what a call says while it runs, in any of its threads -----------------------------

    def _ask(self, node: int, number: int, request: Request) -> Reply:
        """Send a question, and wait for its answer."""
        self._refuse_forks()
        question = next(self._numbers)
        # What came before it goes before it.
        self._flush()
        with self._sending:
            self._send(wire.frame(wire.ASK, (node, number, question, request)))
        while question not in self._replies:
            self._hear(lambda: question in self._replies)
        return self._replies.pop(question)

    def _give(self, chunk: Chunk) -> bool:
        """Send a chunk: soon, with those that come right behind it.  (What nobody hears is killed.)"""
        self._refuse_forks()
        if self._chunks.add(chunk):
            self._flush()
        elif len(self._chunks) == 1:
            # The other thread sends it, if this one does nothing more for a while.
            os.write(self._nudge, b"!")
        return True

    def _refuse_forks(self) -> None:
        if _forked:
            from liteflow.errors import ContextError  # noqa: PLC0415  attrs: not for every worker

            problem = "this is a child process of the task's; use the context in the task itself"
            raise ContextError("(all)", problem)

    def _hear(self, enough: Callable[[], bool]) -> None:
        """Take in what comes next, or wait while another thread does, if there is not enough yet."""
        with self._turn:
            if enough():
                return
            if self._somebody_reads:
                self._turn.wait()
                return
            self._somebody_reads = True
        try:
            self._receive()
        finally:
            with self._turn:
                self._somebody_reads = False
                self._turn.notify_all()

    def _receive(self) -> None:
        if not self._reader.receive():
            os._exit(0)
        for kind, body, descriptors in self._reader.frames():
            if kind == wire.CALLS:
                sequence, (self._first_row, key), values, forget, calls, gpus = body
                self._gpus.update(gpus)
                if key != self._seal.key:
                    self._seal = Seal(key)
                for source in forget:
                    self._large.pop(source, None)
                with self._taking:
                    self._last_read = sequence
                    if sequence > self._recalled:
                        self._pending.extend((values, call) for call in calls)
            elif kind == wire.REPLY:
                question, reply = body
                if descriptors:
                    version, codec, size = reply
                    reply = version, codec, Large(descriptors[0], size)
                self._replies[question] = reply
            elif kind == wire.FUNCTION:
                self._functions[body[0]] = body[1]
            elif kind == wire.VALUE:
                source, codec, size = body
                self._large[source] = Payload(codec, Large(descriptors[0], size))
            elif kind == wire.DEFINITIONS:
                pickling.learn(pickling.Bundle(*bundle) for bundle in body)
            elif kind == wire.SETUP:
                self._epoch_ns = body["epoch_ns"]
                self._perform = _performing(body["storage"])
                # What the library needs later is loaded: from here on a `json.py` of the user's comes first.
                sys.path[:] = body["path"]
                sys.argv[:] = body["argv"]
                sys.modules[pickling.SCRIPT_MODULE] = sys.modules["__main__"]
                self._state.keep()

    # --- both threads ----------------------------------------------------------------------

    def _flush(self) -> None:
        """Send all outcomes and lines so far."""
        # Taken and sent under one lock: else the other thread's later outcome could overtake
        # an earlier one, and a result be committed before its input.
        with self._sending:
            while self._outbox or self._unmet or self._capture.lines or self._chunks:
                self._send_some()

    def _send_some(self) -> None:
        finished: list[tuple[Any, ...]] = []
        failed: list[tuple[Any, ...]] = []
        kept: list[Large] = []
        while self._outbox and len(kept) < wire.MAX_DESCRIPTORS:
            good, outcome, large = self._outbox.popleft()
            (finished if good else failed).append(outcome)
            if large is not None:
                kept.append(large)
        unmet = []
        while self._unmet:
            unmet.append(self._unmet.popleft())
        chunks = [tuple(chunk) for chunk in self._chunks.take()]
        data = wire.frame(wire.NEWS, (finished, failed, self._capture.taken(), unmet, chunks), len(kept))
        self._send(data, [large.descriptor for large in kept])

    def _send(self, data: bytes, descriptors: list[int] | None = None) -> None:
        try:
            if descriptors:
                sent = socket.send_fds(self._data, [data], descriptors)
                data = data[sent:]
            self._data.sendall(data)
        except OSError:
            # The driver is gone, or a task has closed our descriptors.
            os._exit(1)

    # --- the control thread ----------------------------------------------------------------

    def _control_thread(self) -> NoReturn:
        try:
            self._obey()
        except OSError:
            os._exit(1)

    def _obey(self) -> NoReturn:
        poll = select.poll()
        control = self._control.fileno()
        poll.register(control, select.POLLIN)
        for pipe in (*self._capture.pipes, self._nudged):
            poll.register(pipe, select.POLLIN)
        reader = wire.Reader(self._control)
        quiet = select.poll()
        quiet.register(control, select.POLLIN)
        much = False
        while True:
            ready = dict(poll.poll())
            if control not in ready:
                # Something prints.  Let it print on for a moment, so that a line costs no
                # switch of threads; the driver is still listened to.
                nudges = ready
                ready = {} if much else dict(quiet.poll(_LINES_EVERY_S * 1000))
                if self._nudged in nudges:
                    os.read(self._nudged, 4096)
                much = self._capture.drain()
                self._flush()
            if control in ready:
                if not reader.receive():
                    self._die()
                for _kind, body, _descriptors in reader.frames():
                    self._give_back(body)

    def _give_back(self, through: int) -> None:
        """Give back what has come in messages up to number `through` and has not started."""
        nodes = []
        with self._taking:
            self._recalled = through
            while self._pending:
                try:
                    nodes.append(self._pending.popleft()[1][0])
                except IndexError:
                    break
            last_read = self._last_read
        self._capture.drain()
        self._flush()
        self._control.sendall(wire.frame(wire.RETURNED, (last_read, nodes)))

    def _die(self) -> NoReturn:
        """The driver is gone: end, and take along what the tasks have started."""
        os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)


def _performing(place: tuple[str, int] | None) -> Callable[..., Encoded]:
    """Gives `attempt.perform`, or what puts large values into a storage besides: its URL and threshold."""
    if place is None:
        return attempt.perform
    # Start-up: few runs have one.
    from liteflow.storage.place import Storage  # noqa: PLC0415

    storage = Storage(*place)

    def perform(function: Function, *given: Any) -> Encoded:
        return elsewhere(attempt.perform(function, *given), storage, function.name)

    return perform


def _bury(most: int) -> None:
    """With more children than so many, let go of those that have ended.

    Processes that left their parents are ours now, and nobody else asks how they ended.  With
    few of them nothing is done: a child may be one of which a task's own object still wants to know.
    """
    found = children()
    for pid in found if len(found) > most else ():
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
