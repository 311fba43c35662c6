"""How do words get to the terminal, the pipe or the file that reads us?

Everything that comes from data goes through `visible` first.  A stream that can't show a
character shows its escape; one that is closed or full is no reason for a traceback.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from liteflow.errors import CommandLineError
from liteflow.views.shown import ELLIPSIS, cut, label, visible
from liteflow.views.states import LOOKS, look

# A column is not made narrower than this; where that is too wide, each row gets lines of its own.
NARROWEST = 8

_ANSI = {
    "bold red": "1;31",
    "bold blue": "1;34",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "magenta": "35",
    "cyan": "36",
    "dim": "2",
}


def prepare_streams() -> None:
    """Make stdin, stdout and stderr something that can be used without a second thought.

    A descriptor that came closed is opened on the null device: else the next file that is
    opened, the store say, would become our standard output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _usable(sys.stdout, 1)
    sys.stderr = _usable(sys.stderr, 2)


def _usable(stream: TextIO | None, descriptor: int) -> Any:
    if stream is None:
        return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream


def say(text: str) -> None:
    """Print a text to standard output."""
    print(text)


def complain(text: str) -> None:
    """Print one line to standard error, if there is anybody to read it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        # Nobody reads it; the exit status says it too.
        return


def complain_of_bug(error: Exception) -> None:
    """Print one line on an error that nobody should ever see, with where it was raised."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" at {where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else ""
    said = f"{type(error).__name__}: {label(str(error), 500)}{place}"
    complain(f"liteflow: {said}; this is a bug in liteflow, please report it")


def write_file(path: Path, content: str | bytes, *, overwrite: bool = True) -> None:
    """Write a file that the user has named.

    Raises:
        CommandLineError: It can't be written, or is there and is not to be overwritten.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    shown = label(str(path), 200)
    try:
        with path.open("wb" if overwrite else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise CommandLineError(f"{shown} is there already; give another name, or --force") from None
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CommandLineError(f"can't write {shown}: {said}") from None


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def knows_unicode(encoding: str | None) -> bool:
    """Whether a stream of that encoding can show more than ASCII.

    >>> knows_unicode("utf-8"), knows_unicode("ascii")
    (True, False)
    """
    try:
        f"{ELLIPSIS}✓".encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def coloured(state: str | None) -> str:
    """Return a state's name in its colour if standard output is a terminal that wants colours."""
    name = state if state in LOOKS or state is None else "?"
    code = _ANSI.get(look(state).style)
    if name is None or code is None or not is_terminal(sys.stdout) or os.environ.get("NO_COLOR"):
        return name or ""
    return f"\x1b[{code}m{name}\x1b[0m"


# --- tables --------------------------------------------------------------------------------


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns, as wide as the terminal; in a pipe, as wide as they are.

    A column called `state` is coloured.
    """
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    mark = ELLIPSIS if knows_unicode(sys.stdout.encoding) else "..."
    for line in table([list(header), *map(list, rows)], wide, mark):
        cells = [
            coloured(c.strip()) + _spaces(c) if h == "state" and c.strip() in LOOKS else c for h, c in line
        ]
        say("".join(cells).rstrip())


def _spaces(cell: str) -> str:
    return " " * (len(cell) - len(cell.rstrip()))


def table(rows: list[list[str]], wide: int | None, mark: str = ELLIPSIS) -> list[list[tuple[str, str]]]:
    """Lay rows out in columns; the first row is the header.

    Args:
        rows: Cells, which are made visible here.
        wide: How many columns there are on the terminal; None for no end of them.
        mark: What stands where a cell was cut.

    Returns:
        For each line its pieces, each with the name of its column; joined they are the line.

    >>> ["".join(text for _, text in line) for line in table([["id", "flow"], ["1", "etl"]], None)]
    ['id  flow', '1   etl ']
    """
    shown = [[visible(cell) for cell in row] for row in rows]
    header = shown[0]
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]
    room = None if wide is None else wide - 2 * (len(header) - 1)
    if room is not None and sum(min(of, NARROWEST) for of in widths) > room:
        return _records(header, shown[1:], wide or 0, mark)
    if room is not None:
        widths = narrowed(widths, room)
    return [
        [
            (name, _padded(cell, of, mark) + ("  " if place < len(header) - 1 else ""))
            for place, (name, cell, of) in enumerate(zip(header, row, widths, strict=True))
        ]
        for row in shown
    ]


def narrowed(widths: Sequence[int], room: int) -> list[int]:
    """Return widths that fit the room: the widest columns give way first.

    >>> narrowed([4, 30, 50], 60)
    [4, 28, 28]
    """
    fitting = list(widths)
    while sum(fitting) > room and max(fitting) > NARROWEST:
        fitting[fitting.index(max(fitting))] -= 1
    return fitting


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes.

    >>> width("etl"), width("日本")
    (3, 4)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def _padded(text: str, of: int, mark: str) -> str:
    if width(text) > of:
        kept = of
        # Wide characters take two columns each.
        while kept and width(cut(text, kept, mark)) > of:
            kept -= 1
        text = cut(text, kept, mark)
    return text + " " * (of - width(text))


def _records(
    header: Sequence[str], rows: Sequence[Sequence[str]], wide: int, mark: str
) -> list[list[tuple[str, str]]]:
    lines: list[list[tuple[str, str]]] = []
    for row in rows:
        for name, cell in zip(header, row, strict=True):
            if not cell:
                continue
            room = max(NARROWEST, wide - len(name) - 2)
            lines.append([("", f"{name}: "), (name, _padded(cell, room, mark))])
        lines.append([])
    return lines[:-1]


# --- JSON ----------------------------------------------------------------------------------


def print_json_list(rows: Iterable[Mapping[str, object]]) -> None:
    """Print a JSON array, one row a line, as the rows come."""
    opening = "[\n"
    for row in rows:
        sys.stdout.write(opening + to_json(row))
        opening = ",\n"
    say("[]" if opening == "[\n" else "\n]")


def to_json(value: object, indent: int | None = None) -> str:
    """Return JSON that every reader accepts: ASCII, and null where a number is not finite.

    >>> to_json({"a": float("nan"), "b": "\u202e"})
    '{"a": null, "b": "\\\\u202e"}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False, default=str)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value
