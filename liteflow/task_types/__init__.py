"""Task types: what a task of a workflow file can do, each a frozen attrs class with a `run` method.

    templates   ${{ tasks.x.output }}: which references stand in a text
    base        TaskType: fields, and how templates in them get their values
    shell · python · http · sql · call · wait
    work        a task's function, as it travels to workers
    registry    the types there are, those of plug-ins too

They need no workflow file: `Shell(run="date").run()` works anywhere.  A plug-in is a class
derived from `TaskType`, named in the entry-point group `liteflow.task_types`.

Names are loaded when they are asked for: a worker that runs commands needs no web client.
"""

from __future__ import annotations

from liteflow.faces import face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from liteflow.task_types.base import TaskType, option
    from liteflow.task_types.http import Http, HttpDelete, HttpGet, HttpPost, HttpPut
    from liteflow.task_types.python import Python
    from liteflow.task_types.shell import Shell
    from liteflow.task_types.sql import Sql
    from liteflow.task_types.wait import WaitDelay, WaitEvent

__all__ = [
    "Http",
    "HttpDelete",
    "HttpGet",
    "HttpPost",
    "HttpPut",
    "Python",
    "Shell",
    "Sql",
    "TaskType",
    "WaitDelay",
    "WaitEvent",
    "option",
]

_HOMES = {
    "Http": "http",
    "HttpDelete": "http",
    "HttpGet": "http",
    "HttpPost": "http",
    "HttpPut": "http",
    "Python": "python",
    "Shell": "shell",
    "Sql": "sql",
    "TaskType": "base",
    "WaitDelay": "wait",
    "WaitEvent": "wait",
    "option": "base",
}

__getattr__, __dir__ = face(__name__, _HOMES)
