"""RayExecutor: tasks on a Ray cluster.

    driver --parcels of calls--> Ray task, in a worker of its own --> annex: a process beside it (annex.py)

Ray's own ways are used for all that it does: calls are its tasks, with its resources; cancelling one ends
its worker; when the driver dies, Ray ends what it had running.  The annex is there for what Ray doesn't
do: to keep a time limit, and to tell which of several calls has died, and of what.

Source: https://docs.ray.io/en/latest/ray-core/fault_tolerance/tasks.html,
https://docs.ray.io/en/latest/ray-core/api/doc/ray.cancel.html
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from typing import Any

from liteflow.errors import ExecutorMissingError, SettingError
from liteflow.executor.annex import annexed
from liteflow.executor.cluster import PATIENCE_S, AllottingCluster, check_it_listens, default_of
from liteflow.executor.held import Shared
from liteflow.executor.remote import Answer
from liteflow.where import EXECUTORS, EXTRAS

_OWN = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}


class RayExecutor(AllottingCluster):
    """Lets tasks run on a Ray cluster; given as `executor=` to a flow, a run or a task.

    liteflow has to be installed where the cluster's workers run.  Each call runs in a process of its own
    beside a worker of Ray's, which serves one call after the other.

    Args:
        address: The cluster: "auto", "10.0.0.5:6379", ...; None: the one that this program is connected to,
            else what `ray.init()` finds or starts.  A program has one connection to Ray.
        max_workers: How many calls it is given at a time; None: as many as the cluster has resources
            for, looked at once a second.
        name: What it is called in `max_workers={...}`, in messages and in the store.
        resources: What each call takes whose task says nothing of it (`resources=`), by Ray's names: {"CPU":
            1, "GPU": 0.5, "memory": 2_000_000_000} (bytes), or resources of one's own; a CPU, unless told.
        host: The address of this machine by which workers reach it, for tasks that take a Context or
            give chunks; None: the one that Ray knows it by.
        patience: Seconds that a run waits for a cluster that can't be reached any more: what it was running
            is lost at once, the rest goes on when it is back, or fails when the time is over.

    Raises:
        ExecutorMissingError: Ray is not installed.
        SettingError: It is no address, the limit is no positive number, or the patience no number.

    Example (it needs Ray, so it is run by tests/test_executor_ray.py)::

        with RayExecutor() as ray:
            Flow("f", task(abs)(-5)).run(db=None, executor=ray).result
    """

    # Nodes may have died because all do.  Ray ends a process that asks the head while that dies.
    calm = 1.0
    holds = True

    def __init__(
        self,
        address: str | None = None,
        max_workers: int | None = None,
        *,
        name: str = "ray",
        resources: Mapping[str, float] | None = None,
        host: str | None = None,
        patience: float = PATIENCE_S,
    ) -> None:
        try:
            import ray  # noqa: F401, PLC0415  start-up: it takes a second to load
        except ImportError as error:
            raise ExecutorMissingError("ray", EXTRAS["ray"], [*EXECUTORS], str(error)) from error
        if address is not None and (not isinstance(address, str) or not address):
            wants = 'the address of a Ray cluster, "auto", or None'
            raise SettingError("RayExecutor", "address", address, wants)
        super().__init__(max_workers, name, host, patience, usual={"CPU": 1.0, **(resources or {})})
        self._address = address
        self._is_ours = False
        # Where the cluster's head listens, and whether it does no more.
        self._head = ("", 0)
        self._is_broken = False
        self._lock = threading.Lock()
        self._renewing = threading.Lock()

    _names: Mapping[str, str] = {"cpus": "CPU", "gpus": "GPU"}
    _remedy = "add nodes that have it, such as: ray start --resources='{\"telescope\": 1}'"

    def _pool_of(self, taken: Mapping[str, float]) -> Pool:
        return _Tasks(self._connected(), taken)

    @property
    def job(self) -> Callable[..., Answer]:
        """What its workers run."""
        return liteflow_attempts

    def adopt(self, handle: Any) -> Any:
        """The handle itself: Ray knows who has one."""
        return handle

    def fetch(self, handle: Any) -> Shared:
        """A value that Ray holds."""
        shared: Shared = self._connected().get(handle)
        return shared

    def own_host(self) -> str:
        address: str = self._connected().util.get_node_ip_address()
        return address

    def places(self) -> int:
        """As many calls as there are resources for.

        Raises:
            OSError: The cluster can't be reached.
        """
        ray = self._connected()
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = host, int(port)
        try:
            # A head that is gone, or is another one, must not be asked: Ray then ends this process.
            check_it_listens(*self._head)
        except OSError:
            self._is_broken = True
            raise
        return self._places_for(self._usual)

    def _places_for(self, taken: Mapping[str, float]) -> int:
        there = self._connected().cluster_resources()
        rooms = [there.get(name, 0) / count for name, count in taken.items() if count]
        # What takes nothing has room anywhere; somewhere it has to run.
        return int(min(rooms, default=there.get("CPU", 0) or 1))

    def again(self) -> None:
        """Open another connection to the same head; a connection of the program's own is left to Ray."""
        with self._renewing:
            if self._is_broken:
                # At once: Ray ends a process that is connected to a head which is gone, after a minute.
                self._disconnect()
                check_it_listens(*self._head)
                self._connected()
                self._is_broken = False

    def shutdown(self) -> None:
        """Close the connection, if it was made here, and with it a cluster that was started by it."""
        self._disconnect()
        self._is_broken = False

    def _disconnect(self) -> None:
        with self._lock:
            if self._is_ours:
                import ray  # noqa: PLC0415  start-up, as above

                ray.shutdown()
                self._is_ours = False

    def _connected(self) -> Any:
        import ray  # noqa: PLC0415  start-up, as above

        with self._lock:
            if not ray.is_initialized():
                try:
                    address = f"{self._head[0]}:{self._head[1]}" if self._is_broken else self._address
                    _init(ray, address)
                except (OSError, ValueError) as error:
                    wants = f"that of a Ray cluster that can be reached ({error})"
                    raise SettingError("RayExecutor", "address", self._address, wants) from error
                self._is_ours = True
        return ray


def _init(ray: Any, address: str | None) -> None:
    """Connect to a cluster.

    Ray takes SIGTERM for itself, of which the run that goes on here has to hear.

    Raises:
        OSError, ValueError: It is not there, or no address.
    """
    host, _, port = (address or "").rpartition(":")
    if host and "/" not in host and port.isdecimal():
        # Ray itself would try for a minute, and then end this process.
        check_it_listens(host.strip("[]"), int(port))
    before = signal.getsignal(signal.SIGTERM)
    # What tasks print comes with their results.
    ray.init(address=address, log_to_driver=False)
    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


class _Tasks(Pool):
    """Ray's tasks, as a pool; to cancel a future is to end what runs."""

    def __init__(self, ray: Any, resources: Mapping[str, float]) -> None:
        options: dict[str, Any] = {_OWN[name]: n for name, n in resources.items() if name in _OWN}
        options["resources"] = {name: n for name, n in resources.items() if name not in _OWN}
        self._ray = ray
        # Not again by itself: who counts attempts is the driver.
        self._task = ray.remote(max_retries=0, **options)(liteflow_attempts)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert fn is liteflow_attempts
        reference = self._task.remote(*args, **kwargs)
        future: Future[Any] = reference.future()

        def end(future: Future[Any]) -> None:
            if future.cancelled():
                self._ray.cancel(reference, force=True)

        future.add_done_callback(end)
        return future


def default() -> RayExecutor:
    """What `executor="ray"` means: the cluster that this program is connected to, or gets connected to.

    Raises:
        ExecutorMissingError: Ray is not installed.
    """
    return default_of(RayExecutor)


def liteflow_attempts(*parcel: Any) -> Answer:
    """Make attempts as `remote.attempts` does, in a worker; the name is what Ray shows."""
    import ray  # noqa: PLC0415  only where Ray is

    # Nobody has to look: when a task is cancelled, Ray ends its worker, and the annex ends with that.
    return annexed(*parcel, wanted=_always, hold=ray.put)


def _always() -> bool:
    return True
