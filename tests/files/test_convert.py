"""The script that a file is converted to does what the file does."""

import json
import os
import re
import subprocess
import sys

from programs import ROOT, run_file, write

from liteflow.files.convert import to_python
from liteflow.files.load import load_workflow, parse_workflow
from liteflow.files.write import to_yaml
from liteflow.workflow import flow_of

FILE = """
workflow_name: daily run
description: 'Says "all" of it.'
params:
  n: 3
  kind: {default: a 'b', type: str}
  day: {default: [1, 2]}
tasks:
  fetch-all:
    run: |
      echo "of ${{ params.kind }}"
      echo ${{ params.n }}
    outputs: lines
    retries: 2
  work:
    description: Named as what the script uses itself.
    type: python
    run: |
      result = {"last": ${{ tasks.fetch-all.output[1] }}, "code": ${{ tasks.grep.exit_code }}}
  grep: {run: exit 3, exit_codes: [0, 3], timeout: 9, resources: {cpus: 1, telescope: 1, memory: 1MB}}
  flow: {run: [echo, "${{ tasks.work.output.last }} ${{ params.day }}"], depends_on: [grep], retry_delay: 0.5}
  file: {run: echo hi > out.txt, outputs: {file: out.txt}}
  rows: {type: sql, db: ":memory:", run: "SELECT ${{ params.n }} AS n"}
settings: {max_parallel_tasks: 2, retries: 1, resources: {telescope: 1}}
"""


def test_the_script_gives_what_the_file_gives(tmp_path):
    path = write(tmp_path, FILE)
    script = write(tmp_path, to_python(load_workflow(path), "x.yaml"), "x.py")
    code = "import json, x\nprint(json.dumps(x.daily_run.run(db=None, n=4).result))"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr + script.read_text()
    result = json.loads(done.stdout.splitlines()[-1])
    outputs = run_file(path, tmp_path, n=4)["outputs"]
    assert result == {key: outputs[key] for key in result}
    assert result["flow"] == "4 [1, 2]"
    assert set(result) == {"flow", "file", "rows"}


def test_the_script_has_the_same_edges_and_settings(tmp_path):
    workflow = load_workflow(write(tmp_path, FILE))
    namespace = {"__name__": "made"}

    exec(to_python(workflow, "x.yaml"), namespace)

    made, told = namespace["daily_run"].compile(), flow_of(workflow, "x.yaml").compile()
    assert made.name == told.name
    assert {(e.source, e.target) for e in made.edges} == {(e.source, e.target) for e in told.edges}
    policies = [{n.key: n.task.policy for n in dag.nodes} for dag in (made, told)]
    assert policies[0] == policies[1]


def test_the_script_is_formatted_as_a_linter_likes_it(tmp_path):
    script = to_python(load_workflow(write(tmp_path, FILE)), "x.yaml")

    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E7,E9,I", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_whole_numbers_are_written_as_people_write_them_and_data_as_it_is():
    text = """
    workflow_name: w
    tasks:
      a: {run: ls, timeout: 30, retry_delay: 1.5, resources: {telescope: 1, memory: 1GB}}
      b: {type: python, call: "builtins:dict", args: {x: 1.0}}
    settings: {resources: {telescope: 2}, timeout: 60}
    """
    workflow = parse_workflow(text, "w.yaml")

    script, yaml = to_python(workflow, "w.yaml"), to_yaml(workflow)

    assert "timeout=30," in script and "retry_delay=1.5" in script and "'x': 1.0" in script
    assert "{'telescope': 1, 'memory': '1GB'}" in script and "{'telescope': 2}" in script
    assert re.findall(r".*\d\.0\b.*", yaml) == ["      x: 1.0"]
    assert parse_workflow(yaml, "w.yaml") == workflow


def test_the_script_takes_text_for_no_number_where_the_file_does_not():
    text = """
    workflow_name: w
    params: {env: prod, n: 3, what: {default: "3", type: any}}
    tasks:
      any: {run: echo, when: "${{ params.what }} == 3"}
      each: {run: "echo ${{ item }}", foreach: ["3"], when: "${{ item }} != 3"}
      plain: {run: echo, when: '${{ params.env }} == "prod" and ${{ params.n }} == 3'}
    settings: {mode: inline}
    """
    workflow = parse_workflow(text, "w.yaml")
    script = to_python(workflow, "w.yaml")
    namespace = {"__name__": "made"}

    exec(script, namespace)
    made, told = (flow.run(db=None, check=False) for flow in (namespace["w"], flow_of(workflow, "w.yaml")))

    assert 'if not (params_env == "prod" and params_n == 3):' in script
    assert {key: task.state for key, task in made.tasks.items()} == {
        key: task.state for key, task in told.tasks.items()
    }
    for key, state in {"any": "failed", "each (when)": "failed", "plain": "succeeded"}.items():
        assert made.tasks[key].state == state
        assert made.tasks[key].error == told.tasks[key].error
