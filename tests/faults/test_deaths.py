"""However a worker dies, the attempt that ran in it says how; so does what the attempt had printed last."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from liteflow import Flow, Task
from liteflow.executor.process.endings import cause_of_death


def sibling(n: int) -> int:
    time.sleep(0.01)
    return n


def by_signal(number: int) -> Callable[[], None]:
    def die() -> None:
        signal.signal(number, signal.SIG_DFL) if number not in {signal.SIGKILL, signal.SIGSTOP} else None
        os.kill(os.getpid(), number)
        time.sleep(1000)

    return die


def kills_its_group() -> None:
    os.killpg(0, signal.SIGKILL)


def exits_in_a_thread() -> None:
    threading.Thread(target=os._exit, args=(17,)).start()
    time.sleep(1000)


def overflows_the_stack_of_c() -> None:
    faulthandler._stack_overflow()  # type: ignore[attr-defined]


def reads_nowhere() -> None:
    ctypes.string_at(1)


def sockets_of_the_worker() -> list[int]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            if stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def closes_its_sockets() -> None:
    for number in sockets_of_the_worker():
        os.close(number)


def shuts_its_sockets_down() -> None:
    for number in sockets_of_the_worker():
        socket.socket(fileno=number).shutdown(socket.SHUT_RDWR)
    time.sleep(1000)


def writes_garbage_to_its_sockets() -> None:
    for number in sockets_of_the_worker():
        os.write(number, b"garbage, and not a frame of ours" * 100)
    time.sleep(1000)


def writes_zeros_to_its_sockets() -> None:
    for number in sockets_of_the_worker():
        os.write(number, bytes(10_000))
    time.sleep(1000)


def closes_its_sockets_and_takes_their_numbers() -> None:
    sockets = sockets_of_the_worker()
    closes_its_sockets()
    for _ in sockets:
        os.open(os.devnull, os.O_RDWR)


DEATHS: list[tuple[str, Callable[[], Any], str]] = [
    *[
        (name, by_signal(getattr(signal, name)), f"was killed by {name}")
        for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGUSR1", "SIGXCPU", "SIGSYS")
    ],
    ("a real-time signal", by_signal(signal.SIGRTMIN + 3), "was killed by "),
    ("its group", kills_its_group, "was killed by SIGKILL"),
    ("exit in a thread", exits_in_a_thread, "ended with exit status 17"),
    ("stack of C", overflows_the_stack_of_c, "was killed by SIGSEGV"),
    ("bad address", reads_nowhere, "was killed by SIGSEGV"),
    ("abort", os.abort, "was killed by SIGABRT"),
    ("sockets closed", closes_its_sockets, "its worker process"),
    ("sockets replaced", closes_its_sockets_and_takes_their_numbers, "its worker process"),
    ("sockets shut", shuts_its_sockets_down, "its worker process"),
    ("garbage", writes_garbage_to_its_sockets, "its worker process"),
    ("zeros", writes_zeros_to_its_sockets, "its worker process"),
]


def rows(db: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(db) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("die, words", [d[1:] for d in DEATHS], ids=[d[0] for d in DEATHS])
def test_a_death_is_told_and_hurts_no_other(die: Callable[[], Any], words: str, tmp_path: Path) -> None:
    def says_and_dies() -> Any:
        print("the last words", flush=True)
        os.write(2, b"x" * 30_000 + b"\nat the very end\n")
        return die()

    db = tmp_path / "x.db"
    flow = Flow("death", [Task(says_and_dies, "dies")(), [Task(sibling, "sibling")(n) for n in range(6)]])

    run = flow.run(db=db, max_workers=2, check=False)

    states = {key: row.state for key, row in run.tasks.items()}
    assert states.pop("dies") == "failed"
    assert set(states.values()) == {"succeeded"}
    ((outcome, error),) = rows(db, "SELECT outcome, error FROM attempts WHERE key = 'dies'")
    assert outcome == "lost"
    assert words in error
    if "sockets" not in die.__name__:
        # Else it may have been read in the worker, and could not be told any more.
        assert ("at the very end",) in rows(db, "SELECT line FROM logs WHERE key = 'dies'")


def test_a_segfault_leaves_the_place_where_it_happened(tmp_path: Path) -> None:
    db = tmp_path / "x.db"

    Flow("death", Task(reads_nowhere, "dies")()).run(db=db, check=False)

    said = "\n".join(text for (text,) in rows(db, "SELECT line FROM logs"))
    assert "Segmentation fault" in said
    assert "reads_nowhere" in said


def test_sigkill_is_the_kernels_for_want_of_memory_only_when_it_has_killed_one() -> None:
    assert cause_of_death(-9, memory=True) == "was killed by the kernel (out of memory?)"
    assert cause_of_death(-9, memory=False) == "was killed by SIGKILL"
    assert "if nobody did that" in cause_of_death(-9, memory=None)
    assert cause_of_death(-11, memory=True) == "was killed by SIGSEGV"


def memory_group() -> Path | None:
    """A control group of 200 MB, if we may make one."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = root / f"liteflow-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text("200000000")
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        return group
    return None


def test_a_worker_killed_for_want_of_memory_is_told_as_such(tmp_path: Path) -> None:
    group = memory_group()
    if group is None:
        pytest.skip("no right to limit memory")
    script = """
        import os, sys
        from pathlib import Path
        Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
        from liteflow import Flow, Task

        def greedy():
            Path("/proc/self/oom_score_adj").write_text("1000")
            return len(b"x" * 1_000_000_000)

        run = Flow("greedy", [Task(greedy, "greedy")(), Task(int, "int")()]).run(db=None, check=False)
        print({key: (row.state, row.error) for key, row in run.tasks.items()})
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(group)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    finally:
        until = time.monotonic() + 5
        while (group / "cgroup.procs").read_text() and time.monotonic() < until:
            time.sleep(0.05)
        group.rmdir()

    assert "was killed by the kernel (out of memory?)" in said
    assert "'int': ('succeeded'" in said


def test_short_calls_behind_one_that_closes_the_sockets_are_not_charged(tmp_path: Path) -> None:
    def short(n: int) -> int:
        if n == 150:
            closes_its_sockets()
        return n

    run = Flow("short", [Task(short, "short")(n) for n in range(300)]).run(
        db=tmp_path / "x.db", max_workers=1, check=False
    )

    failed = [key for key, row in run.tasks.items() if row.state != "succeeded"]
    assert failed == [list(run.tasks)[150]]
    assert rows(tmp_path / "x.db", "SELECT count(*) FROM attempts WHERE outcome = 'lost'") == [(1,)]
