"""What a plan knows of its tasks, and of the calls that are no worker's: mapped and controlled ones.

A lane has the calls of one executor; those of them that take resources have a lane of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from liteflow import errors
from liteflow.control import Control
from liteflow.errors import ExecutorMissingError, SettingError
from liteflow.policy import Policy
from liteflow.where import Where, allots, chosen, everywhere, factory_of, name_of
from liteflow.wiring import WireArgument

if TYPE_CHECKING:
    # Start-up: few runs have calls that take resources.
    from liteflow.engine.machine import Machine
    from liteflow.growth import WireTask


class PlannedTask(NamedTuple):
    """A task as the run uses it: for the record, and for what to do when an attempt fails."""

    name: str
    returns: str
    policy: Policy
    code: str


class Places:
    """Numbers the lanes.

    Args:
        general: The executor of tasks that name none.
        machine: Gives what the machine has; None: nobody asks, for nothing will run.

    Attributes:
        names: For each lane what its executor is called.
        executors: The executors themselves, as they were given.
        weighed: Whether the calls of a lane take resources.
    """

    def __init__(self, general: Where, machine: Callable[[], Machine] | None) -> None:
        self.names: list[str] = []
        self.executors: list[Where] = []
        self.weighed: list[bool] = []
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
        lane = self._lane(executor, weighed)
        known = self.names.index(name_of(executor))
        if not isinstance(executor, str) and factory_of(self.executors[known]) is not executor:
            name = name_of(executor)
            raise SettingError("a run", "executor", executor, f"another name than {name!r}, which is taken")
        if weighed and self._machine is not None and not self.allots(lane):
            assert policy.resources is not None
            self.machine.check(task, policy.resources)
        return lane

    def _lane(self, executor: Where, weighed: bool) -> int:
        name = name_of(executor)
        for lane, known in enumerate(self.names):
            if known == name and self.weighed[lane] == weighed:
                return lane
        self.names.append(name)
        self.executors.append(executor)
        self.weighed.append(weighed)
        return len(self.names) - 1


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
