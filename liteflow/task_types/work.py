"""The function of a file's task, as it travels to workers; they load nothing of `files` for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from liteflow.task_types.base import TaskType


@frozen(slots=False, unsafe_hash=False)
class FileTask:
    """Does the work of a task, whose templates get their values when it is called.

    Attributes:
        work: The work, as the file describes it.
        folder: Where the file lies, if the work imports modules: they may lie there too.

    >>> from liteflow.task_types import Python
    >>> FileTask(Python(run="result = ${{ params.n }} + 1"))({"params.n": 1})
    2
    """

    work: TaskType
    folder: str | None = None

    def __call__(self, values: Mapping[str, object] | None = None) -> Any:
        """Do the work; `values` are by what the templates say."""
        if self.folder is not None and self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        return self.work.filled(values or {}).run()
