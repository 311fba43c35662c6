"""What a plan knows of its tasks, and of the calls that are no worker's: mapped and controlled ones.

A lane has the calls of one executor; those of them that take resources have a lane of their own, and so have
those whose results may be taken over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from liteflow import errors, pickling
from liteflow.control import Control
from liteflow.errors import ExecutorMissingError, NotPicklableError, SettingError, TaskNotPicklableError
from liteflow.fingerprint import code_of
from liteflow.function import Function
from liteflow.growth import function_of, identified
from liteflow.pickling import Bundle, Definitions
from liteflow.policy import Policy
from liteflow.task import Task
from liteflow.where import Where, allots, chosen, everywhere, factory_of, is_remote, name_of
from liteflow.wiring import WireArgument

if TYPE_CHECKING:
    # Start-up: few runs have calls that take resources.
    from liteflow.engine.machine import Machine
    from liteflow.growth import WireTask


class PlannedTask(NamedTuple):
    """A task as the run uses it: for the record, and for what to do when an attempt fails.

    `star` says that it is given its arguments as one tuple; `identity` is its code if its results may
    be taken over, as `growth.identified` gives it.
    """

    name: str
    returns: str
    policy: Policy
    code: str
    star: bool
    identity: bytes


class Places:
    """Numbers the lanes.

    Args:
        general: The executor of tasks that name none.
        machine: Gives what the machine has; None: nobody asks, for nothing will run.

    Attributes:
        names: For each lane what its executor is called.
        executors: The executors themselves, as they were given.
        weighed: Whether the calls of a lane take resources.
        cached: Whether their results may be taken over from earlier runs.
    """

    def __init__(self, general: Where, machine: Callable[[], Machine] | None) -> None:
        self.names: list[str] = []
        self.executors: list[Where] = []
        self.weighed: list[bool] = []
        self.cached: list[bool] = []
        self._general = general
        self._machine = machine

    @cached_property
    def machine(self) -> Machine:
        """What the machine has."""
        assert self._machine is not None
        return self._machine()

    def allots(self, lane: int) -> bool:
        """Whether the executor of a lane sees to resources itself."""
        return allots(self.executors[lane])

    def of(self, task: str, policy: Policy, is_async: bool) -> int:
        """Return the lane of a task.

        Raises:
            SettingError: Its executor has the name of another one.
            NoRoomError: It takes more than the machine has that it would run on.
        """
        executor = chosen(policy.executor, self._general, is_async)
        # Where all is run in one place, for tests, nothing has to be there for it.
        weighed = policy.resources is not None and everywhere() is None
        lane = self._lane(executor, weighed, bool(policy.cache))
        known = self.names.index(name_of(executor))
        if not isinstance(executor, str) and factory_of(self.executors[known]) is not executor:
            name = name_of(executor)
            raise SettingError("a run", "executor", executor, f"another name than {name!r}, which is taken")
        if weighed and self._machine is not None and not self.allots(lane):
            assert policy.resources is not None
            self.machine.check(task, policy.resources)
        return lane

    def _lane(self, executor: Where, weighed: bool, cached: bool) -> int:
        name = name_of(executor)
        for lane, known in enumerate(self.names):
            if known == name and self.weighed[lane] == weighed and self.cached[lane] == cached:
                return lane
        self.names.append(name)
        self.executors.append(executor)
        self.weighed.append(weighed)
        self.cached.append(cached)
        return len(self.names) - 1


class RunTasks:
    """The distinct tasks of a run, by number: those of its Dag, and those that calls have grown with.

    Args:
        definitions: Of the script's classes, which functions need where they are read.
        places: Numbers the lanes.

    Attributes:
        tasks: What is known of each.
        functions: What executors need of each.
        live: Functions of this process that calls have grown with, by number.
        places: The lanes.
        lanes: For each the name of its executor.
        executors: The executors themselves, by the same numbers, as they were given.
    """

    def __init__(self, definitions: Definitions, places: Places) -> None:
        self.tasks: list[PlannedTask] = []
        self.functions: list[Function] = []
        self.live: list[Function] = []
        self.places = places
        self.lanes = places.names
        self.executors = places.executors
        self._definitions = definitions
        self._pickled: dict[int, bytes] = {}
        # As JSON, by the identity of policies that `tasks` holds: many tasks may have one.
        self._policies: dict[int, str] = {}
        self._grown_tasks: dict[tuple[Any, ...], tuple[int, int]] = {}

    def add(self, task: Task[..., Any], star: bool, mapped: bool) -> tuple[int, int, Sequence[str]]:
        """The number and the lane of a task, and its parameters by position if its calls are plain."""
        lane = self.places.of(task.name, task.policy, task.is_async or task.is_async_generator)
        facts = (task.name, task.signature.returns_said, task.policy, code_of(task.fn))
        self.tasks.append(PlannedTask(*facts, star, identified(task)))
        self.functions.append(function_of(task, star))
        plain = not mapped and task.policy.when == "all"
        return len(self.tasks) - 1, lane, task.signature.positional if plain else ()

    def learn(self, wire: WireTask) -> tuple[int, int]:
        """The number and the lane of a task that calls have grown with.

        Raises:
            UnknownExecutorError: It names one that only the process knows which it comes from.
            NoRoomError: It takes more than the machine has.
        """
        place = (wire.function, wire.here, wire.name, *wire.policy.values())
        known = self._grown_tasks.get(place)
        if known is None:
            policy = policy_of(wire)
            retry_on = (Exception,) if wire.on_lost else (TimeoutError,) if wire.on_timeout else ()
            lane = self.places.of(wire.name, policy, wire.is_async)
            if wire.here >= 0:
                function = self.live[wire.here]
            elif is_remote(self.executors[lane]) or wire.function is None:
                function = Function(unknown_here, wire.name, Any, False, retry_on)
            else:
                # It will run in this process, so this is where it is read.
                function = Function(*pickling.loads(wire.function))
            self.functions.append(function)
            number = len(self.functions) - 1
            while len(self.tasks) < number:
                self.tasks.append(self.tasks[-1])
            facts = (wire.name, wire.returns, policy, wire.code, wire.star, wire.identity)
            self.tasks.append(PlannedTask(*facts))
            if wire.function is not None:
                self._pickled[number] = wire.function
            for names, data in wire.bundles:
                self._definitions.add(Bundle(names, data))
            known = self._grown_tasks[place] = number, lane
        return known

    def function_bytes(self, number: int) -> bytes:
        """A function for a worker process.

        Raises:
            TaskNotPicklableError: It holds something that can't travel.
        """
        known = self._pickled.get(number)
        if known is None:
            function = self.functions[number]
            try:
                known = pickling.dumps(tuple(function), self._definitions).data
            except NotPicklableError as error:
                raise TaskNotPicklableError(function.name, error.path, error.culprit, error.why) from error
            self._pickled[number] = known
        return known

    def keep(self, function: Function) -> int:
        """Keep a function of this process that calls have grown with, and give its number."""
        for number, known in enumerate(self.live):
            if known.fn is function.fn:
                return number
        self.live.append(function)
        return len(self.live) - 1

    def task_row(self, number: int) -> tuple[int, str, str | None, str | None, str | None]:
        """What the journal writes down of a task: (number, name, declared type, policy, code)."""
        task = self.tasks[number]
        policy = self._policies.get(id(task.policy))
        if policy is None:
            facts = task.policy.facts()
            facts["resources"] = dict(facts["resources"] or ()) or None
            policy = self._policies[id(task.policy)] = json.dumps(plain(facts))
        return number, task.name, task.returns, policy, task.code


class MapFacts(NamedTuple):
    """How a mapped call grows: the arguments whose items go apart, and what they are made with.

    `held` are the nodes that it does not wait for, but whose values its items will take: they stay
    until the items are there.
    """

    max_active: int | None
    on_error: str
    args: tuple[WireArgument, ...]
    kwargs: Mapping[str, WireArgument]
    spread: tuple[int | str, ...]
    names: tuple[str, ...]
    fixed_sources: tuple[int, ...]
    held: tuple[int, ...]
    feeds: Mapping[str, Sequence[int]]

    def list_in(self, place: int | str) -> WireArgument:
        """The list that is spread in a place."""
        return self.args[place] if isinstance(place, int) else self.kwargs[place]


class ControlFacts(NamedTuple):
    """How a controlled call goes on: its arguments, and the number and lane of each task of its calls."""

    control: Control
    args: tuple[WireArgument, ...]
    tasks: tuple[tuple[int, int], ...]


def policy_of(wire: WireTask) -> Policy:
    """How a task is to be run that calls have grown with.

    Raises:
        UnknownExecutorError: As `Plan.learn`.
    """
    try:
        policy = Policy(**{**wire.policy, "resources": dict(wire.policy["resources"] or ())})
        if policy.executor is not None:
            factory_of(policy.executor)
    except (SettingError, ExecutorMissingError) as error:
        raise errors.UnknownExecutorError(wire.name, str(wire.policy["executor"]), str(error)) from error
    return policy


def has_executor(wire: WireTask) -> bool:
    """Whether the executor that a task names, if it does, is in this process."""
    try:
        policy_of(wire)
    except errors.UnknownExecutorError:
        return False
    return True


def unknown_here(*_args: object) -> None:
    """Stands for a function that only workers read."""
    raise AssertionError("this function is not for the driver's process")


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON holds them; what it doesn't know as text."""
    known = (str, int, float, bool, dict, type(None))
    return {k: v if isinstance(v, known) else str(v) for k, v in facts.items()}
