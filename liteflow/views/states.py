"""What does each state look like: in a drawing, on a terminal, in plain ASCII?

One table for all views, so that a colour means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen


@frozen
class Look:
    """The looks of one state.

    `fill` and `stroke` are colours for drawings, `style` is one for terminals (as rich names
    them), `symbol` one character, `ascii` the same where there is nothing but ASCII.
    """

    fill: str
    stroke: str
    style: str
    symbol: str
    ascii: str
    dashed: bool = False


# In the order in which a mixed group shows: the first state that some member has.
LOOKS: Final[Mapping[str, Look]] = {
    "failed": Look("#ffcdd2", "#c62828", "bold red", "✗", "x"),
    "running": Look("#bbdefb", "#1565c0", "bold blue", "▶", ">"),
    "retrying": Look("#ffe0b2", "#ef6c00", "yellow", "↻", "~"),
    "interrupted": Look("#ffe0b2", "#ef6c00", "yellow", "!", "!"),
    "ready": Look("#e8eaf6", "#5c6bc0", "cyan", "○", "o"),
    "cancelled": Look("#e1bee7", "#7b1fa2", "magenta", "■", "#"),
    "upstream_failed": Look("#fdecee", "#c62828", "red", "⊘", "/", dashed=True),
    "pending": Look("#f5f5f5", "#757575", "dim", "·", "."),
    "succeeded": Look("#c8e6c9", "#2e7d32", "green", "✓", "+"),
    "cached": Look("#b2dfdb", "#00695c", "green", "≡", "="),
    "skipped": Look("#fafafa", "#9e9e9e", "dim", "-", "-", dashed=True),
}

# For a state that no liteflow wrote: a file from somewhere else may say anything.
UNKNOWN: Final = Look("#ffffff", "#000000", "default", "?", "?", dashed=True)

FINISHED: Final = frozenset({"succeeded", "cached", "failed", "cancelled", "upstream_failed", "skipped"})


def look(state: str | None) -> Look:
    """Return the looks of a state, those of `UNKNOWN` if it is none of ours.

    >>> look("succeeded").symbol, look("no such state").symbol
    ('✓', '?')
    """
    return LOOKS.get(state or "", UNKNOWN)


def shown_state(state: str | None) -> str:
    """Return the state's name, or "?" if it is none of ours.

    >>> shown_state("failed"), shown_state("<script>")
    ('failed', '?')
    """
    return state if state is not None and state in LOOKS else "?"


def state_class(state: str | None) -> str:
    """Return the state's class in pages and drawings, for style sheets; of nothing that has run, `s-none`.

    >>> state_class("failed"), state_class("<script>"), state_class(None)
    ('s-failed', 's-unknown', 's-none')
    """
    return "s-none" if state is None else f"s-{state}" if state in LOOKS else "s-unknown"


def joint_state(states: Mapping[str, int]) -> str | None:
    """Return the one state that says most about a group, given how many members have which.

    >>> joint_state({"succeeded": 97, "failed": 3})
    'failed'
    """
    for state in LOOKS:
        if states.get(state):
            return state
    return None


def tally(states: Mapping[str, int]) -> str:
    """Say how many are in which state, in one fixed order.

    >>> tally({"succeeded": 97, "failed": 3, "running": 0})
    '3 failed, 97 succeeded'
    """
    known = [f"{states[state]} {state}" for state in LOOKS if states.get(state)]
    strange = sum(n for state, n in states.items() if state not in LOOKS)
    return ", ".join([*known, f"{strange} ?"] if strange else known)
