"""A run goes on with a flow that has changed: what its store holds is moved, made again, or stays."""

import hashlib
import sqlite3

import pytest
from store_rows import START, begun, failed, in_pieces, states, succeeded, tried

from liteflow.errors import RecordRefusedError
from liteflow.store.check import check
from liteflow.store.history import History

INPUTS = [None, '{"x":[0]}', '{"x":[0,1]}']


def never(old, to):
    raise AssertionError("nothing here has a check")


@pytest.fixture
def journal(db):
    """load and double gave values (double a large one), total failed, each has a line."""
    journal = begun(db, inputs=INPUTS)
    base = journal.base
    journal.outcomes([succeeded(base, b"load")])
    journal.piece(base + 1, 0, b"dou")
    journal.piece(base + 1, 1, b"ble")
    journal.outcomes([in_pieces(base + 1, b"double")])
    journal.attempts([tried(base + 2)])
    journal.outcomes([failed(base + 2)])
    journal.logs([(base + n, 1, START, "stdout", f"line {n}") for n in range(3)])
    journal.commit()
    yield journal
    journal.close()


def told(db):
    """All that is known of each task instance, by key: whatever its index is."""
    with History(db) as history:
        facts = {row.key: [row.state] for row in history.tasks("run-1")}
        for row in history.nodes("run-1"):
            found = history.payload("run-1", row.index)
            facts[row.key].append(found and found.data)
            facts[row.key].append([line.line for line in history.logs("run-1", row.key)])
            facts[row.key].append([(a.attempt, a.outcome) for a in history.attempts("run-1", row.key)])
        facts["edges"] = sorted((row.source, row.target) for row in history.edges("run-1"))
        return facts


@pytest.mark.parametrize(
    "mapping",
    [{0: 1, 1: 0}, {0: 2, 1: 0, 2: 1}, {0: 5, 1: 6, 2: 7}, {2: 9}, {0: 0, 1: 1}, {}],
    ids=["swapped", "round", "away", "one", "none", "nothing"],
)
def test_task_instances_change_places_with_all_that_is_theirs(db, journal, mapping):
    before = told(db)
    journal.renumber(mapping, never)
    journal.commit()

    assert told(db) == before
    with History(db) as history:
        indexes = {row.key: row.index for row in history.nodes("run-1")}
    keys = ["load", "double", "total"]
    assert indexes == {key: mapping.get(n, n) for n, key in enumerate(keys)}
    assert check(db) == []


def test_calls_that_grew_go_on_being_those_of_their_parent(db, journal):
    journal.instances([(3, "total/add", 0, 2, '{"x":[1]}', None), (4, "total/add-2", 0, 3, None, None)])
    journal.growth([(journal.base + 2, b"mac", b"expansion"), (journal.base + 3, None, b"more")])
    journal.commit()
    journal.renumber({2: 3, 3: 4, 4: 2}, never)
    journal.commit()

    with History(db) as history:
        parents = {row.key: row.parent for row in history.recorded("run-1")}
        assert parents == {"load": None, "double": None, "total": None, "total/add": 3, "total/add-2": 4}
        assert history.growth("run-1") == [(3, b"mac", b"expansion"), (4, None, b"more")]
    assert check(db) == []

    journal.redo([3])
    journal.commit()
    with History(db) as history:
        assert history.growth("run-1") == [(4, None, b"more")]


@pytest.mark.parametrize("mapping", [{0: 1}, {0: 5, 1: 5}])
def test_two_task_instances_never_become_one(db, journal, mapping):
    before = told(db)
    journal.renumber(mapping, never)
    with pytest.raises(RecordRefusedError):
        journal.commit()

    assert told(db) == before


def test_what_moves_gets_the_check_that_is_right_there(db):
    journal = begun(db)
    row = list(succeeded(journal.base, b"load"))
    row[11] = b"at 0"
    journal.outcomes([tuple(row)])
    journal.attempts([(journal.base, 1, "failed", 1, 2, "w", "no", "...", b"also at 0", b"exception")])
    seen = []

    def remac(old, to):
        seen.append(old)
        return b"at %d" % to

    journal.renumber({0: 7}, remac)
    journal.commit()

    with History(db) as history:
        assert history.payload("run-1", 7).mac == b"at 7"
        assert history.exception("run-1", 7).mac == b"at 7"
    digest = hashlib.sha256(b"load").digest()
    assert [tuple(one) for one in seen] == [
        (0, 1, "pickle", 0, "int", 4, digest, b"at 0", None),
        (0, 1, "", 0, "", 9, b"", b"also at 0", b"exception"),
    ]
    journal.close()


def test_what_is_made_again_keeps_its_attempts_and_lines(db, journal):
    journal.redo([1, 2])
    journal.commit()
    assert rows_of(db, "SELECT * FROM chunk") == []

    facts = told(db)
    assert facts["load"] == ["succeeded", b"load", ["line 0"], [(1, "succeeded")]]
    assert facts["double"] == ["pending", None, ["line 1"], []]
    assert facts["total"] == ["retrying", None, ["line 2"], [(1, "failed")]]
    assert check(db) == []

    journal.piece(journal.base + 1, 0, b"new")
    journal.outcomes([in_pieces(journal.base + 1, b"new")])
    journal.commit()
    assert told(db)["double"][1] == b"new"


def test_a_run_gets_the_graph_of_its_flow_as_it_is_now(db, journal):
    journal.renumber({0: 1, 1: 3, 2: 4}, never)
    journal.replace_tasks([(0, "fetch", "str", "{}", "code a"), (1, "step", "int", "{}", "code b")])
    rows = [
        (0, "first", 0, None, None, None),
        (1, "load", 1, None, None, "fixed"),
        (2, "last", 1, None, '{"x":[0],"y":[1]}', None),
    ]
    journal.update_instances(rows)
    journal.replace_recipe("[[2]]", b"seal", b"result")
    journal.commit()

    assert states(db) == {
        "first": "pending", "load": "succeeded", "last": "pending", "double": "succeeded", "total": "failed",
    }  # fmt: skip
    with History(db) as history:
        calls = {row.key: (row.index, row.task, row.code, row.constants) for row in history.recorded("run-1")}
        assert calls == {
            "first": (0, "fetch", "code a", None),
            "load": (1, "step", "code b", "fixed"),
            "last": (2, "step", "code b", None),
            "double": (3, "step", None, None),
            "total": (4, "step", None, None),
        }
        recipe = history.recipe("run-1")
        assert (recipe.holes, recipe.seal, recipe.result) == ("[[2]]", b"seal", b"result")
        assert told(db)["edges"] == sorted(
            [("first", "last"), ("load", "last"), ("load", "double"), ("load", "total"), ("double", "total")]
        )
    assert check(db) == []


def test_what_the_flow_has_no_more_and_never_ended_goes(db):
    journal = begun(db, inputs=INPUTS)
    journal.outcomes([failed(journal.base + 2, "upstream_failed")])
    journal.commit()
    journal.replace_tasks([(0, "other", None, None, None)])
    journal.update_instances([(0, "load", 0, None, None, None)])
    journal.commit()

    assert states(db) == {"load": "pending", "total": "upstream_failed"}
    with History(db) as history:
        assert [row.inputs for row in history.nodes("run-1")] == [None, '{"x":[]}']
        assert sorted(row.name for row in history.declared("run-1")) == ["other", "step"]
    assert check(db) == []

    journal.redo([2])
    journal.update_instances([(0, "load", 0, None, None, None)])
    journal.commit()
    with History(db) as history:
        assert [row.key for row in history.nodes("run-1")] == ["load"]
        assert [row.name for row in history.declared("run-1")] == ["other"]
    journal.close()


def test_a_value_of_the_past_whose_source_is_made_again_stands_alone(db, journal):
    journal.redo([0, 2])
    journal.update_instances([(0, "load", 0, None, None, None)])
    journal.commit()

    assert states(db) == {"load": "pending", "double": "succeeded"}
    assert told(db)["edges"] == []
    assert check(db) == []


def test_other_runs_are_left_alone(db, journal):
    other = begun(db, run_id="run-2", inputs=INPUTS)
    other.outcomes([succeeded(other.base)])
    other.commit()
    query = "SELECT * FROM instance AS i LEFT JOIN outcome AS o ON o.id = i.id WHERE i.id >> 32 = 2"
    before = rows_of(db, query)
    journal.renumber({0: 1, 1: 0}, never)
    journal.redo([0, 1, 2])
    journal.replace_tasks([])
    journal.update_instances([])
    journal.commit()

    assert rows_of(db, query) == before
    assert states(db) == {}
    other.close()


def rows_of(db, query):
    connection = sqlite3.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
