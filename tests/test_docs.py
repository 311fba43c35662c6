"""What the documents show is what happens: every snippet is run, and its output compared.

Each page is read from top to bottom in a new folder, in which the examples lie too:

- ```python    a script, run by itself.  A first line `# name.py` says what file it is, for what comes later.
- ```text      straight after a script: what it prints.
- ```console   lines after `$ ` are commands of the shell, the others are what they print.
- ```sql       a query of the folder's liteflow.db; a ```text straight after it is what it gives.

Ids, times, durations and folders may differ; `...` stands for whatever else may.  A block marked `sample`
(```console sample) is run too, but what it prints differs from machine to machine, and is not compared.
```bash blocks install things: .ci/run runs those of the README.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from attrs import frozen
from support.forked import Forked, Request

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Each of their commands and scripts is started as a reader starts it; those of the others are forked.
AS_READERS_DO = (ROOT / "README.md", ROOT / "docs" / "command-line.md", ROOT / "docs" / "scaling.md")
# Pages of what is installed apart.
NEEDS = {"scaling.md": ["distributed", "ray"]}
FENCE = re.compile(r"^```(\w+)[ \t]*(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


@frozen
class Block:
    """A fenced block of a page; `line` is where it begins."""

    language: str
    mark: str
    text: str
    line: int
    end: int


def blocks(page: str) -> list[Block]:
    return [
        Block(found[1], found[2], found[3], page.count("\n", 0, found.start()) + 1, found.end())
        for found in FENCE.finditer(page)
    ]


def output_after(page: str, block: Block, following: Block | None) -> str | None:
    """The text block that follows with no words between: what the block prints."""
    if following is None or following.language != "text" or following.mark:
        return None
    between = page[block.end : page.index("```text", block.end)]
    return following.text if not between.strip() else None


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


# What differs from run to run: ids, points in time, durations, and in which folder it all happens.
DIFFERS = [
    (r"\brun [a-z0-9]{8}\b", "run ID"),
    (r"\b(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(\.\d+)?\b", "TIME"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "DURATION"),
    (r"(/[\w.-]+)+/([\w-]+\.py)\b", r"\2"),
]


def same(got: str, wanted: str) -> bool:
    for pattern, word in DIFFERS:
        got, wanted = re.sub(pattern, word, got), re.sub(pattern, word, wanted)
    return doctest.OutputChecker().check_output(
        wanted.strip() + "\n", got.strip() + "\n", doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a reader has it: the examples, and an environment with liteflow in `.venv`."""
    shutil.copytree(
        ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.db*", "__pycache__")
    )
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, command in [("python", ""), ("liteflow", "-m liteflow")]:
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        program.chmod(0o755)
    return tmp_path


def environment_in(folder: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITEFLOW_")}
    return {
        **environment,
        "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        # Which is found by itself only where liteflow is installed.
        "PYTEST_PLUGINS": "liteflow.testing.plugin",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }


def run(folder: Path, command: list[str]) -> str:
    """What a command prints, on both of its streams."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment_in(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, 1), f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def run_forked(folder: Path, what: str, words: list[str]) -> str:
    """What a script or a command of `liteflow` prints, as `run` does, in a fraction of the time."""
    with (folder / ".printed").open("w+b") as file:
        request = Request(what, tuple(words), str(folder), environment_in(folder))
        status = Forked(request, stdout=file.fileno(), stderr=file.fileno()).wait(120)
        file.seek(0)
        printed = file.read().decode()
    assert status in (0, 1), f"{what} {words} ended with {status}:\n{printed}"
    return printed


def run_script(folder: Path, block: Block, page: Path) -> str:
    named = re.match(r"# (\S+\.py)\n", block.text)
    path = folder / (named[1] if named else f"line_{block.line}.py")
    path.write_text(block.text, encoding="utf-8")
    if page in AS_READERS_DO:
        return run(folder, [sys.executable, str(path)])
    return run_forked(folder, "script", [str(path)])


def run_command(folder: Path, command: str, page: Path) -> str:
    plain = command.startswith("liteflow ") and not set(command) & set("|&;<>$`*?\\")
    if plain and page not in AS_READERS_DO:
        return run_forked(folder, "liteflow", shlex.split(command)[1:])
    return run(folder, ["bash", "-c", command])


def run_query(folder: Path, block: Block) -> str:
    connection = sqlite3.connect(f"{(folder / 'liteflow.db').as_uri()}?mode=ro", uri=True)
    try:
        rows = connection.execute(block.text).fetchall()
    finally:
        connection.close()
    return "\n".join("|".join(map(str, row)) for row in rows)


def check(page: Path, block: Block, what: str, got: str, wanted: str | None) -> None:
    if wanted is not None and block.mark != "sample" and not same(got, wanted):
        pytest.fail(f"{page.name}, line {block.line}: {what} prints\n\n{got}\nbut the page says\n\n{wanted}")


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_page_shows_what_happens(page, folder):
    for module in NEEDS.get(page.name, ()):
        pytest.importorskip(module)
    text = page.read_text(encoding="utf-8")
    found = blocks(text)
    for block, following in zip_longest(found, found[1:]):
        match block.language:
            case "python":
                wanted = output_after(text, block, following)
                got = run_script(folder, block, page)
                assert wanted is not None or "Traceback" not in got, f"{page.name}, line {block.line}:\n{got}"
                check(page, block, "the script", got, wanted)
            case "console":
                for command, wanted in commands(block.text):
                    check(page, block, f"`{command}`", run_command(folder, command, page), wanted)
            case "sql":
                check(
                    page, block, "the query", run_query(folder, block), output_after(text, block, following)
                )


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", FENCE.sub("", page.read_text(encoding="utf-8")))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_has_exactly_two_commands():
    bash = [
        block
        for block in blocks((ROOT / "README.md").read_text(encoding="utf-8"))
        if block.language == "bash"
    ]

    assert [block.text.count("\n") for block in bash] == [1, 1]
