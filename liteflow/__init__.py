"""liteflow: plain typed functions, composed lazily, run durably; all state in one SQLite file.

    from liteflow import flow, task

Importing liteflow loads nothing more: each name is loaded when it is first asked for.
"""

from __future__ import annotations

from liteflow.faces import face

# As type checkers know it; to import typing for it would take ten times as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from liteflow.context import Context, StreamChunk
    from liteflow.dag import Dag
    from liteflow.errors import (
        DefinitionError,
        LiteflowError,
        RunCancelled,
        RunError,
        RunFailed,
        StoreError,
    )
    from liteflow.flow import Flow, flow
    from liteflow.handle import Handle
    from liteflow.lazy import Call, Item, Lazy
    from liteflow.mapped import Mapped, unmapped
    from liteflow.nexts import NextTask, TaskOutput
    from liteflow.outcomes import Failure, Skip, skip
    from liteflow.policy import Policy
    from liteflow.run import Run
    from liteflow.secret import Secret
    from liteflow.stored import open_run
    from liteflow.task import Task, task
    from liteflow.workflow import run_workflow

__version__ = "0.1.0"

__all__ = [
    "Call",
    "Context",
    "Dag",
    "DefinitionError",
    "Failure",
    "Flow",
    "Handle",
    "Item",
    "Lazy",
    "LiteflowError",
    "Mapped",
    "NextTask",
    "Policy",
    "Run",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "Secret",
    "Skip",
    "StoreError",
    "StreamChunk",
    "Task",
    "TaskOutput",
    "__version__",
    "flow",
    "open_run",
    "run_workflow",
    "skip",
    "task",
    "unmapped",
]

_HOMES = {
    "Call": "lazy",
    "Context": "context",
    "Dag": "dag",
    "DefinitionError": "errors",
    "Failure": "outcomes",
    "Flow": "flow",
    "Handle": "handle",
    "Item": "lazy",
    "Lazy": "lazy",
    "LiteflowError": "errors",
    "Mapped": "mapped",
    "NextTask": "nexts",
    "Policy": "policy",
    "Run": "run",
    "RunCancelled": "errors",
    "RunError": "errors",
    "RunFailed": "errors",
    "Secret": "secret",
    "Skip": "outcomes",
    "StoreError": "errors",
    "StreamChunk": "context",
    "Task": "task",
    "TaskOutput": "nexts",
    "flow": "flow",
    "open_run": "stored",
    "run_workflow": "workflow",
    "skip": "outcomes",
    "task": "task",
    "unmapped": "mapped",
}

__getattr__, __dir__ = face(__name__, _HOMES)
