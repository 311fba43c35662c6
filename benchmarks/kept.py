"""The same work with liteflow: durable, on the process pool, every result in a store.

What is timed takes in all that a user waits for:
building the graph, compiling and checking it, starting the workers, running, storing, ending the workers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import calls
from liteflow import Context, Flow, NextTask, TaskOutput, task, unmapped

STORE = "liteflow.db"


source = task(calls.source)
add = task(calls.add)
join_three = task(calls.join_three)
total = task(calls.total)
array = task(calls.array)
consume = task(calls.consume)
nap = task(calls.nap)


def result(flow: Flow[..., Any], max_workers: int | dict[str, int] = calls.WORKERS) -> Any:
    return flow.run(db=STORE, executor="process", max_workers=max_workers).result


def fan_out(size: int) -> Any:
    return result(fanned_out(size))


def fanned_out(size: int) -> Flow[..., Any]:
    value = source()
    return Flow("fan_out", total([add(value, number) for number in range(size)]))


def chain(size: int) -> Any:
    return result(chained(size))


def chained(size: int) -> Flow[..., Any]:
    value = source()
    for number in range(size - 1):
        value = add(value, number)
    return Flow("chain", value)


def layered(width: int) -> Any:
    return result(in_layers(width, 10))


def in_layers(width: int, layers: int) -> Flow[..., Any]:
    made: list[Any] = [add(1, place) for place in range(width)]
    for call in range(width, layers * width):
        first, second, third = calls.parents(call // width, call % width, width)
        made.append(join_three(made[first], made[second], made[third]))
    return Flow("layered", total(made[-width:]))


def large(megabytes: int) -> Any:
    return sum(result(consumed(megabytes)))


def consumed(megabytes: int) -> Flow[..., Any]:
    values = array(megabytes)
    return Flow("large", [consume(values, factor) for factor in (1, 2, 3)])


def naps(size: int) -> Any:
    return sum(result(Flow("naps", [nap(number) for number in range(size)]), max_workers={}))


def mapped(size: int) -> Any:
    return result(mapped_over(size))


def mapped_over(size: int) -> Flow[..., Any]:
    return Flow("mapped", total(add.map(range(size), unmapped(1))))


def rounds(size: int) -> Any:
    """A task that asks for itself: on threads, as such flows are unless told otherwise."""
    flow = Flow(db=STORE)

    @flow.task("step")
    def step(_context: Context, inputs: dict[str, int]) -> TaskOutput:
        left = inputs["left"]
        return TaskOutput(left, [NextTask("step", {"left": left - 1})] if left else None)

    return dict(flow.run("step", inputs={"left": size}))["step"]


def many_codes(size: int) -> Any:
    """A workflow file with so many tasks of code, from its text on."""
    tasks = "".join(f"  t{n}: {{type: python, run: 'result = {n} + 1'}}\n" for n in range(size))
    made = workflow(tasks)
    return sum(result(made).values())


def many_commands(size: int) -> Any:
    """A workflow file with so many commands of the shell, which say nothing."""
    tasks = "".join(f"  t{n}: {{run: 'true'}}\n" for n in range(size))
    said = workflow(tasks).run(db=STORE, executor="thread", max_workers=calls.WORKERS).result
    return sum(text == "" for text in said.values())


def workflow(tasks: str) -> Flow[..., Any]:
    path = Path("many.yaml")
    path.write_text(f"workflow_name: many\ntasks:\n{tasks}", encoding="utf-8")
    return Flow.from_file(path)


SHAPES = {
    "fan_out": fan_out,
    "chain": chain,
    "layered": layered,
    "large": large,
    "naps": naps,
    "mapped": mapped,
    "rounds": rounds,
    "many_codes": many_codes,
    "many_commands": many_commands,
}
