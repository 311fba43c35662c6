"""PoolExecutor: a pool of the user's own as a place for tasks: threads, processes, loky, MPI.

    from liteflow.executor import PoolExecutor

    flow.run(executor=PoolExecutor(ThreadPoolExecutor(4)))

The pool is the user's: liteflow gives it calls, and neither starts nor shuts it down.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from liteflow.errors import SettingError
from liteflow.executor.base import Limits, Work
from liteflow.executor.futures import FuturesExecutor
from liteflow.executor.remote import Answer, attempts
from liteflow.system import cores
from liteflow.where import named, remember

_HERE = "127.0.0.1"


class PoolExecutor:
    """Lets tasks run on a `concurrent.futures.Executor`; given as `executor=` to a flow, a run or a task.

    A ThreadPoolExecutor runs the functions themselves.  Any other pool is taken to be of other
    processes: functions and values go there as bytes, and liteflow has to be installed there.

    Args:
        pool: The pool, which stays the user's: it is to be open while flows run, and shut down by
            whoever made it.
        max_workers: How many calls it is given at a time; None: as many as it has workers, or, if it
            does not say, one for each processor of this machine.
        name: What it is called in `max_workers={...}`, in messages and in the store; by it tasks
            that return calls from other processes mean this pool.  None: one that is made up.
        host: Where the pool's workers reach this process, for tasks that take a Context or give
            chunks: an address of this machine.  By default workers of this machine alone do.

    Raises:
        SettingError: It is no pool, or the limit is no positive number.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from liteflow import Flow, task
    >>> with ThreadPoolExecutor(4) as threads:
    ...     Flow("f", task(abs)(-5)).run(db=None, executor=PoolExecutor(threads)).result
    5
    """

    def __init__(
        self,
        pool: Pool,
        max_workers: int | None = None,
        *,
        name: str | None = None,
        host: str = _HERE,
    ) -> None:
        if isinstance(pool, type) or not callable(getattr(pool, "submit", None)):
            wants = "a concurrent.futures.Executor, such as ThreadPoolExecutor(4)"
            raise SettingError("PoolExecutor", "pool", pool, wants)
        if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
            raise SettingError("PoolExecutor", "max_workers", max_workers, "a whole number from 1, or None")
        if not isinstance(host, str) or not host:
            raise SettingError("PoolExecutor", "host", host, "an address of this machine, as a text")
        self.pool = pool
        self.host = host
        self.max_workers = max_workers
        # By chance: a name that was counted might mean another pool in another process.
        self.name = f"{type(pool).__name__}-{os.urandom(3).hex()}" if name is None else name
        self.remote = not isinstance(pool, ThreadPoolExecutor)
        remember(self)

    @property
    def job(self) -> Callable[..., Answer]:
        """What the pool is to run."""
        return attempts

    @property
    def ends(self) -> bool:
        """A call that a pool has begun can't be ended from here."""
        return False

    def make(self, work: Work, settings: Limits, /) -> FuturesExecutor:
        """Make the executor of one run.

        Raises:
            SettingError: The host is no address of this machine.
        """
        if self.remote and self.host != _HERE:
            try:
                socket.create_server((self.host, 0)).close()
            except OSError as error:
                wants = f"an address of this machine ({error.strerror or error})"
                raise SettingError("PoolExecutor", "host", self.host, wants) from error
        limits = [n for n in (self.max_workers, settings.limit(self.name)) if n is not None]
        places = max(self.max_workers or 0, _size(self.pool))
        return FuturesExecutor(work, self, min(limits, default=places), places)

    def shutdown(self, wait: bool = True) -> None:
        """Shut the pool down."""
        self.pool.shutdown(wait)

    def __enter__(self) -> PoolExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"<PoolExecutor {self.name}>"

    def __reduce__(self) -> Any:
        # Tasks travel with their settings, but their pool stays here.
        return named, (self.name,)


def _size(pool: Pool) -> int:
    # Python's pools and loky's have the first, mpi4py's the second.
    for attribute in ("_max_workers", "num_workers"):
        size = getattr(pool, attribute, None)
        if isinstance(size, int) and size > 0:
            return size
    return cores()
