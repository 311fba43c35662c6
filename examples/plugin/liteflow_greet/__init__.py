"""A task type of one's own: `type: greet`."""

from typing import ClassVar

from attrs import Attribute, frozen

from liteflow.task_types import TaskType, option


def _not_empty(_work: object, _field: "Attribute[str]", value: str) -> None:
    if not value.strip():
        raise ValueError("is empty; name somebody")


@frozen(kw_only=True)
class Greet(TaskType):
    """Greet somebody.

    >>> Greet(whom="${{ params.name }}", times=2).filled({"params.name": "Ada"}).run()
    'Hello Ada! Hello Ada!'
    """

    kind: ClassVar[str] = "greet"

    whom: str = option(help="Who is greeted.", validator=_not_empty)
    times: int = option(1, help="How many times.")

    def run(self) -> str:
        """Return the greeting."""
        return " ".join([f"Hello {self.whom}!"] * self.times)
