"""Runs source text as a script, beside a second process that knows nothing of it, as a worker does not.

    test --fork--> script (its `__main__` is the source) --fork--> other (its `__main__` is empty)

Both are forks, because a new interpreter for each of a hundred cases would take a minute.  In the script
`there(function, *args)` calls the function in the other process and gives what comes back.
"""

from __future__ import annotations

import marshal
import os
import sys
import textwrap
import traceback
from multiprocessing.connection import Connection, Pipe
from types import ModuleType

import pytest

from liteflow import pickling

# What the sources of tests may use, in one line that they begin with.
IMPORTS = "import abc, attrs, builtins, collections, dataclasses, enum, functools, pickle, sys, typing\n"


class There:
    """Calls functions in the other process; what it needs of the script goes with them, once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sent = 0
        self.definitions = pickling.Definitions()

    def __call__(self, function, *args):
        data = pickling.dumps((function, args), self.definitions).data
        bundles = self.definitions.bundles[self._sent :]
        self._sent += len(bundles)
        self._connection.send_bytes(marshal.dumps(([tuple(b) for b in bundles], data)))
        answer = self._connection.recv_bytes()
        if answer[:1] == b"!":
            raise RuntimeError(answer[1:].decode())
        return pickling.loads(answer)


def run_script(source: str) -> None:
    """Run source as a script; whatever it raises fails the test."""
    ours, theirs = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        _as_script(textwrap.dedent(source), theirs)
    theirs.close()
    try:
        said = ours.recv_bytes().decode()
    except EOFError:
        said = "the script's process died"
    os.waitpid(pid, 0)
    if said:
        pytest.fail(said, pytrace=False)


def _as_script(source: str, report: Connection) -> None:
    try:
        script = _new_main()
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            # The copies that the fork has made: with one of them open it would wait for itself.
            ours.close()
            report.close()
            _serve(theirs)
        theirs.close()
        script.there = There(ours)
        exec(compile(source, "script.py", "exec"), script.__dict__)
        ours.close()
        os.waitpid(pid, 0)
        report.send_bytes(b"")
    except BaseException:  # noqa: BLE001  it is told where it can be heard
        report.send_bytes(traceback.format_exc().encode())
    os._exit(0)


def _serve(connection: Connection) -> None:
    try:
        _new_main()
        while True:
            bundles, data = marshal.loads(connection.recv_bytes())
            pickling.learn(pickling.Bundle(*bundle) for bundle in bundles)
            try:
                function, args = pickling.loads(data)
                answer = pickling.dumps(function(*args)).data
            except BaseException:  # noqa: BLE001  as above
                answer = b"!" + traceback.format_exc().encode()
            connection.send_bytes(answer)
    except EOFError:
        pass
    os._exit(0)


def _new_main() -> ModuleType:
    # What a test process has in its `__main__` must not be found by either.
    module = sys.modules["__main__"] = ModuleType("__main__")
    return module
