"""`liteflow template NAME` and `convert FILE`: files to begin with, and one form of a file from another."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from liteflow.cli.common import examples
from liteflow.cli.output import say, write_file
from liteflow.cli.source import is_workflow
from liteflow.errors import CommandLineError
from liteflow.views.shown import label


class Starter(StrEnum):
    """What kinds of workflow files there are to begin with."""

    basic = "basic"
    python = "python"
    parallel = "parallel"
    daily_pipeline = "daily_pipeline"
    data_pipeline = "data_pipeline"
    ml_training = "ml_training"


class Form(StrEnum):
    """What a workflow file can be converted to."""

    py = "py"
    yaml = "yaml"
    json = "json"


Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="PATH", help="A file to write; else it is printed."),
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command(
        epilog=examples(
            "liteflow template basic > my_workflow.yaml",
            "liteflow template nightly --kind parallel --output nightly.yaml",
        )
    )
    def template(
        name: Annotated[
            str,
            typer.Argument(
                metavar="NAME",
                help=f"The workflow's name; or one of {', '.join(Starter)}, for a file of that kind.",
            ),
        ] = "basic",
        kind: Annotated[
            Starter | None,
            typer.Option(
                "--kind", metavar="KIND", help="What kind of file; by default the one that NAME says."
            ),
        ] = None,
        output: Output = None,
        force: Force = False,
    ) -> None:
        """Print a commented workflow file to begin with; it runs as it is."""
        _put(starter(name, kind), output, force)

    @app.command(
        epilog=examples(
            "liteflow convert daily.yaml --to py > daily.py", "liteflow convert daily.json --to yaml"
        )
    )
    def convert(
        file: Annotated[str, typer.Argument(metavar="FILE", help="A workflow file.")],
        to: Annotated[Form, typer.Option("--to", metavar="|".join(Form), help="What it becomes.")] = Form.py,
        output: Output = None,
        force: Force = False,
    ) -> None:
        """Write a workflow file as a Python script that does the same, or in the other notation."""
        if not is_workflow(file):
            raise CommandLineError(
                f"{label(file, 200)} is no workflow file; give one that ends in .yaml or .json"
            )
        # Start-up: no other command needs the whole language of files.
        from liteflow.files.convert import to_python  # noqa: PLC0415
        from liteflow.files.load import load_workflow  # noqa: PLC0415
        from liteflow.files.write import to_json, to_yaml  # noqa: PLC0415

        workflow = load_workflow(file)
        if to is Form.py:
            _put(to_python(workflow, Path(file).name), output, force)
        else:
            _put(to_yaml(workflow) if to is Form.yaml else to_json(workflow), output, force)


def starter(name: str, kind: Starter | None) -> str:
    """Return the text of a workflow file to begin with.

    Args:
        name: What the workflow is called, or what kind it is of.
        kind: What kind; None: the one that the name says, else the basic one.

    Raises:
        CommandLineError: It can't be called so.
    """
    from liteflow.files.model import name_problem  # noqa: PLC0415  as above

    known = {str(one): one for one in Starter}
    kind = kind or known.get(name, Starter.basic)
    text = files("liteflow.files").joinpath("starters", f"{kind}.yaml").read_text(encoding="utf-8")
    problem = name_problem(name, "a workflow")
    if problem is not None:
        raise CommandLineError(f"{label(name)!r} {problem}")
    # As JSON, which is YAML too: it needs no thought about what is to be quoted.
    written = name if name.replace("_", "a").isalnum() and name[:1].isalpha() else _quoted(name)
    return text.replace(f"workflow_name: {kind}\n", f"workflow_name: {written}\n", 1)


def _quoted(name: str) -> str:
    import json  # noqa: PLC0415  start-up: names are seldom so

    return json.dumps(name, ensure_ascii=False)


def _put(text: str, output: str | None, force: bool) -> None:
    if output is None:
        say(text.rstrip("\n"))
    else:
        write_file(Path(output), text, overwrite=force)
        say(f"{label(output, 200)} is written")
