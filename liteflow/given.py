"""What a run was given: the arguments that it begins with, and goes on with.

run(path="a.csv", inputs={...}) --pack--> bytes in the store --unpack--> the same at a resume
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from liteflow import pickling
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
    """

    values: Mapping[str, Any]
    overrides: Mapping[str, Any]
    complete: Mapping[str, Any] = {}

    def pack(self, definitions: Definitions) -> bytes | None:
        """Return it as bytes; None if an argument can't be kept, so that only its previews are.

        A flow may be given anything, also what goes to no task as it is.  Of what was not given, a
        default that can't be kept is left out: it will be there again.
        """
        whole = _packed((dict(self.values), dict(self.overrides), dict(self.complete)), definitions)
        if whole is not None:
            return whole
        complete = {
            name: value
            for name, value in self.complete.items()
            if name in self.values or _packed(value, Definitions()) is not None
        }
        return _packed((dict(self.values), dict(self.overrides), complete), definitions)

    @staticmethod
    def unpack(data: bytes) -> Given:
        """The inverse of `pack`; this runs code (it is a pickle).

        >>> Given.unpack(Given({"x": 1}, {}).pack(Definitions())).values
        {'x': 1}
        """
        return Given(*pickling.loads(data))

    def again(self) -> Given:
        """What a resume of the run is given: the same, also where a default has changed since."""
        return Given(self.complete or self.values, self.overrides, self.complete)

    def difference(self, other: Given) -> str | None:
        """Say in which argument the two differ; None if they are the same."""
        for name in dict.fromkeys([*self.complete, *other.complete]):
            if _differ(self.complete, other.complete, name) and _differ(self.values, other.values, name):
                return name
        for name in dict.fromkeys([*self.overrides, *other.overrides]):
            if _differ(self.overrides, other.overrides, name):
                return name
        return None


def _packed(facts: object, definitions: Definitions) -> bytes | None:
    try:
        return pickling.dumps(facts, definitions).data
    except NotPicklableError:
        return None


_MISSING: Any = object()


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    # Start-up: only who asks for a run again is asked whether it is the same.
    from liteflow.fingerprint import UnstableValueError, digest_of  # noqa: PLC0415

    first, second = one.get(name, _MISSING), other.get(name, _MISSING)
    if first is _MISSING or second is _MISSING:
        return first is not second
    try:
        return digest_of(first) != digest_of(second)
    except UnstableValueError:
        # Its own notion of equality has to do.
        return not bool(first == second)
