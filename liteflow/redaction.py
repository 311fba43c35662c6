"""Values whose names say that they are secrets are not shown: not in a plan, not in the record of a run.

What a task prints or returns is not looked at here: see secret.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

_NAME = re.compile(
    r"pass(word|wd|phrase)?(?![a-z])|secret|token|api[-_]?key|credential|authorization|private[-_]?key",
    re.IGNORECASE,
)
# Source: RFC 3986, 3.2.1, user information: what stands between the first colon and the @.
_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")
# A nest that is deeper than this is no options.
_DEEPEST = 20
# Nobody is shown more of a list.
_MOST_ITEMS = 1000


def is_secret(name: str) -> bool:
    """Whether a name says that what it stands for is a secret.

    >>> is_secret("API_TOKEN"), is_secret("db-password"), is_secret("passenger")
    (True, True, False)
    """
    return _NAME.search(name) is not None


def redacted(name: str, value: Any, depth: int = 0) -> Any:
    """Return a value without what is a secret by its name, its own or one deeper in it.

    >>> redacted("db", {"user": "ada", "password": "hunter2", "url": "pg://ada:hunter2@host"})
    {'user': 'ada', 'password': '***', 'url': 'pg://ada:***@host'}
    """
    named = is_secret(name) and not isinstance(value, Mapping | list | tuple)
    # Or it says so itself, as the arguments of secret parameters do.
    if named or getattr(type(value), "_is_secret", False) is True:
        return HIDDEN
    if isinstance(value, str):
        return _IN_ADDRESS.sub(rf"\1{HIDDEN}", value) if "://" in value else value
    if depth > _DEEPEST:
        return value
    # Of its own kind alone: another class may not be made of what it holds.
    if type(value) is dict:
        return {key: redacted(str(key), item, depth + 1) for key, item in value.items()}
    if type(value) in (list, tuple):
        items = [redacted(name, item, depth + 1) for item in value[:_MOST_ITEMS]]
        same = all(new is old for new, old in zip(items, value, strict=False))
        return value if same else [*items, *value[_MOST_ITEMS:]]
    return value
