"""Which calls does an expression need?  Found backwards over data and order.

Lazy values may stand anywhere in an argument, so an argument that is no atom and no lazy
value is pickled here already: that finds them all, and the pickle is what a worker will get.
The same object given to many calls is pickled once.

Nothing recurses over the graph: a chain of a million calls is as good as any.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import GenericAlias
from typing import Any

from attrs import evolve

from liteflow.dag import ATOMS
from liteflow.errors import ArgumentError, FlowError, NotPicklableError
from liteflow.lazy import Build, Call, Lazy, place, repr_of
from liteflow.mapped import Each, Mapped
from liteflow.parameters import Parameter
from liteflow.pickling import Definitions, Packed, pack
from liteflow.task import Task

_CONTAINERS = frozenset([list, tuple, dict, set, frozenset])

# Of larger arguments the pickle itself is digested.
_LARGE = 64 * 1024
# So many containers of an argument are searched for a task that stands where its call was meant.
_MOST_LOOKED_INTO = 1000


class Survey:
    """The calls that an expression needs, and what was found on the way.

    Attributes:
        flow: The name of the flow, or of the task that returned the expression.
        what: "flow" or "task", accordingly.
        expression: The expression, pickled; its holes are lazy values.
        calls: In the order in which they were made.
        ascending: Whether every call was made after all that it waits for.
        definitions: Classes of the main script that the pickles need.
        given: Arguments from outside, which win over the calls' own.
        secrets: Texts that are not to be shown.

    Raises:
        ArgumentError: A task stands where its call was meant, or a value can't be pickled.
        FlowError: A call belongs to another flow.
    """

    def __init__(self, flow: str, expression: object, build: Build | None = None, what: str = "flow") -> None:
        self.flow, self.what = flow, what
        self.definitions = Definitions()
        self.given: dict[Call[Any], dict[str, object]] = {}
        self.secrets: list[str] = []
        # By id, beside the values themselves: so no id can come to mean another value.
        self._packed: dict[int, Packed] = {}
        self._values: list[object] = [expression]
        self.expression = self._pack(expression, f"{what} {flow}", "what it returns", None)
        self.ascending = True
        self.calls = self._reach(build)

    def arguments(self, call: Call[Any]) -> Mapping[str, Any]:
        """Return a call's arguments by parameter name, those from outside included."""
        given = self.given.get(call)
        return call._arguments if given is None else {**call._arguments, **given}

    def packed(self, value: object, call: Call[Any], parameter: str) -> Packed:
        """Return the pickle of an argument that is no atom and no lazy value."""
        known = self._packed.get(id(value))
        if known is None:
            known = self._pack(value, f"{call._task.name}()", parameter, call)
            self._packed[id(value)] = known
            self._values.append(value)
        return known

    def sources(self, call: Call[Any]) -> list[Call[Any]]:
        """Return the calls that a call waits for, for data or for order."""
        # Most calls wait for none without its value: an empty list of them costs as much as the rest.
        sources = [lazy._call() for lazy in call._after] if call._after else []
        for parameter, value in single(call):
            kind = type(value)
            if kind in ATOMS:
                continue
            if kind is Call:
                sources.append(value)
            else:
                sources += [lazy._call() for lazy in self.lazies(value, call, parameter)]
        return sources

    def lazies(self, value: Any, call: Call[Any], parameter: str) -> Sequence[Lazy[Any]]:
        """Return the lazy values that an argument is or holds."""
        if type(value) in ATOMS:
            return ()
        if isinstance(value, Lazy):
            return (value,)
        if type(value) is not Each:
            holes: tuple[Lazy[Any], ...] = self.packed(value, call, parameter).holes
            return holes
        items = value.items
        if isinstance(items, Lazy):
            return (items,)
        # Of a million numbers none is looked at twice.
        if ATOMS.issuperset(map(type, items)):
            return ()
        return [lazy for item in items for lazy in self.lazies(item, call, parameter)]

    def free(self) -> dict[str, list[tuple[Call[Any], Parameter]]]:
        """Return, by name, the required parameters that the calls leave free, and where."""
        found: dict[str, list[tuple[Call[Any], Parameter]]] = {}
        for call in self.calls:
            for name in self.missing(call):
                parameter = next(p for p in call._task.signature.parameters if p.name == name)
                if isinstance(call, Mapped):
                    parameter = evolve(parameter, annotation=GenericAlias(Iterable, (parameter.annotation,)))
                found.setdefault(name, []).append((call, parameter))
        return found

    def missing(self, call: Call[Any]) -> list[str]:
        """Return the required parameters that a call leaves free."""
        signature = call._task.signature
        if len(call._args) >= signature.enough:
            return []
        arguments = self.arguments(call)
        if isinstance(call, Mapped) and call._map.star:
            # Its tuples give the positional ones; the checker counts.
            return [n for n in signature.required if n not in signature.positional and n not in arguments]
        return [name for name in signature.required if name not in arguments]

    def _reach(self, build: Build | None) -> tuple[Call[Any], ...]:
        stack = [lazy._call() for lazy in self.expression.holes]
        seen = set(stack)
        while stack:
            call = stack.pop()
            if call._build is not None and call._build is not build:
                where = f"{repr_of(call)} (at {place(call)})"
                problem = f"uses {where}, which belongs to another building of flow {call._build.flow}"
                remedy = f"make the call inside the {self.what} that uses it"
                raise FlowError(self.flow, f"{problem}; {remedy}", self.what)
            serial = call._serial
            for source in self.sources(call):
                if source._serial >= serial:
                    self.ascending = False
                if source not in seen:
                    seen.add(source)
                    stack.append(source)
        return tuple(sorted(seen, key=_serial))

    def _pack(self, value: object, owner: str, parameter: str, call: Call[Any] | None) -> Packed:
        item = _uncalled(value)
        if item is not None:
            problem = f"is or holds {item!r} itself; did you mean {item.name}()?"
            raise ArgumentError(owner, parameter, problem, None if call is None else place(call))
        try:
            packed = pack(value, _is_lazy, self.definitions)
        except NotPicklableError as error:
            at = None if call is None else place(call)
            # Its own traceback is one of pickle and ours: the sentence says it all.
            raise ArgumentError(owner, parameter, str(error), at) from None
        # What a flow returns is no argument of anything.
        return packed if call is None else packed._replace(digest=self._digest(value, packed))

    def _digest(self, value: object, packed: Packed) -> bytes:
        """A digest of a value that does not change by itself; of its pickle, if it has no other."""
        # Start-up: a program that only imports its flows needs neither.
        from hashlib import blake2b  # noqa: PLC0415

        from liteflow.fingerprint import UnstableValueError, digest_of  # noqa: PLC0415

        # No other object has the id of one that lives.
        places = {id(lazy): str(number) for number, lazy in enumerate(packed.holes)}
        # Without that module there are no secrets.
        secret = "liteflow.secret" in sys.modules
        stand_in = partial(self._stand_in, places) if secret else lambda part: places.get(id(part))
        # The pickle may differ from one process to the next: then a resume runs the call again.
        with suppress(UnstableValueError):
            if len(packed.data) <= _LARGE:
                return digest_of(value, stand_in)
        return blake2b(packed.data, digest_size=8).digest()

    def _stand_in(self, places: Mapping[int, str], part: object) -> str | None:
        """What stands in a digest for a lazy value; for a secret, which one it is: not what it says."""
        name = getattr(part, "_secret_name", None) if isinstance(part, str) else None
        if name is None:
            return places.get(id(part))
        self.secrets.append(str.__str__(part))
        return f"secret {name}"


def single(call: Call[Any], given: Mapping[str, Any] | None = None) -> Iterable[tuple[str, Any]]:
    """Return (name, value) for each single argument: `*rest` item by item, `**extra` key by key.

    `given` are arguments from outside, which win over the call's own.
    """
    signature = call._task.signature
    if call._named is None and given is None:
        return zip(signature.positional, call._args, strict=False)
    arguments = {**call._arguments, **(given or {})}
    if signature.rest is None and signature.extra is None:
        return arguments.items()
    pairs: list[tuple[str, Any]] = []
    for name, value in arguments.items():
        if name == signature.rest:
            pairs += [(name, item) for item in value]
        elif name == signature.extra:
            pairs += value.items()
        else:
            pairs.append((name, value))
    return pairs


def is_uncalled(kind: type) -> bool:
    """Whether objects of this type give a lazy value only when they are called."""
    return issubclass(kind, Task) or getattr(kind, "_is_flow", False) is True


def _uncalled(value: Any) -> Any:
    """Return a task or flow that stands as a value, or in a nest of plain containers.

    It is a slip that people make by hand; so large data is not searched to its end for one.
    """
    if is_uncalled(type(value)):
        return value
    nest, looked_into = [value], 0
    while nest and looked_into < _MOST_LOOKED_INTO:
        items = nest.pop()
        looked_into += 1
        kind = type(items)
        if kind is dict:
            items = items.values()
        elif kind not in _CONTAINERS:
            continue
        kinds = set(map(type, items))
        if any(is_uncalled(kind) for kind in kinds):
            return next(item for item in items if is_uncalled(type(item)))
        if not kinds.isdisjoint(_CONTAINERS):
            nest += [item for item in items if type(item) in _CONTAINERS]
    return None


def _is_lazy(value: object) -> bool:
    return isinstance(value, Lazy)


def _serial(call: Call[Any]) -> int:
    return call._serial
