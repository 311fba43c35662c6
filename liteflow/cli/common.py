"""What the commands have in common: the store they look into, and their words for options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liteflow.errors import CommandLineError
from liteflow.store.history import History
from liteflow.store.place import default_db

Db = Annotated[
    str | None,
    typer.Option("--db", metavar="PATH", help="The store file; else LITEFLOW_DB, else liteflow.db here."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run's id, the beginning of one, a flow's name (its latest run) or 'latest'."
    ),
]


def chosen_db(db: str | None) -> Path:
    """Return the store file that is meant by `--db`, `LITEFLOW_DB` or neither.

    Raises:
        CommandLineError: `--db ""`, as of a variable that is not set: no other file is looked into instead.
    """
    if db == "":
        raise CommandLineError("--db names no file; name one, or leave it out")
    return Path(db or default_db())


def open_history(db: str | None) -> History:
    """Open the store that is meant, to look into it; it is never created.

    Raises:
        StoreError: There is no such file, or it is no store that can be read.
    """
    return History(chosen_db(db))


def history_to_change(db: Path) -> History:
    """Open a store to look for runs that are to be changed; one of an older schema is updated.

    Raises:
        StoreError: It can't be read, or not updated.
    """
    # Start-up: all that reads values comes with it, and most commands read none.
    from liteflow.stored import updated_history  # noqa: PLC0415

    return updated_history(db)


File = Annotated[
    str | None,
    typer.Option("--file", metavar="FILE[:FLOW]", help="The file of the flow, if it is not where it was."),
]
Tasks = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        metavar="MODULE|FILE",
        help="With a .flow file: the module with its tasks; else the .py file of the same name beside it.",
    ),
]


def examples(*lines: str) -> str:
    """Return the end of a command's help: its examples, one a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
