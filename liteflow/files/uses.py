"""What a task of a file uses: what its templates name, and so which tasks it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from liteflow.task_types.base import TaskType, texts_in, work_references
from liteflow.task_types.templates import Reference, references_in


@frozen
class Uses:
    """What a task's templates name, each once, by where they stand.

    Attributes:
        work: In what says what the task does.
        when: In its condition.
        foreach: In the list that it is run for.
        upstream: The tasks that it waits for: those of its templates, then those of `depends_on`.
    """

    work: tuple[Reference, ...]
    when: tuple[Reference, ...]
    foreach: tuple[Reference, ...]
    upstream: Sequence[str]

    @classmethod
    def of(cls, work: TaskType, when: object, foreach: object, depends_on: Sequence[str]) -> Uses:
        """Look through the texts of a task; arguments as the fields of a TaskSpec.

        Raises:
            TemplateError: A template is malformed.
        """
        of_work = work_references(work)
        of_when, of_foreach = _references(when), _references(foreach)
        named = [r.name for r in (*of_work, *of_when, *of_foreach) if r.root == "tasks"]
        return cls(of_work, of_when, of_foreach, list(dict.fromkeys([*named, *depends_on])))


def _references(data: Any) -> tuple[Reference, ...]:
    return references_in(text for _, text in texts_in(data, ())) if data else ()
