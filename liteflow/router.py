"""Flows whose tasks say what runs next: `Flow()`, its tasks by name, and one of them to begin with.

    flow = Flow()

    @flow.task("greet")
    def greet(context: Context) -> TaskOutput: ...

    flow.run("greet")

A `RouterRecipe` is what such a flow is made of, as others are of a function or an expression (recipe.py).
It compiles to a Dag of one call, with all tasks as its routes; the run gains calls as they are asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from attrs import evolve

from liteflow.compiler import compile_dag
from liteflow.dag import Dag
from liteflow.decorated import any_kind, check_function
from liteflow.errors import ArgumentError, DecoratedError, FlowError, UnknownNameError, shown
from liteflow.names import checked_name
from liteflow.parameters import POSITIONAL_OR_KEYWORD, REQUIRED, Parameter
from liteflow.task import Task

if TYPE_CHECKING:
    from liteflow.nexts import Directed

ON_THREADS: Mapping[str, Any] = {"executor": "thread", "max_workers": {"thread": 4}}
"""Where such a flow runs unless told otherwise: on four threads."""

_PARAMETERS = ("start", "inputs")


class RouterRecipe:
    """Tasks by name, one of which is called first.

    Args:
        flow: The flow's name.
    """

    is_router: ClassVar[Literal[True]] = True

    def __init__(self, flow: str) -> None:
        self.flow = flow
        self.tasks: dict[str, Task[..., Directed]] = {}

    def add(self, name: str, function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
        """Add a task, or put it in the place of the one that has this name.

        Raises:
            DecoratedError: It is no function of `(context)` or `(context, inputs)`.
            SettingError, UnknownNameError: As of `task`.
        """
        checked_name(name, "a task")
        check_function(function, "task")
        if any_kind(inspect.isasyncgenfunction, function):
            remedy = "an asynchronous generator can't return what runs next; use def, or no yield"
            raise DecoratedError("task", f"{shown(name)} ({shown(function)})", remedy)
        from liteflow import nexts  # noqa: PLC0415  start-up: few programs have such flows

        way: Callable[..., Any] = nexts.call
        if any_kind(inspect.isgeneratorfunction, function):
            way = nexts.stream
        elif any_kind(inspect.iscoroutinefunction, function):
            way = nexts.acall
        made = Task(partial(way, function, name, _takes_inputs(name, function)), name)
        self.tasks[name] = made.options(**settings) if settings else made

    def parameters(self) -> Mapping[str, Parameter]:
        """The name of the task that runs first."""
        return {"start": Parameter("start", POSITIONAL_OR_KEYWORD, REQUIRED, str)}

    def sorted(self, inputs: object, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a run: inputs are its tasks', whatever they are called.

        But for "start" where nobody has named the first task: the command line knows inputs alone.
        """
        arguments = dict(parameters)
        if isinstance(inputs, Mapping):
            inputs = dict(inputs)
            if "start" in inputs and "start" not in arguments:
                arguments["start"] = inputs.pop("start")
        return {**arguments, "inputs": inputs} if inputs or not isinstance(inputs, Mapping) else arguments

    def complete(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return all arguments: what runs first, and the run's inputs.

        Raises:
            ArgumentError, UnknownNameError: There is no such argument or task, or none is named.
        """
        owner = f"flow {self.flow}"
        for name in given:
            if name not in _PARAMETERS:
                raise UnknownNameError(owner, "parameter", name, list(_PARAMETERS))
        if "start" not in given:
            names = ", ".join(self.tasks) or "which it has none"
            problem = (
                f"is missing: name the task that runs first, of {names}; on the command line as start=NAME"
            )
            raise ArgumentError(owner, "start", problem)
        start, inputs = given["start"], given.get("inputs")
        if not isinstance(start, str) or start not in self.tasks:
            raise UnknownNameError(owner, "task", start, list(self.tasks))
        if inputs is not None and not (
            isinstance(inputs, Mapping) and all(isinstance(k, str) for k in inputs)
        ):
            raise ArgumentError(owner, None, f"has inputs as a dict by name (text), not as {shown(inputs)}")
        return {"start": start, "inputs": None if inputs is None else dict(inputs)}

    def shared(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of the arguments a run's tasks share from its start; errors as `complete`."""
        return (self.complete(given)["inputs"] or {}) if given else {}

    def compile(self, values: Mapping[str, object], overrides: Mapping[str, object]) -> Dag:
        """Make the Dag of the first call; it has all tasks as its routes."""
        for name in overrides:
            raise UnknownNameError(f"flow {self.flow}", "argument", name, list(_PARAMETERS))
        arguments = self.complete(values)
        first = self.tasks[arguments["start"]]
        inputs = arguments["inputs"]
        call = first(inputs) if inputs else first()
        return evolve(compile_dag(self.flow, call, arguments), routes=dict(self.tasks))

    def expression(self, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> NoReturn:
        """Refuse to be a part of another flow.

        Raises:
            FlowError: Always.
        """
        problem = "has tasks that say what runs next, so it can't be a part of another flow; run it in a task"
        raise FlowError(self.flow, problem)


def _takes_inputs(name: str, function: Callable[..., Any]) -> bool:
    """Whether a function is one of `(context, inputs)`, or of `(context)`."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return False
    for arguments in ((None, None), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    remedy = f"it takes {signature}; a task whose name is asked for takes (context) or (context, inputs)"
    raise DecoratedError("task", f"{shown(name)} ({shown(function)})", remedy)
