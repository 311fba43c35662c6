"""A part of a flow that goes on step by step: some steps run, the others give what they gave before.

    Course (values are marked) --steps that run, or come of such--> calls of their tasks
                               --the others----------------------> calls that give an earlier value

Each value knows whether it comes of a step that runs again, however it got here: so what is behind such a
step runs again too, also where it doesn't take its value.  Guards and items are looked at anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, frozen

from liteflow.arrows.control import GUARD, ITEMS, ArrowControl, ArrowController
from liteflow.arrows.course import Course, Due, Question
from liteflow.arrows.graph import Node
from liteflow.arrows.symbols import Symbols
from liteflow.controller import NextCall, Step, Value
from liteflow.errors import FlowError
from liteflow.function import Earlier
from liteflow.policy import Policy
from liteflow.task import Task


@frozen
class Chosen:
    """Which steps run: by their keys in the run (`score[2]`), or as they are called in the text (`score`).

    Attributes:
        only: They run.
        onwards: They run, and all that depends on them.
    """

    only: frozenset[str] = frozenset()
    onwards: frozenset[str] = frozenset()


@frozen(eq=False)
class Marked:
    """A value, and what it comes of: steps that run again with all behind them, or by themselves."""

    value: Any
    marks: frozenset[str] = frozenset()


AGAIN, ALONE = "again", "alone"


class MarkedSymbols:
    """How a course deals with such values; see `course.Values`."""

    def __init__(self) -> None:
        self._of = Symbols()

    def known(self, value: Any) -> Marked:
        """A value of the text."""
        return Marked(self._of.known(value))

    def returned(self, value: Marked) -> Marked:
        """As `Symbols`."""
        return value

    def join(self, values: Sequence[Marked]) -> Marked:
        """As `Symbols`."""
        return Marked(self._of.join([one.value for one in values]), _marks(values))

    def merge(self, value: Marked, step: str) -> Marked:
        """As `Symbols`."""
        return Marked(self._of.merge(value.value, step), value.marks)

    def collect(self, values: list[Marked]) -> Marked:
        """As `Symbols`."""
        return Marked(self._of.collect([one.value for one in values]), _marks(values))

    def no_items(self, value: Marked) -> Marked:
        """As `Symbols`."""
        return Marked(self._of.no_items(value.value), value.marks)

    def matches(self, node: Node, value: Marked) -> bool | None:
        """As `Symbols`."""
        return self._of.matches(node, value.value)

    def items(self, value: Marked) -> Sequence[Marked] | None:
        """As `Symbols`."""
        found = self._of.items(value.value)
        return None if found is None else [Marked(one, value.marks) for one in found]


def _marks(values: Iterable[Marked]) -> frozenset[str]:
    return frozenset[str]().union(*(one.marks for one in values))


class PartControl(ArrowControl):
    """What decides how a part of a flow goes on.

    Args:
        whole: What decides how all of it does.
        chosen: Which steps run.
        earlier: What the others gave, by key; None: it is only asked what would be.
    """

    def __init__(self, whole: ArrowControl, chosen: Chosen, earlier: Mapping[str, Any] | None) -> None:
        super().__init__(whole.flow, whole.steps, whole.max_rounds)
        self.chosen = chosen
        self.earlier = earlier
        # Each task a second time, as what gives an earlier value.
        self.own = len(self.tasks)
        self.tasks = (*self.tasks, *(Task(Earlier(), task.name, Policy()) for task in self.tasks))

    def controller(self) -> PartController:
        """A fresh controller."""
        return PartController(self)

    def shown(self) -> dict[str, str]:
        """Its steps, and which of them run."""
        said = [*sorted(self.chosen.only), *(f"{key} and what depends on it" for key in self.chosen.onwards)]
        return {**super().shown(), "run": ", ".join(said)}


class PartController(ArrowController):
    """The course of one such run.

    Attributes:
        marks: Of what comes of each call that was asked for, by key.
        before: The same of what came in to it.
        runs: Keys of the steps that run, and which of those that were chosen they are.
    """

    def __init__(self, control: PartControl) -> None:
        super().__init__(control)
        self._part = control
        self._course = Course(control.flow, control.max_rounds, MarkedSymbols())
        self.marks: dict[str, frozenset[str]] = {"": frozenset()}
        self.before: dict[str, frozenset[str]] = {}
        self.runs: dict[str, frozenset[str]] = {}
        self._stops: set[str] = set()
        self._open: set[str] = set()
        self._given: dict[str, Value] = {}

    def ended(self, key: str, value: Value) -> Step:
        """A step has ended, or somebody has looked."""
        self._open.discard(key)
        if key in self.runs:
            self._given[key] = value
        return super().ended(key, value)

    def _flowing(self, value: Value, key: str) -> Marked:
        return Marked(value, self.marks[key])

    def _result(self, result: Marked) -> Any:
        return super()._result(result.value)

    def _step(self, due: list[Due]) -> Step:
        step = super()._step(due)
        # Where some run alone, what nobody has given stops what is behind it.
        calls = tuple(call for call in step.calls if call.key not in self._stops)
        self._open.update(call.key for call in calls)
        if step.over and not self._part.chosen.only:
            return evolve(step, calls=calls)
        given = [*self._given.values()]
        return Step(calls, over=not self._open, value=given[0] if len(given) == 1 else dict(self._given))

    def _call(self, due: Due) -> NextCall:
        key, chosen = due.instance.key, self._part.chosen
        call = super()._call(Due(due.instance, due.input.value))
        names = {key, due.instance.label}
        self.marks[key] = self.before[key] = due.input.marks
        if names & chosen.onwards:
            self.marks[key] |= {AGAIN}
        if names & chosen.only:
            self.marks[key] |= {ALONE}
        earlier = self._part.earlier
        if AGAIN in self.marks[key] or names & chosen.only:
            self.runs[key] = (chosen.only | chosen.onwards) & names
            return call
        if earlier is None or key in earlier:
            return NextCall(key, call.task + self._part.own, (None if earlier is None else earlier[key],))
        if chosen.onwards:
            # It was not foreseen, as the earlier run did not come so far.
            self.marks[key] |= {AGAIN}
            self.runs[key] = frozenset()
        else:
            self._stops.add(key)
        return call

    def _looking(self, question: Question) -> NextCall:
        self.marks[question.key] = question.value.marks
        return super()._looking(evolve(question, value=question.value.value))


# --- what would be -------------------------------------------------------------------------


class Recorded(Protocol):
    """A call of an earlier run (engine/rejoining.py)."""

    @property
    def given(self) -> bool: ...
    def value(self, number: int) -> Value: ...


@frozen
class Foreseen:
    """What a part comes to, as far as that is known before it runs.

    Attributes:
        fits: Whether what was chosen is reached, with what is there.
        kept: Keys of steps whose earlier values are taken.
        missing: Keys of steps whose earlier values it needs, and which have none.
    """

    fits: bool
    kept: tuple[str, ...]
    missing: tuple[str, ...]


def foreseen(
    whole: ArrowControl, chosen: Chosen, arguments: Sequence[Value], recorded: Mapping[str, Recorded]
) -> Foreseen:
    """Ask what a part would do with what an earlier run has given.

    Args:
        whole: What decides how all of the flow goes on.
        chosen: Which steps run.
        arguments: What it is started with.
        recorded: The calls of the earlier run, by key.

    Raises:
        FlowError: What depends on what can't be told.
        ArrowRunError: The flow can't go on with what they gave.
    """
    _refuse_blocks_without_result(whole)
    controller = PartControl(whole, chosen, None).controller()
    kept, missing = [], []
    steps = deque([controller.start(*arguments)])
    while steps:
        for number, call in enumerate(steps.popleft().calls):
            known = recorded.get(call.key)
            # What comes of what runs again is not known, but that it runs: so what it gave will do here.
            again = AGAIN in controller.marks[call.key]
            if known is not None and known.given:
                if not again and call.key not in controller.runs and call.task not in (GUARD, ITEMS):
                    kept.append(call.key)
                steps.append(controller.ended(call.key, known.value(number)))
            elif not again:
                missing.append(call.key)
    return _foreseen(controller, chosen, kept, missing)


def _refuse_blocks_without_result(whole: ArrowControl) -> None:
    """What comes behind such a block waits for it, and gets nothing by which that could be seen."""
    root = whole.flow.root
    if any(region is not root and not region.nodes[-1].sources for region in whole.flow.regions()):
        problem = "has a block whose end nothing leads to, so what depends on its steps can't be told"
        raise FlowError(whole.flow.name or "flow", f"{problem}; run the whole flow")


def _foreseen(controller: PartController, chosen: Chosen, kept: list[str], missing: list[str]) -> Foreseen:
    runs, marks = controller.runs, controller.marks
    unreached = (chosen.only | chosen.onwards).difference(*runs.values())
    # Behind what runs again may be the others.
    reached = not unreached or any(AGAIN in marks[key] for key in runs)
    if not chosen.onwards:
        # Nobody needs what is behind those that run alone, unless another of these is there.
        missing = [key for key in missing if unreached and key not in runs]
        if not any(ALONE in controller.before[key] for key in runs):
            kept = [key for key in kept if ALONE not in marks[key]]
    return Foreseen(reached and not missing, tuple(kept), tuple(missing))
