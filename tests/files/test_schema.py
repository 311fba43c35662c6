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

from liteflow.files.load import load_workflow
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
