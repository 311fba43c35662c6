"""Programs that grow, as plain data: what a run of them must come to, and the calls that they are.

    program --value_of--> what plain evaluation gives      (no engine)
    program --lazy_of---> calls of the tasks below          (any executor, killed and resumed or not)

A program is a tuple: its kind, its name (no other has it) and its parts.  As a script this module
runs one: `python growing.py DB EXECUTOR DURABILITY`, with the program on its stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from liteflow import Failure, Flow, skip, task

# The file in which every attempt writes its program's name, and how many there are before it kills.
LOG, DEADLY = "GROWING_LOG", "GROWING_DEADLY"

Program = Any


def record(name: str) -> None:
    """Write down that a task runs; if it is its turn, kill the driver."""
    path = os.environ.get(LOG)
    if path is None:
        return
    # For whoever asks the store which task instance this was.
    print(name)
    with open(path, "ab") as file:  # noqa: PTH123  one write, at the end of what others write
        file.write(f"{name}\n".encode())
    deadly = os.environ.get(DEADLY)
    if deadly is not None:
        count, driver = map(int, deadly.split())
        with open(path, "rb") as file:  # noqa: PTH123
            if len(file.readlines()) >= count:
                os.kill(driver, signal.SIGKILL)


# --- tasks ---------------------------------------------------------------------------------


@task
def number(name: str, value: int) -> int:
    record(name)
    return value


@task
def failing(name: str) -> int:
    record(name)
    raise ValueError(name)


@task
def skipping(name: str) -> int:
    record(name)
    skip(name)


@task
def total(name: str, values: list[int]) -> int:
    record(name)
    return sum(values)


@task(when="any")
def total_of_any(name: str, values: list[Any]) -> int:
    record(name)
    return sum(value for value in values if not isinstance(value, Failure))


@task(when="always")
def total_always(name: str, values: list[Any]) -> int:
    record(name)
    return 100 + sum(value for value in values if not isinstance(value, Failure))


@task
def several(name: str, parts: list[Program]) -> list[int]:
    """Goes on as a list of calls."""
    record(name)
    return [lazy_of(part) for part in parts]


@task
def goes_on(program: Program) -> int:
    """Goes on as the program's second part."""
    record(program[1])
    return lazy_of(program[2])


@task
def count_down(name: str, left: int, value: int) -> int:
    """Goes round as often as `left` says."""
    record(f"{name}.{left}")
    return value if left == 0 else count_down(name, left - 1, value + 1)


@task
def parity(name: str, value: int) -> int:
    """Fails for multiples of 3, skips other odd ones, and gives what is left."""
    record(f"{name}.{value}")
    if value % 3 == 0:
        raise ValueError(f"{name}.{value}")
    if value % 2:
        skip()
    return value


@task
def numbers(name: str, count: int) -> list[int]:
    record(name)
    return list(range(1, count + 1))


@task
def increased(name: str, value: int) -> int:
    record(f"{name}.{value}")
    return value + 1


@task(when="always")
def report(values: list[Any]) -> list[Any]:
    """What the programs gave: a number, or None."""
    return [value if isinstance(value, int) else None for value in values]


# --- what a program is ---------------------------------------------------------------------


def lazy_of(program: Program) -> Any:
    """The calls that a program is."""
    kind, name, *parts = program
    if kind == "map":
        first = numbers(name, parts[0])
        once = increased.map(value=first, name=name_for_all(f"{name}a"))
        return total(f"{name}t", increased.map(name_for_all(f"{name}b"), once))
    if kind in ("collect", "drop"):
        mode = "collect" if kind == "collect" else "skip"
        return total_of_any(f"{name}t", parity.map(name_for_all(name), parts[0], on_error=mode))
    if kind in ("each", "collect_each"):
        mode = "raise" if kind == "each" else "collect"
        items = goes_on.map([("goes_on", f"{name}.{i}", p) for i, p in enumerate(parts[0])], on_error=mode)
        return (total if kind == "each" else total_of_any)(f"{name}t", items)
    if kind == "several":
        return total(f"{name}t", several(name, parts[0]))
    makers: dict[str, Callable[[], Any]] = {
        "number": lambda: number(name, parts[0]),
        "failing": lambda: failing(name),
        "skipping": lambda: skipping(name),
        "total": lambda: total(name, [lazy_of(p) for p in parts[0]]),
        "any": lambda: total_of_any(name, [lazy_of(p) for p in parts[0]]),
        "always": lambda: total_always(name, [lazy_of(p) for p in parts[0]]),
        "goes_on": lambda: goes_on(program),
        "count_down": lambda: count_down(name, *parts),
    }
    return makers[kind]()


def name_for_all(name: str) -> Any:
    """An argument that goes to each item."""
    from liteflow import unmapped

    return unmapped(name)


class Reckoning:
    """Plain evaluation: `failed` are the names of the tasks by which the run has failed."""

    def __init__(self) -> None:
        self.failed: set[str] = set()
        self.ran: set[str] = set()

    def value_of(self, program: Program, collected: bool = False) -> int | None:
        """What a program gives; None if it has no value."""
        kind, name, *parts = program
        if kind in ("total", "any", "always", "several", "each", "collect_each"):
            return self._of_parts(kind, name, parts[0], collected)
        if kind == "map":
            self.ran |= {name, f"{name}t"}
            self.ran |= {
                f"{name}{x}.{i + d}" for x, d in (("a", 0), ("b", 1)) for i in range(1, parts[0] + 1)
            }
            return sum(i + 2 for i in range(1, parts[0] + 1))
        if kind in ("collect", "drop"):
            self.ran |= {f"{name}.{value}" for value in parts[0]} | {f"{name}t"}
            return sum(value for value in parts[0] if value % 3 and not value % 2)
        if kind == "count_down":
            self.ran |= {f"{name}.{left}" for left in range(parts[0] + 1)}
            return parts[0] + parts[1]
        self.ran.add(name)
        if kind == "number":
            return parts[0]
        if kind == "goes_on":
            return self.value_of(parts[0], collected)
        if kind == "failing" and not collected:
            self.failed.add(name)
        return None

    def _of_parts(self, kind: str, name: str, parts: list[Program], collected: bool) -> int | None:
        last = f"{name}t" if kind in ("several", "each", "collect_each") else name
        if kind == "several":
            self.ran.add(name)
        if kind in ("each", "collect_each"):
            self.ran |= {f"{name}.{i}" for i in range(len(parts))}
        values = [self.value_of(part, collected or kind == "collect_each") for part in parts]
        there = [value for value in values if value is not None]
        runs = {
            "any": bool(there),
            "always": True,
            # Its list is there whatever became of the items.
            "collect_each": True,
        }.get(kind, len(there) == len(values))
        if not runs:
            return None
        self.ran.add(last)
        return sum(there) + (100 if kind == "always" else 0)


def programs(most: int = 12) -> st.SearchStrategy[list[Program]]:
    """Lists of programs, each part of which has a name of its own."""
    small = st.integers(0, 5)
    leaves = st.one_of(
        st.tuples(st.just("number"), st.integers(-9, 9)),
        st.tuples(st.just("number"), st.integers(-9, 9)),
        st.just(("failing",)),
        st.just(("skipping",)),
        st.tuples(st.just("count_down"), small, small),
        st.tuples(st.just("map"), small),
        st.tuples(
            st.sampled_from(["collect", "drop"]), st.lists(st.integers(0, 12), unique=True, max_size=5)
        ),
    )

    def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several_kinds = ["total", "any", "always", "several", "each", "collect_each"]
        parts = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            st.tuples(st.sampled_from(several_kinds), parts), st.tuples(st.just("goes_on"), inner)
        )

    return st.lists(st.recursive(leaves, wider, max_leaves=most), min_size=1, max_size=3).map(named)


def named(unnamed: list[Any]) -> list[Program]:
    """Give each part of programs a name."""
    count = 0

    def name(part: Any) -> Any:
        nonlocal count
        count += 1
        kind, *rest = part
        mine = f"p{count}"
        if kind == "goes_on":
            return (kind, mine, name(rest[0]))
        if kind in ("total", "any", "always", "several", "each", "collect_each"):
            return (kind, mine, [name(p) for p in rest[0]])
        return (kind, mine, *rest)

    return [name(part) for part in unnamed]


def flow_of(made: list[Program]) -> Flow[Any]:
    """A flow whose result are the values of programs, None for those that have none."""
    return Flow("growing", report([lazy_of(program) for program in made]))


def main() -> None:
    """Run the program on stdin."""
    db, executor, durability = sys.argv[1:]
    if DEADLY in os.environ:
        os.environ[DEADLY] += f" {os.getpid()}"
    flow_of(json.load(sys.stdin)).run(
        db=db, executor=executor, durability=durability, run_id="a", max_workers=2, check=False
    )


if __name__ == "__main__":
    # By the name by which the tests know it, so that both mean the same tasks.
    from support import growing

    growing.main()
