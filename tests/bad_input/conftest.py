"""An empty folder for each row, and the program that rows of the command line are sent to."""

import pytest
from bad_program import Program


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory: empty, so that a database made by mistake is seen."""
    monkeypatch.delenv("LITEFLOW_DB", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def program():
    """Call `liteflow`, or run Python, as `bad_program.Program` says."""
    return Program()
