"""A store that someone else has made: looking at it runs nothing, and what it says does nothing."""

import shutil

import pytest
from cli_program import forked_program
from support.hostile import OBEYED, bomb_in, plant, soil, some

from liteflow import Dag
from liteflow.errors import LiteflowError
from liteflow.store.history import History

COMMANDS = [
    ("runs",),
    ("runs", "--json"),
    ("show", "latest"),
    ("show", "latest", "--all"),
    ("show", "latest", "--json"),
    ("logs", "latest"),
    ("logs", "latest", "--json"),
    ("visualize", "latest"),
    ("visualize", "latest", "--format", "dot"),
    ("visualize", "latest", "--format", "text"),
    ("visualize", "latest", "--no-fold"),
    ("check",),
    ("check", "--json"),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    db = tmp_path_factory.mktemp("hostile") / "liteflow.db"
    some.run(db=db, run_id="run-1", executor="inline", check=False)
    return db


@pytest.fixture
def folder(original, tmp_path):
    shutil.copy(original, tmp_path / "liteflow.db")
    return tmp_path


@pytest.fixture
def bomb(tmp_path):
    return bomb_in(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_looking_reads_no_pickle(folder, bomb, command):
    plant(folder / "liteflow.db", bomb)

    done = forked_program(folder)(*command)

    assert done.returncode == (1 if command[0] == "check" else 0), done.stderr
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_whatever_text_a_store_holds_is_only_shown(folder, command):
    soil(folder / "liteflow.db")

    done = forked_program(folder)(*command)

    assert done.returncode == (1 if command[0] == "check" else 0), done.stderr
    said = done.stdout + done.stderr
    assert r"\x1b[2J" in said or r"\u001b[2J" in said or "x1b#91;2J" in said
    for character in OBEYED:
        assert character not in said
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize("form", ["mermaid", "dot", "text"])
def test_whatever_text_a_store_holds_is_only_a_label_in_a_drawing(folder, form):
    soil(folder / "liteflow.db")

    drawn = forked_program(folder)("visualize", "latest", "--format", form).stdout

    assert drawn
    if form == "mermaid":
        assert "<script>" not in drawn
        assert not [line for line in drawn.splitlines() if line.strip().startswith(("click", "%%{"))]


def test_a_graph_that_is_loaded_reads_no_pickle(folder, bomb):
    plant(folder / "liteflow.db", bomb)
    soil(folder / "liteflow.db")

    with History(folder / "liteflow.db") as history:
        (run,) = history.runs()
    try:
        Dag.load(run.id, db=folder / "liteflow.db")
    except LiteflowError as error:
        assert str(error)
    assert not (folder / "exploded").exists()
