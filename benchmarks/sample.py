"""One sample in a process of its own: `python -m benchmarks.sample kept fan_out 10000` prints it as JSON.

A process of its own: a pool forked from a driver full of leftovers would measure the leftovers.
The first thing that it does with a pool, a chain of one call, is measured apart: it holds what a
program pays once (imports, the process that workers come from), however much it runs.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def peak_bytes() -> int:
    """The most memory that this process has held.

    Linux's own number starts afresh with each program; `ru_maxrss` there has the parent's in it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts in bytes


def main() -> None:
    way, shape, size = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.{way}")
    shapes = module.SHAPES
    first, _ = timed(shapes["chain"], 1)
    # Once without the clock: what a program does for the first time, it does slowly.
    shapes[shape](max(int(size) // 10, 1))
    for path in Path().glob("liteflow.db*"):
        path.unlink()
    # What is made before, and measured elsewhere.
    if shape in getattr(module, "PREPARED", {}):
        module.PREPARED[shape](int(size))
    seconds, value = timed(shapes[shape], int(size))
    stored = sum(path.stat().st_size for path in Path().glob("liteflow.db*"))
    facts = {"first": first, "seconds": seconds, "value": value, "peak": peak_bytes(), "stored": stored}
    print(json.dumps(facts))


def timed(work: Callable[[int], Any], size: int) -> tuple[float, Any]:
    start = time.perf_counter()
    value = work(size)
    return time.perf_counter() - start, value


if __name__ == "__main__":
    main()
