"""How something is measured: each way in turn, several times, in a process and a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from attrs import frozen

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")

# No sample takes a tenth of this; one that does hangs.
LONGEST_S = 180


@frozen
class Target:
    """What a figure is to reach: `at least` or `at most` a limit."""

    relation: str
    limit: float

    def is_reached(self, value: float) -> bool:
        return value >= self.limit if self.relation == "at least" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.relation} {self.limit:g}"


@frozen
class Compared:
    """What a comparison of two ways comes to: by their medians, and in the single turns at the extremes."""

    value: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, ours: list[float], theirs: list[float], by: Callable[[float, float], float]) -> Compared:
        """Compare samples that were taken in turn.

        >>> Compared.of([1.0, 2.0, 3.0], [10.0, 10.0, 12.0], lambda a, b: b / a)
        Compared(value=5.0, lowest=4.0, highest=10.0)
        """
        single = [by(a, b) for a, b in zip(ours, theirs, strict=True)]
        return cls(by(median(ours), median(theirs)), min(single), max(single))


@frozen
class Figure:
    """One line of the result: some work both ways, what the comparison comes to, and what it is to reach."""

    work: str
    ours: str
    theirs: str
    compared: Compared
    unit: str
    target: Target | None

    @property
    def is_reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        return self.target.is_reached(self.compared.value) if self.target else None


def in_turn(ways: Mapping[str, Callable[[], T]], repeat: int) -> dict[str, list[T]]:
    """Take each way once, then each once more, ...: a machine that slows down slows all of them.

    Every other turn goes backwards, so that no way is always the first after another.
    """
    samples: dict[str, list[T]] = {name: [] for name in ways}
    for turn in range(repeat):
        names = list(ways) if turn % 2 == 0 else list(ways)[::-1]
        for name in names:
            samples[name].append(ways[name]())
    return samples


def sample(way: str, shape: str, size: int) -> dict[str, Any]:
    """Run `benchmarks.sample` in a new process and a new folder; give what it measured."""
    out = run_python(["-m", "benchmarks.sample", way, shape, str(size)])
    measured: dict[str, Any] = json.loads(out.splitlines()[-1])
    return measured


def whole_process(arguments: list[str], files: Mapping[str, str] | None = None) -> float:
    """The seconds that a whole Python process takes, from before its start until it has been waited for."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (files or {}).items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        start = time.perf_counter()
        run_python(arguments, folder)
        return time.perf_counter() - start


def run_python(arguments: list[str], folder: str | None = None) -> str:
    """Run this Python in a folder (a new one, if none is given); give what it printed.

    Raises:
        SystemExit: it failed, with what it wrote to stderr; or it hangs.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as new:
            return run_python(arguments, new)
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"python {' '.join(arguments)} has not ended after {LONGEST_S} s") from None
    if done.returncode:
        raise SystemExit(f"python {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
