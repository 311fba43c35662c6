"""Which executor a task runs on, and what is refused: names, limits, factories, plug-ins."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from liteflow import Flow, Policy, task
from liteflow.errors import SettingError, UnknownNameError
from liteflow.executor import ExecutorFactory, PoolExecutor
from liteflow.executor.base import Limits, Work
from liteflow.executor.inline import InlineExecutor
from liteflow.settings import RunSettings
from liteflow.where import chosen

NAMES = ["process", "thread", "async", "inline"]


@task
def number(n: int = 1) -> int:
    return n


class Here:
    """An executor factory as others may write one; it notes the limits that it was told."""

    def __init__(self, name: str = "here") -> None:
        self.name = name
        self.remote = False
        self.told: list[tuple[int | None, float]] = []

    def make(self, work: Work, settings: Limits, /) -> InlineExecutor:
        self.told.append((settings.limit(self.name), settings.grace))
        return InlineExecutor(work)


def run(expression: Any = None, **options: Any) -> Any:
    return Flow("f", number() if expression is None else expression).run(db=None, **options).result


# --- which -----------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [None, *NAMES])
@pytest.mark.parametrize("general", NAMES)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_task_runs_where_it_says_or_else_where_its_kind_belongs(own, general, is_async):
    place = chosen(own, general, is_async)

    if own is not None and (own != "async" or is_async):
        assert place == own
    elif is_async:
        assert place == ("inline" if general == "inline" else "async")
    elif "async" in (own, general) and own in (None, "async"):
        assert place == "thread"
    else:
        assert place == general


def test_a_factory_of_ones_own_is_used_and_told_the_limits():
    here: ExecutorFactory = Here()

    assert run(executor=here, max_workers={"here": 3}, grace=0.5) == 1
    assert here.told == [(3, 0.5)]


def test_a_factory_of_ones_own_serves_a_task():
    here = Here()

    assert run([number.options(executor=here)(2), number(3)], executor="thread") == [2, 3]
    assert len(here.told) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_factory_cannot_take_the_name_of_an_executor_of_liteflow(name):
    with pytest.raises(SettingError, match="name"):
        run(executor=Here(name))


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["nope", "", "Process", 5, [], object()])
def test_what_is_no_executor_is_refused_with_the_names_there_are(wrong):
    for refused in (lambda: run(executor=wrong), lambda: Policy(executor=wrong)):
        with pytest.raises(SettingError, match="one of process, thread, async, inline, dask, ray, or"):
            refused()


def test_a_bare_pool_is_refused_with_what_to_put_around_it():
    with ThreadPoolExecutor(1) as pool, pytest.raises(SettingError, match=r"PoolExecutor\(\.\.\.\) around"):
        run(executor=pool)


@pytest.mark.parametrize("wrong", [PoolExecutor, Here])
def test_a_class_is_no_executor(wrong):
    with pytest.raises(SettingError):
        run(executor=wrong)


def test_an_executor_that_is_not_installed_says_what_to_install():
    # In a program of its own, for here they may be.
    code = (
        "import sys\n"
        "from liteflow import Flow, task\n"
        "from liteflow.errors import ExecutorMissingError\n"
        "sys.modules.update(ray=None, distributed=None)\n"
        "for name in ('ray', 'dask'):\n"
        "    try: Flow('f', task(abs, executor=name)(-1)).run(db=None)\n"
        "    except ExecutorMissingError as error: print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    ray, dask = done.stdout.splitlines()
    assert "executor 'ray' is not there" in ray and "pip install 'liteflow[ray]'" in ray
    assert "executor 'dask' is not there" in dask and "pip install 'liteflow[dask]'" in dask


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"thread": 0}, "max_workers of thread must be a whole number from 1 to 512"),
        ({"process": 513}, "max_workers of process"),
        ({"thread": True}, "max_workers of thread"),
        ({"async": "2"}, "max_workers of async"),
        ({4: 4}, "by the name of an executor"),
        ([4], "a dict by executor, or None"),
    ],
)
def test_a_limit_that_is_none_is_refused(wrong, says):
    with pytest.raises(SettingError, match=says):
        run(max_workers=wrong)


def test_a_limit_for_what_is_no_executor_is_refused_with_the_names_there_are():
    with pytest.raises(UnknownNameError, match="did you mean 'thread'"):
        run(max_workers={"threads": 3})


def test_limits_are_by_executor_and_the_rest_is_as_it_would_be():
    settings = RunSettings(db=None, max_workers={"thread": 3, "async": 50_000})

    assert [settings.workers(name) for name in ("thread", "async")] == [3, 50_000]
    assert settings.workers("process") == RunSettings(db=None).workers("process")
    assert settings.limit("process") is None


def test_limits_are_in_the_record_of_the_run(tmp_path: Path):
    import sqlite3

    Flow("f", number()).run(db=tmp_path / "x.db", executor="thread", max_workers={"thread": 3})

    (settings,) = sqlite3.connect(tmp_path / "x.db").execute("SELECT settings FROM run").fetchone()
    assert '"max_workers": {"thread": 3}' in settings


# --- plug-ins --------------------------------------------------------------------------------

PLUGIN = """\
from liteflow.executor.inline import InlineExecutor

class Orbit:
    name, remote = "orbit", False
    def make(self, work, settings):
        print("made", flush=True)
        return InlineExecutor(work)

made = Orbit()

def make():
    return Orbit()

nothing = 5
"""

PROGRAM = """\
import liteflow
from liteflow.errors import LiteflowError
try:
    number = liteflow.task(abs, executor="orbit")
    print(liteflow.Flow("f", number(-4)).run(db=None).result)
except LiteflowError as error:
    print(f"{type(error).__name__}: {error}")
"""


def plugged_in(folder: Path, entry: str) -> str:
    """What the program prints where a distribution with this entry point is installed."""
    (folder / "orbiting.py").write_text(PLUGIN)
    info = folder / "orbiting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orbiting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[liteflow.executors]\norbit = {entry}\n")
    (folder / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("entry", ["orbiting:made", "orbiting:make", "orbiting:Orbit"])
def test_a_package_plugs_in_an_executor_by_an_entry_point(entry, tmp_path):
    assert plugged_in(tmp_path, entry) == "made\n4\n"


def test_a_plug_in_that_cannot_be_loaded_says_why(tmp_path):
    said = plugged_in(tmp_path, "orbited:made")

    assert said.startswith("ExecutorMissingError: executor 'orbit' is not there (No module named 'orbited')")


def test_a_plug_in_that_makes_no_executor_is_refused(tmp_path):
    assert "entry point orbiting:nothing gives none" in plugged_in(tmp_path, "orbiting:nothing")


def test_importing_the_package_of_executors_loads_none_of_them():
    code = "import sys, liteflow.executor; print([m for m in sys.modules if 'liteflow.executor.' in m])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_naming_a_pool_loads_no_asyncio():
    code = "import sys; from liteflow.executor import PoolExecutor; print('asyncio' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
