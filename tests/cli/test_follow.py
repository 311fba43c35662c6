"""`liteflow logs --follow`: what a run prints and yields, while it goes on and to its end."""

import json
import subprocess
import sys

import pytest
from cli_program import environment, forked_program
from support.forked import Forked, Request

SCRIPT = """
import os
from liteflow import flow, task

@task
def talks():
    print("printed")
    yield "a chunk\\x1b[2J"
    while not os.path.exists("go"):
        pass
    yield {"n": 2}

@flow(db="liteflow.db")
def f():
    return talks()

if __name__ == "__main__":
    f.run(run_id="run-1")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def test_a_run_that_has_ended_is_shown_to_its_end(folder):
    (folder / "go").touch()
    subprocess.run([sys.executable, "script.py"], cwd=folder, check=True, timeout=60, capture_output=True)
    rows = json.loads(forked_program(folder)("logs", "run-1", "--follow", "--json").stdout)

    assert {(row["key"], row["stream"], row["line"]) for row in rows} == {
        ("talks", "stdout", "printed"),
        ("talks", "chunk", "a chunk\x1b[2J"),
        ("talks", "chunk", '{"n": 2}'),
    }


def test_a_run_that_goes_on_is_followed_to_its_end_and_shown_harmless(folder):
    run = subprocess.Popen([sys.executable, "script.py"], cwd=folder, stdout=subprocess.DEVNULL)
    while not (folder / "liteflow.db").exists() or forked_program(folder)("show", "run-1").returncode:
        assert run.poll() is None
    looker = Forked(Request("liteflow", ("logs", "run-1", "talks", "--follow"), str(folder), environment()))
    assert looker.stdout is not None
    first = [looker.stdout.readline() for _ in range(2)]
    (folder / "go").touch()
    rest, _ = looker.communicate(timeout=60)
    run.wait(60)

    assert any("printed" in line for line in first)
    assert any("a chunk" in line for line in first)
    assert "\x1b" not in "".join(first)
    assert '{"n": 2}' in rest
    assert looker.returncode == 0
