"""`type: shell`: a command of the shell, or a program with its arguments."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

from attrs import Attribute, frozen

from liteflow.task_types import shelltext
from liteflow.task_types.base import Language, TaskType, in_schema, option
from liteflow.task_types.commands import LONGEST_TEXT, Ended, run_command
from liteflow.task_types.faults import CommandError, OutputError, ValueRefusedError
from liteflow.task_types.templates import OPENING, as_text


@in_schema(pattern=r"\S", minItems=1)
def a_command(_work: object, _field: Attribute[Any], value: str | list[str]) -> None:
    """Refuse a command that no system can run."""
    texts = [text for text in ([value] if isinstance(value, str) else value) if isinstance(text, str)]
    if not value or (texts and not texts[0].strip()):
        raise ValueError("is empty; give a command")
    if any("\0" in text for text in texts):
        raise ValueError("has a NUL character in it, which no command can have; take it away")
    if any(len(text.encode("utf-8", "surrogatepass")) > LONGEST_TEXT for text in texts):
        raise ValueError(f"is longer than a command can be ({LONGEST_TEXT} bytes); put it into a file")
    script = None if isinstance(value, str) else _script_in(texts)
    if script is not None and OPENING in script:
        raise ValueError(
            f"has a template in a script that {texts[0]} runs, so a value could run anything; pass it beside "
            """the script: [sh, -c, 'echo "$1"', sh, "${{ ... }}"]"""
        )


# Programs that take a script as an argument, and behind which options.
_INTERPRETERS = (
    (re.compile(r"(?:ba|da|a|k|z|fi)?sh"), re.compile(r"-[a-zA-Z]*c[a-zA-Z]*")),
    (re.compile(r"(?:python|pypy)[\d.]*"), re.compile(r"-[a-zA-Z]*c")),
    (re.compile(r"(?:perl|ruby|node)[\d.]*"), re.compile(r"-[a-zA-Z]*[eEp]")),
)


def _script_in(words: Sequence[str]) -> str | None:
    """The argument of a program that it runs as a script."""
    name = os.path.basename(words[0])  # noqa: PTH119  text is what it is
    options = next((options for program, options in _INTERPRETERS if program.fullmatch(name)), None)
    for option_, script in pairwise(words[1:]):
        if options is None or not option_.startswith("-"):
            return None
        if options.fullmatch(option_):
            return script
    return None


@in_schema(propertyNames={"pattern": "^[^=]+$"})
def an_environment(_work: object, _field: Attribute[Any], value: Mapping[str, Any]) -> None:
    """Refuse names that no variable can have."""
    for name, text in value.items():
        if not name or "=" in name or "\0" in name or "\0" in str(text):
            raise ValueError(f"{name!r} can't be a variable; names have no '=', and nothing a NUL character")


@in_schema(minItems=1, items={"type": "integer", "minimum": -64, "maximum": 255})
def some_exit_codes(_work: object, _field: Attribute[Any], value: list[int]) -> None:
    """Refuse what no command ends with; a signal that has ended it counts below 0."""
    if not value:
        raise ValueError("is empty, so nothing would be a success; give a code, as 0")
    impossible = [code for code in value if not -64 <= code <= 255]
    if impossible:
        raise ValueError(f"has {impossible[0]}; exit codes are 0 to 255, and -N for the signal N")


@frozen(kw_only=True)
class FileOutput:
    """The output is what a file holds afterwards."""

    file: str = option(help="The file that the command writes; relative to its working directory.")


@frozen(kw_only=True)
class Shell(TaskType):
    r"""Run a command; its output is what it prints.

    Raises, when it runs:
        CommandError: The exit code is none of `exit_codes`.
        OutputError: What it gave is not what `outputs` says.
        TimeoutError: It took longer than `timeout`; its process group was killed.

    >>> Shell(run="printf 'a\nb\n'", outputs="lines").run()
    a
    b
    ['a', 'b']
    >>> hostile = '"; echo pwned; "$(echo pwned)'
    >>> work = Shell(run=["echo", "${{ params.x }}"]).filled({"params.x": hostile})
    >>> work.run() == hostile
    "; echo pwned; "$(echo pwned)
    True
    """

    kind: ClassVar[str] = "shell"
    keeps_time: ClassVar[bool] = True

    run_: str | list[str] = option(
        alias="run",
        help="A command for /bin/sh, or a list: a program and its arguments, without a shell.",
        validator=a_command,
        language=shelltext.embed,
    )
    cwd: str | None = option(None, help="The folder it works in; by default the one the run was started in.")
    env: dict[str, str | int] = option(
        factory=dict, help="Variables of the environment, beside those of the run.", validator=an_environment
    )
    outputs: Literal["stdout", "lines", "json"] | FileOutput = option(
        "stdout",
        help="What its output is: its stdout as text, as a list of lines, as JSON, or {file: PATH}.",
    )
    exit_codes: list[int] = option(
        factory=lambda: [0],
        help="The exit codes that mean success; with others than 0, see `.exit_code`.",
        validator=some_exit_codes,
    )

    def language(self, name: str) -> Language | None:
        """Return the language of a field: a list of arguments goes to no shell."""
        return None if isinstance(self.run_, list) else super().language(name)

    @property
    def tells_exit_code(self) -> bool:
        """Whether the output is `{"output": ..., "exit_code": ...}`, because success has several codes."""
        return self.exit_codes != [0]

    def run(self) -> object:
        """Run the command, and return its output."""
        command = self.run_ if isinstance(self.run_, str) else [as_argument(v) for v in self.run_]
        given = {**self.env, **self.variables}
        # All of it is copied only where something is added: it is a tenth of what a command costs.
        environment = {**os.environ, **{k: _variable(k, v) for k, v in given.items()}} if given else None
        cwd = None if self.cwd is None else as_text(self.cwd, "cwd")
        ended = run_command(command, cwd=cwd, environment=environment, timeout=self.timeout)
        if ended.exit_code not in self.exit_codes:
            raise CommandError(ended.exit_code, ended.stderr)
        output = self._output(ended)
        return {"output": output, "exit_code": ended.exit_code} if self.tells_exit_code else output

    def _output(self, ended: Ended) -> object:
        if isinstance(self.outputs, FileOutput):
            return _contents(Path(as_text(self.cwd, "cwd") or ".", as_text(self.outputs.file, "outputs")))
        text = ended.stdout.decode("utf-8", "replace")
        if self.outputs == "lines":
            return text.splitlines()
        if self.outputs == "json":
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                raise OutputError("json", f"the command did not print JSON ({error})") from None
        # As $(...) of the shell takes it.
        return text.rstrip("\n")


def as_argument(value: object) -> str:
    """Return a value as an argument of a program."""
    text = as_text(value, "an argument")
    _check(text, "an argument", "an argument")
    return text


def _variable(name: str, value: object) -> str:
    text = as_text(value, name)
    _check(text, name, "the environment")
    return text


def _check(text: str, name: str, place: str) -> None:
    if "\0" in text:
        raise ValueRefusedError(name, "has a NUL character in it", "take it away, or pass a file")
    size = len(text.encode("utf-8", "surrogateescape"))
    if size + len(name) + 1 > LONGEST_TEXT:
        problem = f"is too long for {place} ({size} bytes, {LONGEST_TEXT} are the most)"
        raise ValueRefusedError(name, problem, "write it to a file and pass its path, or use type: python")


def _contents(path: Path) -> str | bytes:
    try:
        # A pipe or a device would be read for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OutputError(f"{{file: {path}}}", "that is not a regular file")
        data = path.read_bytes()
    except OSError as error:
        raise OutputError(f"{{file: {path}}}", f"it can't be read: {error.strerror}") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
