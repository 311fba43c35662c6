"""Importing liteflow is cheap: what only the command line or a run needs is loaded when they need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED_LATER = {"typer", "rich", "yaml", "lark", "asyncio", "numpy", "multiprocessing"}
LOADED_BY_RUNS = {"sqlite3", "subprocess", "cloudpickle"}


def loaded_by(code: str) -> set[str]:
    """The names of all modules that a fresh Python has loaded after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import liteflow",
        "from liteflow import flow, task",
        "from liteflow import *",
        "import liteflow\n@liteflow.task\ndef f(x: int) -> int: ...\nliteflow.Flow('f', f(1)).compile()",
    ],
    ids=["import", "names", "all names", "a compiled flow"],
)
def test_importing_and_composing_load_no_heavy_module(code):
    assert loaded_by(code) & LOADED_LATER == set()


def test_import_liteflow_alone_loads_nothing_of_the_house_but_its_face():
    found = {name for name in loaded_by("import liteflow") if name.startswith("liteflow.")}

    assert found == {"liteflow.faces"}


def test_the_names_for_composing_load_nothing_that_only_a_run_needs():
    assert loaded_by("from liteflow import flow, task") & LOADED_BY_RUNS == set()


def test_a_run_loads_neither_the_command_line_nor_asyncio():
    code = "import liteflow\n@liteflow.task\ndef one(): return 1\nliteflow.Flow('f', one()).run(db=None)"

    assert loaded_by(code) & (LOADED_LATER | {"liteflow.secret"}) == set()


def test_a_worker_that_runs_commands_loads_neither_yaml_nor_a_web_client():
    code = "from liteflow.task_types.work import FileTask\nfrom liteflow.task_types.shell import Shell"

    of_others = {"urllib.request", "sqlite3", "liteflow.flow", "sqlalchemy"}

    assert loaded_by(code) & (LOADED_LATER | of_others) == set()


def test_a_command_that_does_not_serve_loads_no_server():
    loaded = loaded_by("from liteflow.cli.app import execute\nexecute(['runs', '--db', 'nowhere.db'])")

    assert "liteflow.cli.ui" in loaded
    assert not {name for name in loaded if name.startswith("liteflow.ui")} | (
        loaded & {"http.server", "socketserver"}
    )
