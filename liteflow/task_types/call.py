"""`type: task`: a `@task` of a Python module, with its own settings, as a task of a file."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import frozen

from liteflow.task_types.base import TaskType, option
from liteflow.task_types.python import a_call, object_of


@frozen(kw_only=True)
class TaskCall(TaskType):
    """Call a task that a Python module defines with @task; its retries and timeout are its own, unless told.

    >>> TaskCall(call="math:hypot", args=[3, 4]).run()
    5.0
    """

    kind: ClassVar[str] = "task"

    call: str = option(help="module:name of the task.", validator=a_call)
    args: dict[str, Any] | list[Any] = option(factory=dict, help="What it is called with.")

    def run(self) -> object:
        """Call the plain function; in a flow the task itself is called instead."""
        found = object_of(self.call)
        function = getattr(found, "fn", found)
        return function(**self.args) if isinstance(self.args, dict) else function(*self.args)
