"""How are points in time and durations written?  UTC, always."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(at: float | None) -> str | None:
    """Return unix seconds as the store's views write them: ISO 8601, UTC, microseconds.

    >>> stamp(0.25)
    '1970-01-01T00:00:00.250000Z'
    """
    when = _when(at)
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clock(at: float | None) -> str:
    """Return unix seconds for a table: to the second, UTC; empty if there are none.

    >>> clock(0.25)
    '1970-01-01 00:00:00'
    """
    when = _when(at)
    return "" if when is None else when.strftime("%Y-%m-%d %H:%M:%S")


def moment(at: float | None) -> str:
    """Return the time of day of unix seconds, to the millisecond, UTC.

    >>> moment(0.25)
    '00:00:00.250'
    """
    when = _when(at)
    return "" if when is None else when.strftime("%H:%M:%S.%f")[:-3]


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them.

    >>> duration(0.00012), duration(0.0421), duration(61.5), duration(7384.0)
    ('0.1 ms', '42 ms', '1 min 2 s', '2 h 03 min')
    """
    if seconds is None:
        return ""
    if seconds < 0.00095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def _when(at: float | None) -> datetime | None:
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError, TypeError):
        # A damaged file may hold anything.
        return None
