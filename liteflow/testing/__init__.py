"""For tests: of flows of one's own, and of executors that others write.

    helpers.py       inline(), no_waiting(): runs that are quick, and can be stepped through
    plugin.py        the same and a temporary store as fixtures of pytest
    conformance.py   executor_suite(...): what every executor promises, as tests

pytest is needed by the last two alone, and is the user's own.
"""

from __future__ import annotations

from liteflow.faces import face

# As type checkers know it; to import typing for it would take ten times as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from liteflow.testing.conformance import ExecutorSuite, executor_suite
    from liteflow.testing.helpers import inline, no_waiting

__all__ = ["ExecutorSuite", "executor_suite", "inline", "no_waiting"]

_HOMES = {
    "ExecutorSuite": "conformance",
    "executor_suite": "conformance",
    "inline": "helpers",
    "no_waiting": "helpers",
}

__getattr__, __dir__ = face(__name__, _HOMES)
