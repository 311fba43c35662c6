"""The door of the command line: `liteflow`, or `python -m liteflow`.

`python -m` puts the working directory first in the search path.  Who merely looks into a
folder must not import what lies in it, a `yaml.py` say; so it is taken out again before
anything else is imported.  `liteflow run FILE` puts the file's folder there, as Python does.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, and return its exit status."""
    try:
        # Here and not above: Ctrl-C may come while these are being imported.
        from liteflow.cli.output import prepare_streams  # noqa: PLC0415

        prepare_streams()
        from liteflow.cli.app import execute  # noqa: PLC0415

        return execute(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


def _leave_working_directory() -> None:
    import os  # noqa: PLC0415  it is loaded anyway

    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109
        del sys.path[0]


if __name__ == "__main__":
    _leave_working_directory()
    sys.exit(main())
