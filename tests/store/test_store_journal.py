"""What is put is committed together or not at all, and an outcome is for good."""

import pytest
from store_rows import START, begin, begun, failed, in_pieces, states, succeeded, success, tried, value

from liteflow.errors import (
    RecordRefusedError,
    RunExistsError,
)
from liteflow.store.db import open_store
from liteflow.store.history import History
from liteflow.store.journal import Journal, NewRun
from liteflow.store.lease import this_process


@pytest.fixture
def journal(db):
    journal = begun(db)
    yield journal
    journal.close()


# --- what is put, and committed ------------------------------------------------------------


def test_what_is_put_is_there_after_the_commit_and_not_before(db, journal):
    journal.outcomes([succeeded(journal.base)])
    journal.attempts([tried(journal.base + 1)])
    journal.logs([(journal.base, 1, START, "stdout", "hello"), (journal.base, 1, START, "stdout", "you")])
    assert journal.waiting == 4
    assert states(db) == dict.fromkeys(["load", "double", "total"], "pending")

    journal.commit()

    assert journal.waiting == 0
    assert states(db) == {"load": "succeeded", "double": "retrying", "total": "pending"}
    with History(db) as history:
        assert [row.line for row in history.logs("run-1")] == ["hello", "you"]


def test_what_has_not_been_committed_is_gone_when_the_store_is_closed(db):
    journal = begun(db)
    journal.outcomes([succeeded(journal.base)])
    journal.close()

    assert states(db)["load"] == "pending"


def test_a_commit_with_nothing_put_does_nothing(journal):
    changes = journal.connection.total_changes
    journal.outcomes([])
    journal.commit()

    assert journal.connection.total_changes == changes


def test_lists_handed_over_stay_their_owners(db, journal):
    rows = [succeeded(journal.base)]
    journal.outcomes(rows)
    journal.outcomes([succeeded(journal.base + 1)])
    rows.clear()
    journal.commit()

    assert list(states(db).values()) == ["succeeded", "succeeded", "pending"]


def test_task_instances_may_come_later(db, journal):
    journal.instances([(3, "late", 0, None, '{"x":[0]}', None)])
    journal.outcomes([succeeded(journal.base + 3)])
    journal.commit()

    assert states(db)["late"] == "succeeded"


def test_runs_have_numbers_and_rows_of_their_own(db, journal):
    begin(journal, ["a"], run_id="run-2")
    journal.outcomes([succeeded(journal.base)])
    journal.commit()

    assert journal.base == 2 << 32
    assert states(db, "run-1")["load"] == "pending"
    assert states(db, "run-2") == {"a": "succeeded"}


def test_a_second_run_of_one_id_is_refused_and_leaves_no_trace(db, journal):
    with pytest.raises(RunExistsError, match="run-1"):
        begin(journal, ["a"], flow="other")

    with History(db) as history:
        assert [run.flow for run in history.runs()] == ["etl"]
    assert journal.number == 1


def test_a_run_whose_beginning_is_interrupted_has_not_begun(db, journal):
    def interrupted():
        yield (0, "a", 0, None, None, None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.begin(NewRun("run-2", "etl", START, START), interrupted(), this_process())

    with History(db) as history:
        assert [run.id for run in history.runs()] == ["run-1"]
    begin(journal, ["a"], run_id="run-2")


def test_definitions_may_come_again(db, journal):
    journal.definitions([('["A"]', None, b"1")])
    journal.definitions([('["A"]', None, b"2"), ('["B", "C"]', None, b"3")])
    journal.commit()

    with History(db) as history:
        assert [(row.names, row.data) for row in history.definitions("run-1")] == [
            (("A",), b"1"),
            (("B", "C"), b"3"),
        ]


# --- an outcome is for good ----------------------------------------------------------------


def test_what_succeeded_may_be_put_the_short_way_and_is_the_same(db, journal):
    journal.outcomes([succeeded(journal.base)])
    journal.successes([success(journal.base + 1)])
    journal.running([(journal.base + 2, 1, 5, "process-1")])
    journal.successes([success(journal.base + 2)])
    journal.commit()

    query = "SELECT * FROM outcome ORDER BY id"
    first, *others = [row[1:] for row in journal.connection.execute(query)]
    assert others == [first, first]
    assert journal.connection.execute("SELECT * FROM running").fetchall() == []


def test_a_second_outcome_put_the_short_way_is_refused_by_name_too(db, journal):
    journal.outcomes([failed(journal.base)])
    journal.commit()
    journal.successes([success(journal.base)])

    with pytest.raises(RecordRefusedError, match="second outcome of task instance 0"):
        journal.commit()


@pytest.mark.parametrize("second", [succeeded, failed])
def test_a_second_outcome_is_refused_by_name_and_its_batch_leaves_no_trace(db, journal, second):
    journal.outcomes([succeeded(journal.base)])
    journal.commit()
    journal.outcomes([succeeded(journal.base + 1), second(journal.base)])

    with pytest.raises(RecordRefusedError, match="second outcome of task instance 0 of run number 1"):
        journal.commit()

    assert list(states(db).values()) == ["succeeded", "pending", "pending"]
    assert value(db, 0) == b"12345"


@pytest.mark.parametrize("count", [1, 199, 200, 201, 237, 1000])
def test_rows_in_hundreds_are_stored_as_one_by_one(db, count):
    keys = [f"task {number}" for number in range(count)]
    journal = begun(db, keys)
    journal.instances([(count + n, f"more {n}", 0, 0, None, str(n)) for n in range(count)])
    journal.successes([success(journal.base + n, b"%d" % n) for n in range(2 * count)])
    journal.commit()

    with History(db) as history:
        rows = [(row.key, row.state) for row in history.tasks("run-1")]
    assert rows == [(key, "succeeded") for key in [*keys, *(f"more {n}" for n in range(count))]]
    assert [value(db, n) for n in (0, count - 1, count, 2 * count - 1)] == [
        b"%d" % n for n in (0, count - 1, count, 2 * count - 1)
    ]
    journal.close()


def test_a_second_outcome_among_hundreds_is_refused_by_name_and_none_of_them_stays(db):
    journal = begun(db, [f"task {number}" for number in range(500)])
    journal.successes([success(journal.base + n) for n in (*range(500), 310)])

    with pytest.raises(RecordRefusedError, match="second outcome of task instance 310 of run number 1"):
        journal.commit()

    assert set(states(db).values()) == {"pending"}
    journal.close()


def test_two_outcomes_in_one_batch_are_refused_too(db, journal):
    journal.outcomes([succeeded(journal.base + 2), succeeded(journal.base + 2)])

    with pytest.raises(RecordRefusedError, match="task instance 2"):
        journal.commit()

    assert states(db)["total"] == "pending"


def test_an_outcome_of_nothing_is_refused(db, journal):
    journal.outcomes([succeeded(journal.base + 99)])

    with pytest.raises(RecordRefusedError, match="FOREIGN KEY"):
        journal.commit()


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "cancelled"])
def test_what_gave_no_value_can_be_forgotten_and_replaced(db, journal, state):
    journal.outcomes([failed(journal.base, state)])
    journal.commit()

    journal.forget([journal.base])
    journal.outcomes([succeeded(journal.base, attempt=2)])
    assert states(db)["load"] == state
    journal.commit()

    assert states(db)["load"] == "succeeded"


def test_what_succeeded_is_never_forgotten(db, journal):
    journal.outcomes([succeeded(journal.base, b"precious")])
    journal.commit()
    journal.forget([journal.base])
    journal.commit()

    assert value(db, 0) == b"precious"


# --- large payloads ------------------------------------------------------------------------

LARGE = [bytes([n]) * 700_000 for n in range(5)]


def put_pieces(journal, row_id, pieces):
    for seq, piece in enumerate(pieces):
        journal.piece(row_id, seq, memoryview(piece))


def test_pieces_are_read_as_one_value(db, journal):
    put_pieces(journal, journal.base, LARGE)
    journal.outcomes([in_pieces(journal.base, b"".join(LARGE))])
    journal.commit()

    assert value(db, 0) == b"".join(LARGE)
    with History(db) as history:
        assert list(history.node_pieces(1, 0)) == LARGE


def test_a_piece_commits_nothing_else(db, journal):
    journal.outcomes([succeeded(journal.base)])
    journal.piece(journal.base + 1, 0, b"piece")

    assert journal.waiting == 1
    assert set(states(db).values()) == {"pending"}


def test_pieces_without_an_outcome_are_no_value(db):
    journal = begun(db)
    put_pieces(journal, journal.base, LARGE)
    journal.close()

    assert value(db, 0) is None
    assert states(db)["load"] == "pending"


def test_pieces_of_an_attempt_that_was_cut_off_are_not_mixed_with_those_of_the_next(db, journal):
    put_pieces(journal, journal.base, LARGE)
    put_pieces(journal, journal.base, LARGE[3:])
    journal.outcomes([in_pieces(journal.base, b"".join(LARGE[3:]))])
    journal.commit()

    assert value(db, 0) == b"".join(LARGE[3:])


def test_a_small_value_after_pieces_that_were_cut_off_is_read_alone(db, journal):
    put_pieces(journal, journal.base, LARGE)
    journal.outcomes([succeeded(journal.base, b"small")])
    journal.commit()

    assert value(db, 0) == b"small"


@pytest.mark.parametrize("seq", [0, 2])
def test_a_piece_for_what_has_a_value_is_refused(db, journal, seq):
    put_pieces(journal, journal.base, LARGE[:2])
    journal.outcomes([in_pieces(journal.base, b"".join(LARGE[:2]))])
    journal.commit()

    with pytest.raises(RecordRefusedError, match="task instance 0 of run number 1, which has a value"):
        journal.piece(journal.base, seq, b"other")

    assert value(db, 0) == b"".join(LARGE[:2])


def test_the_end_of_a_run_takes_away_pieces_that_nothing_needs(db, journal):
    for index in range(3):
        put_pieces(journal, journal.base + index, LARGE[:2])
    journal.outcomes([in_pieces(journal.base, b"".join(LARGE[:2])), succeeded(journal.base + 1)])
    journal.end("failed", START + 1, "why")

    query = "SELECT id & 4294967295, seq FROM chunk"
    assert journal.connection.execute(query).fetchall() == [(0, 0), (0, 1)]
    assert value(db, 0) == b"".join(LARGE[:2])


# --- what runs -----------------------------------------------------------------------------


def test_what_runs_for_long_is_seen_until_it_ends(db, journal):
    journal.running([(journal.base, 1, 5, "process-1"), (journal.base + 1, 2, 6, "process-2")])
    journal.commit()
    assert states(db) == {"load": "running", "double": "running", "total": "pending"}
    with History(db) as history:
        assert [(row.attempts, row.worker) for row in history.tasks("run-1")][1] == (2, "process-2")

    journal.attempts([tried(journal.base)])
    journal.outcomes([succeeded(journal.base + 1)])
    journal.commit()

    assert states(db) == {"load": "retrying", "double": "succeeded", "total": "pending"}


def test_the_end_of_a_run_is_the_end_of_all_that_ran(db, journal):
    journal.running([(journal.base, 1, 5, "process-1")])
    journal.attempts([tried(journal.base + 1)])
    journal.end("cancelled", START + 1_500_000, "Ctrl-C")

    assert set(states(db).values()) == {"cancelled"}
    with History(db) as history:
        run = history.find_run("run-1")
    assert (run.state, run.ended_at, run.error) == ("cancelled", START / 1e6 + 1.5, "Ctrl-C")


def test_a_run_that_has_ended_lies_in_one_file(db, journal):
    journal.outcomes([succeeded(journal.base)])
    journal.end("succeeded", START + 1, None)
    copy = db.with_name("copy.db")
    copy.write_bytes(db.read_bytes())

    assert states(copy)["load"] == "succeeded"
    journal.close()
    assert sorted(path.name for path in db.parent.iterdir()) == ["copy.db", "liteflow.db"]


def test_a_run_that_is_gone_on_with_is_running_again(db, journal):
    journal.running([(journal.base, 1, 5, "process-1")])
    journal.outcomes([succeeded(journal.base + 1), failed(journal.base + 2)])
    journal.end("failed", START + 1, "why")
    journal.close()

    journal = Journal(open_store(db))
    journal.claim(1, this_process())
    journal.forget([journal.base + 2])
    journal.commit()

    assert states(db) == {"load": "pending", "double": "succeeded", "total": "pending"}
    with History(db) as history:
        run = history.find_run("run-1")
    assert (run.state, run.ended_at, run.error) == ("running", None, None)
    journal.close()


def test_what_ran_when_a_driver_was_killed_runs_no_more_when_its_run_is_gone_on_with(db):
    journal = begun(db)
    journal.running([(journal.base, 1, 5, "process-1")])
    journal.commit()
    journal.close()

    journal = Journal(open_store(db))
    journal.claim(1, this_process())
    assert states(db)["load"] == "pending"
    journal.close()


# --- text that SQLite can't hold -----------------------------------------------------------


def test_half_characters_are_kept_escaped(db, journal):
    journal.logs([(journal.base, 1, START, "stdout", "a\udcffb")])
    journal.outcomes([failed(journal.base, error="\ud800"), succeeded(journal.base + 1, b"\xed\xa0\x80")])
    journal.commit()

    with History(db) as history:
        assert [row.line for row in history.logs("run-1")] == ["a\\udcffb"]
        assert history.tasks("run-1")[0].error == "\\ud800"
    assert value(db, 1) == b"\xed\xa0\x80"


def test_a_number_that_is_too_large_is_refused_and_leaves_no_trace(db, journal):
    journal.outcomes([succeeded(journal.base), succeeded(journal.base + 1, started=2**63)])

    with pytest.raises(RecordRefusedError, match="too large"):
        journal.commit()

    assert states(db)["load"] == "pending"
