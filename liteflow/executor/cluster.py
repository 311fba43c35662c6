"""What executors on clusters share: they grow, their jobs can be ended, and a name means one for the process.

    ClusterExecutor
      DaskExecutor  dask.py      RayExecutor  ray.py

Calls go there as they go to any pool (futures.py), and run in annexes, so that they can be ended.
"""

from __future__ import annotations

import atexit
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from liteflow.executor.pools import Pooled
from liteflow.executor.remote import Answer

Cluster = TypeVar("Cluster", bound="ClusterExecutor")


class ClusterExecutor(Pooled):
    """Makes executors of a cluster's jobs; arguments and errors as of Pooled."""

    ends = True
    _grows = True

    @property
    @abstractmethod
    def job(self) -> Callable[..., Answer]:
        """What it is to run for each parcel of calls: `annex.annexed`, told what is still wanted."""

    @abstractmethod
    def own_host(self) -> str:
        """The address by which the cluster knows this machine."""


_defaults: dict[Any, ClusterExecutor] = {}
_making = threading.Lock()


def default_of(make: Callable[[], Cluster]) -> Cluster:
    """Return the one that a name means, for as long as this process goes on; made when it is first asked for.

    Args:
        make: Makes it: its class.
    """
    with _making:
        if make not in _defaults:
            _defaults[make] = make()
            atexit.register(_defaults[make].shutdown)
        made: Any = _defaults[make]
    return made  # type: ignore[no-any-return]
