"""The functions of a file's tasks, as they travel to workers; they load nothing of `files` for it.

FileTask   does the work of a task, if its condition holds; WaitingFileTask does so as a coroutine
Gate       decides for others: whether a task is to run, or which items it is to be run for
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from attrs import Factory, field, frozen

from liteflow.context import Context
from liteflow.errors import shown
from liteflow.outcomes import Failure, skip
from liteflow.task_types.base import TaskType, options_said, spliced, work_references
from liteflow.task_types.conditions import Condition, holds
from liteflow.task_types.faults import ValueRefusedError
from liteflow.task_types.templates import OPENING, Reference, templates_in


@frozen(slots=False, unsafe_hash=False)
class FileTask:
    """Does the work of a task, whose templates get their values when it is called.

    Attributes:
        work: The work, as the file describes it.
        uses: What the templates of the work name, each once.
        folder: Where the file lies, if the work imports modules: they may lie there too.
        when: Must hold, else the task is skipped.

    >>> from liteflow.task_types import Python
    >>> FileTask(Python(run="result = ${{ params.n }} + 1"))({"params.n": 1})
    2
    >>> FileTask(Python(run="result = ${{ item }} + ${{ params.n }}"))({"params.n": 1}, 20)
    21
    """

    _one_signature: ClassVar[bool] = True
    _closed: ClassVar[bool] = True

    work: TaskType
    uses: tuple[Reference, ...] = field(
        default=Factory(lambda self: work_references(self.work), takes_self=True)
    )
    folder: str | None = None
    when: Condition | None = None

    @property
    def keeps_time(self) -> bool:
        """Whether it ends by itself when its time is over, also where nobody could end it."""
        return self.work.keeps_time

    def _identity(self) -> object:
        """What a resume takes for its code: not how long it may take, nor where the file lies."""
        options = options_said(self.work)
        call = getattr(self.work, "call", None)
        if not call:
            return self.work.kind, options, self.when
        # Start-up: only drivers ask, and workers load this module.
        from liteflow.task_types.called import code_behind  # noqa: PLC0415

        return self.work.kind, options, self.when, code_behind(call, self.folder)

    def _whole_identity(self) -> object:
        """The same with all code that it leads to: for results of other runs."""
        return self._identity(), all_code(self.work, self.folder)

    def __call__(self, _values: Mapping[str, object] | None = None, item: object = None) -> Any:
        """Do the work; `_values` are by what the templates say, `item` is that of a `foreach`."""
        return self.work_with(_values, item).run()

    def work_with(self, values: Mapping[str, object] | None = None, item: object = None) -> TaskType:
        """Return the work with values in the places of its templates; skipped if its condition is false."""
        if self.folder is not None and self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        if not self.uses and self.when is None:
            return self.work
        known = {name: plain_value(name, value) for name, value in (values or {}).items()}
        if self.when is not None and not holds(self.when, known):
            skip("its condition does not hold")
        for reference in self.uses:
            if reference.root == "item":
                known[str(reference)] = item_at(item, reference)
        return self.work.filled(known)


class WaitingFileTask(FileTask):
    """The same of work that waits: a coroutine.

    >>> import asyncio
    >>> from liteflow.task_types import WaitDelay
    >>> wait = WaitingFileTask(WaitDelay(seconds="${{ params.s }}"))
    >>> asyncio.run(wait({"params.s": 0.001}, context=Context()))
    """

    # The engine gives a context to whoever has a parameter for it.
    async def __call__(  # type: ignore[override]
        self, _values: Mapping[str, object] | None = None, item: object = None, *, context: Context
    ) -> Any:
        """Do the work; arguments as of a FileTask."""
        return await self.work_with(_values, item).run_async(context)


def all_code(work: TaskType, folder: str | None) -> object:
    """Return the code of work that is not in its options: its type's, and what a script or a call leads to.

    Args:
        work: The work.
        folder: Where modules are looked for first.
    """
    # Start-up: few tasks have a cache.
    from liteflow.task_types.called import code_behind, code_behind_script  # noqa: PLC0415

    call = getattr(work, "call", None)
    if call:
        return type(work), code_behind(call, folder)
    script = getattr(work, "run_", None) if work.kind == "python" else None
    if not script:
        return type(work)
    found = templates_in(script)
    plain = spliced(script, found, [f"LITEFLOW_{number}" for number in range(len(found))])
    return type(work), code_behind_script(plain, folder)


def file_task(
    work: TaskType,
    uses: tuple[Reference, ...],
    folder: str | None = None,
    when: Condition | None = None,
) -> FileTask:
    """Return the function of a task; arguments as of a FileTask."""
    return (WaitingFileTask if work.waits else FileTask)(work, uses, folder, when)


@frozen(slots=False, unsafe_hash=False)
class Gate:
    """Decides whether another task is to run, or for which items.

    Attributes:
        when: The condition.
        items: References to the item that the condition has; without any it is about the whole task.

    >>> from liteflow.task_types.conditions import parse_condition
    >>> when = parse_condition("${{ item }} > ${{ params.least }}")
    >>> Gate(when, (Reference("item"),))({"params.least": 2}, [1, 2, 3, 4])
    [3, 4]
    """

    _closed: ClassVar[bool] = True

    when: Condition
    items: tuple[Reference, ...] = ()

    def __call__(self, _values: Mapping[str, object] | None = None, items: Iterable[Any] = ()) -> list[Any]:
        """Return the items that are to be worked on; skipped if the condition is about all, and false."""
        known = dict(_values or {})
        if not self.items:
            if not holds(self.when, known):
                skip("its condition does not hold")
            return list(items)
        return [item for item in items if holds(self.when, {**known, **self._of(item)})]

    def _of(self, item: object) -> dict[str, object]:
        return {str(reference): item_at(item, reference) for reference in self.items}


def plain_value(name: str, value: object) -> object:
    """Return what a template stands for, where an input may have no value: then it is None.

    >>> failure = Failure("a", "failed")
    >>> plain_value("tasks.a.state", failure), plain_value("tasks.a.output", failure)
    ('failed', None)
    """
    if name.endswith(".state") and templates_in(f"{OPENING}{name}}}}}")[0].reference.part == "state":
        return value.state if isinstance(value, Failure) else "succeeded"
    return None if isinstance(value, Failure) else value


def item_at(item: Any, reference: Reference) -> object:
    """Return what a reference to an item leads to.

    Raises:
        ValueRefusedError: The item has no such part.
    """
    value = item
    for key in reference.path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            problem = f"is not there: the {reference.root} is {shown(item, 80)}"
            raise ValueRefusedError(str(reference), problem, "correct the reference, or the list") from None
    return value
