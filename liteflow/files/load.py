"""A path -> a Workflow, or every mistake of the file at once.

Only regular files are read, and only small ones: a pipe would be waited for, a device read
for ever.  Nothing that a file says is run while it is read.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from liteflow.collecting import uncollected
from liteflow.files.jsontree import read_json
from liteflow.files.mistakes import Mistake, MistakesFoundError, WorkflowFileError, WorkflowPathError
from liteflow.files.model import Workflow
from liteflow.files.structure import read_workflow
from liteflow.files.tree import Tree, place_at
from liteflow.files.yamltree import read_yaml

LARGEST = 1024 * 1024
"""A workflow file may have so many bytes."""

SUFFIXES = (".yaml", ".yml", ".json")

# What no text has but a damaged one, or one that is to deceive.  As YAML has it (1.1, 5.1 Character Set).
REFUSED = re.compile(
    "[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\ufeff\u202a-\u202e\u2066-\u2069]"
)


def load_workflow(path: str | os.PathLike[str]) -> Workflow:
    """Read a workflow file.

    Raises:
        WorkflowPathError: There is no such file, or it is none that can be read.
        WorkflowFileError: What is wrong in it, all of it.
    """
    file = Path(path)
    return parse_workflow(_read(file), str(path), json=file.suffix.lower() == ".json")


def parse_workflow(data: bytes | str, file: str, *, json: bool = False) -> Workflow:
    """Read a workflow from the text of a file.

    Args:
        data: The text, or its bytes in UTF-8.
        file: What errors call it.
        json: Whether it is JSON, and not YAML.

    Raises:
        WorkflowFileError: What is wrong in it, all of it.

    >>> text = "workflow_name: hello\\ntasks: {say: {run: echo hello}}"
    >>> list(parse_workflow(text, "hello.yaml").tasks)
    ['say']
    """
    workflow, _ = parse_with_tree(data, file, json=json)
    return workflow


@uncollected()
def parse_with_tree(data: bytes | str, file: str, *, json: bool = False) -> tuple[Workflow, Tree]:
    """Read a workflow and where each part of it stands; as `parse_workflow`."""
    try:
        text = data if isinstance(data, str) else _decoded(data)
        _refuse_characters(text)
        tree, mistakes = read_json(text) if json else read_yaml(text)
    except MistakesFoundError as found:
        raise WorkflowFileError(file, found.mistakes) from None
    workflow, misfits = read_workflow(tree)
    # A word that YAML reads in its own way is told of once, as that.
    known = {(mistake.line, mistake.column) for mistake in mistakes}
    mistakes += [mistake for mistake in misfits if (mistake.line, mistake.column) not in known]
    if mistakes or workflow is None:
        raise WorkflowFileError(file, tuple(sorted(mistakes, key=lambda m: (m.line, m.column))))
    return workflow, tree


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a workflow file.

    Raises:
        WorkflowPathError: There is no such file, or it is none that can be read.
    """
    return _read(Path(path))


def _read(path: Path) -> bytes:
    shown = str(path).encode("unicode_escape").decode("ascii")[:200]
    if path.suffix.lower() not in SUFFIXES:
        raise WorkflowPathError(shown, f"a workflow file ends in one of {', '.join(SUFFIXES)}; rename it")
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise WorkflowPathError(shown, "that is a directory; give the file in it")
        if not stat.S_ISREG(found.st_mode):
            raise WorkflowPathError(shown, "that is no regular file; give one")
        if found.st_size > LARGEST:
            problem = f"{found.st_size} bytes are too many for a workflow; keep data elsewhere"
            raise WorkflowPathError(shown, problem)
        return path.read_bytes()
    except FileNotFoundError:
        raise WorkflowPathError(shown, "there is no such file") from None
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise WorkflowPathError(shown, f"it can't be read: {said}") from None


def _decoded(data: bytes) -> str:
    if len(data) > LARGEST:
        problem = f"{len(data)} bytes are too many for a workflow ({LARGEST} are the most)"
        raise MistakesFoundError([Mistake(1, 1, (), problem, "keep data elsewhere")])
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise MistakesFoundError([Mistake(1, 1, (), "the file is in UTF-16", "save it as UTF-8")])
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        place = place_at(before, len(before))
        problem = f"byte 0x{data[error.start]:02x} is no UTF-8"
        raise MistakesFoundError([Mistake(*place, (), problem, "save the file as UTF-8")]) from None


def _refuse_characters(text: str) -> None:
    found = REFUSED.search(text)
    if found is not None:
        problem = f"character U+{ord(found[0]):04X} is no text that people see"
        place = place_at(text, found.start())
        raise MistakesFoundError([Mistake(*place, (), problem, "take it away")])
