"""The door of the command line: `liteflow`, or `python -m liteflow`.

`python -m` puts the working directory first in the search path.  Who merely looks into a
folder must not import what lies in it, a `yaml.py` say; so it is taken out again before
anything else is imported.  `liteflow run FILE` puts the file's folder there, as Python does.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, and return its exit status."""
    # Not above: the working directory must have left the search path first.
    import signal  # noqa: PLC0415

    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        # While modules are being imported Ctrl-C ends us as it ends a C program: there is
        # nothing to tidy up, and a KeyboardInterrupt would come out as any error they like.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from liteflow.cli.output import prepare_streams  # noqa: PLC0415

    prepare_streams()
    from liteflow.cli.app import execute  # noqa: PLC0415

    try:
        signal.signal(signal.SIGINT, interrupt)
        return execute(sys.argv[1:])
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        # It is over but for the worker processes' end, which takes moments: an impatient
        # second Ctrl-C would only bring a traceback into it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave_working_directory() -> None:
    import os  # noqa: PLC0415  it is loaded anyway

    try:
        here = ("", os.getcwd())  # noqa: PTH109
    except FileNotFoundError:
        # It has been removed; Python has put nothing in for it.
        return
    if not sys.flags.safe_path and sys.path and sys.path[0] in here:
        del sys.path[0]


if __name__ == "__main__":
    _leave_working_directory()
    sys.exit(main())
