"""Building something large without the garbage collector's looking again and again at what is being built.

All of it is kept, so it would find nothing, and each look takes longer than the one before: a graph, or a
text, of twice the length would take more than twice the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the collector; it is as it was afterwards."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
