"""The values that a run still needs, as bytes: until the last call that takes them has ended.

A driver that runs a million tasks must not hold a million values.  Large ones are held as shared
memory; those of an earlier driver of the run are read from the store when they are first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import ref

from liteflow.engine.plan import Plan
from liteflow.executor.payload import Large, Payload

# So many large payloads are held as shared memory, with a descriptor each.
_MOST_HELD = 64


class Values:
    """Payloads by node.

    Args:
        plan: The graph.
        keep: Nodes whose values the user will ask for: they stay.
        load: Reads the payload of a node that an earlier driver has run.
        released: Is told when nobody needs a node's value any more.

    Attributes:
        held: What is here; small pickles as bytes alone.
        uses: For each node the number of calls that have not ended and take its value.
    """

    __slots__ = ("_large", "_load", "_plan", "_released", "held", "keep", "uses")

    def __init__(
        self,
        plan: Plan,
        keep: frozenset[int],
        load: Callable[[int], Payload],
        released: Callable[[int], None],
    ) -> None:
        self._plan = plan
        self.keep = keep
        self._load = load
        self._released = released
        self._large: list[ref[Large]] = []
        self.held: dict[int, bytes | Payload] = {}
        self.uses = plan.uses

    def payload_of(self, source: int) -> Payload:
        """The payload of a node, or of a large constant (below 0)."""
        payload = self.held.get(source)
        if isinstance(payload, bytes):
            return Payload("pickle", payload)
        if payload is None:
            if source >= 0:
                payload = self._load(source)
            else:
                # A large constant: it becomes shared memory when it is first needed.
                data = self._plan.constants[-1 - source]
                payload = Payload("pickle", Large.written((data,), len(data)))
            self.held[source] = payload
        return payload

    def ended(self, nodes: Iterable[int]) -> None:
        """These nodes have ended or grown, or have been there from the start: they take no value any more."""
        uses = self.uses
        for node in self._plan.taking(nodes):
            for source in self._plan.taken_by(node):
                left = uses[source] = uses[source] - 1
                if not left and source not in self.keep:
                    self._let_go(source)

    def released(self, nodes: Iterable[int]) -> None:
        """Nobody holds these values any more for what may come."""
        for node in nodes:
            self.uses[node] -= 1
            if not self.uses[node] and node not in self.keep:
                self._let_go(node)

    def completed(self, node: int) -> None:
        """A node that had grown has its value."""
        if not self.uses[node] and node not in self.keep:
            self._let_go(node)

    def _let_go(self, node: int) -> None:
        stack = [node]
        while stack:
            one = stack.pop()
            # Small pickles go out with each call: no executor has kept one.
            if type(self.held.pop(one, b"")) is not bytes:
                self._released(one)
            for part in self._plan.parts_of(one):
                self.uses[part] -= 1
                if not self.uses[part] and part not in self.keep:
                    stack.append(part)

    def settled(self, payload: Large | bytes | None) -> Large | bytes:
        """A large payload as it is held: a few as shared memory, more than that as bytes.

        Each holds a descriptor, and there may be no more than a thousand of those.
        """
        assert isinstance(payload, Large)
        self._large = [weak for weak in self._large if weak() is not None]
        if len(self._large) < _MOST_HELD:
            self._large.append(ref(payload))
            return payload
        return payload.read(0, payload.size)

    def kept(self, node: int) -> Payload | None:
        """The payload of a node when the run has ended, if it is here and not only in the store."""
        payload = self.held.get(node)
        return Payload("pickle", payload) if isinstance(payload, bytes) else payload
