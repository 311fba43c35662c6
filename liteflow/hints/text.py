"""A type as the user wrote it, and a value in a few characters."""

from __future__ import annotations

from enum import Enum
from types import NoneType
from typing import Annotated, Any, ForwardRef, Literal, get_args, get_origin

from liteflow.hints.bases import is_unpacked
from liteflow.hints.forms import is_union

_DEEPEST = 8
_LONGEST = 60
_PLAIN = frozenset({int, float, complex, str, bytes, bool, NoneType})


def show(hint: Any, *, modules: bool = False) -> str:
    """Say a type as the user wrote it.

    Args:
        hint: As annotated.
        modules: Name the modules of classes as well, to tell two of one name apart.

    >>> from collections.abc import Sequence
    >>> from typing import Optional
    >>> show(Sequence[list[int]]), show(Optional[int]), show(None)
    ('Sequence[list[int]]', 'int | None', 'None')
    """
    return _show(hint, modules, _DEEPEST)


def _show(hint: Any, modules: bool, depth: int) -> str:  # noqa: PLR0911  a table of cases
    if depth == 0:
        return "..."
    if hint is None or hint is NoneType:
        return "None"
    if hint is ...:
        return "..."
    if isinstance(hint, str):
        return hint
    if isinstance(hint, ForwardRef):
        return hint.__forward_arg__
    parts = hint if isinstance(hint, list | tuple) else get_args(hint)
    if get_origin(hint) is Literal:
        return f"Literal[{', '.join(preview(value) or '...' for value in parts)}]"
    if get_origin(hint) is Annotated:
        return _show(parts[0], modules, depth)
    texts = [_show(part, modules, depth - 1) for part in parts]
    if isinstance(hint, list | tuple):
        return f"[{', '.join(texts)}]"
    if is_union(hint):
        return " | ".join(texts)
    name = _name(get_origin(hint) or hint, modules)
    if get_origin(hint) is tuple and hasattr(hint, "__args__") and not texts:
        texts = ["()"]
    star = "*" if is_unpacked(hint) else ""
    if star and name == "Unpack":
        return star + texts[0]
    return f"{star}{name}[{', '.join(texts)}]" if texts else star + name


def _name(thing: Any, modules: bool) -> str:
    names = (getattr(thing, attribute, None) for attribute in ("__qualname__", "__name__", "_name"))
    name = next((name for name in names if isinstance(name, str)), None)
    if name is None and type(thing).__module__ == "typing":
        return repr(thing)
    if name is None:  # no type at all
        return preview(thing) or _name(type(thing), modules)
    module = getattr(thing, "__module__", None)
    if modules and isinstance(module, str) and module not in ("builtins", "typing"):
        return f"{module}.{name}"
    return name.rpartition("<locals>.")[2]


def preview(value: object) -> str | None:
    """Show a plain value, in at most some sixty characters; None if it is not plain.

    No code but Python's own runs for it: the `repr` of others may be slow, huge, or fail.

    >>> preview("x" * 1000), preview(None), preview([])
    ("'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'", 'None', None)
    """
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value._name_}"
    if type(value) not in _PLAIN:
        return None
    if isinstance(value, str | bytes) and len(value) > _LONGEST:
        cut = repr(value[:_LONGEST])
        return f"{cut[:-1][:_LONGEST]}...{cut[-1]}"
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        return f"an int of {value.bit_length()} bits"
    return repr(value)


def describe(value: object, *, modules: bool = False) -> str:
    """Say what a value is, so that it can stand after "is".

    >>> describe(5), describe(None), describe(int), describe([1])
    ('5 (int)', 'None', 'the class int', 'a list')
    """
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {show(value, modules=modules)}"
    kind = show(type(value), modules=modules)
    shown = preview(value)
    if shown is not None:
        return f"{shown} ({kind})"
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
