"""On a Dask cluster of this machine: with liteflow, and with Dask's own API (`_bare`), without a store."""

from __future__ import annotations

from functools import cache
from typing import Any

from benchmarks import calls, kept
from liteflow.executor import DaskExecutor


@cache
def client() -> Any:
    """The cluster, started when it is first asked for: a scheduler, and workers in processes of their own."""
    from distributed import Client, LocalCluster  # noqa: PLC0415  nobody needs to have it

    cluster = LocalCluster(
        n_workers=calls.WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs="ERROR"
    )
    return Client(cluster)


@cache
def executor() -> DaskExecutor:
    return DaskExecutor(client())


def chain(size: int) -> Any:
    """Start the cluster, and run one call after the other."""
    value = client().submit(calls.source, pure=False)
    for number in range(size - 1):
        value = client().submit(calls.add, value, number, pure=False)
    return value.result()


def fan_out(size: int) -> Any:
    return kept.fanned_out(size).run(db=kept.STORE, executor=executor()).result


def fan_out_bare(size: int) -> Any:
    value = client().submit(calls.source, pure=False).result()
    futures = client().map(calls.add, [value] * size, range(size), pure=False)
    return client().submit(calls.total, client().gather(futures), pure=False).result()


def large(megabytes: int) -> Any:
    return sum(kept.consumed(megabytes).run(db=kept.STORE, executor=executor()).result)


def large_bare(megabytes: int) -> Any:
    values = client().submit(calls.array, megabytes, pure=False)
    return sum(client().gather(client().map(calls.consume, [values] * 3, (1, 2, 3), pure=False)))


SHAPES = {
    "chain": chain,
    "fan_out": fan_out,
    "fan_out_bare": fan_out_bare,
    "large": large,
    "large_bare": large_bare,
}
