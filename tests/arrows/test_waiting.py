"""Steps that wait: for time to pass, and for events that are sent from outside."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from liteflow import Flow, RunFailed, run_workflow
from liteflow.arrows.errors import ArrowError
from liteflow.store.db import open_store
from liteflow.store.events import send_event
from liteflow.store.forget import forget_runs
from liteflow.store.history import History

HERE = {"executor": "inline"}


def show(input: Any) -> Any:
    return {"got": input}


def again(input: Any) -> Any:
    return input


FUNCTIONS = {"show": show, "again": again}


def run(text: str, db: Path | None = None, **options: Any) -> Any:
    return run_workflow(text, FUNCTIONS, db=db, **options)


def took(act: Any) -> float:
    before = time.monotonic()
    act()
    return time.monotonic() - before


def waiting(db: Path) -> int:
    """How many task instances have begun to wait."""
    try:
        with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM wait").fetchone()[0])
    except sqlite3.OperationalError:
        # It is still being made.
        return 0


def until(holds: Any) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.005)


def test_a_delay_gives_on_what_comes_in():
    assert run("<- n: 1 -> → wait:delay(- seconds: 0.01 -) → show") == {"got": {"n": 1}}


def test_the_time_of_a_delay_may_come_in():
    assert run('<- s: 0.01 -> → wait:delay(- seconds: "${{ input.s }}" -) → show') == {"got": {"s": 0.01}}


def test_many_delays_pass_at_the_same_time_with_one_worker():
    text = f"<{[{'i': i} for i in range(60)]}> → * wait:delay([0.2])".replace("'", '"')
    found: list[Any] = []

    seconds = took(lambda: found.append(run(text, max_workers=1)))

    assert found == [[{"i": i} for i in range(60)]]
    assert seconds < 6, "60 delays of 0.2 s, one after the other, take 12 s"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("wait:delay", "wait:delay lacks its parameter seconds"),
        ("wait:delay(- seconds: soon -)", "'soon' is no time to wait"),
        ("wait:delay(- seconds: -1 -)", "'-1' is no time to wait"),
        ("wait:delay(- second: 1 -)", "did you mean seconds?"),
        ("wait:dealy(- seconds: 1 -)", "there is no task wait:dealy"),
        ('wait:event(- name: "" -)', "no name of an event"),
        ('http:get(- url: "ftp://x" -)', "is no address of the web"),
        ('http:get(- url: "http://x/${{ params.n }}" -)', "a step knows what comes in"),
        ('http:get(- url: "http://x/${{ input.n" -)', "has no }}"),
    ],
)
def test_a_step_that_is_no_such_task_type_is_refused_at_its_place(step, said):
    with pytest.raises(ArrowError) as refused:
        Flow.parse(f"show\n  → {step}", FUNCTIONS)

    assert said in str(refused.value)
    assert "<text>:2:5:" in str(refused.value) or ":2:5:" in str(refused.value)


def test_an_event_that_was_sent_before_the_run_is_seen_and_what_it_says_flows_on(tmp_path):
    send_event(tmp_path / "db", "go", '{"by": "Ada"}')

    assert run("wait:event(- name: go -) → show", tmp_path / "db") == {"got": {"by": "Ada"}}


def test_an_event_that_is_sent_while_a_step_waits_for_it_lets_it_go_on(tmp_path):
    db = tmp_path / "db"

    def send() -> None:
        until(lambda: waiting(db))
        send_event(db, "stop")
        send_event(db, "go", "[1]")

    sender = threading.Thread(target=send)
    sender.start()
    result = run("wait:event(- name: go -) → show", db)
    sender.join()

    assert result == {"got": [1]}


def test_each_event_is_taken_once_by_a_run_in_the_order_in_which_they_were_sent(tmp_path):
    db = tmp_path / "db"
    for n in range(4):
        send_event(db, "go", f'{{"n": {n}}}')

    looped = "wait:event(- name: go -) :got → ? `$[?(@.n < 2)]` again → :start; :got → show"
    first = run(looped, db)
    second = run("wait:event(- name: go -)", db)

    assert (first, second) == ({"got": {"n": 2}}, {"n": 3})


def test_every_run_that_is_there_gets_an_event_and_a_later_one_does_not(tmp_path):
    db = tmp_path / "db"
    flow = Flow.parse("wait:event(- name: go -)", {}, db=db)
    handles = [flow.start(run_id=run_id) for run_id in ("one", "two")]
    until(lambda: waiting(db) == 2)

    send_event(db, "go", "1")
    results = [handle.wait().result for handle in handles]
    send_event(db, "go", "2")

    assert (results, flow.run().result) == ([1, 1], 2)


def test_an_event_for_one_run_is_seen_by_no_other(tmp_path):
    db = tmp_path / "db"
    Flow.parse("show", FUNCTIONS, name="other").run(db=db, run_id="other")
    send_event(db, "go", '{"for": "other"}', "other")
    send_event(db, "go", '{"for": "any"}')

    assert run("wait:event(- name: go -)", db) == {"for": "any"}


def test_a_retry_and_a_time_limit_are_settings_of_a_step_that_waits(tmp_path):
    text = 'wait:event({"name": "never", "liteflow": {"timeout": 0.05, "retries": 1}})'

    with pytest.raises(RunFailed, match=r"ran for over 0\.05 s"):
        Flow.parse(text, {}).run(db=tmp_path / "db", run_id="one")

    with History(tmp_path / "db") as history:
        assert [row.outcome for row in history.attempts("one")] == ["timed_out", "timed_out"]


def test_a_run_that_is_kept_nowhere_says_that_no_event_can_come():
    with pytest.raises(RunFailed, match="db=None"):
        run("wait:event(- name: go -)")


PROGRAM = """
import sys
from liteflow import Flow
flow = Flow.parse(
    "wait:event(- name: first -) → {wait:delay(- seconds: 0.4 -)  wait:event(- name: second -)} → > :end",
    {}, name="waits", db=sys.argv[1],
)
print(flow.run(run_id="one").result)
"""


def test_what_waits_goes_on_waiting_when_its_driver_was_killed(tmp_path):
    db = tmp_path / "db"
    command = [sys.executable, "-c", PROGRAM, str(db)]
    send_event(db, "first", '{"a": 1}')
    killed = subprocess.Popen(command, stdout=subprocess.PIPE)
    until(lambda: waiting(db) == 3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    send_event(db, "first", '{"a": 2}')
    send_event(db, "second", '{"b": 1}')
    with sqlite3.connect(db) as connection:
        # It has waited for long: what is left of the delay is nothing.
        connection.execute("UPDATE wait SET since = since - 3600000000")

    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert again.stdout == "{'a': 1, 'b': 1}\n", again.stderr


def test_events_that_nobody_can_take_any_more_are_forgotten_with_their_runs(tmp_path):
    db = tmp_path / "db"
    send_event(db, "go", "1")
    send_event(db, "other", "2")
    run("wait:event(- name: go -)", db)
    with History(db) as history:
        runs = history.runs()

    connection = open_store(db)
    forget_runs(connection, runs)

    assert connection.execute("SELECT name FROM event").fetchall() == [("other",)]
    connection.close()
