"""A document -> the model: every part that does not fit is told of, and the rest still looked at.

Written here and not left to a library, because a library converts ("3" to 3, a text to a list
of its letters), and a file is to mean what it says.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from keyword import iskeyword
from math import isfinite
from typing import Any, Literal, NamedTuple, Union, cast, get_args, get_origin

from attrs import NOTHING, Attribute, fields, has, resolve_types

from liteflow.errors import UnknownNameError, nearest, shown
from liteflow.files.check import Known, check_references
from liteflow.files.mistakes import Mistake, Path, meant
from liteflow.files.model import Param, Settings, TaskSpec, Workflow, name_problem
from liteflow.files.tree import Tree
from liteflow.options import SECRET_PREFIX
from liteflow.task_types.registry import PlugInError, task_type

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}
_FAILED: Any = object()
# What other tools call it.
_ELSEWHERE_CALLED = {
    **dict.fromkeys(("cmd", "command", "script", "bash"), "run"),
    **dict.fromkeys(("needs", "depends", "after", "upstream"), "depends_on"),
    **dict.fromkeys(("workdir", "working_dir", "working_directory"), "cwd"),
    **dict.fromkeys(("workers", "max_workers", "parallelism", "concurrency"), "max_parallel_tasks"),
    **dict.fromkeys(("loop", "with_items", "for_each", "matrix"), "foreach"),
    **dict.fromkeys(("database", "url", "dsn", "connection"), "db"),
    "executor": "mode",
    "if": "when",
    "environment": "env",
    "variables": "params",
    "vars": "params",
}


class Problem(NamedTuple):
    """A mistake that has a path but no place yet; `at_key` points to the key and not to its value."""

    path: Path
    problem: str
    remedy: str
    at_key: bool = False


def read_workflow(tree: Tree) -> tuple[Workflow | None, list[Mistake]]:
    """Make the model of a document, and check that its parts fit together.

    Returns:
        The workflow, None if something is wrong, and all mistakes.
    """
    if not isinstance(tree.value, dict):
        found = "nothing" if tree.value is None else _kind(tree.plain())
        remedy = "begin with workflow_name: and tasks:"
        return None, [
            Mistake(tree.line, tree.column, (), f"a workflow is a mapping, and here is {found}", remedy)
        ]
    reading = _Reading()
    workflow = reading.read(tree.plain(), Workflow, ())
    mistakes = [_placed(tree, problem) for problem in reading.problems]
    mistakes += check_references(Known(reading.names, reading.params, reading.tasks), tree)
    return (None if workflow is _FAILED else workflow), mistakes


def _placed(tree: Tree, problem: Problem) -> Mistake:
    place = tree.place(problem.path, key=problem.at_key)
    return Mistake(*place, problem.path, problem.problem, problem.remedy)


def resolved(model: type[Any]) -> tuple[Attribute[Any], ...]:
    """Return the fields of a class that a file can give, their annotations as types."""
    return _resolved(cast(Hashable, model))


@lru_cache(maxsize=64)
def _resolved(model: Hashable) -> tuple[Attribute[Any], ...]:
    return tuple(f for f in fields(resolve_types(cast(Any, model))) if f.metadata.get("file", True))


@lru_cache(maxsize=64)
def _by_key(model: Hashable) -> Mapping[str, Attribute[Any]]:
    return {key_of(f): f for f in resolved(cast(Any, model))}


@lru_cache(maxsize=64)
def _required(model: Hashable) -> tuple[str, ...]:
    return tuple(key for key, attribute in _by_key(model).items() if attribute.default is NOTHING)


def key_of(attribute: Attribute[Any]) -> str:
    """Return what a file calls a field."""
    return attribute.alias or attribute.name


class _Reading:
    """Walks through a document beside the model's types, and notes what does not fit."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.names: tuple[str, ...] = ()
        self.params: tuple[str, ...] = ()
        self.tasks: dict[str, TaskSpec] = {}

    def read(self, value: Any, wanted: Any, path: Path) -> Any:  # noqa: PLR0911  a list of cases
        special = self._SPECIAL.get(wanted) if isinstance(wanted, type) else None
        if special is not None:
            return special(self, value, path)
        if wanted is Any:
            return value
        origin = get_origin(wanted)
        if origin in (Union, types.UnionType):
            return self._union(value, wanted, path)
        if origin is Literal:
            return value if value in get_args(wanted) else self._misfit(value, wanted, path)
        if origin is list and isinstance(value, list):
            (item,) = get_args(wanted)
            return self._all([self.read(v, item, (*path, i)) for i, v in enumerate(value)])
        if origin is dict and isinstance(value, dict):
            made = {key: self.read(v, get_args(wanted)[1], (*path, key)) for key, v in value.items()}
            return _FAILED if _FAILED in made.values() else made
        if isinstance(wanted, type) and has(wanted) and isinstance(value, dict):
            return self._model(value, wanted, path)
        if origin is None and _is(value, wanted):
            return float(value) if wanted is float else value
        return self._misfit(value, wanted, path)

    def _all(self, items: list[Any]) -> Any:
        return _FAILED if any(item is _FAILED for item in items) else items

    def _union(self, value: Any, wanted: Any, path: Path) -> Any:
        for member in get_args(wanted):
            if _shaped(value, member):
                return self.read(value, member, path)
        return self._misfit(value, wanted, path)

    def _misfit(self, value: Any, wanted: Any, path: Path) -> Any:
        text = f"it must be {_text(wanted)}"
        remedy = _remedy(value, _members(wanted))
        problem = f"is {_kind(value)}" if remedy is None else f"is {_kind(value)}; {text}"
        self.problems.append(Problem(path, problem, remedy or text))
        return _FAILED

    def _model(self, value: dict[str, Any], model: type, path: Path) -> Any:
        """Make an attrs instance."""
        return self._made(model, self._parts(value, model, path), path)

    def _parts(self, value: dict[str, Any], model: type, path: Path) -> dict[str, Any]:
        """Read the fields of an attrs instance."""
        given: dict[str, Any] = {}
        known = _by_key(model)
        for key, part in value.items():
            if key in known:
                given[key] = self._field(part, known[key], (*path, key))
            else:
                self._unknown(key, known, path)
        for key in _required(model):
            if key not in value:
                remedy = f"add {key}: {known[key].metadata.get('help', '')}"
                self.problems.append(Problem(path, f"has no {key}", remedy, at_key=True))
                given[key] = _FAILED
        return given

    def _made(self, model: type, given: Mapping[str, Any], path: Path) -> Any:
        if any(part is _FAILED for part in given.values()):
            return _FAILED
        try:
            return model(**given)
        except ValueError as error:
            self._note(error, path)
            return _FAILED

    def _field(self, value: Any, attribute: Attribute[Any], path: Path) -> Any:
        made = self.read(value, attribute.type, path)
        if made is not _FAILED and attribute.validator is not None:
            try:
                attribute.validator(None, attribute, made)
            except ValueError as error:
                self._note(error, path)
                return _FAILED
        return made

    def _note(self, error: ValueError, path: Path) -> None:
        # A parameter's model does not know what it is called.
        text = str(error)
        if path[:1] == ("params",) and f"{SECRET_PREFIX}NAME" in text:
            # Start-up: few files have any.
            from liteflow.secret import variable_of  # noqa: PLC0415

            text = text.replace(f"{SECRET_PREFIX}NAME", variable_of(str(path[-1])))
        problem, _, remedy = text.partition("; ")
        self.problems.append(Problem(path, problem, remedy or "correct it"))

    def _unknown(self, key: str, known: Mapping[str, Any], path: Path) -> None:
        elsewhere = [place for place, keys in _PLACES.items() if key in keys]
        other = _ELSEWHERE_CALLED.get(key)
        remedy = f"did you mean {other!r}?" if other in known else meant(key, known)
        if elsewhere:
            remedy = f"it belongs into {elsewhere[0]}"
        self.problems.append(Problem((*path, key), "is unknown", remedy, at_key=True))

    # --- what is not read field by field ---------------------------------------------------

    def _workflow(self, value: Any, path: Path) -> Any:
        tasks = value.get("tasks")
        if isinstance(tasks, dict):
            self.names = tuple(tasks)
            if not tasks:
                self.problems.append(
                    Problem(("tasks",), "is empty", "add a task: its name, and run: COMMAND")
                )
            for name in tasks:
                problem = name_problem(name, "a task")
                if problem is not None:
                    self.problems.append(Problem(("tasks", name), problem, "rename it", at_key=True))
        params = value.get("params")
        self.params = tuple(params) if isinstance(params, dict) else ()
        for name in self.params:
            if not name.isidentifier() or iskeyword(name):
                problem = "can't be the name of a parameter"
                self.problems.append(
                    Problem(("params", name), problem, "use letters, digits and _", at_key=True)
                )
        return self._model(value, Workflow, path)

    def _param(self, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            return Param(default=value)
        return self._model(value, Param, path)

    def _settings(self, value: Any, path: Path) -> Any:
        return (
            self._model(value, Settings, path) if isinstance(value, dict) else self._misfit(value, dict, path)
        )

    def _task(self, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            remedy = (
                f"write run: {value}" if isinstance(value, str) and len(value) < 60 else "write run: COMMAND"
            )
            self.problems.append(
                Problem(path, f"is {_kind(value)}; a task is a mapping", remedy, at_key=True)
            )
            return _FAILED
        kind = self._kind_of(value.get("type", "shell"), (*path, "type"))
        if kind is _FAILED:
            return _FAILED
        common, own = _by_key(TaskSpec), _by_key(kind)
        for key in value:
            if key not in common and key not in own:
                self._unknown(key, {**common, **own}, path)
        of_work = self._parts({k: v for k, v in value.items() if k in own}, kind, path)
        work = self._made(kind, of_work, path)
        rest = {k: v for k, v in value.items() if k in common and k not in own}
        given = {**self._parts(rest, TaskSpec, path), "work": work}
        spec = self._made(TaskSpec, given, path)
        # What can be read of it is checked further, whatever else is wrong with it.
        known = spec if spec is not _FAILED else _what_is_right(kind, of_work, given)
        if known is not None:
            self.tasks[str(path[-1])] = known
        return spec

    def _kind_of(self, name: Any, path: Path) -> Any:
        if not isinstance(name, str):
            return self._misfit(name, str, path)
        try:
            return task_type(name)
        except UnknownNameError as error:
            remedy = meant(name, map(str, error.known))
            self.problems.append(Problem(path, f"is {shown(name)}; there is no such task type", remedy))
        except PlugInError as error:
            self.problems.append(Problem(path, f"is {name!r}: {error.problem}", "ask the plug-in's author"))
        return _FAILED

    _SPECIAL: Mapping[type, Callable[[_Reading, Any, Path], Any]] = {
        Workflow: _workflow,
        Param: _param,
        Settings: _settings,
        TaskSpec: _task,
    }


def _what_is_right(kind: type, of_work: Mapping[str, Any], given: Mapping[str, Any]) -> TaskSpec | None:
    """A task without the fields that are wrong; None if nothing can be made of the others."""
    try:
        work = kind(**{key: part for key, part in of_work.items() if part is not _FAILED})
        rest = {key: part for key, part in given.items() if part is not _FAILED}
        # Some list there was: the item that its templates name is no mistake.
        if given.get("foreach") is _FAILED:
            rest["foreach"] = []
        return TaskSpec(**{**rest, "work": work})
    except (TypeError, ValueError):
        return None


_PLACES = {
    "settings:": {f.name for f in fields(Settings)},
    "a task": {f.name for f in fields(TaskSpec)} | {"run", "cwd", "env", "outputs"},
    "the top of the file": {f.name for f in fields(Workflow)},
}


def _is(value: object, wanted: Any) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)


def _shaped(value: object, wanted: Any) -> bool:
    """Whether a value is meant as that member of a union: the member then says what else is wrong."""
    origin = get_origin(wanted)
    if wanted is Any:
        return True
    if origin is Literal:
        return value in get_args(wanted)
    if origin is not None:
        return isinstance(value, origin)
    if isinstance(wanted, type) and has(wanted):
        return isinstance(value, dict)
    return _is(value, wanted)


def _members(wanted: Any) -> tuple[Any, ...]:
    """What a value may be, beside nothing: that is the same as to leave it out."""
    if get_origin(wanted) not in (Union, types.UnionType):
        return (wanted,)
    return tuple(member for member in get_args(wanted) if member is not type(None))


def _remedy(value: object, members: Sequence[Any]) -> str | None:
    """What makes of a value the one that was meant; None: nothing is near."""
    if isinstance(value, str):
        numbers = [kind for kind in (int, float) if kind in members and _reads(value, kind)]
        if numbers or (bool in members and value in ("true", "false")):
            return f"write {value}, without quotes"
        choices = [str(c) for m in members if get_origin(m) is Literal for c in get_args(m)]
        close = nearest(value, choices)
        if close:
            return f"did you mean {close[0]!r}?"
        if any(get_origin(member) is list for member in members):
            return f"write a list: [{value}]" if len(value) < 40 else "write a list: [...]"
    elif list[Any] in members and not isinstance(value, dict) and value is not None:
        return f"write a list: [{value}]"
    if str in members and isinstance(value, int | float):
        return f'quote it: "{str(value).lower() if isinstance(value, bool) else value}"'
    return None


def _reads(text: str, kind: type[int] | type[float]) -> bool:
    try:
        return isfinite(kind(text)) and text.strip() == text
    except ValueError:
        return False


def _text(wanted: Any) -> str:
    """A type, as a sentence has it."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(_text(member) for member in _members(wanted))
    if origin is Literal:
        return " or ".join(map(str, get_args(wanted)))
    if origin is list:
        return "a list" if get_args(wanted)[0] is Any else f"a list, each item {_text(get_args(wanted)[0])}"
    if origin is dict or wanted is dict:
        return "a mapping"
    if isinstance(wanted, type) and has(wanted):
        return f"a mapping with {', '.join(key_of(f) for f in resolved(wanted))}"
    return _WORDS.get(wanted, str(wanted))


def _kind(value: object) -> str:
    """A value, as a sentence has it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing (null)"
    text = str(value).lower() if isinstance(value, bool) else shown(value, 60)
    return f"the text {text}" if isinstance(value, str) else text
