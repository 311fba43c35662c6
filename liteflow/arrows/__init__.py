"""The arrow language: `A → { B → C  D } → E`, a whole flow in a line.

    text --parse--> Model --compile_model--> CompiledFlow --Course--> what comes next
                      \\--write--> text                       \\--Context, Runner: drive it yourself

The language is described in docs/arrows.md, its grammar is grammar.lark.
"""

from __future__ import annotations

from liteflow.arrows.compile import compile_model
from liteflow.arrows.course import Course, Due, Instance
from liteflow.arrows.graph import CompiledFlow, check_names
from liteflow.arrows.layout import fmt, write
from liteflow.arrows.parse import parse
from liteflow.arrows.runner import Compiler, Context, Ended, Parser, Runner
from liteflow.arrows.values import join, merge

__all__ = [
    "CompiledFlow",
    "Compiler",
    "Context",
    "Course",
    "Due",
    "Ended",
    "Instance",
    "Parser",
    "Runner",
    "check_names",
    "compile_model",
    "compile_text",
    "fmt",
    "join",
    "merge",
    "parse",
    "write",
]


def compile_text(text: str, name: str = "<text>") -> CompiledFlow:
    """Parse and compile a flow.

    >>> compile_text("A → B").labels
    ('A', 'B')
    """
    return compile_model(parse(text, name))
