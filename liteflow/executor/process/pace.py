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
# Calls of which nothing is known yet go out in pieces of so many: those of a chain, and any where so
# many functions have been called that what their first calls took says something of the next ones'.
_UNKNOWN_CALLS = 8
_ENOUGH_FIRST_CALLS = 16
# Calls expected to take longer than this never wait behind another.
_ALONE_S = 0.02
# Unheard of for this long while others are idle: what has not started is taken back.
SILENT_S = 0.005
SILENT_AND_ALL_BUSY_S = 0.1


class Pace:
    """What is known of the time that calls of each function take.

    Args:
        message_s: So many seconds of work may travel together.

    >>> pace = Pace()
    >>> pace.in_a_message(7), pace.in_a_chain(7)
    (1, 8)
    >>> pace.learn({7: [100, 100]})
    >>> pace.in_a_message(7), pace.in_a_chain(7)
    (40, 40)

    A workflow file has a function for each of its tasks: then all are called for the first time.

    >>> pace.learn({function: [100] for function in range(100, 120)})
    >>> pace.in_a_message(120)
    8
    """

    def __init__(self, message_s: float = _MESSAGE_S) -> None:
        self._message_s = message_s
        # Seconds a call of each function is expected to take, and the first call of one.
        self._expected: dict[int, float] = {}
        self._first: float | None = None

    def learn(self, took: Mapping[int, Sequence[int]]) -> None:
        """Take in how many microseconds calls of functions took."""
        for function, times in took.items():
            mean = max(sum(times) / len(times) / 1e6, _LEAST_S)
            known = self._expected.get(function)
            if known is None:
                self._first = _believed(self._first, mean)
            self._expected[function] = _believed(known, mean)

    def in_a_message(self, function: int) -> int:
        """How many calls of a function may travel together."""
        expected = self._expectation(function)
        if expected is None or expected >= self._message_s:
            return 1
        most = _MESSAGE_CALLS if function in self._expected else _UNKNOWN_CALLS
        return min(most, int(self._message_s / expected))

    def in_a_chain(self, function: int) -> int:
        """How many calls a message may hold where those that wait for one of this function follow it."""
        expected = self._expected.get(function)
        return min(_MESSAGE_CALLS, _UNKNOWN_CALLS if expected is None else int(self._message_s / expected))

    def may_wait_behind(self, functions: Iterable[int]) -> bool:
        """Whether calls of these functions are known to be short enough for others to wait behind them."""
        expected = [self._expectation(function) for function in functions]
        known = [e for e in expected if e is not None]
        return len(known) == len(expected) and sum(known) < _ALONE_S

    def _expectation(self, function: int) -> float | None:
        """Seconds a call is expected to take; None if nothing can be said."""
        guess = self._first if len(self._expected) >= _ENOUGH_FIRST_CALLS else None
        return self._expected.get(function, guess)


def _believed(known: float | None, mean: float) -> float:
    # Longer is believed at once, shorter slowly: a long call in a batch costs more
    # than a batch that could have been larger.
    return mean if known is None or mean > known else 0.7 * known + 0.3 * mean
