"""Tasks and helpers for the tests of compiling."""

import functools
from typing import Any

from liteflow import task
from liteflow.compiler import compile_dag
from liteflow.dag import ATOMS, Dag, Hole
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
        if isinstance(argument, Packed):
            return unpack(argument.data, [taken(hole) for hole in argument.holes])
        assert type(argument) in ATOMS
        return argument

    for index, node in enumerate(dag.nodes):
        assert node.index == index
        assert all(source < index for source in (*node.inputs, *node.after))
        args = [value(argument) for argument in node.args]
        kwargs = {name: value(argument) for name, argument in node.kwargs.items()}
        results.append(node.task.fn(*args, **kwargs))
    return value(dag.result)


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
