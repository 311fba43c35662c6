"""When did what run?  Bars on a line of time, and one bar in parts, as SVG as wide as the place it is put in.

    spans --at a thousandth of the time--> bars, those of one state that touch as one

So a line with ten thousand attempts is drawn in at most some thousand bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from attrs import frozen

from liteflow.views.states import LOOKS, look, shown_state, state_class

WIDE, HIGH = 1000, 12
"""Of a picture, in units of its own; it is stretched to where it stands."""

# What takes no time at all is still to be seen.
_NARROWEST = 4
_DONE = ("succeeded", "cached", "skipped", "failed")


@frozen
class Span:
    """From when to when something was in a state, in seconds from anywhere."""

    start: float
    end: float
    state: str


def timeline(spans: Iterable[Span], begin: float, end: float) -> str:
    """Draw spans on a line of time.

    Args:
        spans: In any order.
        begin: When the line begins.
        end: When it ends.

    >>> both = [Span(0, 1, "succeeded"), Span(1, 2, "succeeded")]
    >>> timeline(both, 0, 2).count("<rect")
    1
    """
    scale = WIDE / max(end - begin, 1e-6)
    found: dict[str, list[tuple[int, int]]] = {}
    for span in spans:
        # What a damaged file says of times may lie anywhere.
        first = round(min(max((span.start - begin) * scale, 0.0), WIDE - _NARROWEST))
        last = round(min(max((span.end - begin) * scale, first + _NARROWEST), WIDE))
        found.setdefault(shown_state(span.state), []).append((first, last))
    # What matters most is drawn last, over the others.
    order = sorted(found, key=lambda state: list(LOOKS).index(state) if state in LOOKS else -1, reverse=True)
    return _picture(_bar(first, last, state) for state in order for first, last in _joined(found[state]))


def shares(states: Mapping[str, int]) -> str:
    """Draw one bar in parts, as long as there are members in each state.

    >>> shares({"succeeded": 3, "failed": 1}).count("<rect")
    2
    """
    # What is done stands at the left, so that the bar of a run that goes on grows as one does.
    there = [state for state in dict.fromkeys((*_DONE, *LOOKS)) if states.get(state)]
    total = sum(states[state] for state in there)
    # One of a million is still to be seen.
    spare = WIDE - _NARROWEST * len(there)
    ends = [round(to) for to in accumulate(_NARROWEST + states[state] * spare / total for state in there)]
    return _picture(map(_bar, [0, *ends], ends, there))


def _joined(bars: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    bars.sort()
    first, last = bars[0]
    for start, end in bars[1:]:
        if start > last:
            yield first, last
            first = start
        last = max(last, end)
    yield first, last


def _picture(bars: Iterable[str]) -> str:
    return (
        f'<svg class="bars" viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(bars)}</svg>"
    )


def _bar(first: int, last: int, state: str) -> str:
    where = f'x="{first}" y="0" width="{last - first}" height="{HIGH}"'
    return f'<rect class="{state_class(state)}" {where} fill="{look(state).stroke}"/>'
