"""What a script gets from `--json`: the same columns as the store's views have."""

from __future__ import annotations

import json

from liteflow.store.history import AttemptRow, History, LogRow, RunRow, TaskRow, XComRow
from liteflow.views.arguments import arguments_of
from liteflow.views.times import stamp


def run_record(row: RunRow) -> dict[str, object]:
    """Return a run as the store's view `runs` has it."""
    return {
        "id": row.id,
        "flow": row.flow,
        "state": row.state,
        "created_at": stamp(row.created_at),
        "started_at": stamp(row.started_at),
        "ended_at": stamp(row.ended_at),
        "error": row.error,
    }


def task_record(row: TaskRow, xcom: XComRow | None) -> dict[str, object]:
    """Return a task instance as the store's view `tasks` has it, and its XCom."""
    return {
        "key": row.key,
        "task": row.task,
        "state": row.state,
        "attempts": row.attempts,
        "started_at": stamp(row.started_at),
        "ended_at": stamp(row.ended_at),
        "worker": row.worker,
        "error": row.error,
        "xcom": None if xcom is None else xcom_record(xcom),
    }


def xcom_record(row: XComRow) -> dict[str, object]:
    """Return what is known of an XCom without reading it: its preview, and no value."""
    return {
        "type": row.type,
        "codec": row.codec,
        "size": row.size,
        "sha256": row.sha256,
        "preview": row.preview,
        "address": row.address,
    }


def output_record(row: XComRow) -> dict[str, object]:
    """Return the output of a run for a script that goes on with it."""
    return previewed(row.type, row.preview, row.exact)


def previewed(of_type: str, preview: str, exact: bool) -> dict[str, object]:
    """Return a value's type and preview, and the value itself if the preview is all of it.

    >>> previewed("list", "[1, 2]", True)
    {'type': 'list', 'preview': '[1, 2]', 'exact': True, 'value': [1, 2]}
    """
    record: dict[str, object] = {"type": of_type, "preview": preview, "exact": exact}
    return {**record, "value": json.loads(preview)} if exact else record


def attempt_record(row: AttemptRow) -> dict[str, object]:
    """Return an attempt as the store's view `attempts` has it."""
    return {
        "key": row.key,
        "attempt": row.attempt,
        "outcome": row.outcome,
        "started_at": stamp(row.started_at),
        "ended_at": stamp(row.ended_at),
        "worker": row.worker,
        "error": row.error,
    }


def log_record(row: LogRow) -> dict[str, object]:
    """Return a log line as the store's view `logs` has it."""
    return {
        "key": row.key,
        "attempt": row.attempt,
        "at": stamp(row.at),
        "stream": row.stream,
        "line": row.line,
    }


def whole_record(history: History, run: RunRow) -> dict[str, object]:
    """Return all that is known of a run but its logs."""
    xcoms = {row.key: row for row in history.xcoms(run.id)}
    return {
        **run_record(run),
        "arguments": arguments_of(run),
        "tasks": [task_record(row, xcoms.get(row.key)) for row in history.tasks(run.id)],
        "edges": [
            {"source": row.source, "target": row.target, "parameter": row.parameter}
            for row in history.edges(run.id)
        ],
        "attempts": [attempt_record(row) for row in history.attempts(run.id)],
    }
