"""The longer questions that history.py asks, and how values go into any."""

from __future__ import annotations

from typing import Final


def bound(query: str, values: tuple[object, ...]) -> tuple[object, ...] | dict[str, object]:
    """Return values as a query takes them: by their places, or by their numbers if it says `?1`.

    A sequence would do there as well, but Python 3.12 up to 3.12.3 warns of it.
    Source: CPython's issue 117995.

    >>> bound("SELECT ?2, ?1", ("a", "b")), bound("SELECT ?", ("a",))
    ({'1': 'a', '2': 'b'}, ('a',))
    """
    return {str(n): value for n, value in enumerate(values, 1)} if "?1" in query else values


ATTEMPTS: Final = """
SELECT ?3, i.key, a.attempt, a.outcome,
    (r.started_at + a.started) / 1e6, (r.started_at + a.started + a.took) / 1e6,
    a.worker, a.error, a.traceback
FROM (
    SELECT id, attempt, outcome, started, took, worker, error, traceback
    FROM attempt WHERE id >= ?1 AND id < ?2
    UNION ALL
    SELECT id, attempt, state, started, took, worker, NULL, NULL
    FROM outcome WHERE id >= ?1 AND id < ?2 AND state = 'succeeded'
) AS a
JOIN instance AS i ON i.id = a.id
JOIN run AS r ON r.number = a.id >> 32
ORDER BY a.id, a.attempt"""

# First which lines, by the index alone; then the lines, in their order.
LOGS: Final = """
SELECT i.key, l.attempt, l.at / 1e6, l.stream, l.line, l.seq
FROM (
    SELECT seq FROM log INDEXED BY log_id WHERE id >= ?1 AND id < ?2 AND seq > ?3 ORDER BY seq LIMIT ?4
) AS n
CROSS JOIN log AS l ON l.seq = n.seq
CROSS JOIN instance AS i ON i.id = l.id
ORDER BY l.seq"""

CHUNKS: Final = """
SELECT s.seq, s.id & 4294967295, i.key, s.attempt, s.number, s.at / 1e6, s.name,
    s.type, s.codec, s.size, s.sha256, s.mac, s.preview, s.exact, s.by_value
FROM (
    SELECT seq FROM stream INDEXED BY stream_id WHERE id >= ?1 AND id < ?2 AND seq > ?3 AND attempt > 0
    ORDER BY seq LIMIT ?4
) AS n
CROSS JOIN stream AS s ON s.seq = n.seq
CROSS JOIN instance AS i ON i.id = s.id
ORDER BY s.seq"""
