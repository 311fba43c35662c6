"""Workflow files on the command line, as their users call them: run, plan, draw, check, convert, clear."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
from cli_program import environment

from liteflow.cli.template import Starter

DAILY = """
workflow_name: daily
params: {day: Monday, api_token: s3cret, n: {default: 2, help: How many}}
tasks:
  fetch: {run: 'echo "data of ${{ params.day }}"', env: {TOKEN: '${{ params.api_token }}'}}
  count: {run: 'seq ${{ params.n }}', outputs: lines, depends_on: [fetch]}
  check: {run: 'test -e ok', depends_on: [fetch]}
  report: {run: 'echo ${{ tasks.count.output }} ${{ tasks.fetch.output }}', depends_on: [check]}
settings: {max_parallel_tasks: 2}
"""


@pytest.fixture
def daily(folder):
    (folder / "daily.yaml").write_text(DAILY)
    return folder


def record(done):
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_a_workflow_file_runs_resumes_and_is_looked_at_like_a_script(new_liteflow, daily):
    failed = new_liteflow("run", "daily.yaml", "--set", "day=Friday", "--set", "n=3")
    assert failed.returncode == 1
    assert "check failed:" in failed.stderr
    listed = new_liteflow("list-checkpoints", "daily", "--json")
    (found,) = json.loads(listed.stdout)
    assert found["states"] == {"succeeded": 2, "failed": 1, "upstream_failed": 1}
    assert found["script"] == str(daily / "daily.yaml")
    assert "2/4" in new_liteflow("list-checkpoints").stdout

    (daily / "ok").touch()
    done = new_liteflow("resume", "daily.yaml")

    assert done.returncode == 0, done.stderr
    assert "2 results are kept" in done.stderr
    assert 'report = "[\\"1\\", \\"2\\", \\"3\\"] data of Friday"' in done.stdout
    assert "data of Friday" in new_liteflow("logs", "--task", "report").stdout
    assert "check" in new_liteflow("show", "daily").stdout
    assert new_liteflow("resume", "daily.yaml").returncode == 2


def test_resume_and_run_resume_do_the_same(liteflow, daily):
    liteflow("run", "daily.yaml", "-q")
    (daily / "ok").touch()

    assert record(liteflow("run", "daily.yaml", "--resume", "--json"))["state"] == "succeeded"


def test_a_dry_run_shows_the_plan_and_runs_nothing(liteflow, daily):
    done = liteflow("run", "daily.yaml", "--dry-run", "--set", "day=Sunday")

    assert done.returncode == 0, done.stderr
    assert "plan of daily: 4 tasks in 3 steps; nothing is run" in done.stdout
    assert "step 2: 2 side by side" in done.stdout
    assert 'run: echo "data of Sunday"' in done.stdout
    assert "after fetch" in done.stdout
    assert "expected" not in done.stdout
    assert not (daily / "liteflow.db").exists()


CONDITIONS = """
workflow_name: conditions
params: {env: dev, regions: {default: [eu, us]}, api_token: s3cret}
tasks:
  list: {run: 'echo "[1, 2]"', outputs: json}
  deploy: {run: ':', when: '${{ params.env }} == "prod"'}
  test: {run: ':', when: '${{ params.env }} in ["dev", "test"] and ${{ tasks.list.output }}'}
  open: {run: ':', when: '${{ params.api_token }} == "s3cret"'}
  wrong: {run: ':', when: '${{ params.env }} > 3'}
  notify: {run: ':', when: always, depends_on: [deploy], timeout: 90, retries: 3, retry_delay: 2, backoff: 2}
  each: {run: 'echo ${{ item }}', foreach: '${{ params.regions }}'}
  all: {run: 'echo ${{ item }}', foreach: '${{ tasks.list.output }}', when: '${{ item }} != 2'}
"""


def test_a_dry_run_shows_when_how_often_and_how_long(liteflow, folder):
    (folder / "conditions.yaml").write_text(CONDITIONS)

    done = liteflow("run", "conditions.yaml", "--dry-run")

    assert done.returncode == 0, done.stderr
    for line in (
        'when: "dev" == "prod" (it does not hold, so this is skipped)',
        'when: "dev" in ["dev", "test"] and ${{ tasks.list.output }}\n',
        'when: *** == "s3cret"\n',
        'when: "dev" > 3 (this will fail: one is text and one a number',
        "when: always\n      timeout: 1 min 30 s; retries: 3 after 2.0 s, each time 2 times as long\n",
        "for each of 2 items\n",
        "for each item of all (when)\n",
        "when: ${{ item }} != 2\n",
    ):
        assert line in done.stdout, done.stdout
    steps = record(liteflow("run", "conditions.yaml", "--dry-run", "--json", "--set", "env=prod"))["steps"]
    found = {one["key"]: one for step in steps for one in step}
    assert found["deploy"]["when"] == '"prod" == "prod" (it holds)'
    assert (found["notify"]["timeout_s"], found["notify"]["retries"]) == (90, 3)
    assert (found["each"]["for_each"], found["list"]["for_each"]) == ("of 2 items", None)


def test_a_dry_run_shows_addresses_as_they_are_asked_and_files_with_their_names(liteflow, folder):
    (folder / "w.yaml").write_text("""
workflow_name: w
params: {x: a b/é, token: s3cret}
tasks:
  ask: {type: http, url: "http://x/${{ params.x }}?t=${{ params.token }}"}
  make: {run: touch y, outputs: {file: "${{ params.x }}.txt"}}
""")

    plan = liteflow("run", "w.yaml", "--dry-run").stdout

    assert "url: http://x/a%20b%2F%C3%A9?t=***" in plan
    assert r'outputs: {"file": "a b/\u00e9.txt"}' in plan


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_dry_run_shows_no_secret(liteflow, daily, words):
    done = liteflow("run", "daily.yaml", "--dry-run", *words)

    assert "s3cret" not in done.stdout + done.stderr
    assert "***" in done.stdout


def test_a_dry_run_of_a_resume_says_what_is_skipped_and_why_the_rest_runs(liteflow, daily):
    liteflow("run", "daily.yaml", "-q")
    (daily / "daily.yaml").write_text(DAILY.replace("seq ${{ params.n }}", "seq 1 ${{ params.n }}"))

    done = liteflow("run", "daily.yaml", "--resume", "--dry-run")

    assert "fetch   [is skipped: its result is kept]" in done.stdout
    assert "count   after fetch   [runs again: its code changed]" in done.stdout
    assert "check   after fetch   [has not succeeded yet]" in done.stdout
    assert "would go on: 1 result kept, 3 to do" in done.stdout


def test_a_dry_run_expects_what_tasks_took_in_earlier_runs_failed_ones_too(liteflow, daily):
    (daily / "slow.yaml").write_text(
        "workflow_name: slow\n"
        "tasks: {a: {run: sleep 0.3}, b: {run: sleep 0.3, depends_on: [a]}, c: {run: 'false'}}\n"
    )
    liteflow("run", "slow.yaml", "-q")

    plan = record(liteflow("run", "slow.yaml", "--dry-run", "--json"))

    assert plan["critical_path"] == ["a", "b"]
    assert 0.6 <= plan["critical_path_s"] <= plan["expected_s"]


def test_only_a_task_runs_with_what_the_others_gave_before(liteflow, daily):
    (daily / "ok").touch()
    assert "no earlier run of daily has what is needed: the results of fetch, count" in (
        liteflow("run", "daily.yaml", "--only", "report").stderr
    )
    liteflow("run", "daily.yaml", "-q", "--set", "day=Friday")
    (daily / "daily.yaml").write_text(
        DAILY.replace("run: 'echo ${{ tasks.count", "run: 'echo so ${{ tasks.count")
    )

    done = record(liteflow("run", "daily.yaml", "--only", "report", "--json", "-q"))

    assert done["outputs"]["report"]["value"] == 'so ["1", "2"] data of Friday'
    assert done["states"] == {"succeeded": 3}


def test_from_a_task_on_all_that_depends_on_it_runs_again(liteflow, daily):
    (daily / "ok").touch()
    liteflow("run", "daily.yaml", "-q")

    done = record(liteflow("run", "daily.yaml", "--from", "count", "--set", "n=4", "--json", "-q"))

    assert done["outputs"]["report"]["value"] == '["1", "2", "3", "4"] data of Monday'
    wrong = liteflow("run", "daily.yaml", "--from", "cuont")
    assert wrong.returncode == 2
    assert "count" in wrong.stderr
    assert liteflow("run", "daily.yaml", "--from", "count", "--resume").returncode == 2


def test_the_nearest_word_wins(liteflow, daily):
    (daily / "x.yaml").write_text(
        "workflow_name: x\ntasks: {a: {run: 'true'}}\n"
        "settings: {db: file.db, mode: thread, log_dir: file_logs}\n"
    )

    def made(*words, **env):
        before = {p.name for p in daily.iterdir()}
        done = liteflow("run", "x.yaml", "-q", *words, env=env)
        assert done.returncode == 0, done.stderr
        return {p.name for p in daily.iterdir()} - before

    assert made() == {"file.db", "file_logs"}
    assert made(LITEFLOW_DB="env.db", LITEFLOW_LOG_DIR="env_logs") == {"env.db", "env_logs"}
    assert made("--db", "cli.db", "--log-dir", "cli_logs", LITEFLOW_DB="env2.db", LITEFLOW_LOG_DIR="e2") == {
        "cli.db",
        "cli_logs",
    }
    assert liteflow("run", "x.yaml", env={"LITEFLOW_MODE": "thraed"}).returncode == 2
    assert liteflow("run", "x.yaml", "--mode", "inline", env={"LITEFLOW_MODE": "thraed"}).returncode == 0
    assert liteflow("run", "x.yaml", env={"LITEFLOW_MAX_WORKERS": "0"}).returncode == 2


@pytest.mark.parametrize("name", ["nope", "report._values", "report.item"])
def test_what_stands_in_a_file_is_no_input_of_its_runs(liteflow, daily, name):
    done = liteflow("run", "daily.yaml", "--set", f"{name}=3")

    assert done.returncode == 2
    assert f"has no input {name!r}" in done.stderr
    known = done.stderr.partition("it has: ")[2]
    assert known and "." not in known and "_values" not in known


def test_validate_tells_every_mistake_of_every_file(liteflow, daily):
    (daily / "bad.yaml").write_text(
        "workflow_name: bad\ntasks:\n  a: {run: ls, retires: 3}\n  b: {run: ls, depends_on: [c]}\n"
    )
    (daily / "broken.py").write_text("from liteflow import flow\n\n@flow\ndef f():\n    return None\n")

    assert liteflow("validate", "daily.yaml", "etl.py").stdout.splitlines() == [
        "daily.yaml: well, 4 tasks",
        "etl.py: well, 1 flow",
    ]
    done = liteflow("validate", "daily.yaml", "bad.yaml", "broken.py", "nope.yaml")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0].startswith("bad.yaml:3:16: tasks.a.retires is unknown; did you mean 'retries'?")
    assert lines[1].startswith("bad.yaml:4:")
    assert "returns None" in lines[2]
    assert "there is no such file" in lines[3]
    found = json.loads(liteflow("validate", "bad.yaml", "--json").stdout)
    assert [m["line"] for m in found[0]["mistakes"]] == [3, 4]


@pytest.mark.parametrize(
    ("suffix", "begins"),
    [
        ("svg", "<svg "),
        ("html", "<!doctype html>"),
        ("mmd", "flowchart"),
        ("dot", "digraph"),
        ("txt", "daily"),
    ],
)
def test_a_file_is_drawn_without_a_run_and_without_graphviz(liteflow, daily, suffix, begins):
    done = liteflow("dag", "--file", "daily.yaml", "--output", f"x.{suffix}", env={"PATH": "/nowhere"})

    assert done.returncode == 0, done.stderr
    assert (daily / f"x.{suffix}").read_text().startswith(begins)
    assert not (daily / "liteflow.db").exists()


def test_a_picture_that_is_to_be_two_kinds_is_none(liteflow, daily):
    done = liteflow("dag", "daily.yaml", "--format", "mermaid", "--output", "x.svg")

    assert done.returncode == 2
    assert "--format says mermaid, and x.svg is named for svg" in done.stderr
    assert liteflow("dag", "daily.yaml", "--format", "dot", "--output", "x.gv").returncode == 0


def test_logs_of_a_task_are_of_the_latest_run_that_has_it_and_of_all_its_items(liteflow, folder):
    text = "{workflow_name: e, tasks: {say: {foreach: [a, b], run: 'echo ${{ item }}'}}}"
    (folder / "each.yaml").write_text(text)
    (folder / "other.yaml").write_text("{workflow_name: o, tasks: {x: {run: echo x}}}")
    liteflow("run", "each.yaml", "-q", "--max-workers", "1")
    liteflow("run", "other.yaml", "-q")

    for words in (["--task", "say"], ["e", "say"], ["--task", "say", "--follow"]):
        lines = liteflow("logs", *words).stdout.splitlines()
        assert [line.split(" ", 1)[1] for line in lines] == ["say[0] | a", "say[1] | b"]
    assert liteflow("logs", "--task", "say[1]", "--raw").stdout == "b\n"
    assert "has no task instance 'nope'; it has: x" in liteflow("logs", "--task", "nope").stderr


def test_validate_names_a_file_that_is_not_there_once(liteflow):
    assert liteflow("validate", "nope.yaml").stderr == "nope.yaml: there is no such file\n"


def test_what_needs_graphviz_says_so(liteflow, daily):
    done = liteflow("dag", "daily.yaml", "-o", "x.png", env={"PATH": "/nowhere"})

    assert done.returncode == 2
    assert "png needs Graphviz" in done.stderr
    assert liteflow("dag", "daily.yaml", "-o", "x.jpeg").returncode == 2
    if shutil.which("dot"):
        assert liteflow("dag", "daily.yaml", "-o", "x.png").returncode == 0
        assert (daily / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", list(Starter))
def test_each_template_is_well_runs_and_becomes_a_script(liteflow, daily, kind):
    text = liteflow("template", kind).stdout
    assert text.count("#") >= 2
    (daily / "t.yaml").write_text(text)

    assert liteflow("validate", "t.yaml").returncode == 0
    ran = record(liteflow("run", "t.yaml", "--json", "-q"))
    assert ran["state"] == "succeeded"
    assert liteflow("convert", "t.yaml", "--to", "py", "--output", "t.py").returncode == 0
    assert liteflow("validate", "t.py").returncode == 0
    assert liteflow("convert", "t.yaml", "--to", "json", "--output", "t.json").returncode == 0
    assert (
        liteflow("validate", "t.json").stdout
        == f"t.json: well, {text.count('    run:') + text.count('call:')} tasks\n"
    )


def test_a_template_has_the_name_it_is_given_and_spares_what_is_there(liteflow, daily):
    assert "workflow_name: my_workflow\n" in liteflow("template", "my_workflow").stdout
    assert liteflow("template", "x", "--output", "daily.yaml").returncode == 2
    assert (daily / "daily.yaml").read_text() == DAILY
    assert liteflow("template", "../x").returncode == 2


def test_types_are_listed_with_their_fields(liteflow):
    assert "  exit_codes: list[int]" in liteflow("types").stdout
    kinds = [one["kind"] for one in json.loads(liteflow("types", "--json").stdout)]
    assert kinds[:4] == ["shell", "python", "http", "sql"]
    assert liteflow("types", "shel").returncode == 2


def test_clear_asks_shows_and_takes_away_only_what_is_meant(liteflow, daily):
    (daily / "ok").touch()
    # An id may begin as the name of a flow does, by chance.
    liteflow("run", "daily.yaml", "-q", "--run-id", "e2e2e2e2")
    liteflow("run", "etl.py", "-q")
    liteflow("run", "etl.py", "-q", "--run-id", "mine")

    shown = liteflow("clear", "etl", "--dry-run")
    assert shown.returncode == 0
    assert shown.stdout.startswith("2 runs would go")
    asked = liteflow("clear", "etl")
    assert asked.returncode == 2
    assert "nothing is taken away; say y, or --yes" in asked.stderr
    assert liteflow("clear", "*").returncode == 2
    assert len(json.loads(liteflow("runs", "--json").stdout)) == 3

    assert liteflow("clear", "mine", "--yes").stdout == "1 run gone\n"
    assert liteflow("clear", "e*", "--yes").stdout == "1 run gone\n"
    assert [run["flow"] for run in json.loads(liteflow("runs", "--json").stdout)] == ["daily"]
    assert liteflow("check").returncode == 0
    assert liteflow("clear", "etl").returncode == 2


def test_gc_keeps_what_is_young(liteflow, daily):
    liteflow("run", "etl.py", "-q")

    assert liteflow("gc", "--keep", "1h", "--yes").stdout == "there is nothing to take away\n"
    assert liteflow("gc", "--keep", "0s", "--dry-run").stdout.startswith("1 run would go")
    assert liteflow("gc", "--keep", "0s", "--yes").stdout == "1 run gone\n"
    assert liteflow("gc", "--keep", "30x").returncode == 2


def test_a_run_that_goes_on_is_not_taken_away(liteflow, daily):
    (daily / "long.yaml").write_text("workflow_name: long\ntasks: {a: {run: 'echo up; exec sleep 60'}}\n")
    driver = subprocess.Popen(
        [sys.executable, "-m", "liteflow", "run", "long.yaml"],
        cwd=daily,
        env=environment(PYTHONUNBUFFERED="1"),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert driver.stderr is not None
        while "a | up" not in driver.stderr.readline():
            assert driver.poll() is None
        for words in (("clear", "long", "--yes"), ("clear", "*", "--yes")):
            assert liteflow(*words).returncode == 3
        assert liteflow("gc", "--keep", "0s", "--yes").stdout == "there is nothing to take away\n"
        assert len(json.loads(liteflow("runs", "--json").stdout)) == 1
    finally:
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=30)
    assert liteflow("clear", "long", "--yes").stdout == "1 run gone\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_completion_is_one_that_its_shell_reads(liteflow, shell):
    script = liteflow("completion", shell).stdout

    assert "list-checkpoints" in script
    if shutil.which(shell):
        check = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)
        assert check.returncode == 0, check.stderr


def test_bash_completes_commands_and_options(liteflow):
    script = liteflow("completion", "bash").stdout
    ask = 'COMP_WORDS=(liteflow run --dr); COMP_CWORD=2; _liteflow; echo "${COMPREPLY[@]}"'

    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], text=True, capture_output=True, check=True)
    assert done.stdout == "--dry-run\n"


def test_the_page_on_the_command_line_is_that_of_the_program(liteflow):
    from pathlib import Path

    from liteflow.cli.page import page

    shipped = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
    assert shipped.read_text() == page(), "run: python -m liteflow.cli.page > docs/command-line.md"


SECRETS = """\
workflow_name: secrets
params:
  api_token: tok-1
  login: {default: {user: ada, password: pass-2, hosts: [{private_key: key-3}]}}
tasks:
  a:
    run: ": ${{ params.api_token }} ${{ params.login }} ${{ params.login.password }} pg://ada:pass-4@host"
    env: {MY_SECRET: sec-5, PLAIN: "${{ params.api_token }}"}
"""
HIDDEN = ("tok-1", "pass-2", "key-3", "pass-4", "sec-5")


def test_a_plan_and_the_record_of_a_run_hide_what_is_a_secret_by_its_name(liteflow, folder):
    (folder / "s.yaml").write_text(SECRETS)

    plan = liteflow("run", "s.yaml", "--dry-run")
    as_json = liteflow("run", "s.yaml", "--dry-run", "--json")
    ended = liteflow("run", "s.yaml", "--mode", "inline")
    shown = liteflow("show", "secrets")

    assert (plan.returncode, as_json.returncode, ended.returncode) == (0, 0, 0)
    assert "ada" in plan.stdout
    assert "***" in shown.stdout
    for text in (plan.stdout, as_json.stdout, ended.stdout + ended.stderr, shown.stdout):
        assert not [secret for secret in HIDDEN if secret in text]


SECRET_PARAMETER = """\
workflow_name: deploy
params:
  key: {secret: true, help: who may}
tasks:
  a: {run: "echo with ${{ params.key }}; echo err $KEY >&2", env: {KEY: "${{ params.key }}"}}
  b: {type: python, call: "bad:fail", args: ["${{ params.key }}"]}
  c: {run: ["printf", "a\\n${{ params.key }}"], foreach: [1, 2], when: "${{ params.key }} != ''"}
"""


def test_what_a_file_says_is_secret_is_shown_by_no_command(liteflow, folder):
    (folder / "s.yaml").write_text(SECRET_PARAMETER)
    (folder / "bad.py").write_text("def fail(key):\n    raise ValueError(key)\n")
    environment = {"LITEFLOW_SECRET_KEY": "s3cr3t-key"}
    commands = [
        ("run", "s.yaml", "--dry-run"),
        ("run", "s.yaml", "--mode", "thread", "--log-dir", "logs", "--json"),
        ("run", "s.yaml", "--resume", "--dry-run", "--json"),
        ("show", "deploy"),
        ("logs", "deploy"),
    ]

    said = {words: liteflow(*words, env=environment.items()) for words in commands}

    assert [done.returncode for done in said.values()] == [0, 1, 0, 0, 0]
    assert not [words for words, done in said.items() if "s3cr3t" in done.stdout + done.stderr]
    assert not [log for log in (folder / "logs").iterdir() if "s3cr3t" in log.read_text()]
    assert "with ***" in said["logs", "deploy"].stdout
    assert "ValueError: ***" in said["show", "deploy"].stdout
    lacking = liteflow("resume", "s.yaml")
    assert lacking.returncode == 2
    assert "was given 'key', and secrets are not stored; set LITEFLOW_SECRET_KEY" in lacking.stderr
