"""What there is to look at, and its address: each kind of page is a class, which knows both.

    /?flow=3&state=failed&page=2    /runs/3?task=1&state=failed    /runs/3/tasks/17    /runs/3/logs?task=17

An address holds numbers of ours and names of states, nothing of the data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from attrs import frozen

from liteflow.views.states import LOOKS

ASSETS: Final = ("style.css", "follow.js", "icon.svg")
_MOST: Final = 2**31 - 1
_NUMBER: Final = re.compile(r"[0-9]{1,10}")


@frozen
class RunsPlace:
    """The runs: of the flow that run number `flow` is of, in a state, from the page on."""

    flow: int | None = None
    state: str | None = None
    page: int = 1

    @property
    def href(self) -> str:
        """The address."""
        return "/" + _query(flow=self.flow, state=self.state, page=self.page)


@frozen
class RunPlace:
    """A run by its number, and a page of its task instances: of a task by its number, in a state."""

    run: int
    task: int | None = None
    state: str | None = None
    page: int = 1

    @property
    def href(self) -> str:
        """The address."""
        return f"/runs/{self.run}" + _query(task=self.task, state=self.state, page=self.page)


@frozen
class InstancePlace:
    """A task instance by its index in its run."""

    run: int
    index: int

    @property
    def href(self) -> str:
        """The address."""
        return f"/runs/{self.run}/tasks/{self.index}"


@frozen
class LogsPlace:
    """What a run has written, or one of its task instances (`task` is its index); page 0 is the last."""

    run: int
    task: int | None = None
    page: int = 1

    @property
    def href(self) -> str:
        """The address."""
        return f"/runs/{self.run}/logs" + _query(task=self.task, page=self.page)


@frozen
class AssetPlace:
    """A file of the pages' own."""

    name: str

    @property
    def href(self) -> str:
        """The address."""
        return f"/assets/{self.name}"


Place = RunsPlace | RunPlace | InstancePlace | LogsPlace | AssetPlace


def place(path: str, query: Mapping[str, str]) -> Place | None:
    """Return what an address names, None if it names nothing.

    >>> place("/runs/3/logs", {"task": "17"})
    LogsPlace(run=3, task=17, page=1)
    >>> place("/runs/../etc", {}) is None
    True
    """
    page, state = _number(query.get("page")), query.get("state")
    if (page is None and "page" in query) or (state is not None and state not in LOOKS):
        return None
    first = 1 if page is None else page
    match path.split("/")[1:]:
        case [""]:
            return RunsPlace(_number(query.get("flow")), state, max(first, 1))
        case ["assets", name] if name in ASSETS:
            return AssetPlace(name)
        case ["runs", run, *rest] if (number := _number(run)) is not None:
            return _of_run(number, rest, query, state, first)
    return None


def _of_run(
    run: int, rest: list[str], query: Mapping[str, str], state: str | None, page: int
) -> Place | None:
    task = _number(query.get("task"))
    match rest:
        case []:
            return RunPlace(run, task, state, max(page, 1))
        case ["logs"]:
            return LogsPlace(run, task, page)
        case ["tasks", index] if (number := _number(index)) is not None:
            return InstancePlace(run, number)
    return None


def _number(text: str | None) -> int | None:
    if text is None or not _NUMBER.fullmatch(text):
        return None
    return number if (number := int(text)) <= _MOST else None


def _query(**values: int | str | None) -> str:
    given = {
        name: value for name, value in values.items() if value is not None and (name, value) != ("page", 1)
    }
    return f"?{urlencode(given)}" if given else ""
