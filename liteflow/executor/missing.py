"""What is told of an item that a value does not have.  (Pure.)

`call[5]` is taken where it is needed: by the attempt that gets it, or by who asks for a run's result.
Loaded when there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from liteflow.errors import NoItemError, shown

_KEY_CHARS = 40
_MOST_KEYS = 5


def no_item(source: str | None, path: Sequence[object], inside: object) -> NoItemError:
    """Return the error that there is no such item.

    Args:
        source: The call whose value it was to be in; None if that is not known.
        path: The keys that were to lead to it, one after the other.
        inside: How far they led: what has not the next one.

    >>> print(no_item("load", (0, "k"), {"a": 1, "b": 2}))
    load[0]['k'] is not there: it would be in a dict with the keys 'a', 'b'; take one that is there
    >>> print(no_item(None, (5,), [1, 2, 3]))
    item [5] of its input is not there: it would be in a list of 3 items; take one that is there
    """
    return NoItemError(source, "".join(f"[{shown(key, _KEY_CHARS)}]" for key in path), _described(inside))


def _described(value: object) -> str:
    kind = type(value).__name__
    kind = f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
    if isinstance(value, dict):
        keys = ", ".join(shown(key, _KEY_CHARS) for key in islice(value, _MOST_KEYS))
        more = ", ..." if len(value) > _MOST_KEYS else ""
        return f"{kind} with the keys {keys}{more}" if value else f"{kind} without keys"
    if isinstance(value, list | tuple | str | bytes):
        return f"{kind} of {len(value)} item{'s' * (len(value) != 1)}"
    return f"{kind}, which has none such"
