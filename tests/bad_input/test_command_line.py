"""Bad input to `liteflow` (rows E): exit status 2, one line that says what to do, and nothing made.

Each row runs in a process of its own, which may take 10 seconds and 600 MB.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from bad_rows import row

from liteflow import Flow, Task

ETL = """
import pathlib
from liteflow import flow, task

@task
def load(rows: list[int], scale: float = 1.0, label: str = "x") -> float:
    pathlib.Path("ran").touch()
    return sum(rows) * scale

@flow
def etl(n: int = 2, title: str = "t"):
    return load(list(range(n)), label=title)
"""

SCRIPTS = {
    "etl.py": ETL,
    "syntax.py": "from liteflow import flow\n\ndef f(:\n    pass\n",
    "raises.py": "import json\n\ndef inner():\n    json.loads('{')\n\ninner()\n",
    "no_import.py": "import no_such_module_at_all\n",
    "no_flow.py": "x = 1\n",
    "two_flows.py": ETL + "\nother = etl\n\n@flow\ndef second():\n    return load([1])\n",
    "exits.py": "import sys\nsys.exit(3)\n",
    "interrupts.py": "raise KeyboardInterrupt\n",
    "runs.py": ETL + "\netl.run()\n",
    "bad_flow.py": ETL + "\n@flow\ndef wrong():\n    return load('text')\n",
    "no_lazy.py": ETL + "\n@flow\ndef wrong():\n    return 5\n",
    "raises_in_flow.py": ETL + "\n@flow\ndef wrong():\n    return {}['missing']\n",
    "bad_task.py": "from liteflow import task\n\n@task(retires=3)\ndef f(): pass\n",
    "recursive.py": ETL + "\n@flow\ndef forever():\n    return forever()\n",
    "empty.py": "",
    "utf16.py": ETL.encode("utf-16"),
    "latin.py": "# caf\xe9\n".encode("latin-1") + ETL.encode(),
    "coding.py": "# coding: klingon\n",
    "nul.py": b"x = 1\0\n",
    "binary.py": bytes(range(256)) * 100,
    "deep.py": "x = " + "(" * 100_000,
    "large.py": "#" * 17_000_000,
}


@pytest.fixture
def scripts(folder):
    """The working directory, with only those scripts in it that a command line names."""

    def write(words: tuple[Any, ...]) -> None:
        for word in words:
            name = str(word).partition(":")[0]
            if name in SCRIPTS:
                text = SCRIPTS[name]
                (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


def run(*words: Any) -> Any:
    return ("run", *words)


WRONG = [
    row("E29-missing", run("none.py"), "no such file: none.py"),
    row("E29-name-empty", run(""), "no file is named"),
    row("E29-long-name", run("x" * 5000 + ".py"), "too long"),
    row("E29-NUL", run("a\udc80\x01.py"), "no such file", r"\udc80\x01"),
    row("E29-folder", run("."), "is a directory"),
    row("E29-device", run("/dev/zero"), "not a regular file"),
    row("E29-too-large", run("large.py"), "too large"),
    row("E30-syntax", run("syntax.py"), "syntax.py", "line 3", "SyntaxError"),
    row("E30-utf16", run("utf16.py"), "utf16.py, line 1: byte 0xff is no UTF-8"),
    row("E30-latin1", run("latin.py"), "latin.py, line 1: byte 0xe9 is no UTF-8", "coding: latin-1"),
    row("E30-unknown-encoding", run("coding.py"), "unknown encoding: klingon", "coding.py failed"),
    row("E30-NUL", run("nul.py"), "nul.py", "null bytes"),
    row("E30-binary", run("binary.py"), "binary.py, line ", "is no UTF-8"),
    row("E30-100000-brackets", run("deep.py"), "deep.py", "too many nested parentheses"),
    row("E31-raises", run("raises.py"), "raises.py", "line 6", "inner()", "JSONDecodeError"),
    row("E31-import", run("no_import.py"), "no_import.py", "line 1", "ModuleNotFoundError"),
    row("E31-bad-task", run("bad_task.py"), "line 3", "@task(retires=3)", "did you mean 'retries'?"),
    row("E31-exits", run("exits.py"), "exits.py ended itself", "exit status 3", "__main__"),
    row("E31-runs", run("runs.py"), "runs.py runs flow etl", "__main__"),
    row("E32-no-flow", run("no_flow.py"), "no_flow.py has no flow", "@flow"),
    row("E32-empty", run("empty.py"), "empty.py has no flow"),
    row("E32-two-flows", run("two_flows.py"), "etl, second", "two_flows.py:etl"),
    row("E32-wrong-name", run("etl.py:elt"), "'elt'", "did you mean 'etl'?"),
    row("E32-returns-5", run("no_lazy.py:wrong"), "flow wrong", "plain value"),
    row("E32-wrong-type", run("bad_flow.py:wrong"), "load()", "'rows' is 'text' (str)", "bad_flow.py:16"),
    row("E32-raises", run("raises_in_flow.py:wrong"), "KeyError: 'missing'", "line 16", "flow wrong"),
    row("E32-calls-itself", run("recursive.py:forever"), "flow forever", "100 flows deep"),
    row("E32-visualize", ("visualize", "no_lazy.py:wrong"), "flow wrong", "plain value"),
    row("E33-no-value", run("etl.py", "n"), "'n'", "name=value"),
    row("E33-no-name", run("etl.py", "=3"), "'=3'", "name=value"),
    row("E34-twice", run("etl.py", "n=1", "n=2"), "'n' is given twice"),
    row("E34-unknown", run("etl.py", "m=1"), "'m'", "it has: ", "n, title"),
    row("E34-unknown-near", run("etl.py", "titel=1"), "did you mean 'title'?"),
    row("E34-unknown-of-a-task", run("etl.py", "load.skale=1"), "did you mean 'load.scale'?"),
    row("E35-wrong-type", run("etl.py", "n=two"), "'n' is 'two' (str), not int"),
    row("E35-empty", run("etl.py", "n="), "'n' is '' (str), not int"),
    row("E35-nan", run("etl.py", "n=NaN"), "'n' is 'NaN' (str), not int"),
    row("E35-5000-digits", run("etl.py", "n=" + "9" * 5000), "'n'", "not int"),
    row("E35-deep", run("etl.py", "n=" + "[" * 50_000), "'n'", "not int"),
    row("E36-no-utf8", run("etl.py", b"n=\xff\xfe"), "'n'", r"\udcff", "not int"),
    row("E36-name-no-utf8", run("etl.py", b"\xff=1"), r"\udcff"),
    row("E36-escape", run("etl.py", "\x1b[31m=1"), r"\x1b[31m"),
    row("E37-no-workers", run("etl.py", "--max-workers", "0"), "--max-workers", "--help"),
    row("E37-text", run("etl.py", "--max-workers", "many"), "--max-workers", "integer"),
    row("E37-too-many", run("etl.py", "--max-workers", "1000000"), "max_workers", "512"),
    row("E38-executor", run("etl.py", "--executor", "nope"), "executor", "nope"),
    row("E38-run-id", run("etl.py", "--run-id", "a/b"), "run_id", "1 to 200 characters"),
    row("E38-db-empty", run("etl.py", "--db", ""), "db must be a path"),
    row("E38-db-folder", run("etl.py", "--db", "."), "it is a directory"),
    row("E38-db-missing-folder", run("etl.py", "--db", "no/such/x.db"), "there is no directory"),
    row("E38-format", ("visualize", "etl.py", "--format", "svg"), "svg"),
    row("E39-unknown-option", ("runs", "--lmit", "3"), "--lmit", "--help"),
    row("E39-unknown-command", ("rnu", "etl.py"), "rnu"),
    row("E39-too-many-words", ("runs", "extra"), "extra"),
    row("E39-limit", ("runs", "--limit", "-1"), "--limit"),
    row("E40-contradiction", ("visualize", "latest", "n=3"), "arguments go with a Python file"),
    row("E40-nothing-named", ("show",), "RUN"),
    *[
        row(f"E{number}-{words[0]}-no-db", words, "nope.db", "a store is made by the first run")
        for number, words in enumerate(
            [
                ("runs", "--db", "nope.db"),
                ("show", "latest", "--db", "nope.db"),
                ("logs", "latest", "--db", "nope.db"),
                ("visualize", "latest", "--db", "nope.db"),
            ],
            start=1,
        )
    ],
]


def told_in_one_line(done: Any) -> str:
    """What a command line that can't be carried out says: its last line is ours."""
    assert done.status == 2, done
    assert done.out == ""
    assert "bug in liteflow" not in done.err
    assert "\x1b" not in done.err
    last = done.err.rstrip("\n").rpartition("\n")[2]
    assert last.startswith("liteflow: ")
    assert len(done.err) < 5000
    return str(done.err)


@pytest.mark.parametrize(("words", "said"), [pytest.param(r.values[0], r.values[1:], id=r.id) for r in WRONG])
def test_a_wrong_command_line_ends_with_2_and_a_remedy(words, said, scripts, program, folder):
    scripts(words)
    there = sorted(folder.iterdir())

    err = told_in_one_line(program(*words))

    for word in said:
        assert word in err
    assert str(Path(__file__).parents[2] / "liteflow") not in err
    assert sorted(folder.iterdir()) == there


def test_e31_a_script_that_is_interrupted_ends_as_by_ctrl_c(scripts, program, folder):
    scripts(("interrupts.py",))

    done = program("run", "interrupts.py")

    assert (done.status, done.out) == (130, "")
    assert not (folder / "liteflow.db").exists()


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["n=3", "title=a=b"], 3.0),
        (["n=3", "title="], 3.0),
        (["n=3", "title=3"], 3.0),
        (["load.rows=[1, 2]", "load.scale=1e1"], None),
        (["n=3", "load.scale=2"], 6.0),
        ([b"title=\xff\xfe", b"n=3"], 3.0),
    ],
    ids=["E35-equals-signs", "E35-empty-text", "E35-digits-as-text", "E36-json", "E36-number", "E36-no-utf8"],
)
def test_e35_e36_odd_but_legal_arguments_arrive(words, value, scripts, program):
    scripts(("etl.py",))

    done = program("run", "etl.py", *words, "--json", "--executor", "inline")

    assert done.status == 0, done.err
    outputs = json.loads(done.out)["outputs"]
    assert float(outputs["load"]["preview"]) == (30.0 if value is None else value)


# --- files that are no store of ours (E5 to E10, E18, E50) --------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A store with two runs, whose values, names and lines are hostile to terminals."""
    path = tmp_path_factory.mktemp("recorded") / "ok.db"
    evil = "\x1b[2J\u202e<script>"

    def prints() -> str:
        os.write(1, b"\x1b[31mred \xff\n" + b"z" * 1_000_000 + b"\n")
        return evil

    def raises() -> None:
        raise ValueError(evil)

    calls = [
        Task(prints, "<b>&[quoted]\"'`|{}")(),
        Task(lambda: float("nan"), "end")(),
        Task(lambda: b"\xff\0", "%%{init}%%")(),
        Task(lambda: "a\ud800", "click \U0001f389")(),
        Task(raises, "subgraph")(),
    ]
    Flow("odd", calls).run(db=path, run_id="odd-1", check=False, max_workers=1)
    Flow("odd", calls[1:3]).run(db=path, run_id="odd-2", max_workers=1)
    return path


def make_sqlite(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def changed(path: Path, ok: Path, statement: str) -> None:
    shutil.copy(ok, path)
    make_sqlite(path, statement)


FILES = [
    row("E5-directory", lambda path, ok: path.mkdir(), "it is a directory"),
    row("E6-text", lambda path, ok: path.write_text("hello, " * 1000), "is no store of liteflow"),
    row("E7-empty", lambda path, ok: path.write_bytes(b""), "is no store of liteflow"),
    row("E8-of-another", lambda path, ok: make_sqlite(path, "CREATE TABLE t (x)"), "is no store of liteflow"),
    row("E9-newer", lambda path, ok: changed(path, ok, "PRAGMA user_version = 99"), "upgrade liteflow"),
    row("E10-garbage", lambda path, ok: path.write_bytes(bytes(range(256)) * 64), "is no store of liteflow"),
    row("E10-cut-off", lambda path, ok: path.write_bytes(ok.read_bytes()[:8192]), "is damaged"),
    row("E10-fifo", lambda path, ok: os.mkfifo(path), "not a regular file"),
    row("E50-planted", lambda path, ok: changed(path, ok, "CREATE TABLE extra (x)"), "extra"),
]


# An empty file is what a run may fill.
REFUSALS = [
    pytest.param((command, *r.values), id=f"{r.id}-{command[0]}")
    for r in FILES
    for command in (("runs",), ("show", "latest"), ("run", "etl.py"))
    if r.id != "E7-empty" or command[0] != "run"
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(refusal, recorded, scripts, program, folder):
    command, make, said = refusal
    path = folder / "x.db"
    make(path, recorded)
    scripts(command)
    before = path.read_bytes() if path.is_file() else None
    there = sorted(folder.iterdir())

    assert said in told_in_one_line(program(*command, "--db", "x.db"))

    assert sorted(folder.iterdir()) == there
    assert before is None or path.read_bytes() == before


def test_e18_a_store_that_another_program_locks_can_be_looked_at(recorded, program, folder):
    shutil.copy(recorded, folder / "x.db")
    with sqlite3.connect(folder / "x.db", isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")

        done = program("runs", "--db", "x.db")

    assert (done.status, done.err) == (0, "")
    assert "odd-1" in done.out


# Nobody else need be able to start the interpreter of who runs the tests.
INLINE = ["--executor", "inline"]


@pytest.fixture
def shelf(tmp_path_factory, recorded, monkeypatch):
    """A folder that anybody may look into, with a store in it."""
    folder = tmp_path_factory.mktemp("shelf")
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o005)
    shutil.copy(recorded, folder / "x.db")
    (folder / "x.db").chmod(0o644)
    (folder / "etl.py").write_text(ETL)
    monkeypatch.chdir(folder)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("mode", [0o755, 0o555], ids=["E14-file", "E15-folder"])
def test_what_may_only_be_read_can_be_looked_at(mode, shelf, program):
    shelf.chmod(mode)

    done = program("show", "odd-2", "--db", "x.db", powerless=True)

    assert (done.status, done.err) == (0, "")
    assert "odd-2" in done.out


@pytest.mark.parametrize(
    ("mode", "words", "said"),
    [
        pytest.param(0o644, ["run", "etl.py", *INLINE], "x.db", id="E14-run"),
        pytest.param(0o000, ["runs"], "can't be read", id="E16-runs"),
        pytest.param(0o000, ["run", "etl.py", *INLINE], "x.db", id="E16-run"),
    ],
)
def test_a_file_without_permission_is_refused_by_its_name(mode, words, said, shelf, program):
    (shelf / "x.db").chmod(mode)
    shelf.chmod(0o555)

    assert said in told_in_one_line(program(*words, "--db", "x.db", powerless=True))

    assert not (shelf / "ran").exists()


def test_e15_a_new_store_in_a_folder_that_may_only_be_read_is_refused(shelf, program):
    shelf.chmod(0o555)

    said = told_in_one_line(program("run", "etl.py", *INLINE, "--db", "new.db", powerless=True))

    assert "new.db" in said
    assert "allow writing" in said


# --- which run (E11 to E13) --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("nope", "odd-2"),
        ("odd-", "several run ids"),
        ("", "odd-2"),
        ("\x1b[31m", r"\x1b[31m"),
        ("x" * 9999, "odd-2"),
    ],
    ids=["E11-unknown", "E12-ambiguous", "E13-empty", "E11-escape", "E11-long"],
)
@pytest.mark.parametrize("command", ["show", "logs", "visualize"])
def test_a_run_that_is_not_there_is_told_with_those_that_are(command, ref, said, recorded, program):
    assert said in told_in_one_line(program(command, ref, "--db", str(recorded)))


# --- what is shown (E21 to E24, E44 to E46, E49, F38) -------------------------------------------

LOOKS = [
    ("runs",),
    ("show", "odd-1"),
    ("logs", "odd-1"),
    *[("visualize", "odd-1", "--format", to) for to in ("mermaid", "dot", "text")],
]


@pytest.mark.parametrize("words", LOOKS, ids=[f"E44-E46-{w[0]}-{w[-1]}" for w in LOOKS])
@pytest.mark.parametrize("environment", [{}, {"COLUMNS": "20", "TERM": "dumb"}], ids=["wide", "narrow"])
def test_nothing_that_is_shown_can_do_more_than_be_read(words, environment, recorded, program):
    done = program(*words, "--db", str(recorded), **environment)

    assert (done.status, done.err) == (0, "")
    assert all(c.isprintable() or c in "\n\t" for c in done.out)
    assert len(done.out) < 100_000
    assert max(map(len, done.out.split("\n"))) < 2_200


def test_e46_raw_logs_are_the_bytes_that_were_written(recorded, program):
    done = program("logs", "odd-1", "--raw", "--db", str(recorded))

    assert "\x1b[31mred" in done.out
    assert done.out.count("z") == 1_000_000


@pytest.mark.parametrize(
    "words", [("runs",), ("show", "odd-1"), ("logs", "odd-1")], ids=lambda w: f"E49-{w[0]}"
)
def test_json_is_json_whatever_is_in_it(words, recorded, program):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    done = program(*words, "--json", "--db", str(recorded))

    assert done.status == 0, done.err
    assert done.out.isascii()
    assert json.loads(done.out, parse_constant=refuse)


@pytest.mark.parametrize("words", LOOKS, ids=[f"E22-{w[0]}-{w[-1]}" for w in LOOKS])
def test_output_that_cannot_be_written_is_told_in_one_line(words, recorded, program):
    done = program(*words, "--db", str(recorded), stdout="/dev/full")

    assert done.status == 2
    assert done.err == "liteflow: can't write the output: No space left on device\n"


# --- columns that hold what they should not (E50) -----------------------------------------------

HOSTILE = [
    row("E50-state", "UPDATE run SET state = 'a\x1b[31m' || char(0x202e)"),
    row(
        "E50-endless-time",
        "UPDATE run SET started_at = 9223372036854775807, created_at = -started_at",
    ),
    row("E50-ends-before-it-starts", "UPDATE run SET ended_at = 0; UPDATE outcome SET took = -1"),
    row("E50-no-json", "UPDATE run SET arguments_text = '{[', settings = '{[', holes = '{['"),
    row("E50-deep-json", f"UPDATE run SET arguments_text = '{'[' * 100_000}'"),
    row("E50-nested-json", f"""UPDATE run SET arguments_text = '{{"a": {"[" * 600}{"]" * 600}}}'"""),
    row("E50-surrogate", "UPDATE run SET error = CAST(x'eda080ff' AS TEXT)"),
    row("E50-edges", 'UPDATE instance SET inputs = \'{"x": [99999, -1, "a"]}\''),
    row("E50-long-key", "UPDATE instance SET key = hex(zeroblob(1000000)) || id"),
    row("E50-attempt", "UPDATE outcome SET attempt = -9223372036854775808"),
]


@pytest.mark.parametrize("statement", [pytest.param(*r.values, id=r.id) for r in HOSTILE])
@pytest.mark.parametrize("words", [*LOOKS[:2], ("show", "odd-1", "--json"), LOOKS[3]], ids=" ".join)
def test_a_hostile_column_is_shown_or_refused(statement, words, recorded, program, folder):
    shutil.copy(recorded, folder / "x.db")
    connection = sqlite3.connect(folder / "x.db")
    connection.executescript(statement)
    connection.close()

    done = program(*words, "--db", "x.db")

    assert done.status in (0, 2), done
    assert "Traceback" not in done.err
    assert "bug in liteflow" not in done.err
    assert (done.status == 0) is (done.err == "")
