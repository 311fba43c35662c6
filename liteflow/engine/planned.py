"""What a plan knows of its tasks, and of the calls that are no worker's: mapped and controlled ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from liteflow import errors
from liteflow.control import Control
from liteflow.errors import ExecutorMissingError, SettingError
from liteflow.policy import Policy
from liteflow.where import factory_of
from liteflow.wiring import WireArgument

if TYPE_CHECKING:
    from liteflow.growth import WireTask


class PlannedTask(NamedTuple):
    """A task as the run uses it: for the record, and for what to do when an attempt fails."""

    name: str
    returns: str
    policy: Policy
    code: str


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
        policy = Policy(**wire.policy)
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
