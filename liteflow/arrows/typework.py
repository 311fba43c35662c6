"""What a worker does for a step that is a task type: its templates get their values, and it runs."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from liteflow.context import Context
from liteflow.task_types.base import TaskType, options_said, work_references
from liteflow.task_types.work import all_code, item_at


@frozen(slots=False, unsafe_hash=False)
class TypeWork:
    """Does the work of a task type with what comes in.

    >>> from liteflow.task_types import Python
    >>> TypeWork(Python(run="result = {'n': ${{ input.n }} + 1}"))({"n": 1})
    {'n': 2}
    """

    work: TaskType

    @property
    def keeps_time(self) -> bool:
        """Whether it ends by itself when its time is over, also where nobody could end it."""
        return self.work.keeps_time

    def _identity(self) -> object:
        """What a resume takes for its code: not how long it may take."""
        return self.work.kind, options_said(self.work)

    def _whole_identity(self) -> object:
        """The same with all code that it leads to: for results of other runs."""
        return self._identity(), all_code(self.work, None)

    def __call__(self, input: Any = None) -> Any:
        """Do the work."""
        return self.filled(input).run()

    def filled(self, input: Any) -> TaskType:
        """The work with values in the places of its templates.

        Raises:
            ValueRefusedError: What comes in has no such part.
        """
        values = {str(one): item_at(input, one) for one in work_references(self.work)}
        return evolve(self.work.filled(values), input=input)


class WaitingTypeWork(TypeWork):
    """The same of work that waits: a coroutine."""

    # The engine gives a context to whoever has a parameter for it.
    async def __call__(self, input: Any = None, *, context: Context) -> Any:  # type: ignore[override]
        """Do the work."""
        return await self.filled(input).run_async(context)
