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

    The same word in singular or plural comes before what begins with it, and that before what is spelt alike.

    >>> nearest("retires", ["name", "retries", "timeout"])
    ['retries']
    >>> nearest("retry", ["retry_delay", "retry_on", "retries"])
    ['retries', 'retry_on', 'retry_delay']
    """
    from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

    # It takes some microseconds for each, and a flow may have a million names.
    some, text = list(islice(known, 2000)), str(name)
    arguments = [k for k in some if k.startswith(f"{text}.")]
    if arguments:
        return arguments[:3]
    same = [k for k in some if _singular(k) == _singular(text)]
    begun = [k for k in some if len(text) >= _TELLING and k.startswith(text)]
    return list(dict.fromkeys([*same, *sorted(begun, key=len), *get_close_matches(text, some, n=3)]))[:3]


# With fewer letters a name may begin like any other.
_TELLING = 3


def _singular(word: str) -> str:
    return f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")
