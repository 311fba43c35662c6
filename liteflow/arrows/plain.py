"""Values as the stateless runner has them: themselves, so that whatever is asked of them is known at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from liteflow.arrows.graph import Node
from liteflow.arrows.jsonpath import matches
from liteflow.arrows.values import items_of, join, merge, returned


class PlainValues:
    """How a course deals with such values; see `course.Values`."""

    def known(self, value: Any) -> Any:
        """As `course.Values`."""
        return value

    def returned(self, value: Any) -> Any:
        """As `course.Values`."""
        return returned(value)

    def join(self, values: Sequence[Any]) -> Any:
        """As `course.Values`."""
        return join(values)

    def merge(self, value: Any, step: str) -> Any:
        """As `course.Values`."""
        return merge(value, step)

    def collect(self, values: list[Any]) -> Any:
        """As `course.Values`."""
        return values

    def no_items(self, value: Any) -> Any:
        """As `course.Values`."""
        return []

    def matches(self, node: Node, value: Any) -> bool | None:
        """As `course.Values`."""
        return node.guard is None or matches(node.guard.path, value)

    def items(self, value: Any) -> Sequence[Any] | None:
        """As `course.Values`."""
        return items_of(value)
