"""A command line can't be carried out."""

from __future__ import annotations

from attrs import define

from liteflow.errors.base import LiteflowError


@define(eq=False, slots=False, repr=False)
class CommandLineError(LiteflowError, ValueError):
    """A command line can't be carried out as it stands: wrong usage, a bad file, no such thing."""

    problem: str

    def __str__(self) -> str:
        return self.problem
