"""The calls that controllers want, as nodes: how they are wired, numbered, and found again by a resume.

    NextCall --wired--> WiredCall --grow_controlled--> Grown --> schedule, journal
    what is recorded --replayed--> which of it stays

A controller's decisions are not stored.  A resume asks a fresh controller again with the values that are
there, and so finds the same calls by their keys; calls that it does not want any more, or that have another
code or other arguments now, are made again, and so is all that came of them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from attrs import field, frozen

from liteflow import pickling
from liteflow.controller import Controller, NextCall, Step, Value
from liteflow.dag import ATOMS
from liteflow.engine.plan import Plan
from liteflow.engine.planned import ControlFacts
from liteflow.engine.spans import ControlledCalls, Grown
from liteflow.engine.states import When
from liteflow.fingerprint import UnstableValueError, digest_of
from liteflow.task import Task
from liteflow.wiring import WireArgument, constant_text, sources_in

_RULES = {"all": When.ALL, "any": When.ANY, "always": When.ALWAYS}


@frozen
class WiredCall:
    """A call as an executor takes it; `task` is a number in the controller's tasks."""

    key: str
    task: int
    args: tuple[WireArgument, ...]
    kwargs: dict[str, WireArgument] | None
    feeds: dict[str, list[int]]
    constants: str | None


def wired(plan: Plan, parent: int, call: NextCall) -> WiredCall:
    """Let a call be as the run has it."""
    task = plan.controls[parent].control.tasks[call.task]
    args = tuple([wire_of(plan, value) for value in call.args])
    kwargs = {name: wire_of(plan, value) for name, value in call.kwargs.items()}
    feeds: dict[str, dict[int, None]] = {}
    texts = []
    named = [*zip(_names(task, len(args)), args, call.args, strict=True)]
    named += [(name, wire, call.kwargs[name]) for name, wire in kwargs.items()]
    for name, wire, value in named:
        for source in sorted(sources_in(wire)):
            # Below 0 are large constants, which are no nodes.
            if source >= 0:
                feeds.setdefault(name, {})[source] = None
        text = _constant(value)
        if text is not None:
            texts.append(f"{name}={text}")
    fed = {name: list(sources) for name, sources in feeds.items()}
    key = f"{plan.root(parent)}/{call.key}"
    return WiredCall(key, call.task, args, kwargs or None, fed, " ".join(texts) or None)


def wire_of(plan: Plan, value: object) -> WireArgument:
    """What stands for a value that is, or holds, values of a run."""
    if type(value) in ATOMS:
        return value
    if isinstance(value, Value):
        return value.wire
    packed = pickling.pack(value, lambda part: isinstance(part, Value), plan.dag.definitions)
    return (packed.data, tuple([hole.wire for hole in packed.holes]))


def grow_controlled(plan: Plan, parent: int, calls: Sequence[WiredCall]) -> Grown:
    """Let a controlled node have these calls."""
    first = len(plan)
    facts = plan.controls[parent]
    span = ControlledCalls(
        first,
        parent,
        tuple([call.key for call in calls]),
        tuple([call.args for call in calls]),
        tuple([call.kwargs for call in calls]),
        tuple([call.feeds for call in calls]),
        tuple([call.constants for call in calls]),
    )
    predecessors = [list(dict.fromkeys(s for fed in call.feeds.values() for s in fed)) for call in calls]
    learnt = [facts.tasks[call.task] for call in calls]
    plan.extend(span, [task for task, _ in learnt], bytes(lane for _, lane in learnt), predecessors)
    plan.hold_all(range(first, first + len(calls)))
    rules = {
        first + n: rule
        for n, (task, _) in enumerate(learnt)
        if (rule := _RULES[plan.tasks[task].policy.when])
    }
    return Grown(parent, first, len(calls), predecessors, [], rules, False)


def arguments_of(facts: ControlFacts) -> list[Value]:
    """What a controller is started with."""
    return [Value(wire, constant_json(wire)) for wire in facts.args]


def constant_json(wire: WireArgument) -> str | None:
    """The JSON of an argument that is there already and plain."""
    if type(wire) not in (str, int, bool, type(None)):
        return None
    return json.dumps(wire)


# --- again ---------------------------------------------------------------------------------


@frozen
class Replay:
    """A controller that was asked again with all that is there.

    Attributes:
        controller: As it stands now.
        calls: What it wants that was recorded, by key.
        more: Calls that nobody has recorded.
        end: Its last word, if it is over.
    """

    controller: Controller
    calls: dict[str, WiredCall] = field(factory=dict)
    more: list[NextCall] = field(factory=list)
    end: Step | None = None


def replayed(
    plan: Plan,
    parent: int,
    is_recorded: Callable[[WiredCall], bool],
    value_of: Callable[[str], Value | None],
) -> Replay:
    """Ask a fresh controller with what is there.

    Args:
        plan: The nodes of the flow.
        parent: The controlled node.
        is_recorded: Whether there is this very call already.
        value_of: The value that a recorded call has given, by its key; None: none yet.
    """
    facts = plan.controls[parent]
    controller = facts.control.controller()
    calls: dict[str, WiredCall] = {}
    more: list[NextCall] = []
    end = None
    steps = deque([controller.start(*arguments_of(facts))])
    while steps:
        step = steps.popleft()
        end = step if step.over else end
        for call in step.calls:
            known = wired(plan, parent, call)
            if not is_recorded(known):
                more.append(call)
                continue
            calls[known.key] = known
            value = value_of(known.key)
            if value is not None:
                steps.append(controller.ended(call.key, value))
    return Replay(controller, calls, more, end)


def same_feeds(before: Mapping[str, Sequence[str]], call: WiredCall, name_of: Callable[[int], str]) -> bool:
    """Whether a recorded call, of which it is known what feeds it by key, is fed by the same."""
    return before == {name: [name_of(source) for source in fed] for name, fed in call.feeds.items()}


# --- how -----------------------------------------------------------------------------------


def _names(task: Task[..., Any], count: int) -> list[str]:
    signature = task.signature
    return [
        signature.positional[n] if n < len(signature.positional) else str(signature.rest)
        for n in range(count)
    ]


def _constant(value: object) -> str | None:
    """What of an argument is fixed, as a short text."""
    if isinstance(value, Value):
        return None
    if type(value) in ATOMS:
        return constant_text(value)
    try:
        return f"#{digest_of(value, _hole).hex()}"
    except UnstableValueError:
        data = pickling.pack(value, lambda part: isinstance(part, Value), pickling.Definitions()).data
        return f"#{blake2b(data, digest_size=8).hexdigest()}"


def _hole(part: object) -> str | None:
    return "hole" if isinstance(part, Value) else None
