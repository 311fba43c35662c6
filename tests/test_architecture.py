"""The floors of the house (docs/architecture.md) hold: read from the source, not from the documents.

A room is a module, or a package with all that is in it.  A room imports only from floors below its own,
whether the import stands at the top of a module or inside a function.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from attrs import frozen

HOUSE = Path(__file__).resolve().parent.parent / "liteflow"

# The lowest floor first.  Rooms of one floor know nothing of each other.
FLOORS: list[set[str]] = [
    {"faces"},
    {
        "collecting",
        "errors",
        "system",
        "signing",
        "signals",
        "outcomes",
        "function",
        "redaction",
        "engine.__init__",
        "engine.stopping",
    },
    {"where", "awaiting", "storage"},
    {"hints", "pickling", "names", "options", "store", "uses", "keys", "fingerprint"},
    {"sameness"},
    {"resources"},
    {"parameters", "xcom", "given", "policy"},
    {"secret"},
    {"lazy", "context"},
    {"nexts"},
    {"mapped", "decorated"},
    {"task"},
    {"controller"},
    {"control"},
    {"dag", "engine.states", "engine.contexts", "engine.edges"},
    {"engine.schedule", "survey"},
    {"checking"},
    {"compiler"},
    {"recipe", "wiring", "router"},
    {"growth"},
    {"executor", "settings"},
    {"engine.room"},
    {"engine.machine", "engine.admission"},
    {
        "engine.lanes",
        "engine.planned",
        "engine.routing",
        "engine.spans",
        "engine.resumption",
        "engine.settled",
        "trust",
    },
    {"engine.weighing"},
    {"engine.plan"},
    {"engine.growing", "engine.controlled", "engine.values", "engine.recorder", "engine.answers"},
    {"engine.regrowth", "engine.rejoining", "engine.caching"},
    {"engine.controls"},
    {"engine.growths", "engine.routes"},
    {"engine.opening", "engine.observing"},
    {"engine.driving"},
    {"engine.driver"},
    {"run", "recorded", "rerouted", "logfiles"},
    {"resuming", "ended"},
    {"session", "stored", "handle"},
    {"launch", "following"},
    {"replaying"},
    {"task_types"},
    {"arrows"},
    {"files"},
    {"written", "runnable"},
    {"flow"},
    {"part", "outlook", "workflow"},
    {"__init__"},
    {"views"},
    {"testing"},
    {"ui.pages", "ui.gate"},
    {"ui"},
    {"cli"},
    {"__main__"},
]

# Rooms that decide and compute, and leave time, disk, chance and processes to others.
PURE = {
    "hints",
    "names",
    "options",
    "redaction",
    "secret",
    "uses",
    "parameters",
    "policy",
    "resources",
    "outcomes",
    "lazy",
    "mapped",
    "decorated",
    "task",
    "dag",
    "survey",
    "checking",
    "compiler",
    "control",
    "recipe",
}
PURE |= {
    "engine.edges",
    "engine.room",
    "engine.admission",
    "engine.schedule",
    "engine.routing",
    "router",
    "engine.contexts",
    "engine.resumption",
    "engine.settled",
    "views",
    "ui.pages",
    "ui.gate",
}
OUTSIDE_WORLD = {
    "os",
    "time",
    "sqlite3",
    "multiprocessing",
    "logging",
    "random",
    "socket",
    "subprocess",
    "threading",
}

# What a worker process loads, at its start or for its first attempt.  attrs would be a third of that.
WORKERS_MODULES = [
    "hints",
    "outcomes",
    "pickling",
    "signing",
    "storage.place",
    "storage.files",
    "xcom",
    "arrows.step",
    "executor.attempt",
    "nexts",
    "executor.remote",
    "executor.process.worker",
    "executor.process.supervisor",
    "executor.watcher",
    "executor.watched",
]


@frozen
class Import:
    """An import of `target` in the module `source`; what is ours is named without `liteflow.`.

    `when` is "start" at the module's own import, "call" inside a function, "types" for type checkers alone.
    """

    source: str
    target: str
    line: int
    when: str

    def __str__(self) -> str:
        path = MODULES[self.source].relative_to(HOUSE.parent)
        return f"{path}:{self.line} imports {self.target} ({self.when})"


def modules() -> dict[str, Path]:
    """Every module of the house by its name: `dag`, `store.db`, `store.__init__`."""
    return {
        ".".join(path.relative_to(HOUSE).with_suffix("").parts): path for path in sorted(HOUSE.rglob("*.py"))
    }


MODULES = modules()


def imports_in(node: ast.AST, source: str, when: str = "start") -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names, lineno=line):
                for alias in names:
                    yield from (Import(source, target, line, when) for target in targets(alias.name, []))
            case ast.ImportFrom(names=names, lineno=line):
                found = targets(base_of(child, source), [alias.name for alias in names])
                yield from (Import(source, target, line, when) for target in found)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                yield from imports_in(ast.Module(child.body, []), source, "types")
                yield from imports_in(ast.Module(child.orelse, []), source, when)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports_in(child, source, "call" if when == "start" else when)
            case _:
                yield from imports_in(child, source, when)


def base_of(node: ast.ImportFrom, source: str) -> str:
    """The module that `from ... import` names, dots resolved."""
    package = ["liteflow", *source.split(".")[:-1]]
    above = package[: len(package) - node.level + 1] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def targets(base: str, names: list[str]) -> set[str]:
    """The modules that are imported: a name in `from base import name` may be one itself."""
    if base.partition(".")[0] != "liteflow":
        return {base}
    inside = base.removeprefix("liteflow").removeprefix(".")
    named = [ours(f"{inside}.{name}".removeprefix(".")) for name in names]
    return {name or ours(inside) or base for name in named} if names else {ours(inside) or base}


def ours(name: str) -> str | None:
    package = f"{name}.__init__".removeprefix(".")
    return name if name in MODULES else package if package in MODULES else None


def imports_of(name: str) -> list[Import]:
    return list(imports_in(ast.parse(MODULES[name].read_text(encoding="utf-8")), name))


IMPORTS = [one for name in MODULES for one in imports_of(name)]
INSIDE = [one for one in IMPORTS if one.target in MODULES]
ROOMS = {name: number for number, floor in enumerate(FLOORS) for name in floor}


def room(module: str) -> str | None:
    """The room that a module is or lies in."""
    parts = module.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in ROOMS), None)


def floor(module: str) -> int:
    return ROOMS[room(module) or ""]


def listed(imports: Iterable[Import]) -> list[str]:
    return [str(one) for one in imports]


def test_every_module_lies_on_a_floor():
    assert [name for name in MODULES if room(name) is None] == []


def test_every_room_of_the_floors_is_there():
    assert set(ROOMS) == {room(name) for name in MODULES}


@pytest.mark.parametrize("when", ["start", "call", "types"])
def test_a_room_imports_only_from_floors_below_its_own(when):
    upwards = [
        one
        for one in INSIDE
        if one.when == when
        and room(one.source) != room(one.target)
        and floor(one.target) >= floor(one.source)
    ]

    assert listed(upwards) == []


def test_no_module_imports_itself_by_way_of_others():
    graph: defaultdict[str, set[str]] = defaultdict(set)
    for one in INSIDE:
        if one.when != "types":
            graph[one.source].add(one.target)

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_pure_rooms_know_nothing_of_time_disk_chance_and_processes():
    impure = [
        one
        for one in IMPORTS
        if room(one.source) in PURE and one.when != "types" and one.target.partition(".")[0] in OUTSIDE_WORLD
    ]

    assert listed(impure) == []


def test_the_store_and_the_executors_know_nothing_of_each_other_nor_of_the_scheduler():
    apart = {"store", "executor", "engine.schedule"}

    assert (
        listed(
            one
            for one in INSIDE
            if {room(one.source), room(one.target)} <= apart and room(one.source) != room(one.target)
        )
        == []
    )


def test_sql_is_spoken_in_the_store_alone_and_to_the_users_own_databases():
    speaking = {one.source for one in IMPORTS if one.target.partition(".")[0] == "sqlite3"}

    assert {room(name) for name in speaking} == {"store", "task_types"}
    assert {name for name in speaking if room(name) == "task_types"} == {"task_types.sql"}


@pytest.mark.parametrize("module", WORKERS_MODULES)
def test_a_workers_module_starts_without_attrs(module):
    code = f"import sys, liteflow.{module}; print(*sorted({{'attr', 'attrs'}} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded.split() == []


def test_the_imports_are_read_as_python_reads_them():
    source = ast.parse(
        "import os.path\n"
        "from . import db\n"
        "from ..dag import Dag\n"
        "if TYPE_CHECKING:\n"
        "    from liteflow.flow import Flow\n"
        "def f():\n"
        "    import liteflow.task\n"
        "    class C:\n"
        "        from liteflow import lazy\n"
    )

    assert [(one.target, one.line, one.when) for one in imports_in(source, "store.history")] == [
        ("os.path", 1, "start"),
        ("store.db", 2, "start"),
        ("dag", 3, "start"),
        ("flow", 5, "types"),
        ("task", 7, "call"),
        ("lazy", 9, "call"),
    ]
