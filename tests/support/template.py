"""The process that `support.forked` forks: it has loaded liteflow, and has done nothing with it.

It is started by its path with the number of the socket that requests come by, and ends with that socket.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import selectors
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

LARGEST_REQUEST = 1 << 20
NOBODY = 65534


def serve(control: socket.socket) -> None:
    """Fork for each request, and tell how each fork ended; a fork becomes the program, and never returns."""
    _load_liteflow()
    # The end of each fork would look through all that is loaded here, and so copy it.
    gc.collect()
    gc.freeze()
    bell, rings = os.pipe()
    os.set_blocking(rings, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(rings, warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as ready:
        ready.register(control, selectors.EVENT_READ)
        ready.register(bell, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fd == bell:
                    os.read(bell, 1024)
                    _tell_who_ended(running)
                    continue
                text, descriptors, _, _ = socket.recv_fds(control, LARGEST_REQUEST, 4)
                if not text:
                    return
                pid = os.fork()
                if pid == 0:
                    _become(json.loads(text), descriptors)
                running[pid] = socket.socket(fileno=descriptors.pop())
                running[pid].send(b"%d" % pid)
                for descriptor in descriptors:
                    os.close(descriptor)


def _load_liteflow() -> None:
    import liteflow

    for module in pkgutil.walk_packages(liteflow.__path__, "liteflow."):
        importlib.import_module(module.name)
    # What only a call loads, typer's own parts say: of one that ends before it has looked at anything.
    streams, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), io.StringIO(), io.StringIO()
    from liteflow.cli.app import execute
    from liteflow.store.schema import schema_text

    assert execute(["runs", "--limit", "0"]) == 2
    # A fork that is not root's may not be able to read it where it lies.
    schema_text()
    sys.stdout, sys.stderr = streams


def _tell_who_ended(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as told:
            try:
                told.send(b"%d" % os.waitstatus_to_exitcode(status))
            except OSError:
                # Who has started it has not waited for it.
                continue


def _become(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _take_streams(descriptors)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # Ended like any other program, it would write a core of all that it has.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request["memory"] is not None:
        resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    if request["own_session"]:
        os.setsid()
    if request["powerless"] and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if request["what"] == "liteflow":
        _be_liteflow(request["words"])
    _be_script(request["words"])


def _take_streams(descriptors: list[int]) -> None:
    for place, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, place)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    # They live as long as the program.
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _be_liteflow(words: list[str]) -> NoReturn:
    import liteflow.__main__ as door

    sys.modules["__main__"] = door
    sys.argv = [str(door.__file__), *words]
    _end(door.main())


def _be_script(words: list[str]) -> NoReturn:
    path = Path.cwd() / words[0]
    script = sys.modules["__main__"] = ModuleType("__main__")
    script.__file__ = str(path)
    sys.argv = words
    sys.path.insert(0, str(path.parent))
    sys.excepthook = _tell_of_the_script_only
    exec(compile(path.read_bytes(), str(path), "exec"), script.__dict__)
    _end(0)


def _end(status: int) -> NoReturn:
    """End as Python does, but take nothing apart: all that is loaded would have to be copied for that."""
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        # https://docs.python.org/3/library/sys.html#sys.exit: an error while the output is flushed.
        status = 120
    os._exit(status)


def _tell_of_the_script_only(kind: Any, error: BaseException, trace: Any) -> None:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


if __name__ == "__main__":
    # As with `python -m liteflow`: what lies in the folder of this file is not to be found.
    del sys.path[0]
    serve(socket.socket(fileno=int(sys.argv[1])))
