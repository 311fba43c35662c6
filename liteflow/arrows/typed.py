"""Steps that are a task type: `wait:delay(- seconds: 5 -)`, `shell:count(- run: "wc ${{ input.file }}" -)`.

    name --types_of--> class of the task type --typed_step--> a Task that fills the templates, and runs

A name is that of a type (`http:get`), or begins with one (`shell:count`, whose second half is free).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import NOTHING, Attribute

from liteflow.errors import nearest
from liteflow.policy import Policy
from liteflow.task import Task

if TYPE_CHECKING:
    # Start-up: few flows have a step that is a task type.
    from liteflow.task_types.base import Language

# A call of a task of a module is written as the task's own name in this language.
_NOT_HERE = frozenset({"task"})

Refused = Callable[[str, str], Exception]
"""(what is wrong with a step, what to do) -> the error that says so, with its place."""


def types_of(names: Iterable[str]) -> dict[str, Any]:
    """The task types that steps are, by the steps' names; those that are none are left out.

    >>> sorted(types_of(["wait:delay", "shell:count", "http:gett", "clean"]))
    ['shell:count', 'wait:delay']
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    # Start-up: all types load a web client, and few flows have a step of any.
    from liteflow.task_types.registry import kinds, task_type  # noqa: PLC0415

    there = {kind for kind in kinds() if kind not in _NOT_HERE}
    families = {kind.partition(":")[0] for kind in there if ":" in kind}
    found = {}
    for name in wanted:
        first = name.partition(":")[0]
        kind = name if name in there or first in families else first
        if kind in there:
            found[name] = task_type(kind)
    return found


def types_like(name: str) -> list[str]:
    """The task type that is likely meant by a name that is none; nothing: no type is.

    >>> types_like("http:gett"), types_like("shel:count"), types_like("clean")
    (['http:get'], ['shell:count'], [])
    """
    from liteflow.task_types.registry import kinds  # noqa: PLC0415  as above

    first, colon, own = name.partition(":")
    if not colon:
        return []
    whole = [kind for kind in kinds() if ":" in kind]
    families = {kind.partition(":")[0] for kind in whole}
    alone = [kind for kind in kinds() if kind not in _NOT_HERE and kind not in families]
    # Each half by itself: behind another type's name the same second half is no likeness.
    likely = nearest(first, [*alone, *families])[:1]
    if likely and likely[0] in alone:
        return [f"{likely[0]}:{own}"]
    return nearest(name, [kind for kind in whole if kind.partition(":")[0] in likely])[:1]


def typed_step(kind: Any, parameters: Any, timeout: float | None, refused: Refused) -> Task[..., Any]:
    """The task of a step.

    Args:
        kind: The class of its task type.
        parameters: Of the step: an object gives fields by name, a list in their order.
        timeout: Seconds that an attempt may take; None for any.
        refused: Makes the error of a step that can't be.
    """
    # Start-up, as above.
    from liteflow.arrows.typework import TypeWork, WaitingTypeWork  # noqa: PLC0415
    from liteflow.task_types.base import options_of, refused_field, texts_in, work_texts  # noqa: PLC0415

    options = {f.alias or f.name: f for f in options_of(kind)}
    given = _by_name(options, parameters, refused)
    for key, value in given.items():
        for _, text in texts_in(value, ()):
            _check_templates(key, text, refused)
    try:
        work = kind(**given, timeout=timeout)
    except (ValueError, TypeError) as error:
        problem = refused_field(kind, given, error)
        raise refused(f"can't be like this: {problem}", _fields(options)) from error
    for path, text in work_texts(work):
        _check_places(str(path[0]), text, work.language_at(path), refused)
    policy = Policy(executor=kind.executor, retry_on=kind.retry_on)
    return Task((WaitingTypeWork if kind.waits else TypeWork)(work), kind.kind, policy)


def _check_templates(key: str, text: str, refused: Refused) -> None:
    """Refuse templates that name what a step doesn't know."""
    from liteflow.task_types.faults import TemplateError  # noqa: PLC0415  start-up, as above
    from liteflow.task_types.templates import EXAMPLES, templates_in  # noqa: PLC0415

    remedy = "write ${{ input }}, or ${{ input.NAME }}"
    try:
        roots = {template.reference.root: template for template in templates_in(text)}
    except TemplateError as error:
        # What it may name elsewhere is known to workflow files alone.
        told = error.remedy.replace(EXAMPLES, remedy)
        told = remedy if "tasks." in told else told
        raise refused(f"has in {key} a template that is wrong: {error.problem}", told) from error
    for root, template in roots.items():
        if root != "input":
            problem = f"has {template.reference} in {key}: a step knows what comes in, no more"
            raise refused(problem, remedy)


def _check_places(key: str, text: str, language: Language | None, refused: Refused) -> None:
    """Refuse templates that stand where the language of a text has no place for them."""
    from liteflow.task_types.faults import TemplateError  # noqa: PLC0415  as above
    from liteflow.task_types.templates import templates_in  # noqa: PLC0415

    found = templates_in(text)
    if language is None or not found:
        return
    try:
        language(text, found, [f"LITEFLOW_{number}" for number in range(len(found))])
    except TemplateError as error:
        raise refused(
            f"has in {key} a template that can't stand there: {error.problem}", error.remedy
        ) from error


def _by_name(options: Mapping[str, Attribute[Any]], parameters: Any, refused: Refused) -> dict[str, Any]:
    if isinstance(parameters, list):
        if len(parameters) > len(options):
            raise refused(f"has {len(parameters)} parameters", _fields(options))
        given = dict(zip(options, parameters, strict=False))
    else:
        given = dict(parameters or {})
    for name in given:
        if name not in options:
            close = nearest(name, list(options))
            remedy = f"did you mean {close[0]}?" if close else _fields(options)
            raise refused(f"has no parameter {name}", remedy)
    for name, option in options.items():
        if option.default is NOTHING and name not in given:
            raise refused(f"lacks its parameter {name}", _fields(options))
    return given


def _fields(options: Mapping[str, Attribute[Any]]) -> str:
    return f"its parameters are: {', '.join(options)}"
