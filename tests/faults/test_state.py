"""A worker's process is for the next call as it was before the last one."""

from __future__ import annotations

import contextlib
import decimal
import gc
import locale
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from liteflow import Flow, Task

VARIABLE: ContextVar[int] = ContextVar("liteflow_test_variable", default=0)


def state() -> dict[str, Any]:
    """All of the process that a call should find as it was."""
    masked = os.umask(0)
    os.umask(masked)
    return {
        "cwd": str(Path.cwd()),
        "environment": dict(os.environ),
        "umask": masked,
        "handlers": {s: repr(signal.getsignal(s)) for s in signal.valid_signals()},
        "timers": [signal.getitimer(t)[0] > 0 for t in (signal.ITIMER_REAL, signal.ITIMER_PROF)],
        "streams": [s.closed for s in (sys.stdin, sys.stdout, sys.stderr)],
        "stdin": os.fstat(0).st_rdev,
        "names": [s.fileno() for s in (sys.stdin, sys.stdout, sys.stderr)],
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion": sys.getrecursionlimit(),
        "path": list(sys.path),
        "argv": list(sys.argv),
        "filters": list(map(repr, warnings.filters)),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "socket": socket.getdefaulttimeout(),
        "decimal": repr(decimal.getcontext()),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "logging": (logging.root.level, len(logging.root.handlers), logging.root.manager.disable),
        "variable": VARIABLE.get(),
    }


def changes_directory() -> None:
    os.chdir("/")


def changes_directory_by_descriptor() -> None:
    descriptor = os.open("/", os.O_RDONLY)
    os.fchdir(descriptor)
    os.close(descriptor)


def sets_variables() -> None:
    os.environ["LITEFLOW_TEST_NEW"] = "new"
    os.environ["PATH"] = "/nowhere"
    del os.environ["LITEFLOW_TEST_OLD"]


def clears_variables() -> None:
    os.environ.clear()


def replaces_environ() -> None:
    os.environ = {"ONLY": "this"}  # type: ignore[assignment]  # noqa: B003


def sets_umask() -> None:
    os.umask(0o777)


def handles_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


def sets_an_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.2)


def sets_a_handled_alarm() -> None:
    def overdue(*_: object) -> None:
        raise TimeoutError("of another task")

    signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, 0.2)


def replaces_streams() -> None:
    sys.stdout = sys.stderr = sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123


def closes_streams() -> None:
    sys.stdin.close()
    sys.stdout.close()
    sys.stderr.close()


def closes_descriptors() -> None:
    for number in range(3):
        os.close(number)


def forgets_streams() -> None:
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]


def sets_locale() -> None:
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C")


def sets_limits() -> None:
    sys.setrecursionlimit(321)
    socket.setdefaulttimeout(0.001)
    gc.disable()
    gc.set_threshold(1, 1, 1)


def changes_paths() -> None:
    sys.path.insert(0, "/nowhere")
    sys.argv = ["other"]


def clears_path() -> None:
    sys.path = []


def turns_warnings_into_errors() -> None:
    warnings.simplefilter("error")


def sets_decimal() -> None:
    decimal.getcontext().prec = 3
    decimal.setcontext(decimal.ExtendedContext)


def traces() -> None:
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)


def quiets_logging() -> None:
    logging.basicConfig(force=True, level=logging.CRITICAL)
    logging.disable(logging.CRITICAL)


def sets_context() -> None:
    VARIABLE.set(5)


CHANGES: list[Callable[[], None]] = [
    changes_directory,
    changes_directory_by_descriptor,
    sets_variables,
    clears_variables,
    replaces_environ,
    sets_umask,
    handles_signals,
    sets_an_alarm,
    sets_a_handled_alarm,
    replaces_streams,
    closes_streams,
    closes_descriptors,
    forgets_streams,
    sets_locale,
    sets_limits,
    changes_paths,
    clears_path,
    turns_warnings_into_errors,
    sets_decimal,
    traces,
    quiets_logging,
    sets_context,
]


LOOKED_AT = {closes_streams, closes_descriptors, changes_paths, clears_path, replaces_environ, sets_locale}


@pytest.mark.parametrize("fails", [False, True], ids=["and succeeds", "and fails"])
@pytest.mark.parametrize("change", CHANGES, ids=[c.__name__ for c in CHANGES])
def test_what_a_call_changes_is_put_back(
    change: Callable[[], None], fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITEFLOW_TEST_OLD", "old")

    def changes(_before: object) -> int:
        change()
        # Long enough for another look at what no function's call has told.
        limit = time.monotonic_ns() + (6_000_000 if change in LOOKED_AT else 0)
        while time.monotonic_ns() < limit:
            pass
        if fails:
            raise ValueError
        return os.getpid()

    def after(_changed: object) -> tuple[int, dict[str, Any]]:
        # Longer than the alarms take.
        limit = time.monotonic() + (0.4 if "alarm" in change.__name__ else 0)
        while time.monotonic() < limit:
            time.sleep(0.01)
        print("heard")
        return os.getpid(), state()

    first = Task(lambda: (os.getpid(), state()), "first")()
    middle = Task(changes, "changes")(first)
    last = Task(after, "after")(first)
    middle >> last

    if fails:
        # What waits for a failure does not run: so the next is a call of its own, in the same worker.
        last = Task(after, "after").options(retries=0)(first)
        run = Flow("state", [first, middle, last]).run(db=None, max_workers=1, check=False)
        assert run.tasks["changes"].state == "failed"
    else:
        run = Flow("state", [first, middle, last]).run(db=None, max_workers=1)
    before, (pid, found) = run.output("first"), run.output("after")

    assert pid == before[0]
    assert found == before[1]


def test_short_calls_of_one_function_find_their_directory_each_time(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()

    def enters(_n: int) -> int:
        os.chdir("sub")
        os.environ["LITEFLOW_TEST_COUNT"] = str(int(os.environ.get("LITEFLOW_TEST_COUNT", "0")) + 1)
        return int(os.environ["LITEFLOW_TEST_COUNT"])

    with contextlib.chdir(tmp_path):
        run = Flow("enter", [Task(enters, "enters")(n) for n in range(300)]).run(db=None, max_workers=1)

    assert run.result == [1] * 300


def test_what_a_module_does_when_it_is_imported_for_a_function_stays(tmp_path: Path) -> None:
    module = "import os, sys\nos.environ['OF_THE_MODULE'] = 'yes'\nsys.path.append('/of/the/module')\n"
    module += "def there(n):\n    return os.environ.get('OF_THE_MODULE'), sys.path[-1]\n"
    (tmp_path / "liteflow_test_imported.py").write_text(module)
    script = (
        "import os, sys\nsys.path.insert(0, sys.argv[1])\n"
        "from liteflow import *\nimport liteflow_test_imported as m\n"
        "del os.environ['OF_THE_MODULE'], sys.path[-1]\n"
        "run = Flow('f', [Task(m.there, 'there')(n) for n in range(50)]).run(db=None, max_workers=1)\n"
        "assert run.result == [('yes', '/of/the/module')] * 50, run.result\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def test_a_worker_whose_directory_was_removed_works_on(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()

    def remove(path: str) -> int:
        Path(path).rmdir()
        return os.getpid()

    def after(_removed: int) -> tuple[int, bool]:
        return os.getpid(), Path().exists()

    removed = Task(remove, "remove")(str(there))
    with contextlib.chdir(there):
        run = Flow("removed", [removed, Task(after, "after")(removed)]).run(
            db=tmp_path / "x.db", max_workers=1
        )
        # Another run, another worker: it starts in a directory that is nowhere any more.
        again = Flow("again", Task(after, "after")(1)).run(db=tmp_path / "x.db", max_workers=1)

    pid, (other, exists) = run.result
    assert pid == other
    assert exists
    assert again.result[1]


def test_random_numbers_differ_between_workers() -> None:
    def roll(n: int) -> tuple[int, float]:
        time.sleep(0.05)
        return os.getpid(), random.random()

    run = Flow("random", [Task(roll, "roll")(n) for n in range(8)]).run(db=None, max_workers=4)

    assert len({number for _, number in run.result}) == 8
    assert len({pid for pid, _ in run.result}) > 1
