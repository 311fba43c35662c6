"""Tasks and helpers for the tests of compiling."""

import functools
from typing import Any

from liteflow import task
from liteflow.compiler import compile_dag
from liteflow.dag import ATOMS, Dag, Hole, Node, Spread
from liteflow.pickling import Packed, unpack


def dag_of(expression: object, **overrides: object) -> Dag:
    return compile_dag("f", expression, {}, overrides)


def evaluate(dag: Dag) -> Any:
    """Work through a Dag's nodes in their order; what the engine does, without an engine."""
    results: list[Any] = []

    def taken(hole: Hole) -> Any:
        return functools.reduce(lambda value, key: value[key], hole.path, results[hole.source])

    def value(argument: Any) -> Any:
        if isinstance(argument, Hole):
            return taken(argument)
        if isinstance(argument, Spread):
            items = argument.items
            return taken(items) if isinstance(items, Hole) else [value(item) for item in items]
        if isinstance(argument, Packed):
            return unpack(argument.data, [taken(hole) for hole in argument.holes])
        assert type(argument) in ATOMS
        return argument

    for index, node in enumerate(dag.nodes):
        assert node.index == index
        assert all(source < index for source in (*node.inputs, *node.after))
        args = [value(argument) for argument in node.args]
        kwargs = {name: value(argument) for name, argument in node.kwargs.items()}
        results.append(mapped(node, args, kwargs) if node.map else node.task.fn(*args, **kwargs))
    return value(dag.result)


def mapped(node: Node, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Call a mapped node's task once for each item."""
    assert node.map is not None
    spread = [isinstance(argument, Spread) for argument in node.args]
    named = {name for name, argument in node.kwargs.items() if isinstance(argument, Spread)}
    lists = [a for a, each in zip(args, spread, strict=True) if each] + [kwargs[name] for name in named]
    (length,) = {len(items) for items in lists}

    def item(i: int) -> Any:
        given = [a[i] if each else a for a, each in zip(args, spread, strict=True)]
        if node.map.star:
            given = [*given[0], *given[1:]]
        return node.task.fn(*given, **{name: v[i] if name in named else v for name, v in kwargs.items()})

    return [item(i) for i in range(length)]


@task
def number(n: int = 0) -> int:
    return n


@task
def add(a, b):
    return a + b


@task
def total(values):
    return sum(values)


@task
def identity(x):
    return x


@task
def show(*args, **kwargs):
    return args, kwargs


@task
def fixed():
    return 0


@task
def texts() -> list[str]:
    return ["a"]
