"""Is a workflow whole?  References lead somewhere, no task waits for itself, templates can stand there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from attrs import frozen

from liteflow.files.mistakes import Mistake, Path, meant
from liteflow.files.model import TaskSpec
from liteflow.files.tree import Tree
from liteflow.task_types.base import Language, texts_in, work_texts
from liteflow.task_types.conditions import Condition, parse_condition
from liteflow.task_types.faults import TemplateError
from liteflow.task_types.shell import Shell
from liteflow.task_types.templates import OPENING, Reference, Template, only_template, templates_in

Dependence = Literal["all", "any", "always"]


@frozen
class Known:
    """What there is to refer to: all names, and of the tasks those that could be read."""

    names: Collection[str]
    params: Collection[str]
    tasks: Mapping[str, TaskSpec]


def check_references(known: Known, tree: Tree) -> list[Mistake]:
    """Return what is wrong with what the parts of a workflow say of each other."""
    mistakes: list[Mistake] = []
    for name, spec in known.tasks.items():
        mistakes += _dependencies(known, tree, name, spec)
        for path, text in texts_of(spec):
            mistakes += _text(known, tree, name, path, text)
    return mistakes + _cycle(known, tree)


def texts_of(spec: TaskSpec) -> Iterator[tuple[Path, str]]:
    """Iterate over the texts of a task in which templates may stand, each with its path in the task."""
    yield from work_texts(spec.work)
    for key in ("when", "foreach"):
        yield from texts_in(getattr(spec, key), (key,))


def dependence_of(spec: TaskSpec) -> Dependence | None:
    """Return what must have become of the tasks that a task waits for, if `when` says that."""
    return spec.when if spec.when in ("all", "any", "always") else None  # type: ignore[return-value]  # one of these


def condition_of(spec: TaskSpec) -> Condition | None:
    """Return the condition under which a task is run, if `when` is one.

    Raises:
        TemplateError: It is malformed.
    """
    return None if spec.when is None or dependence_of(spec) else parse_condition(spec.when)


def _dependencies(known: Known, tree: Tree, name: str, spec: TaskSpec) -> Iterator[Mistake]:
    for number, needed in enumerate(spec.depends_on):
        path: Path = ("tasks", name, "depends_on", number)
        if needed == name:
            yield Mistake(*tree.place(path), path, f"makes {name!r} wait for itself", "take it away")
        elif needed not in known.names:
            others = [other for other in known.names if other != name]
            yield Mistake(
                *tree.place(path), path, f"names {needed!r}, which is no task", meant(needed, others)
            )


def _text(known: Known, tree: Tree, name: str, path: Path, text: str) -> Iterator[Mistake]:
    full: Path = ("tasks", name, *path)
    try:
        found = templates_in(text)
        if path == ("when",) and not dependence_of(known.tasks[name]):
            parse_condition(text)
    except TemplateError as error:
        yield Mistake(*_place(tree, full, text, error.offset), full, error.problem, error.remedy)
        return
    language = known.tasks[name].work.language_at(path) if found else None
    for misplaced in [] if language is None else _out_of_place(language, text, found):
        yield Mistake(*_place(tree, full, text, misplaced.offset), full, misplaced.problem, misplaced.remedy)
    for template in found:
        wrong = (
            _NO_INPUT if template.reference.root == "input" else _wrong(known, name, path, template.reference)
        )
        if wrong is not None:
            yield Mistake(*_place(tree, full, text, template.start), full, *wrong)
    if path == ("foreach",) and only_template(text) is None:
        problem = f"is {text[:40]!r}, which is no list"
        yield Mistake(
            *tree.place(full),
            full,
            problem,
            f"write a list, or one template that stands for one, like {OPENING} params.name }}}}",
        )


def _out_of_place(language: Language, text: str, found: Sequence[Template]) -> Iterator[TemplateError]:
    """What a language says of the templates that can't stand where they do, one after the other."""
    while found:
        try:
            language(text, found, [f"LITEFLOW_{number}" for number in range(len(found))])
            return
        except TemplateError as error:
            yield error
            wrong = next((t for t in found if t.start == error.offset), None)
            if wrong is None:
                return
            # As long as it was, so that what is found next is where it is.
            text = text[: wrong.start] + "_" * (wrong.end - wrong.start) + text[wrong.end :]
            found = [template for template in found if template is not wrong]


_NO_INPUT = ("names what comes in, as in the arrow language", "write tasks.NAME.output or params.NAME")


def _place(tree: Tree, path: Path, text: str, offset: int) -> tuple[int, int]:
    """The place of a character: of the template that it is in, and so far on from there."""
    start = text.rfind(OPENING, 0, offset + len(OPENING))
    if start < 0:
        line, column = tree.place(path)
        return line, column + offset
    line, column = tree.place_in(path, OPENING, text.count(OPENING, 0, start))
    return line, column + max(0, offset - start)


def _wrong(known: Known, name: str, path: Path, reference: Reference) -> tuple[str, str] | None:
    """What a template names that is not there, and what to do."""
    spec = known.tasks[name]
    if reference.root == "params":
        if reference.name not in known.params:
            remedy = meant(reference.name, known.params, f"add {reference.name}: to params:")
            return f"names the parameter {reference.name!r}, which is not there", remedy
    elif reference.root == "item":
        if spec.foreach is None or path[0] == "foreach":
            return "names the item, but the task has no foreach", "add foreach: and a list"
    elif reference.name == name:
        return "makes the task wait for itself", "take it away"
    elif reference.name not in known.names:
        others = [other for other in known.names if other != name]
        return f"names {reference.name!r}, which is no task", meant(reference.name, others)
    elif reference.part == "exit_code":
        return _no_exit_code(known, spec, reference.name)
    return None


def _no_exit_code(known: Known, spec: TaskSpec, name: str) -> tuple[str, str] | None:
    """Why a task can't be asked for its exit code, and what to ask for."""
    # What could not be read gets the benefit of the doubt.
    asked = known.tasks.get(name)
    if asked is None:
        return None
    if not isinstance(asked.work, Shell):
        return f"asks a task of type {asked.type} for an exit code", f"use tasks.{name}.output"
    if asked.foreach is not None:
        remedy = f"give it exit_codes: and use tasks.{name}.output[0].exit_code"
        return "asks for the exit code of a task that is run for each item", remedy
    if dependence_of(spec) in ("any", "always"):
        return f"may have none: with when: {spec.when} the task may have failed", f"use tasks.{name}.state"
    return None


# Each costs a walk through all tasks.
_MOST_CIRCLES = 20


def _cycle(known: Known, tree: Tree) -> list[Mistake]:
    upstream = {name: list(_others(name, spec, known)) for name, spec in known.tasks.items()}
    mistakes: list[Mistake] = []
    while (circle := find_cycle(upstream)) is not None and len(mistakes) < _MOST_CIRCLES:
        names = circle if len(circle) <= 8 else [*circle[:5], "...", *circle[-2:]]
        path: Path = ("tasks", circle[0])
        problem = f"is in a circle: {' >> '.join([*names, circle[0]])}"
        place = tree.place(path, key=True)
        mistakes.append(Mistake(*place, path, problem, "take one of these dependencies away"))
        # Other circles, without the tasks of this one.
        upstream = {
            name: [n for n in needed if n not in circle]
            for name, needed in upstream.items()
            if name not in circle
        }
    return mistakes


def _others(name: str, spec: TaskSpec, known: Known) -> Iterator[str]:
    """The other tasks that a task waits for; of itself it has been told, as of what is no template."""
    try:
        upstream = spec.uses.upstream
    except TemplateError:
        upstream = spec.depends_on
    return (needed for needed in upstream if needed in known.tasks and needed != name)


def find_cycle(upstream: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return tasks that wait for each other in a circle, in the order of the data; None if there are none.

    >>> find_cycle({"a": ["c"], "b": ["a"], "c": ["b"], "d": ["c"]})
    ['a', 'b', 'c']
    """
    ranks = {name: number for number, name in enumerate(upstream)}
    done: set[str] = set()
    for start in upstream:
        way: dict[str, Iterator[str]] = {}
        following: str | None = start if start not in done else None
        # A walk along the edges with its own stack: a chain may be longer than Python recurses.
        while following is not None or way:
            if following is None:
                name = next(reversed(way))
                following = next((n for n in way[name] if n not in done), None)
                if following is None:
                    done.add(name)
                    del way[name]
            elif following in way:
                names = list(way)
                circle = names[names.index(following) :][::-1]
                first = circle.index(min(circle, key=ranks.__getitem__))
                return circle[first:] + circle[:first]
            else:
                way[following] = iter(upstream[following])
                following = None
    return None
