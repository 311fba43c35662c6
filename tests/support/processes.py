"""Processes of others: workers, and what carries a mark in its environment, wherever it has gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

MARK = "LITEFLOW_TEST_MARK"


def new_mark() -> str:
    """A text that no other process carries."""
    return f"liteflow-test-{os.getpid()}-{time.monotonic_ns()}"


def marked(mark: str) -> list[int]:
    """Processes other than this one whose environment carries the mark; those that have ended do not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def children_of(pid: int) -> list[int]:
    """The living children of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == str(pid) and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def parent_of(pid: int) -> int | None:
    """The parent of a process; None if there is none such."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def workers_of(driver: int) -> list[int]:
    """The worker processes of a driver: its supervisors' children."""
    supervisors = [pid for pid in children_of(driver) if b"supervisor" in _command(pid)]
    return [worker for supervisor in supervisors for worker in children_of(supervisor)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def programs(mark: str) -> dict[int, str]:
    """The marked processes, with the command lines of all."""
    lines = {}
    for pid in marked(mark):
        try:
            lines[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return lines


def gone(pids: list[int], seconds: float) -> bool:
    """Whether none of these processes runs any more, within this time."""
    until = time.monotonic() + seconds
    while any(_runs(pid) for pid in pids):
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def all_gone(mark: str, seconds: float, *, but_supervisors: bool = False) -> bool:
    """Whether no marked process is left, within this time."""
    until = time.monotonic() + seconds
    while left := programs(mark):
        if but_supervisors and len(left) == 1 and "supervisor" in next(iter(left.values())):
            return True
        if time.monotonic() >= until:
            print("left:", left)
            return False
        time.sleep(0.02)
    return True
