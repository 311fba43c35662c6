"""What a run is made of, as its store keeps it: its tasks, its classes, its flow's expression."""

from __future__ import annotations

import json

from liteflow import pickling
from liteflow.dag import Dag
from liteflow.engine.plan import Plan
from liteflow.signing import Seal

TaskRow = tuple[int, str, str | None, str | None, str | None]


def tasks_of(plan: Plan) -> list[TaskRow]:
    """The rows of all tasks, as of `Plan.task_row`."""
    return [plan.task_row(number) for number in range(len(plan.tasks))]


def definitions_of(dag: Dag, seal: Seal) -> list[tuple[str, bytes | None, bytes]]:
    """The script's classes and enums that values need, and their checks: (names as JSON, check, pickle)."""
    bundles = dag.definitions.bundles
    return [(json.dumps(b.names), seal.definition(b.names, b.data), b.data) for b in bundles]


def holes_of(dag: Dag) -> str:
    """What goes into the flow's expression, for who reads no pickle: nodes and paths, as JSON."""
    return json.dumps([[hole[0], *map(str, hole[1])] for hole in dag.result.holes])


def packed_result(dag: Dag) -> bytes:
    """The flow's expression: its pickle, and what goes into its places."""
    if dag.routes:
        # It is made of what is known at the end.
        return pickling.dumps((b"", None), dag.definitions).data
    holes = [(hole[0], tuple(hole[1])) for hole in dag.result.holes]
    return pickling.dumps((dag.result.data, holes), dag.definitions).data
