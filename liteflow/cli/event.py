"""`liteflow event NAME`: tells runs that wait for it that something has happened."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from liteflow.cli.arguments import read_json
from liteflow.cli.common import Db, chosen_db, examples, open_history
from liteflow.cli.output import complain
from liteflow.errors import CommandLineError
from liteflow.store.events import send_event
from liteflow.views.shown import label

LARGEST = 1_000_000
"""So many characters an event may say: what is larger belongs into a file, whose name it says."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow event approved",
            'liteflow event approved --data \'{"by": "Ada"}\' --db runs.db',
            "liteflow event approved --run nightly",
        )
    )
    def event(
        name: Annotated[str, typer.Argument(metavar="NAME", help="What the steps that wait know it by.")],
        *,
        data: Annotated[
            str | None,
            typer.Option(
                "--data", metavar="JSON|@FILE", help="What it says; an empty object if nothing is given."
            ),
        ] = None,
        run: Annotated[
            str | None, typer.Option("--run", metavar="RUN", help="Only this run gets it, as `show` has it.")
        ] = None,
        db: Db = None,
    ) -> None:
        """Send an event to the steps that wait for it (wait:event); it may come before they wait.

        It is kept in the store: each run that is there takes it once, and if none of them does, a later one.
        """
        if not name:
            raise CommandLineError("an event needs a name")
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise CommandLineError(f"the event's name {label(name, 80)} is no text in UTF-8")
        text = _json("{}" if data is None else data)
        run_id = None
        if run is not None:
            with open_history(db) as history:
                run_id = history.find_run(run).id
        send_event(chosen_db(db), name, text, run_id)
        complain(f"liteflow: event {label(name, 200)} is sent")


def _json(data: str) -> str:
    """The JSON that is meant, in its shortest form."""
    text = json.dumps(read_json(data, "--data"), ensure_ascii=True, separators=(",", ":"))
    if len(text) > LARGEST:
        raise CommandLineError(
            f"--data has {len(text):,} characters, and {LARGEST:,} are taken; send the name of a file instead"
        )
    return text
