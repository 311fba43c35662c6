"""Runs command lines by the hundred, each in a process of its own, within 10 seconds and 600 MB.

    tests --a line of JSON--> template --fork--> python -m liteflow WORDS
          <--exit status-----                    or python SCRIPT

A new interpreter takes a third of a second before it has read a word; a fork of one that has
imported liteflow takes a hundredth.  What depends on how an interpreter starts (its streams'
encoding, say) is tested with real ones, in tests/cli.
"""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10
NOBODY = 65534
MEMORY = 600 * 1024 * 1024


@dataclass(frozen=True)
class Done:
    """How a command line ended: exit status (-n: by signal n), and what it wrote."""

    status: int
    out: str
    err: str


class Program:
    """Call it with words for `liteflow`; `python` runs a script instead."""

    def __enter__(self) -> Program:
        self._template = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_: object) -> None:
        self._template.communicate()
        self._folder.cleanup()

    def __call__(
        self, *words: str | bytes, stdout: str | None = None, powerless: bool = False, **environment: str
    ) -> Done:
        """Run `liteflow WORDS` in the working directory of the test; `powerless`: not as root."""
        return self._ask("liteflow", words, stdout, environment, powerless)

    def python(self, *words: str | bytes) -> Done:
        """Run `python SCRIPT ...` in the working directory of the test."""
        return self._ask("python", words)

    def _ask(
        self,
        what: str,
        words: Any,
        stdout: str | None = None,
        environment: dict[str, str] | None = None,
        powerless: bool = False,
    ) -> Done:
        out, err = (str(Path(self._folder.name, name)) for name in ("out", "err"))
        names = [os.fsdecode(word) for word in words]
        request = {"what": what, "words": names, "folder": str(Path.cwd()), "powerless": powerless}
        request["environment"] = environment or {}
        pipes = self._template
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        print(json.dumps({**request, "out": stdout or out, "err": err}), file=pipes.stdin, flush=True)
        status = int(pipes.stdout.readline())
        said = "" if stdout else Path(out).read_text("utf-8", "surrogateescape")
        return Done(status, said, Path(err).read_text("utf-8", "surrogateescape"))


def serve() -> int:
    """Be the template: fork for each request, and tell how the fork ended."""
    import liteflow.__main__ as door

    _load_what_commands_load(door)
    # The end of each fork would look through all that is loaded here, and so copy it.
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            return _become(request, door)
        answers.write(f"{_status_of(pid)}\n")
        answers.flush()
    return 0


def _load_what_commands_load(door: Any) -> None:
    import liteflow.launch

    assert liteflow.launch
    streams, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), io.StringIO(), io.StringIO()
    sys.argv = ["liteflow", "runs", "--limit", "0"]
    assert door.main() == 2
    sys.stdout, sys.stderr = streams
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _status_of(pid: int) -> int:
    def too_long(*_: object) -> None:
        os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    _, status = os.waitpid(pid, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def _become(request: dict[str, Any], door: Any) -> int:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # Ended like any other program, it would write a core of all that it has.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(request["folder"])
    if request["powerless"] and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.environ.update(request["environment"])
    sys.argv = [request["what"], *request["words"]]
    if request["what"] == "liteflow":
        status: int = door.main()
        return status
    import runpy

    sys.argv = request["words"]
    runpy.run_path(sys.argv[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    # As with `python -m liteflow`: what lies in the folder of this file is not to be found.
    del sys.path[0]
    sys.exit(serve())
