"""The arrow language: `A → { B → C  D } → E`, a whole flow in a line.

    text --parse--> Model --compile_model--> CompiledFlow --Course--> what comes next
                      \\--write--> text                       \\--Context, Runner: drive it yourself

The language is described in docs/arrows.md, its grammar is grammar.lark.
"""

from __future__ import annotations

from liteflow.faces import face

# As type checkers know it; workers import a module of this package, and none of these.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from liteflow.arrows.compile import compile_model, compile_text
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

_HOMES = {
    "CompiledFlow": "graph",
    "Compiler": "runner",
    "Context": "runner",
    "Course": "course",
    "Due": "course",
    "Ended": "runner",
    "Instance": "course",
    "Parser": "runner",
    "Runner": "runner",
    "check_names": "graph",
    "compile_model": "compile",
    "compile_text": "compile",
    "fmt": "layout",
    "join": "values",
    "merge": "values",
    "parse": "parse",
    "write": "layout",
}

__getattr__, __dir__ = face(__name__, _HOMES)
