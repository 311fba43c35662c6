"""On a Ray cluster of this machine: with liteflow, and with Ray's own API (`_bare`), without a store."""

from __future__ import annotations

from typing import Any

from benchmarks import calls, kept


def connected() -> Any:
    import ray  # noqa: PLC0415  nobody needs to have it

    if not ray.is_initialized():
        ray.init(num_cpus=calls.WORKERS, include_dashboard=False, log_to_driver=False)
    return ray


def chain(size: int) -> Any:
    """Start the cluster, and run one call after the other."""
    ray = connected()
    add = ray.remote(calls.add)
    value = ray.remote(calls.source).remote()
    for number in range(size - 1):
        value = add.remote(value, number)
    return ray.get(value)


def fan_out(size: int) -> Any:
    return kept.fanned_out(size).run(db=kept.STORE, executor="ray").result


def fan_out_bare(size: int) -> Any:
    ray = connected()
    add = ray.remote(calls.add)
    value = ray.get(ray.remote(calls.source).remote())
    values = ray.get([add.remote(value, number) for number in range(size)])
    return ray.get(ray.remote(calls.total).remote(values))


def large(megabytes: int) -> Any:
    return sum(kept.consumed(megabytes).run(db=kept.STORE, executor="ray").result)


def large_bare(megabytes: int) -> Any:
    ray = connected()
    values, consume = ray.remote(calls.array).remote(megabytes), ray.remote(calls.consume)
    return sum(ray.get([consume.remote(values, factor) for factor in (1, 2, 3)]))


SHAPES = {
    "chain": chain,
    "fan_out": fan_out,
    "fan_out_bare": fan_out_bare,
    "large": large,
    "large_bare": large_bare,
}
