"""A small cluster of threads that any machine has: calls run in annexes, large values are held in a dict."""

from __future__ import annotations

import itertools
import pickle
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from typing import Any

from liteflow.executor.annex import annexed
from liteflow.executor.cluster import ClusterExecutor
from liteflow.executor.held import Shared
from liteflow.executor.remote import Answer


class Handle:
    """A value that is held for as long as there is one of these."""

    def __init__(self, number: int, jobs: Jobs) -> None:
        self.number = number
        weakref.finalize(self, jobs.held.pop, number, None)


class Jobs(Pool):
    """Runs each job in a thread, which learns when its future is cancelled.

    Attributes:
        sizes: How many calls each job had.
        weights: How many bytes each job was sent.
        held: The values that are held, by number.
        ever: How many have been held.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.weights: list[int] = []
        self.held: dict[int, Shared] = {}
        self._numbers = itertools.count()
        self.ever = 0

    def hold(self, shared: Shared) -> int:
        self.ever += 1
        number = next(self._numbers)
        self.held[number] = shared
        return number

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.sizes.append(len(args[3]))
        self.weights.append(len(pickle.dumps(args[:5])))

        def work() -> None:
            try:
                held = [self.held[handle.number] for handle in args[5:]]
                wanted = lambda: not future.cancelled()  # noqa: E731
                answer = fn(*args[:5], *held, wanted=wanted, hold=self.hold)
            except BaseException as error:  # noqa: BLE001  as any pool does
                future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(answer)

        threading.Thread(target=work, daemon=True).start()
        return future


class Threads(ClusterExecutor):
    """The cluster; `fetched` is called before a value is brought home."""

    holds = True

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers, "threads", None)
        self.jobs = Jobs()
        self.fetched: Callable[[int], object] = lambda _number: None

    @property
    def pool(self) -> Pool:
        return self.jobs

    @property
    def job(self) -> Callable[..., Answer]:
        return annexed

    def own_host(self) -> str:
        return "127.0.0.1"

    def places(self) -> int:
        return 2

    def shutdown(self) -> None:
        """Threads end with their jobs."""

    def adopt(self, handle: int) -> Handle:
        return Handle(handle, self.jobs)

    def fetch(self, handle: Handle) -> Shared:
        self.fetched(handle.number)
        return self.jobs.held[handle.number]
