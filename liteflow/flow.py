"""Flows: a named recipe with parameters, which compiles to a Dag.

    @flow                                   Flow("etl", extract() >> load())
    def etl(path: str): ...

A flow made of a function calls it with the parameters to get its expression.  A flow made
of an expression has the arguments that are still free in it as its parameters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar, overload

from attrs import field, frozen

from liteflow.decorated import check_function, in_class_body, name_of
from liteflow.errors import ArgumentError, FlowError, shown
from liteflow.lazy import Joint, Lazy
from liteflow.names import checked_name
from liteflow.options import SECRET_PREFIX, check_names
from liteflow.parameters import Parameter
from liteflow.pickling import importable
from liteflow.recipe import ExpressionRecipe, FunctionRecipe, recipe_of
from liteflow.runnable import Runnable
from liteflow.task import named_object
from liteflow.written import Written

if TYPE_CHECKING:
    from typing import Protocol, Unpack

    from liteflow.dag import Dag
    from liteflow.options import FlowOptions
    from liteflow.runnable import Recipe
    from liteflow.task import Settings

    class Decorator(Protocol):
        """What `flow(name="etl")` gives."""

        def __call__(self, fn: Callable[P, R], /) -> Flow[P, R]: ...


P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound="Callable[..., Any]")

_NOTHING: Any = object()


@frozen(slots=False, eq=False, repr=False, init=False)
class Flow(Written, Runnable[R], Generic[P, R]):
    """A named recipe with parameters that yields a DAG; what a user runs.

    Attributes:
        name: Its name.
        options: Defaults for the options of its runs.

    >>> from liteflow import task
    >>> @task
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> twice = Flow("twice", double() >> double())
    >>> list(twice.parameters)
    ['x']
    >>> twice.compile(x=4).node("double").args
    (4,)
    """

    _is_flow: ClassVar[bool] = True

    name: str
    options: Mapping[str, Any]
    _recipe: Recipe = field(alias="recipe")

    @overload
    def __init__(
        self: Flow[..., dict[str, Any]], name: str = ..., **options: Unpack[FlowOptions]
    ) -> None: ...
    @overload
    def __init__(self: Flow[..., R], name: str, recipe: Joint[R], **options: Unpack[FlowOptions]) -> None: ...
    @overload
    def __init__(self, name: str, recipe: Callable[P, R], **options: Unpack[FlowOptions]) -> None: ...
    @overload
    def __init__(self: Flow[..., Any], name: str, recipe: object, **options: Unpack[FlowOptions]) -> None: ...
    def __init__(self, name: str = "flow", recipe: Any = _NOTHING, **options: Any) -> None:
        """Make a flow.

        Args:
            name: 1 to 200 characters without "/", control or direction characters.
            recipe: A lazy value or a container of some, a bare task, or a function that
                returns such.  Left out, it is a flow of tasks that say what runs next: they are
                added by `flow.task(name)`, and `flow.run(name)` begins with one of them.  Such a
                flow runs on four threads unless told otherwise.
            options: Defaults for its runs: `db`, `executor`, `max_workers`, ...

        Raises:
            DefinitionError: The recipe can't be one, or there is no such option.
        """
        name = checked_name(name, "a flow")
        check_names(name, options)
        made: Recipe
        if recipe is _NOTHING:
            from liteflow.router import ON_THREADS, RouterRecipe  # noqa: PLC0415  start-up

            made = RouterRecipe(name)
            options = options if "executor" in options else {**ON_THREADS, **options}
        else:
            made = recipe_of(name, recipe)
        self.__attrs_init__(name=name, options=dict(options), recipe=made)
        if isinstance(made, FunctionRecipe):
            for attribute in ("__doc__", "__name__", "__qualname__", "__module__"):
                if isinstance(getattr(recipe, attribute, None), str):
                    vars(self)[attribute] = getattr(recipe, attribute)
            vars(self)["__wrapped__"] = recipe

    if TYPE_CHECKING:
        # Of a text nobody knows the parameters before it is read, nor what comes out.
        @classmethod
        def parse(  # type: ignore[override]
            cls,
            text: str,
            tasks: Any = ...,
            *,
            name: str | None = ...,
            max_rounds: int = ...,
            **options: Unpack[FlowOptions],
        ) -> Flow[..., Any]: ...
        @classmethod
        def from_file(  # type: ignore[override]
            cls,
            path: str | os.PathLike[str],
            tasks: Any = ...,
            *,
            name: str | None = ...,
            max_rounds: int = ...,
            **options: Unpack[FlowOptions],
        ) -> Flow[..., Any]: ...

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The flow's parameters, by name."""
        return self._recipe.parameters()

    def task(self, name: str, /, **settings: Unpack[Settings]) -> Callable[[F], F]:
        """Add a task to a flow whose tasks say what runs next; a decorator.

        The function takes `(context)` or `(context, inputs)`, and returns a `TaskOutput`.

        Args:
            name: What others ask for it by; a task that has this name is replaced.
            settings: Those of the decorator `task`: `retries`, `timeout`, `executor`, ...

        Raises:
            FlowError: The flow is made of something else.
            DefinitionError: The function or a setting can't be that of a task.

        >>> from liteflow import NextTask, TaskOutput
        >>> flow = Flow()
        >>> @flow.task("begin")
        ... def begin(context):
        ...     return TaskOutput("begun", [NextTask("end", inputs=7)])
        >>> @flow.task("end")
        ... def end(context, inputs):
        ...     return TaskOutput(inputs + 1)
        >>> flow.run("begin", db=None) == {"end": 8}
        True
        """
        checked_name(name, "a task")

        def add(function: F) -> F:
            self.add_task(name, function, **settings)
            return function

        return add

    def add_task(self, name: str, function: Callable[..., Any], /, **settings: Unpack[Settings]) -> None:
        """Do the same without a decorator; arguments and errors as `task`.

        >>> flow = Flow()
        >>> flow.add_task("finish", lambda context: TaskOutput("completed"))
        >>> from liteflow import TaskOutput
        >>> flow.run("finish", db=None).result
        {'finish': 'completed'}
        """
        if not self._recipe.is_router:
            problem = "has a recipe; tasks by name are for one that has none, Flow()"
            raise FlowError(self.name, problem)
        self._recipe.add(name, function, settings)

    def compile(self, /, inputs: Mapping[str, object] | None = None, **parameters: Any) -> Dag:
        """Build the flow's calls, check them, and return them as a Dag; nothing runs.

        Args:
            inputs: Values by the name of a parameter, or by `key.parameter` for any argument
                of a call that no edge feeds.
            parameters: Values of the flow's parameters.

        Raises:
            DefinitionError: What is wrong, where, and what to do.
        """
        values, overrides = self._sorted({} if inputs is None else inputs, parameters)
        return self._recipe.compile(values, overrides)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Lazy[R]:
        """Return the flow's expression with these arguments, as a part of another flow.

        Each time its calls are new ones, so a flow may stand in another one twice.

        Raises:
            DefinitionError: An argument is missing, unknown, doubled or ill-typed.
        """
        expression: Any = self._recipe.expression(args, kwargs)
        return expression  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<flow {self.name}>"

    def __reduce__(self) -> Any:
        # A task may run another flow, and takes it along to its worker.
        if importable(self):
            return named_object, (self.__module__, vars(self)["__qualname__"])
        if isinstance(self._recipe, ExpressionRecipe):
            problem = "is made of lazy values, which can't go to a worker; make it of a function, with @flow"
            raise FlowError(self.name, problem)
        if self._recipe.is_router:
            # Its parts come after it, for its tasks may name the flow that they are in.
            options = {name: value for name, value in self.options.items() if name != "context"}
            parts = {"name": self.name, "options": options, "_recipe": self._recipe}
            return Flow.__new__, (Flow,), parts
        return partial(Flow, **self.options), (self.name, self._recipe.function)

    def _sorted(
        self, inputs: Mapping[str, object], parameters: Mapping[str, object]
    ) -> tuple[dict[str, object], dict[str, object]]:
        """Return values of the flow's parameters, and overrides by `key.parameter`."""
        if self._recipe.is_router:
            return self._recipe.sorted(inputs, parameters), {}
        owner, names = f"flow {self.name}", self.parameters if inputs else {}
        if not isinstance(inputs, Mapping):
            raise ArgumentError(owner, None, f"has inputs as a dict by name, not as {shown(inputs)}")
        values, overrides = dict(parameters), dict[str, object]()
        for name, value in inputs.items():
            if not isinstance(name, str):
                raise ArgumentError(owner, None, f"has inputs by name (text), not by {shown(name)}")
            if name in parameters:
                raise ArgumentError(owner, name, "is given twice, by name and in inputs")
            (values if name in names else overrides)[name] = value
        if any(name.startswith(SECRET_PREFIX) for name in os.environ):
            from liteflow.secret import secrets_in  # noqa: PLC0415  lazy: few flows have any

            values = {**secrets_in(os.environ, self.parameters), **values}
        for name, value in values.items():
            if isinstance(value, Lazy):
                problem = f"is given {value!r}, but this takes plain values"
                raise ArgumentError(owner, name, f"{problem}; in another flow, call {self.name}(...)")
        return values, overrides

    if not TYPE_CHECKING:
        # Not for checkers, as in task.py.
        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            """Return what a method that was made a flow is on an instance: its first argument is given."""
            function = vars(self).get("__wrapped__")
            if instance is None or function is None or not in_class_body(function):
                return self
            return Flow(self.name, MethodType(function, instance), **self.options)


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(text: str, /, *, name: str = ..., **options: Unpack[FlowOptions]) -> Flow[..., Any]: ...
@overload
def flow(*, name: str = ..., **options: Unpack[FlowOptions]) -> Decorator: ...
def flow(fn: Any = _NOTHING, /, **settings: Any) -> Any:
    """Make a function a flow: bare, `@flow`, or with settings, `@flow(name="nightly", db="n.db")`.

    Args:
        fn: A function that calls tasks and returns a lazy value, or a container of some; or a text
            in the arrow language, whose tasks are looked up where this is called.
        settings: `name`, and defaults for the options of its runs: `db`, `executor`,
            `max_workers`, ...

    Raises:
        DefinitionError: It is no such function, or there is no such option.

    >>> from liteflow import task
    >>> @task
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> @flow
    ... def quadruple(x: int = 1):
    ...     return double(x) >> double()
    >>> quadruple.compile(x=3).leaves
    ('double-2',)
    """
    if fn is _NOTHING:
        check_names("flow", {k: v for k, v in settings.items() if k != "name"})
        return partial(_decorated, settings=settings)
    if isinstance(fn, str):
        from liteflow.arrows.tasks import caller_names  # noqa: PLC0415  lazy: few flows are texts

        return Flow.parse(fn, caller_names(1), **settings)
    return _decorated(fn, settings)


def _decorated(fn: Any, settings: Mapping[str, Any]) -> Flow[Any, Any]:
    if isinstance(fn, Flow) and not settings:
        return fn
    check_function(fn, "flow")
    options = dict(settings)
    return Flow(options.pop("name", name_of(fn)), fn, **options)
