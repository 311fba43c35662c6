"""What a workflow file says: the one model of YAML and of JSON.

    Workflow
      params    name -> Param
      tasks     name -> TaskSpec   what every task has, and `work`: what its type is about
      settings  Settings

The classes are the format: the reader (structure.py), the writer and the JSON Schema are all
made from their fields, and a field's `help` is what people read of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from math import isfinite
from typing import Any, Literal

from attrs import Attribute, field, frozen

from liteflow.errors import SettingError, nearest
from liteflow.files.uses import Uses
from liteflow.names import LONGEST_NAME, checked_name
from liteflow.options import MOST_THRESHOLD
from liteflow.policy import LONGEST, MOST_RETRIES
from liteflow.resources import resources_of
from liteflow.task_types.base import TaskType, in_schema
from liteflow.where import EXECUTORS

FORMAT = 1
"""The version of the format that this is."""

MOST_WORKERS = 512
SHORTEST_S = 0.001

ParamType = Literal["str", "int", "float", "bool", "list", "dict", "any"]
PYTHON_TYPES: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
    "any": Any,
}
Validator = Callable[[object, "Attribute[Any]", Any], None]

# Names that Windows gives to devices, whatever stands behind a dot.  A file may go there.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}


# Most of `name_problem`, as a JSON Schema says it.
NAMES: Mapping[str, Any] = {"pattern": r"^[^./\\:][^/\\:]*$", "maxLength": LONGEST_NAME}


class NothingGiven:
    """Stands as the default of a parameter that must be given, where None is a value."""

    def __repr__(self) -> str:
        return "REQUIRED"

    def __reduce__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = NothingGiven()


def _between(least: float, most: float, *, text: str) -> Validator:
    def check(_model: object, _field: Attribute[Any], value: float | None) -> None:
        if value is not None and not (isfinite(value) and least <= value <= most):
            raise ValueError(f"is {value:g}; it must be {text}" if isfinite(value) else f"must be {text}")

    return in_schema(minimum=least, maximum=most)(check)


def _a_name(what: str) -> Validator:
    def check(_model: object, _field: Attribute[Any], value: str) -> None:
        problem = name_problem(value, what)
        if problem is not None:
            raise ValueError(problem)

    return in_schema(**NAMES)(check)


def name_problem(name: str, what: str) -> str | None:
    """Return what is wrong with the name of a workflow or a task; None: nothing.

    >>> name_problem("fetch data", "a task"), name_problem("CON", "a task")
    (None, 'is the name of a device on Windows; give another name')
    """
    try:
        checked_name(name, what)
    except SettingError as error:
        return f"can't be the name of {what}: {error.wants} will do"
    if name.startswith(".") or "\\" in name or ":" in name:
        return f"can't be the name of {what}: no '\\' or ':' in it, and no '.' at its beginning"
    if name.partition(".")[0].strip().lower() in _DEVICES:
        return "is the name of a device on Windows; give another name"
    return None


@in_schema(enum=[*EXECUTORS, None])
def _a_mode(_model: object, _field: Attribute[Any], value: str | None) -> None:
    if value is not None and value not in EXECUTORS:
        close = nearest(value, EXECUTORS)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"is {value!r}; it must be one of {', '.join(EXECUTORS)}{meant}")


@in_schema(pattern=r"^[^~$][^$]*$")
def _a_path(_model: object, _field: Attribute[Any], value: str | None) -> None:
    if value is not None and (not value or "\0" in value):
        raise ValueError("is no path; give the name of a file or a folder")
    if value is not None and (value.startswith("~") or "$" in value):
        raise ValueError(f"is {value!r}, and ~ and $ mean nothing in it; write the path out")


def _a_storage(_model: object, _field: Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    # Start-up: few files name one.
    from liteflow.storage.place import checked_url  # noqa: PLC0415

    try:
        checked_url(value)
    except ValueError as error:
        wants, given = error.args
        raise ValueError(f"is {given!r}; it must be {wants.removesuffix(', or None')}") from None


@in_schema(uniqueItems=True)
def _distinct(_model: object, _field: Attribute[Any], value: list[str]) -> None:
    twice = [name for number, name in enumerate(value) if name in value[:number]]
    if twice:
        raise ValueError(f"has {twice[0]!r} more than once; keep one")


@in_schema(const=FORMAT)
def _known_format(_model: object, _field: Attribute[Any], value: int) -> None:
    if value != FORMAT:
        newer = (
            "is of a newer liteflow; upgrade it" if value > FORMAT else f"is no format; the first is {FORMAT}"
        )
        raise ValueError(f"{value} {newer}")


@in_schema(minimum=SHORTEST_S, maximum=LONGEST)
def _cached(_model: object, _field: Attribute[Any], value: bool | float | None) -> None:
    if value not in (None, True, False) and not SHORTEST_S <= value <= LONGEST:
        raise ValueError(f"is {value}; it must be true, false, or seconds from {SHORTEST_S} to {LONGEST:.0f}")


_AMOUNTS = [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*[\d.]"}]


def _amounts(*, whole: bool) -> Validator:
    def check(_model: object, _field: Attribute[Any], value: Mapping[str, float | str] | None) -> None:
        try:
            resources_of(value, "it", whole=whole)
        except SettingError as error:
            which = error.setting.removeprefix("resources[").removesuffix("]")
            named = f"has {which} as" if which != error.setting else "has the name"
            given = f"{error.given:g}" if isinstance(error.given, float) else f"{error.given!r:.40}"
            raise ValueError(f"{named} {given}; it must be {error.wants}") from None

    return in_schema(additionalProperties={"anyOf": _AMOUNTS})(check)


_takes, _has = _amounts(whole=False), _amounts(whole=True)
_RETRIES = _between(0, MOST_RETRIES, text=f"a whole number from 0 to {MOST_RETRIES}")
_TIMEOUT = _between(SHORTEST_S, LONGEST, text=f"seconds from {SHORTEST_S} to {LONGEST:.0f}")
_DELAY = _between(0, LONGEST, text=f"seconds from 0 to {LONGEST:.0f}")


def _said(text: str, validator: Validator | None = None) -> dict[str, Any]:
    return {"metadata": {"help": text}, "validator": validator}


@frozen(kw_only=True)
class Param:
    """A parameter of the workflow: `name: default`, or a mapping of these."""

    default: Any = field(default=REQUIRED, **_said("What it is unless told; without it, it must be given."))
    type: ParamType | None = field(default=None, **_said("Its type; by default that of its default."))
    help: str = field(default="", **_said("What it is for."))
    secret: bool = field(
        default=False,
        **_said(
            "Whether it is a password, a key or the like: text that is hidden wherever something is shown, "
            "and is not stored. A run takes it from LITEFLOW_SECRET_NAME of the environment."
        ),
    )

    def __attrs_post_init__(self) -> None:
        if self.secret and self.kind != "str":
            raise ValueError(
                f"is a secret, which is text, and says that it is {self.kind}; correct one of them"
            )
        if self.secret and self.default not in (REQUIRED, ""):
            raise ValueError(
                "is a secret, and its default can be read here; take it away, and set LITEFLOW_SECRET_NAME "
                "in the environment of the runs"
            )
        if self.default is not REQUIRED and not fits(self.default, self.kind):
            raise ValueError(
                f"has the default {self.default!r:.80}, which is no {self.kind}; correct one of them"
            )

    @property
    def kind(self) -> ParamType:
        """Its type, told or seen."""
        if self.type is not None:
            return self.type
        if self.secret and self.default is REQUIRED:
            return "str"
        seen = type(self.default).__name__
        return seen if seen in PYTHON_TYPES else "any"  # type: ignore[return-value]  # a key of PYTHON_TYPES


def fits(value: object, kind: str) -> bool:
    """Whether a value is of a parameter's type; a whole number is a float too.

    >>> fits(1, "float"), fits(True, "int"), fits("1", "int")
    (True, False, False)
    """
    wanted = PYTHON_TYPES[kind]
    if wanted is Any:
        return True
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)


# With a dict, for what is looked up in it once and kept.
@frozen(kw_only=True, slots=False)
class TaskSpec:
    """A task: how it is run, as here, and what it does: `work`, whose fields stand beside these."""

    type: str = field(
        default="shell", **_said("The task type: shell, python, http, sql, task, or a plug-in's.")
    )
    description: str = field(default="", **_said("What it is for."))
    depends_on: list[str] = field(
        factory=list,
        **_said("Tasks that must have succeeded before; templates need no word here.", _distinct),
    )
    timeout: float | None = field(default=None, **_said("Seconds that an attempt may take.", _TIMEOUT))
    retries: int | None = field(
        default=None, **_said("How many attempts may follow one that failed.", _RETRIES)
    )
    retry_delay: float = field(default=0.0, **_said("Seconds before the second attempt.", _DELAY))
    backoff: float = field(
        default=1.0,
        **_said("The factor from each delay to the next.", _between(1, 1000, text="a factor from 1 to 1000")),
    )
    resources: dict[str, float | str] | None = field(
        default=None,
        **_said(
            'What a call takes of its machine: {cpus: 2, gpus: 1, memory: "2GB"}, or names of your own.',
            _takes,
        ),
    )
    cache: bool | float | None = field(
        default=None,
        **_said(
            "Whether a result of an earlier run is taken over, if it is of the same code and arguments; "
            "seconds: if it is not older than that.",
            _cached,
        ),
    )
    when: bool | str | None = field(
        default=None,
        **_said(
            'A condition, like ${{ params.env }} == "prod": if it does not hold, the task is skipped. '
            "Or what must have become of what it waits for: all (have succeeded), any (one has), always."
        ),
    )
    foreach: list[Any] | str | None = field(
        default=None, **_said("A list, or a template of one: the task is run for each ${{ item }}.")
    )
    work: TaskType = field(metadata={"file": False})

    @cached_property
    def uses(self) -> Uses:
        """What its templates name; raises TemplateError if one is malformed."""
        return Uses.of(self.work, self.when, self.foreach, self.depends_on)


@frozen(kw_only=True)
class Settings:
    """How the workflow is run, unless the command line says otherwise."""

    max_parallel_tasks: int | None = field(
        default=None,
        **_said(
            "How many tasks run side by side.",
            _between(1, MOST_WORKERS, text=f"a whole number from 1 to {MOST_WORKERS}"),
        ),
    )
    retries: int = field(default=0, **_said("`retries` of the tasks that say nothing of it.", _RETRIES))
    timeout: float | None = field(
        default=None, **_said("`timeout`, in seconds, of the tasks that say nothing of it.", _TIMEOUT)
    )
    log_dir: str | None = field(default=None, **_said("A folder for logs as files.", _a_path))
    resources: dict[str, float | str] | None = field(
        default=None,
        **_said("What this machine has for tasks that take some of it; the rest is found.", _has),
    )
    xcom_storage: str | None = field(
        default=None, **_said("The URL of a storage where large values lie.", _a_storage)
    )
    xcom_threshold: int | None = field(
        default=None,
        **_said(
            "Values go there that are larger, in bytes.",
            _between(0, MOST_THRESHOLD, text=f"a number of bytes from 0 to {MOST_THRESHOLD}"),
        ),
    )
    mode: str | None = field(default=None, **_said(f"Where tasks run: {', '.join(EXECUTORS)}.", _a_mode))
    db: str | None = field(default=None, **_said("The store file.", _a_path))


@frozen(kw_only=True)
class Workflow:
    """A workflow file."""

    workflow_name: str = field(**_said("Its name.", _a_name("a workflow")))
    version: int = field(default=FORMAT, **_said("The version of the format.", _known_format))
    description: str = field(default="", **_said("What it is for."))
    params: dict[str, Param] = field(factory=dict, **_said("Parameters: values that a run can be given."))
    tasks: dict[str, TaskSpec] = field(**_said("The tasks, by name."))
    settings: Settings = field(factory=Settings, **_said("How it is run."))
