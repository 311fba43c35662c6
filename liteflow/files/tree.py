"""A document as data that knows where in its file each part stands.

Both readers, of YAML and of JSON, make it; mistakes that are found later find their place by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from liteflow.files.mistakes import Path

DEEPEST = 40
"""Documents may be nested so deep; workflows are not."""


@frozen
class Tree:
    """A part of a document.

    Attributes:
        value: A scalar, or a dict or a list of Trees.
        line, column: Where it begins, from 1.
        raw: Its own text in the file, for scalars.
        keys: For a mapping: where each key stands.
    """

    value: Any
    line: int
    column: int
    raw: str = ""
    keys: Mapping[str, tuple[int, int]] = field(factory=dict)

    def plain(self) -> Any:
        """Return the data without the places."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def find(self, path: Path) -> Tree | None:
        """Return the part that a path leads to; None if there is none."""
        tree: Tree | None = self
        for step in path:
            if tree is None or not isinstance(tree.value, dict | list):
                return None
            if isinstance(tree.value, dict):
                tree = tree.value.get(step)
            else:
                tree = tree.value[step] if isinstance(step, int) and step < len(tree.value) else None
        return tree

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Return line and column of what a path leads to, or of the last part of it that is there.

        Args:
            path: The way.
            key: Whether the place of the last key is wanted, and not of what it holds.
        """
        if key and path:
            above = self.find(path[:-1])
            found = above.keys.get(str(path[-1])) if above is not None else None
            if found is not None:
                return found
        for length in range(len(path), -1, -1):
            tree = self.find(path[:length])
            if tree is not None:
                return tree.line, tree.column
        return self.line, self.column

    def place_in(self, path: Path, mark: str, count: int) -> tuple[int, int]:
        """Return the place of a mark inside a text: of the one that `count` others stand before."""
        tree = self.find(path)
        at = -1
        for _ in range(count + 1):
            at = tree.raw.find(mark, at + 1) if tree is not None else -1
            if at < 0:
                return self.place(path)
        assert tree is not None
        before = tree.raw[:at]
        lines = before.count("\n")
        return tree.line + lines, (at - before.rfind("\n") if lines else tree.column + at)


def place_at(text: str, index: int) -> tuple[int, int]:
    """Return line and column of a character, from 1.

    >>> place_at("ab\\ncd", 4)
    (2, 2)
    """
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
