"""What may be a name.

Names of tasks, of task instances and of flows are shown on terminals, stored as text and
made part of pictures, so what could deceive a reader or break a line is refused here, once.
"""

from __future__ import annotations

from liteflow.errors import SettingError

LONGEST_NAME = 200

# U+061C, U+200E/F, U+202A-E, U+2066-9: they make a terminal show other text than there is.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_RULE = f"1 to {LONGEST_NAME} characters without '/', control or direction characters"


def checked_name(name: object, what: str, setting: str = "name") -> str:
    """Return a name in normal form (NFC), so that two names that look alike are one.

    Args:
        name: What the user gave.
        what: What the name is for, as an error is to call it: "a task", "a flow".
        setting: What it was given as.

    Raises:
        SettingError: It is no text, or no text that can be a name.

    >>> checked_name("cafe\\u0301", "a task")
    'café'
    """
    if not isinstance(name, str):
        raise SettingError(what, setting, name, f"text: {_RULE}")
    if not name.isascii():
        # unicodedata is a library of its own to load, and few need it.
        from unicodedata import normalize  # noqa: PLC0415

        name = normalize("NFC", name)
    if not name.strip() or len(name) > LONGEST_NAME or "/" in name or _deceives(name):
        raise SettingError(what, setting, name, _RULE)
    return name


def _deceives(name: str) -> bool:
    if name.isascii():
        return not name.isprintable()
    from unicodedata import category  # noqa: PLC0415

    # Cc control, Cs lone surrogate (no valid text), Zl and Zp line and paragraph separators.
    return any(c in _BIDI or category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
