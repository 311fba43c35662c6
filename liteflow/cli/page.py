"""The page of the documents on the command line, made from the program itself.

python -m liteflow.cli.page > docs/command-line.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import typer

from liteflow.cli.app import make_app

_HEAD = """\
# Command line

This page is made from the program's own help (`python -m liteflow.cli.page`); `liteflow COMMAND --help`
says the same.

Where a command takes a FILE, that is a Python file (`.py`) or a [workflow file](workflow-files.md) (`.yaml`,
`.yml`, `.json`); where it has several flows, `FILE:FLOW` says which. A Python file of a package, whose
folder has an `__init__.py`, finds its neighbours by `from .name import ...`, as with `python -m`.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | the run failed |
| 2 | wrong usage or bad input: standard error says what |
| 3 | the run belongs to another driver, which lives |
| 128 + n | ended by signal n: 130 Ctrl-C, 143 SIGTERM, 141 nobody reads the output any more |

What is said in several places: the command line wins over variables of the environment (`LITEFLOW_DB`,
`LITEFLOW_MODE`, `LITEFLOW_MAX_WORKERS`, `LITEFLOW_TIMEOUT`, ...), these over a workflow file.
[Secrets](secrets.md) are taken from `LITEFLOW_SECRET_NAME`.
With `NO_COLOR` set nothing is coloured; where standard error is no terminal, progress is plain lines.
"""


def page() -> str:
    """Return the page."""
    program: Any = typer.main.get_command(make_app())
    commands = program.commands
    index = [f"- [`{name}`](#{name}): {command.get_short_help_str(90)}" for name, command in commands.items()]
    parts = [_HEAD, "\n".join(index) + "\n"]
    parts += ["\n".join(_command(name, command)) + "\n" for name, command in commands.items()]
    return "\n".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    about, *more = str(command.help or "").split("\n\n")
    usage = " ".join(_named(p) for p in command.params if p.param_type_name == "argument")
    yield f"## {name}\n"
    yield " ".join(about.split())
    for paragraph in more:
        yield "\n" + " ".join(paragraph.split())
    yield f"\n```sh\nliteflow {name} {usage}".rstrip() + "\n```\n"
    yield from _table(command.params)
    lines = [line.strip() for line in str(command.epilog or "").splitlines() if line.startswith("  ")]
    if lines:
        yield "\n```sh"
        yield from lines
        yield "```"


def _table(parameters: Iterable[Any]) -> Iterator[str]:
    yield "| | |\n|---|---|"
    for one in parameters:
        about = " ".join(str(one.help or "").split())
        environment = f" Or the variable `{one.envvar}`." if one.envvar else ""
        yield f"| {_spelled(one)} | {_safe(about)}{environment} |"
    yield "| `--help`, `-h` | Show the help. |"


def _spelled(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{_safe(_named(one))}`"
    value = "" if one.is_flag else f" {_value(one)}"
    return ", ".join(f"`{flag}{_safe(value)}`" for flag in (*one.opts, *one.secondary_opts))


def _named(one: Any) -> str:
    name = str(one.metavar or one.name.upper())
    return name if one.required or name.startswith("[") else f"[{name}]"


def _value(one: Any) -> str:
    return str(one.metavar or "VALUE")


def _safe(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
