"""`liteflow types`: what tasks of workflow files can be, with their fields; plug-ins too."""

from __future__ import annotations

from typing import Annotated

import typer

from liteflow.cli.common import Json, examples
from liteflow.cli.output import print_json_list, say
from liteflow.errors import UnknownNameError
from liteflow.views.shown import label


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("types", epilog=examples("liteflow types", "liteflow types shell", "liteflow types --json"))
    def types_command(
        kind: Annotated[str | None, typer.Argument(metavar="[TYPE]", help="One of them; else all.")] = None,
        as_json: Json = False,
    ) -> None:
        """List the task types of workflow files, with their fields."""
        # Start-up: no other command loads the types because of this one.
        from liteflow.task_types.registry import described  # noqa: PLC0415

        facts = [one for one in described() if kind in (None, one.kind)]
        if not facts and kind is not None:
            raise UnknownNameError("liteflow", "task type", kind, [one.kind for one in described()])
        if as_json:
            print_json_list({**one._asdict(), "options": [o._asdict() for o in one.options]} for one in facts)
            return
        for one in facts:
            origin = "" if one.origin == "liteflow" else f" (of {label(one.origin)})"
            say(f"{label(one.kind)}{origin}: {label(one.help, 300)}")
            for option in one.options:
                default = f", by default {label(option.default)}" if option.default else ""
                say(f"  {label(option.name)}: {label(option.type, 80)}{default}")
                say(f"      {label(option.help, 300)}")
