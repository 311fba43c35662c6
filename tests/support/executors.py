"""One executor alone, as the driver uses it: calls in, news out, real processes and threads."""

from __future__ import annotations

import inspect
import selectors
import time
from collections.abc import Callable
from typing import Any

from liteflow import pickling
from liteflow.executor.base import Call, Executor, Failed, Work
from liteflow.function import Function


class Bench:
    """Holds an executor and what has come of its calls; `function` is the function of every call.

    `finished`, `failed` and `returned` (after `cancel`) are by node; `lines` are the texts that
    were written.
    """

    def __init__(self, make: Callable[[Work], Executor], function: Callable[[int], Any]) -> None:
        entry = Function(function, "function", Any, inspect.iscoroutinefunction(function), (Exception,))
        self._definitions = pickling.Definitions()
        work = Work(
            [entry],
            lambda _number: pickling.dumps(tuple(entry), self._definitions).data,
            self._definitions,
            lambda _source: _nothing(),
            time.monotonic_ns(),
            lambda: (0, b""),
            lambda _function: _nothing(),
            lambda _news: None,
        )
        self.executor = make(work)
        self.finished: set[int] = set()
        self.failed: dict[int, Failed] = {}
        self.returned: set[int] = set()
        self.lines: list[str] = []
        self._lane: list[Call] = []
        self._calls: list[Call] = []
        self._cancelled = False
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Bench:
        self.executor.watch(self._selector)
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.close()
        self._selector.close()

    # The lane's side.
    alone = False
    needs = ()

    def __len__(self) -> int:
        return len(self._lane)

    def take(self, count: int) -> list[Call]:
        taken, self._lane = self._lane[:count], self._lane[count:]
        return taken

    def follow(self, call: Call, /) -> Call | None:
        return None

    # The driver's side.
    def call(self, count: int = 1, timeout: float | None = None) -> None:
        """Have this many calls ready; each gets its own number as its argument."""
        for _ in range(count):
            number = len(self._calls)
            self._calls.append(Call(number, 1, 0, (number,), None, -1, (), timeout))
            self._lane.append(self._calls[-1])

    def run(self, until: Callable[[], object], seconds: float = 20.0) -> None:
        """Do what the driver does until this holds."""
        limit = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < limit, "it does not come to this"
            self.executor.fill(self)
            due = self.executor.look_at()
            wait = 0.05 if due is None else min(0.05, max(0.0, due - time.monotonic()))
            for key, mask in self._selector.select(wait):
                self._learn(key.data(mask))
            self._learn(self.executor.look(time.monotonic()))

    def cancel(self, grace: float) -> None:
        """Cancel now; from here on, what comes back stays with us."""
        self._cancelled = True
        self._learn(self.executor.cancel(time.monotonic(), grace))

    def _learn(self, news: list[Any]) -> None:
        for one in news:
            ended = [f[0] for f in one.finished] + [f.node for f in one.failed] + list(one.returned)
            assert not self.ended & set(ended), "a call ended twice"
            self.finished |= {f[0] for f in one.finished}
            self.failed |= {f.node: f for f in one.failed}
            self.lines += [line.text for line in one.lines]
            if self._cancelled:
                self.returned |= set(one.returned)
            else:
                self._lane += [self._calls[node] for node in one.returned]

    @property
    def ended(self) -> set[int]:
        """All calls of which we have heard the last."""
        return self.finished | self.failed.keys() | self.returned


def _nothing() -> Any:
    raise AssertionError("no call needs a value")
