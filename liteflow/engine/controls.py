"""The controllers of a run: asked when their node can run, and each time one of its calls has a value.

a node is ready ---------+
a call of its has ended -+--> Controls --> calls to be made, or the node's value
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from liteflow.controller import NO_JSON, Controller, NextCall, Step, Value
from liteflow.engine.controlled import Replay, arguments_of, grow_controlled, wire_of, wired
from liteflow.engine.plan import Plan
from liteflow.engine.spans import Grown
from liteflow.executor.base import Finished
from liteflow.wiring import WireArgument, is_alias, shifted, sources_in
from liteflow.xcom import preview_of

_NOTHING = sha256(b"").digest()


class Controls:
    """What is known of the controlled nodes of a run while it goes on.

    Args:
        plan: The nodes.
        now: Microseconds since the run began.
    """

    def __init__(self, plan: Plan, now: Callable[[], int]) -> None:
        self._plan = plan
        self._now = now
        self._controllers: dict[int, Controller] = {}
        self._began: dict[int, int] = {}
        self._calls: dict[int, list[int]] = {}
        # (type, preview, size) of the values of calls: the node may come to have one of them.
        self._facts: dict[int, tuple[str, str, int]] = {}

    def begin(self, node: int) -> Step:
        """A controlled node can run."""
        facts = self._plan.controls[node]
        controller = facts.control.controller()
        self._take(node, controller)
        return controller.start(*arguments_of(facts))

    def take_up(self, node: int, replay: Replay, facts: dict[int, tuple[str, str, int]]) -> Step:
        """The same of a node that goes on; give what is new."""
        self._take(node, replay.controller)
        self._facts.update(facts)
        end = replay.end
        return Step(tuple(replay.more), end is not None, end.value if end is not None else None)

    def _take(self, node: int, controller: Controller) -> None:
        self._controllers[node] = controller
        self._began[node] = self._now()
        self._calls[node] = []

    def note(self, grown: Grown) -> None:
        """A controlled node has calls."""
        self._calls[grown.parent].extend(range(grown.first, grown.first + grown.count))

    def grow(self, node: int, calls: Sequence[NextCall]) -> Grown:
        """Number the calls that a controlled node is to have."""
        grown = grow_controlled(self._plan, node, [wired(self._plan, node, call) for call in calls])
        self.note(grown)
        return grown

    def ended(self, call: int, parent: int, done: Finished | None) -> Step:
        """A call has a value; `done` tells of it, unless it has grown to it.

        Raises:
            Exception: The controller can't go on.
        """
        text = None
        if done is not None:
            self._facts[call] = done[5], done[10], done[7]
            text = done[10] if done[11] else None
        key = self._plan.key(call).removeprefix(f"{self._plan.root(parent)}/")
        return self._controllers[parent].ended(key, value_of(self._plan, call, text))

    def is_asked(self, node: int) -> bool:
        """Whether a node is still to be decided on."""
        return node in self._controllers

    def finish(self, node: int, value: object) -> tuple[Grown, tuple[Any, ...], bytes]:
        """A node has its value: as what it has grown, and for the store its facts, and itself in bytes."""
        plan = self._plan
        wire = without_constants(wire_of(plan, value), plan.constants)
        calls = self._calls[node]
        first = calls[0] if calls else 0
        plan.made_of(node, wire, sorted(sources_in(wire)))
        payload = marshal.dumps(((), (), shifted(wire, -first), ()), 4)
        type_, preview, size = self._told_of(wire, value)
        began = self._began[node]
        times = (1, began, self._now() - began, "driver")
        facts = (*times, type_, "parts", size, _NOTHING, None, preview, 0, 0)
        return Grown(node, len(plan), 0, [], wire, {}, False), facts, payload

    def close(self, node: int) -> list[int]:
        """A node is not decided on any more: give its calls, whose values it has held."""
        self._controllers.pop(node, None)
        return self._calls.pop(node, [])

    def _told_of(self, wire: WireArgument, value: object) -> tuple[str, str, int]:
        if is_alias(wire) and wire[0] in self._facts:
            return self._facts[wire[0]]
        known = value.known if isinstance(value, Value) else value
        if known is not NO_JSON and not sources_in(wire):
            return type(known).__name__, preview_of(known)[0], 0
        return "parts", f"<from {len(sources_in(wire))} values>", 0


def value_of(plan: Plan, node: int, text: str | None) -> Value:
    """The value of a node, for a controller; `text` is its JSON, if that is known."""
    parts = plan.parts.get(node)
    if type(parts) is list:
        return Value((node, ()), None, parts)
    return Value((node, ()), text)


def without_constants(wire: WireArgument, constants: Sequence[bytes]) -> WireArgument:
    """A wire argument in which large constants, which go by reference, stand themselves."""
    if type(wire) is list:
        return [without_constants(one, constants) for one in wire]
    if type(wire) is not tuple:
        return wire
    first, *rest = wire
    if type(first) is int and first < 0:
        whole = (constants[-1 - first], ())
        return whole if rest == [()] else (whole, *rest)
    if type(first) is bytes:
        return (first, tuple([without_constants(one, constants) for one in rest[0]]))
    return wire if type(first) is int else (without_constants(first, constants), *rest)
