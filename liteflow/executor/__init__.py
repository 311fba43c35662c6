"""Executors: what turns an attempt into an outcome.

    base.py       what the driver and an executor say to each other
    attempt.py    one attempt, wherever it runs: arguments in, encoded value or failure out
    local.py      the same with what it prints, for executors without workers of their own kind
    inline.py     in the driver's own thread        thread.py      in threads of the driver
    process/      in worker processes               coroutines.py  on an event loop
    pools.py      on pools of the user's own, with futures.py, and remote.py for their processes
    dask.py ray.py  on a Dask or Ray cluster, with annex.py for processes beside its workers
    watched.py      what commands of a driver or an annex start ends with it: watcher.py

An executor knows no store and no graph: it gets functions and bytes and gives outcomes.  Importing
this package loads none of them: each name is loaded when it is first asked for.
"""

from __future__ import annotations

from liteflow.faces import face

# As type checkers know it; to import typing for it would take ten times as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from liteflow.executor.base import Executor, ExecutorFactory
    from liteflow.executor.dask import DaskExecutor
    from liteflow.executor.pools import PoolExecutor
    from liteflow.executor.ray import RayExecutor

__all__ = ["DaskExecutor", "Executor", "ExecutorFactory", "PoolExecutor", "RayExecutor"]

_HOMES = {
    "DaskExecutor": "dask",
    "Executor": "base",
    "ExecutorFactory": "base",
    "PoolExecutor": "pools",
    "RayExecutor": "ray",
}

__getattr__, __dir__ = face(__name__, _HOMES)
