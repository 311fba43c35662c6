"""How is a text that someone else wrote shown, so that it can do nothing but be read?

Names, previews and log lines come from data: from the net, from a file of another user.
A terminal obeys escape sequences, and a right-to-left override makes one name look like
another.  So every character that Python does not call printable is shown as its escape,
as `repr` does it; whoever prints to a terminal, a page or a drawing comes here first.
"""

from __future__ import annotations

ELLIPSIS = "…"


def visible(text: str, keep: str = "") -> str:
    r"""Return the text with its control, bidi, invisible and broken characters as escapes.

    Args:
        text: Anything, lone surrogates and control characters included.
        keep: Characters to leave as they are, such as a tab in a log line.

    >>> print(visible("a\x1b[31mb"), visible("abc\u202edef"))
    a\x1b[31mb abc\u202edef
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def cut(text: str, limit: int, mark: str = ELLIPSIS) -> str:
    """Return the text with at most `limit` characters; `mark` stands where it was cut.

    >>> cut("a long name", 7)
    'a long…'
    """
    if len(text) <= limit:
        return text
    return text[: max(0, limit - len(mark))] + mark


def label(text: str, limit: int = 60) -> str:
    r"""Return the text for a place with room for `limit` characters: visible, and cut.

    It looks only at as much of the text as it can show, so a text of megabytes costs nothing.

    >>> print(label("two\nlines"))
    two\nlines
    """
    return cut(visible(text[: limit + 1]), limit)


def counted(number: int, what: str) -> str:
    """Say how many there are.

    >>> counted(1, "task"), counted(0, "task")
    ('1 task', '0 tasks')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def _escape(char: str) -> str:
    code = ord(char)
    short = {9: r"\t", 10: r"\n", 13: r"\r"}.get(code)
    if short is not None:
        return short
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
