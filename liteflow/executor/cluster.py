"""What executors on clusters share: clusters grow, go away and come back, and their jobs can be ended.

    ClusterExecutor
      DaskExecutor  dask.py      RayExecutor  ray.py

Calls go there as they go to any pool (futures.py), and run in annexes, so that they can be ended.
"""

from __future__ import annotations

import atexit
import socket
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from liteflow.errors import SettingError
from liteflow.executor.base import Limits, Work
from liteflow.executor.futures import FuturesExecutor
from liteflow.executor.pools import Pooled
from liteflow.executor.presence import Presence
from liteflow.executor.remote import Answer

PATIENCE_S = 60.0
_CONNECT_S = 5.0
Cluster = TypeVar("Cluster", bound="ClusterExecutor")


class ClusterExecutor(Pooled):
    """Makes executors of a cluster's jobs.

    Args:
        max_workers, name, host: As of Pooled.
        patience: Seconds that a run waits for a cluster that has gone away.

    Raises:
        SettingError: As of Pooled; or the patience is no number of seconds.
    """

    ends = True
    calm = 0.0
    """Seconds after something of it was lost until it may be asked whether it is there."""

    def __init__(
        self, max_workers: int | None, name: str, host: str | None, patience: float = PATIENCE_S
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int | float) or not patience >= 0:
            wants = "a number of seconds, from 0"
            raise SettingError(type(self).__name__, "patience", patience, wants)
        super().__init__(max_workers, name, host)
        self._patience = patience

    @property
    @abstractmethod
    def job(self) -> Callable[..., Answer]:
        """What it is to run for each parcel of calls: `annex.annexed`, told what is still wanted."""

    @abstractmethod
    def own_host(self) -> str:
        """The address by which the cluster knows this machine."""

    def again(self) -> None:
        """Connect to the cluster anew, where that is needed; any error says that it can't be done yet."""

    def make(self, work: Work, settings: Limits, /) -> FuturesExecutor:
        """Make the executor of one run; errors as of Pooled."""
        self._check_host()
        sizes = self._sizes(settings)
        try:
            cluster = Presence(self.name, lambda: sizes(self.places()), self.again, self._patience, self.calm)
        except OSError as error:
            wants = f"one that can be reached ({error})"
            raise SettingError("executor", type(self).__name__, self.name, wants) from error
        return FuturesExecutor(work, self, *cluster.sizes, cluster=cluster)


def check_it_listens(host: str, port: int) -> None:
    """See that something takes connections there.

    Raises:
        OSError: Nothing does.
    """
    socket.create_connection((host, port), _CONNECT_S).close()


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
