"""Two ways to the same end, beside each other: samples of both, and the figures that they come to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from attrs import frozen

from benchmarks.measure import Compared, Figure, Target, in_turn, sample

Sample = dict[str, Any]


@frozen
class Both:
    """Samples of some work, liteflow's and the plain pool's, taken in turn."""

    kept: list[Sample]
    plain: list[Sample]

    @classmethod
    def of(cls, shape: str, size: int, repeat: int) -> Both:
        """Take them.

        Raises:
            SystemExit: the two did not do the same: their results differ.
        """
        taken = in_turn({way: partial(sample, way, shape, size) for way in ("kept", "plain")}, repeat)
        results = {repr(one["value"]) for samples in taken.values() for one in samples}
        if len(results) > 1:
            raise SystemExit(f"{shape}: the results differ: {', '.join(sorted(results))}")
        return cls(**taken)


def figures(work: str, calls: int, target: Target, both: Both) -> Iterator[Figure]:
    """Compare the times, and, without a target, those of a program's first run with nothing to do.

    A target that is to be reached at least is one of the calls a second, else of the time.
    """
    as_rate = target.relation == "at least"
    ours, theirs = of(both.kept, "seconds"), of(both.plain, "seconds")
    yield figure(work, calls, ours, theirs, target=target, as_rate=as_rate)
    first_ours, first_theirs = of(both.kept, "first"), of(both.plain, "first")
    yield figure(
        "- the first run of a program, one call", 1, first_ours, first_theirs, target=None, as_rate=False
    )


def figure(
    work: str, calls: int, ours: list[float], theirs: list[float], *, target: Target | None, as_rate: bool
) -> Figure:
    def by(our: float, their: float) -> float:
        return their / our if as_rate else our / their

    unit = "x the calls a second" if as_rate else "x the time"
    return Figure(
        work, a_call(ours, calls), a_call(theirs, calls), Compared.of(ours, theirs, by), unit, target
    )


def of(samples: list[Sample], name: str) -> list[float]:
    return [float(one[name]) for one in samples]


def a_call(seconds: list[float], calls: int) -> str:
    return f"{median(seconds):.2f} s, {median(seconds) / calls * 1e3:.3f} ms a call"
