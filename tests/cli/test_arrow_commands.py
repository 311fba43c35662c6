"""The commands for flows in the arrow language."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = "@flow nightly\nfetch→?`$[?(@.n > 1)]`score # last\n"
TASKS = """
def fetch(input):
    return {"n": input.get("n", 0)}

def score(input):
    return {"score": input["n"] * 10}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nightly.flow").write_text(FLOW, encoding="utf-8")
    (tmp_path / "nightly.py").write_text(TASKS)
    return tmp_path


def liteflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "liteflow", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=60)


def test_a_flow_is_run_with_the_tasks_beside_it_and_its_input(folder):
    ran = liteflow(folder, "run", "nightly.flow", "--input", '{"n": 3}', "--json", "-q")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["outputs"]["nightly"]["preview"] == '{"score": 30}'


def test_a_flow_is_run_with_the_tasks_of_a_module_and_the_input_of_a_file(folder):
    (folder / "nightly.py").rename(folder / "others.py")
    (folder / "input.json").write_text('{"n": 1}')

    ran = liteflow(folder, "run", "nightly.flow", "--tasks", "others", "--input", "@input.json", "--json")

    assert json.loads(ran.stdout)["outputs"]["nightly"]["preview"] == '{"n": 1}', ran.stderr


def test_input_that_is_no_json_is_told_in_one_line(folder):
    ran = liteflow(folder, "run", "nightly.flow", "--input", "{n: 1}")

    assert ran.returncode == 2
    assert "is no JSON" in ran.stderr


def test_a_flow_is_validated_without_running(folder):
    well = liteflow(folder, "validate", "nightly.flow")
    (folder / "nightly.flow").write_text("fetch → scoer")
    wrong = liteflow(folder, "validate", "nightly.flow")

    assert (well.returncode, wrong.returncode) == (0, 2)
    assert "nightly.flow:1:9: there is no task scoer" in wrong.stderr
    assert "did you mean score?" in wrong.stderr


def test_fmt_lays_a_file_out_and_check_only_says_so(folder):
    checked = liteflow(folder, "fmt", "--check", "nightly.flow")
    before = (folder / "nightly.flow").read_text(encoding="utf-8")
    formatted = liteflow(folder, "fmt", "nightly.flow")

    assert (checked.returncode, formatted.returncode) == (1, 0)
    assert before == FLOW
    assert "fetch → ?`$[?(@.n > 1)]` score  # last" in (folder / "nightly.flow").read_text(encoding="utf-8")
    assert liteflow(folder, "fmt", "--check", "nightly.flow").returncode == 0


def test_a_flow_is_drawn_as_svg_without_its_tasks(folder):
    (folder / "nightly.py").unlink()

    drawn = liteflow(folder, "dag", "nightly.flow", "-o", "nightly.svg")

    picture = (folder / "nightly.svg").read_text(encoding="utf-8")
    assert drawn.returncode == 0, drawn.stderr
    assert picture.startswith("<svg")
    assert "? $[?(@.n &gt; 1)]" in picture
