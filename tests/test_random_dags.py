"""A random DAG, run on any executor, gives what plain evaluation of the same functions gives."""

from __future__ import annotations

import asyncio
import multiprocessing
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.laws import examples

from liteflow import Flow, task
from liteflow.executor import PoolExecutor

pytestmark = pytest.mark.law


@attrs.frozen
class Box:
    content: Any
    label: str = "box"


@dataclass
class Crate:
    content: Any


@task
def number(value: int) -> int:
    return value


@task
def add(a: int, b: int) -> int:
    return a + b


@task
async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@task
def total(values: list[int], *more: int, **named: int) -> int:
    return sum(values) + sum(more) + sum(named.values())


@task
def split(a: int, b: int) -> tuple[int, int]:
    return b, a


@task
def record(a: int) -> dict[str, list[int]]:
    return {"k": [a, a + 1]}


@task
def unpack(anything: Any) -> int:
    """Add up all ints, wherever they stand."""
    found, stack = 0, [anything]
    while stack:
        value = stack.pop()
        if isinstance(value, int):
            found += value
        elif isinstance(value, dict):
            stack += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            stack += list(value)
        elif isinstance(value, Box | Crate):
            stack.append(value.content)
    return found


@task(retries=1)
def flaky(a: int, marker: str) -> int:
    """Fails the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("not yet")
    return a


class Pair:
    """A lazy value, and what it must be."""

    def __init__(self, lazy: Any, plain: Any) -> None:
        self.lazy, self.plain = lazy, plain


def grow(draw: Callable[[Any], Any], ints: list[Pair], where: Path) -> Pair:
    """One more call, of values drawn from those there are."""
    pick = st.sampled_from(ints)
    a, b, c = draw(pick), draw(pick), draw(pick)
    kinds = ["add", "later", "total", "split", "record", "nested", "flaky", "chain", "after", "fan"]
    kind = draw(st.sampled_from(kinds))
    if kind == "add":
        return Pair(add(a.lazy, b=b.lazy), a.plain + b.plain)
    if kind == "later":
        return Pair(add_later(a.lazy, b=b.lazy), a.plain + b.plain)
    if kind == "total":
        lazy = total([a.lazy, b.lazy, 7], c.lazy, extra=a.lazy)
        return Pair(lazy, a.plain + b.plain + 7 + c.plain + a.plain)
    if kind == "split":
        first, second = split(a.lazy, b.lazy)
        return Pair(add(first, split(second, c.lazy)[1]), b.plain + a.plain)
    if kind == "record":
        return Pair(record(a.lazy)["k"][1], a.plain + 1)
    if kind == "nested":
        value = {"x": [a.lazy, (b.lazy, {c.lazy})], "y": Box(Crate({"z": a.lazy})), 5: frozenset([b.lazy])}
        return Pair(unpack(value), a.plain + b.plain + c.plain + 5 + a.plain + b.plain)
    if kind == "flaky":
        return Pair(flaky(a.lazy, str(where / uuid.uuid4().hex)), a.plain)
    if kind == "chain":
        return Pair(a.lazy >> add(b=b.lazy) >> number(), a.plain + b.plain)
    if kind == "after":
        waiting = number(3)
        (a.lazy, b.lazy) >> waiting
        return Pair(waiting, 3)
    left, right = a.lazy >> [number(), add(b=b.lazy)]
    return Pair([left, right] >> total(), a.plain + a.plain + b.plain)


def shape(pairs: list[Pair], part: str) -> Any:
    """An expression that is a nest of values."""
    values = [getattr(p, part) for p in pairs]
    return {"last": values[-1], "all": (values, Box(values[0]))}


@pytest.mark.parametrize("executor, full", [("inline", 60), ("thread", 40), ("process", 25), ("async", 25)])
def test_a_random_dag_gives_what_plain_evaluation_gives(executor: str, full: int, tmp_path: Path) -> None:
    check_random_dags(executor, full, tmp_path)


def test_a_random_dag_gives_the_same_on_a_pool_of_threads(tmp_path: Path) -> None:
    with PoolExecutor(ThreadPoolExecutor(4)) as pool:
        check_random_dags(pool, 25, tmp_path)


def test_a_random_dag_gives_the_same_on_a_pool_of_processes(tmp_path: Path) -> None:
    with PoolExecutor(ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))) as pool:
        check_random_dags(pool, 25, tmp_path)


CACHED = ("number", "add", "add_later", "total", "split", "record", "unpack")


def test_a_random_dag_gives_the_same_whatever_it_takes_over_from_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All graphs have one store, and small numbers: a result taken for another one would be found out."""
    for name in CACHED:
        monkeypatch.setattr(f"{__name__}.{name}", globals()[name].options(cache=True))
    check_random_dags("inline", 60, tmp_path, db=tmp_path / "all.db")


def check_random_dags(executor: Any, full: int, where: Path, db: Path | None = None, **options: Any) -> None:
    """Coroutines among the calls are at home on the event loop, so that each run has two executors."""

    @settings(max_examples=examples(full), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        pairs = [Pair(number(n), n) for n in data.draw(st.lists(st.integers(-9, 9), min_size=1, max_size=3))]
        for _ in range(data.draw(st.integers(0, 12))):
            pairs.append(grow(data.draw, pairs, where))
        chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4))

        run = Flow("random", shape(chosen, "lazy")).run(db=db, executor=executor, **options)

        assert run.result == shape(chosen, "plain")
        assert {row.state for row in run.tasks.values()} <= ({"succeeded", "cached"} if db else {"succeeded"})

    check()
