"""The grammar as a page of the documentation.

    python -m liteflow.arrows.grammar_page > docs/arrows-grammar.md

What is a comment in grammar.lark is prose on the page, and what is a heading there is one here.
"""

from __future__ import annotations

import re
from importlib.resources import files

_HEADING = re.compile(r"// --- (.+?) -+")

_INTRODUCTION = """\
# The grammar of the arrow language

This page is made from `liteflow/arrows/grammar.lark`, by which the language is read; what it means is told in
[The arrow language](arrows.md). The notation is
[Lark's](https://lark-parser.readthedocs.io/en/stable/grammar.html): `[x]` may be left out, `x*` may be
there any number of times, `x+` at least once, `/.../` is a regular expression. Names in capitals are words,
those in small letters are made of others; between words there may be blanks, line breaks and comments.
"""


def page(grammar: str) -> str:
    """The page for a grammar.

    >>> print(page("// --- words ---\\n\\n// A name.\\nNAME: /a+/")[-42:])
    ## Words
    <BLANKLINE>
    A name.
    <BLANKLINE>
    ```lark
    NAME: /a+/
    ```
    <BLANKLINE>
    """
    parts = [_INTRODUCTION]
    for paragraph in re.split(r"\n\s*\n", grammar.strip()):
        lines = paragraph.split("\n")
        prose = [line.removeprefix("//").removeprefix(" ") for line in lines if line.startswith("//")]
        rules = [line for line in lines if not line.startswith("//")]
        heading = _HEADING.match(lines[0])
        if heading:
            parts.append(f"## {heading[1].capitalize()}\n")
        elif prose:
            parts.append(_prose(prose))
        if rules:
            parts.append("```lark\n" + "\n".join(rules) + "\n```\n")
    return "\n".join(parts)


def _prose(lines: list[str]) -> str:
    """Indented lines are an example; others are text."""
    shown: list[str] = []
    for line in lines:
        if line.startswith("    ") and shown and shown[-1] and not shown[-1].startswith("    "):
            shown.append("")
        shown.append(line)
    text = "\n".join(shown)
    return text.strip("\n") + "\n"


def main() -> None:
    """Print the page."""
    print(page(files("liteflow.arrows").joinpath("grammar.lark").read_text("utf-8")), end="")


if __name__ == "__main__":
    main()
