"""Runs workflow files as their users do: in a process of its own, in a folder of its own."""

import json
import os
from pathlib import Path

from support.forked import Forked, Request

ROOT = Path(__file__).resolve().parents[2]
RUN_ONE = str(Path(__file__).with_name("run_one.py"))


def run_file(path, folder, **options):
    """Run a workflow file in a folder; return what became of it."""
    environment = {k: v for k, v in os.environ.items() if k != "LITEFLOW_DB"}
    words = (RUN_ONE, str(path), json.dumps(options))
    program = Forked(Request("script", words, str(folder), {**environment, "PYTHONPATH": str(ROOT)}))
    out, err = program.communicate(90)
    assert program.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def write(folder, text, name="x.yaml"):
    path = folder / name
    path.write_text(text)
    return path
