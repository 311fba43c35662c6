"""Files as flows: edges, order, parameters, policies, failures, isolation."""

import os
import time
from pathlib import Path

import pytest
from programs import run_file, write

from liteflow import Flow
from liteflow.cli.source import load_flow_from
from liteflow.errors import ArgumentError, EdgeTypeError, SettingError
from liteflow.files.mistakes import WorkflowFileError
from liteflow.fingerprint import code_of, is_same_code
from liteflow.task_types import Python
from liteflow.task_types.work import FileTask

HEAD = "workflow_name: w\n"


def flow(folder, tasks, head=HEAD):
    return Flow.from_file(write(folder, f"{head}tasks:\n{tasks}"))


def test_templates_make_edges_and_depends_on_orders(tmp_path):
    dag = flow(
        tmp_path,
        "  a: {run: echo a}\n  b: {run: echo b, depends_on: [a]}\n"
        "  c: {run: 'echo ${{ tasks.a.output }}', depends_on: [a, b]}\n",
    ).compile()

    assert dag.edges == (("a", "b", None), ("a", "c", "_values"), ("b", "c", None))
    assert dag.leaves == ("c",)


def test_the_params_of_a_file_are_the_parameters_of_its_flow(tmp_path):
    made = flow(tmp_path, "  a: {run: 'echo ${{ params.n }}'}\n", HEAD + "params: {n: 3, day: {type: str}}\n")

    assert {n: (p.annotation, p.required) for n, p in made.parameters.items()} == {
        "n": (int, False),
        "day": (str, True),
    }
    with pytest.raises(ArgumentError, match="day"):
        made.compile()
    with pytest.raises(ArgumentError, match="n"):
        made.compile(day="x", n="three")


def test_settings_hold_for_tasks_that_say_nothing_themselves(tmp_path):
    head = HEAD + "settings: {max_parallel_tasks: 3, retries: 2, timeout: 9, mode: thread, db: x.db}\n"
    made = flow(
        tmp_path, "  a: {run: x}\n  b: {run: x, retries: 0, timeout: 1, retry_delay: 5, backoff: 2}\n", head
    )
    policies = {node.key: node.task.policy for node in made.compile().nodes}

    assert made.options == {"max_workers": 3, "executor": "thread", "db": "x.db"}
    assert (policies["a"].retries, policies["a"].timeout) == (2, 9)
    assert (
        policies["b"].retries,
        policies["b"].timeout,
        policies["b"].retry_delay,
        policies["b"].backoff,
    ) == (0, 1, 5, 2)


def test_a_task_takes_what_its_file_says(tmp_path):
    head = HEAD + "settings: {resources: {telescope: 1}}\n"
    made = flow(tmp_path, "  a: {run: x, resources: {telescope: 1, memory: 2MB}}\n  b: {run: x}\n", head)
    policies = {node.key: node.task.policy for node in made.compile().nodes}

    assert made.options == {"resources": {"telescope": 1}}
    assert policies["a"].resources.amounts == (("memory", 2_000_000), ("telescope", 1))
    assert policies["b"].resources is None


@pytest.mark.parametrize("mode", ["process", "thread", "inline"])
def test_results_flow_between_tasks_in_every_mode(mode, tmp_path):
    path = write(
        tmp_path,
        HEAD
        + 'params: {x: "$(touch pwned) \'q\' \\""}\n'
        + "tasks:\n"
        + "  lines: {run: 'echo ${{ params.x }}; echo 2', outputs: lines}\n"
        + "  match: {run: 'exit 3', exit_codes: [0, 3]}\n"
        + "  code:\n    type: python\n    run: |\n"
        + "      codes = [${{ tasks.match.exit_code }}, ${{ tasks.lines.exit_code }}]\n"
        + "      result = [*${{ tasks.lines.output }}, *codes]\n"
        + "  last: {run: 'echo ${{ tasks.code.output[-2] }} ${{ tasks.lines.output[0] }}'}\n",
    )

    told = run_file(path, tmp_path, executor=mode)

    assert told["outputs"]["code"] == ["$(touch pwned) 'q' \"", "2", 3, 0]
    assert told["outputs"]["last"] == "3 $(touch pwned) 'q' \""
    assert not (tmp_path / "pwned").exists()


def test_a_failed_task_is_retried_and_what_needs_it_does_not_run(tmp_path):
    path = write(
        tmp_path,
        HEAD
        + "tasks:\n  bad: {run: 'echo no >&2; exit 2', retries: 2}\n"
        + "  after: {run: echo x, depends_on: [bad]}\n  other: {run: echo fine}\n",
    )
    told = run_file(path, tmp_path)

    assert told["state"] == "failed"
    assert told["tasks"]["bad"][:2] == ["failed", 3]
    assert "exit code 2; its last words: no" in told["tasks"]["bad"][2]
    assert told["tasks"]["after"][0] == "upstream_failed"
    assert told["outputs"] == {"other": "fine"}
    assert told["logs"]["bad"] == "no" * 3


@pytest.mark.parametrize("mode", ["process", "thread"])
def test_a_timeout_ends_the_command_with_all_that_it_started(mode, tmp_path):
    path = write(
        tmp_path, HEAD + f"tasks:\n  a: {{run: 'sleep 60 & echo $! > {tmp_path}/pid; wait', timeout: 0.7}}\n"
    )
    told = run_file(path, tmp_path, executor=mode)

    assert told["tasks"]["a"][0] == "failed"
    assert "TimeoutError" in told["tasks"]["a"][2]
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_python_code_hurts_nobody(tmp_path):
    path = write(
        tmp_path,
        HEAD
        + "tasks:\n"
        + "  exits: {type: python, run: 'import sys; sys.exit(0)'}\n"
        + "  dies: {type: python, run: 'import os; os.kill(os.getpid(), 9)'}\n"
        + "  globals: {type: python, run: 'import math; math.pi = 3; spoilt = 1'}\n"
        + "  looks: {type: python, run: 'result = \"spoilt\" in globals()', depends_on: [globals]}\n",
    )
    told = run_file(path, tmp_path, executor="thread")

    states = {key: state for key, (state, _, _) in told["tasks"].items()}
    assert states == {"exits": "failed", "dies": "failed", "globals": "succeeded", "looks": "succeeded"}
    assert told["outputs"]["looks"] is False


def test_modules_beside_the_file_are_found_from_anywhere(tmp_path):
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "beside.py").write_text(
        "from liteflow import task\ndef double(n): return 2 * n\n"
        "@task(retries=4)\ndef add(a: int, b: int = 1) -> int: return a + b\n"
        "@task\ndef word() -> str: return 'x'\n"
    )
    path = write(
        tmp_path / "flows",
        HEAD
        + "params: {n: 3}\ntasks:\n"
        + "  twice: {type: python, call: 'beside:double', args: ['${{ params.n }}']}\n"
        + "  more: {type: task, call: 'beside:add', args: {a: '${{ tasks.twice.output }}', b: 10}}\n",
    )
    (tmp_path / "elsewhere").mkdir()

    told = run_file(path, tmp_path / "elsewhere")

    assert told["outputs"] == {"twice": 6, "more": 16}


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A module of tasks, under a name that no other test has loaded."""
    name = f"beside_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "from liteflow import task\n"
        "@task(retries=4)\ndef add(a: int, b: int = 1) -> int: return a + b\n"
        "@task\ndef word() -> str: return 'x'\nplain = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_task_of_a_module_keeps_its_settings_and_its_types(tmp_path, beside):
    made = flow(tmp_path, f"  a: {{type: task, call: '{beside}:add', args: [1]}}\n")
    assert made.compile().node("a").task.policy.retries == 4

    with pytest.raises(EdgeTypeError, match=r"x\.yaml:4") as caught:
        flow(
            tmp_path,
            f"  w: {{type: task, call: '{beside}:word'}}\n"
            f"  a: {{type: task, call: '{beside}:add', args: ['${{{{ tasks.w.output }}}}']}}\n",
        ).compile()
    assert "takes a: int" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "args", "says"),
    [
        ("nosuchmodule:f", "[]", "no module 'nosuchmodule'; modules were looked for in"),
        ("BESIDE:nope", "[]", "has no 'nope'"),
        ("BESIDE:plain", "[]", "which is int and no task; decorate it with @task"),
        ("BESIDE:add", "[]", "has no 'a', which a() needs"),
        ("BESIDE:add", "['n ${{ tasks.w.output }}']", "inside a text"),
    ],
)
def test_a_task_that_can_not_be_called_is_told_of_before_anything_runs(call, args, says, tmp_path, beside):
    tasks = f"  w: {{run: ls}}\n  a: {{type: task, call: '{call.replace('BESIDE', beside)}', args: {args}}}\n"

    with pytest.raises(WorkflowFileError, match=r"x\.yaml:4:\d+: tasks\.a\.") as caught:
        flow(tmp_path, tasks).compile()

    assert says in str(caught.value)


def test_an_item_that_a_parameter_does_not_have_is_told_of(tmp_path):
    made = flow(
        tmp_path, "  a: {run: 'echo ${{ params.d.x[0] }}'}\n", HEAD + "params: {d: {default: {x: [1]}}}\n"
    )

    assert made.compile().node("a").key == "a"
    with pytest.raises(WorkflowFileError, match=r"uses params\.d\.x\[0\], which its value does not have"):
        made.compile(d={})


def test_a_run_is_recorded_with_its_file(tmp_path):
    made = flow(tmp_path, "  a: {run: echo a}\n")

    run = made.run(db=tmp_path / "x.db", executor="inline")

    from liteflow.store.history import History

    with History(str(tmp_path / "x.db")) as history:
        assert history.find_run(run.id).script == str(tmp_path / "x.yaml")


def test_a_resume_runs_again_what_the_file_says_differently_now(tmp_path):
    db = tmp_path / "x.db"
    tasks = "  a: {run: echo 1}\n  b: {run: echo 2, timeout: 50}\n  c: {run: exit 1, depends_on: [a, b]}\n"
    first = flow(tmp_path, tasks).run(db=db, executor="inline", check=False)

    changed = tasks.replace("echo 1", "echo 3").replace("50", "60").replace("exit 1", "echo done")
    again = flow(tmp_path, changed).resume(first.id, db=db, executor="inline")

    assert again.output("a") == "3"
    attempts = {key: row.started_at for key, row in again.tasks.items()}
    assert attempts["b"] < attempts["a"]


CALLED = """\
from helpers import inner
from package import part
import package.deep

RATE = 2

def other():
    return 'other'

def work(n):
    \"\"\"What it is for.\"\"\"
    return inner(n) + part.more() + package.deep.last() + RATE
"""


@pytest.mark.parametrize(
    ("file", "before", "after", "again"),
    [
        ("beside.py", "RATE = 2", "RATE = 3", True),
        ("beside.py", "inner(n) +", "inner(n) -", True),
        ("beside.py", "What it is for", "Something else", False),
        ("beside.py", "'other'", "'another'", False),
        ("helpers.py", "n + 1", "n + 2", True),
        ("package/part.py", "last() + 1", "last() + 10", True),
        ("package/deep.py", "return 5", "return 50", True),
        ("package/deep.py", "'unused'", "'still unused'", False),
    ],
)
def test_the_code_that_a_call_leads_to_is_a_part_of_its_task(file, before, after, again, tmp_path):
    (tmp_path / "package").mkdir()
    files = {
        "beside.py": CALLED,
        "helpers.py": "def inner(n):\n    return n + 1\n",
        "package/__init__.py": "",
        "package/part.py": "from .deep import last\n\ndef more():\n    return last() + 1\n",
        "package/deep.py": "def last():\n    return 5\n\ndef unused():\n    return 'unused'\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    task = FileTask(Python(call="beside:work", args=[1]), folder=str(tmp_path))
    known = code_of(task)

    assert before in files[file]
    (tmp_path / file).write_text(files[file].replace(before, after))

    assert is_same_code(known, code_of(task)) is not again


def test_a_resume_calls_a_function_again_whose_code_has_changed(tmp_path):
    module = tmp_path / "changing.py"
    module.write_text("def one():\n    return 1\ndef two():\n    return 2\n")
    tasks = "".join(f"  {name}: {{type: python, call: 'changing:{name}'}}\n" for name in ("one", "two"))
    path = write(tmp_path, f"{HEAD}tasks:\n{tasks}  c: {{run: exit 1, depends_on: [one, two]}}\n")
    first = Flow.from_file(path).run(db=tmp_path / "x.db", check=False)

    module.write_text(module.read_text().replace("return 1", "return 'one'"))
    again = Flow.from_file(path).resume(first.id, db=tmp_path / "x.db", check=False)

    assert (again.output("one"), again.output("two")) == ("one", 2)
    began = {key: row.started_at for key, row in again.tasks.items()}
    assert began["two"] < began["one"]


def test_code_of_a_task_imports_modules_beside_the_file(tmp_path):
    (tmp_path / "beside_code.py").write_text("def word():\n    return 'found'\n")
    tasks = "  a: {type: python, run: 'import beside_code; result = beside_code.word()'}\n"

    assert flow(tmp_path, tasks).run(db=None).result == {"a": "found"}


def test_a_flow_of_a_file_may_have_another_name(tmp_path):
    path = write(tmp_path, "workflow_name: w\ntasks: {a: {run: 'true'}}")

    assert Flow.from_file(path, name="nightly").name == "nightly"
    assert load_flow_from(str(path), "nightly", recorded=True).name == "nightly"
    with pytest.raises(SettingError, match="name must be 1 to 200 characters"):
        Flow.from_file(path, name="a/b")
