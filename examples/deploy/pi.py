"""Estimates pi by throwing darts: a flow that runs unchanged on a laptop and on a cluster.

    liteflow run examples/deploy/pi.py --run-id monday

Where it runs is said by what starts it: `--executor ray`, or a Dask scheduler's address in the environment.
"""

from __future__ import annotations

import os
import random

from liteflow import flow, task
from liteflow.executor import DaskExecutor

SCHEDULER = os.environ.get("DASK_SCHEDULER_ADDRESS")


@task(retries=3, retry_delay=1, timeout=600)
def hits(seed: int, throws: int) -> int:
    """How many of so many darts hit a quarter of the unit circle."""
    dice = random.Random(seed)
    return sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(throws))


@task
def estimated(counts: list[int], throws: int) -> float:
    """Four times the part that hit."""
    return 4 * sum(counts) / (len(counts) * throws)


@flow(executor=DaskExecutor(SCHEDULER) if SCHEDULER else "process")
def pi(batches: int = 40, throws: int = 50_000) -> float:
    """Throw `batches` times `throws` darts.

    >>> 3 < pi.run(batches=2, throws=1000, db=None, executor="inline").result < 3.3
    True
    """
    return estimated([hits(seed, throws) for seed in range(batches)], throws)
