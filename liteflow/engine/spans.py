"""Nodes that a run has gained, as ranges: the calls that a task returned, the items of a map.

A map over a million items is one range with its items in it, and no object for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from attrs import frozen

from liteflow.dag import ATOMS
from liteflow.engine.states import When
from liteflow.growth import WireNode
from liteflow.wiring import Nodes, WireArgument, shifted, sources_in

InstanceRow = tuple[int, str, int, int | None, str | None, str | None]
"""What the journal writes of a node: (index, key, task, parent, inputs, constants)."""


class Span(Protocol):
    """Nodes `first`, `first` + 1, ... that have grown from `parent`."""

    # Whether they are the items of a map, or calls that a controller wanted.
    of_map: ClassVar[bool]
    of_control: ClassVar[bool]

    @property
    def first(self) -> int: ...
    @property
    def parent(self) -> int: ...
    def key(self, node: int) -> str:
        """What a node is called."""
        ...

    def root(self, node: int) -> str:
        """What the calls that grow from it are named after."""
        ...

    def arguments(self, node: int) -> tuple[tuple[WireArgument, ...], dict[str, WireArgument] | None]:
        """Its arguments, by position and by name."""
        ...

    def recorded(self, node: int) -> tuple[dict[str, list[int]], str | None]:
        """What feeds which of its parameters, and its constants as text."""
        ...


@frozen
class Grown:
    """What a run has gained: for the schedule, and for the journal.

    `predecessors` are those of the new nodes, which are `count` from `first` on; `result` is the
    value of `parent`, over them; `whatever` says that the parent has one whatever becomes of them.
    """

    parent: int
    first: int
    count: int
    predecessors: Sequence[Sequence[int]]
    result: WireArgument
    rules: Mapping[int, When]
    whatever: bool

    @property
    def parts(self) -> Sequence[int]:
        """The nodes that the parent's value is made of."""
        if isinstance(self.result, Nodes):
            return range(self.first, self.first + self.count)
        return sorted(sources_in(self.result))


@frozen
class Calls:
    """The calls that a task has returned."""

    of_map: ClassVar[bool] = False
    of_control: ClassVar[bool] = False
    first: int
    parent: int
    name: str
    keys: tuple[str, ...]
    nodes: tuple[WireNode, ...]

    def key(self, node: int) -> str:
        """What a node is called."""
        return self.keys[node - self.first]

    def root(self, _node: int) -> str:
        """What the calls that grow from it are named after: as itself."""
        return self.name

    def arguments(self, node: int) -> tuple[tuple[WireArgument, ...], dict[str, WireArgument] | None]:
        """Its arguments, with nodes as the run numbers them."""
        wire = self.nodes[node - self.first]
        kwargs = wire.kwargs and {name: shifted(a, self.first) for name, a in wire.kwargs.items()}
        return tuple([shifted(a, self.first) for a in wire.args]), kwargs

    def recorded(self, node: int) -> tuple[dict[str, list[int]], str | None]:
        """What feeds it, and its constants."""
        wire = self.nodes[node - self.first]
        return {name: [s + self.first for s in fed] for name, fed in wire.feeds.items()}, wire.constants


@frozen
class ItemCalls:
    """The calls of a map, one for each item; `lists` holds the items of each argument that is spread.

    `args` and `kwargs` are those of all of them; in the places of `spread`, which are parameters
    called `names`, goes the item.  `feeds` are those of the mapped call.
    """

    of_map: ClassVar[bool] = True
    of_control: ClassVar[bool] = False
    first: int
    parent: int
    name: str
    args: tuple[WireArgument, ...]
    kwargs: Mapping[str, WireArgument]
    spread: tuple[int | str, ...]
    lists: tuple[Sequence[WireArgument], ...]
    names: tuple[str, ...]
    feeds: Mapping[str, Sequence[int]]

    def key(self, node: int) -> str:
        """What a node is called: double[3]."""
        return f"{self.name}[{node - self.first}]"

    def root(self, node: int) -> str:
        """What the calls that grow from it are named after: itself."""
        return self.key(node)

    def arguments(self, node: int) -> tuple[tuple[WireArgument, ...], dict[str, WireArgument] | None]:
        """Its arguments."""
        if len(self.args) == 1 and not self.kwargs:
            # Most maps are over one list, and the general way takes three times as long.
            return (self.lists[0][node - self.first],), None
        args = list(self.args)
        kwargs = dict(self.kwargs)
        for place, items in zip(self.spread, self.lists, strict=True):
            item = items[node - self.first]
            if isinstance(place, int):
                args[place] = item
            else:
                kwargs[place] = item
        return tuple(args), kwargs or None

    def fed_by_nothing(self) -> bool:
        """Whether nothing feeds any of them: the items are numbers, say, that the flow itself gives."""
        return not self.feeds and all(ATOMS.issuperset(map(type, items)) for items in self.lists)

    def recorded(self, node: int) -> tuple[dict[str, list[int]], str | None]:
        """What feeds it: a node that its item comes from, or the whole list that it is in."""
        feeds = {name: list(sources) for name, sources in self.feeds.items() if name} if self.feeds else {}
        for name, items in zip(self.names, self.lists, strict=True):
            item = items[node - self.first]
            if type(item) is tuple or type(item) is list:
                feeds[name] = sorted(s for s in sources_in(item) if s >= 0)
            if feeds and not feeds.get(name, True):
                del feeds[name]
        return feeds, None


@frozen
class Asked:
    """A call that tasks have asked for as what runs next; `inputs` and `digest` as of a Request."""

    of_map: ClassVar[bool] = False
    of_control: ClassVar[bool] = False
    first: int
    askers: Sequence[int]
    name: str
    inputs: WireArgument
    digest: bytes | None

    @property
    def parent(self) -> int:
        """The one that asked for it first."""
        return self.askers[0]

    def key(self, _node: int) -> str:
        """What it is called."""
        return self.name

    def root(self, _node: int) -> str:
        """As itself: nothing grows from it."""
        return self.name

    def arguments(self, _node: int) -> tuple[tuple[WireArgument, ...], dict[str, WireArgument] | None]:
        """Its inputs."""
        return (() if self.inputs is None else (self.inputs,)), None

    def recorded(self, _node: int) -> tuple[dict[str, list[int]], str | None]:
        """It runs after those that have asked for it; what it is given, as a digest."""
        return {"": list(self.askers)}, None if self.digest is None else f"inputs={self.digest.hex()}"


@frozen
class ControlledCalls:
    """Calls that a controller wanted, with their arguments as the run numbers its nodes."""

    of_map: ClassVar[bool] = False
    of_control: ClassVar[bool] = True
    first: int
    parent: int
    keys: tuple[str, ...]
    args: tuple[tuple[WireArgument, ...], ...]
    kwargs: tuple[dict[str, WireArgument] | None, ...]
    feeds: tuple[dict[str, list[int]], ...]
    constants: tuple[str | None, ...]

    def key(self, node: int) -> str:
        """What a node is called."""
        return self.keys[node - self.first]

    def root(self, node: int) -> str:
        """What the calls that grow from it are named after: itself."""
        return self.key(node)

    def arguments(self, node: int) -> tuple[tuple[WireArgument, ...], dict[str, WireArgument] | None]:
        """Its arguments."""
        return self.args[node - self.first], self.kwargs[node - self.first]

    def recorded(self, node: int) -> tuple[dict[str, list[int]], str | None]:
        """What feeds it, and its constants."""
        return self.feeds[node - self.first], self.constants[node - self.first]


@frozen
class Gone:
    """Places of calls that the flow no longer has; nothing is done with them."""

    of_map: ClassVar[bool] = False
    of_control: ClassVar[bool] = False
    first: int
    parent: int = -1

    def key(self, node: int) -> str:
        """What a place is called: nobody asks."""
        return f"({node})"

    def root(self, node: int) -> str:
        """As `key`."""
        return self.key(node)

    def arguments(self, _node: int) -> tuple[tuple[WireArgument, ...], dict[str, WireArgument] | None]:
        """None."""
        return (), None

    def recorded(self, _node: int) -> tuple[dict[str, list[int]], str | None]:
        """Nothing."""
        return {}, None
