"""Runs workflow files as their users do: in a process of its own, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import json, sys, time
from liteflow.files.compile import flow_from_file
flow = flow_from_file(sys.argv[1])
started = time.monotonic()
run = flow.run(check=False, **json.loads(sys.argv[2]))
took = time.monotonic() - started
tasks = {key: (row.state, row.attempts, row.error) for key, row in run.tasks.items()}
logs = {key: "".join(line.line for line in run.logs(key)) for key in tasks}
outputs = {key: run.output(key) for key, (state, _, _) in tasks.items() if state == "succeeded"}
told = {"state": run.state, "tasks": tasks, "logs": logs, "outputs": outputs, "took": took}
print("\\n" + json.dumps(told, default=repr))
"""


def run_file(path, folder, **options):
    """Run a workflow file in a folder; return what became of it."""
    environment = {k: v for k, v in os.environ.items() if k != "LITEFLOW_DB"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), json.dumps(options)],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def write(folder, text, name="x.yaml"):
    path = folder / name
    path.write_text(text)
    return path
