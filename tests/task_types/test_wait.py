"""Tasks that wait, and requests by their method, in files and as steps: `wait:delay`, `http:post`, ..."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from liteflow import Flow, run_workflow
from liteflow.files.convert import to_python
from liteflow.files.load import load_workflow
from liteflow.files.mistakes import WorkflowFileError
from liteflow.store.events import send_event
from liteflow.task_types import HttpGet, HttpPost, WaitDelay

ROOT = Path(__file__).resolve().parents[2]

FILE = """
workflow_name: waits
params: {pause: 0.01, topic: go}
tasks:
  pause: {type: wait:delay, seconds: "${{ params.pause }}"}
  pauses: {type: wait:delay, seconds: "${{ item }}", foreach: [0.01, 0.02]}
  event: {type: wait:event, name: "${{ params.topic }}", depends_on: [pause, pauses], timeout: 20}
  shown:
    type: python
    run: result = ${{ tasks.event.output.by }}
"""


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what was asked."""

    def do_GET(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        answer = json.dumps({"method": self.command, "path": self.path, "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  the names of the standard library

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def written(folder: Path, text: str) -> Path:
    path = folder / "waits.yaml"
    path.write_text(text)
    return path


def test_tasks_of_a_file_wait_for_times_and_events_that_templates_give(tmp_path):
    send_event(tmp_path / "db", "go", '{"by": "Ada"}')

    run = Flow.from_file(written(tmp_path, FILE)).run(db=tmp_path / "db")

    assert run.result == {"shown": "Ada"}
    assert run.output("pauses") == [None, None]


def test_the_script_that_a_file_is_converted_to_waits_as_well(tmp_path):
    script = to_python(load_workflow(written(tmp_path, FILE)), "waits.yaml")
    (tmp_path / "script.py").write_text(script)
    send_event(tmp_path / "db", "go", '{"by": "Ada"}')
    code = f"import script; print(script.waits.run(db={str(tmp_path / 'db')!r}).result)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stdout == "{'shown': 'Ada'}\n", done.stderr + script


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{type: wait:delay, seconds: soon}", "'soon' is no time to wait"),
        ("{type: wait:delay}", "seconds"),
        ("{type: wait:event, name: ''}", "no name of an event"),
        ("{type: http:get, url: http://x, method: POST}", "method"),
        ("{type: wait:event, name: '${{ input.x }}'}", "as in the arrow language"),
    ],
)
def test_a_mistake_in_a_file_is_told(tmp_path, text, said):
    with pytest.raises(WorkflowFileError, match=said):
        Flow.from_file(written(tmp_path, f"workflow_name: w\ntasks:\n  a: {text}\n"))


def test_a_request_by_its_method_sends_what_comes_in_unless_it_says_what(server):
    sent = HttpPost(url=f"{server}/x", input={"a": 1}).run()
    told = HttpPost(url=f"{server}/x", body="b", input={"a": 1}).run()

    assert sent == {"method": "POST", "path": "/x", "data": '{"a": 1}'}
    assert (told["data"], HttpGet(url=server, input={"a": 1}).run()["data"]) == ("b", "")


def test_steps_make_requests_with_what_comes_in(server):
    text = f"""
    <- id: a/b -> → {{
      http:get(- url: "{server}/${{{{ input.id }}}}" -)
      http:post(- url: {server} -)
      http:put({{"url": "{server}", "json": {{"n": "${{{{ input.id }}}}"}}, "liteflow": {{"retries": 2}}}})
      http:delete(["{server}/c"])
    }}
    """

    answers = run_workflow(text, {}, db=None, executor="thread")

    assert [(one["method"], one["path"], one["data"]) for one in answers] == [
        ("GET", "/a%2Fb", ""),
        ("POST", "/", '{"id": "a/b"}'),
        ("PUT", "/", '{"n": "a/b"}'),
        ("DELETE", "/c", ""),
    ]


def test_a_step_may_be_of_any_task_type():
    text = '<- n: 2 -> → shell:count({"run": "echo ${{ input.n }}0", "outputs": "json"}) → wait:delay([0])'

    assert run_workflow(text, {}, db=None, executor="thread") == 20


def test_a_delay_works_without_a_run():
    assert WaitDelay(seconds=0, input=[1]).run() == [1]
