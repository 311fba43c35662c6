"""Bad input to resuming a run (rows A26, B17, E47): each reason why it can't be has words of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bad_rows import RAN, note

from liteflow import Flow, LiteflowError, Task

FAILS = """
import pathlib
from liteflow import flow, task

@task
def first() -> int:
    return 1

@task
def second(x: int) -> int:
    raise ValueError("not yet")

@flow
def etl():
    return first() >> second()

@flow
def other():
    return first()

if __name__ == "__main__":
    etl.run(db="x.db", run_id="r-1", check=False)
"""

WAITS = """
import os
from liteflow import flow, task

@task
def waits() -> int:
    # Whoever holds the other end decides how long this takes.
    with open("begun", "w") as begun:
        begun.write("x")
    with open("go") as go:
        return len(go.read())

@flow
def slow():
    return waits()
"""


def other_flow() -> Flow[Any, Any]:
    return Flow("other", note(2))


def finished() -> None:
    Flow("done", Task(lambda: 1, "one")()).run(db="x.db", run_id="done-1")


def failed(flow: str = "etl") -> None:
    def fails() -> None:
        raise ValueError("not yet")

    Flow(flow, Task(fails, "fails")()).run(db="x.db", run_id=f"{flow}-1", check=False)


@pytest.mark.parametrize(
    ("before", "ref", "words"),
    [
        pytest.param([finished], None, ["flow other", "has no run in", "x.db", "run()"], id="B17-no-run"),
        pytest.param([finished], "nope", ["'nope'", "done-1"], id="B17-unknown"),
        pytest.param([failed], "etl-1", ["etl-1", "flow etl", "other"], id="B17-run-of-another-flow"),
        pytest.param([finished, failed], "", ["''"], id="B17-empty"),
        pytest.param([finished, failed], "\x1b[31m", [r"\x1b[31m"], id="B17-escape"),
    ],
)
def test_b17_a_run_that_cannot_be_gone_on_with_is_told_with_the_reason(before, ref, words):
    for make in before:
        make()
    RAN.clear()

    with pytest.raises(LiteflowError) as caught:
        other_flow().resume(ref, db="x.db", executor="inline")

    for word in words:
        assert word in str(caught.value)
    assert RAN == []


def test_b17_a_run_that_has_succeeded_is_not_run_again():
    finished()

    with pytest.raises(LiteflowError, match=r"done-1.*succeeded"):
        Flow("done", note()).resume("done-1", db="x.db", executor="inline")


def test_b17_resuming_makes_no_store(folder):
    with pytest.raises(LiteflowError, match=r"x\.db"):
        other_flow().resume(db="x.db")

    assert list(folder.iterdir()) == []


def test_b17_where_nothing_is_kept_nothing_can_be_resumed():
    with pytest.raises(LiteflowError, match="db"):
        other_flow().resume(db=None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["resume", "nope"], ["'nope'", "r-1"], id="E11-unknown"),
        pytest.param(["resume", "r-1", "--file", "none.py"], ["no such file"], id="E29-file"),
        pytest.param(["resume", "r-1", "--file", "etl.py:third"], ["'third'", "other, etl"], id="E32-flow"),
        pytest.param(["resume", "r-1", "--file", "etl.py:other"], ["r-1", "other"], id="B17-of-another-flow"),
    ],
)
def test_a_resume_that_names_what_is_not_there_is_refused(words, said, program, folder):
    (folder / "etl.py").write_text(FAILS)
    assert program.python("etl.py").status == 0

    done = program(*words, "--db", "x.db")

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("liteflow: ")
    for word in said:
        assert word in done.err


@pytest.mark.parametrize("way", ["stdin", "command", "deleted"])
def test_a26_a_run_whose_script_is_no_file_says_how_to_resume_it(way, program, folder):
    (folder / "gone.py").write_text(FAILS)
    words = {"stdin": ["-"], "command": ["-c", FAILS], "deleted": ["gone.py"]}[way]
    subprocess.run(
        [sys.executable, *words], input=FAILS, text=True, capture_output=True, timeout=60, check=True
    )
    (folder / "gone.py").unlink()

    done = program("resume", "r-1", "--db", "x.db")

    assert (done.status, done.out) == (2, "")
    assert "--file" in done.err


def test_e47_a_second_driver_of_a_run_that_lives_is_refused_with_its_owner(program, folder):
    (folder / "slow.py").write_text(WAITS)
    os.mkfifo(folder / "begun")
    os.mkfifo(folder / "go")
    words = [sys.executable, "-m", "liteflow", "run", "slow.py", "--db", "x.db", "--run-id", "r-1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as owner:
        begun = os.open("begun", os.O_RDONLY | os.O_NONBLOCK)
        assert select.select([begun], [], [], 30) == ([begun], [], [])
        os.close(begun)

        seconds = [program("resume", "r-1", "--db", "x.db"), program(*words[3:])]

        Path("go").write_text("done")
        out, err = owner.communicate(timeout=30)
    for second in seconds:
        assert (second.status, second.out) == (3, ""), second
        assert str(owner.pid) in second.err
        assert len(second.err.splitlines()) == 1
    assert (owner.returncode, "waits = 4" in out) == (0, True), err
