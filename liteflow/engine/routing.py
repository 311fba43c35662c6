"""Which task runs next?  The rules of the next-task style, and nothing else.

    ended(instance, what it asks for) --> the instances that start because of it

    asked for --+-- as one of its own (`spawn_another`) -------------------> starts at once
                +-- the same is queued or runs: equal inputs --------------> dropped
                +-- else: queued, until its task does not run, and no ----> starts
                    instance of a task that has asked for it is left

So a join runs once, when all who ask for it have ended, however they are ordered.  Tasks that wait for each
other, of which none runs, would wait for ever: then the one goes first that was asked for first.

Pure: the same questions in the same order give the same answers, so a run that goes on is told what was,
and is where it was.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeVar

from attrs import field, frozen

from liteflow.errors import UnknownNameError
from liteflow.executor.attempt import WireArgument

K = TypeVar("K")


class Request(NamedTuple):
    """What a task asks for: a task by its name, and what that is to be given.

    `inputs` is None for none; equal ones have equal digests (None: there are none); `another` says that it
    is to be an instance of its own, whatever runs.
    """

    task: str
    inputs: WireArgument = None
    digest: bytes | None = None
    another: bool = False


class Start(NamedTuple):
    """An instance that is to start, and those that have asked for it, in order; numbers count from 0."""

    number: int
    askers: Sequence[int]
    request: Request


@frozen
class _Queue:
    """What is asked for of a task that can't start yet; `by`: who asked, by digest; `askers`: their tasks."""

    waiting: deque[Request] = field(factory=deque)
    by: dict[bytes | None, list[int]] = field(factory=dict)
    askers: set[str] = field(factory=set)


class Routing:
    """The state of a run whose tasks say what comes next.

    Args:
        flow: What errors call the flow.
        names: The tasks that there are.
        first: What runs first, as instance 0.

    >>> routing = Routing("f", {"split", "part", "join"}, Request("split"))
    >>> part = Request("part", another=True)
    >>> [start.number for start in routing.ended(0, [part, part])]
    [1, 2]
    >>> routing.ended(1, [Request("join")])
    []
    >>> [start.request.task for start in routing.ended(2, [Request("join")])]
    ['join']
    >>> routing.ended(3, []), routing.finals
    ([], {'join': 3})
    """

    def __init__(self, flow: str, names: Collection[str], first: Request) -> None:
        self._flow = flow
        self._names = names
        self._requests: list[Request] = []
        # By task: how many instances run, and of which inputs; those that have failed count, for what
        # would have come of them is still missing.
        self._running: Counter[str] = Counter()
        self._inputs: Counter[tuple[str, bytes | None]] = Counter()
        self._queues: dict[str, _Queue] = {}
        self._finals: dict[str, int] = {}
        self._start((), first)

    def ended(self, number: int, requests: Sequence[Request]) -> list[Start]:
        """An instance has ended well; tell what starts because of it.

        Raises:
            UnknownNameError: It asks for a task that there is not; then it has not ended yet.
        """
        for request in requests:
            if request.task not in self._names:
                raise UnknownNameError(f"flow {self._flow}", "task", request.task, sorted(self._names))
        own = self._requests[number]
        self._leave(own)
        if not requests:
            self._finals[own.task] = number
        started = []
        for request in requests:
            if request.another:
                started.append(self._start((number,), request))
            else:
                self._ask(number, own.task, request)
        return [*started, *self._due()] if self._queues else started

    def skipped(self, number: int) -> list[Start]:
        """An instance has ended without an output, and asks for nothing; tell as `ended`."""
        self._leave(self._requests[number])
        return self._due()

    @property
    def finals(self) -> dict[str, int]:
        """Of each task that asked for nothing, the instance that ended last, by the task's name.

        In the order of their numbers, which does not depend on which of them was quicker.
        """
        return dict(sorted(self._finals.items(), key=lambda pair: pair[1]))

    @property
    def waiting(self) -> list[str]:
        """The tasks that are asked for and can't start yet."""
        return list(self._queues)

    def task_of(self, number: int) -> str:
        """The task of an instance."""
        return self._requests[number].task

    # --- how -------------------------------------------------------------------------------

    def _start(self, askers: Sequence[int], request: Request) -> Start:
        self._requests.append(request)
        self._running[request.task] += 1
        self._inputs[request.task, request.digest] += 1
        return Start(len(self._requests) - 1, askers, request)

    def _leave(self, request: Request) -> None:
        _count_down(self._running, request.task)
        _count_down(self._inputs, (request.task, request.digest))

    def _ask(self, asker: int, asking: str, request: Request) -> None:
        if (request.task, request.digest) in self._inputs:
            return
        queue = self._queues.get(request.task)
        if queue is None:
            queue = self._queues[request.task] = _Queue()
        queue.askers.add(asking)
        by = queue.by.setdefault(request.digest, [])
        if not by:
            queue.waiting.append(request)
        if asker not in by[-1:]:
            by.append(asker)

    def _due(self) -> list[Start]:
        """Start what waits for nothing any more."""
        started = []
        for task in list(self._queues):
            if self._is_free(task):
                started.append(self._take(task))
        while (first := self._first_of_a_circle()) is not None:
            started.append(self._take(first))
        return started

    def _take(self, task: str) -> Start:
        queue = self._queues[task]
        request = queue.waiting.popleft()
        askers = queue.by.pop(request.digest)
        if not queue.waiting:
            del self._queues[task]
        return self._start(askers, request)

    def _is_free(self, task: str) -> bool:
        if task in self._running:
            return False
        return not any(
            asker in self._running or asker in self._queues
            for asker in self._queues[task].askers
            if asker != task
        )

    def _first_of_a_circle(self) -> str | None:
        """Of tasks that wait for each other, and for nothing that runs: the one that was asked for first."""
        if all(
            task in self._running or self._queues[task].askers & self._running.keys() for task in self._queues
        ):
            return None
        behind = {task: self._behind(task) for task in self._queues}
        for task, others in behind.items():
            if others.isdisjoint(self._running) and all(task in behind[other] for other in others):
                return task
        return None

    def _behind(self, task: str) -> set[str]:
        """All that a queued task waits for, near or far, itself too."""
        found = {task}
        stack = [task]
        while stack:
            one = stack.pop()
            if one in self._queues and one not in self._running:
                new = self._queues[one].askers - found
                # Those that have ended, and are not asked for again, hold nothing up.
                new = {asker for asker in new if asker in self._running or asker in self._queues}
                found |= new
                stack += new
        return found


def _count_down(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
