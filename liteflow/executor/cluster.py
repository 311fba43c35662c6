"""What executors on clusters share: clusters grow, go away and come back, and their jobs can be ended.

    ClusterExecutor
      AllottingCluster
        DaskExecutor  dask.py      RayExecutor  ray.py

Calls go there as they go to any pool (futures.py), and run in annexes, so that they can be ended.
"""

from __future__ import annotations

import atexit
import logging
import socket
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor as Pool
from typing import Any, TypeVar

from liteflow.errors import SettingError
from liteflow.executor.base import Limits, Needs, Work
from liteflow.executor.futures import FuturesExecutor
from liteflow.executor.pools import Pooled
from liteflow.executor.presence import Presence, Seen
from liteflow.executor.remote import Answer

_logger = logging.getLogger("liteflow")
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

        def ask(kinds: Iterable[Needs]) -> Seen:
            there = self.places()
            places = {needs: self.places_with(needs) for needs in kinds}
            rooms = {needs: min(count, sizes(count)[0]) for needs, count in places.items()}
            return Seen(sizes(there), rooms, is_empty=not there)

        try:
            cluster = Presence(self.name, ask, self.again, self._patience, self.calm)
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


class AllottingCluster(ClusterExecutor):
    """The same of a cluster that gives jobs what they take of its workers.

    Args:
        max_workers, name, host, patience: As of ClusterExecutor.
        usual: What a call takes whose task says nothing of it, by the cluster's names.

    Raises:
        SettingError: As of ClusterExecutor.
    """

    allots = True
    # What the cluster calls what tasks may take.
    _names: Mapping[str, str]
    # How workers get it, for who waits for one that has it.
    _remedy: str

    def __init__(
        self,
        max_workers: int | None,
        name: str,
        host: str | None,
        patience: float = PATIENCE_S,
        *,
        usual: Mapping[str, float],
    ) -> None:
        super().__init__(max_workers, name, host, patience)
        self._usual = usual
        self._missed: set[Needs] = set()

    @property
    def pool(self) -> Pool:
        """The cluster, as a pool."""
        return self._pool_of(self._usual)

    def pool_with(self, needs: Needs) -> Pool:
        """The same for calls that take this."""
        return self._pool_of(self._taken(needs))

    def places_with(self, needs: Needs) -> int:
        """How many calls that take this it has room for now; where there is none, a warning says so once."""
        taken = self._taken(needs)
        places = self._places_for(taken)
        if not places and needs not in self._missed:
            self._missed.add(needs)
            wanted = ", ".join(f"{name}: {n:g}" for name, n in taken.items() if n)
            text = "nothing of %s has %s: calls that take it wait until it is there; %s"
            _logger.warning(text, self.name, wanted, self._remedy)
        return places

    def _taken(self, needs: Needs) -> dict[str, float]:
        """What a call takes, by the cluster's names."""
        return {**self._usual, **{self._names.get(name, name): n for name, n in needs}}

    @abstractmethod
    def _pool_of(self, taken: Mapping[str, float]) -> Pool:
        """The cluster, as a pool for calls that take this."""

    @abstractmethod
    def _places_for(self, taken: Mapping[str, float]) -> int:
        """How many of them it has room for."""


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
