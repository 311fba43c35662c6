"""The sample files that liteflow promises to run, as they stand; scripts that they name are stand-ins."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from programs import ROOT, run_file

from liteflow.files.convert import to_python
from liteflow.files.load import load_workflow, parse_workflow
from liteflow.files.write import to_json, to_yaml

SAMPLES = Path(__file__).parent / "samples"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

# What a sample names and no machine has: programs that only say that they were called.
STAND_INS = {
    "daily_model_pipeline": ["scripts/fetch.py", "scripts/clean.py", "scripts/train.py", "scripts/eval.py"],
    "data_pipeline": ["clean_data.py", "analyze.py", "generate_report.py"],
    "ml_training": ["prepare_data.py", "train_model.py", "evaluate_model.py", "deploy_model.py"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which `python`, `curl` and `wget` are there, and reach no network."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("curl", "wget"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
        (programs / name).chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{programs}:{Path('/usr/bin')}:/bin")
    return tmp_path


def stand_in(folder, name):
    for script in STAND_INS.get(name, []):
        path = folder / script
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"print('ran {script}')\n")


@pytest.mark.parametrize("mode", ["process", "thread"])
@pytest.mark.parametrize(
    "name", sorted(p.stem for p in SAMPLES.glob("*.yaml") if p.stem != "parallel_workflow")
)
def test_a_sample_runs_as_it_stands(name, mode, folder):
    stand_in(folder, name)
    told = run_file(SAMPLES / f"{name}.yaml", folder, executor=mode)

    assert told["state"] == "succeeded", told["tasks"]
    assert list(told["tasks"]) == list(load_workflow(SAMPLES / f"{name}.yaml").tasks)
    assert {state for state, _, _ in told["tasks"].values()} == {"succeeded"}
    for key, script in zip(told["tasks"], STAND_INS.get(name, []), strict=False):
        if name != "data_pipeline":
            assert told["outputs"][key] == f"ran {script}"


def test_the_python_sample_leaves_its_results(folder):
    run_file(SAMPLES / "python_workflow.yaml", folder)

    results = json.loads((folder / "data" / "results.json").read_text())
    assert set(results) == {"mean", "median", "std_dev", "count"}
    assert results["count"] == 10


@pytest.mark.parametrize("second", [0.5, pytest.param(1.0, marks=pytest.mark.soak)])
def test_the_parallel_sample_takes_its_longest_path_and_no_more(folder, second):
    """Its tasks sleep; `second` is how long each of their seconds takes."""
    sample = SAMPLES.joinpath("parallel_workflow.yaml").read_text()
    # setup, b (3 s), y (3 s), aggregate (1 s), report (1 s): no barrier between its levels.
    longest = 8 * second
    # What else the machine does may hold up a run, but not each of three.
    for turn in range(3):
        place = folder / str(turn)
        place.mkdir()
        path = folder / f"{turn}.yaml"
        path.write_text(re.sub(r"sleep (\d)", lambda found: f"sleep {int(found[1]) * second}", sample))
        told = run_file(path, place)
        if told["took"] < longest + second:
            break

    assert told["state"] == "succeeded"
    # A barrier would cost one of its seconds: z and y would wait for b, and so would x (4 s).
    assert longest <= told["took"] < longest + second


@pytest.mark.parametrize(
    "path", [*sorted(SAMPLES.glob("*.yaml")), *EXAMPLES], ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_a_sample_is_the_same_in_yaml_and_in_json_and_as_a_script(path):
    workflow = load_workflow(path)

    assert parse_workflow(to_yaml(workflow), "x.yaml") == workflow
    assert parse_workflow(to_json(workflow), "x.json", json=True) == workflow
    compile(to_python(workflow, path.name), path.name, "exec")


def test_the_example_of_data_between_tasks_gives_its_sentence(folder):
    shutil.copy(ROOT / "examples" / "data_flow.yaml", folder)

    assert run_file("data_flow.yaml", folder)["outputs"]["tell"] == "The largest of 5 is 5"
    assert run_file("data_flow.yaml", folder, numbers=7)["outputs"]["tell"] == "The largest of 7 is 7"
