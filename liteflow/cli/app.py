"""The `liteflow` program: which commands there are, and how each ends.

    0    done
    1    the run failed
    2    wrong usage or bad input: one line on standard error says what
    3    the run belongs to another driver, which lives
    128+ ended by a signal: 130 Ctrl-C, 143 SIGTERM, 141 nobody reads the output any more

A traceback of ours is a bug, and says so in one line.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any, TextIO

import typer

from liteflow import __version__
from liteflow.cli import (
    arrows,
    check,
    clear,
    completion,
    dag,
    event,
    look,
    replay,
    resume,
    run,
    scaffold,
    template,
    types,
    ui,
    validate,
    visualize,
)
from liteflow.cli.common import examples
from liteflow.cli.output import complain, complain_of_bug
from liteflow.errors import LeaseLostError, LiteflowError, RunError, RunOwnedError
from liteflow.views.shown import label, visible

FAILED, WRONG, OWNED, BUG = 1, 2, 3, 70


def make_app() -> typer.Typer:
    """Return the program with all its commands."""
    app = typer.Typer(
        add_completion=False,
        # Plain help: it is as wide as the terminal, and rich's would take 100 ms.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=examples(
            "liteflow scaffold > my_workflow.py", "liteflow run my_workflow.py", "liteflow show latest"
        ),
    )

    @app.callback(invoke_without_command=True)
    def liteflow(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ) -> None:
        """Run typed, durable workflows, and look at their runs."""
        if version:
            typer.echo(f"liteflow {__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            typer.echo(context.get_help(), err=True)
            raise typer.Exit(WRONG)

    for group in (
        scaffold,
        template,
        run,
        resume,
        replay,
        validate,
        dag,
        look,
        visualize,
        arrows,
        event,
        clear,
        types,
        check,
        ui,
        completion,
    ):
        group.register(app)
    return app


def execute(arguments: Sequence[str]) -> int:
    """Carry out a command line, and return the exit status; nothing is raised."""
    status = _status(arguments)
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        # What could not be said lies there still; Python would try again, and give its own exit status.
        _give_up(sys.stderr)
    return status


def _status(arguments: Sequence[str]) -> int:
    try:
        status = _carried_out(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up(sys.stdout)
        return 128 + signal.SIGPIPE
    except OSError as error:
        _give_up(sys.stdout)
        complain(f"liteflow: can't write the output: {error.strerror or error}")
        return WRONG
    except KeyboardInterrupt as stop:
        _give_up(sys.stdout)
        return 128 + getattr(stop, "number", signal.SIGINT)
    return status


def _carried_out(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(make_app())
    try:
        # Not `command(...)`: that has exit statuses of its own for signals and for pipes that nobody reads.
        with command.make_context("liteflow", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except LiteflowError as error:
        complain(f"liteflow: {_lines(str(error))}")
        return _status_of(error)
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.ENOSPC) and error.filename is None:
            raise
        return _bug(error)
    except Exception as error:  # noqa: BLE001  whatever it is, it ends in one line
        # Typer's own errors are those of click, which is not always there to be imported.
        said: Any = getattr(error, "format_message", None)
        if said is None:
            return _bug(error)
        complain(f"liteflow: {_one_line(said())}{_help_of(error)}")
        return WRONG
    return 0


def _status_of(error: LiteflowError) -> int:
    if isinstance(error, RunOwnedError | LeaseLostError):
        return OWNED
    return FAILED if isinstance(error, RunError) else WRONG


def _lines(text: str) -> str:
    return visible(text, keep="\n\t")


def _one_line(text: str) -> str:
    # Newer typers check by pydantic, and say so.
    line = label(" ".join(text.split()).replace(": Value error, ", ": "), 500)
    return line[:1].lower() + line[1:].rstrip(".")


def _help_of(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f" (see {context.command_path} --help)" if context is not None else ""


def _bug(error: Exception) -> int:
    complain_of_bug(error)
    return BUG


def _give_up(stream: TextIO) -> None:
    """Let what is still to be written go nowhere, so that Python does not complain at its end."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        # It has no descriptor, so there is nothing that could be flushed to it.
        return
