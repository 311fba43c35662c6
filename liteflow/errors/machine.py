"""The machine has not what a task takes.  Apart, for few tasks take any of it."""

from __future__ import annotations

from attrs import define

from liteflow.errors.base import DefinitionError


@define(eq=False, slots=False, repr=False)
class NoRoomError(DefinitionError, ValueError):
    """A task takes more than the machine has that its calls run on; `there` is what there is of that."""

    task: str
    wanted: str
    there: str

    def __str__(self) -> str:
        return (
            f"task {self.task} takes {self.wanted}, and this machine has {self.there}: it would never run; "
            "let it take less, run it on a cluster, or say what the machine has: run(resources={...}), "
            "or on the command line --resource NAME=AMOUNT"
        )
