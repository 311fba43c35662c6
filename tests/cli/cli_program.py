"""The program as its users meet it: in a process of its own, in a folder of its own."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = """
from liteflow import flow, task

@task
def extract(n: int) -> list[int]:
    print("extracting", n)
    return list(range(n))

@task
def double(xs: list[int], factor: float = 2.0) -> list[float]:
    return [factor * x for x in xs]

@task
def load(values: list[float], table: str) -> str:
    return f"{table}: {sum(values)}"

@flow
def etl(n: int = 4, table: str = "sales"):
    return extract(n) >> double() >> load(table=table)

if __name__ == "__main__":
    raise SystemExit("what only a program does was done")
"""

FAILING = """
import sys
from liteflow import flow, task

@task
def fine() -> int:
    return 1

@task
def broken(x: int) -> int:
    print("about to fail \x1b[2J✗", file=sys.stderr)
    raise ValueError("no such \\x1b[31mthing\\u202e")

@task
def after(x: int) -> int:
    return x

@flow
def failing():
    return fine() >> broken() >> after()
"""


def environment(**changes):
    """The tests' environment, without what would change how the program looks at things."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("LITEFLOW_DB", "COLUMNS", "NO_COLOR", "PYTHONIOENCODING")
    }
    return {**kept, **changes}


class Warm:
    """Carries out command lines in forks of a process that has the program loaded (warm_program.py)."""

    def __init__(self):
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, str(Path(__file__).with_name("warm_program.py")), str(theirs.fileno())]
        self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()], env=environment())
        theirs.close()
        self._ours.settimeout(60)

    def __call__(self, folder, words, stdin):
        with (
            tempfile.TemporaryFile() as said,
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as err,
        ):
            given.write(stdin.encode())
            given.seek(0)
            request = {"folder": str(folder), "words": words, "environment": environment()}
            streams = [given.fileno(), said.fileno(), err.fileno()]
            socket.send_fds(self._ours, [json.dumps(request).encode()], streams)
            code = json.loads(self._ours.recv(100))
            for stream in (said, err):
                stream.seek(0)
            texts = [stream.read().decode("utf-8", "surrogateescape") for stream in (said, err)]
            return subprocess.CompletedProcess(words, code, *texts)

    def close(self):
        self._ours.close()
        self._process.wait()


def program(folder, warm=None):
    """Return a function that calls the program in a folder; plain calls go to `warm` if there is one."""

    def call(*words, stdin="", env=(), **options):
        if warm is not None and not env and not options:
            done = warm(folder, list(map(str, words)), stdin)
        else:
            done = started(folder, words, stdin, env, options)
        assert "bug in liteflow" not in done.stderr, done.stderr
        return done

    return call


def started(folder, words, stdin, env, options):
    return subprocess.run(
        [sys.executable, "-m", "liteflow", *words],
        cwd=folder,
        env=environment(**dict(env)),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=60,
        check=False,
        **options,
    )
