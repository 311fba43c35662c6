"""TaskType: what all task types share, and how the templates in their fields get values.

    work in the file --filled({"params.day": ...})--> work --run()--> output

In most fields a template stands for its value: alone, for the value itself, of whatever
type; inside a text, for the value as text.  A field in a **language** (a command of the
shell, Python, SQL) never gets a value pasted into it.  There the template becomes a
variable of that language, whose value comes beside the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from attrs import NOTHING, Attribute, evolve, field, fields, frozen, has

from liteflow.task_types.faults import UnfitValueError
from liteflow.task_types.templates import (
    Reference,
    Template,
    as_text,
    only_template,
    references_in,
    templates_in,
)

if TYPE_CHECKING:
    from liteflow.context import Context

Work = TypeVar("Work", bound="TaskType")
Check = TypeVar("Check", bound=Callable[..., None])

Language = Callable[[str, Sequence[Template], Sequence[str]], str]
"""(text, its templates, the variable of each) -> the text with variables in their places.

Raises TemplateError where no variable can stand.
"""


def option(
    default: Any = NOTHING,
    *,
    help: str,
    language: Language | None = None,
    validator: Any = None,
    factory: Any = None,
    alias: str | None = None,
) -> Any:
    """Return a field of a task type, as `attrs.field` does.

    Args:
        default: Its value where the file says nothing; without one, the file must say.
        help: One sentence for people: it goes into the schema and `liteflow types`.
        language: In what language the text is, where a template must be a variable of it.
        validator, factory: As in `attrs.field`.
        alias: What the file calls it, if that is no name for an attribute here, as `run`.
    """
    settings = {"factory": factory} if factory else {"default": default}
    metadata = {"help": help, "language": language}
    return field(**settings, validator=validator, alias=alias, metadata=metadata)


def in_schema(**keywords: Any) -> Callable[[Check], Check]:
    """Say of a validator what of it a JSON Schema can say, for editors, which check with that.

    Args:
        keywords: As the schema of the field's values has them.

    >>> @in_schema(minimum=1)
    ... def some(_work, _field, value):
    ...     if value < 1:
    ...         raise ValueError("is too small; give more")
    >>> some.schema
    {'minimum': 1}
    """

    def mark(check: Check) -> Check:
        cast(Any, check).schema = keywords
        return check

    return mark


@frozen(kw_only=True)
class TaskType:
    """One kind of work; a task of a file is one instance.

    A subclass has a `kind` (what the file calls it), fields made by `option`, and `run`.

    Attributes:
        timeout: Seconds that the attempt may take, None for any; the file's `timeout`.
        variables: Values for the variables of texts in a language; `filled` sets them.
        input: What comes in, where it is a step of the arrow language.

    One that only waits says so (`waits`), and has a coroutine, `run_async`.  One that ends by itself when
    `timeout` is over says that (`keeps_time`).

    >>> from liteflow.task_types import Http
    >>> Http(url="http://localhost/${{ params.page }}").filled({"params.page": "a b"}).url
    'http://localhost/a%20b'
    """

    kind: ClassVar[str]
    executor: ClassVar[str | None] = None
    retry_on: ClassVar[tuple[type[BaseException], ...]] = (Exception,)
    waits: ClassVar[bool] = False
    keeps_time: ClassVar[bool] = False

    # What of the fields together a JSON Schema can say.
    schema: ClassVar[Mapping[str, Any]] = {}

    timeout: float | None = field(default=None, metadata={"file": False})
    variables: Mapping[str, object] = field(factory=dict, metadata={"file": False})
    input: Any = field(default=None, metadata={"file": False})

    def run(self) -> object:
        """Do it, and return its output."""
        raise NotImplementedError

    async def run_async(self, context: Context) -> object:
        """The same of one that waits; `context` is the attempt's."""
        raise NotImplementedError

    def language(self, name: str) -> Language | None:
        """Return the language that the texts of a field are in; None: templates stand for their values."""
        language: Language | None = getattr(fields(type(self)), name).metadata.get("language")
        return language

    def language_at(self, path: Sequence[str | int]) -> Language | None:
        """Return the language of the text that a path of a file leads to, by the names of the file."""
        names = [f.name for f in options_of(type(self)) if (f.alias or f.name) == path[0]]
        return self.language(names[0]) if names else None

    def text(self, name: str, template: Template, value: object) -> str:
        """Return a value as it goes into a text of the field `name`; a type may encode it there."""
        return as_text(value, str(template.reference))

    def filled(self: Work, values: Mapping[str, object]) -> Work:
        """Return the same work with values in the places of its templates.

        Args:
            values: By what the templates say, as `str(reference)` writes it.

        Raises:
            ValueRefusedError: A value has no text, and stands in one.
            UnfitValueError: A field can't have such a value.
        """
        if not values:
            return self
        numbers = {reference: number for number, reference in enumerate(values, 1)}
        variables: dict[str, object] = {}
        changes: dict[str, Any] = {}
        for attribute in options_of(type(self)):
            name = attribute.name
            language = self.language(name)

            def fill(text: str, name: str = name, language: Language | None = language) -> object:
                found = templates_in(text)
                if not found:
                    return text
                if language is not None:
                    names = [variable_name(t.reference, numbers[str(t.reference)]) for t in found]
                    variables.update(
                        (variable, values[str(t.reference)]) for variable, t in zip(names, found, strict=True)
                    )
                    return language(text, found, names)
                if len(found) == 1 and text.strip() == text[found[0].start : found[0].end]:
                    return values[str(found[0].reference)]
                return spliced(text, found, [self.text(name, t, values[str(t.reference)]) for t in found])

            before = getattr(self, name)
            after = _mapped(before, fill)
            if after is not before:
                changes[attribute.alias or name] = after
        try:
            return evolve(self, **changes, variables=variables)
        except ValueError as error:
            raise UnfitValueError(self.kind, refused_field(type(self), changes, error)) from None


def filled_data(data: Any, values: Mapping[str, object]) -> Any:
    """Return plain data with values in the places of its templates.

    >>> filled_data(["${{ params.n }}", "n is ${{ params.n }}"], {"params.n": 3})
    [3, 'n is 3']
    """

    def fill(text: str) -> object:
        only, found = only_template(text), templates_in(text)
        if only is not None:
            return values[str(only)]
        return spliced(text, found, [as_text(values[str(t.reference)], str(t.reference)) for t in found])

    return _mapped(data, fill)


def refused_field(kind: type[TaskType], given: Mapping[str, Any], error: Exception) -> str:
    """Return what is wrong with the fields of a task type, with the name of the one that is refused."""
    for attribute in options_of(kind):
        name = attribute.alias or attribute.name
        if attribute.validator is not None and given.get(name) is not None:
            try:
                attribute.validator(None, attribute, given[name])
            except (ValueError, TypeError) as found:
                if str(found) == str(error):
                    return f"{name}: {error}"
    return str(error)


def options_of(kind: type[TaskType]) -> tuple[Attribute[Any], ...]:
    """Return the fields of a task type that a file can give."""
    return _options_of(cast(Hashable, kind))


@lru_cache(maxsize=64)
def _options_of(kind: Hashable) -> tuple[Attribute[Any], ...]:
    return tuple(f for f in fields(cast(Any, kind)) if f.metadata.get("file", True))


def options_said(work: TaskType) -> object:
    """Return the options of a work as one text that is the same in every process, if there is one.

    >>> from liteflow.task_types import Shell
    >>> options_said(Shell(run="ls", cwd="/tmp"))
    '{"cwd": "/tmp", "env": {}, "exit_codes": [0], "outputs": "stdout", "run_": "ls"}'
    """
    options = {f.name: getattr(work, f.name) for f in options_of(type(work))}
    try:
        # A hundred times as quick as to go through them here, and a file has thousands of tasks.
        return json.dumps(options, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return options


def texts_in(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Iterate over all texts inside a value of plain data, each with the path to it."""
    if isinstance(value, str):
        yield path, value
    elif value is None or isinstance(value, int | float):
        # Most of what is no text; to ask whether it is a mapping costs ten times as much.
        return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts_in(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts_in(item, (*path, index))
    elif has(kind := type(value)):
        for attribute in fields(kind):
            yield from texts_in(getattr(value, attribute.name), (*path, attribute.alias or attribute.name))


def work_texts(work: TaskType) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Iterate over the texts that say what a task does, each with its path, by the names of the file."""
    for name, path in _places(cast(Hashable, type(work))):
        value = getattr(work, name)
        # Most hold nothing, or one text: a file has thousands of tasks with a handful of options each.
        if type(value) is str:
            yield path, value
        elif value:
            yield from texts_in(value, path)


def work_references(work: TaskType) -> tuple[Reference, ...]:
    """Return what the templates name that say what a task does, each once.

    Raises:
        TemplateError: One is malformed.
    """
    return references_in(text for _, text in work_texts(work))


@lru_cache(maxsize=64)
def _places(kind: Hashable) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The options of a task type: what they are called here, and their paths in a file."""
    return tuple((f.name, (f.alias or f.name,)) for f in _options_of(kind))


def variable_name(reference: Reference, number: int) -> str:
    """Return the variable that holds a reference's value in a command, a script or a query.

    Args:
        reference: What it holds.
        number: Tells it from all others of the same task.

    >>> variable_name(Reference("tasks", "fetch-all", "output"), 2)
    'LITEFLOW_2_tasks_fetch_all_output'
    """
    return f"LITEFLOW_{number}_" + re.sub(r"[^A-Za-z0-9]+", "_", str(reference)).strip("_")[:60]


def spliced(text: str, templates: Sequence[Template], parts: Sequence[str]) -> str:
    """Return a text with other text in the places of its templates."""
    pieces, at = [], 0
    for template, part in zip(templates, parts, strict=True):
        pieces += [text[at : template.start], part]
        at = template.end
    return "".join([*pieces, text[at:]])


def _mapped(value: Any, change: Callable[[str], object]) -> Any:
    """Return plain data with its texts changed; the very same object if none is."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        made: Any = {key: _mapped(item, change) for key, item in value.items()}
        return made if any(made[key] is not value[key] for key in made) else value
    if isinstance(value, list | tuple):
        items = [_mapped(item, change) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if has(type(value)):
        parts = {f.alias or f.name: getattr(value, f.name) for f in fields(type(value))}
        filled = _mapped(parts, change)
        return value if filled is parts else evolve(value, **filled)
    return value
