"""The model -> a JSON Schema, with which editors complete and check workflow files.

    python -m liteflow.files.schema > liteflow/files/schema.json

The shipped file is that text; a test holds the two equal.  Plug-ins' task types are let
through, with whatever fields they have.

Source: https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

import json
import types
from keyword import kwlist
from typing import Any, Literal, Union, get_args, get_origin

from attrs import NOTHING, Attribute, has

from liteflow.files.model import NAMES, Param, TaskSpec, Workflow
from liteflow.files.structure import key_of, resolved
from liteflow.task_types.registry import BUILT_IN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
# A name of Python, as far as a schema can tell: of letters of any language, digits and _.
_IDENTIFIER = r"^[^\s\d!-/:-@\[-^`{-~][^\s!-/:-@\[-^`{-~]*$"
_SCALARS: list[dict[str, Any]] = [{"type": ["string", "number", "boolean", "null", "array"]}]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of workflow files."""
    made = _model(Workflow)
    made["properties"]["tasks"] |= {"minProperties": 1, "propertyNames": NAMES}
    made["properties"]["params"]["propertyNames"] = {"pattern": _IDENTIFIER, "not": {"enum": kwlist}}
    return {
        "$schema": DIALECT,
        "title": "liteflow workflow",
        **made,
        "$defs": {"task": _task(), "param": _param()},
    }


def schema_text() -> str:
    """Return the JSON Schema as the text that is shipped."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _task() -> dict[str, Any]:
    """One branch for each task type: a task without `type` is of the shell."""
    common = _model(TaskSpec)["properties"]
    branches: list[dict[str, Any]] = []
    for kind, model in BUILT_IN.items():
        own = _model(model)
        told = {"const": kind, "description": common["type"]["description"]}
        is_kind: dict[str, Any] = {"properties": {"type": {"const": kind}}}
        if kind != "shell":
            is_kind["required"] = ["type"]
        then = {
            "properties": {**common, **own["properties"], "type": told},
            "required": own.get("required", []),
            "additionalProperties": False,
            **model.schema,
        }
        branches.append({"if": is_kind, "then": then})
    return {"type": "object", "properties": common, "allOf": branches}


def _param() -> dict[str, Any]:
    return {"description": Param.__doc__, "anyOf": [*_SCALARS, _model(Param)]}


def _model(model: type) -> dict[str, Any]:
    attributes = resolved(model)
    made: dict[str, Any] = {
        "type": "object",
        "properties": {key_of(f): _property(f) for f in attributes},
        "additionalProperties": False,
    }
    required = [key_of(f) for f in attributes if f.default is NOTHING]
    return {**made, "required": required} if required else made


def _property(attribute: Attribute[Any]) -> dict[str, Any]:
    made = {**_type(attribute.type), **getattr(attribute.validator, "schema", {})}
    return {"description": attribute.metadata["help"], **made}


def _type(wanted: Any) -> dict[str, Any]:  # noqa: PLR0911  a list of cases
    origin = get_origin(wanted)
    if wanted is Any:
        return {}
    if wanted is TaskSpec:
        return {"$ref": "#/$defs/task"}
    if wanted is Param:
        return {"$ref": "#/$defs/param"}
    if origin in (Union, types.UnionType):
        members = [_type(member) for member in get_args(wanted)]
        simple = [member["type"] for member in members if list(member) == ["type"]]
        return {"type": simple} if len(simple) == len(members) else {"anyOf": members}
    if origin is Literal:
        return {"enum": list(get_args(wanted))}
    if origin is list:
        return {"type": "array", "items": _type(get_args(wanted)[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(get_args(wanted)[1])}
    return _model(wanted) if has(wanted) else {"type": _SIMPLE[wanted]}


if __name__ == "__main__":
    print(schema_text(), end="")
