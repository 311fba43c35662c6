"""A flow as text, run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liteflow.flow import Flow

if TYPE_CHECKING:
    from typing import Unpack

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
