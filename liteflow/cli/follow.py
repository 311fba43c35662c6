"""`liteflow logs --follow`: what tasks print, log and yield, while a run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from heapq import merge

from liteflow.store.history import ChunkRow, History, LogRow, RunRow

# The store is looked at so often, in seconds.
_LOOK_EVERY_S = 0.2


def follow(history: History, run: RunRow, key: str | None) -> Iterator[LogRow]:
    """Yield the lines of a run, and its chunks as lines of the stream `chunk`, until it has ended.

    Args:
        history: The store.
        run: The run.
        key: Of one task instance only.
    """
    line = chunk = 0
    while True:
        # Asked first: what was written before its end is there afterwards.
        over = history.find_run(run.id).state != "running"
        lines = list(history.logs(run.id, key, line))
        chunks = list(history.chunks(run.id, key, chunk))
        line = lines[-1].seq if lines else line
        chunk = chunks[-1].seq if chunks else chunk
        yield from merge(lines, [_as_line(run.id, one) for one in chunks], key=lambda row: row.at)
        if over:
            return
        time.sleep(_LOOK_EVERY_S)


def _as_line(run_id: str, row: ChunkRow) -> LogRow:
    return LogRow(run_id, row.key, row.attempt, row.at, "chunk", text_of(row), row.seq)


def text_of(row: ChunkRow) -> str:
    """A chunk as text: a text as it is, as far as its preview holds it, anything else by its preview."""
    if row.type == "str" and row.exact:
        try:
            text = json.loads(row.preview)
        except (ValueError, RecursionError):
            return row.preview
        return text if isinstance(text, str) else row.preview
    return row.preview
