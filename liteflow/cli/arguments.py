"""What does `name=value` on the command line mean to a flow?

A value is JSON if it can be read as JSON, unless the parameter is text: then it is the text
as it stands.  So `n=3` is a number, `names='["a"]'` a list, `path=1.csv` and `title=3` are text
where the flow says `path: str`, `title: str`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from liteflow import hints
from liteflow.errors import CommandLineError, LiteflowError
from liteflow.views.shown import label

if TYPE_CHECKING:
    from liteflow.flow import Flow


def split_arguments(words: Iterable[str]) -> dict[str, str]:
    """Return the arguments by name, their values as the text that was given.

    Raises:
        CommandLineError: A word has no `=`, no name, or a name that an earlier one has.

    >>> split_arguments(["path=a=b.csv", "transform.scale=2"])
    {'path': 'a=b.csv', 'transform.scale': '2'}
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise CommandLineError(f"{label(word)!r} is no argument of a flow; write name=value")
        if name in values:
            raise CommandLineError(f"argument {label(name)!r} is given twice; give it once")
        values[name] = value
    return values


def read_value(text: str, annotation: Any = Any) -> object:
    """Return what a text means to a parameter of that annotation.

    >>> read_value("3", int), read_value("3", str), read_value("[1, 2]"), read_value("a.csv")
    (3, '3', [1, 2], 'a.csv')
    >>> read_value("3", str | None), read_value("null", str | None)
    ('3', None)
    """
    if _is_text(annotation):
        return text
    value = _from_json(text)
    if hints.problem(value, annotation) is None:
        return value
    for other in (str, Path):
        # What JSON makes of it does not fit: the text itself may, or the path it names.
        if (other is str or _takes_path(annotation)) and hints.problem(other(text), annotation) is None:
            return other(text)
    return value


def read_inputs(flow: Flow[Any, Any], words: Iterable[str]) -> dict[str, object]:
    """Return the `inputs=` of a flow that `name=value` and `task.parameter=value` words mean.

    Raises:
        CommandLineError: A word is no such thing.
    """
    texts = split_arguments(words)
    annotations = {name: parameter.annotation for name, parameter in flow.parameters.items()}
    inputs = {name: read_value(text, annotations.get(name, Any)) for name, text in texts.items()}
    of_tasks = [name for name in texts if name not in annotations]
    if of_tasks:
        annotations = _annotations_of_tasks(flow, {n: v for n, v in inputs.items() if n not in of_tasks})
        inputs |= {name: read_value(texts[name], annotations.get(name, Any)) for name in of_tasks}
    return inputs


def read_json(text: str, option: str = "") -> object:
    """Return the value of `JSON` or `@FILE`; `option` is where it was given, for messages.

    Raises:
        CommandLineError: It is no JSON, or the file can't be read.

    >>> read_json('{"batch": 7}')
    {'batch': 7}
    """
    source, where = text, f"{option}: " if option else ""
    if text.startswith("@"):
        try:
            source = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandLineError(f"{where}can't read {label(text[1:])}: {error}") from None
    try:
        value: object = json.loads(source, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        problem = f"{where}{label(text)} is no JSON: {error}; text stands in double quotes"
        raise CommandLineError(problem) from None
    return value


def read_resources(words: Iterable[str] | None) -> dict[str, float | str] | None:
    """Return the `resources=` of a run that `NAME=AMOUNT` words mean; None if there are none.

    Raises:
        CommandLineError: A word is no such thing, or its name is there already.

    >>> read_resources(["gpus=2", "memory=8GB"])
    {'gpus': 2, 'memory': '8GB'}
    """
    if not words:
        return None
    found: dict[str, float | str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise CommandLineError(
                f"--resource {label(word)}: write NAME=AMOUNT, such as gpus=1 or memory=8GB"
            )
        if name in found:
            raise CommandLineError(f"--resource {label(name)} is given twice; give it once")
        amount = _from_json(text)
        # What is no number is for `resources_of` to judge: a size, or a mistake.
        found[name] = amount if isinstance(amount, int | float) else text
    return found


def _annotations_of_tasks(flow: Flow[Any, Any], inputs: dict[str, object]) -> dict[str, Any]:
    """What the parameters of the flow's tasks want, as `task.parameter`, where that can be known."""
    try:
        dag = flow.compile(inputs=inputs)
    except LiteflowError:
        # The arguments in question may be just those that it lacks; running says what is wrong.
        return {}
    return {
        f"{node.key}.{parameter.name}": parameter.annotation
        for node in dag.nodes
        for parameter in node.task.signature.parameters
    }


def _from_json(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        # Not JSON, or more of it than anybody means: so it is text.
        return text


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _is_text(annotation: Any) -> bool:
    annotation = _plain(annotation)
    if get_origin(annotation) is Literal:
        return all(isinstance(choice, str) for choice in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, str)


def _takes_path(annotation: Any) -> bool:
    annotation = _plain(annotation)
    members = (
        get_args(annotation) if get_origin(annotation) is not None or get_args(annotation) else (annotation,)
    )
    return any(isinstance(m, type) and issubclass(m, PurePath) for m in map(_plain, members))


def _plain(annotation: Any) -> Any:
    """What an annotation is about, without `Annotated` and `NewType` around it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            return annotation
