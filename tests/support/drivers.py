"""Whole programs that drive runs: started, killed, started again, each a process of its own.

    folder/flow.py --python, or liteflow--> driver --> folder/liteflow.db
                                              +-----> folder/starts/NAME: a line for each start of a task

What a store holds is read as any program would, through its views.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from support.forked import Forked, Request

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "LITEFLOW_TEST_MARK"

NOTING = """
import os, sys, time
from pathlib import Path
from liteflow import Flow, flow, task

STARTS = Path({starts!r})

def note(name):
    "Tell that a task starts: in one write, so that a kill leaves a whole line or none."
    with open(STARTS / str(name), "ab", buffering=0) as file:
        file.write(b"%d\\n" % os.getpid())
"""


class Folder:
    """A folder with a script in it that drives runs; `note(name)` in a task notes that it starts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = path / "liteflow.db"
        self.started: list[subprocess.Popen[str]] = []
        (path / "starts").mkdir()

    def write(self, source: str, name: str = "flow.py") -> Path:
        """Write a script, or write it anew; `note`, `task`, `flow`, `os`, `time`, `Path` are there."""
        file = self.path / name
        file.write_text(NOTING.format(starts=str(self.path / "starts")) + source)
        return file

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program here, marked, with its output caught and nothing to read."""
        env = environment(self.path) | options.pop("env", {})
        usual = {"cwd": self.path, "stdin": subprocess.DEVNULL, "text": True}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process: subprocess.Popen[str] = subprocess.Popen(command, env=env, **usual | pipes | options)
        self.started.append(process)
        return process

    def python(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start Python on a script, or what else it takes."""
        return self.start([sys.executable, *words], **options)

    def script(self, *words: str) -> subprocess.Popen[str]:
        """Start a script as `python` does, but forked of a process that has loaded liteflow."""
        process: Any = Forked(Request("script", words, str(self.path), environment(self.path)))
        self.started.append(process)
        return process

    def liteflow(
        self, *words: str, cwd: Path | None = None, own_session: bool = False
    ) -> subprocess.Popen[str]:
        """Start the command line, forked."""
        folder, marked = str(cwd or self.path), environment(self.path)
        process: Any = Forked(Request("liteflow", words, folder, marked, own_session=own_session))
        self.started.append(process)
        return process

    def new_liteflow(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command line in a new interpreter, for what depends on how one starts."""
        return self.start([sys.executable, "-m", "liteflow", *words], **options)

    def close(self) -> None:
        """End what still runs."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def starts(self) -> dict[str, int]:
        """How often each task has started."""
        counts = {path.name: len(path.read_bytes().splitlines()) for path in (self.path / "starts").iterdir()}
        # The file is there a moment before its first line is; a kill between them leaves it empty.
        return {name: count for name, count in counts.items() if count}

    def query(self, text: str, *values: object) -> list[Any]:
        """Ask the store, read-only; nothing where there is none yet."""
        return query(self.db, text, *values)

    def states(self) -> dict[str, str]:
        """The state of each task instance of the latest run."""
        last = "SELECT id FROM runs ORDER BY created_at DESC LIMIT 1"
        return dict(self.query(f"SELECT key, state FROM tasks WHERE run_id = ({last})"))

    def run_state(self) -> str:
        """The state of the latest run."""
        return str(self.query("SELECT state FROM runs ORDER BY created_at DESC LIMIT 1")[0][0])

    def left(self) -> list[int]:
        """Which processes of ours still live, our own children that have ended not among them."""
        return marked(self.path)


def environment(mark: Path) -> dict[str, str]:
    """An environment that finds liteflow, and names no store."""
    kept = {k: v for k, v in os.environ.items() if k not in ("LITEFLOW_DB", "PYTHONHASHSEED")}
    return kept | {"PYTHONPATH": str(ROOT), MARK: str(mark)}


def ended(process: subprocess.Popen[str], within: float = 60.0) -> tuple[int, str, str]:
    """Wait for a process; give its exit status (-n: by signal n) and what it wrote."""
    out, err = process.communicate(timeout=within)
    return process.returncode, out, err


def done(process: subprocess.Popen[str], within: float = 60.0) -> str:
    """Wait for a process that must succeed; give what it wrote to standard output."""
    status, out, err = ended(process, within)
    assert status == 0, f"exit status {status}:\n{out}\n{err}"
    return out


def until(holds: Callable[[], Any], within: float = 20.0) -> Any:
    """Wait for something that happens in another process; give what `holds` gives."""
    limit = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < limit, "it does not come to this"
        time.sleep(0.002)
    return found


def freeze(process: subprocess.Popen[str]) -> None:
    """Stop a process, and wait until it stands still."""
    process.send_signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def kill(process: subprocess.Popen[str]) -> None:
    """End a process as nothing can prevent."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def query(db: Path, text: str, *values: object) -> list[Any]:
    """Ask a store, read-only; nothing where there is none yet, or nothing in it."""
    if not db.exists() or not db.stat().st_size:
        return []
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        return connection.execute(text, values).fetchall() if tables else []


def change(db: Path, text: str, *values: object) -> None:
    """Change a store by hand, as only a test does."""
    with closing(sqlite3.connect(db, timeout=20)) as connection, connection:
        assert connection.execute(text, values).rowcount, "nothing was changed"


def faults(db: Path) -> list[str]:
    """What is wrong with a store: with the file, with its references, or results without their inputs."""
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [f"dangling: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        found += [f"{target} without {source}" for target, source in connection.execute(_WITHOUT_INPUTS)]
    return found


_WITHOUT_INPUTS = """
SELECT edges.target, edges.source FROM edges
JOIN tasks AS target ON target.run_id = edges.run_id AND target.key = edges.target
JOIN tasks AS source ON source.run_id = edges.run_id AND source.key = edges.source
WHERE target.state = 'succeeded' AND source.state <> 'succeeded'
"""


def marked(mark: Path) -> list[int]:
    """The processes whose environment carries the mark."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _processes() if wanted in _environment_of(pid)]


def _processes() -> Iterable[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        # It has ended meanwhile; of one that has ended and was not waited for, nothing is read.
        return []
