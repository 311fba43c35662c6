"""What a row of a table of bad input is, and what must hold for each that is refused.

A row's id begins with its number: a letter for the interface it concerns (A defining, B composing,
C values at run time, E command line), and a count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from liteflow import DefinitionError, task

RAN: list[object] = []
"""What tasks of the rows have run here; bad input is found before any does."""

LONGEST_MESSAGE = 2000


@task(executor="inline")
def note(x: object = None) -> object:
    """Tell that something ran."""
    RAN.append(x)
    return x


def row(name: str, use: Callable[[], Any], *expected: Any) -> Any:
    """One row of a table: what is done, and what is expected of it."""
    return pytest.param(use, *expected, id=name)


def assert_refused(
    use: Callable[[], Any], error: type[Exception], words: Sequence[str], folder: Path
) -> None:
    """Bad input gets one message of ours that holds these words; nothing has run, no file was made."""
    RAN.clear()
    with pytest.raises(DefinitionError) as caught:
        use()
    message = str(caught.value)
    assert isinstance(caught.value, error), repr(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) <= LONGEST_MESSAGE
    assert RAN == []
    assert list(folder.iterdir()) == []
