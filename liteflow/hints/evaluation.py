"""What does one annotation mean, when it is text, or has text in it?

A name that is not there at run time (imported under TYPE_CHECKING, say) means Any, wherever
it stands: `dict[str, Frame]` still says that it is a dict, and that its keys are text.
"""

from __future__ import annotations

import builtins
import sys
from types import NoneType, SimpleNamespace
from typing import Any, ForwardRef, get_type_hints


def module_names(module: str) -> dict[str, Any]:
    """Return the names of a loaded module."""
    return getattr(sys.modules.get(module), "__dict__", {})


def evaluate(written: Any, globalns: dict[str, Any], localns: dict[str, Any]) -> Any:
    """Return what an annotation means where these names are known; Any if that cannot be said.

    >>> evaluate("dict[str, Frame]", {}, {}), evaluate("see the docs", {}, {})
    (dict[str, typing.Any], typing.Any)
    """
    if isinstance(written, type):
        return written
    holder = SimpleNamespace(__annotations__={"it": written})
    try:
        return get_type_hints(holder, globalns, localns, include_extras=True)["it"]
    except Exception:  # noqa: BLE001  it is the user's expression: it may raise anything
        return _evaluate_what_is_there(written, globalns, localns)


def _evaluate_what_is_there(written: Any, globalns: dict[str, Any], localns: dict[str, Any]) -> Any:
    """Evaluate an annotation of which a part is missing.

    Not by `get_type_hints`: it would write what it found into the user's own ForwardRefs.
    """
    if not isinstance(written, str | ForwardRef):
        return written  # a list["Missing"]: the strings left in it mean Any to all who read it
    text = written if isinstance(written, str) else written.__forward_arg__
    if isinstance(written, ForwardRef):
        globalns = module_names(written.__forward_module__ or "") or globalns
    try:
        found = eval(text, globalns, _Names(localns, globalns))
    except Exception:  # noqa: BLE001  as above
        return Any
    return NoneType if found is None else Any if isinstance(found, str | ForwardRef) else found


class _Names(dict[str, Any]):
    """The local names of an `eval`, where a name that is nowhere else means Any."""

    def __init__(self, names: dict[str, Any], globalns: dict[str, Any]) -> None:
        super().__init__(names)
        self._globals = globalns

    def __missing__(self, name: str) -> Any:
        if name in self._globals or hasattr(builtins, name):
            raise KeyError(name)
        return Any
