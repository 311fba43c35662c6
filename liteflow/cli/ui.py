"""`liteflow ui`: pages of the store in the browser, which only look, for as long as the command runs."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from liteflow import signals
from liteflow.cli.common import Db, Json, chosen_db, examples
from liteflow.cli.output import complain, complain_of_bug, is_terminal, say, to_json
from liteflow.errors import CommandLineError, StoreError
from liteflow.store.history import History
from liteflow.store.place import absolute
from liteflow.system import has_desktop
from liteflow.views.shown import label, visible


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog=examples("liteflow ui", "liteflow ui --db runs.db --port 8080 --no-open"))
    def ui(
        *,
        db: Db = None,
        port: Annotated[
            int,
            typer.Option(
                min=0,
                max=65535,
                metavar="N",
                help="The port to listen at; by default, or with 0, one that is free.",
            ),
        ] = 0,
        host: Annotated[
            str,
            typer.Option(
                metavar="HOST",
                help="The address to listen at; the usual one is reached by this machine alone.",
            ),
        ] = "127.0.0.1",
        allow_remote: Annotated[
            bool, typer.Option("--allow-remote", help="HOST may be one that other machines reach.")
        ] = False,
        no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
        as_json: Json = False,
    ) -> None:
        """Show runs in the browser, also while they go on; nothing is changed there.  Ctrl-C ends it."""
        # Start-up: no other command serves anything.
        from liteflow.ui.listening import base_of, is_remote, listen, numeric  # noqa: PLC0415

        store, address = absolute(chosen_db(db)), numeric(host)
        if is_remote(address):
            _check_remote(host, allow_remote)
        with signals.raised(), listen(store, host, address, port, complain_of_bug) as dashboard:
            _tell_of(store)
            base, door = base_of(dashboard, address), dashboard.door
            link = f"{base}/?token={door.token}"
            say(to_json({"url": link}) if as_json else f"{label(Path(store).name)}: {link}  (Ctrl-C ends it)")
            sys.stdout.flush()
            if not (no_open or as_json) and is_terminal(sys.stdout) and has_desktop():
                # By a token of its own: others on this machine see the command line of a browser that starts.
                ticket = f"{base}/?token={door.ticket}"
                # A browser may take until its end to be opened, and wants to be answered before.
                threading.Thread(target=_open, args=(ticket,), daemon=True).start()
            dashboard.serve_forever()


def _check_remote(host: str, allowed: bool) -> None:
    if not allowed:
        raise CommandLineError(
            f"other machines can reach --host {label(host)}, and could look at your runs; "
            "add --allow-remote if they are to"
        )
    complain(
        f"liteflow: warning: whoever reaches {label(host)} and has the address below can look at the runs, "
        "and it travels unencrypted; an ssh tunnel to 127.0.0.1 is safer"
    )


def _tell_of(store: str) -> None:
    """Say what is the matter with a store, if anything is; it may be made, or mended, while we go on."""
    try:
        History(store).close()
    except StoreError as error:
        complain(f"liteflow: {visible(str(error))}; the page will show it when it can be read")


def _open(link: str) -> None:
    # Start-up: only a person at a screen needs it.
    import webbrowser  # noqa: PLC0415

    try:
        webbrowser.open(link)
    except (webbrowser.Error, OSError) as error:
        complain(f"liteflow: no browser could be opened ({label(str(error), 200)}); open the address above")
