"""The program as its users meet it: in a process of its own, in a folder of its own."""

import os
import subprocess
import sys

from support.forked import Forked, Request

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


def program(folder):
    """Calls the program in a new interpreter, for what depends on how one starts."""

    def call(*words, stdin="", env=(), **options):
        return harmless(
            subprocess.run(
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
        )

    return call


def forked_program(folder):
    """Calls the program as `program` does, with nothing to read, ten times as fast."""

    def call(*words, env=()):
        process = Forked(Request("liteflow", words, str(folder), environment(**dict(env))))
        out, err = process.communicate(60)
        return harmless(subprocess.CompletedProcess(words, process.wait(), out, err))

    return call


def harmless(done):
    """Its output must never hold a traceback of ours."""
    assert "bug in liteflow" not in done.stderr, done.stderr
    return done
