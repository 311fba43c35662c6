"""Odd values, exceptions and habits of tasks (rows C): what comes back, and what fails with which words.

All tasks of a table are calls of one run on worker processes: each row is about one of them, and
that the others are as they should be shows that none harmed its neighbours.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sqlite3
import sys
import threading
import time
import types
import weakref
from pathlib import Path
from typing import Any

import pytest
from bad_rows import row

import liteflow
from liteflow import Flow, RunFailed, Task
from liteflow.store.history import History


def run_of(rows: list[Any], db: Path | None) -> Any:
    calls = [Task(r.values[0], r.id)() for r in rows]
    return Flow("values", calls).run(db=db, check=False, max_workers=2)


# --- values that come back as they were (C1, C6, C7) ------------------------------------------


def holds_itself() -> Any:
    values: list[Any] = [1]
    values.append(values)
    return values


def of_a_local_class() -> Any:
    class Local:
        def __repr__(self) -> str:
            return "a local"

    return Local()


def of_a_module_that_is_gone() -> Any:
    module = types.ModuleType("gone_away")
    exec("class Lost:\n    def __repr__(self): return 'a lost one'", module.__dict__)
    module.Lost.__module__ = "gone_away"
    return module.Lost()


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError("no text for you")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shy)

    __hash__ = None  # type: ignore[assignment]


class Exits(Shy):
    def __repr__(self) -> str:
        raise SystemExit(3)


class Verbose(Shy):
    def __repr__(self) -> str:
        return "x" * 50_000_000


def forks_and_both_return() -> int:
    return os.fork() and 5


def reads_stdin() -> str:
    return sys.stdin.read()


def writes_binary() -> int:
    return os.write(1, b"\xff\xfe half: \xc3\r\x1b[2J\0\n") and 1


def closes_stdout() -> int:
    sys.stdout.close()
    os.close(1)
    return 1


def prints_much() -> int:
    for _ in range(200):
        os.write(1, b"y" * 100_000)
    return 1


ALIKE = [
    row("C1-None", lambda: None, None),
    row("C1-ellipsis", lambda: ..., ...),
    row("C1-NotImplemented", lambda: NotImplemented, NotImplemented),
    row("C1-nan", lambda: float("nan"), "nan"),
    row("C1-negative-zero", lambda: -0.0, "-0.0"),
    row("C1-inf", lambda: float("-inf"), float("-inf")),
    row("C1-5000-digits", lambda: 10**5000, 10**5000),
    row("C1-beyond-64-bits", lambda: 2**63, 2**63),
    row("C1-no-bytes", lambda: b"", b""),
    row("C1-surrogate", lambda: "a\ud800b", "a\ud800b"),
    row("C1-NUL", lambda: "a\0b", "a\0b"),
    row("C4-repr-raises", Shy, Shy()),
    row("C4-repr-exits", Exits, Exits()),
    row("C4-repr-is-long", Verbose, Verbose()),
    row("C6-holds-itself", holds_itself, "[1, [...]]"),
    row("C7-local-class", of_a_local_class, "a local"),
    row("C7-module-is-gone", of_a_module_that_is_gone, "a lost one"),
    row("C2-memoryview", lambda: memoryview(b"abc"), b"abc"),
    row("C10-fork", forks_and_both_return, 5),
    row("C11-binary", writes_binary, 1),
    row("C11-closes-stdout", closes_stdout, 1),
    row("C11-much", prints_much, 1),
    row("C12-stdin", reads_stdin, ""),
]


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    return run_of(ALIKE, tmp_path_factory.mktemp("alike") / "alike.db")


@pytest.mark.parametrize(("key", "value"), [pytest.param(r.id, r.values[1], id=r.id) for r in ALIKE])
def test_an_odd_value_comes_back_as_it_was(key, value, alike):
    assert alike.tasks[key].state == "succeeded", alike.failure
    output = alike.output(key)
    assert output == value or repr(output) == value


# --- what fails, and how (C2, C5 to C9) -------------------------------------------------------


class Holds:
    def __init__(self) -> None:
        self.x = {"y": [threading.Lock()]}


class Held:
    pass


def frame() -> Any:
    return sys._getframe()


def weak() -> Any:
    return weakref.ref(Held())


def pointer() -> Any:
    return ctypes.pointer(ctypes.c_int(1))


def deep() -> Any:
    values: list[Any] = []
    for _ in range(100_000):
        values = [values]
    return values


class ReduceRaises:
    def __reduce__(self) -> Any:
        raise ValueError("not me")


class ReduceExits:
    def __reduce__(self) -> Any:
        raise SystemExit(0)


class ReduceRecurses:
    def __reduce__(self) -> Any:
        return self.__reduce__()


def raising(make: Any, *args: Any) -> Any:
    def raises() -> None:
        raise make(*args)

    return raises


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class TwoArguments(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def several() -> None:
    raise ExceptionGroup("several", [ValueError("one"), OSError("two")])


def at_length() -> None:
    raise ValueError("x" * 50_000_000)


def noted() -> None:
    error = ValueError("with notes")
    error.add_note("first note")
    raise error


def long_chain() -> None:
    error: BaseException = ValueError("the first")
    for n in range(1000):
        later = ValueError(f"link {n}")
        later.__cause__, error = error, later
    raise error


def own_context() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    raise first


def many_frames() -> None:
    sys.setrecursionlimit(20_000)

    def deeper(n: int) -> None:
        if n == 0:
            raise ValueError("at the bottom")
        deeper(n - 1)

    deeper(5_000)


def recurses() -> None:
    recurses()


FAILS = [
    row("C2-lock", threading.Lock, "a lock"),
    row("C2-inner-lock", Holds, ".x['y'][0] is a lock"),
    row("C2-socket", socket.socket, "a socket"),
    row("C2-file", lambda: open("/dev/null", "w"), "TextIOWrapper"),  # noqa: PTH123, SIM115  its end is its process's
    row("C2-thread", lambda: threading.Thread(target=print), "its part ._"),
    row("C2-frame", frame, "a frame"),
    row("C2-generator", lambda: (n for n in range(3)), "returned a generator", "list(...)"),
    row("C2-connection", lambda: sqlite3.connect(":memory:"), "a Connection"),
    row("C2-pointer", pointer, "pointers cannot be pickled"),
    row("C2-weakref", weak, "weakref"),
    row("C2-coroutine", lambda: asyncio.sleep(0), "coroutine"),
    row("C5-reduce-raises", ReduceRaises, "ValueError: not me", "ReduceRaises"),
    row("C5-reduce-exits", ReduceExits, "SystemExit"),
    row("C5-reduce-recurses", ReduceRecurses, "nested too deeply"),
    row("C6-deep", deep, "nested too deeply"),
    row("C8-arguments", raising(TwoArguments, 1, 2), "TwoArguments: 1 and 2"),
    row("C8-group", several, "several (2 sub-exceptions)"),
    row("C8-long-chain", long_chain, "ValueError: link 999"),
    row("C8-own-context", own_context, "ValueError: first"),
    row("C8-notes", noted, "with notes"),
    row("C8-wordless", raising(Wordless), "Wordless"),
    row("C8-50-MB", at_length, "ValueError: xxx"),
    row("C8-surrogate", raising(ValueError, "a\ud800b"), "ValueError: a", "b"),
    row("C8-many-frames", many_frames, "at the bottom"),
    row("C8-recursion", recurses, "RecursionError"),
    row("C9-SystemExit", raising(SystemExit, 0), "SystemExit: 0"),
    row("C9-KeyboardInterrupt", raising(KeyboardInterrupt), "KeyboardInterrupt"),
    row("C9-GeneratorExit", raising(GeneratorExit), "GeneratorExit"),
    row("C9-CancelledError", raising(asyncio.CancelledError), "CancelledError"),
    row("C9-StopIteration", raising(StopIteration, 5), "StopIteration: 5"),
]

LONGEST_ERROR = 20_000
LIBRARY = str(Path(liteflow.__file__).parent)


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    started = time.monotonic()
    run = run_of(FAILS, tmp_path_factory.mktemp("fails") / "fails.db")
    assert time.monotonic() - started < 30
    return run


@pytest.mark.parametrize(("key", "words"), [pytest.param(r.id, r.values[1:], id=r.id) for r in FAILS])
def test_what_cannot_be_a_result_fails_its_own_attempt_with_the_reason(key, words, failed):
    told = failed.tasks[key]

    assert (told.state, told.attempts) == ("failed", 1)
    for word in words:
        assert word in told.error
    assert len(told.error) <= LONGEST_ERROR


def test_tracebacks_are_those_of_the_task_and_are_cut(failed):
    with History(failed.db) as history:
        attempts = list(history.attempts(failed.id))

    assert len(attempts) == len(FAILS)
    for attempt in attempts:
        text = attempt.traceback or ""
        assert attempt.outcome == "failed", attempt.key
        # What a task returned is read in the library; what it raised is all its own.
        assert LIBRARY not in text or not attempt.key.startswith(("C8", "C9")), attempt.key
        assert len(text) <= 100_000, attempt.key


# --- what ends its worker (C4, C5) ------------------------------------------------------------


class StateExits:
    def __getstate__(self) -> Any:
        return {"a": 1}

    def __setstate__(self, state: object) -> None:
        os._exit(7)

    def __call__(self) -> int:
        return 1


class StateRaises(StateExits):
    def __setstate__(self, state: object) -> None:
        raise ValueError("can't be read")


class ReduceEnds:
    def __reduce__(self) -> Any:
        os._exit(7)


class ReprEnds:
    def __repr__(self) -> str:
        os._exit(7)


class DelEnds:
    def __del__(self) -> None:
        os._exit(7)


LOST = [
    row("C4-repr-ends", ReprEnds),
    row("C5-function-ends-its-reader", StateExits()),
    row("C5-reduce-ends", ReduceEnds),
    row("C5-del-ends", DelEnds),
    row("C5-segfault", lambda: ctypes.string_at(0)),
]


@pytest.fixture(scope="module")
def lost():
    rows = [*LOST, row("healthy", lambda: 1)]
    return run_of(rows, None)


@pytest.mark.parametrize("key", [r.id for r in LOST])
def test_what_ends_its_worker_costs_its_own_attempt_alone(key, lost):
    told = lost.tasks[key]

    assert (told.state, told.attempts) == ("failed", 1)
    assert "its worker process" in told.error
    assert lost.output("healthy") == 1


# --- one at a time ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [StateExits, StateRaises])
def test_c5_a_value_that_cannot_be_read_fails_its_reader_alone(kind, folder):
    made = Task(kind, "made")()
    read = Task(lambda value: 1, "read")(made)

    run = Flow("reader", [made, read, Task(lambda: 2, "other")()]).run(db="r.db", check=False)

    states = {key: told.state for key, told in run.tasks.items()}
    assert states == {"made": "succeeded", "read": "failed", "other": "succeeded"}


def test_c8_the_original_exception_is_the_cause_if_it_can_travel():
    with pytest.raises(RunFailed) as caught:
        Flow("f", Task(raising(TwoArguments, 1, 2), "raises")()).run(db=None)
    assert "1 and 2" in str(caught.value.__cause__)

    with pytest.raises(RunFailed) as caught:
        Flow("f", Task(noted, "noted")()).run(db=None)
    assert type(caught.value.__cause__) is ValueError
    assert caught.value.__cause__.__notes__[0] == "first note"


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_c16_what_one_task_changes_no_other_sees(executor):
    source = Task(lambda: [1], "source")()
    spoil = Task(lambda values: values.append(2) or values, "spoil")(source)
    look = Task(lambda values, after: values, "look")(source, spoil)

    assert Flow("f", [look, spoil]).run(db=None, executor=executor).result == [[1], [1, 2]]


def test_c3_a_value_of_a_hundred_megabytes_works():
    large = Task(lambda: bytes(100_000_000), "large")()

    run = Flow("f", Task(len, "size")(large)).run(db="large.db")

    assert run.result == 100_000_000
