"""Which task types are there: those that are built in, and those of plug-ins.

A plug-in is an installed package with an entry point in the group `liteflow.task_types`:

    [project.entry-points."liteflow.task_types"]
    slack = "my_package:Slack"

Its module is imported when a file names the type, and not before.

Source: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from attrs import NOTHING, define

from liteflow.errors import DefinitionError, UnknownNameError
from liteflow.task_types.base import TaskType, options_of
from liteflow.task_types.call import TaskCall
from liteflow.task_types.http import Http, HttpDelete, HttpGet, HttpPost, HttpPut
from liteflow.task_types.python import Python
from liteflow.task_types.shell import Shell
from liteflow.task_types.sql import Sql
from liteflow.task_types.wait import WaitDelay, WaitEvent

GROUP = "liteflow.task_types"
BUILT_IN: dict[str, type[TaskType]] = {
    kind.kind: kind
    for kind in (
        Shell,
        Python,
        Http,
        Sql,
        TaskCall,
        HttpGet,
        HttpPost,
        HttpPut,
        HttpDelete,
        WaitDelay,
        WaitEvent,
    )
}


class OptionFacts(NamedTuple):
    """One field of a task type, as `liteflow types` lists it; `default` is empty if it must be given."""

    name: str
    type: str
    default: str
    help: str


class TypeFacts(NamedTuple):
    """A task type, as `liteflow types` lists it; `origin` is "liteflow" or the plug-in's package."""

    kind: str
    origin: str
    help: str
    options: tuple[OptionFacts, ...]


@define(eq=False, slots=False)
class PlugInError(DefinitionError):
    """A plug-in can't be used."""

    kind: str
    module: str
    problem: str

    def __str__(self) -> str:
        return f"task type {self.kind!r} of the plug-in {self.module}: {self.problem}; ask its author"


def kinds() -> tuple[str, ...]:
    """Return the names of all task types; no plug-in is imported for that."""
    return (*BUILT_IN, *sorted({point.name for point in _points() if point.name not in BUILT_IN}))


def task_type(kind: str) -> type[TaskType]:
    """Return the class of a task type.

    Raises:
        UnknownNameError: There is none of that name.
        PlugInError: Its plug-in can't be loaded, or is none.

    >>> task_type("shell").__name__
    'Shell'
    """
    if kind in BUILT_IN:
        return BUILT_IN[kind]
    for point in _points():
        if point.name == kind:
            return _loaded(point)
    raise UnknownNameError("liteflow", "task type", kind, list(kinds()))


def described() -> tuple[TypeFacts, ...]:
    """Return all task types with their fields.

    Raises:
        PlugInError: A plug-in can't be loaded.
    """
    origins = {point.name: point.dist.name if point.dist else point.module for point in _points()}
    return tuple(_facts(task_type(kind), origins.get(kind, "liteflow")) for kind in kinds())


def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _loaded(point: EntryPoint) -> type[TaskType]:
    try:
        found: Any = point.load()
    except Exception as error:
        raise PlugInError(
            point.name, point.value, f"can't be loaded: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, TaskType)):
        raise PlugInError(point.name, point.value, "is no class derived from TaskType")
    return found


def _facts(kind: type[TaskType], origin: str) -> TypeFacts:
    options = tuple(
        OptionFacts(
            f.alias or f.name, _type_text(f.type), _default_text(f.default), f.metadata.get("help", "")
        )
        for f in options_of(kind)
    )
    doc = inspect.getdoc(kind) or ""
    return TypeFacts(kind.kind, origin, doc.partition("\n")[0], options)


def _type_text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _default_text(default: Any) -> str:
    if default is NOTHING:
        return ""
    return repr(default.factory() if hasattr(default, "factory") else default)
