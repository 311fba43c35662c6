"""What a flow of a text is made of: called with its input, it gives the expression that the engine compiles.

no guards, iterations, loops --> a call for each step, once and for all
else                         --> one call, which goes on step by step (control.py)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import CodeType
from typing import Any

from liteflow import xcom
from liteflow.arrows.compile import compile_text
from liteflow.arrows.control import ArrowControl
from liteflow.arrows.course import MAX_ROUNDS
from liteflow.arrows.errors import ArrowLimitError, Origin, StepError
from liteflow.arrows.graph import CompiledFlow, Kind, Node, in_order
from liteflow.arrows.parse import MAX_CHARACTERS
from liteflow.arrows.symbols import Known, Made, argument
from liteflow.arrows.tasks import INPUT, SETTINGS, StepTask, secrets_in, step_tasks
from liteflow.arrows.values import join, merge, returned
from liteflow.errors import CommandLineError, DefinitionError
from liteflow.lazy import Call, Lazy
from liteflow.options import check_names
from liteflow.parameters import Parameter
from liteflow.policy import Policy
from liteflow.task import Task

_CODE = compile("0", "<text>", "eval")


class ArrowRecipe:
    """A flow in the arrow language, with the functions of its tasks; calling it gives its expression.

    Args:
        flow: The compiled flow.
        tasks: What its tasks are looked up in.
        name: The flow's name.
        folder: What paths in it are relative to.
        max_rounds: How many rounds the loops of one scope may make.

    Raises:
        ArrowError: A task is missing, or can't be called like that.
    """

    def __init__(
        self, flow: CompiledFlow, tasks: Any, name: str, folder: str, max_rounds: int = MAX_ROUNDS
    ) -> None:
        self.flow = flow
        self.name = name
        self.folder = folder
        self.steps = step_tasks(flow, tasks, folder)
        self.options = options_in(flow)
        self.__doc__ = flow.doc
        # By this name its signature and annotations are found.
        self.__wrapped__ = _taking(secrets_in(self.steps))
        # As a function's own: a run notes the file that its flow is written in.
        self.__code__ = _CODE
        self._control = (
            None
            if is_static(flow)
            else Task(ArrowControl(flow, self.steps, max_rounds), name.replace("/", "-"), Policy())
        )

    def __call__(self, input: Any = None, **secrets: Any) -> Any:
        """The expression of a run with this input, and these secrets."""
        if self._control is not None:
            text, exact = ("", False) if isinstance(input, Lazy) else xcom.preview_of(returned(input))
            value = input if isinstance(input, Lazy) else returned(input)
            told = [secrets[name] for name in secrets_in(self.steps)] if secrets else ()
            return self._control(value, text if exact else None, *told)
        return argument(_Calls(self.flow, self.steps, secrets).made(input))


def _taking(secrets: Mapping[str, Parameter]) -> Callable[..., Any]:
    """A function that takes what such a flow does, for whoever looks at its signature."""

    def takes(input: Any = None, **_: Any) -> Any:
        return input

    kind = inspect.Parameter.KEYWORD_ONLY
    made = [inspect.Parameter(p.name, kind, default=p.default) for p in secrets.values()]
    described: Any = takes
    first = inspect.Parameter(INPUT, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
    described.__signature__ = inspect.Signature([first, *made])
    described.__annotations__ = {p.name: p.annotation for p in secrets.values()}
    return takes


def is_static(flow: CompiledFlow) -> bool:
    """Whether all calls of a flow are known before it runs."""
    return not flow.root.loops and not any(
        node.guard is not None or node.region is not None for node in flow.root.nodes
    )


def read_flow(path: str | PathLike[str]) -> tuple[CompiledFlow, str]:
    """Read and compile the flow of a file; give it and the name that it has if it says none.

    Raises:
        ArrowError: What is wrong with its text, and where.
        CommandLineError: It can't be read.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
        text = data.decode()
    except OSError as error:
        raise CommandLineError(f"can't read {file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise CommandLineError(
            f"{file} is not UTF-8: byte {error.start + 1} is {data[error.start]:#04x}"
        ) from None
    if len(text) > MAX_CHARACTERS:
        what = f"{file}: a flow of {len(text):,} characters is too long; {MAX_CHARACTERS:,} are read"
        raise ArrowLimitError.of(
            Origin(str(file)), None, what, "load data by `<uri>`, or give it as the input"
        )
    return compile_text(text, str(file)), file.stem


def options_in(flow: CompiledFlow) -> dict[str, Any]:
    """What a flow's own declaration says of its runs: `@flow nightly (- liteflow: {max_workers: 2} -)`.

    Raises:
        StepError: It is no object, or there is no such option.
    """
    parameters = flow.parameters
    if not isinstance(parameters, dict) or SETTINGS not in parameters:
        return {}
    options = parameters[SETTINGS]
    remedy = f"`{SETTINGS}` is an object of options of runs, as of `Flow`: max_workers, timeout, ..."
    try:
        if not isinstance(options, dict):
            raise DefinitionError(f"{options!r} is no object")
        check_names(str(flow.name), options)
    except DefinitionError as error:
        what = f"@flow {flow.name} can't be like this: {error}"
        raise StepError.of(flow.origin, flow.at, what, remedy) from error
    return options


class _Calls:
    """The calls of a flow, one for each step: made in the order of the text, fed in that of the edges."""

    def __init__(
        self, flow: CompiledFlow, steps: Sequence[StepTask | None], secrets: Mapping[str, Any]
    ) -> None:
        self._flow = flow
        self._steps = steps
        self._secrets = secrets
        self._calls: list[Call[Any] | None] = [
            None if step is None else Call(step.task, ((), {}), self._place(node), -1)
            for node, step in zip(flow.steps, steps, strict=True)
        ]
        self._values: dict[int, Any] = {}

    def _place(self, node: Node) -> CodeType:
        """Where a call was written, as an error shows it: in the text."""
        line, column = (node.at.line, node.at.column) if node.at is not None else (1, 1)
        # Code has a file and a line; the last number shown is ours to choose, and is the column.
        return _CODE.replace(co_filename=f"{self._flow.origin.name}:{line}", co_firstlineno=column)

    def made(self, input: Any) -> Any:
        """The value that reaches the end."""
        nodes = self._flow.root.nodes
        self._values[0] = input if isinstance(input, Lazy) else Known(returned(input))
        for place in in_order(self._flow.root):
            if place:
                self._values[place] = self._value(nodes[place])
        return self._values[len(nodes) - 1]

    def _value(self, node: Node) -> Any:
        sources = [self._values[source] for source in node.sources]
        if node.kind is Kind.LITERAL:
            return Known(node.value)
        value = sources[0] if len(sources) == 1 else Made(join, tuple(sources)) if sources else Known({})
        if node.merge:
            label = self._flow.labels[node.number] if node.number >= 0 else node.name or ":end"
            value = Made(merge, (value,), label)
        if node.number < 0:
            return value
        step, call = self._steps[node.number], self._calls[node.number]
        assert step is not None
        assert call is not None
        named = dict(step.kwargs)
        for name in step.secrets:
            named[name] = self._secrets[name]
        if step.takes_input:
            arguments = step.task.signature.bind((argument(value), *step.args), named)
        else:
            arguments = step.task.signature.bind(step.args, named)
            call._after = _lazies(value)
        call._args, call._named = arguments
        return call


def _lazies(value: Any) -> list[Lazy[Any]]:
    """The calls that a value needs."""
    found, stack = [], [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Lazy):
            found.append(one)
        elif isinstance(one, Made):
            stack.extend(reversed(one.parts))
    return found


def recipe_of_text(text: str, tasks: Any, name: str | None, max_rounds: int, written_in: str) -> ArrowRecipe:
    """The recipe of a text, which is written in a file; see `Flow.parse`."""
    flow = compile_text(text)
    recipe = ArrowRecipe(flow, tasks, name or flow.name or "flow", ".", max_rounds)
    recipe.__code__ = _CODE.replace(co_filename=written_in)
    return recipe


def recipe_of_file(path: str | PathLike[str], tasks: Any, name: str | None, max_rounds: int) -> ArrowRecipe:
    """The recipe of a file; see `Flow.from_file`."""
    flow, stem = read_flow(path)
    file = Path(path).resolve()
    recipe = ArrowRecipe(flow, tasks, name or flow.name or stem, str(file.parent), max_rounds)
    recipe.__code__ = _CODE.replace(co_filename=str(file))
    return recipe
