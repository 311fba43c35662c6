"""Counts primes on the workers of a folder: two of them, started here, as they would be on other machines.

python examples/executor/primes.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from liteflow_spool import SpoolExecutor

from liteflow import flow, task

HERE = Path(__file__).resolve().parent


@task
def primes(start: int, stop: int) -> int:
    """How many primes there are from `start` to below `stop`."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(max(start, 2), stop))


@task
def total(counts: list[int]) -> int:
    """The sum."""
    return sum(counts)


@flow
def counting(limit: int = 20_000, parts: int = 8) -> int:
    """How many primes there are below `limit`, counted in parts.

    >>> counting.run(limit=100, parts=3, db=None, executor="inline").result
    25
    """
    edges = [limit * part // parts for part in range(parts + 1)]
    return total([primes(start, stop) for start, stop in pairwise(edges)])


def main() -> None:
    """Start two workers, run the flow on them, and tell."""
    search = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": search}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "liteflow_spool", folder, "--places", "1"]
        workers = [subprocess.Popen(command, env=environment) for _ in range(2)]
        try:
            with SpoolExecutor(folder) as spool:
                run = counting.run(executor=spool)
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait()
    print(f"{run.result} primes below 20000, counted by the workers of a folder")
    print("the same on this machine alone:", counting.run(executor="process").result)


if __name__ == "__main__":
    main()
