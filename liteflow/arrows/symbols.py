"""Values as the engine has them: not themselves, but what will make them where they are needed.

    Value     the value of a call, of which at most its JSON is known
    Known     a value of the text
    Made      a join, a merge or a collection of such: made by the worker that takes it

So what a task has given passes the driver unread.  A guard is decided here if the JSON of all that it
looks at is known, which is so for what is plain and short; else somebody has to look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from liteflow.arrows.graph import Node
from liteflow.arrows.jsonpath import matches
from liteflow.arrows.values import items_of, join, merge
from liteflow.controller import NO_JSON, Value


@frozen(eq=False)
class Known:
    """A value that is here."""

    value: Any


@frozen(eq=False)
class Made:
    """A value that `how` makes of others: where it is read from its pickle, it is that."""

    how: Callable[..., Any]
    parts: tuple[Any, ...]
    step: str = ""

    def __reduce__(self) -> Any:
        parts = [argument(part) for part in self.parts]
        if self.how is merge:
            return merge, (parts[0], self.step)
        return self.how, (parts,)


def argument(symbol: Any) -> Any:
    """A value as an argument of a call."""
    return symbol.value if isinstance(symbol, Known) else symbol


def known(symbol: Any) -> Any:
    """The value itself, if all of it is known here; else NO_JSON."""
    if isinstance(symbol, Known):
        return symbol.value
    if not isinstance(symbol, Made):
        return symbol.known if isinstance(symbol, Value) else NO_JSON
    parts = [known(part) for part in symbol.parts]
    if any(part is NO_JSON for part in parts):
        return NO_JSON
    return merge(parts[0], symbol.step) if symbol.how is merge else symbol.how(parts)


class Symbols:
    """How a course deals with such values; see `course.Values`."""

    def known(self, value: Any) -> Any:
        """A value of the text."""
        return Known(value)

    def returned(self, value: Any) -> Any:
        """What a step has given is fit to flow already: its function saw to that."""
        return value

    def join(self, values: Sequence[Any]) -> Any:
        """Several values as one."""
        if len(values) == 1:
            return values[0]
        return Made(join, tuple(values)) if values else Known({})

    def merge(self, value: Any, step: str) -> Any:
        """What comes in at a merge."""
        return Made(merge, (value,), step)

    def collect(self, values: list[Any]) -> Any:
        """What a `*` step has given."""
        return Made(list, tuple(values))

    def no_items(self, value: Any) -> Any:
        """What a `*` step has given that had no items."""
        return Known([])

    def matches(self, node: Node, value: Any) -> bool | None:
        """Whether the guard matches, if that can be seen here."""
        found = known(value)
        if node.guard is None or found is NO_JSON:
            return None
        return matches(node.guard.path, found)

    def items(self, value: Any) -> Sequence[Any] | None:
        """The items, if they can be seen here, or are those of a `*` step."""
        if isinstance(value, Made) and value.how is list:
            return value.parts
        found = known(value)
        return None if found is NO_JSON else [Known(item) for item in items_of(found)]


def apart(value: Value) -> list[Value]:
    """The items of a value that a worker has taken apart."""
    assert value.items is not None
    return [Value(wire, text) for wire, text in zip(*value.items, strict=True)]
