"""Processes that carry a mark in their environment, however they have left who started them."""

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


def programs(mark: str) -> dict[int, str]:
    """The marked processes, with the command lines of all."""
    lines = {}
    for pid in marked(mark):
        try:
            lines[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return lines


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
