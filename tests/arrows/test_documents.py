"""What is made from the grammar, or follows it, is as the grammar is."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from liteflow.arrows import compile_text
from liteflow.arrows.grammar_page import page

ROOT = Path(__file__).resolve().parent.parent.parent
GRAMMAR = ROOT / "liteflow" / "arrows" / "grammar.lark"
TEXTMATE = ROOT / "docs" / "editors" / "arrows.tmLanguage.json"
FENCES = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [
    found[2] for found in FENCES.finditer((ROOT / "docs" / "arrows.md").read_text("utf-8")) if not found[1]
]


def test_the_grammars_page_is_made_from_the_grammar():
    assert (ROOT / "docs" / "arrows-grammar.md").read_text("utf-8") == page(GRAMMAR.read_text("utf-8"))


def test_the_first_flow_of_the_page_is_one():
    assert compile_text(BLOCKS[0]).labels == ("literal1", "fetch", "clean", "score", "audit", "report")


@pytest.mark.parametrize("place", [0, 21, 44])
def test_each_column_of_labels_on_the_page_is_a_flow(place):
    columns = [line[place : place + 20] for line in BLOCKS[1].splitlines()]

    assert len(compile_text("\n".join(columns)).steps) >= 3


def patterns(rule: object) -> list[str]:
    if isinstance(rule, dict):
        own = [value for key, value in rule.items() if key in ("match", "begin", "end")]
        return own + [found for value in rule.values() for found in patterns(value)]
    return [found for value in rule for found in patterns(value)] if isinstance(rule, list) else []


def test_the_colours_of_editors_know_every_word_of_the_grammar():
    rules = json.loads(TEXTMATE.read_text("utf-8"))
    known = [re.compile(pattern) for pattern in patterns(rules)]
    words = [
        "# c",
        "'''",
        '"""',
        "@flow f",
        "@task t = b",
        "<>",
        "<-",
        "->",
        "<{",
        "}>",
        "<[",
        "]>",
        "(-",
        "-)",
    ]
    words += [
        "({",
        "})",
        "([",
        "])",
        "<a.json>",
        "? `",
        "`",
        "→",
        ":x",
        ":start",
        "*",
        ">",
        "|",
        ";",
        "{",
        "}",
        "A",
    ]

    assert [word for word in words if not any(one.search(word) for one in known)] == []
    assert {one["include"][1:] for one in rules["repository"]["all"]["patterns"]} <= set(rules["repository"])


def test_neither_liteflow_nor_its_arrows_load_a_parser_before_a_text_is_read():
    code = "import liteflow, liteflow.arrows, sys; print({'lark', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def making() -> Any:
    """The script that draws the pictures."""
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "docs" / "pictures" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_are_what_dag_draws_today():
    drawn = making().drawings()

    assert {file: file.read_text("utf-8") for file in drawn} == drawn, "run docs/pictures/make.py"


def test_each_picture_of_the_page_shows_the_flow_above_it():
    page = (ROOT / "docs" / "arrows.md").read_text("utf-8")
    shown = re.findall(
        r"^```\w*\n((?:(?!```).*\n)*)```\n\n!\[[^]]+\]\(pictures/(\w+)\.svg\)", page, re.MULTILINE
    )
    flows = {file.stem: file.read_text("utf-8") for file in (ROOT / "docs" / "pictures").glob("*.flow")}

    assert {name: text for text, name in shown} == flows
