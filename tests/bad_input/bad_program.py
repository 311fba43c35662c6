"""The command line, and scripts, in the working directory of a test: within 10 seconds and 600 MB."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.forked import Forked, Request

SECONDS = 10
MEMORY = 600 * 1024 * 1024


@dataclass(frozen=True)
class Done:
    """How a command line ended: exit status (-n: by signal n), and what it wrote."""

    status: int
    out: str
    err: str


class Program:
    """Call it with words for `liteflow`; `python` runs a script instead."""

    def __call__(
        self, *words: str | bytes, stdout: str | None = None, powerless: bool = False, **environment: str
    ) -> Done:
        """Run `liteflow WORDS`, its output to the path `stdout` if there is one; `powerless`: not as root."""
        if stdout is None:
            return _done("liteflow", words, environment, powerless=powerless)
        with Path(stdout).open("wb") as file:
            return _done("liteflow", words, environment, file.fileno(), powerless=powerless)

    def python(self, *words: str | bytes) -> Done:
        """Run `python SCRIPT ...`."""
        return _done("script", words, {})


def _done(
    what: str, words: Any, environment: dict[str, str], stdout: int | None = None, **options: bool
) -> Done:
    names = tuple(os.fsdecode(word) for word in words)
    request = Request(what, names, str(Path.cwd()), {**os.environ, **environment}, MEMORY, **options)
    process = Forked(request, stdout=stdout)
    try:
        out, err = process.communicate(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return Done(process.wait(), out, err)
