"""`runs`, `show`, `logs` and `visualize`: looking at a store changes nothing and runs nothing."""

import json
import os
import shutil
import sqlite3

import pytest
from cli_program import program

RUNS = {"id", "flow", "state", "created_at", "started_at", "ended_at", "error"}


def test_runs_are_listed_newest_first(look):
    lines = look("runs").stdout.splitlines()

    assert lines[0].split()[:3] == ["id", "flow", "state"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["bad-1", "failing", "failed"],
        ["good-1", "etl", "succeeded"],
    ]


def test_runs_as_json_are_those_of_the_view(look, history_folder):
    rows = json.loads(look("runs", "--json").stdout)

    with sqlite3.connect(history_folder / "liteflow.db") as connection:
        connection.row_factory = sqlite3.Row
        view = [dict(row) for row in connection.execute("SELECT * FROM runs ORDER BY created_at DESC")]
    assert rows == view
    assert set(rows[0]) == RUNS


def test_a_limit_is_kept(look):
    assert len(json.loads(look("runs", "--limit", "1", "--json").stdout)) == 1


@pytest.mark.parametrize("ref", ["good-1", "goo", "etl"])
def test_a_run_is_meant_by_its_id_its_beginning_or_its_flow(look, ref):
    assert look("show", ref).stdout.startswith("run good-1 of etl: succeeded\n")


def test_latest_is_the_latest(look):
    assert look("show", "latest").stdout.startswith("run bad-1 of failing: failed\n")


def test_show_has_tasks_results_and_arguments(look):
    shown = look("show", "etl").stdout

    assert "n = 4" in shown
    assert "3 task instances: 3 succeeded" in shown
    row = next(line for line in shown.splitlines() if line.startswith("load"))
    assert "succeeded" in row
    assert "sales: 12.0" in row


def test_show_has_the_tasks_own_traceback_made_harmless(look):
    shown = look("show", "bad-1").stdout

    assert 'raise ValueError("no such' in shown
    assert r"ValueError: no such \x1b[31mthing\u202e" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_show_as_json_has_all_there_is(look):
    run = json.loads(look("show", "bad-1", "--json").stdout)

    assert set(run) > RUNS
    assert [(row["key"], row["state"]) for row in run["tasks"]] == [
        ("fine", "succeeded"),
        ("broken", "failed"),
        ("after", "upstream_failed"),
    ]
    assert {"source": "fine", "target": "broken", "parameter": "x"} in run["edges"]
    assert [row["outcome"] for row in run["attempts"] if row["key"] == "broken"] == ["failed"]


def test_logs_have_time_task_and_stream(look):
    (line,) = look("logs", "bad-1").stdout.splitlines()
    time, key, stream, _, text = line.split(" ", 4)

    assert (key, stream, text) == ("broken", "stderr", r"about to fail \x1b[2J✗")
    assert len(time) == len("04:11:09.123")


def test_logs_of_one_task_and_as_json(look):
    assert look("logs", "etl", "extract").stdout.endswith("| extracting 4\n")
    assert look("logs", "etl", "load").stdout == ""
    (row,) = json.loads(look("logs", "etl", "extract", "--json").stdout)
    assert (row["key"], row["attempt"], row["stream"], row["line"]) == (
        "extract",
        1,
        "stdout",
        "extracting 4",
    )


def test_raw_logs_are_the_lines_as_they_were(look):
    assert look("logs", "bad-1", "--raw").stdout == "about to fail \x1b[2J✗\n"


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["visualize", "etl"], "flowchart TD"),
        (["visualize", "good", "--format", "dot"], "digraph {"),
        (["visualize", "latest", "--format", "text"], "failing · run bad-1 · failed · 3 task instances"),
        (["visualize", "etl.py"], "flowchart TD"),
        (["visualize", "etl.py:etl", "n=3", "--format", "text"], "etl · 3 task instances"),
    ],
)
def test_a_run_or_a_flow_is_drawn(look, words, begins):
    done = look(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(begins)


def test_a_picture_of_a_run_has_its_states(look):
    assert ":::upstream_failed" in look("visualize", "bad-1").stdout


# --- bad input -------------------------------------------------------------------------------

LOOKERS = [["runs"], ["show", "latest"], ["logs", "latest"], ["visualize", "latest"]]


@pytest.mark.parametrize("words", LOOKERS, ids=" ".join)
@pytest.mark.parametrize("given", [[], ["--db", "nowhere/x.db"]], ids=["default", "option"])
def test_a_store_that_is_missing_is_not_created(liteflow, folder, words, given):
    done = liteflow(*words, *given)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert ("liteflow.db" if not given else "nowhere") in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["etl.py", "failing.py"]


def foreign(folder, kind):
    path = folder / "x.db"
    if kind == "directory":
        path.mkdir()
    elif kind == "text":
        path.write_text("no database at all, " * 100)
    elif kind == "empty":
        path.touch()
    elif kind == "garbage":
        path.write_bytes(os.urandom(8192))
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE runs (id)")
        if kind == "newer":
            connection.execute("PRAGMA application_id = 0x6c69666c")
            connection.execute("PRAGMA user_version = 999")
        connection.commit()
        connection.close()
    return path


@pytest.mark.parametrize("words", [["runs"], ["show", "latest"], ["visualize", "latest"]])
def test_an_empty_name_of_a_store_is_not_taken_for_none(look, words):
    done = look(*words, "--db", "")
    assert done.returncode == 2
    assert done.stderr == "liteflow: --db names no file; name one, or leave it out\n"


@pytest.mark.parametrize("kind", ["directory", "text", "empty", "garbage", "foreign", "newer"])
def test_a_file_that_is_no_store_of_ours_is_refused_and_left_as_it_is(liteflow, folder, kind):
    path = foreign(folder, kind)
    before = path.read_bytes() if path.is_file() else None

    done = liteflow("runs", "--db", "x.db")

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "x.db" in done.stderr
    assert (path.read_bytes() if path.is_file() else None) == before
    assert sorted(p.name for p in folder.iterdir()) == ["etl.py", "failing.py", "x.db"]


def test_each_kind_of_wrong_file_is_told_apart(liteflow, folder):
    said = set()
    for kind in ("directory", "text", "foreign", "newer"):
        path = foreign(folder, kind)
        said.add(liteflow("runs", "--db", "x.db").stderr)
        path.rmdir() if path.is_dir() else path.unlink()
    assert len(said) == 4


@pytest.mark.parametrize("ref", ["nope", "", "'; DROP TABLE run; --", "\u202egnp"])
@pytest.mark.parametrize("command", ["show", "logs", "visualize"])
def test_an_unknown_run_is_told_with_the_latest_few(look, command, ref):
    done = look(command, ref)

    assert done.returncode == 2
    assert "bad-1" in done.stderr
    assert "\u202e" not in done.stderr


def test_an_unknown_task_is_told_with_those_there_are(look):
    done = look("logs", "etl", "extrac")
    assert done.returncode == 2
    assert "run good-1 has no task instance 'extrac'" in done.stderr
    assert "extract, double, load" in done.stderr


def test_arguments_for_a_run_that_is_over_are_refused(look):
    assert look("visualize", "latest", "n=3").returncode == 2


@pytest.mark.parametrize(
    "words",
    [["runs", "--limit", "0"], ["runs", "--nope"], ["show"], ["visualize", "latest", "--format", "png"]],
)
def test_wrong_options_are_told_in_one_line(look, words):
    done = look(*words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


# --- looking is safe -------------------------------------------------------------------------


def test_nothing_in_the_folder_is_imported_by_who_merely_looks(history_folder, tmp_path):
    trap = "import pathlib; pathlib.Path('sprung').touch()\n"
    names = [
        "yaml",
        "typer",
        "rich",
        "attr",
        "attrs",
        "sqlite3",
        "json",
        "cloudpickle",
        "shutil",
        "difflib",
        "signal",
        "enum",
        "ast",
    ]
    for name in names:
        (tmp_path / f"{name}.py").write_text(trap)
    shutil.copy(history_folder / "liteflow.db", tmp_path)
    for words in LOOKERS:
        assert program(tmp_path)(*words).returncode == 0

    assert not (tmp_path / "sprung").exists()


def test_looking_leaves_the_store_as_it_is(history_folder, look):
    before = (history_folder / "liteflow.db").read_bytes()
    for words in LOOKERS:
        look(*words)
    assert (history_folder / "liteflow.db").read_bytes() == before


def test_a_store_that_another_program_has_locked_can_be_looked_at(history_folder, tmp_path, look):
    shutil.copy(history_folder / "liteflow.db", tmp_path)
    connection = sqlite3.connect(tmp_path / "liteflow.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert look("runs", "--db", str(tmp_path / "liteflow.db")).returncode == 0
    finally:
        connection.close()


def test_where_no_run_is_left_to_go_on_with_that_is_said(look):
    done = look("list-checkpoints", "etl")

    assert (done.returncode, done.stdout) == (
        0,
        "no run of etl is left to go on with: all have succeeded\n",
    )
