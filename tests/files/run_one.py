"""Runs a workflow file with options, and prints what became of it, as JSON: a program of its own."""

import json
import sys
import time

from liteflow import Flow

flow = Flow.from_file(sys.argv[1])
started = time.monotonic()
run = flow.run(check=False, **json.loads(sys.argv[2]))
took = time.monotonic() - started
tasks = {key: (row.state, row.attempts, row.error) for key, row in run.tasks.items()}
logs = {key: "".join(line.line for line in run.logs(key)) for key in tasks}
outputs = {key: run.output(key) for key, (state, _, _) in tasks.items() if state == "succeeded"}
told = {"state": run.state, "tasks": tasks, "logs": logs, "outputs": outputs, "took": took}
print("\n" + json.dumps(told, default=repr))
