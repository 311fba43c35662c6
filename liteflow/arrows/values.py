"""What flows: how values are made fit to flow, joined and merged.

returned  None -> {}    a tuple -> a list    anything else as it is
join      several values -> a list in source order, without the empty objects beside others
merge     a list of objects -> one object, later keys win

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def returned(value: Any) -> Any:
    """What flows on when a step has given a value.

    >>> returned(None), returned((1, 2)), returned("text")
    ({}, [1, 2], 'text')
    """
    if value is None:
        return {}
    return list(value) if type(value) is tuple else value


def join(values: Sequence[Any]) -> Any:
    """The one value that comes in over several edges, given in source order.

    >>> join([{"a": 1}, {}, {"b": 2}]), join([{}, {"a": 1}]), join([{}, {}]), join([])
    ([{'a': 1}, {'b': 2}], {'a': 1}, {}, {})
    """
    if len(values) == 1:
        return values[0]
    full = [value for value in values if not (isinstance(value, dict) and not value)]
    if len(full) > 1:
        return full
    return full[0] if full else {}


def merge(value: Any, step: str) -> Any:
    """A list of objects as one object; anything else as it is.

    Args:
        value: What came in.
        step: Whose input it is, for the message.

    Raises:
        MergeError: It is a list, and not all of it are objects.

    >>> merge([{"a": 1, "b": 1}, {"b": 2}], "A")
    {'a': 1, 'b': 2}
    """
    if not isinstance(value, list):
        return value
    merged: dict[Any, Any] = {}
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            from liteflow.arrows.errors import MergeError  # noqa: PLC0415  attrs: not for every worker

            raise MergeError(step, index, type(item).__name__)
        merged.update(item)
    return merged


def items_of(value: Any) -> list[Any]:
    """What a `*` step runs for: the items of a list, or the value as the only one.

    >>> items_of([1, 2]), items_of({"x": 1}), items_of([])
    ([1, 2], [{'x': 1}], [])
    """
    return value if isinstance(value, list) else [value]
