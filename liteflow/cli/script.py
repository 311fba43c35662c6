"""How does `liteflow run FILE` get at the flows of a script?

The script becomes the main module, as with `python FILE`: its folder is first in the search
path, its functions and classes travel to workers as those of a main module do, and resuming
it finds them again however it was started.  Only what stands under
`if __name__ == "__main__":` is not run: its name is `SCRIPT_MODULE`.
"""

from __future__ import annotations

import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from liteflow.cli.output import complain
from liteflow.errors import CommandLineError, LiteflowError, UnknownNameError
from liteflow.flow import Flow
from liteflow.hints import is_secret
from liteflow.pickling import SCRIPT_MODULE
from liteflow.runnable import Runnable, runs_refused
from liteflow.views.shown import cut, label, visible

if TYPE_CHECKING:
    from liteflow.secret import Mask

# More than any script; a device or a database given by mistake is not read to its end.
LARGEST = 16 * 1024 * 1024
LONGEST_LINE = 500

_LIBRARY = str(Path(__file__).parent.parent) + os.sep


def load_script(path: Path) -> ModuleType:
    """Run the script's top level as the main module, and return that module."""
    code_of = _read(path)
    full = path.absolute()
    module = ModuleType(SCRIPT_MODULE)
    loader = SourceFileLoader(SCRIPT_MODULE, str(full))
    root, package = _package_of(full.resolve())
    module.__dict__.update(__file__=str(full), __loader__=loader, __spec__=None, __builtins__=__builtins__)
    module.__package__ = package
    _become_main(module, full, root)
    try:
        # Not through the import system, which would write a __pycache__ beside the script.
        with _runs_refused(path):
            exec(loader.source_to_code(code_of, str(full)), module.__dict__)
    except (CommandLineError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise CommandLineError(
            f"{path} ended itself while it was loaded (exit status {label(str(error.code))}); "
            'put what only a program does under if __name__ == "__main__":'
        ) from None
    except Exception as error:  # noqa: BLE001  it is the script's own, whatever it is
        print_users_traceback(error, str(full))
        raise CommandLineError(f"{path} failed while it was loaded: {type(error).__name__}") from None
    return module


def flows_of(module: ModuleType, wanted: str | None, file: str) -> list[Flow[Any, Any]]:
    """Return all flows of a script, or the one of that name; errors as `pick_flow`."""
    if wanted is not None:
        return [pick_flow(module, wanted, file)]
    flows = {id(value): value for value in vars(module).values() if isinstance(value, Flow)}
    return list(flows.values()) or [pick_flow(module, None, file)]


def pick_flow(module: ModuleType, wanted: str | None, file: str) -> Flow[Any, Any]:
    """Return the flow of that name, or the only one.

    Raises:
        CommandLineError: There is none, or which one is not clear.
    """
    flows: dict[int, Flow[Any, Any]] = {}
    by_name: dict[str, Flow[Any, Any]] = {}
    for name, value in vars(module).items():
        if isinstance(value, Flow):
            flows[id(value)] = value
            by_name[name] = value
    by_name |= {flow.name: flow for flow in flows.values()}
    names = sorted({label(flow.name) for flow in flows.values()})
    if not flows:
        raise CommandLineError(
            f'{file} has no flow; decorate a function with @flow, or make one: Flow("name", expression)'
        )
    if wanted is not None:
        if wanted not in by_name:
            raise UnknownNameError(file, "flow", wanted, names)
        return by_name[wanted]
    if len(flows) > 1:
        raise CommandLineError(
            f"{file} has {len(flows)} flows: {', '.join(names)}; say which one: {file}:{names[0]}"
        )
    return next(iter(flows.values()))


def print_users_traceback(
    error: BaseException, first_file: str | None = None, hide: Callable[[str], str] = str
) -> None:
    """Print the traceback of an error in the user's code, without the frames that are ours.

    Args:
        error: What was raised.
        first_file: The traceback begins where this file is first met; None: where the
            library is left for good.
        hide: Takes secrets out of the text.
    """
    shown = (
        _from_file(error.__traceback__, first_file) if first_file else _beyond_library(error.__traceback__)
    )
    if isinstance(error, LiteflowError):
        # It was raised by us on purpose: the line that is wrong is the last that is not ours.
        shown = _without_library(shown)
    text = hide("".join(traceback.format_exception(type(error), error, shown)).rstrip("\n"))
    # A line of the script may have megabytes.
    complain("\n".join(cut(visible(line, keep="\t"), LONGEST_LINE) for line in text.split("\n")))


@contextmanager
def own_errors(flow: Flow[Any, Any], words: Sequence[str] = (), debug: bool = False) -> Iterator[None]:
    """Inside, what a flow's own function raises is shown as such, without secrets.

    Args:
        flow: Which.
        words: The arguments on the command line, among which may be secrets.
        debug: Tracebacks are whole.

    Raises:
        CommandLineError: It has raised something.
    """
    try:
        yield
    except LiteflowError:
        if debug:
            traceback.print_exc()
        raise
    except Exception as error:  # noqa: BLE001  it is the flow's own, whatever it is
        hide = _mask(flow, words).text
        if debug:
            complain(hide(traceback.format_exc().rstrip()))
        else:
            # Not a task's error, which the run keeps: the flow's own function raised it.
            print_users_traceback(error, hide=hide)
        raise CommandLineError(f"flow {label(flow.name)} raised {type(error).__name__}") from None


def _mask(flow: Flow[Any, Any], words: Sequence[str]) -> Mask:
    """Hides the secrets that a flow was given."""
    from liteflow.secret import Mask, secrets_in  # noqa: PLC0415  start-up: few flows have any

    given = {name: text for name, _, text in (word.partition("=") for word in words)}
    secret = [name for name, parameter in flow.parameters.items() if is_secret(parameter.annotation)]
    told = [given[name] for name in secret if name in given]
    return Mask([*told, *secrets_in(os.environ, flow.parameters).values()])


def _read(path: Path) -> bytes:
    shown = label(str(path), 200)
    try:
        found = path.stat()
        why_not = _why_no_script(found)
        code = path.read_bytes() if why_not is None else b""
    except FileNotFoundError:
        raise CommandLineError(f"no such file: {shown}") from None
    except (OSError, ValueError) as error:
        raise CommandLineError(f"can't read {shown}: {_reason(error)}") from None
    if why_not is not None:
        raise CommandLineError(f"{shown} is {why_not}")
    try:
        # compile() passes over wrong bytes in a comment, where `python FILE` refuses them.
        decode_source(code)
    except (UnicodeDecodeError, SyntaxError):
        where = _undecodable(code)
        # An encoding that is not known is told by loading, with the line.
        if where is not None:
            raise CommandLineError(
                f"{shown}, {where}; save it as UTF-8, or name its encoding in the first line, "
                "like # coding: latin-1"
            ) from None
    return code


def _undecodable(code: bytes) -> str | None:
    try:
        code.decode("utf-8")
    except UnicodeDecodeError as error:
        line = code.count(b"\n", 0, error.start) + 1
        return f"line {line}: byte 0x{code[error.start]:02x} is no UTF-8"
    return None


def _why_no_script(found: os.stat_result) -> str | None:
    if stat.S_ISDIR(found.st_mode):
        return "a directory; give the script in it"
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    if found.st_size > LARGEST:
        return f"too large for a script ({found.st_size} bytes)"
    return None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _package_of(path: Path) -> tuple[Path, str]:
    """The folder in which a file's package lies, and that package's name, as for `python -m`; "": none.

    So `from .rows import Row` finds what it finds there.
    """
    folder, names = path.parent, []
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        names.append(folder.name)
        folder = folder.parent
    return folder, ".".join(reversed(names))


def _become_main(module: ModuleType, path: Path, root: Path) -> None:
    # The module that was the main one until now must live on: our own code may be in it.
    sys.modules["__liteflow_command_line__"] = sys.modules["__main__"]
    sys.modules["__main__"] = sys.modules[SCRIPT_MODULE] = module
    sys.argv = [str(path)]
    # As Python does: the folder of the file itself, where a symbolic link leads to it.
    sys.path.insert(0, str(path.resolve().parent))
    if str(root) not in sys.path:
        sys.path.insert(1, str(root))
    # `python -m liteflow` in a checkout found us in the working directory; workers must find us too.
    home = str(Path(__file__).parents[2])
    if home not in sys.path:
        sys.path.append(home)


@contextmanager
def _runs_refused(path: Path) -> Iterator[None]:
    """Let no flow run while the script is loaded: who asked for a run would get two, who looks one."""

    def refuse(flow: Runnable[Any]) -> None:
        raise CommandLineError(
            f"{path} runs flow {flow.name} while it is loaded; put that under "
            f'if __name__ == "__main__":, or start the script with python {path}'
        )

    with runs_refused(refuse):
        yield


def _from_file(frames: TracebackType | None, file: str) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename != file:
        frames = frames.tb_next
    return frames


def _without_library(frames: TracebackType | None) -> TracebackType | None:
    own = []
    while frames is not None:
        if not frames.tb_frame.f_code.co_filename.startswith(_LIBRARY):
            own.append(frames)
        frames = frames.tb_next
    kept: TracebackType | None = None
    for frame in reversed(own):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def _beyond_library(frames: TracebackType | None) -> TracebackType | None:
    first: TracebackType | None = frames
    while frames is not None:
        if frames.tb_frame.f_code.co_filename.startswith(_LIBRARY):
            first = frames.tb_next
        frames = frames.tb_next
    return first
