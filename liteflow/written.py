"""Flows that are written as text: the faces of the arrow language, and of workflow files, on `Flow`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from os import PathLike
    from typing import Unpack

    from liteflow.options import FlowOptions

MAX_ROUNDS = 1000
"""A loop that goes on for longer was not meant to."""


class Written:
    """What a flow can be made of besides a function or an expression."""

    if TYPE_CHECKING:

        def __init__(self, name: str, recipe: Any, **options: Unpack[FlowOptions]) -> None: ...

    @classmethod
    def parse(
        cls,
        text: str,
        tasks: Any = None,
        *,
        name: str | None = None,
        max_rounds: int = MAX_ROUNDS,
        **options: Unpack[FlowOptions],
    ) -> Self:
        """Make a flow of a text in the arrow language; its parameter is `input`.

        Args:
            text: The text.
            tasks: What its tasks are looked up in: a mapping of names to tasks or functions, a
                module, or several of those; None: what the caller can see.
            name: The flow's name; None: as the text says, else "flow".
            max_rounds: How many rounds the loops of one scope may make.
            options: Defaults for its runs, as of any flow.

        Raises:
            ArrowError: What is wrong with the text, and where.

        >>> from liteflow import Flow
        >>> def double(input): return {"n": 2 * input["n"]}
        >>> def show(input): return f"it is {input['n']}"
        >>> flow = Flow.parse("double → ? `$[?(@.n < 10)]` double → show", [double, show])
        >>> flow.run(input={"n": 2}, db=None).result
        'it is 8'
        """
        # Start-up: the language is for those who use it.
        from liteflow.arrows.recipe import recipe_of_text  # noqa: PLC0415
        from liteflow.arrows.tasks import caller_names  # noqa: PLC0415

        given = caller_names(1) if tasks is None else tasks
        recipe = recipe_of_text(text, given, name, max_rounds, sys._getframe(1).f_code.co_filename)
        return cls(recipe.name, recipe, **{**recipe.options, **options})

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        tasks: Any = None,
        *,
        name: str | None = None,
        max_rounds: int = MAX_ROUNDS,
        **options: Unpack[FlowOptions],
    ) -> Self:
        """Make the flow that a file describes: in the arrow language (.flow), or a workflow file.

        Args:
            path: A file in UTF-8 that ends in .flow, .yaml, .yml or .json.  Resources in a .flow
                file are relative to its folder.
            tasks, max_rounds: As in `parse`, for .flow alone.
            name: The flow's name; None: as the file says, else its name without the ending.
            options: Defaults for its runs, which win over those in the file.

        Raises:
            DefinitionError: What is wrong with the file, with the place of each mistake.
            CommandLineError: The file can't be read.
        """
        if not str(path).lower().endswith(".flow"):
            from liteflow.files.compile import described_in  # noqa: PLC0415  as above

            made = described_in(path, name)
            return cls(made.name, made.function, **{**made.options, **options})
        from liteflow.arrows.recipe import recipe_of_file  # noqa: PLC0415  as above
        from liteflow.arrows.tasks import caller_names  # noqa: PLC0415

        given = caller_names(1) if tasks is None else tasks
        recipe = recipe_of_file(path, given, name, max_rounds)
        return cls(recipe.name, recipe, **{**recipe.options, **options})
