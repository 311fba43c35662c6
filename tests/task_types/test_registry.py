"""Task types are found: those built in, and those of plug-ins that are installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from liteflow.errors import UnknownNameError
from liteflow.task_types.registry import described, kinds, task_type

ROOT = Path(__file__).resolve().parents[2]


def test_all_types_tell_their_fields_and_what_they_are_for():
    facts = {fact.kind: fact for fact in described()}

    assert set(facts) >= {"shell", "python", "http", "sql", "task"}
    assert all(fact.help and all(option.help for option in fact.options) for fact in facts.values())
    assert [option.name for option in facts["sql"].options] == ["run", "db", "args"]


def test_an_unknown_type_is_an_error_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'shell'"):
        task_type("shel")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment in which the example of a plug-in is installed."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for path in (ROOT / "examples" / "plugin").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = source / path.relative_to(ROOT / "examples" / "plugin")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "--target", folder, source], check=False, capture_output=True, text=True
    )
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip("setuptools is not installed, so nothing can be built here")
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}


def test_a_plug_in_that_is_installed_brings_its_type(installed, tmp_path):
    code = (
        "from liteflow import Flow\n"
        "from liteflow.task_types.registry import described\n"
        "assert [f.origin for f in described() if f.kind == 'greet'] == ['liteflow-greet']\n"
        f"flow = Flow.from_file({str(ROOT / 'examples' / 'plugin' / 'greet.yaml')!r})\n"
        "print(flow.run(name='Bo', db=None)['greet'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=installed, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.returncode) == ("Hello Bo! Hello Bo!\n", 0), done.stderr


def test_its_fields_are_checked_like_all_others(installed, tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("workflow_name: w\ntasks:\n  a: {type: greet, whom: '', tims: 2}\n")
    code = f"from liteflow.files.load import load_workflow\nload_workflow({str(file)!r})"

    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, capture_output=True, text=True, check=False
    )

    assert "tasks.a.whom is empty; name somebody" in done.stderr
    assert "tasks.a.tims is unknown; did you mean 'times'?" in done.stderr


def test_no_plug_in_is_imported_before_a_file_names_its_type(installed, tmp_path):
    code = (
        "import sys\n"
        "from liteflow.files.load import parse_workflow\n"
        "from liteflow.task_types.registry import kinds\n"
        "parse_workflow('{workflow_name: w, tasks: {a: {run: ls}}}', 'w.yaml')\n"
        "print('greet' in kinds(), 'liteflow_greet' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, capture_output=True, text=True, check=True
    )

    assert done.stdout == "True False\n"


def test_kinds_name_every_built_in_once():
    assert len(kinds()) == len(set(kinds()))
