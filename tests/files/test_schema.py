"""The JSON Schema that is shipped is that of the model, and says what the reader says."""

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from support.laws import examples
from test_bad_files import FILES
from test_round_trip import workflows

from liteflow.files.load import load_workflow, parse_workflow
from liteflow.files.mistakes import WorkflowFileError
from liteflow.files.schema import schema, schema_text
from liteflow.files.write import to_data
from liteflow.files.yamltree import read_yaml

CHECK = jsonschema.Draft202012Validator(schema())


def test_the_shipped_schema_is_that_of_the_model():
    shipped = files("liteflow.files").joinpath("schema.json").read_text(encoding="utf-8")

    assert shipped == schema_text(), "run: python -m liteflow.files.schema > liteflow/files/schema.json"
    jsonschema.Draft202012Validator.check_schema(json.loads(shipped))


def test_everything_has_a_description():
    def properties(part):
        if isinstance(part, dict):
            for name, told in part.get("properties", {}).items():
                if "const" not in told:
                    yield name, told
            for inner in part.values():
                yield from properties(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from properties(inner)

    assert [name for name, told in properties(schema()) if not told.get("description")] == []


@settings(max_examples=examples(60), deadline=None)
@given(workflows())
def test_what_the_reader_takes_the_schema_takes(workflow):
    CHECK.validate(json.loads(json.dumps(to_data(workflow))))


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "samples").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_schema_takes_the_samples(path):
    load_workflow(path)
    CHECK.validate(read_yaml(path.read_text())[0].plain())


STRUCTURAL = "D5 D6 D7 D8 D40 D41 D43 D45 D46 D47 D48 D49 D50 D51 D53 D54 D56 D57 D63"


@pytest.mark.parametrize("name", [n for n in FILES if n.split(" ")[0] in STRUCTURAL.split()])
def test_the_schema_refuses_what_is_wrong_in_structure(name):
    tree, _ = read_yaml(FILES[name][0])

    assert not CHECK.is_valid(tree.plain())


TASK = "workflow_name: w\ntasks: {{a: {{{}}}}}\n"
WELL = {
    "nothing is as not given": TASK.format("run: ls, timeout: null, cwd: ~"),
    "a list of words": TASK.format("run: [ls, '']"),
    "a code of a signal": TASK.format("run: ls, exit_codes: [0, -9]"),
    "an address of a template": TASK.format("type: http, url: '${{ params.x }}'") + "params: {x: y}",
    "a time as text": TASK.format("type: 'wait:delay', seconds: '1.5'"),
    "letters of all languages": TASK.format("run: ls").replace("{a:", "{été №1:") + "params: {größe_2: 1}",
    "an amount with a unit": TASK.format("run: ls, resources: {memory: 1.5GB, cpus: 0.5}"),
    "no folder": TASK.format("run: ls") + "settings: {log_dir: ~, mode: ~}",
}
WRONG = {
    "no command": TASK.format("run: ' '"),
    "no words": TASK.format("run: []"),
    "no exit code": TASK.format("run: ls, exit_codes: []"),
    "no such exit code": TASK.format("run: ls, exit_codes: [256]"),
    "no variable": TASK.format("run: ls, env: {'A=': x}"),
    "no code": TASK.format("type: python, run: ''"),
    "neither code nor call": TASK.format("type: python"),
    "code and call": TASK.format("type: python, run: x, call: 'a:b'"),
    "a call of nothing": TASK.format("type: python, call: ab"),
    "no address": TASK.format("type: http, url: x"),
    "two bodies": TASK.format("type: http, url: 'http://x', json: 1, body: x"),
    "no statement": TASK.format("type: sql, db: x, run: []"),
    "no time": TASK.format("type: 'wait:delay', seconds: soon"),
    "no amount": TASK.format("run: ls, resources: {cpus: x}"),
    "less than nothing": TASK.format("run: ls, resources: {cpus: -1}"),
    "a dependency twice": TASK.format("run: ls, depends_on: [b, b]"),
    "a name that leads away": TASK.format("run: ls").replace("{a:", "{'../a':"),
    "a name of nothing": TASK.format("run: ls").replace("name: w", "name: ''"),
    "a parameter of two words": TASK.format("run: ls") + "params: {a b: 1}",
    "a parameter that Python keeps": TASK.format("run: ls") + "params: {class: 1}",
    "no mode": TASK.format("run: ls") + "settings: {mode: x}",
    "a home": TASK.format("run: ls") + "settings: {log_dir: ~/x}",
    "a newer file": TASK.format("run: ls") + "version: 2",
}


@pytest.mark.parametrize("text", WELL.values(), ids=WELL)
def test_what_is_well_is_well_for_both(text):
    parse_workflow(text, "x.yaml")
    CHECK.validate(read_yaml(text)[0].plain())


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_a_schema_can_refuse_both_refuse(text):
    with pytest.raises(WorkflowFileError):
        parse_workflow(text, "x.yaml")
    assert not CHECK.is_valid(read_yaml(text)[0].plain())
