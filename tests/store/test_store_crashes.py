"""A driver that dies at any write, by enumeration: what it was told is kept is kept, and all goes on."""

import os
import sqlite3

import pytest
from store_rows import START, begin, failed, in_pieces, succeeded, tried

from liteflow.store.check import check
from liteflow.store.db import StoreConnection, open_store
from liteflow.store.history import History
from liteflow.store.journal import Journal
from liteflow.store.lease import this_process

KEYS = ("load", "double", "total", "report")
INPUTS = [None, '{"x":[0]}', '{"x":[1]}', '{"x":[2]}']
LARGE = [b"dou", b"ble"]


def script(path, done):
    """A run with all that a journal does; `done` hears of each step that was acknowledged."""
    journal = Journal(open_store(path))
    done("opened")
    begin(journal, KEYS, inputs=INPUTS)
    done("begun")
    base = journal.base
    journal.outcomes([succeeded(base, b"load")])
    journal.commit()
    done("load")
    for seq, piece in enumerate(LARGE):
        journal.piece(base + 1, seq, piece)
    journal.outcomes([in_pieces(base + 1, b"".join(LARGE))])
    journal.logs([(base + 1, 1, START, "stdout", "line")])
    journal.commit()
    done("double")
    journal.beat()
    journal.attempts([tried(base + 2)])
    journal.outcomes([failed(base + 2), failed(base + 3, "upstream_failed")])
    journal.running([(base + 3, 1, 5, "w")])
    journal.end("failed", START + 1, "no")
    done("ended")
    journal.claim(1, this_process())
    done("claimed")
    journal.renumber({0: 1, 1: 0}, lambda old, to: old.mac)
    journal.redo([1])
    journal.replace_tasks([(0, "step", "int", "{}", "new")])
    none = (None, None, None)
    rows = [(0, "double", 0, *none), (1, "load", 0, *none), (2, "total", 0, None, '{"x":[0]}', None)]
    journal.update_instances(rows)
    journal.forget([base + 2])
    journal.commit()
    done("rewritten")
    journal.outcomes([succeeded(base + 1, b"again"), succeeded(base + 2, b"total")])
    journal.end("succeeded", START + 2, None)
    done("over")
    journal.close()


STEPS = ["opened", "begun", "load", "double", "ended", "claimed", "rewritten", "over"]


def die_at(path, count, after):
    """Run the script in a child that is gone at its n-th statement, or right after it.

    Returns:
        The steps that were acknowledged, and whether the child got to its end.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        left = [count]

        def dying(method):
            def execute(self, *args):
                left[0] -= 1
                if left[0] == 0 and not after:
                    os._exit(9)
                found = method(self, *args)
                if left[0] == 0:
                    os._exit(9)
                return found

            return execute

        code = 1
        try:
            StoreConnection.execute = dying(sqlite3.Connection.execute)
            StoreConnection.executemany = dying(sqlite3.Connection.executemany)
            script(path, lambda step: os.write(writing, f"{step} ".encode()))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        steps = pipe.read().split()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return steps, code == 0


def look(path):
    """What is in the store: the run's state, each task instance's, each value."""
    with History(path) as history:
        if not history.runs():
            return None, {}, {}
        states = {row.key: row.state for row in history.tasks("run-1")}
        payloads = {row.key: history.payload("run-1", row.index) for row in history.nodes("run-1")}
        values = {key: found.data for key, found in payloads.items() if found}
        return history.find_run("run-1").state, states, values


# What holds once a step was acknowledged, until the next step that takes it back.
KEPT = {
    "load": {"load": b"load"},
    "double": {"load": b"load", "double": b"double"},
    "ended": {"load": b"load", "double": b"double"},
    "claimed": {"load": b"load", "double": b"double"},
    "rewritten": {"double": b"double"},
    "over": {"double": b"double", "load": b"again", "total": b"total"},
}


def check_after(path, steps):
    assert steps == STEPS[: len(steps)]
    if not path.exists() or not path.stat().st_size:
        assert not steps
        return
    open_store(path).close()
    assert check(path) == []
    state, states, values = look(path)
    last = steps[-1] if steps else "opened"
    following = STEPS[STEPS.index(last) + 1] if last != "over" else "over"
    possible = [KEPT.get(last, {}), KEPT.get(following, {})]
    assert values in possible
    assert states["load"] if "begun" in steps else True
    if state is not None:
        # The child is dead, so nothing is going on.
        assert state in ("interrupted", "failed", "succeeded")
        assert set(states) in [set(KEYS), {"load", "double", "total", "report"}, {"load", "double", "total"}]
        journal = Journal(open_store(path))
        journal.claim(1, this_process())
        journal.forget(journal.base + n for n in range(4))
        journal.commit()
        with History(path) as history:
            indexes = {row.key: row.index for row in history.nodes("run-1")}
        missing = [key for key in indexes if key not in values]
        journal.outcomes([succeeded(journal.base + indexes[key], b"late") for key in missing])
        journal.end("succeeded", START + 3, None)
        journal.close()
        assert look(path)[2] == values | dict.fromkeys(missing, b"late")
        assert check(path) == []


# Right after a statement all is as right before the next one, but for what we do between them.
@pytest.mark.parametrize(
    ("after", "step"),
    [
        pytest.param(False, 4, id="before every fourth"),
        pytest.param(False, 1, id="before each", marks=pytest.mark.soak),
        pytest.param(True, 1, id="after each", marks=pytest.mark.soak),
    ],
)
def test_a_driver_that_dies_at_any_statement_leaves_a_store_that_goes_on(tmp_path, after, step):
    count, over = 1 - step, False
    while not over:
        count += step
        path = tmp_path / f"{count}.db"
        steps, over = die_at(path, count, after)
        check_after(path, steps)

    assert steps == STEPS
    assert count > 60
