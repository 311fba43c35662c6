"""A path, or a Workflow -> what a flow is made of, with the file's settings as the options of its runs.

What a file says goes through the same calls as a script's (build.py), so it is checked, stored and
resumed by the same code.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve

from liteflow.collecting import uncollected
from liteflow.files.build import Builder
from liteflow.files.load import parse_with_tree, read_file
from liteflow.files.model import Workflow
from liteflow.files.tree import Tree
from liteflow.names import checked_name


class Described(NamedTuple):
    """What a flow is made of; its function gives a dict of the outputs of its final tasks, by name."""

    name: str
    function: Callable[..., Any]
    options: dict[str, Any]


def described_in(path: str | os.PathLike[str], name: str | None = None) -> Described:
    """Return what the flow of a workflow file is made of.

    Args:
        path: The file, `.yaml`, `.yml` or `.json`.
        name: The flow's name; None: as the file says.

    Raises:
        WorkflowPathError: There is no such file.
        WorkflowFileError: What is wrong in it, all of it.
    """
    full = Path(path)
    workflow, tree = parse_with_tree(read_file(full), str(path), json=full.suffix.lower() == ".json")
    if name is not None:
        workflow = evolve(workflow, workflow_name=checked_name(name, "a flow"))
    return described_by(workflow, str(full.absolute()), tree)


@uncollected()
def described_by(workflow: Workflow, file: str, tree: Tree | None = None) -> Described:
    """Return what the flow of a workflow is made of.

    Args:
        workflow: The workflow.
        file: Where it is written, for errors and for the record.
        tree: Where its parts stand in the file.

    Raises:
        WorkflowFileError: It uses what can't be had: a module that is not there, a parameter's
            item that its value does not have.

    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: w, params: {n: 2}, tasks: {a: {run: 'echo ${{ params.n }}'}}}"
    >>> sorted(described_by(parse_workflow(text, "w.yaml"), "w.yaml").function(n=3))
    ['a']
    """
    builder = Builder(workflow, file, tree or Tree({}, 1, 1))
    return Described(workflow.workflow_name, builder.recipe(), options_of_runs(workflow))


def options_of_runs(workflow: Workflow) -> dict[str, Any]:
    """Return what a file's settings say of its runs, as options of a Flow.

    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: w, tasks: {a: {run: ls}}, settings: {max_parallel_tasks: 2}}"
    >>> options_of_runs(parse_workflow(text, "w.yaml"))
    {'max_workers': 2}
    """
    settings = workflow.settings
    options = {
        "max_workers": settings.max_parallel_tasks,
        "executor": settings.mode,
        "db": settings.db,
        "log_dir": settings.log_dir,
        "resources": settings.resources,
        "xcom_storage": settings.xcom_storage,
        "xcom_threshold": settings.xcom_threshold,
    }
    return {name: value for name, value in options.items() if value is not None}
