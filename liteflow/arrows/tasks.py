"""The tasks of a flow's steps: names looked up in what the caller gives, settings, parameters bound.

"score" --lookup--> function or task --> Task, arguments (what comes in first, then the parameters)
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin

from attrs import evolve, frozen

from liteflow.arrows.errors import ArrowError, StepError
from liteflow.arrows.graph import CompiledFlow, Kind, Node, check_names
from liteflow.arrows.resources import load, save
from liteflow.arrows.step import step_function
from liteflow.arrows.typed import typed_step, types_like, types_of
from liteflow.errors import DefinitionError, nearest
from liteflow.hints import is_secret
from liteflow.parameters import Parameter, Signature
from liteflow.policy import Policy
from liteflow.task import Task

INPUT = "input"
"""The parameter of every flow of a text: what goes to its first steps."""

SETTINGS = "liteflow"
"""The parameter of a step that is none: settings of its task, as of `@task`."""


@frozen
class StepTask:
    """What a step calls.

    Attributes:
        task: Its task.
        takes_input: Whether what comes in goes to it, as its first argument.
        args, kwargs: The arguments behind that.
        secrets: Its parameters that take a secret, which the flow is given.
    """

    task: Task[..., Any]
    takes_input: bool
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    secrets: tuple[str, ...] = ()


def functions_in(given: Any) -> dict[str, Any]:
    """What can be called in what a caller gives: a mapping, a module, or some functions.

    >>> sorted(functions_in({"A": print, "n": 1}))
    ['A']
    """
    if isinstance(given, types.ModuleType):
        given = vars(given)
    if not isinstance(given, Mapping):
        given = {getattr(one, "name", getattr(one, "__name__", "")): one for one in given}
    return {name: one for name, one in given.items() if isinstance(name, str) and _is_function(one)}


def _is_function(value: Any) -> bool:
    if isinstance(value, Task):
        return True
    if not callable(value) or isinstance(value, type) or type(value).__module__ == "typing":
        return False
    # What is imported to write tasks with is none.
    module = getattr(value, "__module__", None) or ""
    home = sys.modules.get(module) if module.partition(".")[0] == "liteflow" else None
    return home is None or getattr(home, getattr(value, "__name__", ""), None) is not value


def step_tasks(flow: CompiledFlow, given: Any, folder: str) -> list[StepTask | None]:
    """What each step calls, by its number; None: a literal calls nothing.

    Args:
        flow: The flow.
        given: What its tasks are looked up in.
        folder: What paths in it are relative to.

    Raises:
        UnknownTaskError: A step names a task that nobody has given.
        StepError: Its parameters, or its settings, can't be its task's.
    """
    functions = functions_in(given)
    # A name may have what no name in Python can.
    known = {**{name.replace("_", "-"): one for name, one in functions.items()}, **functions}
    known |= types_of(step.base for step in flow.steps if step.kind is Kind.TASK and step.base not in known)
    check_names(flow, known, types_like)
    maker = _Maker(flow, known, folder)
    placed = [node for region in flow.regions() for node in region.nodes if node.number >= 0]
    placed.sort(key=lambda node: node.number)
    return [None if node.kind is Kind.LITERAL else maker.step(node) for node in placed]


class _Maker:
    """Makes the tasks of one flow; steps that call the same function in the same way share one."""

    def __init__(self, flow: CompiledFlow, known: Mapping[str, Any], folder: str) -> None:
        self._flow = flow
        self._known = known
        self._folder = folder
        self._made: dict[tuple[Any, ...], tuple[Task[..., Any], bool]] = {}
        self._works: list[Any] = []
        # By the id of a task, which `_made` keeps.
        self._secrets: dict[int, tuple[str, ...]] = {}

    def step(self, node: Node) -> StepTask:
        if node.kind is not Kind.TASK:
            own = {} if node.parameters is None else {"parameters": node.parameters}
            function = load if node.kind is Kind.LOAD else save
            made = self._task(node, function, node.kind.value, {}, len(node.sources))
            return StepTask(*made, (), {"uri": node.name, "folder": self._folder, **own})
        parameters = node.parameters
        settings: Mapping[str, Any] = {}
        if isinstance(parameters, dict) and SETTINGS in parameters:
            parameters = dict(parameters)
            settings = parameters.pop(SETTINGS)
        found = self._known[node.base]
        if isinstance(found, type):
            return self._typed(node, found, parameters, settings)
        task, takes_input = self._task(node, found, node.name, settings, len(node.sources))
        args = tuple(parameters) if isinstance(parameters, list) else ()
        kwargs = parameters if isinstance(parameters, dict) else {}
        if id(task) not in self._secrets:
            self._secrets[id(task)] = secrets_of(task.signature, takes_input)
        secrets = self._secrets[id(task)]
        self._bind(node, task, takes_input, args, kwargs, secrets)
        return StepTask(task, takes_input, args, kwargs, secrets)

    def _typed(self, node: Node, kind: Any, parameters: Any, settings: Mapping[str, Any]) -> StepTask:
        """A step that does the work of a task type."""
        timeout = settings.get("timeout") if isinstance(settings, Mapping) else None
        work = typed_step(kind, parameters, timeout, lambda *said: self._wrong(node, *said))
        # Kept: what was made is found again by its id.
        self._works.append(work)
        task, _ = self._task(node, work, node.name, settings, len(node.sources))
        return StepTask(task, True, (), {})

    def _wrong(self, node: Node, problem: str, remedy: str) -> ArrowError:
        return StepError.of(self._flow.origin, node.at, f"{node.name} {problem}", remedy)

    def _task(
        self, node: Node, found: Any, name: str, settings: Mapping[str, Any], sources: int
    ) -> tuple[Task[..., Any], bool]:
        # What several edges bring together has no type that could be known.
        joined = sources != 1 or node.merge
        place = (id(found), name, repr(settings), joined)
        if place not in self._made:
            try:
                self._made[place] = _step_task(found, name, settings, joined)
            except DefinitionError as error:
                what = f"{node.name} can't be called like this: {error}"
                remedy = (
                    f"`{SETTINGS}` is an object of settings of the task, as of `@task`: retries, timeout, ..."
                )
                raise StepError.of(self._flow.origin, node.at, what, remedy) from error
        return self._made[place]

    def _bind(  # noqa: PLR0917  what a call is made of
        self,
        node: Node,
        task: Task[..., Any],
        takes_input: bool,
        args: tuple[Any, ...],
        kwargs: Any,
        secrets: Sequence[str],
    ) -> None:
        signature = task.signature
        if args or kwargs:
            self._check_names(node, signature, takes_input, args, kwargs)
        try:
            bound, named = signature.bind((None, *args) if takes_input else args, dict(kwargs))
        except DefinitionError as error:
            raise self._refused(node, error) from error
        given = {*signature.positional[: len(bound)], *(named or {})}
        if secrets:
            self._refuse_told(node, given, secrets)
        missing = [name for name in signature.required if name not in given and name not in secrets]
        if missing:
            what = f"{node.name} lacks its parameter {missing[0]}"
            remedy = f"give it here: {node.name}(- {missing[0]}: ... -)"
            raise StepError.of(self._flow.origin, node.at, what, remedy)

    def _check_names(
        self, node: Node, signature: Signature, takes_input: bool, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        """Refuse parameters that the task does not have behind what comes in."""
        first = signature.positional[:1] if takes_input else ()
        others = [name for name in signature.names if name not in first]
        has = f"its parameters are: {', '.join(others)}" if others else "it has none behind what comes in"
        for name in kwargs:
            if name in first:
                what = f"{name} of {node.name} is what comes in, and can't be a parameter here"
                raise StepError.of(self._flow.origin, node.at, what, has)
            if name not in signature.keywords and signature.extra is None:
                close = nearest(name, others)
                what = f"{node.name} has no parameter {name}"
                raise StepError.of(
                    self._flow.origin, node.at, what, f"did you mean {close[0]}?" if close else has
                )
        most = len(signature.positional) - len(first)
        if len(args) > most and signature.rest is None:
            what = f"{node.name} is given {len(args)} parameters by position, and takes {most or 'none'}"
            raise StepError.of(self._flow.origin, node.at, what, has)

    def _refuse_told(self, node: Node, given: set[str], secrets: Sequence[str]) -> None:
        """Refuse secrets that stand in the text, and one of a name that is taken."""
        # Start-up: few flows have any.
        from liteflow.secret import variable_of  # noqa: PLC0415

        for name in secrets:
            what, remedy = f"{node.name} takes a secret by the name {name}, which is what comes in", ""
            if name in given:
                what = f"{node.name} has its {name} in the text, where it can be read, and that is a secret"
                remedy = f"leave it out here, and set {variable_of(name)}, or give it to the flow"
            elif name == INPUT:
                remedy = "give the task's parameter another name"
            if remedy:
                raise StepError.of(self._flow.origin, node.at, what, remedy)

    def _refused(self, node: Node, error: DefinitionError) -> ArrowError:
        what = f"{node.name} can't be called like this: {error}"
        remedy = "an object gives parameters by name, a list by position, behind what comes in"
        return StepError.of(self._flow.origin, node.at, what, remedy)


def secrets_of(signature: Signature, takes_input: bool) -> tuple[str, ...]:
    """The parameters of a step's task that take a secret, but for the one that gets what comes in.

    >>> from liteflow import Secret
    >>> def sign(value, token: Secret): ...
    >>> secrets_of(Signature.of(sign, "sign()"), True)
    ('token',)
    """
    names = signature.names[1:] if takes_input and signature.positional else signature.names
    return tuple(name for name in names if is_secret(signature.typed.get(name)))


def secrets_in(steps: Sequence[StepTask | None]) -> dict[str, Parameter]:
    """The secrets that a flow is to be given, by name: steps that call one alike get the same.

    It need not be given where each step has a default for it; then it is that of the first.
    """
    found: dict[str, Parameter] = {}
    for step in steps:
        if step is not None and step.secrets:
            for parameter in step.task.signature.parameters:
                known = found.get(parameter.name)
                if parameter.name in step.secrets and (known is None or parameter.required):
                    found[parameter.name] = parameter
    return found


def _step_task(
    found: Any, name: str, settings: Mapping[str, Any], joined: bool
) -> tuple[Task[..., Any], bool]:
    """The task of a step, and whether what comes in goes to it."""
    own = found if isinstance(found, Task) else None
    function = own.fn if own is not None else found
    signature = Signature.of(function, f"{name}()")
    takes_input = bool(signature.positional) or signature.rest is not None
    policy = own.policy if own is not None else Policy()
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise DefinitionError(f"`{SETTINGS}` is an object of settings of the task, not {settings!r}")
    tags = own.tags if own is not None else ()
    task = Task(step_function(function, takes_input), name, policy, tags)
    if settings:
        task = task.options(**settings)
    vars(task)["signature"] = _as_it_flows(signature, joined)
    return task, takes_input


def _as_it_flows(signature: Signature, joined: bool) -> Signature:
    """A signature with what flows in for what is given: {} for None, a list for a tuple."""
    annotations = dict(signature.annotations)
    if joined and signature.positional:
        annotations.pop(signature.positional[0], None)
    if "return" in annotations:
        annotations["return"] = _flowing(annotations["return"])
    own = evolve(signature)
    # As they are when somebody asks for them; a frozen class is written to like this.
    vars(own)["annotations"] = annotations
    return own


def _flowing(returns: Any) -> Any:
    if returns is None or returns is type(None):
        return dict
    forms = {returns, get_origin(returns), *get_args(returns)}
    changes = any(form is tuple or form is type(None) or get_origin(form) is tuple for form in forms)
    return Any if changes else returns


def caller_names(depth: int) -> dict[str, Callable[..., Any]]:
    """What can be called where this is called from, so many frames up: its locals over its globals."""
    frame = inspect.currentframe()
    for _ in range(depth + 1):
        assert frame is not None
        frame = frame.f_back
    assert frame is not None
    return functions_in({**frame.f_globals, **frame.f_locals})
