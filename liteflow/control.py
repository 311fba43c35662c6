"""A task whose calls are decided step by step, by a controller.

    engine --start(arguments)--> controller --Step(calls)--------> engine: the node goes on as these
    engine --ended(key, value)-> controller --Step(calls)--------> ...
    engine --ended(key, value)-> controller --Step(over, value)--> engine: the node has this value

A call of a task whose function is a `Control` is not run by a worker: its controller is asked in the driver.
The language of arrows is one, and so can be whatever else decides step by step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from liteflow.task import Task

if TYPE_CHECKING:
    # Start-up: few runs have any.
    from liteflow.controller import Controller


class Control(ABC):
    """The function of a task whose calls are decided step by step; its signature is that of `__call__`.

    Attributes:
        tasks: All tasks that its calls may be of.
    """

    tasks: Sequence[Task[..., Any]]

    @abstractmethod
    def controller(self) -> Controller:
        """A fresh controller, for a run that begins or goes on."""

    def _identity(self) -> object:
        """What of it a resume compares: nothing, for each of its calls is compared by itself."""
        return ()

    def shown(self) -> dict[str, str]:
        """What a plan shows of its work, by name."""
        return {}

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do it all here and now, as a task's plain function does."""


def control_of(task: Task[..., Any]) -> Control | None:
    """What decides how calls of a task go on; None if a worker runs them."""
    return task.fn if isinstance(task.fn, Control) else None
