"""Task types that every flow knows: steps that wait."""

from __future__ import annotations

import asyncio
from typing import Any


async def delay(input: Any, seconds: float) -> Any:
    """Give what comes in, so many seconds later.  No worker is busy with that.

    >>> import asyncio
    >>> asyncio.run(delay({"n": 1}, 0.001))
    {'n': 1}
    """
    await asyncio.sleep(seconds)
    return input


TASK_TYPES = {"wait:delay": delay}
"""The functions of task types, by their names."""
