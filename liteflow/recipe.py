"""What a flow is made of: a function that is called, or an expression that is there already.

- A `FunctionRecipe` has the parameters of the function; each use makes new calls.
- An `ExpressionRecipe` has the free arguments as its parameters; a run uses the calls
  themselves, and a flow around it copies of them.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from typing import Any, ClassVar, Literal, get_args, get_origin

from attrs import frozen

from liteflow import hints
from liteflow.checking import problem_of
from liteflow.compiler import assemble, compile_dag, copied, fill, refuse_lazy
from liteflow.dag import ATOMS, Dag
from liteflow.decorated import check_function
from liteflow.errors import ArgumentError, DecoratedError, DefinitionError, FlowError, UnknownNameError, shown
from liteflow.lazy import Build, Joint, building
from liteflow.options import RUN_OPTIONS
from liteflow.parameters import VAR_KEYWORD, VAR_POSITIONAL, Parameter, Signature
from liteflow.survey import Survey

MOST_NESTED = 100
"""So many flows may be called inside each other; more is taken for a flow that never ends."""

_nested: ContextVar[int] = ContextVar("nested", default=0)


def recipe_of(flow: str, source: Any) -> FunctionRecipe | ExpressionRecipe:
    """Make the recipe of a function or of an expression.

    Raises:
        DecoratedError: It is a function that can't be a flow.
        FlowError: It is a plain value.
    """
    if isinstance(source, Joint):
        return ExpressionRecipe(flow, source._lazy())
    if not callable(source) and not isinstance(source, staticmethod | classmethod):
        if type(source) in ATOMS:
            _refuse_plain(flow, source, "is made of")
        return ExpressionRecipe(flow, source)
    check_function(source, "flow")
    return FunctionRecipe.of(flow, source)


@frozen
class FunctionRecipe:
    """A function whose parameters are the flow's, and whose result is its expression."""

    is_router: ClassVar[Literal[False]] = False

    flow: str
    function: Callable[..., Any]
    signature: Signature

    @classmethod
    def of(cls, flow: str, function: Callable[..., Any]) -> FunctionRecipe:
        """Make a recipe of a function that `check_function` has accepted."""
        name = getattr(function, "__qualname__", shown(function))
        if inspect.iscoroutinefunction(function):
            remedy = "it is a coroutine function, and a flow waits for nothing; use def"
            raise DecoratedError("flow", name, remedy)
        signature = Signature.of(function, f"flow {flow}")
        for p in signature.raw:
            if p.kind in (VAR_POSITIONAL, VAR_KEYWORD):
                remedy = "a flow's parameters are given by name; name each one"
                raise DecoratedError("flow", f"{name} with the parameter {str(p).partition(':')[0]}", remedy)
        _warn_of_options(flow, signature.names)
        return cls(flow, function, signature)

    def parameters(self) -> Mapping[str, Parameter]:
        """Return the function's parameters, by name."""
        return {p.name: p for p in self.signature.parameters}

    def compile(self, values: Mapping[str, object], overrides: Mapping[str, object]) -> Dag:
        """Call the function, and compile what it returns; arguments as in `Flow.compile`."""
        try:
            arguments = self.complete(values)
        except ArgumentError:
            # What is missing may be there, under a name that is none.
            for name in overrides:
                if "." not in name:
                    raise self.signature.unknown(name) from None
            raise
        build = Build(self.flow)
        token = building.set(build)
        try:
            expression = self._call(arguments)
        except DefinitionError:
            raise
        except Exception as error:
            error.add_note(f"(raised while flow {self.flow} was being built)")
            raise
        finally:
            building.reset(token)
        dag = compile_dag(self.flow, expression, arguments, overrides, build=build)
        if not dag.nodes:
            _refuse_plain(self.flow, expression, "returns")
        return dag

    def expression(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the flow's expression, to be a part of another one."""
        return self._call(self.complete(self.signature.by_name(*self.signature.bind(args, kwargs))))

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all arguments, in order: the given ones, which are checked, and defaults."""
        for name in given:
            if name not in self.signature.names:
                raise self.signature.unknown(name)
        arguments: dict[str, Any] = {}
        for name, parameter in self.parameters().items():
            if name in given:
                _refuse_several_secrets(self.flow, name, parameter.annotation)
                _refuse_misfit(self.flow, name, given[name], parameter.annotation)
                arguments[name] = _marked(name, given[name], parameter.annotation)
            elif parameter.required:
                remedy = "give it by name, or in inputs"
                if hints.is_secret(parameter.annotation):
                    from liteflow.secret import variable_of  # noqa: PLC0415  start-up: few flows have any

                    remedy = f"it is a secret: set {variable_of(name)}, or {remedy}"
                raise ArgumentError(self.signature.owner, name, f"is missing; {remedy}")
            else:
                # Else a flow that appends to a default would see it grow from build to build.
                own = name in self.signature.fresh
                default = deepcopy(parameter.default) if own else parameter.default
                arguments[name] = _marked(name, default, parameter.annotation)
        return arguments

    def _call(self, arguments: Mapping[str, Any]) -> Any:
        by_name = {k: v for k, v in arguments.items() if k in self.signature.keywords}
        by_position = [v for k, v in arguments.items() if k not in by_name]
        with _one_deeper(self.flow):
            expression = self.function(*by_position, **by_name)
        if expression is None:
            raise FlowError(self.flow, "returns None; return the lazy value of what it is to compute")
        returns = self.signature.returns
        if not _mentions_lazy(returns):
            problem = problem_of(expression, returns)
            if problem is not None:
                says = f"says that it returns {hints.show(returns)}"
                raise FlowError(self.flow, f"{says}, but what it returns {problem}; change one of them")
        return expression


@frozen
class ExpressionRecipe:
    """An expression whose free required arguments are the flow's parameters."""

    is_router: ClassVar[Literal[False]] = False

    flow: str
    value: Any

    def parameters(self) -> Mapping[str, Parameter]:
        """Return the free parameters, by name; of several that have one name, the first."""
        return {name: uses[0][1] for name, uses in self._survey().free().items()}

    def compile(self, values: Mapping[str, object], overrides: Mapping[str, object]) -> Dag:
        """Compile the expression with values for its free arguments."""
        survey, values = self._filled(values)
        for call, given in survey.given.items():
            for name, value in given.items():
                refuse_lazy(survey, call, name, value)
        dag = assemble(survey, values, overrides)
        if not dag.nodes:
            _refuse_plain(self.flow, self.value, "is made of")
        return dag

    def complete(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return all parameters: a free one has no default, so they are the given ones."""
        return given

    def expression(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a copy of the expression, to be a part of another one."""
        if args:
            raise ArgumentError(f"flow {self.flow}", None, "takes its parameters by name only")
        survey, _ = self._filled(kwargs)
        for name in survey.free():
            raise ArgumentError(f"flow {self.flow}", name, "is missing; give it by name")
        return copied(survey)

    def _survey(self) -> Survey:
        return Survey(self.flow, self.value, building.get())

    def _filled(self, values: Mapping[str, object]) -> tuple[Survey, Mapping[str, object]]:
        """The calls with values for what they leave free, and these values, secrets marked."""
        survey, marked = self._survey(), dict(values)
        free = survey.free()
        _warn_of_options(self.flow, free)
        for name, value in values.items():
            if name not in free:
                raise UnknownNameError(f"flow {self.flow}", "parameter", name, list(free))
            for _, parameter in free[name]:
                _refuse_misfit(self.flow, name, value, parameter.annotation)
                marked[name] = _marked(name, marked[name], parameter.annotation)
        if values:
            fill(survey, free, marked)
        return survey, marked


@contextmanager
def _one_deeper(flow: str) -> Iterator[None]:
    depth = _nested.get()
    if depth >= MOST_NESTED:
        problem = f"is called {depth} flows deep; if it calls itself, give it an end"
        raise FlowError(flow, f"{problem} (liteflow.recipe.MOST_NESTED is the limit)")
    token = _nested.set(depth + 1)
    try:
        yield
    finally:
        _nested.reset(token)


def _refuse_plain(flow: str, expression: object, verb: str) -> None:
    # A container without calls is a flow with nothing to do: one over an empty list, say.
    if not isinstance(expression, list | tuple | dict | set | frozenset):
        given = f"{verb} {shown(expression)}, a plain value"
        raise FlowError(flow, f"{given}, so no task would run; it needs the lazy value of what to compute")


def _refuse_misfit(flow: str, name: str, value: object, annotation: Any) -> None:
    problem = problem_of(value, annotation)
    if problem is not None:
        if hints.is_secret(annotation):
            problem = f"is a secret, which is text, not {type(value).__name__}"
        raise ArgumentError(f"flow {flow}", name, problem)


def _refuse_several_secrets(flow: str, name: str, annotation: Any) -> None:
    if hints.is_secret(annotation) and problem_of("text", annotation) is not None:
        # Taken apart in the flow's function, they would not be known for secrets any more.
        problem = f"is {hints.show(annotation)}, and a secret is one text; give each a parameter of its own"
        raise ArgumentError(f"flow {flow}", name, problem)


def _marked(name: str, value: Any, annotation: Any) -> Any:
    """An argument, which says that it is a secret if its parameter does."""
    if not isinstance(value, str) or hints.is_secret(type(value)) or not hints.is_secret(annotation):
        return value
    # Start-up: few flows have any.
    from liteflow.secret import SecretText  # noqa: PLC0415

    return SecretText(value, name)


def _warn_of_options(flow: str, parameters: Iterable[str]) -> None:
    taken = [name for name in parameters if name in RUN_OPTIONS]
    if not taken:
        return
    # The warning is to show the user's line.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("liteflow."):
        level, frame = level + 1, frame.f_back
    names = " and ".join(taken)
    text = f"flow {flow}: run() has options named {names}, so give these parameters in inputs={{...}}"
    warnings.warn(text, UserWarning, stacklevel=level)


def _mentions_lazy(hint: Any) -> bool:
    """Whether an annotation speaks of lazy values themselves; it then says nothing of their types."""
    origin = get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, Joint):
        return True
    return any(_mentions_lazy(part) for part in get_args(hint))
