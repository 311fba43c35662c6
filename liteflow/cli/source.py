"""Where does a flow come from?  From a file: its suffix says of which kind.

    .py                  a script (script.py)
    .yaml, .yml, .json   a workflow file
    .flow                the arrow language, whose tasks lie in a module

Another kind of file is one more entry of `READERS`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from liteflow.cli.script import load_script, pick_flow, print_users_traceback
from liteflow.errors import CommandLineError, LiteflowError, UnknownNameError
from liteflow.flow import Flow
from liteflow.store.history import RunRow
from liteflow.store.place import default_db
from liteflow.views.shown import label


def _workflow(file: str, tasks: str | None, name: str | None) -> Flow[..., Any]:
    if tasks is not None:
        raise CommandLineError("--tasks goes with a .flow file; a workflow file names its tasks itself")
    return Flow.from_file(file, name=name)


def _arrows(file: str, tasks: str | None, name: str | None) -> Flow[..., Any]:
    return Flow.from_file(file, load_tasks(file, tasks), name=name)


SCRIPT: Final = ".py"
READERS: Final[Mapping[str, Callable[[str, str | None, str | None], Flow[..., Any]]]] = {
    ".yaml": _workflow,
    ".yml": _workflow,
    ".json": _workflow,
    ".flow": _arrows,
}
"""What reads a file that holds one flow, by the file's suffix."""


def load_flow(target: str, tasks: str | None = None) -> Flow[Any, Any]:
    """Return the flow of a file.

    Args:
        target: `FILE`, or `FILE:flow` with the name of the flow, or of a script's variable.
        tasks: For a .flow file: the module, or the Python file, with its tasks; None: the Python
            file of the same name beside it, if there is one.

    Raises:
        DefinitionError: What is wrong with a workflow file, all of it.
        CommandLineError: There is no such file or flow, or a script failed while it was
            loaded; then its own traceback has been printed.
    """
    file, wanted = split_target(target)
    if not file:
        raise CommandLineError("no file is named; give a file, or FILE:FLOW")
    return load_flow_from(file, wanted, tasks)


def load_flow_from(
    file: str, wanted: str | None, tasks: str | None = None, *, recorded: bool = False
) -> Flow[Any, Any]:
    """Return the flow of that name in a file, or its only one; errors as `load_flow`.

    `recorded`: the name is that of a run; `Flow.from_file(..., name=)` may have given it to the
    only flow of a file which calls it otherwise.
    """
    reader = READERS.get(suffix_of(file))
    if reader is None and tasks is not None:
        raise CommandLineError("--tasks goes with a .flow file; a script has its tasks itself")
    if reader is None:
        return pick_flow(load_script(Path(file)), wanted, file)
    flow = reader(file, tasks, wanted if recorded else None)
    if wanted not in (None, flow.name):
        raise UnknownNameError(file, "flow", wanted, [flow.name])
    return flow


def flow_of_run(row: RunRow, file: str | None, tasks: str | None, method: str) -> Flow[Any, Any]:
    """Return the flow of a run: from the file that is named, else from the one that it was begun from.

    Args:
        row: The run.
        file: `FILE[:FLOW]`, as the user has named it.
        tasks: As in `load_flow`.
        method: What of the flow does the same in Python, for who has no file.

    Raises:
        CommandLineError: No file is known, or it is gone.
        LiteflowError: As `load_flow`.
    """
    if file is not None:
        name, wanted = split_target(file)
        return load_flow_from(name, wanted or row.flow, tasks)
    if row.script is None:
        raise CommandLineError(
            f"run {row.id} was begun at a prompt or from standard input, so no file holds its flow; name one "
            f"with --file, or call {label(row.flow)}.{method}({row.id!r}) where the flow is defined"
        )
    if not Path(row.script).exists():
        raise CommandLineError(
            f"{label(row.script, 300)}, which run {row.id} was begun from, is gone; name its file with --file"
        )
    return load_flow_from(row.script, row.flow, tasks, recorded=True)


def split_target(target: str) -> tuple[str, str | None]:
    """Return the file and the flow's name that `FILE[:flow]` means.

    >>> split_target("etl.py:daily"), split_target("etl.py")
    (('etl.py', 'daily'), ('etl.py', None))
    """
    file, colon, name = target.rpartition(":")
    if not colon or "/" in name or os.path.exists(target):  # noqa: PTH110  may be no valid path at all
        return target, None
    return file, name


def is_file(target: str) -> bool:
    """Whether `FILE[:flow]` is meant, and not a run or a flow's name.

    >>> is_file("etl.py:daily"), is_file("x.yaml"), is_file("latest")
    (True, True, False)
    """
    suffix = suffix_of(split_target(target)[0])
    return suffix == SCRIPT or suffix in READERS


def is_workflow(target: str) -> bool:
    """Whether a workflow file is meant: YAML or JSON."""
    return READERS.get(suffix_of(split_target(target)[0])) is _workflow


def is_arrows(target: str) -> bool:
    """Whether a .flow file is meant."""
    return READERS.get(suffix_of(split_target(target)[0])) is _arrows


def load_tasks(file: str, tasks: str | None) -> ModuleType:
    """Load the module with the tasks of a .flow file; arguments as in `load_flow`.

    Raises:
        CommandLineError: There is no such module, or it failed while it was loaded.
    """
    if tasks is None:
        beside = Path(file).with_suffix(".py")
        return load_script(beside) if beside.exists() else ModuleType("no tasks")
    if tasks.endswith(".py"):
        return load_script(Path(tasks))
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  as Python itself does with -m
    try:
        return import_module(tasks)
    except ModuleNotFoundError as error:
        raise CommandLineError(
            f"there is no module {label(str(error.name))}; --tasks names a module"
        ) from None
    except LiteflowError:
        raise
    except Exception as error:  # noqa: BLE001  it is the module's own, whatever it is
        print_users_traceback(error)
        raise CommandLineError(f"{tasks} failed while it was loaded: {type(error).__name__}") from None


def suffix_of(file: str) -> str:
    """Return the end of a file's name that says what it is: `.yaml`."""
    return os.path.splitext(file)[1].lower()  # noqa: PTH122  may be no valid path at all


def db_for(target: str, told: str | None) -> str | None:
    """Return the store that is meant for a run of a file: the nearest word wins.

    Args:
        target: The file.
        told: What `--db` says.

    Returns:
        None: as the flow itself says.
    """
    if told is None and is_workflow(target) and os.environ.get("LITEFLOW_DB"):
        # What a workflow file says is farther away than what this shell says.
        return os.environ["LITEFLOW_DB"]
    return told


def store_of(flow: Flow[Any, Any], told: str | None) -> Path:
    """Return the store file of a flow's runs.

    Raises:
        CommandLineError: `--db ""`; or the flow keeps nothing.
    """
    if told == "":
        raise CommandLineError("--db names no file; name one, or leave it out")
    own = flow.options.get("db", default_db()) if told is None else told
    if own is None:
        raise CommandLineError(f"flow {label(flow.name)} keeps nothing (db=None); name a store with --db")
    return Path(os.fsdecode(own))
