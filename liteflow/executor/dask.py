"""DaskExecutor: tasks on a Dask cluster.

    driver --parcels of calls--> scheduler --> worker --> annex: a process beside it (annex.py)

Dask's own ways are used for all that it does: calls are jobs of its queue, with its resources and on its
page; their answers are its futures.  What it doesn't do is done here: it can't end a job that has begun, so
its calls run in annexes, and a worker ends the annex of a job that Dask says is wanted no more, for it was
cancelled, or its driver is gone.  And it runs jobs of a worker that is lost again without a word, which an
attempt must not: a plug-in of its scheduler has them fail.

Source: https://distributed.dask.org/en/stable/scheduling-state.html,
https://distributed.dask.org/en/stable/resilience.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

from liteflow.errors import ExecutorMissingError, SettingError
from liteflow.executor.annex import annexed
from liteflow.executor.cluster import PATIENCE_S, AllottingCluster, check_it_listens, default_of
from liteflow.executor.held import Shared
from liteflow.executor.remote import Answer
from liteflow.system import cores, gpus, memory
from liteflow.where import EXECUTORS, EXTRAS


class DaskExecutor(AllottingCluster):
    """Lets tasks run on a Dask cluster; given as `executor=` to a flow, a run or a task.

    liteflow has to be installed where the cluster's workers run.  Each call runs in a process of its own
    beside a worker, which serves one call after the other.

    Args:
        cluster: The address of its scheduler ("tcp://10.0.0.5:8786"), or a `distributed.Client` or cluster,
            which stays the user's; None: one that is made in this process when it is first used, with a
            place for each processor.
        max_workers: How many calls it is given at a time; None: as many as its workers have threads,
            looked at once a second.
        name: What it is called in `max_workers={...}`, in messages and in the store.
        resources: What each call takes of the workers' resources whose task says nothing of it, as Dask has
            them: {"GPU": 1}.  What a task takes (`resources=`) are here CPU, GPU, MEMORY in bytes, and its
            own names as they are.
        host: The address of this machine by which workers reach it, for tasks that take a Context or
            give chunks; None: the one by which it reaches the scheduler.
        patience: Seconds that a run waits for a cluster that can't be reached any more: what it was running
            is lost at once, the rest goes on when it is back, or fails when the time is over.

    Raises:
        ExecutorMissingError: Dask is not installed.
        SettingError: It is no cluster, the limit is no positive number, or the patience no number.

    Example (it needs Dask, so it is run by tests/test_executor_dask.py)::

        with DaskExecutor() as dask:
            Flow("f", task(abs)(-5)).run(db=None, executor=dask).result
    """

    holds = True

    def __init__(
        self,
        cluster: Any = None,
        max_workers: int | None = None,
        *,
        name: str = "dask",
        resources: Mapping[str, float] | None = None,
        host: str | None = None,
        patience: float = PATIENCE_S,
    ) -> None:
        try:
            import distributed  # noqa: F401, PLC0415  start-up: it takes a second to load
        except ImportError as error:
            raise ExecutorMissingError("dask", EXTRAS["dask"], [*EXECUTORS], str(error)) from error
        if cluster is not None and not isinstance(cluster, str) and not hasattr(cluster, "scheduler"):
            wants = "the address of a scheduler, a distributed.Client, a cluster, or None"
            raise SettingError("DaskExecutor", "cluster", cluster, wants)
        if isinstance(cluster, str) and not _is_address(cluster):
            wants = "the address of a scheduler, like tcp://10.0.0.5:8786"
            raise SettingError("DaskExecutor", "cluster", cluster, wants)
        super().__init__(max_workers, name, host, patience, usual=dict(resources or {}))
        self._cluster = cluster
        self._client: Any = None
        # The scheduler that has our plug-in, by Dask's name for it.
        self._prepared = ""
        # How many places there were when it was last asked.
        self._places = 0
        self._own: list[Any] = []
        self._lock = threading.Lock()

    def _pool_of(self, taken: Mapping[str, float]) -> Pool:
        resources = {name: count for name, count in taken.items() if count}
        return _Jobs(self._connected().get_executor(pure=False, retries=0, resources=resources))

    _names: Mapping[str, str] = {"cpus": "CPU", "gpus": "GPU", "memory": "MEMORY"}
    _remedy = "start workers with it, such as: dask worker --resources 'GPU=1,MEMORY=32e9'"

    @property
    def job(self) -> Callable[..., Answer]:
        """What its workers run."""
        return liteflow_attempts

    def adopt(self, handle: Any) -> Any:
        """A future of this program's for what a worker has put there: its own ends with the job."""
        from distributed import Future as DaskFuture  # noqa: PLC0415  start-up, as above

        client = self._connected()
        future = DaskFuture(handle.key, client, state="finished")
        client._send_to_scheduler({"op": "client-desires-keys", "keys": [handle.key], "client": client.id})
        return future

    def fetch(self, handle: Any) -> Shared:
        """A value that a worker holds."""
        shared: Shared = handle.result()
        return shared

    def cause(self, error: BaseException) -> str:
        """Dask says of a lost worker that several have died; it has tried one alone."""
        from distributed.scheduler import KilledWorker  # noqa: PLC0415  start-up, as above

        if isinstance(error, KilledWorker):
            return f"KilledWorker: {error.last_worker.address} is gone"
        return super().cause(error)

    def own_host(self) -> str:
        from distributed.utils import get_ip  # noqa: PLC0415  start-up, as above

        address = urlsplit(self._connected().scheduler.address)
        # Threads of this process have an address of another kind.
        return get_ip(address.hostname) if address.scheme in ("tcp", "tls", "ws", "wss") else "127.0.0.1"

    def places(self) -> int:
        """One for each thread of its workers.

        Raises:
            ConnectionError: The scheduler can't be reached.
        """
        client = self._connected()
        if client.status != "running":
            raise ConnectionError(f"the connection to Dask's scheduler is {client.status}")
        try:
            scheduler = client.scheduler_info()["id"]
            if scheduler != self._prepared:
                # A new one, even if it has the address of the old.
                client.register_plugin(_once(), name="liteflow")
                self._prepared = scheduler
            self._places = sum(client.nthreads().values())
        except OSError:
            # One that is only busy listens all the same; what it has is not lost.
            if client.status != "running":
                raise
            _check_it_listens(client.scheduler.address)
        return self._places

    def again(self) -> None:
        """Dask's client does it by itself, until it gives up and is closed: then by another client."""
        if isinstance(self._cluster, str):
            _check_it_listens(self._cluster)
        self._connected()

    def _places_for(self, taken: Mapping[str, float]) -> int:
        def there(dask_scheduler: Any) -> list[tuple[int, dict[str, float]]]:
            return [(worker.nthreads, dict(worker.resources)) for worker in dask_scheduler.workers.values()]

        return sum(
            int(min([threads, *(has.get(name, 0) / count for name, count in taken.items() if count)]))
            for threads, has in self._connected().run_on_scheduler(there)
        )

    def shutdown(self) -> None:
        """Close the connection, and the cluster if it was made here."""
        with self._lock:
            own, self._own, self._client = self._own, [], None
        for one in reversed(own):
            one.close()

    def _connected(self) -> Any:
        with self._lock:
            client = self._client
            if client is None or (client.status == "closed" and client in self._own):
                self._client = self._connect()
        return self._client

    def _connect(self) -> Any:
        from distributed import Client, LocalCluster  # noqa: PLC0415  start-up, as above

        cluster = self._cluster
        if cluster is None:
            # In this process: processes of its own would import the script, and calls run in annexes anyway.
            cluster = LocalCluster(
                n_workers=1,
                threads_per_worker=cores(),
                processes=False,
                dashboard_address="127.0.0.1:0",
                resources={"CPU": cores(), "GPU": len(gpus()), "MEMORY": memory()},
            )
            self._own.append(cluster)
        if isinstance(cluster, Client):
            client = cluster
        else:
            try:
                client = Client(cluster, set_as_default=False)
            except OSError as error:
                wants = f"that of a scheduler that can be reached ({error})"
                raise SettingError("DaskExecutor", "cluster", cluster, wants) from error
            self._own.append(client)
        return client


def _is_address(text: str) -> bool:
    """Whether Dask can make something of it: one that it can't leaves threads of it behind."""
    from distributed.comm.registry import get_backend  # noqa: PLC0415  start-up, as above

    scheme, _, there = text.rpartition("://")
    try:
        get_backend(scheme or "tcp")
    except ValueError:
        return False
    host, _, port = there.rpartition(":")
    return scheme not in ("", "tcp", "tls", "ws", "wss") or bool(host and port.isdecimal())


def _check_it_listens(address: str) -> None:
    scheme, _, there = address.rpartition("://")
    host, _, port = there.rpartition(":")
    if scheme in ("", "tcp", "tls"):
        check_it_listens(host.strip("[]"), int(port))


class _Jobs(Pool):
    """Dask's own pool; large values are no mistake of the user's that Dask would have to warn of."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        import dask  # noqa: PLC0415  start-up, as above

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return self._pool.submit(fn, *args, **kwargs)


def default() -> DaskExecutor:
    """What `executor="dask"` means: one cluster in this process, for as long as it goes on.

    Raises:
        ExecutorMissingError: Dask is not installed.
    """
    return default_of(DaskExecutor)


def liteflow_attempts(*parcel: Any) -> Answer:
    """Make attempts as `remote.attempts` does, in a thread of a worker; the name is what Dask shows."""
    from distributed import Status, get_worker  # noqa: PLC0415  only where Dask is

    gone = (Status.closing, Status.closed, Status.failed)
    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        if worker.status in gone:
            # It ends when its threads have ended, which wait for the annex.
            raise RuntimeError(f"Dask's worker {worker.address} is closed, or has lost its scheduler")
        state = worker.state.tasks.get(key)
        return state is not None and state.state == "executing"

    def hold(shared: Shared) -> _Kept:
        return _Kept(worker._get_client().scatter(shared, hash=False))

    return annexed(*parcel, wanted=wanted, hold=hold)


class _Kept:
    """A value that a worker has put there, for as long as the answer lies there in which this is.

    Other processes know its key alone.
    """

    def __init__(self, future: Any, key: str = "") -> None:
        self._future = future
        self.key = key or future.key

    def __reduce__(self) -> Any:
        return _Kept, (None, self.key)


def _once() -> Any:
    """A plug-in for the scheduler: our jobs run once, and are lost with their worker.

    Made in a function, so that it travels as it is: the scheduler needs no liteflow.
    """
    from distributed.diagnostics.plugin import SchedulerPlugin  # noqa: PLC0415  as above

    class Once(SchedulerPlugin):  # type: ignore[misc]
        idempotent = True

        async def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
            # A job whose worker is lost, is suspected once more; one that is suspected too often, fails.
            if finish == "processing" and str(key).startswith("liteflow_attempts-"):
                self.scheduler.tasks[key].suspicious = self.scheduler.allowed_failures

    return Once()
