"""A task of a file for each item of a list, and tasks that run under a condition."""

import json
import subprocess
import sys

import pytest
from programs import run_file, write

from liteflow import Flow
from liteflow.files.convert import to_python
from liteflow.files.load import load_workflow
from liteflow.files.mistakes import WorkflowFileError

HEAD = "workflow_name: w\n"

ALL = """
workflow_name: x
params: {n: 3, words: [a, b], env: prod, sizes: [{name: s, size: 1}, {name: l, size: 9}]}
tasks:
  list: {run: 'seq ${{ params.n }}', outputs: lines}
  twice:
    foreach: ${{ tasks.list.output }}
    type: python
    run: result = int(${{ item }}) * 2
  add:
    foreach: ${{ tasks.twice.output }}
    type: python
    run: result = ${{ item }} + ${{ params.n }}
    when: ${{ item }} >= 4
  words:
    foreach: ["${{ params.words[0] }}", {k: 1}, "of ${{ params.env }}"]
    run: echo ${{ item }} in ${{ params.env }}
  large:
    foreach: ${{ params.sizes }}
    when: ${{ item.size }} > 5
    run: [echo, "${{ item.name }}"]
  none: {foreach: [], run: 'echo ${{ item }}'}
  all_or_nothing: {foreach: [1, 2], when: '${{ params.env }} == "test"', run: 'echo ${{ item }}'}
  deploy:
    when: ${{ params.env }} == "prod" and ${{ tasks.add.output }} != []
    run: echo deployed ${{ tasks.words.output }}
  bad: {run: exit 3}
  not_deployed: {when: 'not (${{ params.env }} in ["prod", "test"])', run: echo no}
  after: {run: echo not, depends_on: [not_deployed]}
  some: {when: any, run: 'echo "<${{ tasks.bad.output }}>" ${{ tasks.list.output[0] }}'}
  never: {when: false, run: echo no}
  clean:
    when: always
    run: echo ${{ tasks.bad.state }} ${{ tasks.deploy.state }} ${{ tasks.after.state }}
  codes: {foreach: [0, 3], exit_codes: [0, 3], run: 'exit ${{ item }}'}
"""

STATES = {
    "list": "succeeded",
    "twice": "succeeded",
    "add": "succeeded",
    "words": "succeeded",
    "large": "succeeded",
    "none": "succeeded",
    "all_or_nothing": "skipped",
    "deploy": "succeeded",
    "bad": "failed",
    "not_deployed": "skipped",
    "after": "skipped",
    "some": "succeeded",
    "never": "skipped",
    "clean": "succeeded",
    "codes": "succeeded",
}
OUTPUTS = {
    "twice": [2, 4, 6],
    "add": [7, 9],
    "words": ["a in prod", '{"k": 1} in prod', "of prod in prod"],
    "large": ["l"],
    "none": [],
    "deploy": 'deployed ["a in prod", "{\\"k\\": 1} in prod", "of prod in prod"]',
    "some": "<> 1",
    "clean": "failed succeeded skipped",
    "codes": [{"output": "", "exit_code": 0}, {"output": "", "exit_code": 3}],
}


def came_out(told):
    """States and outputs of the tasks that the file names."""
    states = {key: told["tasks"][key][0] for key in STATES}
    return states, {key: told["outputs"].get(key) for key in OUTPUTS}


@pytest.mark.parametrize("mode", ["process", "thread"])
def test_foreach_and_when_do_what_they_say(mode, tmp_path):
    told = run_file(write(tmp_path, ALL), tmp_path, executor=mode)

    assert came_out(told) == (STATES, OUTPUTS)
    assert told["tasks"]["twice[1]"][0] == "succeeded"
    assert told["state"] == "failed"


def test_the_script_of_such_a_file_does_the_same(tmp_path):
    script = to_python(load_workflow(write(tmp_path, ALL)), "x.yaml")
    namespace = {"__name__": "made"}

    exec(script, namespace)
    run = namespace["x"].run(db=None, check=False, executor="thread")

    outputs = {key: run.output(key) for key, row in run.tasks.items() if row.state == "succeeded"}
    told = {
        "tasks": {k: (r.state,) for k, r in run.tasks.items()},
        "outputs": json.loads(json.dumps(outputs)),
    }
    assert came_out(told) == (STATES, OUTPUTS)


def test_each_item_goes_on_as_soon_as_it_is_ready(tmp_path):
    # Item 0 of the second task lets item 1 of the first one go on: with a barrier it would wait for ever.
    text = (
        HEAD + "tasks:\n"
        "  first: {foreach: [0, 1], timeout: 30, run: 'test ${{ item }} = 0 || until test -e go; "
        "do sleep 0.05; done; echo ${{ item }}'}\n"
        "  second: {foreach: '${{ tasks.first.output }}', run: 'touch go'}\n"
        "settings: {max_parallel_tasks: 2}\n"
    )
    told = run_file(write(tmp_path, text), tmp_path)

    assert told["state"] == "succeeded", told["tasks"]


def test_a_task_of_a_module_is_mapped_and_gated(tmp_path):
    (tmp_path / "beside.py").write_text(
        "from liteflow import task\n@task(retries=4)\ndef add(a: int, b: int = 1) -> int: return a + b\n"
    )
    text = (
        HEAD + "params: {ns: [1, 2, 3], go: true}\ntasks:\n"
        "  a: {type: task, call: 'beside:add', foreach: '${{ params.ns }}', when: '${{ item }} != 2',\n"
        "      args: {a: '${{ item }}', b: 10}}\n"
        "  b: {type: task, call: 'beside:add', when: '${{ params.go }}',\n"
        "      args: ['${{ tasks.a.output[1] }}']}\n"
        "  c: {type: task, call: 'beside:add', foreach: [{n: 4}], args: ['${{ item.n }}']}\n"
    )
    path = write(tmp_path, text)

    told = run_file(path, tmp_path)
    assert told["outputs"]["a"] == [11, 13]
    assert told["outputs"]["b"] == 14
    assert told["outputs"]["c"] == [5]
    told = run_file(path, tmp_path, go=False)
    assert told["tasks"]["b"][0] == "skipped"
    script = write(tmp_path, to_python(load_workflow(path), "x.yaml"), "x.py")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "{'b': 14, 'c': [5]}\n", done.stderr


def test_a_condition_that_can_not_be_told_fails_its_task_and_says_why(tmp_path):
    text = HEAD + "tasks:\n  a: {run: echo 3}\n  b: {run: ls, when: '${{ tasks.a.output }} > 2'}\n"
    told = run_file(write(tmp_path, text), tmp_path)

    state, _, error = told["tasks"]["b"]
    assert state == "failed"
    assert "when: '3' > 2: one is text and one a number; outputs: json" in error


def test_a_failed_item_fails_the_task_and_the_others_still_run(tmp_path):
    text = HEAD + "tasks:\n  a: {foreach: [0, 1, 0], when: '${{ item }} < 5', run: 'exit ${{ item }}'}\n"
    told = run_file(write(tmp_path, text), tmp_path)

    assert told["tasks"]["a"][0] in ("failed", "upstream_failed")
    assert [told["tasks"][f"a[{i}]"][0] for i in range(3)] == ["succeeded", "failed", "succeeded"]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (
            "{run: ls, when: sometimes}",
            r"x.yaml:4:22: tasks.a.when 'sometimes' is no value; if it is text, quote it",
        ),
        ("{run: ls, when: '${{ params.x }} =='}", "4:.*tasks.a.when a value is missing"),
        ("{run: ls, when: '${{ item }}'}", "names the item, but the task has no foreach"),
        ("{run: ls, when: '${{ tasks.a.output }}'}", "makes the task wait for itself"),
        ("{run: ls, when: 3}", "must be true or false or text"),
        ("{run: ls, foreach: abc}", "is 'abc', which is no list; write a list, or one template"),
        ("{run: ls, foreach: 'x ${{ params.x }}'}", "is no list"),
        ("{run: ls, foreach: ['${{ item }}']}", "names the item"),
        (
            "{run: 'echo ${{ tasks.b.exit_code }}'}",
            "asks for the exit code of a task that is run for each item",
        ),
        ("{run: 'echo ${{ tasks.c.exit_code }}', when: always}", r"may have none: .*use tasks\.c\.state"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(task, says, tmp_path):
    text = HEAD + f"params: {{x: 1}}\ntasks:\n  a: {task}\n  b: {{foreach: [1], run: ls}}\n  c: {{run: ls}}\n"

    with pytest.raises(WorkflowFileError, match=says):
        load_workflow(write(tmp_path, text))


@pytest.mark.parametrize(
    ("value", "says"), [("abc", "is 'abc'"), (3, "and no list"), ({"a": 1}, "is a dict: map over list")]
)
def test_a_parameter_that_is_no_list_can_not_be_gone_through(value, says, tmp_path):
    text = HEAD + "params: {x: {type: any}}\ntasks:\n  a: {foreach: '${{ params.x }}', run: ls}\n"
    flow = Flow.from_file(write(tmp_path, text))

    with pytest.raises(WorkflowFileError, match=r"x\.yaml:4:\d+: tasks\.a\.foreach.*") as caught:
        flow.compile(x=value)
    assert says in str(caught.value)


def test_a_command_over_its_time_is_not_said_to_go_on(tmp_path):
    flow = Flow.from_file(write(tmp_path, HEAD + "tasks: {a: {run: sleep 60, timeout: 0.05}}"))

    run = flow.run(db=None, executor="thread", check=False)

    assert run.tasks["a"].error in (
        "TimeoutError: ran for over 0.05 s",
        "TimeoutError: the command ran for over 0.05 s",
    )
