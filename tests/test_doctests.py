"""The examples in docstrings are true: of the library, of the example scripts and of the benchmarks."""

from __future__ import annotations

import doctest
import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def names(package: str) -> list[str]:
    """The modules of a package, but for the door of the command line, which runs when it is imported."""
    paths = sorted((ROOT / package).rglob("*.py"))
    found = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in found if name != "liteflow.__main__"]


@pytest.mark.parametrize("name", [*names("liteflow"), *names("examples"), *names("benchmarks")])
def test_the_examples_in_docstrings_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    # Scripts there import what lies beside them.
    for folder in ("executor", "deploy"):
        monkeypatch.syspath_prepend(str(ROOT / "examples" / folder))
    importlib.import_module(name)
    # Not what the import gave: `liteflow.task` as an attribute is the decorator.
    module = sys.modules[name]

    assert doctest.testmod(module).failed == 0
