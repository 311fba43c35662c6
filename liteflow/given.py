"""What a run was given: the arguments that it begins with, and goes on with.

run(path="a.csv", inputs={...}) --pack--> bytes in the store --unpack--> the same at a resume
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from liteflow import hints, pickling
from liteflow.errors import NotPicklableError
from liteflow.pickling import Definitions


@frozen
class Given:
    """The arguments of a run.

    Attributes:
        values: The flow's parameters that were given, by name.
        overrides: Arguments of calls, by `key.parameter`.
        complete: All parameters of the flow, those that were not given with the defaults of
            that day; empty before the flow is compiled.
        withheld: Names of secrets among them, which are not kept.
    """

    values: Mapping[str, Any]
    overrides: Mapping[str, Any]
    complete: Mapping[str, Any] = {}
    withheld: frozenset[str] = frozenset()

    def pack(self, definitions: Definitions) -> bytes | None:
        """Return it as bytes; None if an argument can't be kept, so that only its previews are.

        A flow may be given anything, also what goes to no task as it is.  Of what was not given, a
        default that can't be kept is left out: it will be there again.  Of secrets, that they were
        given is all that is kept.
        """
        values, overrides, complete = map(self._open, (self.values, self.overrides, self.complete))
        withheld = frozenset(self.withheld.intersection([*self.values, *self.overrides]))
        # A run without any is kept as it was before there were secrets.
        rest = (withheld,) if withheld else ()
        whole = _packed((values, overrides, complete, *rest), definitions)
        if whole is not None:
            return whole
        complete = {
            name: value
            for name, value in complete.items()
            if name in values or _packed(value, Definitions()) is not None
        }
        return _packed((values, overrides, complete, *rest), definitions)

    def _open(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if name not in self.withheld}

    @staticmethod
    def unpack(data: bytes) -> Given:
        """The inverse of `pack`; this runs code (it is a pickle).

        >>> Given.unpack(Given({"x": 1}, {}).pack(Definitions())).values
        {'x': 1}
        """
        return Given(*pickling.loads(data))

    def again(self) -> Given:
        """What a resume of the run is given: the same, also where a default has changed since."""
        return Given(self.complete or self.values, self.overrides, self.complete, self.withheld)

    def with_secrets(self, given: Given) -> tuple[Given, list[str]]:
        """Return the same with secrets that are given now, and the names of those that are lacking."""
        secret = {name for name in given.values if name in self.withheld or name not in self.complete}
        now = {name: given.values[name] for name in secret}
        overrides = {name: given.overrides[name] for name in self.withheld.intersection(given.overrides)}
        whole = Given(
            {**self.values, **now},
            {**self.overrides, **overrides},
            {**self.complete, **now},
            self.withheld,
        )
        return whole, sorted(self.withheld.difference(now, overrides))

    def difference(self, other: Given) -> str | None:
        """Say in which argument the two differ, but for secrets; None if they are the same."""
        secret = self.withheld.union(n for n, value in other.complete.items() if hints.is_secret(type(value)))
        for name in [n for n in dict.fromkeys([*self.complete, *other.complete]) if n not in secret]:
            if _differ(self.complete, other.complete, name) and _differ(self.values, other.values, name):
                return name
        for name in [n for n in dict.fromkeys([*self.overrides, *other.overrides]) if n not in secret]:
            if _differ(self.overrides, other.overrides, name):
                return name
        return None


def _packed(facts: object, definitions: Definitions) -> bytes | None:
    try:
        return pickling.dumps(facts, definitions).data
    except NotPicklableError:
        return None


_MISSING: Any = object()


def is_same(one: object, other: object) -> bool:
    """Whether two values are the same, as far as can be told.

    >>> is_same([1, {"a": 2.0}], [1, {"a": 2.0}]), is_same(1, True)
    (True, False)
    """
    # Start-up: only who asks for a run again is asked whether it is the same.
    from liteflow.fingerprint import UnstableValueError, digest_of  # noqa: PLC0415

    try:
        return digest_of(one) == digest_of(other)
    except UnstableValueError:
        # Its own notion of equality has to do.
        return bool(one == other)


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    first, second = one.get(name, _MISSING), other.get(name, _MISSING)
    if first is _MISSING or second is _MISSING:
        return first is not second
    return not is_same(first, second)
