"""What would run, in which order, and what side by side: the plan of `--dry-run`.

    Dag --plan_of--> Plan(steps)     step n: what can start when steps 0 to n-1 are done

A run knows no steps: each task starts as soon as what it waits for is done.  The steps show
people how far the work spreads.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush

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

    >>> from liteflow.workflow import flow_of
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


@frozen
class Forecast:
    """What earlier runs let expect.

    Attributes:
        seconds: How long the run will take.
        path: Keys of the longest path, which no number of workers makes shorter.
        path_seconds: How long that takes.
        unknown: Keys of the task instances of which nothing is known: they count as nothing.
    """

    seconds: float
    path: tuple[str, ...]
    path_seconds: float
    unknown: tuple[str, ...]


def forecast(plan: Plan, durations: Mapping[str, float], workers: int) -> Forecast:
    """Return how long a plan is to be expected to take.

    Of what is ready, the longest remaining path goes first, as when it is run.

    Args:
        plan: What is to run.
        durations: Seconds that task instances have taken, by key.
        workers: How many run side by side.

    >>> a, b, c = Planned("a", "a", ()), Planned("b", "b", ()), Planned("c", "c", ("a",))
    >>> plan = Plan("w", ((a, b), (c,)))
    >>> forecast(plan, {"a": 2.0, "b": 3.0, "c": 4.0}, 1).seconds
    9.0
    >>> forecast(plan, {"a": 2.0, "b": 3.0, "c": 4.0}, 2)
    Forecast(seconds=6.0, path=('a', 'c'), path_seconds=6.0, unknown=())
    """
    planned = [one for step in plan.steps for one in step]
    followers: dict[str, list[str]] = {one.key: [] for one in planned}
    waiting = {one.key: 0 for one in planned}
    for one in planned:
        for source in one.waits_for:
            if source in followers:
                followers[source].append(one.key)
                waiting[one.key] += 1
    rest: dict[str, float] = {}
    for one in reversed(planned):
        behind = max((rest[key] for key in followers[one.key]), default=0.0)
        rest[one.key] = durations.get(one.key, 0.0) + behind
    ready = [(-rest[key], key) for key, n in waiting.items() if n == 0]
    ready.sort()
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, key = heappop(ready)
            heappush(running, (now + durations.get(key, 0.0), key))
        now, key = heappop(running)
        for follower in followers[key]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heappush(ready, (-rest[follower], follower))
    path: list[str] = []
    choices = [one.key for one in planned if not any(source in followers for source in one.waits_for)]
    while choices:
        path.append(max(choices, key=rest.__getitem__))
        choices = followers[path[-1]]
    longest = rest[path[0]] if path else 0.0
    unknown = tuple(one.key for one in planned if one.key not in durations)
    return Forecast(now, tuple(path), longest, unknown)
