"""The program, loaded once: a fork of this process carries out each command line that it is sent.

To start Python and load the program takes ten times as long as most commands.  What a command line gets
is what `python -m liteflow` gets: its own process, folder, environment, arguments, and the three streams.
"""

import contextlib
import io
import json
import os
import runpy
import socket
import sys
from importlib import import_module

from liteflow.cli.app import execute

# What commands load when they are first asked for something.
LATER = "cli.dry_run cli.part files.compile files.convert launch outlook stored session"
STREAMS = 3
LONGEST_REQUEST = 1 << 20


def serve(requests: socket.socket) -> None:
    """Carry out what comes until nobody is there any more to ask."""
    while True:
        request, streams, _flags, _address = socket.recv_fds(requests, LONGEST_REQUEST, STREAMS)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            become(streams, **json.loads(request))
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(pid, 0)
        requests.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


def become(streams: list[int], folder: str, words: list[str], environment: dict[str, str]) -> None:
    """In the fork: be the program that was started there, with these words."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv = ["liteflow", *words]
    sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    try:
        runpy.run_module("liteflow", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        sys.stdout.flush()
        raise SystemExit(ended.code) from None


if __name__ == "__main__":
    # Typer loads its own parts when the first words are read.
    with contextlib.redirect_stdout(io.StringIO()):
        execute(["types", "shell"])
    for room in LATER.split():
        import_module(f"liteflow.{room}")
    serve(socket.socket(fileno=int(sys.argv[1])))
