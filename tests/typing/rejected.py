"""User code with mistakes: mypy strict and pyright must report every line marked `# wrong`, and no other."""

from __future__ import annotations

from liteflow import Policy, Task, flow, task


@task
def extract(path: str) -> list[int]:
    return [len(path)]


@task(retries=2)
def transform(rows: list[int], scale: float = 1.0) -> list[float]:
    return [scale * row for row in rows]


@task
def load(values: list[float], table: str, *, chunk: int = 10) -> int:
    return len(values) + len(table) + chunk


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task
def now() -> float:
    return 0.0


@flow
def etl(path: str) -> int:
    return extract(path) >> transform() >> load(table="t")


# Literal arguments of the wrong type.
extract(5)  # wrong
extract(path=b"x")  # wrong
transform([1, 2], scale="big")  # wrong
transform(scale="big")  # wrong
extract("a") >> transform(scale="big")  # wrong
load([1.0], "t", chunk="x")  # wrong
load(table=5)  # wrong
fetch(5)  # wrong

# Arguments that are unknown, or too many.
extract("a", "b")  # wrong
extract(pth="a")  # wrong
now(1)  # wrong
load(tabel="t")  # wrong

# Maps.
extract.map(5)  # wrong
extract.map(["a"], max_active="3")  # wrong
extract.map(["a"], on_error="ignore")  # wrong
extract.starmap(5)  # wrong
extract.options(when="never")  # wrong

# What a task's function and a call are.
text: str = load.fn([1.0], "t")  # wrong
extract.fn(5)  # wrong
other: Task[[int], int] = extract  # wrong
unawaited: bytes = fetch.fn("u")  # wrong

# Settings.
Policy(retries="3")  # wrong
Policy(resources=["cpus"])  # wrong
extract.options(retires=3)  # wrong
extract.options(timeout="10")  # wrong


@task(retries="3")  # wrong
def a() -> None: ...


@task(retires=3)  # wrong
def b() -> None: ...


@flow(dbase="x.db")  # wrong
def c() -> int:
    return now()


# Flows.
etl(path=5)  # wrong
etl()  # wrong
etl("x", "y")  # wrong
