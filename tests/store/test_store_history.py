"""What a store tells: by the class `History`, and by the views that users query."""

import ast
import pickle
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import START, begin, begun, failed, in_pieces, succeeded, tried
from support.laws import examples

from liteflow import store
from liteflow.errors import NoSuchRunError, StoreDamagedError
from liteflow.store import runs as runs_module
from liteflow.store.db import open_store
from liteflow.store.history import DeclaredRow, DefinitionRow, EdgeRow, History, NodeRow
from liteflow.store.journal import Journal
from liteflow.store.lease import this_process

INPUTS = (None, '{"x":[0]}', '{"values":[0,1],"":[1]}')


@pytest.fixture
def journal(db):
    journal = begun(db, inputs=INPUTS)
    yield journal
    journal.close()


@pytest.fixture
def look(db, journal):
    """A look into the store as it is when it is asked for."""
    opened = []

    def opens():
        journal.commit()
        opened.append(History(db))
        return opened[-1]

    yield opens
    for history in opened:
        history.close()


def view(db, query, *values):
    connection = sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query, values)]
    finally:
        connection.close()


# --- which run is meant --------------------------------------------------------------------


@pytest.fixture
def many_runs(db):
    journal = Journal(open_store(db))
    for run_id, flow in [("abc1", "etl"), ("abd2", "etl"), ("xyz3", "census"), ("census-x", "other")]:
        begin(journal, ["a"], run_id=run_id, flow=flow)
    journal.close()
    with History(db) as history:
        yield history


@pytest.mark.parametrize(
    ("ref", "meant"),
    [
        ("abc1", "abc1"),
        ("abc", "abc1"),
        ("x", "xyz3"),
        ("latest", "census-x"),
        ("etl", "abd2"),
        ("census", "xyz3"),
        ("census-", "census-x"),
    ],
)
def test_a_run_is_meant_by_its_id_its_beginning_its_flow_or_latest(many_runs, ref, meant):
    assert many_runs.find_run(ref).id == meant
    assert [run.id for run in many_runs.finds(ref)] == [meant]


def test_the_beginning_of_several_ids_is_refused_with_these(many_runs):
    with pytest.raises(NoSuchRunError, match=r"several run ids .*abd2 \(etl, interrupted\); abc1"):
        many_runs.find_run("ab")


@pytest.mark.parametrize("ref", ["", "nope", "ABC1", "%", "a_c1", "abc12"])
def test_what_is_no_run_is_refused_with_the_latest(many_runs, ref):
    with pytest.raises(NoSuchRunError, match=r"the latest are: census-x .*; xyz3") as caught:
        many_runs.find_run(ref)

    assert many_runs.finds(ref) == []
    assert not caught.value.ambiguous


def test_a_run_may_be_called_latest(db):
    begun(db, run_id="latest").close()
    begun(db, run_id="later").close()

    with History(db) as history:
        assert history.find_run("latest").id == "latest"


def test_a_store_without_runs_says_so(db):
    open_store(db).close()

    with History(db) as history:
        assert history.runs() == []
        assert history.latest() is None
        with pytest.raises(NoSuchRunError, match="no runs at all"):
            history.find_run("latest")


def test_runs_come_newest_first(many_runs):
    assert [run.id for run in many_runs.runs(2)] == ["census-x", "xyz3"]
    assert len(many_runs.runs()) == 4
    assert many_runs.latest("etl").id == "abd2"
    assert many_runs.latest("nope") is None


@pytest.mark.parametrize(
    "ask", ["tasks", "edges", "attempts", "xcoms", "nodes", "declared", "standing", "recipe"]
)
def test_what_is_asked_of_a_run_that_is_not_there_is_refused(many_runs, ask):
    with pytest.raises(NoSuchRunError, match="nope"):
        getattr(many_runs, ask)("nope")


# --- what is in a run ----------------------------------------------------------------------


def test_edges_say_what_goes_where(look):
    assert look().edges("run-1") == [
        EdgeRow("run-1", "load", "double", "x"),
        EdgeRow("run-1", "load", "total", "values"),
        EdgeRow("run-1", "double", "total", "values"),
        EdgeRow("run-1", "double", "total", None),
    ]


def test_times_are_those_of_the_last_attempt(journal, look):
    journal.attempts([tried(journal.base, started=0, took=500_000)])
    journal.outcomes([succeeded(journal.base, attempt=2, started=1_000_000, took=250_000)])

    (task, *_) = look().tasks("run-1")
    assert (task.attempts, task.started_at, task.ended_at) == (2, START / 1e6 + 1, START / 1e6 + 1.25)


def test_attempts_are_all_that_ended(journal, look):
    journal.attempts([tried(journal.base), tried(journal.base, 2, "timed_out"), tried(journal.base + 2)])
    journal.outcomes([succeeded(journal.base, attempt=3), failed(journal.base + 2)])
    journal.outcomes([failed(journal.base + 1, "upstream_failed", attempt=0)])

    found = [(row.key, row.attempt, row.outcome, row.error) for row in look().attempts("run-1")]
    assert found == [
        ("load", 1, "failed", "ValueError: no"),
        ("load", 2, "timed_out", "ValueError: no"),
        ("load", 3, "succeeded", None),
        ("total", 1, "failed", "ValueError: no"),
    ]
    assert [row.attempt for row in look().attempts("run-1", "load")] == [1, 2, 3]
    assert look().attempts("run-1", "total")[0].traceback == "Traceback ..."
    assert look().attempts("run-1", "nope") == []


def test_xcoms_tell_of_values_without_them(journal, look):
    journal.outcomes([succeeded(journal.base, b"12345"), failed(journal.base + 1)])

    (xcom,) = look().xcoms("run-1")
    assert (xcom.key, xcom.type, xcom.codec, xcom.size, xcom.preview) == ("load", "int", "pickle", 5, "42")
    assert xcom.sha256 == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert (xcom.exact, xcom.code_python) == (True, 0)


def test_lines_come_as_they_came_and_from_where_one_was(journal, look, monkeypatch):
    monkeypatch.setattr(runs_module, "BATCH", 2)
    base = journal.base
    for n in range(7):
        journal.logs([(base + n % 2, 1, START + n, "stdout", f"line {n}")])
        journal.commit()

    history = look()
    everything = list(history.logs("run-1"))
    assert [row.line for row in everything] == [f"line {n}" for n in range(7)]
    assert [row.line for row in history.logs("run-1", "double")] == ["line 1", "line 3", "line 5"]
    assert [row.line for row in history.logs("run-1", after=everything[4].seq)] == ["line 5", "line 6"]
    assert [row.line for row in history.logs("run-1", "load", everything[2].seq)] == ["line 4", "line 6"]
    assert list(history.logs("run-1", "nope")) == []
    assert everything[0].at == START / 1e6


def test_lines_of_other_runs_are_not_among_them(db, journal):
    journal.logs([(journal.base, 1, START, "stdout", "mine")])
    begin(journal, ["a"], run_id="run-2")
    journal.logs([(journal.base, 1, START, "stdout", "other")])
    journal.commit()

    with History(db) as history:
        assert [row.line for row in history.logs("run-1")] == ["mine"]


def test_a_run_is_read_whole_however_many_task_instances_it_has(db, monkeypatch):
    monkeypatch.setattr(runs_module, "BATCH", 3)
    keys = [f"step-{n}" for n in range(10)]
    journal = begun(db, keys, inputs=[None, *['{"x":[0]}'] * 9])
    begin(journal, ["other"], run_id="run-2")
    journal.claim(1, this_process())
    journal.outcomes([succeeded(journal.base + n) for n in range(10)])
    journal.commit()

    with History(db) as history:
        for ask in ("tasks", "xcoms", "attempts", "nodes"):
            assert [row.key for row in getattr(history, ask)("run-1")] == keys
        assert [row.target for row in history.edges("run-1")] == keys[1:]
        assert history.standing("run-1").succeeded == dict.fromkeys(range(10), 5)
    journal.close()


# --- values, graphs, resumes ---------------------------------------------------------------


def test_values_are_found_by_run_and_index(db, journal, look):
    begin(journal, ["a"], run_id="run-2")
    journal.outcomes([succeeded(journal.base, b"other")])
    journal.claim(1, this_process())
    journal.outcomes([succeeded(journal.base, b"mine"), failed(journal.base + 1)])

    history = look()
    assert history.payload("run-1", 0).data == b"mine"
    assert history.node_payload(2, 0).data == b"other"
    assert history.payload("run-1", 0).codec == "pickle"
    assert history.payload("run-1", 1) is None
    assert history.payload("run-1", 99) is None
    assert history.index_of("run-1", "total") == 2
    assert history.index_of("run-2", "total") is None


def test_an_empty_value_is_a_value(journal, look):
    journal.outcomes([succeeded(journal.base, b"")])

    assert look().payload("run-1", 0).data == b""


def spoil(db, statement, *values):
    connection = sqlite3.connect(db)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outcome SET payload = x'3132333436' WHERE id & 1 = 0",
        "UPDATE outcome SET payload = x'' WHERE id & 1 = 0",
        "UPDATE outcome SET sha256 = zeroblob(32) WHERE id & 1 = 0",
        "UPDATE outcome SET payload = NULL WHERE id & 1 = 0",
        "UPDATE chunk SET data = x'00' WHERE seq = 1",
        "DELETE FROM chunk WHERE seq = 1",
        "UPDATE chunk SET seq = 5 WHERE seq = 0",
    ],
)
def test_a_value_that_was_changed_is_never_given_out(db, journal, statement):
    journal.outcomes([succeeded(journal.base)])
    for seq, piece in enumerate([b"one", b"two"]):
        journal.piece(journal.base + 1, seq, piece)
    journal.outcomes([in_pieces(journal.base + 1, b"onetwo")])
    journal.end("succeeded", START, None)
    journal.close()
    spoil(db, statement)

    with History(db) as history, pytest.raises(StoreDamagedError, match="is not what was stored"):
        history.payload("run-1", 0)
        history.payload("run-1", 1)


def test_a_graph_and_its_tasks_are_told(look):
    assert look().nodes("run-1") == [
        NodeRow(index, key, 0, inputs)
        for index, (key, inputs) in enumerate(zip(["load", "double", "total"], INPUTS, strict=True))
    ]
    assert look().declared("run-1") == [DeclaredRow(0, "step", "int", "{}", None)]


def test_what_a_run_was_made_of_is_given_back(db):
    big = bytes(40_000_000)
    journal = begun(
        db,
        arguments='{"x": "1"}',
        script="/home/a/etl.py",
        python="3.11.7",
        settings='{"executor": "process"}',
        holes="[[0]]",
        result=b"template",
        packed_arguments=big,
        definitions=[('["A", "B"]', b"mac", b"classes")],
    )
    journal.close()

    with History(db) as history:
        recipe, run = history.recipe("run-1"), history.find_run("run-1")
    assert (recipe.arguments, recipe.result, recipe.holes) == (big, b"template", "[[0]]")
    assert recipe.definitions == (DefinitionRow(("A", "B"), b"mac", b"classes"),)
    assert (run.arguments_text, run.script, run.python) == ('{"x": "1"}', "/home/a/etl.py", "3.11.7")
    assert run.settings == '{"executor": "process"}'


def test_a_resume_learns_what_it_need_not_do(journal, look):
    journal.attempts([tried(journal.base), tried(journal.base, 2), tried(journal.base + 1)])
    journal.outcomes([succeeded(journal.base, b"abc", attempt=3), failed(journal.base + 1)])

    standing = look().standing("run-1")
    assert standing.succeeded == {0: 3}
    assert standing.attempts == {0: 2, 1: 1}


def test_a_store_in_memory_can_be_looked_into():
    journal = begun(None)
    journal.outcomes([succeeded(journal.base)])
    journal.end("succeeded", START, None)

    with History(journal.connection) as history:
        assert history.payload("run-1", 0).data == b"12345"
        assert history.find_run("latest").state == "succeeded"
    assert journal.connection.execute("SELECT 1").fetchone() == (1,)
    journal.close()


# --- the views -----------------------------------------------------------------------------


VIEWS = {
    "runs": "id flow state created_at started_at ended_at error",
    "tasks": "run_id key task state attempts started_at ended_at worker error",
    "edges": "run_id source target parameter",
    "attempts": "run_id key attempt outcome started_at ended_at worker error",
    "xcoms": "run_id key type codec size sha256 preview address",
    "logs": "run_id key attempt at stream line",
}


@pytest.mark.parametrize("name", VIEWS)
def test_the_views_have_the_columns_that_are_promised(db, name):
    open_store(db).close()
    columns = view(db, "SELECT name FROM pragma_table_info(?)", name)

    assert [column["name"] for column in columns] == VIEWS[name].split()


def iso(seconds):
    """A time as the views have it, from whole microseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@given(
    offset=st.integers(-(10**15), 10**9),
    took=st.integers(0, 10**12),
    states=st.lists(
        st.sampled_from(["succeeded", "failed", "none", "running", "tried"]), min_size=3, max_size=3
    ),
    ended=st.booleans(),
)
@settings(max_examples=examples(30), deadline=None)
def test_the_views_and_the_history_tell_the_same(tmp_path_factory, offset, took, states, ended):
    db = tmp_path_factory.mktemp("same") / "a.db"
    journal = begun(db, inputs=INPUTS)
    for index, state in enumerate(states):
        row_id = journal.base + index
        if state == "succeeded":
            journal.outcomes([succeeded(row_id, started=offset, took=took)])
        if state in ("failed", "tried"):
            journal.attempts([tried(row_id, started=offset, took=took)])
        if state == "failed":
            journal.outcomes([failed(row_id, started=offset, took=took)])
        if state == "running":
            journal.running([(row_id, 1, offset, "process-1")])
        journal.logs([(row_id, 1, START + offset, "stderr", state)])
    journal.commit()
    if ended:
        journal.end("failed", START + took, "why")

    with History(db) as history:
        told = {
            "runs": history.runs(),
            "tasks": history.tasks("run-1"),
            "edges": history.edges("run-1"),
            "attempts": history.attempts("run-1"),
            "xcoms": history.xcoms("run-1"),
            "logs": list(history.logs("run-1")),
        }
    for name, rows in told.items():
        columns = VIEWS[name].split()
        wanted = [{column: getattr(row, column) for column in columns} for row in rows]
        for row in wanted:
            row |= {c: iso(row[c]) for c in ("created_at", "started_at", "ended_at", "at") if c in row}
        found = view(db, f"SELECT * FROM {name}")
        key = repr if name != "logs" else lambda row: row["key"]
        assert sorted(found, key=key) == sorted(wanted, key=key), name
    journal.close()


def test_times_are_text_that_sorts_and_is_read_by_others(db, journal):
    journal.outcomes([succeeded(journal.base, started=1, took=5)])
    journal.commit()

    (task,) = view(db, "SELECT started_at, ended_at FROM tasks WHERE key = 'load'")
    assert task == {"started_at": "2025-11-21T03:33:20.000001Z", "ended_at": "2025-11-21T03:33:20.000006Z"}
    assert view(db, "SELECT julianday(ended_at) >= julianday(started_at) AS ok FROM tasks LIMIT 1") == [
        {"ok": 1}
    ]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM tasks WHERE run_id = 'run-1'",
        "SELECT * FROM edges WHERE run_id = 'run-1'",
        "SELECT * FROM attempts WHERE run_id = 'run-1'",
        "SELECT * FROM xcoms WHERE run_id = 'run-1'",
        "SELECT * FROM logs WHERE run_id = 'run-1'",
    ],
)
def test_asking_for_one_run_does_not_walk_through_all(db, query):
    open_store(db).close()
    plan = [row["detail"] for row in view(db, f"EXPLAIN QUERY PLAN {query}")]

    # What is scanned is what a row holds (JSON), or what was found already.
    scans = [step for step in plan if step.startswith("SCAN")]
    assert all("VIRTUAL TABLE" in step or "subquery" in step for step in scans)


# --- looking runs nothing ------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('boom')",))


def test_a_look_at_everything_unpickles_nothing(db):
    bomb = pickle.dumps(Bomb())
    journal = begun(db, result=bomb, packed_arguments=bomb, definitions=[('["A"]', None, bomb)])
    journal.attempts([(*tried(journal.base + 1)[:-1], bomb)])
    journal.outcomes([succeeded(journal.base, bomb)])
    journal.end("succeeded", START, None)
    journal.close()

    with History(db) as history:
        for ask in ("tasks", "edges", "attempts", "xcoms", "logs", "nodes", "declared", "standing", "recipe"):
            list_or_row = getattr(history, ask)("run-1")
            assert list_or_row is not None
        assert history.payload("run-1", 0).data == bomb


def test_the_store_has_no_way_to_unpickle():
    for path in Path(store.__file__).parent.glob("*.py"):
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
            )
        }
        assert not imported & {"pickle", "cloudpickle", "marshal", "shelve"}
        assert "liteflow.pickling" not in path.read_text()
        assert "liteflow.xcom" not in path.read_text()
