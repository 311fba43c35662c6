"""`liteflow validate FILE ...`: is what the files say a flow?  Every mistake at once; nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from liteflow.cli.common import Json, Tasks, examples
from liteflow.cli.dag import compiled_for_a_look
from liteflow.cli.output import complain, print_json_list, say
from liteflow.cli.script import flows_of, load_script, own_errors
from liteflow.cli.source import SCRIPT, is_workflow, load_flow, split_target, suffix_of
from liteflow.errors import LiteflowError
from liteflow.files.mistakes import WorkflowFileError, WorkflowPathError, path_text
from liteflow.flow import Flow
from liteflow.task import task
from liteflow.views.shown import counted, label, visible

WRONG = 2


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            "liteflow validate daily.yaml",
            "liteflow validate *.yaml etl.py --json",
            "liteflow validate nightly.flow --tasks my_tasks",
        )
    )
    def validate(
        files: Annotated[
            list[str],
            typer.Argument(metavar="FILE...", help="Workflow files, .flow files, and Python files."),
        ],
        tasks: Tasks = None,
        as_json: Json = False,
    ) -> None:
        """Check files, and tell all that is wrong with them; nothing is run but a Python file's top level.

        The exit status is 2 if anything is wrong.
        """
        checked = [_checked(file, tasks) for file in files]
        if as_json:
            print_json_list({"file": file, "has": has, "mistakes": found} for file, has, found in checked)
        else:
            for file, has, found in checked:
                if not found:
                    say(f"{label(file, 200)}: well, {has}")
                for mistake in found:
                    complain(_line(file, mistake))
        if any(found for _, _, found in checked):
            raise typer.Exit(WRONG)


Found = list[dict[str, object]]


def _checked(target: str, tasks: str | None) -> tuple[str, str, Found]:
    """What a file has, and what is wrong with it."""
    try:
        if suffix_of(split_target(target)[0]) == SCRIPT:
            return target, *_script(target)
        flow = load_flow(target, tasks)
        count = len(compiled_for_a_look(flow, [], target).nodes) if is_workflow(target) else _steps(flow)
    except WorkflowFileError as error:
        return (
            target,
            "",
            [_mistake(m.line, m.column, path_text(m.path), m.problem, m.remedy) for m in error.mistakes],
        )
    except WorkflowPathError as error:
        return target, "", [_mistake(None, None, "", error.problem, "")]
    except LiteflowError as error:
        return target, "", [_of_arrows(error) if hasattr(error, "excerpt") else _whole(error, "")]
    return target, counted(count, "task"), []


@task(name="input")
def _whatever_comes_in() -> Any:
    """Stands for the input of a .flow file, of which nothing is known before it runs."""


def _steps(flow: Flow[Any, Any]) -> int:
    """How many task instances the flow of a .flow file has, which are checked."""
    # Beside its input it takes secrets alone, and of those nothing is known either.
    secrets = {name: "" for name, parameter in flow.parameters.items() if parameter.required}
    nodes = Flow(flow.name, flow(_whatever_comes_in(), **secrets)).compile().nodes
    return sum(node.task is not _whatever_comes_in for node in nodes)


def _script(target: str) -> tuple[str, Found]:
    file, wanted = split_target(target)
    flows = flows_of(load_script(Path(file)), wanted, file)
    found = [mistake for flow in flows for mistake in _flow(flow)]
    return counted(len(flows), "flow"), found


def _flow(flow: Flow[Any, Any]) -> Iterator[dict[str, object]]:
    if any(parameter.required for parameter in flow.parameters.values()):
        # Its calls may depend on what it is given: there is nothing to compile yet.
        return
    try:
        with own_errors(flow):
            flow.compile()
    except LiteflowError as error:
        yield _whole(error, flow.name)


def _whole(error: LiteflowError, path: str) -> dict[str, object]:
    return _mistake(None, None, path, str(error), "")


def _of_arrows(error: Any) -> dict[str, object]:
    """An ArrowError, whose module most files do without."""
    line, column = (error.line, error.column) if error.line else (None, None)
    return {**_mistake(line, column, "", error.problem, error.remedy), "excerpt": error.excerpt}


def _mistake(line: int | None, column: int | None, path: str, problem: str, remedy: str) -> dict[str, object]:
    return {"line": line, "column": column, "path": path, "problem": problem, "remedy": remedy}


def _line(file: str, mistake: dict[str, object]) -> str:
    place = ":".join(str(mistake[k]) for k in ("line", "column") if mistake[k] is not None)
    where = f"{label(file, 200)}{f':{place}' if place else ''}:"
    parts = [str(mistake.get(key, "")) for key in ("problem", "excerpt", "remedy")]
    told = ("\n" if parts[1] else "; ").join(filter(None, parts))
    return visible(" ".join(part for part in (where, str(mistake["path"]), told) if part), keep="\n\t")
