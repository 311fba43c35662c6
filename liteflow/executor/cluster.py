"""What executors on clusters share: a name, a limit, a connection that is opened when it is first used.

    ClusterExecutor
      DaskExecutor  dask.py      RayExecutor  ray.py

Calls go there as they go to any pool (futures.py), and run in annexes, so that they can be ended.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from typing import Any, Self

from liteflow.errors import SettingError
from liteflow.executor.base import Limits, Work
from liteflow.executor.futures import FuturesExecutor
from liteflow.executor.remote import Answer
from liteflow.system import cores
from liteflow.where import named, remember


class ClusterExecutor(ABC):
    """Makes executors of a cluster's jobs.

    Args:
        max_workers: How many calls it is given at a time; None: as many as it has places, now and later.
        name: What it is called in `max_workers={...}`, in messages and in the store.

    Raises:
        SettingError: The limit is no positive number.
    """

    remote = True
    ends = True

    def __init__(self, max_workers: int | None, name: str) -> None:
        if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
            raise SettingError(
                type(self).__name__, "max_workers", max_workers, "a whole number from 1, or None"
            )
        self.name = name
        self.max_workers = max_workers
        remember(self)

    @property
    @abstractmethod
    def pool(self) -> Pool:
        """The cluster, as a pool."""

    @property
    @abstractmethod
    def job(self) -> Callable[..., Answer]:
        """What it is to run for each parcel of calls."""

    @property
    @abstractmethod
    def host(self) -> str:
        """Where its workers reach this process."""

    @abstractmethod
    def places(self) -> int:
        """How many calls it can run at a time; 0: nobody knows yet."""

    @abstractmethod
    def shutdown(self) -> None:
        """Close the connection, and the cluster if it was made here."""

    def make(self, work: Work, settings: Limits, /) -> FuturesExecutor:
        """Make the executor of one run.

        Raises:
            SettingError: The cluster can't be reached.
        """
        limits = [n for n in (self.max_workers, settings.limit(self.name)) if n is not None]
        known = self.places()

        def measure() -> tuple[int, int]:
            nonlocal known
            # Of a cluster that can't be reached now, what was known last; its calls will tell.
            with contextlib.suppress(OSError):
                known = self.places()
            # One that has no workers yet may get them when there is something to do.
            places = known or cores()
            return min(limits, default=places), max(self.max_workers or 0, places)

        return FuturesExecutor(work, self, *measure(), measure=measure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __reduce__(self) -> Any:
        # Tasks travel with their settings, but the connection stays here.
        return named, (self.name,)
