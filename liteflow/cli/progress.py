"""What does a run say of itself while it goes on?

    driver --observer--> Tally (counts) --> lines, or the live display of live.py

The driver calls an observer (engine.driver.Observer) in its own thread, in batches.  Whatever
happens to the terminal, an observer never raises: a run does not fail because nobody looks.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from liteflow.cli.output import complain
from liteflow.views.shown import counted, cut, label, visible
from liteflow.views.states import FINISHED, tally

# What the driver tells: key -> (new state, attempt from 1), and (key, stream, text).
Changes = Mapping[str, tuple[str, int]]
Written = Sequence[tuple[str, str, str]]

# In a run of more task instances than this, a line for each would bury what matters.
MANY = 50
SECONDS_BETWEEN_SUMMARIES = 5.0
LONGEST_LINE = 1000
# So many calls that run again are named.
MOST_NAMED = 20

# These are said however large the run is.
LOUD = frozenset({"failed", "retrying"})
SAID = LOUD | FINISHED

_SERIAL = re.compile(r"(-\d+|\[\d+\])$")
_NUMBER = re.compile(r"\d+")


class Tally:
    """How many task instances are in which state, in all and for each task.

    >>> counts = Tally(["load", "load-2", "sum"])
    >>> counts.apply({"load-2": ("running", 1)})
    >>> counts.total["running"], counts.tasks["load"]["running"], counts.finished
    (1, 1, 0)
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.states: dict[str, str] = {}
        self.total: Counter[str] = Counter()
        self.tasks: dict[str, Counter[str]] = {}
        self.add(keys)

    def add(self, keys: Sequence[str]) -> None:
        """There are these too; what is known already stays as it is."""
        keys = [key for key in keys if key not in self.states]
        self.states.update(dict.fromkeys(keys, "pending"))
        self.total["pending"] += len(keys)
        for key in keys:
            self.tasks.setdefault(task_of(key), Counter())["pending"] += 1

    def apply(self, changes: Changes) -> None:
        """Count these changes."""
        for key, (state, _attempt) in changes.items():
            of_task = self.tasks.setdefault(task_of(key), Counter())
            before = self.states.get(key)
            for counts in (self.total, of_task):
                if before is not None:
                    counts[before] -= 1
                counts[state] += 1
            self.states[key] = state

    @property
    def finished(self) -> int:
        """How many will not run any more."""
        return finished(self.total)

    def __len__(self) -> int:
        return len(self.states)


def finished(counts: Counter[str]) -> int:
    """Return how many of those counted will not run any more."""
    return sum(counts[state] for state in FINISHED)


def task_of(key: str) -> str:
    """Return what the keys of one task have in common, as far as keys can tell.

    >>> task_of("transform-2"), task_of("double[17]"), task_of("load_2026_11")
    ('transform', 'double', 'load_*_*')
    """
    return _NUMBER.sub("*", _SERIAL.sub("", key) or key)


class Silence:
    """An observer that says nothing (`--quiet`); it remembers which run it was told of."""

    def __init__(self) -> None:
        self.run_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was opened."""

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """Remember which run it is."""
        self.run_id = run_id

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """Say nothing."""

    def grew(self, keys: Sequence[str]) -> None:
        """Say nothing."""

    def changed(self, changes: Changes) -> None:
        """Say nothing."""

    def lines(self, lines: Written) -> None:
        """Say nothing."""

    def ended(self, state: str) -> None:
        """Say nothing."""


class Lines(Silence):
    """An observer that writes lines to standard error, for pipes, files and simple terminals.

    In a small run each task instance that ends has its line; in a large one there is a
    summary every few seconds.  What failed, and what is tried again, is always said.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._tally = Tally([])
        self._said_at = now()

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """Say which run it is."""
        super().started(run_id, flow, keys)
        self._tally = Tally(keys)
        self._said_at = self._now()
        complain(f"run {visible(run_id)} of {visible(flow)}: {counted(len(keys), 'task instance')}")

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """Say what stays, and what runs again."""
        self._tally.apply(dict.fromkeys(kept, ("succeeded", 0)))
        complain("\n".join(resumption(kept, again)))

    def grew(self, keys: Sequence[str]) -> None:
        """There is more to be done."""
        self._tally.add(keys)

    def changed(self, changes: Changes) -> None:
        """Say what has ended, or how far the run is."""
        # What is ended by force is told of twice: when it is given up, and when it is gone.
        known = self._tally.states
        new = {k: c for k, c in changes.items() if c[0] not in FINISHED or known.get(k) != c[0]}
        self._tally.apply(changes)
        worth = LOUD if len(self._tally) > MANY else SAID
        said = [told(key, state, n) for key, (state, n) in new.items() if state in worth]
        if said:
            complain("\n".join(said))
        if len(self._tally) > MANY and self._now() - self._said_at >= SECONDS_BETWEEN_SUMMARIES:
            self._said_at = self._now()
            complain(f"{self._tally.finished} of {len(self._tally)}: {tally(self._tally.total)}")

    def lines(self, lines: Written) -> None:
        """Show what tasks have printed."""
        complain("\n".join(printed(key, text) for key, _stream, text in lines))


def resumption(kept: Sequence[str], again: Mapping[str, str]) -> list[str]:
    """Say in some lines how a run goes on.

    >>> resumption(["extract"], {"load": "its code changed"})
    ['1 result is kept', '  load runs again: its code changed']
    """
    said = [f"{len(kept)} results are kept" if len(kept) != 1 else "1 result is kept"]
    said += [f"  {label(key)} runs again: {label(why, 500)}" for key, why in list(again.items())[:MOST_NAMED]]
    if len(again) > MOST_NAMED:
        said.append(f"  and {len(again) - MOST_NAMED} more run again")
    return said


def told(key: str, state: str, attempt: int) -> str:
    """Say in one line what has become of a task instance.

    >>> told("load", "retrying", 2), told("load", "succeeded", 1)
    ('load: retrying after attempt 2', 'load: succeeded')
    """
    after = f" after attempt {attempt}" if state == "retrying" or (state == "failed" and attempt > 1) else ""
    return f"{label(key)}: {state}{after}"


def printed(key: str, text: str) -> str:
    """Return a line that a task has printed, as it is shown while the run goes on.

    >>> printed("load", "loading\\n")
    'load | loading'
    """
    return f"{label(key)} | {shown_line(text)}"


def shown_line(text: str) -> str:
    """Return a line of a task's, harmless and not too long."""
    return cut(visible(text[: LONGEST_LINE + 1].removesuffix("\n"), keep="\t"), LONGEST_LINE)
