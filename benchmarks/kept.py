"""The same work with liteflow: durable, on the process pool, every result in a store.

The functions have the bodies of those in `plain.py`.  What is timed takes in all that a user waits for:
building the graph, compiling and checking it, starting the workers, running, storing, ending the workers.
"""

from __future__ import annotations

from typing import Any

from benchmarks import plain
from liteflow import Flow, task

STORE = "liteflow.db"


@task
def source() -> int:
    return 1


@task
def add(value: int, number: int) -> int:
    return value + number


@task
def join_three(first: int, second: int, third: int) -> int:
    return (first + second + third) % 1_000_003


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def array(megabytes: int) -> Any:
    return plain.array(megabytes)


@task
def consume(values: Any, factor: int) -> float:
    return float(values.sum()) * factor


def result(flow: Flow[..., Any]) -> Any:
    return flow.run(db=STORE, executor="process", max_workers=plain.WORKERS).result


def fan_out(size: int) -> Any:
    value = source()
    return result(Flow("fan_out", total([add(value, number) for number in range(size)])))


def chain(size: int) -> Any:
    value = source()
    for number in range(size - 1):
        value = add(value, number)
    return result(Flow("chain", value))


def layered(width: int, layers: int = 10) -> Any:
    calls: list[Any] = [add(1, place) for place in range(width)]
    for call in range(width, layers * width):
        first, second, third = plain.parents(call // width, call % width, width)
        calls.append(join_three(calls[first], calls[second], calls[third]))
    return result(Flow("layered", total(calls[-width:])))


def large(megabytes: int) -> Any:
    values = array(megabytes)
    return sum(result(Flow("large", [consume(values, factor) for factor in (1, 2, 3)])))


SHAPES = {"fan_out": fan_out, "chain": chain, "layered": layered, "large": large}
