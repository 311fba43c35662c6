"""A flow with guards, iterations or loops on the engine: its course, asked step by step.

a call has ended --> Course --> calls of the steps that can run now
                       +------> calls that look: does this guard match, what are this list's items?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from liteflow.arrows.course import MAX_ROUNDS, Course, Due, Question
from liteflow.arrows.graph import CompiledFlow
from liteflow.arrows.step import look, take_apart
from liteflow.arrows.symbols import Symbols, apart, argument, known
from liteflow.arrows.tasks import StepTask, secrets_in
from liteflow.control import Control
from liteflow.controller import NO_JSON, NextCall, Step, Value
from liteflow.policy import Policy
from liteflow.task import Task

_LOOKING = (Task(look, "guard", Policy()), Task(take_apart, "items", Policy()))
# Their places among the tasks.
GUARD, ITEMS = range(len(_LOOKING))


class ArrowControl(Control):
    """What decides how a flow goes on.

    Args:
        flow: The flow.
        steps: What each step calls, by its number.
        max_rounds: How many rounds the loops of one scope may make.
    """

    def __init__(
        self, flow: CompiledFlow, steps: Sequence[StepTask | None], max_rounds: int = MAX_ROUNDS
    ) -> None:
        self.flow = flow
        self.steps = steps
        self.max_rounds = max_rounds
        # In the order in which they are given, behind the input.
        self.secrets = secrets_in(steps)
        numbers: dict[int, int] = {}
        tasks: list[Task[..., Any]] = [*_LOOKING]
        for step in steps:
            if step is not None and id(step.task) not in numbers:
                numbers[id(step.task)] = len(tasks)
                tasks.append(step.task)
        self.tasks = tuple(tasks)
        self.numbers: Mapping[int, int] = numbers

    def controller(self) -> ArrowController:
        """A fresh controller."""
        return ArrowController(self)

    def shown(self) -> dict[str, str]:
        """Its steps, as they are called."""
        return {"steps": ", ".join(self.flow.labels)}

    def __call__(self, input: Any = None, text: str | None = None, *secrets: str) -> Any:
        """Run the flow here, one step after the other; `text` is the input's JSON, for the engine."""
        course = Course(self.flow, self.max_rounds)
        told = dict(zip(self.secrets, secrets, strict=True))
        due = course.begin(input)
        while due:
            one = due.pop(0)
            step = self.steps[one.instance.node.number]
            assert step is not None  # literals are never due
            first = (one.input,) if step.takes_input else ()
            given = {**step.kwargs, **{name: told[name] for name in step.secrets}}
            due += course.end(one.instance.key, step.task.fn(*first, *step.args, **given))
        return course.result


class ArrowController:
    """The course of one run; see `control.Controller`."""

    def __init__(self, control: ArrowControl) -> None:
        self._control = control
        self._course = Course(control.flow, control.max_rounds, Symbols())
        self._secrets: dict[str, Value] = {}

    def start(self, *arguments: Value) -> Step:
        """The flow's input is there."""
        given, *rest = arguments
        text = rest[0].known if rest else None
        self._secrets = dict(zip(self._control.secrets, rest[1:], strict=True))
        json = text if isinstance(text, str) else given.json
        return self._step(self._course.begin(self._flowing(Value(given.wire, json), "")))

    def ended(self, key: str, value: Value) -> Step:
        """A step has ended, or somebody has looked."""
        course = self._course
        if key not in course.asked:
            return self._step(course.end(key, self._flowing(value, key)))
        if value.items is None:
            return self._step(course.answer(key, value.known))
        return self._step(course.answer(key, [self._flowing(item, key) for item in apart(value)]))

    def _flowing(self, value: Value, key: str) -> Any:
        """A value as the course has it; `key` is the call that gave it, empty for the flow's input."""
        return value

    def _step(self, due: list[Due]) -> Step:
        calls = [*map(self._call, due), *map(self._looking, self._course.take_questions())]
        if not self._course.over:
            return Step(tuple(calls))
        return Step(tuple(calls), over=True, value=self._result(self._course.result))

    def _result(self, result: Any) -> Any:
        here = NO_JSON if isinstance(result, Value) else known(result)
        return argument(result) if here is NO_JSON else here

    def _call(self, due: Due) -> NextCall:
        step = self._control.steps[due.instance.node.number]
        assert step is not None  # literals are never due
        first = (argument(due.input),) if step.takes_input else ()
        number = self._control.numbers[id(step.task)]
        kwargs = step.kwargs
        if step.secrets:
            kwargs = {**kwargs, **{name: self._secrets[name] for name in step.secrets}}
        return NextCall(due.instance.key, number, (*first, *step.args), kwargs)

    def _looking(self, question: Question) -> NextCall:
        value = argument(question.value)
        if question.guard is None:
            return NextCall(question.key, ITEMS, (value,))
        return NextCall(question.key, GUARD, (value, question.guard))
