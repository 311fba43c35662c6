"""`liteflow visualize`: a run, or a flow in a script, as Mermaid, DOT or text."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from liteflow.cli.common import Db, examples, open_history
from liteflow.cli.dag import Picture, arrow_drawing, compiled_for_a_look, group_drawing, text_of_flow
from liteflow.cli.output import complain, knows_unicode, say
from liteflow.cli.source import is_file, load_flow, suffix_of
from liteflow.errors import CommandLineError
from liteflow.views import mermaid as mermaid_view
from liteflow.views.dot import dot
from liteflow.views.graph import Graph, fold, from_dag, from_run
from liteflow.views.mermaid import mermaid
from liteflow.views.text import text


class Format(StrEnum):
    """What a graph can be written as."""

    mermaid = "mermaid"
    dot = "dot"
    text = "text"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow visualize latest",
            "liteflow visualize etl --format text",
            "liteflow visualize etl.py:daily --format dot | dot -Tsvg > daily.svg",
        )
    )
    def visualize(
        target: Annotated[
            str,
            typer.Argument(
                metavar="FLOW|RUN|FILE[:FLOW]",
                help="A run, as `show` has it, a flow in a Python file, which is loaded, or a .flow file.",
            ),
        ],
        arguments: Annotated[
            list[str] | None,
            typer.Argument(metavar="NAME=VALUE", help="With FILE: arguments of the flow."),
        ] = None,
        *,
        to: Annotated[
            Format, typer.Option("--format", metavar="|".join(Format), help="What to write.")
        ] = Format.mermaid,
        folded: Annotated[
            bool | None,
            typer.Option(
                "--fold/--no-fold",
                help="Draw the task instances of one task as one; by default only when they are too many.",
            ),
        ] = None,
        db: Db = None,
    ) -> None:
        """Draw a run with its states, or the flow of a script or a .flow file."""
        drawn = _of_file(target, arguments or [], Picture(to.value)) if is_file(target) else None
        if isinstance(drawn, str):
            say(drawn.rstrip("\n"))
            return
        graph = drawn or _of_run(target, arguments, db)
        if folded:
            graph = fold(graph)
        elif folded is None and to is Format.mermaid:
            graph = _drawable(graph)
        say(_written(graph, to))


def _of_file(target: str, words: list[str], picture: Picture) -> Graph | str:
    """The graph of a flow; one in the arrow language is drawn at once."""
    if suffix_of(target) == ".flow":
        return str(arrow_drawing(target, picture))
    flow = load_flow(target)
    written = text_of_flow(flow)
    if written is not None:
        return str(group_drawing(written, flow.name, picture))
    return from_dag(compiled_for_a_look(flow, words, target))


def _of_run(ref: str, arguments: list[str] | None, db: str | None) -> Graph:
    if arguments:
        raise CommandLineError("arguments go with a Python file: a run has had its own")
    with open_history(db) as history:
        run = history.find_run(ref)
        # What has grown from a call comes after it.
        edges = [*history.edges(run.id), *history.grown(run.id)]
        return from_run(run, history.tasks(run.id), edges)


def _drawable(graph: Graph) -> Graph:
    """What mermaid draws: it refuses a text that is too long or has too many edges."""
    if len(graph.edges) <= mermaid_view.MAX_EDGES and len(mermaid(graph)) <= mermaid_view.MAX_CHARACTERS:
        return graph
    folded = fold(graph)
    complain(
        f"liteflow: {graph.instances} task instances are too many for mermaid; they are drawn folded, "
        "--no-fold draws each"
    )
    return folded


def _written(graph: Graph, to: Format) -> str:
    if to is Format.mermaid:
        return mermaid(graph)
    if to is Format.dot:
        return dot(graph)
    return text(graph, ascii_only=not knows_unicode(sys.stdout.encoding))
