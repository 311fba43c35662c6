"""What would run, in which order, and what side by side: the plan of `--dry-run`.

    Dag --plan_of--> Plan(steps)     step n: what can start when steps 0 to n-1 are done

A run knows no steps: each task starts as soon as what it waits for is done.  The steps show
people how far the work spreads.
"""

from __future__ import annotations

from attrs import frozen

from liteflow.dag import Dag


@frozen
class Planned:
    """A task instance to be, and what it waits for."""

    key: str
    task: str
    waits_for: tuple[str, ...]


@frozen
class Plan:
    """The task instances of a flow by steps; those of one step may run side by side."""

    flow: str
    steps: tuple[tuple[Planned, ...], ...]

    @property
    def order(self) -> tuple[str, ...]:
        """All keys, in an order in which they could run one by one."""
        return tuple(planned.key for step in self.steps for planned in step)

    @property
    def widest(self) -> int:
        """How many task instances the widest step has."""
        return max((len(step) for step in self.steps), default=0)


def plan_of(dag: Dag) -> Plan:
    """Return the plan of a compiled flow.

    >>> from liteflow.files.compile import flow_of
    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: w, tasks: {a: {run: ls}, b: {run: ls}, c: {run: ls, depends_on: [a]}}}"
    >>> plan = plan_of(flow_of(parse_workflow(text, "w.yaml"), "w.yaml").compile())
    >>> [[planned.key for planned in step] for step in plan.steps]
    [['a', 'b'], ['c']]
    """
    depths: list[int] = []
    steps: list[list[Planned]] = []
    for node in dag.nodes:
        sources = tuple(dict.fromkeys((*node.inputs, *node.after)))
        depth = 1 + max((depths[source] for source in sources), default=-1)
        depths.append(depth)
        if depth == len(steps):
            steps.append([])
        waits_for = tuple(dag.nodes[source].key for source in sources)
        steps[depth].append(Planned(node.key, node.task.name, waits_for))
    return Plan(dag.name, tuple(map(tuple, steps)))
