"""`type: python`: code, or a call of a function; in a worker process, so that it hurts nobody.

In code a template is a variable, so no value becomes a part of the code:

    result = len(${{ tasks.fetch.output }})

Inside a text of Python it could not be one, and is an error; an f-string takes it in braces.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from attrs import Attribute, frozen

from liteflow.task_types.base import TaskType, in_schema, option, spliced
from liteflow.task_types.faults import CallError, TemplateError
from liteflow.task_types.shell import an_environment
from liteflow.task_types.templates import Template, as_text, templates_in

_CALL = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_FILE = "<code of a workflow file>"


def embed(text: str, templates: Sequence[Template], names: Sequence[str]) -> str:
    """Return the code with variables in the places of its templates.

    Raises:
        TemplateError: One stands inside a text, where no variable can.

    >>> text = "result = ${{ params.n }} + 1"
    >>> embed(text, templates_in(text), ["N"])
    'result = N + 1'
    """
    marks = [f"LITEFLOW_PLACE_{number}_" for number in range(len(templates))]
    try:
        tree = ast.parse(spliced(text, templates, marks))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Without templates it is as wrong: `code` tells of that, with the line.
        return spliced(text, templates, names)
    # A template that is assigned to would change a copy; it is refused with those in texts.
    used = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    for template, mark in zip(templates, marks, strict=True):
        if mark not in used:
            problem = "in Python code a template is a variable to read, and here none can stand"
            remedy = 'take it out of the quotes or the comment; in a text, write f"... {${{ ... }}} ..."'
            raise TemplateError(text, template.start, problem, remedy)
    return spliced(text, templates, names)


@in_schema(pattern=r"\S")
def some_code(_work: object, _field: Attribute[Any], value: str | None) -> None:
    """Refuse code that Python can't read."""
    if value is None:
        return
    if not value.strip():
        raise ValueError("is empty; give code, or call: module:function")
    try:
        found = templates_in(value)
    except TemplateError:
        # The check of templates tells of it.
        return
    problem = _problem_of(spliced(value, found, [f"LITEFLOW_{number}" for number in range(len(found))]))
    if problem is not None:
        raise ValueError(f"is no Python: {problem}; correct it")


# The same code is looked at when the file is read, when its task is made, and when that gets its timeout.
@lru_cache(maxsize=4096)
def _problem_of(code: str) -> str | None:
    try:
        ast.parse(code)
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno} of it)"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return None


@in_schema(pattern=r"^[^\s:]+:[^\s:]+$")
def a_call(_work: object, _field: Attribute[Any], value: str | None) -> None:
    """Refuse what is not `module:function`."""
    if value is not None and not _CALL.fullmatch(value):
        raise ValueError(f"{value!r} names no function; write module:function, as in package.module:main")


@frozen(kw_only=True)
class Python(TaskType):
    """Run code, whose output is its variable `result`; or call a function, and give what it returns.

    Raises, when it runs:
        CallError: `call` names nothing that can be called.
        Exception: What the code raises.

    >>> Python(run="result = ${{ params.n }} + 1").filled({"params.n": 41}).run()
    42
    >>> Python(call="math:hypot", args=[3, 4]).run()
    5.0
    """

    kind: ClassVar[str] = "python"
    executor: ClassVar[str | None] = "process"
    schema: ClassVar[Mapping[str, Any]] = {"oneOf": [{"required": ["run"]}, {"required": ["call"]}]}

    run_: str | None = option(
        None,
        alias="run",
        help="Code; its output is the variable `result`.",
        validator=some_code,
        language=embed,
    )
    call: str | None = option(
        None, help="module:function, instead of code; its output is what it returns.", validator=a_call
    )
    args: dict[str, Any] | list[Any] = option(factory=dict, help="What the function is called with.")
    cwd: str | None = option(None, help="The folder it works in; by default the one the run was started in.")
    env: dict[str, str | int] = option(
        factory=dict, help="Variables of the environment, beside those of the run.", validator=an_environment
    )

    def __attrs_post_init__(self) -> None:
        if (self.run_ is None) == (self.call is None):
            raise ValueError("a python task has either run: (code) or call: (module:function); give one")
        if self.run_ is not None and self.args:
            raise ValueError("args are for call: module:function; code takes values by templates")

    def run(self) -> object:
        """Run the code or the call, and return its output."""
        cwd = None if self.cwd is None else as_text(self.cwd, "cwd")
        with _surroundings(cwd, {k: as_text(v, k) for k, v in self.env.items()}):
            if self.call is not None:
                function = function_of(self.call)
                if isinstance(self.args, dict):
                    return function(**self.args)
                return function(*self.args)
            assert self.run_ is not None
            namespace: dict[str, Any] = {"__name__": "__workflow__", **self.variables}
            linecache.cache[_FILE] = (len(self.run_), None, self.run_.splitlines(keepends=True), _FILE)
            exec(_compiled(self.run_), namespace)
            return namespace.get("result")


def function_of(call: str) -> Callable[..., Any]:
    """Import what `module:function` names.

    Raises:
        CallError: There is no such module or function, or it can't be called.

    >>> function_of("math:sqrt")(9)
    3.0
    """
    found = object_of(call)
    if not callable(found):
        raise CallError(call, f"it is {type(found).__name__}, which can't be called", ())
    return found  # type: ignore[no-any-return]  # it is callable


def object_of(call: str) -> Any:
    """Import what `module:name` names, whatever it is.

    Raises:
        CallError: There is no such module, or nothing of that name in it, or its import fails.
    """
    module_name, _, names = call.partition(":")
    try:
        importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        own = error.name is not None and (
            module_name == error.name or module_name.startswith(f"{error.name}.")
        )
        searched = tuple(path or os.getcwd() for path in sys.path)  # noqa: PTH109  text is what is shown
        problem = f"there is no module {error.name!r}" if own else f"its import fails: {error}"
        raise CallError(call, problem, searched) from None if own else error
    except SystemExit as error:
        problem = f"its import ends the program (exit status {error.code}); put that under a main guard"
        raise CallError(call, problem, ()) from None
    found: Any = sys.modules[module_name]
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise CallError(call, f"module {module_name!r} has no {names!r}", ()) from None
    return found


@lru_cache(maxsize=256)
def _compiled(code: str) -> Any:
    return compile(code, _FILE, "exec")


@contextlib.contextmanager
def _surroundings(cwd: str | None, environment: dict[str, str]) -> Iterator[None]:
    """Work in that folder and environment, and go back: the worker goes on to other tasks."""
    # Copied only where something is changed: it costs as much as a short task.
    before = dict(os.environ) if environment else None
    here = os.getcwd() if cwd is not None else None  # noqa: PTH109  for os.chdir
    os.environ.update(environment)
    try:
        if cwd is not None:
            os.chdir(cwd)
        yield
    finally:
        if here is not None:
            os.chdir(here)
        if before is not None:
            os.environ.clear()
            os.environ.update(before)
