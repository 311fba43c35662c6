"""`liteflow run FILE`: what it runs, what it says, how it ends."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest
from cli_program import environment
from support.forked import Forked, Request


def one_line(text):
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("liteflow: ")
    return lines[0]


# --- what it runs ----------------------------------------------------------------------------


def test_the_only_flow_of_a_script_is_run_and_its_output_shown(new_liteflow):
    done = new_liteflow("run", "etl.py")

    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout.splitlines()[0]
    assert 'load = "sales: 12.0"' in done.stdout
    assert "extract: succeeded" in done.stderr
    assert "extract | extracting 4" in done.stderr


def test_arguments_go_to_the_flow_and_to_its_tasks(liteflow):
    done = liteflow("run", "etl.py", "n=3", "table=7", "double.factor=10", "--json", "--quiet")

    assert done.stderr == ""
    run = json.loads(done.stdout)
    assert run["outputs"]["load"]["value"] == "7: 30"
    assert run["state"] == "succeeded"
    assert run["states"] == {"succeeded": 3}


def test_the_store_is_where_the_option_says_else_the_environment_else_here(liteflow, folder):
    liteflow("run", "etl.py", "--db", "a.db", env={"LITEFLOW_DB": "b.db"})
    liteflow("run", "etl.py", env={"LITEFLOW_DB": "b.db"})
    liteflow("run", "etl.py")

    assert {path.name for path in folder.glob("*.db")} == {"a.db", "b.db", "liteflow.db"}


def test_a_flow_is_named_after_a_colon_when_there_are_several(liteflow, folder):
    (folder / "two.py").write_text(
        (folder / "etl.py").read_text() + "\nother = etl\nshort = type(etl)('short', extract(2))\n"
    )

    wrong = liteflow("run", "two.py")
    assert wrong.returncode == 2
    assert "2 flows: etl, short; say which one: two.py:etl" in one_line(wrong.stderr)

    assert liteflow("run", "two.py:short").returncode == 0
    assert liteflow("run", "two.py:other").returncode == 0


def test_modules_beside_the_script_can_be_imported_here_and_in_workers(new_liteflow, folder):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "elsewhere" / "flows.py").write_text(
        "import helper\nfrom liteflow import flow, task\n"
        "@task\ndef t(x: int) -> int:\n    import helper as h\n    return h.double(helper.double(x))\n"
        "@flow\ndef f(x: int = 5):\n    return t(x)\n"
    )
    done = new_liteflow("run", "elsewhere/flows.py", "--json", "-q")
    assert json.loads(done.stdout)["outputs"]["t"]["value"] == 20


def test_classes_of_the_script_are_the_same_in_every_task(liteflow, folder):
    (folder / "kinds.py").write_text(
        "import enum\nfrom dataclasses import dataclass\nfrom liteflow import flow, task\n"
        "class Colour(enum.Enum):\n    RED = 1\n"
        "@dataclass\nclass Row:\n    colour: Colour\n"
        "@task\ndef make() -> Row:\n    return Row(Colour.RED)\n"
        "@task\ndef same(row: Row) -> bool:\n    return row.colour is Colour.RED and isinstance(row, Row)\n"
        "@flow\ndef f():\n    return make() >> same()\n"
    )
    run = json.loads(liteflow("run", "kinds.py", "--json", "-q").stdout)
    assert run["outputs"]["same"]["value"] is True


def test_the_script_is_the_main_module(new_liteflow, folder):
    (folder / "main.py").write_text(
        "import __main__, sys\nfrom liteflow import flow, task\n"
        "@task\ndef t() -> int:\n    return 1\n"
        "@flow\ndef f():\n    assert __main__.f is f\n    assert sys.argv == [__main__.__file__]\n"
        "    return t()\n"
    )
    done = new_liteflow("run", "main.py")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_any_executor_can_be_asked_for(liteflow, executor):
    assert liteflow("run", "etl.py", "--executor", executor, "--max-workers", "1").returncode == 0


@pytest.mark.parametrize("name", ["etl.v2.py", "my-flow.py", "json.py", "flow with space.py"])
def test_a_script_may_have_any_name(new_liteflow, folder, name):
    (folder / "etl.py").rename(folder / name)
    assert new_liteflow("run", name, "-q").returncode == 0


def test_nothing_is_written_beside_the_script(new_liteflow, folder):
    new_liteflow("run", "etl.py", "--db", "x.db")
    assert sorted(path.name for path in folder.iterdir()) == ["etl.py", "failing.py", "x.db"]


# --- what it says of a run that fails --------------------------------------------------------


def test_a_failed_run_ends_with_1_and_shows_the_tasks_own_traceback(liteflow, folder):
    done = liteflow("run", "failing.py")

    assert done.returncode == 1
    assert "failing.py" in done.stderr
    assert 'raise ValueError("no such' in done.stderr
    assert r"ValueError: no such \x1b[31mthing\u202e" in done.stderr
    assert "liteflow/executor" not in done.stderr
    assert "1 failed, 1 upstream_failed, 1 succeeded" in done.stdout


def test_a_failed_run_as_json_names_what_failed(liteflow):
    done = liteflow("run", "failing.py", "--json", "--quiet")

    assert done.returncode == 1
    run = json.loads(done.stdout)
    assert run["state"] == "failed"
    assert list(run["failures"]) == ["broken"]


@pytest.mark.parametrize("mode", ["inline", "thread", "async"])
def test_the_record_as_json_stands_alone_where_tasks_print_in_this_process(liteflow, folder, mode):
    (folder / "w.yaml").write_text("{workflow_name: w, tasks: {a: {run: echo hello}}}")

    done = liteflow("run", "w.yaml", "--json", "--quiet", "--mode", mode)

    assert json.loads(done.stdout)["outputs"]["a"]["value"] == "hello"
    assert "hello" in done.stderr


# --- bad input: status 2, one line, nothing created ------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "missing"),
        (["run", "nothing.py"], "no such file: nothing.py"),
        (["run", "."], "is a directory"),
        (["run", "etl.py:daily"], "has no flow 'daily'; it has: etl"),
        (["run", "etl.py", "verbose"], "write name=value"),
        (["run", "etl.py", "m=3"], "m"),
        (["run", "etl.py", "n=3", "n=4"], "given twice"),
        (["run", "etl.py", "n=many"], "n"),
        (["run", "etl.py", "doubl.factor=3"], "doubl"),
        (["run", "etl.py", "double.nope=3"], "nope"),
        (["run", "etl.py", "--executor", "nope"], "nope"),
        (["run", "etl.py", "--max-workers", "0"], "max-workers"),
        (["run", "etl.py", "--max-workers", "x"], "max-workers"),
        (["run", "etl.py", "--workers", "3"], "--workers"),
        (["run", "etl.py", "--db", "."], "directory"),
        (["run", "etl.py", "--db", "missing/x.db"], "missing"),
        (["run", "etl.py", "--db", "etl.py"], "etl.py"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_is_told_in_one_line(liteflow, folder, words, says):
    done = liteflow(*words)

    assert done.returncode == 2
    assert says in one_line(done.stderr)
    assert done.stdout == ""
    assert not list(folder.glob("*.db*"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = (\n", "SyntaxError"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError"),
        ("x = 'a\x00b'\n", "null"),
        ("# -*- coding: nonsense -*-\n", "nonsense"),
        ("raise KeyError('\x1b[31m')\n", r"\x1b[31m"),
    ],
)
def test_a_script_that_fails_to_load_shows_its_own_traceback_and_not_ours(liteflow, folder, text, says):
    (folder / "bad.py").write_text(text)

    done = liteflow("run", "bad.py")

    assert done.returncode == 2
    assert says in done.stderr
    assert "liteflow/cli" not in done.stderr
    assert "frozen importlib" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("liteflow: bad.py failed while it was loaded")


@pytest.mark.parametrize("text", ["import sys; sys.exit(0)", "raise SystemExit('stop')"])
def test_a_script_that_ends_itself_is_told_so(liteflow, folder, text):
    (folder / "bad.py").write_text(text)
    done = liteflow("run", "bad.py")
    assert done.returncode == 2
    assert "ended itself while it was loaded" in one_line(done.stderr)


def test_a_script_without_a_flow_says_how_to_make_one(liteflow, folder):
    (folder / "none.py").write_text("x = 1\n")
    done = liteflow("run", "none.py")
    assert done.returncode == 2
    assert "has no flow; decorate a function with @flow" in one_line(done.stderr)


def test_a_script_that_runs_its_flow_when_it_is_loaded_is_told_what_to_do(liteflow, folder):
    (folder / "eager.py").write_text(
        (folder / "etl.py").read_text().partition("if __name__")[0] + "etl.run()\n"
    )

    for command in ("run", "visualize"):
        done = liteflow(command, "eager.py")
        assert done.returncode == 2
        assert "eager.py runs flow etl while it is loaded" in one_line(done.stderr)
    assert not (folder / "liteflow.db").exists()


def test_a_device_or_a_pipe_is_not_read(liteflow, folder):
    os.mkfifo(folder / "pipe.py")
    for name in ("pipe.py", "/dev/zero"):
        done = liteflow("run", name)
        assert done.returncode == 2
        assert "not a regular file" in one_line(done.stderr)


def test_a_flow_whose_function_raises_shows_its_own_traceback(liteflow, folder):
    (folder / "bad.py").write_text(
        "from liteflow import flow, task\n@task\ndef t():\n    return 1\n"
        "@flow\ndef f():\n    t()\n    raise ValueError('while building')\n"
    )
    done = liteflow("run", "bad.py")
    assert done.returncode == 2
    assert "ValueError" in done.stderr
    assert "while building" in done.stderr
    assert "liteflow/flow.py" not in done.stderr
    assert "liteflow/runnable.py" not in done.stderr


SECRETIVE = """
from liteflow import Secret, flow, task

@task
def use(token: str) -> str:
    return token

@flow
def raising(token: Secret, n: int = 1):
    raise ValueError(f"not with {token}")
"""


@pytest.mark.parametrize(
    "words", [("run",), ("run", "--dry-run"), ("run", "--debug"), ("run", "--only", "use"), ("dag",)]
)
def test_what_a_flow_raises_is_its_own_wherever_it_is_called_and_has_no_secret_in_it(liteflow, folder, words):
    (folder / "raising.py").write_text(SECRETIVE)
    command, *options = words
    if options:
        done = liteflow(command, "raising.py", "token=hunter2", *options)
    else:
        done = liteflow(command, "raising.py", env={"LITEFLOW_SECRET_TOKEN": "hunter2"})

    assert done.returncode == 2
    assert "ValueError: not with " in done.stderr
    assert done.stderr.endswith("liteflow: flow raising raised ValueError\n")
    assert "hunter2" not in done.stdout + done.stderr


def test_a_flow_is_drawn_without_its_secrets(liteflow, folder):
    (folder / "signing.py").write_text(
        SECRETIVE.replace('raise ValueError(f"not with {token}")', "return use(token)")
    )

    for command in ("dag", "visualize"):
        drawn = liteflow(command, "signing.py")
        assert (drawn.returncode, drawn.stderr) == (0, "")
        assert "use" in drawn.stdout


OBSERVING = """
from liteflow import flow, task

@task(resources={"telescope": 1, "memory": "2MB"})
def look(star: int) -> int:
    return star

@flow
def night():
    return look(7)
"""


def test_resources_are_said_by_option_and_a_dry_run_tells_what_is_taken(liteflow, folder):
    (folder / "night.py").write_text(OBSERVING)
    has_one = ("--resource", "telescope=1")

    for refused in (liteflow("run", "night.py"), liteflow("run", "night.py", "--dry-run")):
        assert refused.returncode == 2
        assert "takes telescope: 1, and this machine has telescope: 0" in one_line(refused.stderr)
        assert "--resource NAME=AMOUNT" in refused.stderr
    plan = liteflow("run", "night.py", "--dry-run", *has_one).stdout
    assert "      takes memory: 2MB, telescope: 1\n" in plan
    planned = json.loads(liteflow("run", "night.py", "--dry-run", "--json", *has_one).stdout)
    assert planned["steps"][0][0]["resources"] == {"memory": 2_000_000, "telescope": 1}
    done = liteflow("run", "night.py", *has_one)
    assert done.returncode == 0
    assert "look = 7" in done.stdout


def test_bytes_that_are_no_text_are_told_as_bad_input(folder):
    done = subprocess.run(
        [sys.executable.encode(), b"-m", b"liteflow", b"run", b"etl.py", b"table=a\xff", b"n\xff=3"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


# --- signals ---------------------------------------------------------------------------------

WAITING = """
import os, sys, time
from liteflow import flow, task

@task
def quick() -> int:
    return 1

@task
def wait(x: int) -> int:
    print("waiting", flush=True)
    time.sleep(60)
    return x

@flow
def waiting():
    return quick() >> wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_run_keeps_what_is_finished_and_is_the_exit_status(liteflow, folder, number):
    (folder / "waiting.py").write_text(WAITING)
    with subprocess.Popen(
        [sys.executable, "-m", "liteflow", "run", "waiting.py", "--run-id", "w", "--db", "my own.db"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as running:
        for line in running.stderr:
            if "wait | waiting" in line:
                break
        os.killpg(running.pid, number)
        rest = running.stderr.read()

    assert running.returncode == 128 + number
    assert "Traceback" not in rest
    assert rest.count("wait: cancelled") == 1
    told = "run w is cancelled; what had finished is kept, go on with: liteflow resume w --db 'my own.db'"
    assert told in rest
    found = json.loads(liteflow("show", "w", "--json", "--db", "my own.db").stdout)
    states = {row["key"]: row["state"] for row in found["tasks"]}
    assert states == {"quick": "succeeded", "wait": "cancelled"}


# --- terminals -------------------------------------------------------------------------------


def on_terminal(folder, *words, wide=80, **env):
    """Call the program with standard error on a terminal, and return what it drew there."""
    leader, follower = pty.openpty()
    env = environment(**{"TERM": "xterm", "COLUMNS": str(wide), "LINES": "24", **env})
    request = Request("liteflow", words, str(folder), env, own_session=True)
    with Forked(request, stdout=follower, stderr=follower) as running:
        os.close(follower)
        drawn = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                # Linux says so when the last holder of the other end is gone.
                break
            if not piece:
                break
            drawn += piece
    os.close(leader)
    return running.returncode, drawn.decode("utf-8", "replace")


def test_a_terminal_gets_a_display_that_is_gone_at_the_end(folder):
    status, drawn = on_terminal(folder, "run", "etl.py")

    assert status == 0
    assert "etl · run" in drawn
    assert "\x1b[" in drawn
    assert "load = " in drawn.rpartition("\x1b[2K")[2]


def test_a_simple_terminal_gets_lines(folder):
    status, drawn = on_terminal(folder, "run", "etl.py", TERM="dumb")

    assert status == 0
    assert "\x1b" not in drawn
    assert "extract: succeeded" in drawn


def test_a_terminal_that_wants_no_colour_gets_none(folder):
    status, drawn = on_terminal(folder, "run", "etl.py", NO_COLOR="1")

    assert status == 0
    assert "\x1b[32m" not in drawn
    assert "\x1b[1;34m" not in drawn


def test_twenty_columns_are_enough(folder):
    assert on_terminal(folder, "run", "etl.py", wide=20)[0] == 0


# --- results of earlier runs -----------------------------------------------------------------

CACHED = """
from liteflow import flow, task

@task(cache=True)
def slow(n: int) -> int:
    print("working")
    return n

@task
def total(n: int) -> int:
    return n

@flow
def cached(n: int = 3):
    return total(slow(n))
"""

AGAIN = {
    "the same": ((), "cached", 0),
    "other arguments": (("n=4",), "succeeded", 1),
    "told to": (("--refresh",), "succeeded", 1),
    "of it and what follows": (("--from", "slow"), "succeeded", 1),
    "of it alone": (("--only", "slow"), "succeeded", 1),
}


@pytest.mark.parametrize(("words", "state", "worked"), AGAIN.values(), ids=AGAIN)
def test_a_result_of_an_earlier_run_is_taken_over_unless_it_is_to_run(liteflow, folder, words, state, worked):
    (folder / "cached.py").write_text(CACHED)
    first = liteflow("run", "cached.py", "--mode", "inline")
    again = liteflow("run", "cached.py", "--mode", "inline", *words)

    assert "slow: succeeded" in first.stderr
    assert f"slow: {state}" in again.stderr
    assert [(done.stdout + done.stderr).count("working") for done in (first, again)] == [1, worked]


def test_a_replay_runs_what_has_a_cache_too(liteflow, folder):
    (folder / "cached.py").write_text(CACHED)
    liteflow("run", "cached.py", "--mode", "inline")
    assert "slow: succeeded" in liteflow("replay", "cached", "--mode", "inline").stderr


def test_steps_and_tasks_of_files_are_taken_over_too(liteflow, folder):
    (folder / "steps.py").write_text(CACHED.replace("n: int", "n").replace(" -> int", ""))
    (folder / "steps.flow").write_text("slow → total\n")
    (folder / "tasks.yaml").write_text(
        "workflow_name: tasks\ntasks:\n  slow: {run: echo working, cache: true}\n"
        "  total: {run: 'echo ${{ tasks.slow.output }}'}\n"
    )
    for file in ("steps.flow", "tasks.yaml"):
        first = liteflow("run", file, "--mode", "thread")
        again = liteflow("run", file, "--mode", "thread")
        assert "slow: succeeded" in first.stderr, first.stderr
        assert "slow: cached" in again.stderr
        assert "total: succeeded" in again.stderr
