"""`liteflow fmt`: files in the arrow language, laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liteflow.cli.common import examples
from liteflow.cli.output import complain
from liteflow.errors import CommandLineError
from liteflow.views.shown import label


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog=examples("liteflow fmt nightly.flow", "liteflow fmt --check flows/*.flow"))
    def fmt(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files in the arrow language.")],
        *,
        check: Annotated[
            bool, typer.Option("--check", help="Change nothing; the exit status is 1 if something would be.")
        ] = False,
    ) -> None:
        """Lay out .flow files in the one canonical way; comments and meaning stay."""
        # Start-up: the language takes 40 ms to load.
        from liteflow.arrows.layout import fmt as laid_out  # noqa: PLC0415

        changed = 0
        for file in files:
            text = text_of(file)
            new = laid_out(text, str(file))
            if new != text:
                changed += 1
                if not check:
                    _write(file, new)
                complain(f"liteflow: {label(str(file), 300)} {'would be' if check else 'is'} laid out anew")
        raise typer.Exit(1 if check and changed else 0)


def text_of(file: Path) -> str:
    """Return the text of a file.

    Raises:
        CommandLineError: It can't be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandLineError(f"can't read {label(str(file), 300)}: {error}") from None


def _write(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        if file.exists():
            new.chmod(file.stat().st_mode & 0o777)
        new.replace(file)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise CommandLineError(f"can't write {label(str(file), 300)}: {error.strerror or error}") from None
