"""`liteflow dag FILE`: a picture of a flow from its definition alone; nothing is run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liteflow.cli.arguments import read_inputs
from liteflow.cli.arrows import text_of
from liteflow.cli.common import Tasks, examples
from liteflow.cli.output import knows_unicode, say, write_file
from liteflow.cli.script import own_errors
from liteflow.cli.source import is_workflow, load_flow, suffix_of
from liteflow.errors import CommandLineError
from liteflow.flow import Flow
from liteflow.hints import is_secret
from liteflow.views.dot import dot
from liteflow.views.graph import Graph, fold, from_dag
from liteflow.views.graph_svg import svg
from liteflow.views.html import html, page
from liteflow.views.mermaid import mermaid
from liteflow.views.shown import label
from liteflow.views.text import text

if TYPE_CHECKING:
    from liteflow.arrows.graph import CompiledFlow

# Graphviz needs longer for graphs that nobody could read.
_PATIENCE_S = 60


class Picture(StrEnum):
    """What a flow can be drawn as."""

    text = "text"
    mermaid = "mermaid"
    dot = "dot"
    svg = "svg"
    html = "html"
    png = "png"
    pdf = "pdf"


BY_SUFFIX: Mapping[str, Picture] = {
    ".txt": Picture.text,
    ".mmd": Picture.mermaid,
    ".dot": Picture.dot,
    ".gv": Picture.dot,
    **{f".{picture}": picture for picture in (Picture.svg, Picture.html, Picture.png, Picture.pdf)},
}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow dag daily.yaml",
            "liteflow dag daily.yaml --output daily.svg",
            "liteflow dag etl.py:daily n=3",
        )
    )
    def dag(
        target: Annotated[
            str | None,
            typer.Argument(metavar="FILE[:FLOW]", help="A Python file, a workflow file or a .flow file."),
        ] = None,
        arguments: Annotated[
            list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Arguments of the flow.")
        ] = None,
        *,
        file: Annotated[
            str | None, typer.Option("--file", metavar="FILE[:FLOW]", help="The same as FILE.")
        ] = None,
        output: Annotated[
            str | None,
            typer.Option(
                "--output",
                "-o",
                metavar="PATH",
                help="A file to write; its suffix says what: .svg, .html, "
                ".mmd, .dot, .txt, and with Graphviz .png, .pdf.",
            ),
        ] = None,
        to: Annotated[
            Picture | None,
            typer.Option("--format", metavar="|".join(Picture), help="What to write, if no suffix says it."),
        ] = None,
        tasks: Tasks = None,
        folded: Annotated[
            bool, typer.Option("--fold", help="Draw the task instances of one task as one.")
        ] = False,
    ) -> None:
        """Draw a flow from its definition alone: nothing is run.

        SVG and HTML need no Graphviz.
        """
        meant, words = _meant(target, file, arguments or [])
        picture = _picture(to, output)
        if suffix_of(meant) == ".flow":
            drawn = arrow_drawing(meant, picture)
        else:
            flow = load_flow(meant, tasks)
            written = text_of_flow(flow)
            if written is not None:
                drawn = group_drawing(written, flow.name, picture)
            else:
                graph = from_dag(compiled_for_a_look(flow, words, meant))
                drawn = drawing(fold(graph) if folded else graph, picture)
        if output is not None:
            write_file(Path(output), drawn)
        elif isinstance(drawn, bytes):
            raise CommandLineError("that picture is no text; name a file with --output")
        else:
            say(drawn.rstrip("\n"))


def _meant(target: str | None, file: str | None, words: list[str]) -> tuple[str, list[str]]:
    if file is None and target is not None:
        return target, words
    if file is None:
        raise CommandLineError("no file is named; give a Python file or a workflow file")
    # What stands where the file would is an argument then.
    return file, [*([target] if target is not None else []), *words]


def arrow_drawing(file: str, picture: Picture) -> str | bytes:
    """Draw a .flow file with its blocks, guards and notes; its tasks are not needed for that.

    Raises:
        ArrowError: What is wrong with its text, and where.
        CommandLineError: It needs Graphviz, which is not there or fails.
    """
    # Start-up: the language takes 40 ms to load.
    from liteflow.arrows.compile import compile_text  # noqa: PLC0415

    return group_drawing(compile_text(text_of(Path(file)), file), Path(file).stem, picture)


def text_of_flow(flow: Flow[Any, Any]) -> CompiledFlow | None:
    """Return what a flow of a Python file is in the arrow language, if it is one."""
    recipe = getattr(flow._recipe, "function", None)
    # Where nobody has loaded this module, no flow is a text.
    module = sys.modules.get("liteflow.arrows.recipe")
    return recipe.flow if module is not None and isinstance(recipe, module.ArrowRecipe) else None


def group_drawing(flow: CompiledFlow, name: str, picture: Picture) -> str | bytes:
    """Draw a flow in the arrow language; `name` is what it is called if it says nothing else."""
    # Start-up, as above.
    from liteflow.views import nested  # noqa: PLC0415
    from liteflow.views.flowchart import drawn  # noqa: PLC0415
    from liteflow.views.svg import svg as of_boxes  # noqa: PLC0415

    group = drawn(flow)
    match picture:
        case Picture.text:
            return nested.text(group, ascii_only=not knows_unicode(sys.stdout.encoding)) + "\n"
        case Picture.mermaid:
            return nested.mermaid(group) + "\n"
        case Picture.dot:
            return nested.dot(group) + "\n"
        case Picture.svg:
            return of_boxes(group) + "\n"
        case Picture.html:
            return page(group.label or name, of_boxes(group)) + "\n"
        case _:
            return _by_graphviz(nested.dot(group), picture)


def _picture(to: Picture | None, output: str | None) -> Picture:
    """What to draw.

    Raises:
        CommandLineError: The name of the file says nothing, or something else than --format.
    """
    if to is None:
        return _by_name(output, Picture.text)
    by_name = to if output is None else BY_SUFFIX.get(suffix_of(output), to)
    if by_name is not to:
        raise CommandLineError(
            f"--format says {to}, and {label(str(output), 200)} is named for {by_name}; leave out one of them"
        )
    return to


def _by_name(output: str | None, usual: Picture) -> Picture:
    if output is None:
        return usual
    found = BY_SUFFIX.get(suffix_of(output))
    if found is None:
        raise CommandLineError(
            f"{label(output, 200)} does not say what to draw; let it end in one of {', '.join(BY_SUFFIX)}, "
            "or use --format"
        )
    return found


def compiled_for_a_look(flow: Flow[Any, Any], words: list[str], target: str) -> Any:
    """Compile a flow, to be drawn or checked.

    Secrets that are not given are taken as empty; of a workflow file all parameters that must be given.
    """
    with own_errors(flow, words):
        inputs = read_inputs(flow, words)
    empty = {str: "", int: 0, float: 0.0, bool: False, list: [], dict: {}}
    for name, parameter in flow.parameters.items():
        if not parameter.required or name in inputs:
            continue
        if is_secret(parameter.annotation):
            inputs[name] = ""
        elif is_workflow(target):
            inputs[name] = empty.get(parameter.annotation)
    with own_errors(flow, words):
        return flow.compile(inputs=inputs)


def drawing(graph: Graph, picture: Picture) -> str | bytes:
    """Return a graph as that kind of picture.

    Raises:
        CommandLineError: It needs Graphviz, which is not there or fails.
    """
    match picture:
        case Picture.text:
            return text(graph, ascii_only=not knows_unicode(sys.stdout.encoding)) + "\n"
        case Picture.mermaid:
            return mermaid(graph) + "\n"
        case Picture.dot:
            return dot(graph) + "\n"
        case Picture.svg:
            return svg(graph) + "\n"
        case Picture.html:
            return html(graph) + "\n"
        case _:
            return _by_graphviz(dot(graph), picture)


def _by_graphviz(text: str, picture: Picture) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise CommandLineError(
            f"{picture} needs Graphviz, whose program 'dot' is not there; install it, or write .svg or .html"
        )
    try:
        done = subprocess.run(
            [program, f"-T{picture}"],
            input=text.encode(),
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandLineError(f"Graphviz could not draw it: {error}") from None
    if done.returncode:
        said = label(done.stderr.decode("utf-8", "replace").strip(), 300)
        raise CommandLineError(f"Graphviz could not draw it: {said}")
    return done.stdout
