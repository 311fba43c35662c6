"""Pages of a store say what its history says, whatever a run's state, and read no more than they show."""

import time
from collections import Counter

import pytest
from store_rows import START, begin, begun, succeeded, tried
from support.drivers import until

from liteflow.errors import StoreSlowError
from liteflow.store.db import open_store
from liteflow.store.history import History
from liteflow.store.journal import Journal
from liteflow.store.lease import this_process
from liteflow.store.overview import LINE, TEXT, Overview
from liteflow.views.states import LOOKS

KEYS = ("load", "double", "total", "last")


def half_done(db, **more):
    """A journal of a run of which one has succeeded, one runs, and one is to be tried again."""
    journal = begun(db, KEYS, inputs=(None, '{"x":[0]}', '{"x":[0,1],"":[0]}'), **more)
    journal.outcomes([succeeded(journal.base)])
    journal.attempts([tried(journal.base + 1)])
    journal.running([(journal.base + 2, 1, 10, "process-1")])
    journal.logs([(journal.base + n % 2, 1, START + n, "stdout", f"line {n}") for n in range(10)])
    journal.commit()
    return journal


@pytest.fixture(params=["running", "cancelled", "interrupted"])
def store(db, request):
    if request.param == "interrupted":
        # No process has the largest number that there may be.
        half_done(db, owner=this_process()._replace(pid=2**22 + 1)).close()
        yield db
        return
    journal = half_done(db)
    if request.param == "cancelled":
        journal.end("cancelled", START + 1, None)
    yield db
    journal.close()


def test_task_instances_are_in_the_states_that_the_history_says(store, request):
    with History(store) as history, Overview(store) as overview:
        (run,) = history.runs()
        (summary,) = overview.page_of_runs(limit=5)
        tasks = history.tasks(run.id)

        assert run.state == request.node.callspec.params["store"]
        assert summary.state == run.state == overview.run(summary.number).state
        assert overview.states(summary) == Counter(row.state for row in tasks)
        assert [(row.key, row.state, row.started_at) for row in overview.instances(summary, limit=9)] == [
            (row.key, row.state, row.started_at) for row in tasks
        ]
        for state in LOOKS:
            chosen = overview.instances(summary, state=state, limit=9)
            assert [row.key for row in chosen] == [row.key for row in tasks if row.state == state]
        assert overview.run_states() == Counter([run.state])
        assert [row.id for row in overview.page_of_runs(state=run.state, limit=5)] == [run.id]


def test_edges_and_attempts_are_those_of_the_history(store):
    with History(store) as history, Overview(store) as overview:
        (run,) = overview.page_of_runs(limit=5)
        fed = [(one.parameter or None, one.key) for one in overview.inputs(run, 2, 9)]
        feeds = [(one.key, one.parameter or None) for one in overview.outputs(run, 0, 9)]

        assert fed == [(e.parameter, e.source) for e in history.edges(run.id) if e.target == "total"]
        assert feeds == [(e.target, e.parameter) for e in history.edges(run.id) if e.source == "load"]
        assert [one.outcome for one in overview.tries(run, [0, 1])[1]] == ["failed"]


def test_lines_come_in_pages(store):
    with Overview(store) as overview:
        (run,) = overview.page_of_runs(limit=5)

        assert overview.count_of_lines(run) == 10
        assert [row.text for row in overview.lines(run, offset=4, limit=2)] == ["line 4", "line 5"]
        assert overview.count_of_lines(run, 1) == 5
        assert [row.text for row in overview.lines(run, 1, offset=3, limit=9)] == ["line 7", "line 9"]


def test_of_a_long_text_no_more_is_read_than_is_shown(db):
    journal = begun(db)
    journal.outcomes([succeeded(journal.base, preview="x" * 10_000)])
    journal.logs([(journal.base, 1, START, "stdout", "x" * 10_000)])
    journal.commit()
    with Overview(db) as overview:
        (run,) = overview.page_of_runs(limit=5)
        (line,) = overview.lines(run, limit=5)

        assert (len(line.text), line.length) == (LINE, 10_000)
        assert len(overview.instance(run, 0).preview) == TEXT
    journal.close()


def test_one_limit_of_time_is_for_all_that_is_asked(db):
    begun(db, [f"key-{n}" for n in range(30_000)]).close()
    with Overview(db, time_limit=0.5) as overview:
        (run,) = overview.page_of_runs(limit=5)
        end = time.monotonic() + 0.5
        until(lambda: time.monotonic() > end)

        with pytest.raises(StoreSlowError):
            overview.groups(run)


def test_runs_come_in_pages_of_a_flow_or_of_all(db):
    journal = Journal(open_store(db))
    for n in range(6):
        begin(journal, run_id=f"run-{n}", flow=f"flow-{n % 2}")
        journal.end("succeeded", START + 1, None)
    journal.close()
    with Overview(db) as overview:
        assert [run.id for run in overview.page_of_runs(offset=1, limit=2)] == ["run-4", "run-3"]
        assert [run.id for run in overview.page_of_runs("flow-0", limit=2)] == ["run-4", "run-2"]
        assert [(name, count) for _, name, count in overview.flows(5)] == [("flow-1", 3), ("flow-0", 3)]
        assert overview.run(99) is None
