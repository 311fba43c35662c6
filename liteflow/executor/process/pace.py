"""How long calls take, learnt while they run: so many travel in one message, or wait behind another.

Pure: numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# A message holds about this much work, in seconds, and at most so many calls.
_MESSAGE_S = 0.004
_MESSAGE_CALLS = 256
# No call costs less, all told.
_LEAST_S = 1e-5
# A chain of calls of which nothing is known yet goes out in pieces of so many.
_UNKNOWN_CALLS = 8
# Calls expected to take longer than this never wait behind another.
_ALONE_S = 0.02


class Pace:
    """What is known of the time that calls of each function take.

    >>> pace = Pace()
    >>> pace.in_a_message(7), pace.in_a_chain(7)
    (1, 8)
    >>> pace.learn({7: [100, 100]})
    >>> pace.in_a_message(7), pace.in_a_chain(7)
    (40, 40)
    """

    def __init__(self) -> None:
        # Seconds a call of each function is expected to take.
        self._expected: dict[int, float] = {}

    def learn(self, took: Mapping[int, Sequence[int]]) -> None:
        """Take in how many microseconds calls of functions took."""
        for function, times in took.items():
            mean = max(sum(times) / len(times) / 1e6, _LEAST_S)
            known = self._expected.get(function)
            # Longer is believed at once, shorter slowly: a long call in a batch costs more
            # than a batch that could have been larger.
            self._expected[function] = mean if known is None or mean > known else 0.7 * known + 0.3 * mean

    def in_a_message(self, function: int) -> int:
        """How many calls of a function may travel together."""
        expected = self._expected.get(function)
        if expected is None or expected >= _MESSAGE_S:
            return 1
        return min(_MESSAGE_CALLS, int(_MESSAGE_S / expected))

    def in_a_chain(self, function: int) -> int:
        """How many calls a message may hold where those that wait for one of this function follow it."""
        expected = self._expected.get(function)
        return min(_MESSAGE_CALLS, _UNKNOWN_CALLS if expected is None else int(_MESSAGE_S / expected))

    def may_wait_behind(self, functions: Iterable[int]) -> bool:
        """Whether calls of these functions are known to be short enough for others to wait behind them."""
        expected = [self._expected.get(function) for function in functions]
        known = [e for e in expected if e is not None]
        return len(known) == len(expected) and sum(known) < _ALONE_S
