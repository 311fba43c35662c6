"""The pages of the dashboard: what they show of a store, and that whatever a store holds is only shown."""

import json
import os
import re
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from reading import ATTRIBUTES, ELEMENTS, crawl, look, page
from support.drivers import change
from support.hostile import OBEYED, bomb_in, plant, soil, some

from liteflow import flow, skip, task
from liteflow.store.db import newest
from liteflow.system import process_started

SEEN = []
KINDS = {"/", "/runs/1", "/runs/1/tasks/0", "/runs/1/logs", "/runs/1/tasks/2", "/runs/1/logs?task=0"}


@task
def numbers(n: int) -> list[int]:
    print("making", n)
    return list(range(n))


@task
def double(x: int) -> int:
    return 2 * x


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task(retries=1)
def shaky(x: int) -> int:
    SEEN.append(x)
    if len(SEEN) == 1:
        raise ConnectionError("the line broke")
    return x


@task
def left_out(x: int) -> int:
    return skip()


@task
def given(count: int):
    for n in range(count):
        yield f"part {n} <b>"


@flow
def many(n: int = 5):
    return total(double.map(numbers(n))), left_out(shaky(7)), given(25)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store with a run that failed, and one that did not."""
    db = tmp_path_factory.mktemp("pages") / "liteflow.db"
    some.run(db=db, run_id="run-1", executor="inline", check=False)
    many.run(db=db, run_id="run-2", executor="inline")
    return db


@pytest.fixture
def db(original, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copy(original, tmp_path / "liteflow.db")


# --- what they show ----------------------------------------------------------------------------


def test_the_runs_are_there_newest_first_with_state_time_and_counts(original):
    shown = page(original)

    assert shown.status == 200
    assert shown.said.index("many") < shown.said.index("run-2") < shown.said.index("run-1")
    assert "1 failed, 2 succeeded" in shown.said
    assert "broken: KeyError: 'no'" in shown.said
    assert [of["href"] for of in shown.all("a") if of["href"].startswith("/runs/")] == ["/runs/2", "/runs/1"]


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("/?state=failed", ["/runs/1"]),
        ("/?state=succeeded", ["/runs/2"]),
        ("/?state=running", []),
        ("/?state=interrupted", []),
        ("/?flow=1", ["/runs/1"]),
        ("/?flow=2&state=succeeded", ["/runs/2"]),
        ("/?flow=2&state=failed", []),
        ("/?page=2", []),
    ],
)
def test_runs_are_chosen_by_flow_and_state(original, address, there):
    shown = page(original, address)

    assert shown.status == 200
    assert [href for href in shown.links if href.startswith("/runs/")] == there


def test_a_run_has_its_facts_its_error_its_picture_and_its_task_instances(original):
    shown = page(original, "/runs/1")

    assert "KeyError: 'no'" in shown.said
    assert 'raise KeyError("no")' in shown.said
    assert f"process {os.getpid()} on" in shown.said
    assert 'name = "x"' in shown.said
    assert "liteflow resume run-1" in shown.said
    assert len(shown.all("svg", "bars")) == 1 + 3
    assert [of["href"] for of in shown.all("a") if "/tasks/" in of["href"]] == [
        "/runs/1/tasks/2",  # what failed
        *(f"/runs/1/tasks/{n}" for n in (0, 1, 2)),  # the picture
        *(f"/runs/1/tasks/{n}" for n in (0, 1, 2)),  # the table
    ]


def test_task_instances_are_chosen_by_task_and_state(original):
    doubled = page(original, "/runs/2?task=1").said

    assert "double[4]" in doubled
    assert "total" not in doubled.partition("Task instances")[2]
    assert "There are none." in page(original, "/runs/2?state=failed").said
    assert "left_out" in page(original, "/runs/2?state=skipped").said.partition("Task instances")[2]


def test_a_task_instance_has_its_attempts_what_it_takes_and_gives_and_its_logs(original):
    with closing(sqlite3.connect(original)) as connection:
        keys = dict(connection.execute("SELECT key, id & 4294967295 FROM instance WHERE id >> 32 = 2"))
    tried = page(original, f"/runs/2/tasks/{keys['shaky']}")
    first = page(original, f"/runs/2/tasks/{keys['numbers']}")

    assert "1 ✗ failed" in tried.said
    assert "2 ✓ succeeded" in tried.said
    assert "ConnectionError: the line broke" in tried.said
    assert f"/runs/2/tasks/{keys['left_out']}" in tried.links
    assert "making 5" in first.said
    assert f"/runs/2/logs?task={keys['numbers']}" in first.links
    assert "[0, 1, 2, 3, 4]" in first.said


def test_what_a_task_instance_gives_before_its_end_is_there(original):
    with closing(sqlite3.connect(original)) as connection:
        ((index,),) = connection.execute("SELECT id & 4294967295 FROM instance WHERE key = 'given'")
    shown = page(original, f"/runs/2/tasks/{index}")

    assert "The last 20 chunks" in shown.said
    assert '"part 24 <b>"' in shown.said
    assert '"part 4 <b>"' not in shown.said


def test_logs_are_there_with_time_task_and_stream_errors_marked(db):
    change(db, "UPDATE log SET stream = 'stderr', line = 'a' || char(9) || '<b>' WHERE id >> 32 = 1")
    shown = page(db, "/runs/1/logs")

    assert len(shown.all("tr", "stderr")) == 1
    assert "a <b>" in shown.said
    assert "first" in shown.said


def test_a_line_that_is_too_long_is_cut_and_it_is_said(db):
    change(db, "UPDATE log SET line = printf('%.*c', 100000, 'x')")
    shown = page(db, "/runs/1/logs")

    assert len(shown.text) < 10_000
    assert "100,000 characters" in shown.said


def test_every_link_leads_to_a_page(original):
    found = crawl(original)

    assert set(found) >= KINDS
    assert {address: one.status for address, one in found.items() if one.status != 200} == {}


@pytest.mark.parametrize(
    "address",
    [
        *(
            "/runs/3",
            "/runs/0",
            "/runs/1/tasks/3",
            "/runs/1/tasks/4294967296",
            "/runs/1/logs?task=3",
            "/runs/1?task=9",
            "/?flow=9",
            "/nope",
        ),
        *(
            "/runs",
            "/runs/",
            "/runs/1/",
            "/runs/x",
            "/runs/-1",
            "/runs/1/tasks",
            "/runs/99999999999999999999",
        ),
        *(
            "/assets/../answers.py",
            "/assets/",
            "/assets/style.css/",
            "//",
            "/?page=x",
            "/?state=nope",
            "/runs/1/nope",
        ),
    ],
)
def test_what_is_not_there_is_told_as_that(original, address):
    shown = page(original, address)

    assert shown.status == 404
    assert "There is no such" in shown.said or "This run has no such" in shown.said
    assert "data-changes" not in shown.all("body")[0]


def test_the_pages_own_files_are_there():
    for name, kind in [
        ("style.css", "text/css"),
        ("follow.js", "text/javascript"),
        ("icon.svg", "image/svg"),
    ]:
        got = look("/nowhere/at/all.db", f"/assets/{name}")
        assert (got.status, got.kind.startswith(kind)) == (200, True)
        assert len(got.body) > 100


# --- while a run goes on -----------------------------------------------------------------------


def going_on(db, pid=None):
    """Make run 1 one that goes on: its last task instance runs, and our parent drives it, or another."""
    pid = pid or os.getppid()
    change(db, "UPDATE run SET state = 'running', ended_at = NULL, error = NULL WHERE number = 1")
    alive = "UPDATE session SET ended_at = NULL, pid = ?, process_started = ? WHERE run = 1"
    change(db, alive, pid, process_started(pid) or 1)
    change(
        db,
        "INSERT INTO running SELECT id, 1, 0, 'here' FROM outcome WHERE id & 4294967295 = 2 AND id >> 32 = 1",
    )
    change(db, "DELETE FROM outcome WHERE id & 4294967295 = 2 AND id >> 32 = 1")
    change(db, "DELETE FROM attempt WHERE id >> 32 = 1")


@pytest.mark.parametrize("address", ["/", "/runs/1", "/runs/1/tasks/2", "/runs/1/logs?page=0"])
def test_a_page_of_a_run_that_goes_on_follows_it_with_its_script_and_without(db, address):
    going_on(db)
    shown = page(db, address)

    assert "running" in shown.said
    assert "data-changes" in shown.all("body")[0]
    assert {"http-equiv": "refresh", "content": "5"} in shown.all("meta")


def test_a_page_of_a_run_that_has_ended_is_left_alone(original):
    shown = page(original, "/runs/1")

    assert "data-changes" not in shown.all("body")[0]
    assert not shown.all("noscript")


def test_a_run_that_goes_on_takes_as_long_as_it_has_until_now(db):
    going_on(db)
    change(db, "UPDATE run SET started_at = 1000000000000000 WHERE number = 1")
    shown = page(db, "/runs/1", now=1_000_000_120.0)

    assert "So far 2 min 0 s" in shown.said


def test_of_a_run_whose_driver_has_died_nothing_runs(db):
    # No process has the largest number that there may be.
    going_on(db, pid=2**22 + 1)
    listed, shown = page(db), page(db, "/runs/1")

    assert "interrupted" in shown.said
    assert "1 pending, 2 succeeded" in shown.said
    assert "running" not in shown.said
    assert "Its driver has died." in shown.said
    assert page(db, "/?state=interrupted").links.count("/runs/1") == 1
    assert page(db, "/?state=running").links.count("/runs/1") == 0
    assert "interrupted 1" in listed.said
    assert "There are none." in page(db, "/runs/1?state=running").said
    assert "broken" in page(db, "/runs/1?state=pending").said.partition("Task instances")[2]


# --- whatever a store holds --------------------------------------------------------------------


def test_no_page_reads_a_pickle(db, tmp_path):
    plant(db, bomb_in(tmp_path))

    found = crawl(db)

    assert set(found) >= KINDS
    assert {one.status for one in found.values()} == {200}
    assert not (tmp_path / "exploded").exists()


def test_whatever_text_a_store_holds_is_only_shown(db, tmp_path):
    soil(db)
    found = crawl(db)

    assert set(found) >= KINDS
    for address, one in found.items():
        assert one.status == 200, address
        assert {name for name, _ in one.elements} <= ELEMENTS
        assert {name for _, of in one.elements for name in of} <= ATTRIBUTES
        assert one.all("script") == [{"src": "/assets/follow.js", "defer": None}]
        assert all(href.startswith("/") or href == "#main" for href in one.links)
        assert not [character for character in OBEYED if character in one.text]
        assert r"\x1b[2J" in one.said
        assert "<script>alert(1)</script>" in one.said or r"\x9b31m" in one.said
    assert not (tmp_path / "exploded").exists()


def test_a_store_of_a_strange_name_is_only_shown(original, tmp_path):
    name = "a\" onload='x' <b>\u202e.db"
    shown = page(shutil.copy(original, tmp_path / name))

    (store,) = shown.all("span", "store")
    assert set(store) == {"class", "title"}
    assert store["title"].endswith(name.replace("\u202e", "\\u202e"))
    assert not shown.all("b")


def test_an_address_holds_nothing_of_the_data(db):
    soil(db)

    assert all(set(href) <= set("/abcdefghijklmnopqrstuvwxyz0123456789?=&_") for href in crawl(db))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE run SET arguments_text = ?",
        "UPDATE instance SET inputs = ?",
        "UPDATE run SET settings = ?",
        "UPDATE session SET python = ?",
    ],
)
@pytest.mark.parametrize(
    "text", ["[" * 100_000, "no json", '{"a": [[1]], "b": {}}', "x" * 1_000_000, "1e999"]
)
def test_json_that_is_none_or_too_deep_brings_no_page_down(db, statement, text):
    change(db, statement, text)

    for address in ("/", "/runs/1", "/runs/1/tasks/2", "/runs/1/logs"):
        shown = page(db, address)
        assert shown.status in (200, 500)
        assert "a bug in liteflow" not in shown.said
        assert len(shown.text) < 200_000


@pytest.mark.parametrize("at", [-(2**62), 2**62, 0])
def test_times_that_are_none_bring_no_page_down(db, at):
    change(db, "UPDATE run SET created_at = ?, started_at = ?, ended_at = -?", at, at, at)
    change(db, "UPDATE outcome SET started = ?, took = -?", at, at)
    change(db, "UPDATE log SET at = ?", at)

    assert {page(db, address).status for address in KINDS} == {200}


# --- stores that can't be read -----------------------------------------------------------------


def statement(db, text):
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.executescript(text)


TROUBLES = {
    "missing": (404, lambda db: db.unlink()),
    "empty": (500, lambda db: db.write_bytes(b"")),
    "no database": (500, lambda db: db.write_bytes(b"no database at all, " * 100)),
    "a directory": (500, lambda db: (db.unlink(), db.mkdir())),
    "damaged": (500, lambda db: db.write_bytes(db.read_bytes()[:20_000])),
    "of a newer liteflow": (500, lambda db: statement(db, f"PRAGMA user_version = {newest() + 1}")),
    "of an older liteflow": (500, lambda db: statement(db, "PRAGMA user_version = 1")),
    "of another program": (500, lambda db: statement(db, "PRAGMA application_id = 7")),
    "with a trigger": (
        500,
        lambda db: statement(db, "CREATE TRIGGER t AFTER INSERT ON log BEGIN SELECT 1; END"),
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_store_that_cannot_be_read_is_told_on_the_page_and_looked_at_again(original, db, trouble):
    expected, make = TROUBLES[trouble]
    make(db)

    shown = page(db)

    assert shown.status == expected
    assert str(db) in shown.said
    assert "a bug in liteflow" not in shown.said
    assert "data-changes" in shown.all("body")[0]
    db.rmdir() if db.is_dir() else db.unlink(missing_ok=True)
    shutil.copy(original, db)
    assert page(db).status == 200


def test_a_store_that_takes_too_long_is_given_up(db):
    statement(
        db,
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
        "INSERT INTO instance SELECT (1 << 32) + i, 'k' || i, 0, NULL, NULL, NULL FROM n",
    )
    from liteflow.ui.answers import answer
    from liteflow.ui.gate import Passed

    got = answer(str(db), Passed("/runs/1", {}), now=0, time_limit=1e-9, tell=print)

    assert got.status == 503
    assert b"given up" in got.body


def test_a_store_that_may_only_be_read_is_shown_and_left_as_it_is(db):
    before = db.read_bytes()
    db.chmod(0o400)

    assert {one.status for one in crawl(db).values()} == {200}
    assert db.read_bytes() == before
    assert [path.name for path in db.parent.iterdir()] == [db.name]


def test_a_store_that_is_being_written_is_shown(db):
    going = threading.Event()
    with closing(sqlite3.connect(db, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE run SET error = 'not yet'")
        going.set()
        shown = page(db)
        writer.execute("ROLLBACK")

    assert shown.status == 200
    assert "not yet" not in shown.said


def test_an_error_that_is_ours_is_told_and_the_page_says_so(original, monkeypatch):
    told = []
    # A file that can't be opened for a reason that nobody has thought of.
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: 1 / 0)

    shown = page(original, tell=told.append)

    assert shown.status == 500
    assert "a bug in liteflow" in shown.said
    assert [type(one) for one in told] == [ZeroDivisionError]


# --- much --------------------------------------------------------------------------------------


def grown(db, count):
    """Give run 2 so many task instances more, all of one task, all succeeded, with a line each."""
    statement(
        db,
        f"""
        WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < {999 + count})
        INSERT INTO instance SELECT (2 << 32) + i, 'more[' || i || ']', 1, 0, '{{"x":[0]}}', NULL FROM n;
        INSERT INTO outcome
        SELECT id, 'succeeded', 1, id & 4294967295, 5, 'w', NULL, 'int', 'pickle', 1, x'00', NULL,
        '1', 1, 0, x'00'
        FROM instance WHERE key LIKE 'more[%';
        INSERT INTO log (id, attempt, at, stream, line)
        SELECT id, 1, 0, 'stdout', 'line of ' || key FROM instance WHERE key LIKE 'more[%';
        """,
    )


def test_a_run_of_ten_thousand_is_shown_in_pages(db):
    grown(db, 10_000)

    shown, last = page(db, "/runs/2"), page(db, "/runs/2?page=101")
    logs = page(db, "/runs/2/logs?page=0")

    assert len(shown.text) < 300_000
    assert "10,011 task instances" in shown.said
    assert "double ×10001" in shown.said
    assert re.search(r'<a href="/runs/2\?task=\d+"><g [^>]*><title>double', shown.text)
    assert "page 1 of 101" in shown.said
    assert "more[10999]" in last.said
    assert len(logs.text) < 300_000
    assert "line of more[10999]" in logs.said
    assert len(page(db).text) < 20_000


def test_a_run_that_is_too_large_for_a_picture_is_shown_without(db):
    grown(db, 60_000)

    shown = page(db, "/runs/2")

    assert "too large to be drawn" in shown.said
    assert len(shown.text) < 200_000


def test_thousands_of_runs_are_shown_in_pages(db):
    statement(
        db,
        "WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 3002) "
        "INSERT INTO run (number, id, flow, state, created_at, started_at) "
        "SELECT i, 'id-' || i, 'flow ' || (i % 40), 'cancelled', 0, 0 FROM n",
    )

    first, last = page(db), page(db, "/?page=61")

    assert [href for href in first.links if href.startswith("/runs/")] == [
        f"/runs/{n}" for n in range(3002, 2952, -1)
    ]
    assert "page 1 of 61, 3,002 runs" in first.said
    assert [href for href in last.links if href.startswith("/runs/")] == ["/runs/2", "/runs/1"]
    assert len(first.text) < 100_000


def test_a_store_without_runs_says_how_to_make_one(tmp_path):
    from liteflow.store.db import open_store

    open_store(tmp_path / "new.db").close()

    shown = page(tmp_path / "new.db")

    assert shown.status == 200
    assert "liteflow run my_workflow.py" in shown.said
    assert "data-changes" in shown.all("body")[0]


@pytest.mark.parametrize(
    "column",
    [
        "instance.key",
        "task.name",
        "outcome.preview",
        "outcome.error",
        "attempt.traceback",
        "log.line",
        "run.error",
    ],
)
def test_a_text_without_end_is_shown_cut(db, column):
    name, _, place = column.partition(".")
    change(db, f"UPDATE {name} SET {place} = printf('%.*c', 300000, '<')")

    shown = crawl(db)

    assert set(shown) >= KINDS
    assert max(len(one.text) for one in shown.values()) < 200_000


def test_arguments_are_shown_cut(db):
    change(db, "UPDATE run SET arguments_text = ?", json.dumps({f"a{n}": "x" * 10_000 for n in range(1000)}))

    assert len(page(db, "/runs/1").text) < 100_000
