"""A Workflow -> plain data, YAML, JSON; reading them gives an equal Workflow.

What is as it would be anyway is left out.
"""

from __future__ import annotations

import json
from typing import Any, get_args

import yaml
from attrs import NOTHING, Attribute, Factory, has

from liteflow.files.load import REFUSED
from liteflow.files.model import REQUIRED, Param, TaskSpec, Workflow
from liteflow.files.structure import key_of, resolved


def to_data(workflow: Workflow) -> dict[str, Any]:
    """Return a workflow as dicts, lists and scalars.

    >>> from liteflow.files.load import parse_workflow
    >>> to_data(parse_workflow("{workflow_name: w, tasks: {a: {run: ls, retries: 2}}}", "w.yaml"))
    {'workflow_name': 'w', 'tasks': {'a': {'retries': 2, 'run': 'ls'}}}
    """
    data: dict[str, Any] = _plain(workflow)
    return data


def to_json(workflow: Workflow) -> str:
    """Return a workflow as the text of a JSON file."""
    data = to_data(workflow)
    text = json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    # What a reader would not see is written as its code.
    return json.dumps(data, indent=2) + "\n" if REFUSED.search(text) else text


def to_yaml(workflow: Workflow) -> str:
    """Return a workflow as the text of a YAML file."""
    data = to_data(workflow)
    text = _yaml(data, plain=True)
    return _yaml(data, plain=False) if REFUSED.search(text) else text


def _yaml(data: dict[str, Any], *, plain: bool) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=plain, width=100)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, TaskSpec):
        return {**_fields(value, skip={"type"} if value.type == "shell" else set()), **_fields(value.work)}
    if isinstance(value, Param):
        return _fields(value, always={"default"} if value.default is not REQUIRED else set())
    if has(type(value)):
        return _fields(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _fields(value: Any, skip: set[str] | None = None, always: set[str] | None = None) -> dict[str, Any]:
    told = {f: getattr(value, f.name) for f in resolved(type(value)) if key_of(f) not in (skip or ())}
    return {
        key_of(f): _plain(whole(v) if _takes_numbers(f.type) else v)
        for f, v in told.items()
        if f.name in (always or ()) or not is_default(f, v)
    }


def whole(value: Any) -> Any:
    """Return numbers as people write them: where any will do, a file that says 30 was read as 30.0.

    >>> whole({"cpus": 2.0, "memory": "1GB"}), whole(0.5)
    ({'cpus': 2, 'memory': '1GB'}, 0.5)
    """
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _takes_numbers(wanted: Any) -> bool:
    """Whether a field, or an item of it, is of type float; where anything can stand, 1.0 is not 1."""
    return wanted is float or any(_takes_numbers(part) for part in get_args(wanted))


def is_default(attribute: Attribute[Any], value: Any) -> bool:
    """Whether a field holds what it would hold anyway."""
    default: Any = attribute.default
    if default is NOTHING:
        return False
    if isinstance(default, Factory):  # type: ignore[arg-type]  # a class for attrs, a function for checkers
        default = default.factory()
    return type(value) is type(default) and bool(value == default)


class _Dumper(yaml.SafeDumper):
    """Quotes what our reader would not take for text, and writes long texts as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _misread(text) or not text.replace("\n", "").isprintable():
        # What YAML takes for the end of a line (U+0085, U+2028) is then written as its code.
        style = '"'
    elif "\n" in text and text.strip() and all(line == line.rstrip() for line in text.split("\n")):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _misread(text: str) -> bool:
    """Whether a word might be a number or a date to some reader; true, null and such the dumper quotes."""
    return text[:1].isdigit() or text[:1] in ("+", "-", ".")


_Dumper.add_representer(str, _text)
