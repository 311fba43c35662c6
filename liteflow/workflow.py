"""A flow as text, run at once, and the flow of a workflow that has been read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liteflow.flow import Flow

if TYPE_CHECKING:
    from typing import Unpack

    from liteflow.files.model import Workflow
    from liteflow.options import FlowOptions


def run_workflow(text: str, functions: Any, input: Any = None, **options: Unpack[FlowOptions]) -> Any:
    """Run a flow in the arrow language, and give its result.

    Args:
        text: The flow.
        functions: What its tasks are looked up in: a mapping such as `locals()`, a module, or
            several functions.
        input: What goes to its first steps; None: an empty object.
        options: As of any run: `db`, `executor`, `max_workers`, ...

    Raises:
        ArrowError: What is wrong with the text, and where.
        RunFailed: A task failed; its own exception is the cause.

    >>> def A(input): return {"n": input["n"] + 1}
    >>> def B(input): return {"b": input["n"]}
    >>> def C(input): return {"c": -input["n"]}
    >>> run_workflow("A → B|C → > :end", locals(), input={"n": 1}, db=None)
    {'b': 2, 'c': -2}
    """
    return Flow.parse(text, functions, **options).run(inputs={"input": input}).result


def flow_of(workflow: Workflow, file: str, **options: Unpack[FlowOptions]) -> Flow[..., Any]:
    """Return the flow that a workflow describes, which `liteflow.files.load.parse_workflow` has read.

    Args:
        workflow: The workflow.
        file: Where it is written, for errors and for the record.
        options: Defaults for its runs; they win over the workflow's settings.

    Raises:
        WorkflowFileError: It uses what can't be had.

    >>> from liteflow.files.load import parse_workflow
    >>> text = "{workflow_name: w, params: {n: 2}, tasks: {a: {run: 'echo ${{ params.n }}'}}}"
    >>> flow = flow_of(parse_workflow(text, "w.yaml"), "w.yaml")
    >>> flow.compile(n=3).node("a").key
    'a'
    """
    # Start-up: all that reads files.
    from liteflow.files.compile import described_by  # noqa: PLC0415

    made = described_by(workflow, file)
    told: dict[str, Any] = {**made.options, **options}
    return Flow(made.name, made.function, **told)
