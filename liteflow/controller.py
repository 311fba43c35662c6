"""Who decides what a run does next, each time one of its calls has ended: a controller.

It is pure: the same values of the same calls give the same steps, whatever the order in which calls end.  So
nothing of it is stored: who resumes a run asks a fresh one again, with what is recorded.  It never sees a
value but as a `Value`, which is put into arguments as it is; what it may know of it is its JSON, if that is
short.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

NO_JSON: Any = object()
"""What a value has as its JSON that is not known."""


@frozen(eq=False)
class Value:
    """A value that is there, somewhere.

    Attributes:
        wire: How a worker gets it.
        json: The value's own JSON, if it is plain data and short; else None.
        items: If a call has taken a list apart (`Items`): each list of its items, as wire arguments.

    >>> Value((3, ()), "[1, 2]").known
    [1, 2]
    """

    wire: Any
    json: str | None = None
    items: Sequence[Sequence[Any]] | None = field(default=None, repr=False)

    @property
    def known(self) -> Any:
        """The value, or NO_JSON if it is for workers only."""
        return NO_JSON if self.json is None else json.loads(self.json)


@frozen
class NextCall:
    """A call that a controller wants to be made.

    Attributes:
        key: What it is called, once for each controller.
        task: Which task, by its number in `Control.tasks`.
        args, kwargs: Its arguments; they may be, or hold, `Value`s.
    """

    key: str
    task: int
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = {}


@frozen
class Step:
    """What a controller says: calls to be made, or that it is over, with the value it comes to.

    `value` may be, or hold, `Value`s.
    """

    calls: tuple[NextCall, ...] = ()
    over: bool = False
    value: object = None


class Controller(Protocol):
    """The decisions of one node of a run."""

    def start(self, *arguments: Value) -> Step:
        """The node can run, with these arguments, in the order of `Control.__call__`'s parameters."""
        ...

    def ended(self, key: str, value: Value) -> Step:
        """One of its calls has given a value.

        Raises:
            LiteflowError: It can't go on with that; the node has failed.
        """
        ...
