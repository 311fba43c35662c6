"""A task can't hurt its neighbours: each way to go wrong beside six siblings, in real processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.drivers import until

from liteflow import Flow, RunFailed, Task, task


@task
def sibling(n: int) -> int:
    time.sleep(0.01)
    return n * n


@task
def after(value: object) -> str:
    return f"got {value!r}"


class TwoArguments(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class HoldsLock(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class ExitsWhenRead:
    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (7,)


def exits() -> None:
    os._exit(3)


def system_exit() -> None:
    sys.exit(0)


def interrupted() -> None:
    raise KeyboardInterrupt


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfaults() -> None:
    ctypes.string_at(0)


def aborts() -> None:
    os.abort()


def closes_everything() -> None:
    os.closerange(0, 256)


def recurses() -> int:
    return recurses() + 1


def no_memory() -> None:
    raise MemoryError


def raises_with_two_arguments() -> None:
    raise TwoArguments(1, 2)


def raises_with_a_lock() -> None:
    raise HoldsLock


def raises_unprintable() -> None:
    raise Unprintable


def raises_at_length() -> None:
    raise ValueError("x" * 50_000_000)


def stops_iteration() -> None:
    raise StopIteration


def returns_a_lock() -> Any:
    return threading.Lock()


def returns_a_generator() -> Any:
    return (n for n in range(3))


def returns_deep() -> Any:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def wrong_type() -> int:
    return "text"  # type: ignore[return-value]


def cyclic_context() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    raise first


def raises_a_group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), OSError("two")])


BAD: list[tuple[Callable[[], Any], str, str]] = [
    (exits, "lost", "ended with exit status 3"),
    (system_exit, "failed", "SystemExit: 0"),
    (interrupted, "failed", "KeyboardInterrupt"),
    (killed, "lost", "killed by SIGKILL"),
    (segfaults, "lost", "killed by SIGSEGV"),
    (aborts, "lost", "killed by SIGABRT"),
    (closes_everything, "lost", "its worker process"),
    (recurses, "failed", "RecursionError"),
    (no_memory, "failed", "MemoryError"),
    (raises_with_two_arguments, "failed", "1 and 2"),
    (raises_with_a_lock, "failed", "locked"),
    (raises_unprintable, "failed", "Unprintable"),
    (raises_at_length, "failed", "ValueError: xxx"),
    (stops_iteration, "failed", "StopIteration"),
    (returns_a_lock, "failed", "lock"),
    (returns_a_generator, "failed", "returned a generator"),
    (returns_deep, "failed", "nested too deeply"),
    (wrong_type, "failed", "int"),
    (cyclic_context, "failed", "first"),
    (raises_a_group, "failed", "several"),
]


def attempts_of(db: Path, key: str) -> list[tuple[Any, ...]]:
    import sqlite3

    with sqlite3.connect(db) as connection:
        query = "SELECT attempt, outcome, error FROM attempts WHERE key = ? ORDER BY attempt"
        return connection.execute(query, (key,)).fetchall()


@pytest.mark.parametrize("function, outcome, words", BAD, ids=[b[0].__name__ for b in BAD])
def test_a_bad_task_fails_once_and_its_siblings_succeed(
    function: Callable[[], Any], outcome: str, words: str, tmp_path: Path
) -> None:
    bad = Task(function, "bad")
    db = tmp_path / "x.db"
    expression = [[sibling(n) for n in range(6)], bad() >> after()]

    run = Flow("faults", expression).run(db=db, max_workers=2, check=False)

    states = {key: row.state for key, row in run.tasks.items()}
    assert states.pop("bad") == "failed"
    assert states.pop("after") == "upstream_failed"
    assert set(states.values()) == {"succeeded"} and len(states) == 6
    ((attempt, how, error),) = attempts_of(db, "bad")
    assert (attempt, how) == (1, outcome)
    assert words in error
    with pytest.raises(RunFailed, match="bad"):
        _ = run.result


def forks_and_both_return() -> int:
    os.fork()
    return os.getppid() and 5


def changes_streams() -> int:
    sys.stdout.close()
    os.close(1)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    return 5


def leaves_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(100,)).start()
    return 5


def leaves_a_child() -> int:
    subprocess.Popen(["sleep", "100"])
    return 5


def uses_a_pool() -> int:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(int, ["2", "3"]))


def reads_stdin() -> int:
    return len(sys.stdin.read()) + 5


def returns_exception() -> Any:
    return ValueError("as a value")


def prints_much() -> int:
    os.write(1, b"x" * 20_000_000)
    return 5


def runs_a_flow() -> int:
    inner = Flow("inner", sibling(2) >> Task(lambda n: n + 1, "plus")())
    return 5 if inner.run(db=None).result == 5 else 0


ODD = [
    forks_and_both_return,
    changes_streams,
    leaves_a_thread,
    leaves_a_child,
    uses_a_pool,
    reads_stdin,
    prints_much,
    runs_a_flow,
]


@pytest.mark.parametrize("function", ODD, ids=[f.__name__ for f in ODD])
def test_an_odd_but_legal_task_succeeds_and_so_does_the_next_in_its_worker(
    function: Callable[[], int], tmp_path: Path
) -> None:
    odd = Task(function, "odd")()
    started = time.monotonic()

    run = Flow("odd", [odd, odd >> after()]).run(db=tmp_path / "x.db", max_workers=1)

    assert run.result == [5, "got 5"]
    assert time.monotonic() - started < 30


def test_a_value_that_ends_its_reader_fails_only_the_reader(tmp_path: Path) -> None:
    bomb = Task(ExitsWhenRead, "bomb")()

    run = Flow("bomb", [bomb, bomb >> after(), sibling(3)]).run(db=tmp_path / "x.db", check=False)

    states = {key: row.state for key, row in run.tasks.items()}
    assert states == {"bomb": "succeeded", "after": "failed", "sibling": "succeeded"}
    assert run.output("sibling") == 9


def hang_quietly() -> NoReturn:
    while True:
        time.sleep(100)


def hang_busily() -> NoReturn:
    while True:
        pass


def hang_deaf() -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(100)


def hang_stopped() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSTOP)
    raise AssertionError("continued")


def hang_with_children() -> NoReturn:
    subprocess.run(["sh", "-c", "sleep 1000 & sleep 1000"], check=False)
    raise AssertionError("ended")


def hang_in_c() -> NoReturn:
    # No other thread of the process runs meanwhile: this way of calling C keeps the interpreter's lock.
    ctypes.PyDLL(None).sleep(1000)
    raise AssertionError("woken")


def hang_swallowing() -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told"))
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(100)


HANGS = [hang_in_c, hang_swallowing, hang_quietly, hang_busily, hang_deaf, hang_stopped, hang_with_children]


@pytest.mark.parametrize("function", HANGS, ids=[f.__name__ for f in HANGS])
def test_a_timeout_ends_the_attempt_and_what_it_has_started(
    function: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"liteflow-test-{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv("LITEFLOW_TEST_MARK", mark)
    hang = Task(function, "hang").options(timeout=0.5)
    started = time.monotonic()

    run = Flow("hang", [hang(), sibling(2)]).run(db=tmp_path / "x.db", check=False, grace=0.5)

    assert time.monotonic() - started < 25
    assert {key: row.state for key, row in run.tasks.items()} == {"hang": "failed", "sibling": "succeeded"}
    ((attempt, outcome, error),) = attempts_of(tmp_path / "x.db", "hang")
    assert (attempt, outcome) == (1, "timed_out")
    assert "0.5 s" in error
    with pytest.raises(RunFailed) as caught:
        _ = run.result
    assert type(caught.value.__cause__) is TimeoutError
    # The supervisor stays for two seconds, for a next run; all else is gone by then anyway.
    until = time.monotonic() + 5
    while marked(mark) and time.monotonic() < until:
        time.sleep(0.05)
    assert marked(mark) == []


def marked(mark: str) -> list[int]:
    """Processes other than this one whose environment carries the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def kill_supervisor(pipe: str) -> None:
    held = os.open(pipe, os.O_WRONLY)
    subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000"], pass_fds=(held,))
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


def test_when_the_supervisor_is_killed_what_tasks_have_started_ends_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    killer = Task(kill_supervisor, "killer")(str(pipe))

    run = Flow("unwatched", [killer, sibling(2)]).run(db=tmp_path / "x.db", check=False, max_workers=1)

    assert {key: row.state for key, row in run.tasks.items()} == {"killer": "failed", "sibling": "succeeded"}
    ((_, outcome, error),) = attempts_of(tmp_path / "x.db", "killer")
    assert outcome == "lost"
    assert "supervisor" in error
    # It ends when nobody holds the other end any more.
    assert select.select([end], [], [], 5.0)[0] == [end]
    os.close(end)


def test_calls_queued_behind_a_slow_one_run_elsewhere(tmp_path: Path) -> None:
    ended = tmp_path / "ended"

    def one(n: int) -> None:
        if n == 40:
            until(lambda: ended.exists() and ended.stat().st_size == 199)
        with ended.open("ab") as file:
            file.write(b".")

    run = Flow("slow", [Task(one, "one")(n) for n in range(200)]).run(db=tmp_path / "x.db", max_workers=2)

    assert run.state == "succeeded"


def test_more_large_results_than_there_are_descriptors_are_no_trouble(tmp_path: Path) -> None:
    import resource

    large = Task(lambda n: bytes([n % 256]) * 100_000, "large")
    size = Task(lambda values: sum(map(len, values)), "size")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        run = Flow("many", size([large(n) for n in range(400)])).run(db=tmp_path / "x.db")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert run.result == 400 * 100_000


def test_a_worker_that_dies_in_the_middle_of_a_chain_costs_one_attempt(tmp_path: Path) -> None:
    count = tmp_path / "starts"

    def link(n: int) -> int:
        with count.open("a") as file:
            file.write("x")
        if n == 20 and count.stat().st_size < 25:
            os.kill(os.getpid(), signal.SIGKILL)
        return n + 1

    value = Task(link, "link").options(retries=1)(0)
    for _ in range(39):
        value = Task(link, "link").options(retries=1)(value)

    run = Flow("chain", value).run(db=tmp_path / "x.db", max_workers=2)

    assert run.result == 40
    lost = [row for key in run.tasks for row in attempts_of(tmp_path / "x.db", key) if row[1] == "lost"]
    assert len(lost) == 1
