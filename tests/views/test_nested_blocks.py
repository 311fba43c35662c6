"""Pictures of flows in the arrow language: blocks are groups, docs are notes, guards stand at edges."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from graphs import TRICKY

from liteflow.arrows import compile_text
from liteflow.arrows.errors import ArrowError
from liteflow.views import nested
from liteflow.views.flowchart import drawn
from liteflow.views.svg import Box, Edge, Group

ROOT = Path(__file__).resolve().parents[2]

FLOW = """
@flow nightly '''What is done "each" night'''
@task score '''Scores one batch'''
@task both { clean → score  audit }
fetch → ? `$[?(@.n > 1)]` both → > report
"""

# What a line of the Mermaid text may be; in labels everything but letters and digits is a number.
LABEL = r"(?:[^\W_]|(?<=[^\W_])[-_](?=[^\W_])|#\d+;)+"
LINES = [
    r"---",
    r'title: ".*"',
    r"flowchart LR",
    r" *end",
    r' *g\d+[se]\(\(" "\)\)',
    rf' *subgraph g\d+\["{LABEL}"\]',
    rf' *n\d+(\["{LABEL}"\]|\[/"{LABEL}"/\])',
    rf' *n\d+d>"{LABEL}"\]',
    r" *n\d+ -\.- n\d+d",
    rf' *[gn]\d+[se]? (-->|-\.->)(\|"{LABEL}"\|)? [gn]\d+[se]?',
]
LINE = re.compile("|".join(LINES))


def shown(text: str) -> str:
    return html.unescape(re.sub(r"#(\d+);", r"&#\1;", text))


def test_mermaid_has_blocks_as_subgraphs_guards_at_edges_and_docs_as_notes():
    text = shown(nested.mermaid(drawn(compile_text(FLOW))))

    assert 'title: "nightly: What is done \\"each\\" night"' in text
    assert 'subgraph g1["both"]' in text
    assert 'n2d>"Scores one batch"]' in text
    assert 'n0 -->|"? $[?(@.n > 1)]"| g1s' in text
    assert 'g1e -->|"merge"| n4' in text


def test_dot_has_them_too():
    text = nested.dot(drawn(compile_text(FLOW)))

    assert "subgraph cluster_g1 {" in text
    assert 'n2d [label="Scores one batch", shape=note' in text
    assert 'n0 -> g1s [label="? $[?(@.n > 1)]"]' in text


def test_text_says_what_each_waits_for():
    assert nested.text(drawn(compile_text(FLOW))) == (
        'nightly  # What is done "each" night\n'
        "  fetch\n"
        "  {both} ← fetch  ? $[?(@.n > 1)]\n"
        "    clean\n"
        "    score ← clean  # Scores one batch\n"
        "    audit\n"
        "    (end) ← score, audit\n"
        "  report ← {both}  merge\n"
        "  (end) ← report"
    )


def test_a_loop_leads_back_by_a_dashed_edge():
    group = drawn(compile_text("A → ? `$.n` B → :start"))

    assert "    n1 -.-> g0s" in nested.mermaid(group).splitlines()
    assert "n1 -> g0s [style=dashed, constraint=false]" in nested.dot(group)
    assert "(start) ← B (again)" in nested.text(group)


FLOWS = [*(ROOT / "tests" / "arrows" / "cases").glob("*.flow"), *(ROOT / "docs" / "pictures").glob("*.flow")]


@pytest.mark.parametrize("file", FLOWS, ids=[file.stem for file in FLOWS])
def test_every_line_of_mermaid_is_one_that_mermaid_takes_and_every_edge_leads_somewhere(file):
    try:
        text = nested.mermaid(drawn(compile_text(file.read_text("utf-8"))))
    except ArrowError:
        # Their loop has no guard, a label is there twice, or they are to be refused for another reason.
        assert re.match(r"error|loop$|doc-label-dup", file.stem)
        return
    lines = text.splitlines()

    assert [line for line in lines if not LINE.fullmatch(line)] == []
    ends = {
        word for line in lines for word in re.findall(r"^ *(\w+) -|> (\w+)$", line) for word in word if word
    }
    places = {found[1] for line in lines if (found := re.match(r" *([gn]\d+[sed]?)[(\[>]", line))}
    assert ends <= places
    assert text.count("subgraph") == len([line for line in lines if line.strip() == "end"])


@pytest.mark.parametrize("name", TRICKY)
def test_whatever_a_name_or_a_note_is_it_stays_text(name):
    group = Group((Box(name, note=name), Group((Box("B"),), (), name)), (Edge(0, 1, name),), name, name)

    assert [line for line in nested.mermaid(group).splitlines() if not LINE.fullmatch(line)] == []
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=nested.dot(group), check=True, capture_output=True, text=True)
