"""What of a call goes over the wire: arguments as an attempt takes them, and what feeds them.

    Node --Wiring--> wire arguments (executor/attempt.py), feeds as JSON, constants as text

Used where a run begins, for the calls of the flow, and in a worker, for calls that a task returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from liteflow import pickling
from liteflow.dag import ATOMS, Hole, Node, Spread, atom_text
from liteflow.pickling import Definitions, Packed
from liteflow.xcom import LARGE

WireArgument = Any


class Wiring:
    """Makes wire arguments; those that are the same object are made once.

    Args:
        definitions: Collects the script's classes that the arguments need.
        by_reference: Whether large constants get numbers below 0, to be sent apart.

    Attributes:
        constants: Large argument values; source -1 is the first, -2 the second, ...
        places: The holes that have been wired, by their id (the Dag keeps them).
    """

    def __init__(self, definitions: Definitions, *, by_reference: bool = True) -> None:
        self.constants: list[bytes] = []
        self._definitions = definitions
        self._by_reference = by_reference
        self._numbers: dict[int, int] = {}
        self.places: dict[int, WireArgument] = {}

    def argument(self, argument: Any) -> WireArgument:
        """An argument of a Dag as an attempt takes it."""
        if type(argument) in ATOMS:
            return argument
        if type(argument) is Hole:
            # All that get one value have one Hole.
            known = self.places.get(id(argument))
            if known is None:
                known = self.places[id(argument)] = self.place(argument)
            return known
        if type(argument) is Spread:
            if type(argument.items) is Hole:
                return self.place(argument.items)
            return [self.argument(item) for item in argument.items]
        assert type(argument) is Packed
        constant = self.constant(argument)
        if constant is not None:
            return (constant, ())
        # Nobody reads beyond a pickle's end: where calls grow, what stands for one goes with its bytes.
        data = argument.data if self._by_reference else argument.data + argument.exact
        return (data, tuple([self.place(hole) for hole in argument.holes]))

    def place(self, hole: Hole) -> WireArgument:
        """What goes into a place."""
        source, path = hole
        if not path:
            return (source, ())
        if all(type(key) in ATOMS for key in path):
            return (source, tuple(path))
        return (source, pickling.dumps(path, self._definitions).data, 0)

    def constant(self, argument: Any) -> int | None:
        """The source number of a large argument value without holes, which goes by reference."""
        if type(argument) is not Packed or argument.holes or len(argument.data) <= LARGE:
            return None
        if not self._by_reference:
            return None
        number = self._numbers.get(id(argument.data))
        if number is None:
            self.constants.append(argument.data)
            number = self._numbers[id(argument.data)] = -len(self.constants)
        return number

    def constants_in(self, node: Node) -> Iterable[int]:
        """The source numbers of a call's large constants."""
        return [n for a in (*node.args, *node.kwargs.values()) if (n := self.constant(a)) is not None]


def constant_text(argument: Any) -> str | None:
    """What of an argument is fixed before the run, as a short text; None: nothing is.

    Equal arguments have equal texts, in every process.

    >>> constant_text(2.5), constant_text(Hole(3)), constant_text(Hole(3, (0,)))
    ('2.5', None, '@(0,)')
    """
    kind = type(argument)
    if kind is str or kind is bytes:
        # A digest: a password is not to be read in the store.
        return blake2b(repr(argument).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
    if kind is Hole:
        return _path_text(argument) or None
    if kind is Packed:
        return f"#{argument.digest.hex()}{''.join(map(_path_text, argument.holes))}"
    if kind is Spread:
        items = argument.items
        return f"*{_path_text(items)}" if type(items) is Hole else f"*{argument.digest.hex()}"
    return atom_text(argument)


def constants_text(node: Node) -> str | None:
    """The same of all arguments of a call."""
    texts = [f"{name}={text}" for name, a in node.arguments() if (text := constant_text(a)) is not None]
    return " ".join(texts) or None


def feeds_text(feeds: Mapping[str, Sequence[int]]) -> str | None:
    """Which nodes feed which parameter, as JSON: parameter -> nodes, "" for order alone; None: none does.

    >>> feeds_text({"rows": [0, 2]})
    '{"rows":[0, 2]}'
    """
    if not feeds:
        return None
    # Parameter names are identifiers, and lists of ints are written as Python writes them.
    return "{" + ",".join([f'"{name}":{list(sources)}' for name, sources in feeds.items()]) + "}"


def feeds_of(node: Node) -> dict[str, list[int]]:
    """Which nodes feed which parameter of a call; "" stands for order alone."""
    feeds = {name: list(sources) for name, sources in node.feeds().items()}
    if node.after:
        feeds[""] = list(node.after)
    return feeds


def is_alias(wire: WireArgument) -> bool:
    """Whether a wire argument is just the value of another call.

    >>> is_alias((3, ())), is_alias((3, (0,))), is_alias([(3, ())])
    (True, False, False)
    """
    return type(wire) is tuple and type(wire[0]) is int and wire[1:] == ((),)


def sources_in(wire: WireArgument) -> set[int]:
    """The nodes whose values a wire argument needs.

    >>> sources_in((3, ())), sources_in([(1, ()), (b"", ((2, (0,)),)), 5])
    ({3}, {1, 2})
    """
    found: set[int] = set()
    stack = [wire]
    while stack:
        one = stack.pop()
        if type(one) is list:
            stack.extend(one)
        elif type(one) is tuple:
            if type(one[0]) is int:
                found.add(one[0])
            else:
                # A pickle with holes, or (argument, path).
                stack.extend(one[1] if type(one[0]) is bytes else one[:1])
    return found


def shifted(wire: WireArgument, by: int) -> WireArgument:
    """A wire argument in which all nodes have numbers higher `by`.

    >>> shifted((b"", ((2, (0,)),)), 10)
    (b'', ((12, (0,)),))
    """
    if type(wire) is list:
        return [shifted(one, by) for one in wire]
    if type(wire) is not tuple:
        return wire
    first, *rest = wire
    if type(first) is int:
        return (first + by, *rest)
    if type(first) is bytes:
        return (first, tuple([shifted(one, by) for one in rest[0]]))
    return (shifted(first, by), *rest)


def _path_text(hole: Hole) -> str:
    return f"@{hole.path!r}".replace(" ", "") if hole.path else ""


class Nodes(Sequence[WireArgument]):
    """The results of nodes that follow each other, as wire arguments, without one object for each."""

    def __init__(self, first: int, count: int) -> None:
        self._first = first
        self._count = count

    @property
    def numbers(self) -> range:
        """The nodes."""
        return range(self._first, self._first + self._count)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> WireArgument:  # type: ignore[override]
        return (self._first + index, ())

    def __iter__(self) -> Iterator[WireArgument]:
        return ((node, ()) for node in self.numbers)


def items_text(count: int) -> str:
    """The preview of what a map gives: how many items it has.

    >>> items_text(3)
    '[3 items]'
    """
    return f"[{count} items]"
