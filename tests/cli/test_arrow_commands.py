"""The commands for flows in the arrow language."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from cli_program import forked_program

from liteflow.cli.app import execute

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


@frozen
class Said:
    """How a command has ended, and what it has said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Carries out a command in this process, in the folder: most of them need none of their own."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LITEFLOW_DB", raising=False)

    def carried_out(*arguments: str) -> Said:
        status = execute(arguments)
        return Said(status, *capsys.readouterr())

    return carried_out


def liteflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forked_program(folder)(*arguments)


def test_a_flow_is_run_with_the_tasks_beside_it_and_its_input(folder):
    ran = liteflow(folder, "run", "nightly.flow", "--input", '{"n": 3}', "--json", "-q")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["outputs"]["nightly"]["preview"] == '{"score": 30}'


def test_a_flow_is_run_with_the_tasks_of_a_module_and_the_input_of_a_file(folder):
    (folder / "nightly.py").rename(folder / "others.py")
    (folder / "input.json").write_text('{"n": 1}')

    ran = liteflow(folder, "run", "nightly.flow", "--tasks", "others", "--input", "@input.json", "--json")

    assert json.loads(ran.stdout)["outputs"]["nightly"]["preview"] == '{"n": 1}', ran.stderr


def test_input_that_is_no_json_is_told_in_one_line(folder, command):
    ran = command("run", "nightly.flow", "--input", "{n: 1}")

    assert ran.returncode == 2
    assert "is no JSON" in ran.stderr


def test_a_flow_is_validated_without_running(folder, command):
    well = command("validate", "nightly.flow")
    (folder / "nightly.flow").write_text("fetch → scoer")
    wrong = command("validate", "nightly.flow")

    assert (well.returncode, wrong.returncode) == (0, 2)
    assert "nightly.flow:1:9: there is no task scoer" in wrong.stderr
    assert "did you mean score?" in wrong.stderr


def test_what_comes_in_is_not_known_when_a_flow_is_validated(folder, command):
    (folder / "typed.py").write_text(
        "from liteflow import task\n@task\ndef twice(n: int) -> int:\n    return 2 * n\n"
        "@task\ndef shout(text: str) -> str:\n    return text.upper()\n"
    )
    (folder / "typed.flow").write_text("twice → twice")
    well = command("validate", "typed.flow")
    run = command("run", "typed.flow", "--input", "2", "-q")
    lacking = command("run", "typed.flow")
    (folder / "typed.flow").write_text("twice → shout")
    wrong = command("validate", "typed.flow")

    assert run.returncode == 0
    assert lacking.returncode == 2
    assert "'n' is a dict, not int" in lacking.stderr
    assert lacking.stderr.endswith(
        "nothing was given as input: what comes in to the first steps is --input JSON\n"
    )
    assert well.stdout == "typed.flow: well, 2 tasks\n", well.stderr
    assert "twice() gives int, but shout() takes text: str" in wrong.stderr


def test_fmt_lays_a_file_out_and_check_only_says_so(folder, command):
    checked = command("fmt", "--check", "nightly.flow")
    before = (folder / "nightly.flow").read_text(encoding="utf-8")
    formatted = command("fmt", "nightly.flow")

    assert (checked.returncode, formatted.returncode) == (1, 0)
    assert before == FLOW
    assert "fetch → ?`$[?(@.n > 1)]` score  # last" in (folder / "nightly.flow").read_text(encoding="utf-8")
    assert command("fmt", "--check", "nightly.flow").returncode == 0


def test_a_flow_is_drawn_as_svg_without_its_tasks(folder, command):
    (folder / "nightly.py").unlink()

    drawn = command("dag", "nightly.flow", "-o", "nightly.svg")

    picture = (folder / "nightly.svg").read_text(encoding="utf-8")
    assert drawn.returncode == 0, drawn.stderr
    assert picture.startswith("<svg")
    assert "? $[?(@.n &gt; 1)]" in picture


@pytest.mark.parametrize(
    ("words", "begins", "holds"),
    [
        (("dag", "nightly.flow"), "nightly\n  fetch\n", "score ← fetch  ? $[?(@.n > 1)]"),
        (("dag", "nightly.flow", "-o", "x.mmd"), "---\ntitle", "subgraph"),
        (("dag", "nightly.flow", "-o", "x.dot"), "digraph {", "? $[?(@.n > 1)]"),
        (("dag", "nightly.flow", "-o", "x.html"), "<!doctype html>", "<h1>nightly</h1>"),
        (("visualize", "nightly.flow"), "---\ntitle", "flowchart LR"),
        (("visualize", "nightly.flow", "--format", "dot"), "digraph {", "? $[?(@.n > 1)]"),
    ],
)
def test_a_flow_is_drawn_as_what_is_wanted(folder, command, words, begins, holds):
    (folder / "nightly.flow").write_text(f"{FLOW}; {{ tidy }}", encoding="utf-8")
    (folder / "nightly.py").unlink()

    told = command(*words)

    drawn = (folder / words[3]).read_text(encoding="utf-8") if "-o" in words else told.stdout
    assert told.returncode == 0, told.stderr
    assert drawn.startswith(begins)
    assert holds in drawn


def test_a_flow_of_a_text_in_a_python_file_is_drawn_like_one_of_a_file(folder, command):
    text = 'f = flow("near → ? `$.n` { near }")'
    (folder / "script.py").write_text(f"from liteflow import flow\n\ndef near(input): ...\n\n{text}", "utf-8")

    assert "subgraph" in command("visualize", "script.py").stdout
    assert "{block} ← near  ? $.n" in command("dag", "script.py").stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fetch → {\n  score", ["1:9: the `{` here isn't closed", "fetch → {", "        ^", "add its `}`"]),
        ("fetch :x\nscore :x", ["2:7:", "`:x`", "the first is at 1:7", "score :x", "      ^"]),
        ("fetch :x → score\n:x → fetch", ["2:1:", "if a new statement begins here, put a `;` before it"]),
        ("fetch → scoer", ["1:9: there is no task scoer", "did you mean score?"]),
    ],
)
@pytest.mark.parametrize("words", [("validate",), ("run", "--tasks", "nightly")])
def test_a_mistake_is_told_with_its_place_a_mark_and_a_remedy(folder, command, words, text, said):
    (folder / "nightly.flow").write_text(text, encoding="utf-8")

    told = command(*words, "nightly.flow")

    assert [part for part in said if part not in told.stderr] == [], told.stderr
    assert told.returncode == 2


def test_a_file_that_can_not_be_read_is_laid_out_by_nobody(folder, command):
    (folder / "nightly.flow").write_text("fetch → → score")

    told = command("fmt", "nightly.flow")

    assert (told.returncode, (folder / "nightly.flow").read_text()) == (2, "fetch → → score")
    assert "nightly.flow:1:9: a task was expected" in told.stderr


def test_validate_tells_of_a_place_in_a_text_once_and_as_numbers_too(folder, command):
    (folder / "nightly.flow").write_text("fetch → → score")

    lines = command("validate", "nightly.flow").stderr.splitlines()
    (told,) = json.loads(command("validate", "nightly.flow", "--json").stdout)

    assert lines[0] == "nightly.flow:1:9: a task was expected, not `→`"
    assert lines[1:3] == ["    fetch → → score", "            ^"]
    assert (told["mistakes"][0]["line"], told["mistakes"][0]["column"]) == (1, 9)


def test_a_command_over_its_time_on_a_thread_is_ended_and_nothing_else_is_said(folder, command):
    (folder / "slow.flow").write_text('shell:slow(-\n  run: "sleep 30"\n  liteflow: {timeout: 0.2}\n-)')

    done = command("run", "slow.flow", "--input", "{}", "--mode", "thread", "-q")

    assert done.returncode == 1
    # The command's time is over when the attempt's is: on a busy machine either may be first to say so.
    assert done.stderr.splitlines()[1] in (
        "TimeoutError: ran for over 0.2 s",
        "TimeoutError: the command ran for over 0.2 s",
    )


def test_an_event_is_sent_to_a_run_and_what_it_says_is_its_result(folder, command):
    (folder / "waits.flow").write_text("wait:event(- name: approved -)")
    (folder / "by.json").write_text('{"by": "Ada"}')

    sent = command("event", "approved", "--data", "@by.json", "--db", "runs.db")
    ran = command("run", "waits.flow", "--db", "runs.db", "--json", "-q")

    assert (sent.returncode, sent.stdout) == (0, "")
    assert "event approved is sent" in sent.stderr
    assert json.loads(ran.stdout)["outputs"]["wait:event"]["value"] == {"by": "Ada"}, ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "{by: Ada}"), "is no JSON"),
        (("--data", "NaN"), "is no JSON"),
        (("--data", "[" * 100_000), "is no JSON"),
        (("--data", "@nowhere.json"), "can't read nowhere.json"),
        (("--run", "nowhere"), "there is no such file"),
    ],
)
def test_an_event_that_can_not_be_sent_says_why_in_one_line(command, arguments, said):
    told = command("event", "approved", *arguments, "--db", "runs.db")

    assert told.returncode == 2
    assert said in told.stderr
    assert len(told.stderr.splitlines()) == 1


def test_a_resume_counts_what_steps_had_given_and_a_plan_of_it_does_too(command, folder):
    tasks = folder / "nightly.py"
    tasks.write_text(TASKS.replace("input[", "1 / 0 * input["))
    assert command("run", "nightly.flow", "--input", '{"n": 2}').returncode == 1
    tasks.write_text(TASKS)

    plan = command("run", "nightly.flow", "--resume", "--dry-run")
    done = command("run", "nightly.flow", "--resume")

    assert "  beside these, of what came while it ran: 1 result, unless changed\n" in plan.stdout
    assert "\n1 result is kept\n" in done.stderr
    assert done.returncode == 0


def test_a_plan_of_a_flow_that_goes_on_step_by_step_shows_its_steps_and_nothing_of_ours(folder, command):
    said = command("run", "nightly.flow", "--input", '{"n": 7}', "--dry-run")

    assert said.returncode == 0
    assert said.stdout.splitlines()[1:5] == [
        '  input = {"n": 7}',
        "step 1",
        "  nightly",
        "      steps: fetch, score",
    ]


def test_a_flow_whose_step_takes_a_secret_is_validated_as_a_whole_and_told_how_to_get_it(folder, command):
    (folder / "nightly.py").write_text(
        "from liteflow import Secret\n"
        "def fetch(input) -> list[int]: ...\n"
        "def sign(value: str, token: Secret): ...\n"
    )
    (folder / "nightly.flow").write_text("fetch → sign")

    checked, ran = command("validate", "nightly.flow"), command("run", "nightly.flow")
    (folder / "nightly.py").write_text((folder / "nightly.py").read_text().replace("str", "list"))

    assert "fetch() gives list[int], but sign() takes value: str" in checked.stderr
    assert command("validate", "nightly.flow").stdout == "nightly.flow: well, 2 tasks\n"
    assert ran.returncode == 2
    assert "set LITEFLOW_SECRET_TOKEN" in command("run", "nightly.flow").stderr


def test_a_step_of_a_flow_that_goes_on_step_by_step_is_run_again_from_there_on(folder, command):
    command("run", "nightly.flow", "--input", '{"n": 7}', "-q")
    (folder / "nightly.py").write_text(TASKS.replace("* 10", "* 100"))

    plan = command("run", "nightly.flow", "--from", "score", "--dry-run")
    again = command("run", "nightly.flow", "--from", "nightly/score", "-q", "--json")
    alone = command("run", "nightly.flow", "--only", "fetch", "--input", '{"n": 3}')
    wrong = command("run", "nightly.flow", "--only", "socre")

    assert "      run: score and what depends on it\n" in plan.stdout
    assert json.loads(again.stdout)["outputs"]["nightly"]["preview"] == '{"score": 700}'
    assert '  nightly = {"n": 3}\n' in alone.stdout
    assert (wrong.returncode, "did you mean 'score'? it has: score, nightly, fetch" in wrong.stderr) == (
        2,
        True,
    )
