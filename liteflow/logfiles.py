"""Logs as files, beside those in the store: one for each attempt, written while it runs.

    logs/train_1_20261121T083917.123Z.log

    2026-11-21T08:39:17.201456Z stdout | epoch 1
    2026-11-21T08:39:18.004211Z stderr | low on memory
    2026-11-21T08:39:18.310007Z state  | succeeded

Files are for people with `less` and `grep`; the store stays what counts.  So a folder that can't be
made ends a run before it begins, and a disk that is full later ends nothing: it is told at the end.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from liteflow.errors import SettingError

if TYPE_CHECKING:
    from liteflow.engine.observing import Observer

MOST_OPEN = 64
"""So many files are held open; of more, the one that has been silent for longest is closed."""

_LONGEST_NAME = 100
_TRIES = 1000
_ENDS = frozenset({"succeeded", "failed", "retrying", "cancelled", "skipped"})

Written = tuple[str, int, int, str, str]
"""(key, attempt from 1, microseconds since 1970, stream, text with its line end)."""


class LogFiles:
    """An observer that writes log files, and passes what it is told on to another one.

    Args:
        folder: Where they go; made if it is not there.
        inner: The other observer; None: what tasks print is given to `echo`.
        echo: As for the driver.
        now: Unix time in seconds.

    Raises:
        SettingError: The folder can't be made, or not written to.
    """

    def __init__(
        self,
        folder: Path,
        inner: Observer | None,
        echo: Callable[[list[tuple[str, str, str]]], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.problem: str | None = None
        self._folder, self._inner, self._echo, self._now = folder, inner, echo, now
        self._open: OrderedDict[tuple[str, int], TextIO] = OrderedDict()
        self._paths: dict[tuple[str, int], Path] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(folder, error.strerror or str(error)) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _refused(folder, "it can't be written to")

    def written(self, lines: Iterable[Written]) -> None:
        """Write down what attempts have written."""
        for key, attempt, at, stream, text in lines:
            self._write(key, attempt, at / 1e6, stream, text.removesuffix("\n"))
        self._flush()

    def changed(self, changes: Mapping[str, tuple[str, int]]) -> None:
        """Write down how attempts end."""
        for key, (state, attempt) in changes.items():
            if attempt and state in _ENDS:
                self._write(key, attempt, self._now(), "state ", state)
                self._close((key, attempt))
        if self._inner is not None:
            self._inner.changed(changes)

    def close(self) -> None:
        """Close all files."""
        for attempt in list(self._open):
            self._close(attempt)

    # --- what is only passed on ------------------------------------------------------------

    def started(self, run_id: str, flow: str, keys: Sequence[str]) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.started(run_id, flow, keys)

    def resumed(self, kept: Sequence[str], again: Mapping[str, str]) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.resumed(kept, again)

    def grew(self, keys: Sequence[str]) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.grew(keys)

    def lines(self, lines: list[tuple[str, str, str]]) -> None:
        """Pass it on, or print it."""
        if self._inner is not None:
            self._inner.lines(lines)
        else:
            self._echo(lines)

    def noted(self, lines: list[tuple[str, str, str]]) -> None:
        """Pass it on to whom it concerns."""
        note = getattr(self._inner, "noted", None)
        if note is not None:
            note(lines)

    def ended(self, state: str) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.ended(state)

    # --- how -------------------------------------------------------------------------------

    def _write(self, key: str, attempt: int, at: float, stream: str, text: str) -> None:
        if self.problem is not None:
            return
        try:
            self._file(key, attempt).write(f"{_stamp(at)} {stream:<6} | {text}\n")
        except OSError as error:
            self._give_up(error)

    def _file(self, key: str, attempt: int) -> TextIO:
        found = self._open.pop((key, attempt), None)
        if found is None:
            path = self._paths.get((key, attempt))
            found = self._made(key, attempt) if path is None else _opened(path, "a")
        self._open[(key, attempt)] = found
        if len(self._open) > MOST_OPEN:
            _, silent = self._open.popitem(last=False)
            silent.close()
        return found

    def _made(self, key: str, attempt: int) -> TextIO:
        began = datetime.fromtimestamp(self._now(), UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        stem = f"{file_name(key)}_{attempt}_{began}Z"
        for number in range(1, _TRIES):
            path = self._folder / f"{stem}{f'-{number}' if number > 1 else ''}.log"
            try:
                # Never one that is there: it may be another run's, or a link to who knows where.
                made = _opened(path, "x")
            except FileExistsError:
                continue
            self._paths[(key, attempt)] = path
            return made
        raise FileExistsError(f"{stem}.log is there {_TRIES} times")

    def _close(self, attempt: tuple[str, int]) -> None:
        self._paths.pop(attempt, None)
        found = self._open.pop(attempt, None)
        try:
            if found is not None:
                found.close()
        except OSError as error:
            self._give_up(error)

    def _flush(self) -> None:
        try:
            for file in self._open.values():
                file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self.problem is None:
            self.problem = (
                f"log files in {self._folder} end here: {error.strerror or error}; the store has all"
            )


def _opened(path: Path, mode: Literal["a", "x"]) -> TextIO:
    return path.open(mode, encoding="utf-8", errors="backslashreplace", newline="\n")


def file_name(key: str) -> str:
    """Return the part of a file's name that says whose log it is; it never leads out of the folder.

    Keys that differ have names that differ.

    >>> file_name("double[3]"), file_name("fetch data")
    ('double[3]', 'fetch_data-74993179')
    """
    plain = re.sub(r"[^\w.\-\[\]]", "_", key, flags=re.ASCII)[:_LONGEST_NAME]
    plain = "_" + plain[1:] if plain[:1] in (".", "-") else plain
    if plain == key:
        return plain
    return f"{plain}-{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _refused(folder: Path, problem: str) -> SettingError:
    return SettingError("a run", "log_dir", str(folder), f"a folder for log files ({problem})")
