"""Rows as the driver hands them over, and a store to put them in."""

import hashlib
import os
import stat
import sys

import pytest

from liteflow.store.db import open_store, schema_text
from liteflow.store.history import History
from liteflow.store.journal import Journal, NewRun
from liteflow.store.lease import this_process

START = 1_763_696_000_000_000  # 2025-11-21T03:33:20Z


def begun(path, keys=("load", "double", "total"), *, run_id="run-1", flow="etl", inputs=(), **more):
    """A journal of a run that has begun, with one task instance for each key."""
    journal = Journal(open_store(path))
    try:
        begin(journal, keys, run_id=run_id, flow=flow, inputs=inputs, **more)
    except BaseException:
        journal.close()
        raise
    return journal


def begin(
    journal,
    keys=("load", "double", "total"),
    *,
    run_id="run-1",
    flow="etl",
    inputs=(),
    owner=None,
    key_id=None,
    **more,
):
    run = NewRun(run_id, flow, START, START, **{"tasks": [(0, "step", "int", "{}", None)], **more})
    fed = [*inputs, *[None] * (len(keys) - len(inputs))]
    rows = [(index, key, 0, None, fed[index], None) for index, key in enumerate(keys)]
    journal.begin(run, rows, owner or this_process(), key_id=key_id)


def succeeded(row_id, payload=b"12345", *, preview="42", attempt=1, started=10, took=20):
    """The outcome of a task instance that gave a value."""
    size, digest = len(payload), hashlib.sha256(payload).digest()
    value = ("int", "pickle", size, digest, None, preview, 1, 0, payload)
    return (row_id, "succeeded", attempt, started, took, "process-1", None, *value)


def in_pieces(row_id, payload):
    """The outcome of a task instance whose value has been written as pieces."""
    return (*succeeded(row_id, payload)[:-1], None)


def success(row_id, payload=b"12345"):
    """The same, without what all that succeeded have in common."""
    row = list(succeeded(row_id, payload))
    return (row[0], *row[2:6], *row[7:])


def failed(row_id, state="failed", *, attempt=1, error="ValueError: no", started=10, took=20):
    return (row_id, state, attempt, started, took, "process-1", error, *[None] * 9)


def tried(row_id, attempt=1, outcome="failed", *, error="ValueError: no", started=10, took=20):
    """An attempt that gave no value."""
    times = (started, took)
    return (row_id, attempt, outcome, *times, "process-1", error, "Traceback ...", None, b"exception")


def states(db, run_id="run-1"):
    """The state of each task instance, by key."""
    with History(db) as history:
        return {row.key: row.state for row in history.tasks(run_id)}


def value(db, index, run_id="run-1"):
    """The bytes of a task instance's value; None if it has none."""
    with History(db) as history:
        found = history.payload(run_id, index)
        return found and found.data


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def unprivileged(action):
    """Do something as a user who is not allowed everything, and return what it gives, a text.

    Root may write everywhere, so a test that runs as root does it in a child as nobody.
    """
    if os.geteuid() != 0:
        return action()
    if sys.platform != "linux":
        pytest.skip("as root, all files can be written")
    # Nobody may perhaps not read the folder that liteflow lies in.
    schema_text()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "?"
        try:
            os.setgid(65534)
            os.setuid(65534)
            said = action()
        except BaseException as error:  # noqa: BLE001  this process ends here
            said = repr(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said
