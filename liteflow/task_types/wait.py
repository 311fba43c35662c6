"""`type: wait:delay`, `type: wait:event`: a task that waits, in the driver's process.

No worker is busy with it.  Since when it waits, and the event that it has got, are kept with the run:
whoever goes on with the run waits for what is left of the time, and takes no second event.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any, ClassVar

from attrs import Attribute, frozen

from liteflow.context import Context, waited
from liteflow.task_types.base import TaskType, in_schema, option
from liteflow.task_types.faults import ValueRefusedError
from liteflow.task_types.templates import OPENING
from liteflow.where import WAITING

# An event is looked for this often: at first, and after a long time.
_SOON_S, _SELDOM_S = 0.05, 1.0


def seconds_of(value: object) -> float:
    """Return a number of seconds, given as a number or as text.

    Raises:
        ValueError: It is none.

    >>> seconds_of("1.5")
    1.5
    """
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if 0 <= seconds < math.inf:
            return seconds
    raise ValueError(f"{str(value)[:80]!r} is no time to wait; give seconds, as 1.5")


@in_schema(minimum=0, pattern=r"^\s*\d|^\s*\.\d|\$\{\{")
def a_time(_work: object, _field: Attribute[Any], value: object) -> None:
    """Refuse what is no time; a template may become one."""
    if not (isinstance(value, str) and OPENING in value):
        seconds_of(value)


@in_schema(minLength=1)
def a_name(_work: object, _field: Attribute[Any], value: object) -> None:
    """Refuse what is no name of an event."""
    if not (isinstance(value, str) and value):
        raise ValueError(f"{str(value)[:80]!r} is no name of an event; give a text, as approved")


@frozen(kw_only=True)
class WaitDelay(TaskType):
    """Let time pass; a step of the arrow language gives on what came in.

    >>> WaitDelay(seconds=0.001, input={"n": 1}).run()
    {'n': 1}
    """

    kind: ClassVar[str] = "wait:delay"
    executor: ClassVar[str | None] = WAITING
    waits: ClassVar[bool] = True

    seconds: float | str = option(help="How long, in seconds.", validator=a_time)

    def run(self) -> object:
        """Wait here and now."""
        time.sleep(self._seconds())
        return self.input

    async def run_async(self, context: Context) -> object:
        """Wait until the time is over, counted from when the task instance began to wait."""
        since, _ = waited(context)
        await asyncio.sleep(max(0.0, since / 1e6 + self._seconds() - time.time()))
        return self.input

    def _seconds(self) -> float:
        try:
            return seconds_of(self.seconds)
        except ValueError as error:
            raise ValueRefusedError("seconds", f"can't be waited for: {error}", "give a number") from None


@frozen(kw_only=True)
class WaitEvent(TaskType):
    """Wait for an event, which `liteflow event NAME` sends; the output is what the event says."""

    kind: ClassVar[str] = "wait:event"
    executor: ClassVar[str | None] = WAITING
    waits: ClassVar[bool] = True

    name: str = option(help="The name of the event.", validator=a_name)

    async def run_async(self, context: Context) -> object:
        """Wait until it has come; one that came before counts as well."""
        pause = _SOON_S
        while True:
            _, data = waited(context, self.name)
            if data is not None:
                return json.loads(data)
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, _SELDOM_S)
