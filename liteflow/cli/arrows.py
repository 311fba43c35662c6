"""`liteflow fmt`, `liteflow validate`, `liteflow dag`: flows in files, looked at before they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liteflow.cli.common import Tasks, examples
from liteflow.cli.output import complain, say
from liteflow.cli.script import load_flow
from liteflow.errors import CommandLineError
from liteflow.views.shown import label


def register(app: typer.Typer) -> None:
    """Add the commands."""

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
            text = _text_of(file)
            new = laid_out(text, str(file))
            if new != text:
                changed += 1
                if not check:
                    _write(file, new)
                complain(f"liteflow: {label(str(file), 300)} {'would be' if check else 'is'} laid out anew")
        raise typer.Exit(1 if check and changed else 0)

    @app.command(
        epilog=examples("liteflow validate nightly.flow --tasks my_tasks", "liteflow validate etl.py:daily")
    )
    def validate(
        target: Annotated[
            str, typer.Argument(metavar="FILE[:FLOW]", help="A .flow file, a workflow file, or a script.")
        ],
        *,
        tasks: Tasks = None,
    ) -> None:
        """See whether a flow could run: its text, its tasks, their parameters; nothing runs.

        The exit status is 0 if all is well, 2 if not.
        """
        flow = load_flow(target, tasks)
        needed = [name for name, parameter in flow.parameters.items() if parameter.required]
        if needed:
            say(f"flow {label(flow.name)} can be read; it needs {', '.join(map(label, needed))}")
            return
        dag = flow.compile()
        count = len(dag.nodes)
        say(f"flow {label(flow.name)} is well: {count} call{'s' if count != 1 else ''}")

    @app.command(epilog=examples("liteflow dag nightly.flow", "liteflow dag nightly.flow -o nightly.svg"))
    def dag(
        file: Annotated[Path, typer.Argument(metavar="FILE", help="A file in the arrow language.")],
        *,
        output: Annotated[
            Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where the picture goes.")
        ] = None,
    ) -> None:
        """Draw a .flow file as SVG: blocks around their steps, guards at them, documentation as notes.

        Its tasks are not needed for that.
        """
        from liteflow.arrows.compile import compile_text  # noqa: PLC0415  as above
        from liteflow.views.flowchart import drawn  # noqa: PLC0415
        from liteflow.views.svg import svg  # noqa: PLC0415

        picture = svg(drawn(compile_text(_text_of(file), str(file))))
        if output is None:
            say(picture)
        else:
            _write(output, picture + "\n")


def _text_of(file: Path) -> str:
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
