"""What can a flow not do with a value that is not there yet, and what is to be done instead?

A table: for each special method of Python that would need the value, the words of the refusal.
"""

from __future__ import annotations

_INSIDE = "do this inside a task"
_COMPARISONS = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}
_ARITHMETIC = {
    f"__{way}{name}__": sign
    for name, sign in {
        "add": "+", "sub": "-", "mul": "*", "matmul": "@", "truediv": "/", "floordiv": "//",
        "mod": "%", "pow": "**", "and": "&", "or": "|", "xor": "^",
    }.items()
    for way in ("", "r")
}  # fmt: skip
_SHIFTS = {"__lshift__": "<<", "__rlshift__": "<<"}
OPERATORS = {**_COMPARISONS, **_ARITHMETIC, **_SHIFTS}
"""The sign of each operator that neither lazy values nor tasks have, by the name of its method."""

USES: dict[str, tuple[str, str]] = {
    "__bool__": ("is neither true nor false", "decide inside a task"),
    "__len__": ("has no length", "take its len() inside a task"),
    "__contains__": ("can't be searched", "search it inside a task"),
    "__str__": ("has no text", "format it inside a task (repr() shows the lazy value itself)"),
    "__format__": ("has no text", "format it inside a task ({x!r} shows the lazy value itself)"),
    "__call__": ("can't be called", "call it inside a task"),
    "__await__": ("can't be awaited", "pass it on: the task that gets it gets the value"),
    "__next__": ("can't be iterated", "iterate over it inside a task"),
    "__aiter__": ("can't be iterated", "iterate over it inside a task"),
    "__enter__": ("can't be used in a with statement", "use it inside a task"),
    "__exit__": ("can't be used in a with statement", "use it inside a task"),
    "__aenter__": ("can't be used in a with statement", "use it inside a task"),
    "__aexit__": ("can't be used in a with statement", "use it inside a task"),
    "__setitem__": ("can't be changed", "make the changed value in a task"),
    "__delitem__": ("can't be changed", "make the changed value in a task"),
    "__bytes__": ("has no bytes", _INSIDE),
    "__reversed__": ("can't be reversed", _INSIDE),
    "__fspath__": ("is no path", "open the file inside a task"),
    **{
        f"__{name}__": ("is no number", "compute inside a task")
        for name in (
            "int", "float", "complex", "index", "round", "trunc", "floor", "ceil",
            "neg", "pos", "abs", "invert", "divmod", "rdivmod",
        )
    },
    **{name: (f"can't be compared with {sign}", "compare inside a task (>> connects tasks)")
       for name, sign in _COMPARISONS.items()},
    **{name: (f"can't be used with {sign}", "compute inside a task") for name, sign in _ARITHMETIC.items()},
    **{name: (f"can't be used with {sign}", "connect tasks with >>") for name, sign in _SHIFTS.items()},
}  # fmt: skip
"""By the name of a method: why it can't be used, and what to do instead."""
