"""The course of a run: given what has ended, and with which values, what comes next?

    begin(input)      -> [Due, ...]     steps that can run now, each with its input
    end(key, output)  -> [Due, ...]     those that can because of it

Pure: no clock, no disk, no process.  Whoever drives a run (the stateless runner, or the engine) asks, does,
and tells.  Guards, merges, joins, iteration and loops are decided here; a `Due` is always work for a task.
What values are is left to `Values`: the runner has them as they are (plain.py), the engine as what stands for
them (symbols.py), so that it may have to ask (`Question`) before it can go on.

Each region that runs is a frame: a Schedule of its nodes (liteflow's own, as the engine has it), and the
values still needed.  A `*` has a frame for each item; a loop runs its frame again, round by round:

- a round begins when the one before has ended, in the order of loops that fired (in one round: source order);
- what is not in a round keeps its last value;
- the result is what reached the end last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from attrs import define, field, frozen

from liteflow.arrows.errors import GuardError, NotRunningError, RoundsError
from liteflow.arrows.graph import WORK, CompiledFlow, Kind, Node, Region
from liteflow.arrows.jsonpath import MAX_LOOKS, TooManyLooksError
from liteflow.arrows.plain import PlainValues
from liteflow.engine.schedule import Schedule

# A loop that goes on for longer was not meant to.
MAX_ROUNDS = 1000


@frozen
class Instance:
    """A step of one run: a task instance.

    `key` is unique in the run: the step's label, with `[i]` for each item and `@n` for each further round
    that it is in (`A[3]`, `B#2@2`; `A@2@1` where loops lie in one another).  `node` is the step; the
    properties are the node's, for short.
    """

    key: str
    label: str
    node: Node = field(eq=False, repr=False)

    @property
    def name(self) -> str:
        """The name in the flow; of a resource its URI."""
        return self.node.name

    @property
    def base(self) -> str:
        """The task that does the work: the name, or what that stands for."""
        return self.node.base

    @property
    def parameters(self) -> Any:
        """An object (keyword arguments), a list (positional ones), or None."""
        return self.node.parameters

    @property
    def kind(self) -> Kind:
        """TASK, LOAD (`<uri> →`) or SAVE (`→ <uri>`)."""
        return self.node.kind


@frozen
class Due:
    """A step that can run now, and its input."""

    instance: Instance
    input: Any


@frozen
class Question:
    """What has to be known of a value before the run goes on.

    Does `guard` match it?  If that is None: what are its items?
    """

    key: str
    value: Any
    guard: str | None


class Values(Protocol):
    """How a course deals with the values of its run."""

    def known(self, value: Any) -> Any:
        """A value that is in the text, or is nothing."""
        ...

    def returned(self, value: Any) -> Any:
        """What flows on when a step has given a value."""
        ...

    def join(self, values: Sequence[Any]) -> Any:
        """The one value that comes in over several edges."""
        ...

    def merge(self, value: Any, step: str) -> Any:
        """What comes in at a merge."""
        ...

    def collect(self, values: list[Any]) -> Any:
        """The list of what a `*` step has given."""
        ...

    def no_items(self, value: Any) -> Any:
        """The same where the value that came in has no items."""
        ...

    def matches(self, node: Node, value: Any) -> bool | None:
        """Whether a node's guard matches; None: somebody has to look.

        Raises:
            TooManyLooksError: It is too much to look at.
        """
        ...

    def items(self, value: Any) -> Sequence[Any] | None:
        """What a `*` step is to be run for; None: somebody has to look."""
        ...


@define(eq=False)
class Frame:
    """One region while it runs.

    `mark` is `[i]` if it is that of an item.  `places` are the nodes of the round by their number in
    the `schedule`; `numbers` the other way round (None: all, and both the same).  `passed` are nodes that
    were passed over in the latest round, and nodes inside blocks that were.  `entry` is where the round
    began, with its value.
    """

    region: Region
    path: str
    mark: str
    entry: tuple[int, Any]
    parent: Frame | None = None
    node: int = -1
    item: int = 0
    schedule: Schedule = field(default=None)
    places: tuple[int, ...] | None = None
    numbers: dict[int, int] | None = None
    values: dict[int, Any] = field(factory=dict)
    uses: list[int] = field(factory=list)
    passed: set[int] = field(factory=set)
    fired: deque[tuple[int, Any]] = field(factory=deque)
    round: int = 1
    # For each REGION node that runs: the outputs of its items, how many are missing, and whether any really
    # ran.
    items: dict[int, tuple[list[Any], list[int], list[bool]]] = field(factory=dict)

    def number(self, place: int) -> int:
        return place if self.numbers is None else self.numbers[place]

    def place(self, number: int) -> int:
        return number if self.places is None else self.places[number]

    def suffix(self) -> str:
        """What tells its instances from those of other frames: items and rounds, the outermost first.

        The first round is not written, unless loops lie in one another: then all are.
        """
        chain: list[Frame] = [self]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        loops = sum(bool(frame.region.loops) for frame in chain)
        return "".join(frame.mark + frame.round_mark(loops > 1) for frame in reversed(chain))

    def round_mark(self, always: bool) -> str:
        return f"@{self.round}" if self.region.loops and (always or self.round > 1) else ""


class Course:
    """The state of one run of a compiled flow.

    Args:
        flow: What runs.
        max_rounds: How many rounds the loops of one scope may make.
        values: What its values are.

    >>> from liteflow.arrows import compile_text
    >>> course = Course(compile_text("A → {B C} → > D"))
    >>> [(due.instance.key, due.input) for due in course.begin({"n": 1})]
    [('A', {'n': 1})]
    >>> [due.instance.key for due in course.end("A", {"n": 2})]
    ['B', 'C']
    >>> course.end("C", {"c": 1}), course.over
    ([], False)
    >>> course.end("B", {"b": 1})[0].input
    {'b': 1, 'c': 1}
    >>> course.end("D", "done"), course.over, course.result
    ([], True, 'done')
    """

    def __init__(
        self, flow: CompiledFlow, max_rounds: int = MAX_ROUNDS, values: Values | None = None
    ) -> None:
        self.flow = flow
        self.max_rounds = max_rounds
        self.values = values or PlainValues()
        self.frames: dict[str, Frame] = {}
        self.running: dict[str, tuple[Frame, int]] = {}
        # What is asked, and has not been answered; and all keys of questions, so that each is one of its own.
        self.asked: dict[str, tuple[Frame, int, Any]] = {}
        self._questions: list[Question] = []
        self._keys: set[str] = set()
        self.begun = False
        self.over = False
        self._result: Any = None
        # What is ready, and not yet looked at; empty between events.
        self._ready: deque[tuple[Frame, int]] = deque()
        self._due: list[Due] = []

    @property
    def result(self) -> Any:
        """What reached the end; None as long as the run isn't over."""
        return self._result

    def begin(self, value: Any = None) -> list[Due]:
        """Begin the run with its input; give what can run now, in the order of the text."""
        if self.begun:
            raise NotRunningError("the run has begun already, and", sorted(self.running))
        self.begun = True
        self._open(self.flow.root, "", "", self.values.returned(value))
        return self._go_on()

    def end(self, key: str, output: Any) -> list[Due]:
        """A step has ended; give what can run because of it, in the order of the text.

        Raises:
            NotRunningError: It isn't running: its end was told already, or it never began.
            MergeError, GuardError, RoundsError: The flow can't go on with this value; the run is at its end.
        """
        where = self.running.pop(key, None)
        if where is None:
            raise NotRunningError(key, sorted(self.running))
        self._complete(*where, self.values.returned(output))
        return self._go_on()

    def take_questions(self) -> list[Question]:
        """What has to be known, and hasn't been asked for yet; each is to be answered by `answer`."""
        questions, self._questions = self._questions, []
        return questions

    def answer(self, key: str, answer: Any) -> list[Due]:
        """Somebody has looked: whether the guard matches, or the items; go on as `end`."""
        frame, place, value = self.asked.pop(key)
        node = frame.region.nodes[place]
        if answer is True:
            self._run(frame, place, node, value)
        elif answer is False:
            self._pass_over(frame, place, node, value)
        else:
            assert node.region is not None
            self._enter_items(frame, place, node.region, answer, value)
        return self._go_on()

    # --- nodes -----------------------------------------------------------------------------

    def _go_on(self) -> list[Due]:
        while self._ready:
            self._reach(*self._ready.popleft())
        due, self._due = self._due, []
        due.sort(key=lambda one: one.instance.node.number)
        return due

    def _reach(self, frame: Frame, place: int) -> None:
        """A node has all that it waits for."""
        node = frame.region.nodes[place]
        value = self._input(frame, place, node)
        if node.merge:
            value = self.values.merge(value, self._called(node))
        matching = node.guard is None or self._matches(node, value)
        if matching is None:
            self._ask(frame, place, node, value)
        elif matching:
            self._run(frame, place, node, value)
        else:
            self._pass_over(frame, place, node, value)

    def _run(self, frame: Frame, place: int, node: Node, value: Any) -> None:
        """No guard is in the way."""
        if node.kind in WORK:
            frame.schedule.run(frame.number(place))
            instance = self.instance(frame, node)
            self.running[instance.key] = (frame, place)
            self._due.append(Due(instance, value))
        elif node.region is not None:
            self._enter_region(frame, place, node, node.region, value)
        else:
            frame.schedule.run(frame.number(place))
            literal = node.kind is Kind.LITERAL
            self._complete(frame, place, self.values.known(node.value) if literal else value)

    def _ask(self, frame: Frame, place: int, node: Node, value: Any, items: bool = False) -> None:
        """Somebody has to look.  The question is called after the first step that hangs on it."""
        first = first_step(frame.region, place)
        key = f"{self.flow.labels[first] if first >= 0 else 'end'}{frame.suffix()}{'*' if items else '?'}"
        while key in self._keys:
            key += "?"
        self._keys.add(key)
        self.asked[key] = (frame, place, value)
        guard = None if items or node.guard is None else node.guard.expression
        self._questions.append(Question(key, value, guard))

    def instance(self, frame: Frame, node: Node) -> Instance:
        """The instance of a step in the present round of a frame."""
        label = self.flow.labels[node.number]
        return Instance(label + frame.suffix(), label, node)

    def _called(self, node: Node) -> str:
        if node.number >= 0:
            return self.flow.labels[node.number]
        return node.name or (
            ":end" if node.kind is Kind.END else f"the block at {node.at}" if node.at else "a block"
        )

    def _matches(self, node: Node, value: Any) -> bool | None:
        assert node.guard is not None  # asked by whoever calls
        try:
            return self.values.matches(node, value)
        except TooManyLooksError:
            raise GuardError(self._called(node), node.guard.expression, MAX_LOOKS) from None

    def _input(self, frame: Frame, place: int, node: Node) -> Any:
        if place == frame.entry[0]:
            return frame.entry[1]
        value = self.values.join([frame.values[source] for source in node.sources])
        if not frame.region.loops:
            for source in node.sources:
                frame.uses[source] -= 1
                if not frame.uses[source]:
                    del frame.values[source]
        return value

    def _pass_over(self, frame: Frame, place: int, node: Node, value: Any) -> None:
        """Its guard didn't match: its input is its output; of a block nothing runs."""
        frame.passed.add(place)
        if node.kind is not Kind.ENTER:
            frame.schedule.run(frame.number(place))
            self._complete(frame, place, value)
            return
        last = node.partner
        # What each releases lies in the block, and is taken over as well; last of all its last node is ready.
        for inside in range(place, last):
            frame.passed.add(inside)
            frame.schedule.take_over(frame.number(inside))
        frame.schedule.run(frame.number(last))
        frame.passed.add(last)
        self._complete(frame, last, value)

    def _complete(self, frame: Frame, place: int, value: Any) -> None:
        """A running node has its value."""
        if frame.region.loops or frame.uses[place] or place == len(frame.region.nodes) - 1:
            frame.values[place] = value
        ready = frame.schedule.succeed(frame.number(place))
        self._ready.extend((frame, frame.place(number)) for number in ready)
        if frame.schedule.over:
            self._round_over(frame)

    # --- regions ---------------------------------------------------------------------------

    def _enter_region(self, frame: Frame, place: int, node: Node, region: Region, value: Any) -> None:
        frame.schedule.run(frame.number(place))
        items = self.values.items(value) if node.each else [value]
        if items is None:
            self._ask(frame, place, node, value, items=True)
        else:
            self._enter_items(frame, place, region, items, value)

    def _enter_items(
        self, frame: Frame, place: int, region: Region, items: Sequence[Any], value: Any
    ) -> None:
        node = frame.region.nodes[place]
        if not items:
            frame.passed.add(place)
            self._complete(frame, place, self.values.no_items(value))
            return
        frame.items[place] = ([None] * len(items), [len(items)], [not node.each])
        path = f"{frame.path}/{place}"
        for number, item in enumerate(items):
            mark = f"[{number}]" if node.each else ""
            self._open(region, path + mark, mark, item, parent=frame, node=place, item=number)

    def _open(
        self,
        region: Region,
        path: str,
        mark: str,
        value: Any,
        *,
        parent: Frame | None = None,
        node: int = -1,
        item: int = 0,
    ) -> None:
        frame = Frame(region, path, mark, (0, value), parent, node, item)
        self.frames[path] = frame
        frame.uses = uses_of(region)
        frame.schedule = Schedule([node.sources for node in region.nodes])
        self._ready.extend((frame, number) for number in frame.schedule.start())

    def _round_over(self, frame: Frame) -> None:
        in_round = frame.numbers
        for loop in frame.region.loops:
            if loop.source not in frame.passed and (in_round is None or loop.source in in_round):
                frame.fired.append((loop.target, frame.values[loop.source]))
        if frame.fired:
            self._next_round(frame)
        else:
            self._close(frame)

    def _next_round(self, frame: Frame) -> None:
        target, value = frame.fired.popleft()
        frame.round += 1
        if frame.round > self.max_rounds:
            node = frame.region.nodes[target]
            raise RoundsError(":start" if node.kind is Kind.START else self._called(node), self.max_rounds)
        again = next(loop.again for loop in frame.region.loops if loop.target == target)
        frame.places = again
        frame.numbers = {place: number for number, place in enumerate(again)}
        frame.passed.difference_update(again)
        frame.entry = (target, value)
        frame.schedule = Schedule(sources_of_round(frame.region, again, target))
        self._ready.extend((frame, frame.place(number)) for number in frame.schedule.start())

    def _close(self, frame: Frame) -> None:
        """A region has ended: its result is the value of its node in the region around it."""
        del self.frames[frame.path]
        last = len(frame.region.nodes) - 1
        output = frame.values[last] if last in frame.values else self.values.known({})
        parent = frame.parent
        if parent is None:
            self.over, self._result = True, output
            return
        outputs, missing, ran = parent.items[frame.node]
        outputs[frame.item] = output
        missing[0] -= 1
        ran[0] |= frame.region.body >= 0 and frame.region.body not in frame.passed
        if missing[0]:
            return
        del parent.items[frame.node]
        each = parent.region.nodes[frame.node].each
        if not ran[0]:
            parent.passed.add(frame.node)
        self._complete(parent, frame.node, self.values.collect(outputs) if each else output)


def first_step(region: Region, place: int) -> int:
    """The number of the first step, in the order of the text, in or behind a node; -1: there is none."""
    for node in region.nodes[place:]:
        if node.number >= 0:
            return node.number
        inside = -1 if node.region is None else first_step(node.region, 0)
        if inside >= 0:
            return inside
    return -1


def uses_of(region: Region) -> list[int]:
    """For each node how many wait for its value."""
    uses = [0] * len(region.nodes)
    for node in region.nodes:
        for source in node.sources:
            uses[source] += 1
    return uses


def sources_of_round(region: Region, again: Sequence[int], target: int) -> list[list[int]]:
    """What each node of a round waits for within it, by numbers in it; where it begins waits for nothing."""
    numbers = {place: number for number, place in enumerate(again)}
    return [
        []
        if place == target
        else [numbers[source] for source in region.nodes[place].sources if source in numbers]
        for place in again
    ]
