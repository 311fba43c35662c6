"""Folders with scripts in them, and the program called there."""

import pytest
from cli_program import FAILING, SCRIPT, forked_program, program


@pytest.fixture
def folder(tmp_path):
    """A folder with a script in it, and no store yet."""
    (tmp_path / "etl.py").write_text(SCRIPT)
    (tmp_path / "failing.py").write_text(FAILING)
    return tmp_path


@pytest.fixture
def liteflow(folder):
    """Call the program in the folder, forked."""
    return forked_program(folder)


@pytest.fixture
def new_liteflow(folder):
    """Call the program in the folder, in a new interpreter: what is imported there is new to it."""
    return program(folder)


@pytest.fixture(scope="session")
def history_folder(tmp_path_factory):
    """A folder whose store has a run that succeeded and one that failed; tests only look at it."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "etl.py").write_text(SCRIPT)
    (folder / "failing.py").write_text(FAILING)
    call = forked_program(folder)
    assert call("run", "etl.py", "--run-id", "good-1").returncode == 0
    assert call("run", "failing.py", "--run-id", "bad-1").returncode == 1
    return folder


@pytest.fixture
def look(history_folder):
    """Call the program where there is a history."""
    return forked_program(history_folder)
