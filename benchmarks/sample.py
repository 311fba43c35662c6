"""One sample in a process of its own: `python -m benchmarks.sample kept fan_out 10000` prints it as JSON.

A process of its own: a pool forked from a driver full of leftovers would measure the leftovers.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path


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
    work = importlib.import_module(f"benchmarks.{way}").SHAPES[shape]
    start = time.perf_counter()
    value = work(int(size))
    seconds = time.perf_counter() - start
    stored = sum(path.stat().st_size for path in Path().glob("liteflow.db*"))
    print(json.dumps({"seconds": seconds, "value": value, "peak": peak_bytes(), "stored": stored}))


if __name__ == "__main__":
    main()
