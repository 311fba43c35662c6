"""The stateless runner: for whoever drives the tasks of a flow, over a queue or on another machine.

    context = Context(flow)
    runner = Runner()
    runner.start(context, {"batch": 7})
    while not context.ending.empty():
        runner.next(context, context.ending.get())
    context.result

A subclass of `Context` sends the work wherever it likes, in `start_task`; its end comes back by `end`,
or by `runner.next` itself.  Between two calls a run is bytes: `context.to_bytes()` and
`Context.from_bytes(flow, data)`.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any, Self

from attrs import frozen

from liteflow.arrows import state
from liteflow.arrows.compile import compile_model
from liteflow.arrows.course import MAX_ROUNDS, Course, Due, Instance
from liteflow.arrows.errors import NotRunningError
from liteflow.arrows.graph import CompiledFlow
from liteflow.arrows.model import Model
from liteflow.arrows.parse import parse


class Parser:
    """Reads flows: `Parser().parse(text)`."""

    def parse(self, text: str, name: str = "<text>") -> Model:
        """The model of a text; see `liteflow.arrows.parse.parse`."""
        return parse(text, name)


class Compiler:
    """Compiles models: `Compiler().compile(model)`."""

    def compile(self, model: Model) -> CompiledFlow:
        """The graph of a model; see `liteflow.arrows.compile.compile_model`."""
        return compile_model(model)


@frozen
class Ended:
    """A step has ended, with an output; what lies in `Context.ending`."""

    key: str
    output: Any


class Context:
    """The state of a run: a few vectors, and the values still needed.

    Override `start_task` to send work wherever you like.  `ending` is a queue of steps that have ended;
    each is to be given to `Runner.next`.

    Args:
        flow: What runs.
        max_rounds: How many rounds the loops of one scope may make.

    >>> class Shouting(Context):
    ...     def start_task(self, step, input):
    ...         self.end(step, {**input, step.name: step.label.lower()})
    >>> context = Shouting(Compiler().compile(Parser().parse("A → {B C} → > D")))
    >>> Runner().run(context, {"n": 1})
    {'n': 1, 'A': 'a', 'B': 'b', 'C': 'c', 'D': 'd'}
    """

    def __init__(self, flow: CompiledFlow, max_rounds: int = MAX_ROUNDS) -> None:
        self.flow = flow
        self.ending: SimpleQueue[Ended] = SimpleQueue()
        self._course = Course(flow, max_rounds)
        # Those that lie in `ending`, in its order.
        self._told: dict[str, Ended] = {}

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self._course.over

    @property
    def result(self) -> Any:
        """What reached the end of the flow; None as long as the run goes on."""
        return self._course.result

    @property
    def running(self) -> list[str]:
        """The keys of the steps that were started, and haven't ended."""
        return [key for key in self._course.running if key not in self._told]

    def start_task(self, step: Instance, input: Any) -> None:
        """A step can run: do its work, or send it somewhere.  As it stands it is ended at once, with `{}`.

        Args:
            step: Which; `step.key` is what `end` is told, `step.base` the task, `step.parameters` its
            parameters. input: The one value that comes in, merged and joined.
        """
        self.end(step, {})

    def end(self, step: Instance | str, output: Any = None) -> None:
        """A step, or the step with this key, has ended: note it in `ending`.

        Raises:
            NotRunningError: It isn't running: its end was told already, or it never began.  Nothing has
            changed.
        """
        key = step if isinstance(step, str) else step.key
        if key not in self._course.running or key in self._told:
            raise NotRunningError(key, self.running)
        self._told[key] = ended = Ended(key, output)
        self.ending.put(ended)

    def to_bytes(self) -> bytes:
        """The state of the run, with what lies in `ending`.

        Raises:
            ContextError: A value in it is no JSON.
        """
        return state.to_bytes(self._course, [(one.key, one.output) for one in self._told.values()])

    @classmethod
    def from_bytes(cls, flow: CompiledFlow, data: bytes) -> Self:
        """The context as it was; steps that were running are running still, and are not started again.

        Raises:
            ContextError: The bytes are damaged, or of another flow.
        """
        context = cls(flow)
        context._course, told = state.from_bytes(flow, data)
        for key, output in told:
            context._told[key] = ended = Ended(key, output)
            context.ending.put(ended)
        return context


class Runner:
    """Moves a run on; it has no state of its own."""

    def start(self, context: Context, input: Any = None) -> bool:
        """Begin a run; whatever can run is given to `context.start_task`.  Return whether the run goes on."""
        self._hand_out(context, context._course.begin(input))
        return not context.over

    def next(self, context: Context, ended: Ended) -> bool:
        """A step has ended: start what can run because of it.  Return whether the run goes on.

        Raises:
            NotRunningError: It isn't running: its end was told already, or it never began.  Nothing has
            changed. MergeError, GuardError, RoundsError: The flow can't go on with this value; the run is
            at its end.
        """
        if context._told.get(ended.key) is ended:
            del context._told[ended.key]
        elif ended.key in context._told:
            raise NotRunningError(ended.key, context.running)
        self._hand_out(context, context._course.end(ended.key, ended.output))
        return not context.over

    def run(self, context: Context, input: Any = None) -> Any:
        """Begin a run and go on as long as steps end; return its result (None if some are still running)."""
        self.start(context, input)
        while not context.ending.empty():
            self.next(context, context.ending.get())
        return context.result

    def _hand_out(self, context: Context, due: list[Due]) -> None:
        for one in due:
            context.start_task(one.instance, one.input)
