"""Pools as places for tasks: what all executor factories of them share, and PoolExecutor.

    Pooled
      PoolExecutor     a pool of the user's own: threads, processes, loky, MPI
      ClusterExecutor  cluster.py

    flow.run(executor=PoolExecutor(ThreadPoolExecutor(4)))

A user's pool stays the user's: liteflow gives it calls, and neither starts nor shuts it down.
"""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from liteflow.errors import SettingError
from liteflow.executor.base import Limits, Needs, Work
from liteflow.executor.futures import FuturesExecutor
from liteflow.executor.held import Shared
from liteflow.executor.parcels import line_of
from liteflow.executor.remote import Answer, attempts
from liteflow.system import cores
from liteflow.where import named, remember

_HERE = "127.0.0.1"


class Pooled(ABC):
    """Makes executors that give their calls to a pool.

    Args:
        max_workers: How many calls it is given at a time; None: as many as it has places.
        name: What it is called in `max_workers={...}`, in messages and in the store.
        host: The address of this machine by which the pool's workers reach it; None: `own_host`.

    Raises:
        SettingError: The limit is no positive number, or the host no text.
    """

    remote = True
    ends = False
    allots = False
    holds = False

    def __init__(self, max_workers: int | None, name: str, host: str | None) -> None:
        owner = type(self).__name__
        if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
            raise SettingError(owner, "max_workers", max_workers, "a whole number from 1, or None")
        if host is not None and (not isinstance(host, str) or not host):
            raise SettingError(owner, "host", host, "an address of this machine, as a text")
        self.name = name
        self.max_workers = max_workers
        self._host = host
        remember(self)

    @property
    @abstractmethod
    def pool(self) -> Pool:
        """The pool."""

    def pool_with(self, needs: Needs) -> Pool:
        """The same for calls that take this: only of one that `allots` it is another asked for."""
        return self.pool

    @property
    def job(self) -> Callable[..., Answer]:
        """What it is to run for each parcel of calls."""
        return attempts

    @property
    def host(self) -> str:
        """Where its workers reach this process."""
        return self.own_host() if self._host is None else self._host

    def own_host(self) -> str:
        """Where they do if the user has not told: on this machine alone."""
        return _HERE

    @abstractmethod
    def places(self) -> int:
        """How many calls it can run at a time; 0: nobody knows yet."""

    def places_with(self, needs: Needs) -> int:
        """The same for calls that take this; as `pool_with`."""
        return self.places()

    @abstractmethod
    def shutdown(self) -> None:
        """Close what belongs to it."""

    def adopt(self, handle: Any) -> Any:
        """The handle of a held value, as an answer has it: one that keeps the value there."""
        raise AssertionError(f"{self!r} holds nothing")

    def fetch(self, handle: Any) -> Shared:
        """A held value; called in another thread."""
        raise AssertionError(f"{self!r} holds nothing")

    def cause(self, error: BaseException) -> str:
        """What a job's future failed with, in a line, for the record."""
        return line_of(error)

    def make(self, work: Work, settings: Limits, /) -> FuturesExecutor:
        """Make the executor of one run.

        Raises:
            SettingError: The host is no address of this machine, or the pool can't be reached.
        """
        self._check_host()
        return FuturesExecutor(work, self, *self._sizes(settings)(self.places()))

    def _sizes(self, settings: Limits) -> Callable[[int], tuple[int, int]]:
        """Tells, by the places there are, how many calls a run may have there, and how many have room."""
        limits = [n for n in (self.max_workers, settings.limit(self.name)) if n is not None]

        def sizes(known: int) -> tuple[int, int]:
            # One that has no workers yet may get them when there is something to do.
            places = known or cores()
            return min(limits, default=places), max(self.max_workers or 0, places)

        return sizes

    def _check_host(self) -> None:
        if not self.remote or self._host is None:
            return
        try:
            socket.create_server((self._host, 0)).close()
        except OSError as error:
            wants = f"an address of this machine ({error.strerror or error})"
            raise SettingError(type(self).__name__, "host", self._host, wants) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __reduce__(self) -> Any:
        # Tasks travel with their settings, but the pool stays here.
        return named, (self.name,)


class PoolExecutor(Pooled):
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
        host: str | None = None,
    ) -> None:
        if isinstance(pool, type) or not callable(getattr(pool, "submit", None)):
            wants = "a concurrent.futures.Executor, such as ThreadPoolExecutor(4)"
            raise SettingError("PoolExecutor", "pool", pool, wants)
        # By chance: a name that was counted might mean another pool in another process.
        made_up = f"{type(pool).__name__}-{os.urandom(3).hex()}"
        super().__init__(max_workers, made_up if name is None else name, host)
        self._pool = pool
        self.remote = not isinstance(pool, ThreadPoolExecutor)

    @property
    def pool(self) -> Pool:
        """The user's pool."""
        return self._pool

    def places(self) -> int:
        """As many as it has workers; if it does not say, one for each processor of this machine."""
        return _size(self._pool)

    def shutdown(self, wait: bool = True) -> None:
        """Shut the pool down."""
        self._pool.shutdown(wait)


def _size(pool: Pool) -> int:
    # Python's pools and loky's have the first, mpi4py's the second.
    for attribute in ("_max_workers", "num_workers"):
        size = getattr(pool, attribute, None)
        if isinstance(size, int) and size > 0:
            return size
    return cores()
