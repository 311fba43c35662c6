"""User code that mypy strict and pyright must accept as it stands; tests/test_typing.py runs both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from liteflow import (
    Call,
    Context,
    Dag,
    Failure,
    Flow,
    Lazy,
    Mapped,
    NextTask,
    Policy,
    Run,
    Task,
    TaskOutput,
    flow,
    skip,
    task,
    unmapped,
)


@dataclass
class Job:
    rows: list[dict[str, int]]
    scale: float


@task(retries=3, retry_delay=0.5, backoff=2, timeout=60)
def extract(path: str) -> list[dict[str, int]]:
    return [{"length": len(path)}]


@task
def transform(rows: list[dict[str, int]], scale: float = 1.0) -> list[float]:
    return [row["length"] * scale for row in rows]


@task
def load(values: list[float], table: str) -> int:
    return len(values) + len(table)


@task
def combine(left: list[float], right: list[float], *, weight: float = 0.5) -> list[float]:
    return [weight * x for x in left + right]


@task(timeout=timedelta(minutes=1), retry_on=(OSError, ValueError), jitter=True, tags=("net",))
def split(values: Sequence[float]) -> tuple[float, str]:
    return sum(values), "sum"


@task
def total(*numbers: int) -> int:
    return sum(numbers)


@task
def count(lists: list[list[float]]) -> int:
    return len(lists)


@task
def run_job(job: Job) -> int:
    return len(job.rows)


@task
async def fetch(url: str, retries: int = 1) -> bytes:
    return url.encode() * retries


@task
def now() -> float:
    return 0.0


@task
def double(x: int) -> int:
    return 2 * x


@task(when="always")
def power(base: float, exponent: float = 2.0, *, offset: float = 0.0) -> float:
    return base * exponent + offset


@task
def some_rows(rows: list[int]) -> list[int]:
    return rows or skip("nothing new")


@task
def tokens(text: str) -> Generator[str, None, int]:
    yield from text.split()
    return len(text)


@task(retries=1)
def lines(text: str) -> Iterator[str]:
    yield from text.splitlines()


@task
async def ticks(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


# --- the arrows of DESIGN.md ----------------------------------------------------------------


@flow
def etl(path: str = "data.csv", table: str = "sales") -> int:
    return extract(path) >> transform(scale=2.0) >> load(table=table)


@flow(name="nightly", db="nightly.db", max_workers=2)
def nightly(table: str) -> dict[str, int]:
    rows = extract("a.csv")
    values = rows >> transform
    again = transform(rows, scale=3)
    joined = (values, again) >> combine(weight=0.1)
    both = [values, again] >> count
    fanned = rows >> [transform(), transform(scale=2.0)] >> now
    amount, unit = split(joined)
    later = extract("b.csv")
    later >> transform()
    return {"rows": load(joined, table), "both": both, "fan": fanned, "amount": amount, "unit": unit}


# --- lazy values as arguments, in containers, in objects --------------------------------------


@flow
def nested() -> list[int]:
    rows = extract("a.csv")
    first = rows[0]
    length = first["length"]
    job = run_job(Job(rows=rows, scale=length))
    chosen: Call[int] = total(length, job, 3).named("the total")
    name = split([1.0])[1]
    sub = etl(table="other")
    return [chosen, total(*[job, job]), load(transform(rows), table=name), sub]


# --- maps ------------------------------------------------------------------------------------


@flow
def mapped(n: int = 3) -> dict[str, list[int]]:
    numbers = double.map(range(n))
    again = double.map(numbers)
    values = extract("a.csv") >> transform()
    powers = power.map(values, [2.0, 3.0], offset=unmapped(1.0))
    backwards = power.map(exponent=values, base=unmapped(2.0), max_active=4)
    pairs = split.map([values, [1.0, 2.0]]) >> load.map(table=["a", "b"])
    starred = power.starmap([(2.0, 3.0), (1.0, 0.5)], offset=unmapped(values[0]))
    collected = double.map(again, on_error="collect").named("all of them")
    return {
        "again": again,
        "first": numbers[0],
        "sum": total(*[numbers[0], again[1]]),
        "kept": double.map([1, numbers[1]], on_error="skip"),
        "rest": [powers, backwards, pairs, starred, collected, total.map([1], [2])],
    }


assert_type(double.map([1, 2]), Mapped[int])
assert_type(double.map([1, 2], on_error="collect"), Mapped[int | Failure])
assert_type(double.map(), Mapped[int])
assert_type(double.map([1]).named("x"), Mapped[int])
assert_type(now >> double.map(), Mapped[int])
assert_type(power.starmap([(1.0, 2.0)]), Mapped[float])
assert_type(fetch.map(["a"], retries=[1]), Mapped[bytes])
assert_type(total.map([1], [2]), Mapped[int])
everything: Lazy[list[int]] = double.map([1, 2])
failure = Failure("double[1]", "failed", "ValueError: no")
why: str = failure.error

# --- what a task and a flow are --------------------------------------------------------------


assert_type(extract("a"), Call[list[dict[str, int]]])
assert_type(extract("a") >> transform(scale=2.0), Call[list[float]])
assert_type(extract("a") >> transform, Call[list[float]])
assert_type(extract >> transform, Call[list[float]])
assert_type(fetch("a"), Call[bytes])
assert_type(load.fn([1.0], "sales"), int)
assert_type(tokens("a b"), Call[int])
assert_type(tokens.fn("a b"), Generator[str, None, int])
assert_type(lines("a b"), Call[None])
assert_type(lines.fn("a b"), Iterator[str])
assert_type(ticks(3), Call[None])
assert_type(ticks.fn(3), AsyncIterator[int])
assert_type(tokens.map(["a"]), Mapped[int])

plain: Callable[[list[float], str], int] = load.fn
floats: list[float] = transform.fn([{"length": 1}], scale=2.0)
other: Task[[str], list[dict[str, int]]] = extract.options(retries=5, name="other")
heavy: Task[[str], list[dict[str, int]]] = extract.options(
    resources={"cpus": 2, "memory": "2GB", "gpus": 0.5}
)
fetching: Callable[[str], Awaitable[bytes]] = fetch.fn
answer: bytes = asyncio.run(fetch.fn("https://example.org"))
promised: Lazy[bytes] = fetch("https://example.org")
policy: Policy = Policy(retries=2, timeout=timedelta(seconds=5), resources={"telescope": 1})
delay: float = policy.delay_before(2, lambda: 0.5)
shout = task(str.upper)
doubled = task(lambda x: 2 * x, name="double")
dag: Dag = etl.compile(path="x.csv", inputs={"transform.scale": 3.0})
keys: list[str] = [node.key for node in dag.calls]
made: Flow[..., int] = Flow("made", extract("x") >> transform() >> load(table="t"))
several: Flow[..., Any] = Flow("several", {"a": now(), "b": [now()]})


def of_texts() -> None:
    written = Flow.from_file("hello.yaml")
    parsed = Flow.parse("a -> b")
    assert_type(written, Flow[..., Any])
    assert_type(parsed.run(input=1).result, Any)


# --- tasks that say what runs next -----------------------------------------------------------

router = Flow(executor="thread")
named = Flow("named", db=None)
assert_type(router, Flow[..., dict[str, Any]])


@router.task("begin", retries=2)
def begin(context: Context) -> TaskOutput:
    return TaskOutput("begun", [NextTask("end", inputs={"x": 1}), NextTask("end", spawn_another=True)])


router.add_task("end", lambda context: TaskOutput("ended"))
assert_type(begin(Context()), TaskOutput)
assert_type(router.run("begin", inputs={"n": 1}), Run[dict[str, Any]])
assert_type(router.run("begin").result, dict[str, Any])
