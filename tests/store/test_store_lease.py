"""A run belongs to one driver: a living one keeps it, a dead one's is taken, a late one writes nothing."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from store_rows import START, begin, begun, states, succeeded, tried

from liteflow import system
from liteflow.errors import LeaseLostError, RunOwnedError, StoreFullError
from liteflow.store.db import open_store
from liteflow.store.history import History
from liteflow.store.journal import Journal
from liteflow.store.lease import SILENT_S, Session, here, silence, standing, this_process

DRIVER = """
import sys
sys.path.insert(0, {folder!r})
from store_rows import begun
journal = begun(sys.argv[1])
print("begun", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def driver(db):
    """Another process that drives run-1."""
    script = DRIVER.format(folder=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "begun\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def claimed(db, owner=None):
    """A journal that has taken run-1 over."""
    journal = Journal(open_store(db))
    try:
        journal.claim(1, owner or this_process())
    except BaseException:
        journal.close()
        raise
    return journal


def died(journal):
    """The journal's driver is gone, as far as its store can tell."""
    journal.connection.close()


def run_of(db):
    with History(db) as history:
        return history.find_run("run-1")


def test_a_run_whose_driver_lives_is_refused_with_who_and_since_when(db):
    with driver(db) as process:
        with pytest.raises(RunOwnedError) as caught:
            claimed(db)
        row = run_of(db)

        error = caught.value
        assert (error.run_id, error.host, error.pid) == ("run-1", system.host_name(), process.pid)
        assert error.silent is None
        assert f"kill {process.pid}" in str(error)
        assert (row.state, row.owner_host, row.owner_pid) == ("running", error.host, error.pid)
        assert row.owner_since == error.since


def test_a_driver_that_was_killed_is_dead_at_once(db):
    with driver(db) as process:
        process.kill()
        process.wait()
        row = run_of(db)
        journal = claimed(db)

    assert (row.state, row.owner_pid, row.ended_at) == ("interrupted", None, None)
    assert run_of(db).state == "running"
    journal.close()


def test_a_driver_whose_exit_nobody_has_waited_for_is_dead(db):
    with driver(db) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert run_of(db).state == "interrupted"


def test_a_driver_that_is_stopped_lives(db):
    with driver(db) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(RunOwnedError):
            claimed(db)
        assert run_of(db).state == "running"


def test_a_process_that_got_a_dead_drivers_id_does_not_stand_in_the_way(db):
    mine = this_process()
    journal = begun(db, owner=mine._replace(pid=os.getppid(), process_started=mine.process_started + 1))
    died(journal)

    assert run_of(db).state == "interrupted"
    claimed(db).close()


def test_a_driver_of_another_boot_of_this_machine_is_dead(db):
    died(begun(db, owner=this_process()._replace(boot="an earlier one")))

    claimed(db).close()


@pytest.mark.parametrize(
    "elsewhere",
    [{"namespace": 1}, {"boot": "its own", "host": "elsewhere"}, {"boot": ""}],
    ids=["container", "host", "unknown"],
)
def test_of_a_driver_that_can_not_be_looked_at_only_silence_tells(db, elsewhere):
    died(begun(db, owner=this_process()._replace(**elsewhere)))
    with pytest.raises(RunOwnedError, match="can't be looked at from here, and was heard of 0 s ago"):
        claimed(db)
    assert run_of(db).state == "running"

    connection = open_store(db)
    long = (SILENT_S + 1) * 1e6
    connection.execute("UPDATE session SET beat = beat - ?, beat_at = beat_at - ?", (int(long), int(long)))
    connection.close()
    assert run_of(db).state == "interrupted"
    claimed(db).close()


def seen(**facts):
    """A look from a machine of its own, at second 1000 by both clocks."""
    usual = {"host": "a", "boot": "b", "namespace": 1, "pid": 9, "boot_clock": 1000.0, "wall": 1000.0}
    return here()._replace(**usual | {"started": {5: 77}.get, "driving": ()} | facts)


def session(**facts):
    usual = {"host": "a", "boot": "b", "namespace": 1, "pid": 5, "process_started": 77}
    times = {"since": 0, "beat": 995_000_000, "beat_at": 995_000_000, "ended_at": None}
    return Session(**{"run": 1, "token": 1, "owner": "x"} | usual | times | facts)


@pytest.mark.parametrize(
    ("facts", "look", "wanted"),
    [
        ({}, {}, "live"),
        ({"beat": 0, "beat_at": 0}, {}, "live"),
        ({}, {"wall": 9e9, "boot_clock": 9e9}, "live"),
        ({"pid": 6}, {}, "dead"),
        ({"process_started": 78}, {}, "dead"),
        ({"ended_at": 1}, {}, "dead"),
        ({"boot": "old"}, {}, "dead"),
        ({}, {"pid": 5}, "dead"),
        ({}, {"pid": 5, "driving": {"x"}}, "live"),
        ({"process_started": 0}, {}, "unknown"),
        ({"process_started": 0}, {"boot_clock": 1030.0}, "dead"),
        ({}, {"started": lambda pid: 0}, "unknown"),
        ({"namespace": 2}, {}, "unknown"),
        ({"namespace": 2}, {"boot_clock": 1030.0}, "dead"),
        ({"namespace": 2}, {"wall": 9e9}, "unknown"),
        ({"host": "z", "boot": "z"}, {}, "unknown"),
        ({"host": "z", "boot": "z"}, {"boot_clock": 9e9}, "unknown"),
        ({"host": "z", "boot": "z"}, {"wall": 1030.0}, "dead"),
        ({"host": "z", "boot": "z"}, {"wall": 0.0}, "dead"),
        ({"boot": ""}, {"boot": ""}, "unknown"),
    ],
)
def test_who_lives_is_told_by_the_process_or_else_by_silence(facts, look, wanted):
    assert standing(session(**facts), seen(**look)) == wanted


def test_a_clock_that_is_set_back_makes_no_one_silent():
    assert silence(session(), seen(wall=0.0)) == 5.0


def test_a_driver_that_lost_its_run_writes_nothing_more(db):
    late = begun(db, owner=this_process()._replace(namespace=1, pid=1))
    late.connection.execute("UPDATE session SET beat = 0, beat_at = 0")
    new = claimed(db)
    new.outcomes([succeeded(new.base, b"new")])
    new.commit()

    for write in (
        lambda: late.piece(late.base, 0, b"late"),
        late.beat,
        lambda: (late.outcomes([succeeded(late.base + 1, b"late")]), late.commit()),
        lambda: late.end("succeeded", START, None),
    ):
        with pytest.raises(LeaseLostError, match=f"is driven by process {os.getpid()}"):
            write()
    late.close()
    new.beat()

    assert list(states(db).values()) == ["succeeded", "pending", "pending"]
    with History(db) as history:
        assert history.payload("run-1", 0).data == b"new"
        assert [(row.token, row.ended_at is None) for row in history.sessions("run-1")] == [
            (1, False),
            (2, True),
        ]
    new.close()


def test_a_run_that_has_ended_takes_no_more(db):
    journal = begun(db)
    journal.end("failed", START, "no")
    with pytest.raises(LeaseLostError, match="has ended"):
        journal.beat()
    journal.close()


def test_a_run_left_by_an_error_of_the_store_can_go_on_in_the_same_process(db):
    journal = begun(db)
    (pages,) = journal.connection.execute("PRAGMA page_count").fetchone()
    journal.connection.execute(f"PRAGMA max_page_count = {pages}")
    journal.outcomes([succeeded(journal.base, bytes(100_000))])
    with pytest.raises(StoreFullError):
        journal.end("succeeded", START, None)
    with pytest.raises(RunOwnedError):
        claimed(db)
    journal.close()

    assert run_of(db).state == "interrupted"
    claimed(db).close()


def test_a_driver_that_was_forgotten_drives_nothing(db):
    journal = begun(db)
    assert run_of(db).state == "running"
    del journal

    assert run_of(db).state == "interrupted"


def test_a_journal_that_is_closed_lets_other_processes_have_its_run(db):
    journal = begun(db)
    journal.outcomes([succeeded(journal.base)])
    journal.close()

    with History(db) as history:
        (only,) = history.sessions("run-1")
        assert only.ended_at is not None
    assert list(states(db).values()) == ["pending"] * 3


def test_an_abandoned_run_is_interrupted_and_free(db):
    journal = begun(db)
    journal.outcomes([succeeded(journal.base)])
    journal.running([(journal.base + 1, 1, 5, "process-1")])
    journal.abandon("the machine goes to sleep")
    row = run_of(db)
    journal.close()

    assert (row.state, row.error) == ("interrupted", "the machine goes to sleep")
    assert list(states(db).values()) == ["succeeded", "pending", "pending"]
    journal = claimed(db)
    assert run_of(db).error is None
    journal.close()


def test_what_was_running_when_its_driver_died_is_pending(db):
    journal = begun(db)
    journal.running([(journal.base, 1, 5, "process-1")])
    journal.attempts([tried(journal.base + 1)])
    journal.commit()
    assert list(states(db).values()) == ["running", "retrying", "pending"]
    died(journal)
    del journal

    assert list(states(db).values()) == ["pending"] * 3


def test_runs_of_dead_drivers_are_written_down_as_such_when_another_begins(db):
    died(begun(db))
    living = begun(db, run_id="run-2")
    elsewhere = begun(db, run_id="run-3", owner=this_process()._replace(namespace=1))
    last = begun(db, run_id="run-4")

    found = last.connection.execute("SELECT id, state FROM run ORDER BY number").fetchall()
    assert [state for _, state in found] == ["interrupted", "running", "running", "running"]
    for journal in (living, elsewhere, last):
        journal.beat()
        journal.close()


def test_a_run_without_a_session_is_as_one_whose_driver_died(db):
    begun(db).close()
    connection = open_store(db)
    connection.execute("DELETE FROM session")
    connection.close()

    assert run_of(db).state == "interrupted"
    claimed(db).close()


def race(db, go, results):
    """Two processes of which each wants run-1 as soon as `go` can be read; they write what came of it."""
    children = []
    for _ in range(2):
        child = os.fork()
        if child:
            children.append(child)
            continue
        said = b"?"
        try:
            connection = open_store(db)
            owner = this_process()
            os.write(results, b".")
            select.select([go], [], [])
            journal = Journal(connection)
            try:
                journal.claim(1, owner)
                said = b"W"
            except RunOwnedError:
                said = b"L"
            os.write(results, said)
            # The winner lives until the other has been told.
            signal.pause()
        finally:
            os._exit(0)
    return children


@pytest.mark.parametrize("races", [15, pytest.param(100, marks=pytest.mark.soak)])
def test_of_two_processes_that_race_for_a_run_one_wins(db, races):
    begun(db).close()
    for _ in range(races):
        reading, results = os.pipe()
        go, release = os.pipe()
        children = race(db, go, results)
        got = b""
        while len(got) < 2:
            got += os.read(reading, 1)
        os.write(release, b"go")
        while len(got) < 4:
            got += os.read(reading, 1)
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for descriptor in (reading, results, go, release):
            os.close(descriptor)
        assert sorted(got[2:]) == sorted(b"WL")

    with History(db) as history:
        assert [row.token for row in history.sessions("run-1")] == list(range(1, races + 2))


def test_many_runs_in_one_store_at_once_do_not_disturb_each_other(db):
    """Six drivers, in threads of their own, each commits forty times."""
    faults = []

    def drive(number):
        try:
            journal = begun(db, [f"step-{n}" for n in range(40)], run_id=f"run-{number}")
            for n in range(40):
                journal.outcomes([succeeded(journal.base + n, str(number).encode())])
                journal.commit()
            journal.end("succeeded", START, None)
            journal.close()
        except BaseException as error:  # noqa: BLE001  the test tells
            faults.append(error)

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    with History(db) as history:
        assert {run.state for run in history.runs()} == {"succeeded"}
        assert all(len(history.standing(run.id).succeeded) == 40 for run in history.runs())


def test_each_session_is_told(db):
    journal = begun(db, python="3.11.7", key_id="ab12")
    journal.abandon()
    journal.claim(1, this_process(), python="3.12.1", key_id="cd34")
    begin(journal, run_id="run-2")

    with History(db) as history:
        rows = history.sessions("run-1")
        assert [(row.token, row.pid, row.python, row.key_id) for row in rows] == [
            (1, os.getpid(), "3.11.7", "ab12"),
            (2, os.getpid(), "3.12.1", "cd34"),
        ]
        assert [run.id for run in history.unfinished("etl")] == ["run-2", "run-1"]
        assert history.unfinished("other") == []
    journal.close()
