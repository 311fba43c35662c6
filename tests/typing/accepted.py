"""User code that mypy strict and pyright must accept as it stands; tests/test_typing.py runs both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from liteflow import Call, Dag, Flow, Lazy, Policy, Task, flow, task


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


# --- what a task and a flow are --------------------------------------------------------------


assert_type(extract("a"), Call[list[dict[str, int]]])
assert_type(extract("a") >> transform(scale=2.0), Call[list[float]])
assert_type(extract("a") >> transform, Call[list[float]])
assert_type(extract >> transform, Call[list[float]])
assert_type(fetch("a"), Call[bytes])
assert_type(load.fn([1.0], "sales"), int)

plain: Callable[[list[float], str], int] = load.fn
floats: list[float] = transform.fn([{"length": 1}], scale=2.0)
other: Task[[str], list[dict[str, int]]] = extract.options(retries=5, name="other")
fetching: Callable[[str], Awaitable[bytes]] = fetch.fn
answer: bytes = asyncio.run(fetch.fn("https://example.org"))
promised: Lazy[bytes] = fetch("https://example.org")
policy: Policy = Policy(retries=2, timeout=timedelta(seconds=5))
delay: float = policy.delay_before(2, lambda: 0.5)
shout = task(str.upper)
doubled = task(lambda x: 2 * x, name="double")
dag: Dag = etl.compile(path="x.csv", inputs={"transform.scale": 3.0})
keys: list[str] = [node.key for node in dag.calls]
made: Flow[..., int] = Flow("made", extract("x") >> transform() >> load(table="t"))
several: Flow[..., Any] = Flow("several", {"a": now(), "b": [now()]})
