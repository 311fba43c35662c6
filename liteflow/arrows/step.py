"""What a worker does for a step: the function with what comes in, and what it gives made fit to flow.

    input --> function(input, parameters) --> None -> {}, a tuple -> a list

And what has to be looked at where the engine can't: whether a guard matches, what a list's items are.

No attrs here: workers import this, and start sooner without.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from liteflow import xcom
from liteflow.arrows.values import items_of, returned


class StepFunction:
    """A function as a step calls it.

    Args:
        function: The user's.
        takes_input: Whether it has a parameter for what comes in.
    """

    def __init__(self, function: Callable[..., Any], takes_input: bool) -> None:
        # By this name its signature, annotations and code are found.
        self.__wrapped__ = function
        self.takes_input = takes_input

    @property
    def keeps_time(self) -> bool:
        """Whether the function ends by itself when its time is over, also where nobody could end it."""
        return getattr(self.__wrapped__, "keeps_time", False) is True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return returned(self.__wrapped__(*self.given(args), **kwargs))

    def given(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments by position: what comes in is the first."""
        return (returned(args[0]), *args[1:]) if self.takes_input and args else args


class AsyncStepFunction(StepFunction):
    """The same of a coroutine function."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and wait for its end."""
        return returned(await self.__wrapped__(*self.given(args), **kwargs))


class StreamingStepFunction(StepFunction):
    """The same of a generator function: what it yields are chunks, what it returns flows on."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and give its chunks."""
        return returned((yield from self.__wrapped__(*self.given(args), **kwargs)))


class AsyncStreamingStepFunction(StepFunction):
    """The same of an asynchronous one, which returns nothing."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and give its chunks."""
        async for chunk in self.__wrapped__(*self.given(args), **kwargs):
            yield chunk


def step_function(function: Callable[..., Any], takes_input: bool) -> StepFunction:
    """The function of a step."""
    call = getattr(type(function), "__call__", None)  # noqa: B004  the function is wanted, not whether
    kinds: tuple[tuple[Callable[[Any], bool], type[StepFunction]], ...] = (
        (inspect.iscoroutinefunction, AsyncStepFunction),
        (inspect.isgeneratorfunction, StreamingStepFunction),
        (inspect.isasyncgenfunction, AsyncStreamingStepFunction),
    )
    made = (kind for is_one, kind in kinds if is_one(function) or is_one(call))
    return next(made, StepFunction)(function, takes_input)


def look(value: Any, guard: str) -> bool:
    """Whether a guard matches a value.

    >>> look({"n": 2}, "$[?(@.n > 1)]")
    True
    """
    # Start-up: workers import this module, and few of them look at a guard.
    from liteflow.arrows.jsonpath import matches, read_path  # noqa: PLC0415

    return matches(read_path(guard), value)


def take_apart(value: Any) -> Any:
    """The items that a `*` step runs for: each by itself, and its JSON where that is short."""
    from liteflow.growth import Items  # noqa: PLC0415  as above

    items = items_of(returned(value))
    previews = [xcom.preview_of(item) for item in items]
    return Items([items, [text if exact else None for text, exact in previews]])
