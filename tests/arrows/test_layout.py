"""The canonical layout, by examples."""

from __future__ import annotations

import pytest

from liteflow.arrows import fmt

CASES = {
    "arrows and blanks": ("A->B   ->C", "A → B → C\n"),
    "a block of chains": ("A→{B→C D}→E", "A → {\n  B → C\n  D\n} → E\n"),
    "a block of steps": ("A → [\n B\n C ]", "A → { B  C }\n"),
    "a semicolon that is needed": ("A :x → B ; :x → C ;", "A :x → B;\n:x → C\n"),
    "semicolons that are not": ("A; B; → C".replace("; →", " →"), "A\nB → C\n"),
    "a comment behind": ("A # one\nB", "A  # one\nB\n"),
    "a comment between steps": ("A → # why\nB → C", "A →  # why\n  B →\n  C\n"),
    "blank lines": ("\n\nA\n\n\n\nB\nC", "A\n\nB\nC\n"),
    "declarations": (
        "@flow f  ( )\n@task A = B(-x: 1-)'''Doc'''\nA",
        "@flow f ()\n@task A = B (- x: 1 -) '''Doc'''\n\nA\n",
    ),
    "a YAML literal": ("<- a: 1\n   b: 2 -> → A", "<-\na: 1\nb: 2\n-> → A\n"),
    "a JSON literal": ('<{"a":[1 ,2]}>→A', '<{"a": [1, 2]}> → A\n'),
    "prefixes": (":x*?  `$.a`A|B:y", ":x * ?`$.a` A|B:y\n"),
}


@pytest.mark.parametrize(("text", "wanted"), CASES.values(), ids=CASES)
def test_a_text_is_laid_out_in_the_one_way(text, wanted):
    assert fmt(text) == wanted
    assert fmt(wanted) == wanted


def test_a_statement_that_is_too_long_has_a_line_for_each_step():
    text = " → ".join(f"a_task_with_a_long_name_{n}" for n in range(5))

    assert fmt(text) == text.replace(" → ", " →\n  ") + "\n"
