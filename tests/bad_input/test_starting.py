"""Bad input to `run()` (rows B12 to B20): arguments, options, where it starts and what it keeps."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from bad_rows import RAN, assert_refused, note, row

from liteflow import Flow, LiteflowError, StoreError, flow, task
from liteflow.errors import ArgumentError, NotAStoreError, SettingError, StorePlaceError, UnknownNameError


@task
def one(x: int) -> int:
    return x


@task
def pair(x: Any, y: Any) -> tuple[Any, Any]:
    RAN.append(x)
    return x, y


@flow
def etl(path: str = "p", n: int = 1) -> Any:
    return pair(note(path), n)


@flow
def needs(x: int) -> Any:
    return note(x)


def run(expression: Any, **options: Any) -> Any:
    return Flow("f", expression).run(db=None, **options).result


class HoldsSocket:
    def __init__(self) -> None:
        self.inner = {"s": [socket.socket()]}


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no text for you")


REFUSED = [
    *[
        row(f"B12-{what}", lambda inputs=inputs: etl.run(inputs=inputs), error, "flow etl", *words)
        for what, inputs, error, *words in [
            ("no-such-task", {"nope.x": 1}, UnknownNameError, "'nope.x'", "note.x, path, n, pair.y"),
            ("no-such-parameter", {"note.nope": 1}, UnknownNameError, "did you mean 'note.x'?"),
            ("task-alone", {"note": 1}, UnknownNameError, "did you mean 'note.x'?"),
            ("empty", {"": 1}, UnknownNameError, "''", "it has: path, n"),
            ("long", {"x" * 100_000: 1}, UnknownNameError, "..."),
            ("newline", {"a\nb\x1b[31m": 1}, UnknownNameError, r"a\nb\x1b[31m"),
            ("key-is-a-number", {5: 1}, ArgumentError, "by name (text), not by 5"),
            ("key-is-None", {None: 1}, ArgumentError, "not by None"),
            ("no-dict", [("path", 1)], ArgumentError, "as a dict by name"),
            ("wrong-type", {"n": "x"}, ArgumentError, "'n'", "'x' (str), not int"),
            ("no-repr", {"n": NoRepr()}, ArgumentError, "'n'", "NoRepr", "not int"),
            ("lazy", {"n": note(1)}, ArgumentError, "'n'", "<lazy note()>", "plain values"),
        ]
    ],
    row("B12-fed-by-an-edge", lambda: etl.run(inputs={"pair.x": 1}), ArgumentError, "'x'", "fed by note()"),
    row(
        "B12-holds-a-socket",
        lambda: etl.run(inputs={"pair.y": HoldsSocket()}),
        ArgumentError,
        "pair(): 'y'",
        ".inner['s'][0] is a socket",
    ),
    row("B14-missing", needs.run, ArgumentError, "flow needs", "'x'", "is missing"),
    row("B14-missing-in-a-flow", needs, ArgumentError, "flow needs", "'x'", "is missing"),
    row("B14-unknown", lambda: etl.run(pth="x"), UnknownNameError, "flow etl", "did you mean 'path'?"),
    row("B14-wrong-type", lambda: etl.run(n="x"), ArgumentError, "flow etl", "'n'", "'x' (str), not int"),
    row("B14-given-twice", lambda: etl.run(n=1, inputs={"n": 1}), ArgumentError, "'n'", "given twice"),
    row("B14-lazy", lambda: etl.run(path=note()), ArgumentError, "'path'", "call etl(...)"),
    row(
        "B14-lazy-default",
        lambda: exec("@flow\ndef f(x=note(1)): return x", {"flow": flow, "note": note}),
        LiteflowError,
        "'x'",
        "every call would share it",
    ),
    *[
        row(
            f"B18-{value!r}",
            lambda value=value: etl.run(max_workers=value),
            SettingError,
            "max_workers",
            "a whole number from 1 to 512",
        )
        for value in (0, -1, 10**6, "2", True, 1.5)
    ],
    *[
        row(
            f"B19-{value!r:.12}",
            lambda value=value: etl.run(executor=value),
            SettingError,
            "executor",
            "one of process, thread, async, inline",
        )
        for value in ("nope", "", "Process", None, 5, [])
    ],
    *[
        row(
            f"B20-{value!r:.12}",
            lambda value=value: etl.run(db=value),
            SettingError,
            "db must be a path",
            "None to keep nothing",
        )
        for value in ("", "\0", 5, [], True)
    ],
    row(
        "B20-connection",
        lambda: etl.run(db=sqlite3.connect(":memory:")),
        SettingError,
        "Connection",
        "a path",
    ),
]


@pytest.mark.parametrize(
    ("use", "error", "words"), [pytest.param(*r.values[:2], r.values[2:], id=r.id) for r in REFUSED]
)
def test_a_bad_start_is_refused_before_anything_runs(use, error, words, folder):
    assert_refused(use, error, words, folder)


def grows(found: list[int] = []) -> Any:  # noqa: B006  that is the row
    found.append(1)
    return note(list(found))


WORKS = [
    row("B12-reaches-a-task", lambda: etl.run(inputs={"pair.y": 4}, db=None).result, ("p", 4)),
    row("B14-mutable-default", lambda: [Flow("g", grows).run(db=None).result for _ in "ab"], [[1], [1]]),
    row("B18-None", lambda: run(one(2), max_workers=None), 2),
]


@pytest.mark.parametrize(("use", "result"), WORKS)
def test_what_is_odd_but_legal_works(use, result):
    assert use() == result


# --- where a run is started (B15, B16) ------------------------------------------------------


def runs_inside() -> Any:
    return run(one(4), executor="inline")


def test_b15_runs_of_one_flow_in_threads_are_independent(folder):
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append((n, needs.run(x=n, db="t.db").result)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(results) == [(n, n) for n in range(4)]


def test_b16_a_run_works_inside_a_task_a_thread_and_a_running_loop():
    async def in_loop() -> Any:
        return run(one(5))

    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run(one(6))), daemon=True)
    thread.start()
    thread.join(30)

    assert (run(task(runs_inside)()), asyncio.run(in_loop()), found) == (4, 5, [6])


AT_ODD_TIMES = """
import atexit, multiprocessing, os, signal, sys
from liteflow import Flow, LiteflowError, task

@task
def double(x: int) -> int:
    return 2 * x

def run(x, db="odd.db"):
    return Flow("odd", double(x)).run(db=db).result

def at_exit():
    try:
        print("exit", run(5), flush=True)
    except (LiteflowError, RuntimeError) as error:
        print("exit", "refused", flush=True)

def as_daemon():
    print("daemon", run(4), flush=True)

run(1)
signal.signal(signal.SIGUSR1, lambda *_: print("handler", run(2), flush=True))
os.kill(os.getpid(), signal.SIGUSR1)
pid = os.fork()
if pid == 0:
    print("fork", run(3), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
daemon = multiprocessing.get_context("fork").Process(target=as_daemon, daemon=True)
daemon.start()
daemon.join()
print("after", run(6), flush=True)
atexit.register(at_exit)
"""


def test_b16_a_run_works_in_a_handler_a_fork_and_a_daemon_and_never_hangs_at_exit(folder):
    (folder / "odd.py").write_text(AT_ODD_TIMES)
    started = time.monotonic()

    done = subprocess.run([sys.executable, "odd.py"], capture_output=True, text=True, timeout=60, check=False)

    said = dict(line.split() for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    assert said.pop("exit") in ("10", "refused")
    assert said == {"handler": "4", "fork": "6", "daemon": "8", "after": "12"}, done.stderr
    assert time.monotonic() - started < 20


EMBEDDED = """
import sys
from liteflow import Flow, LiteflowError, Task

sys.executable = "/no/such/python"
try:
    Flow("f", Task(lambda: 1, "one")()).run()
except LiteflowError as error:
    print(type(error).__name__, error)
"""


def test_c20_where_no_process_can_be_started_the_message_is_ours(program, folder):
    (folder / "embedded.py").write_text(EMBEDDED)

    done = program.python("embedded.py")

    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("WorkerStartError ")
    assert "could not be started" in done.out


# --- where a run is kept (B20) ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["plain.db", b"bytes.db", Path("path.db"), "we?ird#%20 'n\".db", "file:x.db", "\u00fc\U0001f389.db"],
)
def test_b20_any_path_will_do(name, folder):
    assert Flow("f", one(1)).run(db=name).result == 1

    text = name.decode() if isinstance(name, bytes) else str(name)
    assert text in [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("nothing", [None, ":memory:"])
def test_b20_nothing_can_be_kept(nothing, folder):
    assert Flow("f", one(1)).run(db=nothing).result == 1

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (".", NotAStoreError, "it is a directory"),
        ("http://example.org/x.db", StorePlaceError, "there is no directory"),
        ("missing/x.db", StorePlaceError, "there is no directory"),
        ("x" * 300, StorePlaceError, "name too long"),
        ("/dev/null", NotAStoreError, "not a regular file"),
        ("/etc/passwd", NotAStoreError, "left untouched"),
    ],
)
def test_b20_a_place_that_can_hold_no_store_is_refused_before_a_task_runs(name, error, words, folder):
    RAN.clear()
    with pytest.raises(StoreError) as caught:
        Flow("f", note(1)).run(db=name, executor="inline")

    assert isinstance(caught.value, error)
    assert words in str(caught.value)
    assert (RAN, list(folder.iterdir())) == ([], [])
