"""Cases of more than one machine: a thousand simulated workers, and clusters of Ray and Dask on this one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from statistics import median

from attrs import evolve

from benchmarks.compare import Sample, a_call, figure, of
from benchmarks.measure import Compared, Figure, Target, in_turn, sample
from benchmarks.sizes import Sizes

FLEET = {
    "fan_out": "fan-out",
    "layered": "layers of 1,000",
    "mapped": "map",
    "long": "fan-out of calls of 30 to 90 s",
}


def fleet(sizes: Sizes) -> Iterator[Figure]:
    """Task instances a second, from the graph's being built to the last commit; workers are simulated."""
    ways = {shape: partial(sample, "simulated", shape, sizes.fleet) for shape in FLEET}
    messages = partial(sample, "simulated", "messages", sizes.messages)
    taken = in_turn({**ways, "messages": messages}, min(sizes.repeat, 3))
    for shape, what in FLEET.items():
        yield through_the_driver(f"{what}, {sizes.fleet:,} tasks on 1,000 workers", taken[shape])
    in_use = [one["value"]["in_use"] for one in taken["long"]]
    hours = taken["long"][0]["value"]["clock"] / 3600
    yield alone("- in use, of the workers' time", f"{hours:.1f} h by their clock", in_use, "of 1")
    each = [one["value"] * 1e6 for one in taken["messages"]]
    yield alone("- a message to a worker and one back", f"{median(each):.1f} µs", each, "µs of the driver")


def through_the_driver(work: str, samples: list[Sample]) -> Figure:
    seconds, seen = of(samples, "seconds"), [one["value"] for one in samples]
    tasks, attempts = seen[0]["tasks"], of(seen, "attempts")
    own = (median(seconds) - median(attempts)) / tasks * 1e6
    return Figure(
        work,
        a_call(seconds, tasks),
        f"{median(attempts):.2f} s the attempts; {own:.0f} µs a task the rest",
        Compared.of(seconds, attempts, lambda all_, _: tasks / all_),
        "tasks a second",
        Target("at least", 10_000),
    )


def alone(work: str, ours: str, values: list[float], unit: str) -> Figure:
    return Figure(work, ours, "", Compared.of(values, values, lambda one, _: one), unit, None)


def ray(sizes: Sizes) -> Iterator[Figure]:
    return on_a_cluster("ray", "Ray", sizes)


def dask(sizes: Sizes) -> Iterator[Figure]:
    return on_a_cluster("distributed", "Dask", sizes)


def on_a_cluster(module: str, name: str, sizes: Sizes) -> Iterator[Figure]:
    """Liteflow on a cluster beside the cluster's own API, which keeps nothing; both find it running."""
    extra = name.lower()
    if find_spec(module) is None:
        print(f"{extra}: left out, for it is not installed: pip install 'liteflow[{extra}]'", file=sys.stderr)
        return
    shapes = {
        "fan_out": (f"fan-out of {sizes.fan_out:,}", sizes.fan_out, Target("at least", 0.7)),
        "large": (f"{sizes.megabytes} MB to three consumers", sizes.megabytes, Target("at most", 1.2)),
    }
    for shape, (work, size, target) in shapes.items():
        ways = {way: partial(sample, f"on_{extra}", way, size) for way in (shape, f"{shape}_bare")}
        taken = in_turn(ways, min(sizes.repeat, 3))
        values = {repr(one["value"]) for samples in taken.values() for one in samples}
        if len(values) > 1:
            raise SystemExit(f"{shape} on {name}: the results differ: {', '.join(sorted(values))}")
        ours, theirs = (of(samples, "seconds") for samples in taken.values())
        count = size + 2 if shape == "fan_out" else 4
        as_rate = target.relation == "at least"
        compared = figure(f"{work}, on {name}", count, ours, theirs, target=target, as_rate=as_rate)
        yield evolve(compared, theirs=f"{compared.theirs}, {name} alone")
