"""The roots of all errors, and what their messages are made with."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice


class LiteflowError(Exception):
    """Whatever liteflow raises on purpose."""


class DefinitionError(LiteflowError):
    """A task, a flow or an expression is wrong; nothing has run yet."""


class RunError(LiteflowError):
    """A run, or an attempt in it, did not end as it should."""


class StoreError(LiteflowError):
    """The store file cannot do what was asked of it."""


def shown(value: object, limit: int = 80) -> str:
    """Return a value's repr for a message: short, and harmless whatever its class does."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  a message about bad input must not fail on it
        return f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def nearest(name: object, known: Iterable[str]) -> list[str]:
    """Return those of `known` that a misspelt name may mean, the likeliest first.

    >>> nearest("retires", ["name", "retries", "timeout"])
    ['retries']
    """
    from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

    # It takes some microseconds for each, and a flow may have a million names.
    some = list(islice(known, 2000))
    return [k for k in some if k.startswith(f"{name}.")][:3] or get_close_matches(str(name), some, n=3)
