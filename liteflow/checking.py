"""Does what flows to each parameter fit it?

Every required parameter has an argument, every literal argument is of the declared type, and
so is what each edge brings; inside lists, tuples, dicts and sets too.  What cannot be
decided is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args

from liteflow import hints
from liteflow.dag import ATOMS
from liteflow.errors import ArgumentError, EdgeTypeError
from liteflow.lazy import Call, Lazy, path_of, place
from liteflow.survey import Survey, single


def check(survey: Survey, keys: Mapping[Call[Any], str]) -> None:
    """Check the arguments of all calls.

    Raises:
        ArgumentError: A required argument is missing, or a literal one does not fit.
        EdgeTypeError: The result of a call does not fit where it goes.
    """
    checker = _Checker(keys)
    for call in survey.calls:
        for name in survey.missing(call):
            problem = "is missing; give it in the call, feed it with >>, or run with "
            problem += f"inputs={{{f'{keys[call]}.{name}'!r}: ...}}"
            raise ArgumentError(f"{keys[call]}()", name, problem, place(call))
        signature = call._task.signature
        typed = signature.typed
        if typed:
            type_of = typed.get if signature.extra is None else signature.type_of
            for name, value in single(call, survey.given.get(call)):
                wanted = type_of(name)
                if wanted is not None and wanted is not Any and type(value) is not wanted:
                    checker.argument(call, name, value, wanted)


class _Checker:
    def __init__(self, keys: Mapping[Call[Any], str]) -> None:
        self._keys = keys
        # Pairs of ids of a task or an argument and of an annotation; the calls keep them alive.
        self._fine: set[tuple[int, int]] = set()

    def argument(self, call: Call[Any], name: str, value: Any, wanted: Any) -> None:
        if type(value) in ATOMS:
            self._literal(call, name, value, wanted)
            return
        # The same few tasks, and the same objects, meet the same parameters again and again.
        pair = (id(value._task if type(value) is Call else value), id(wanted))
        if pair in self._fine:
            return
        if isinstance(value, Lazy):
            given = value._type()
            if not hints.fits(given, wanted):
                raise self._misfit(value, call, name, hints.show(wanted), _none_apart(given, wanted))
        else:
            self._literal(call, name, value, wanted)
        self._fine.add(pair)

    def _literal(self, call: Call[Any], name: str, value: Any, wanted: Any) -> None:
        problem = problem_of(value, wanted)
        if problem is None:
            return
        asked = _asked_last(value, wanted)
        if asked is not None:
            # The phrase is "PATH gives TYPE, not TYPE": of the lazy value that was asked last.
            path, found, takes = problem.partition(f"gives {hints.show(asked._type())}, not ")
            if found:
                raise self._misfit(asked, call, name + path.strip(), takes)
        raise ArgumentError(f"{self._keys[call]}()", name, problem, place(call))

    def _misfit(
        self, source: Lazy[Any], call: Call[Any], name: str, takes: str, none_apart: bool = False
    ) -> EdgeTypeError:
        of, to = f"{self._keys[source._call()]}(){path_of(source)}", f"{self._keys[call]}()"
        remedy = "change one annotation, or put a task between them"
        if none_apart:
            remedy = f"it may be None, so let {name} be {takes} | None, or put a task between them"
        return EdgeTypeError(of, hints.show(source._type()), to, name, takes, remedy, place(call))


def _none_apart(given: Any, wanted: Any) -> bool:
    """Whether only the None of an `X | None` is in the way."""
    parts = get_args(given)
    return NoneType in parts and all(hints.fits(t, wanted) for t in parts if t is not NoneType)


def problem_of(value: Any, wanted: Any) -> str | None:
    """Say what is wrong with a value that may hold lazy ones, as `hints.problem` does."""
    if type(value) is list and set(map(type, value)) == {Call}:
        # All items of a list are asked the same, so one call of each task will do.
        one_each = {id(item._task): item for item in value}
        if hints.problem(list(one_each.values()), wanted, _declared_type) is None:
            return None
    return hints.problem(value, wanted, _declared_type)


def _asked_last(value: Any, wanted: Any) -> Lazy[Any] | None:
    """The lazy value inside `value` at which the search for a problem ended."""
    asked: list[Lazy[Any]] = []

    def lazy_type(part: object) -> Any:
        if isinstance(part, Lazy):
            asked[:] = [part]
        return _declared_type(part)

    hints.problem(value, wanted, lazy_type)
    return asked[0] if asked else None


def _declared_type(part: object) -> Any:
    """Return the declared type of a lazy value, None for anything else."""
    return part._type() if isinstance(part, Lazy) else None
