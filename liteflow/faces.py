"""The face of a package: names that are loaded when they are first asked for (PEP 562).

    __getattr__, __dir__ = face(__name__, {"task": "task", "Run": "run"})

Nothing is imported here but what every program has: to import liteflow is to load this.
"""

from __future__ import annotations

import sys
from types import ModuleType

# As type checkers know it; to import typing for it would take ten times as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class _Package(ModuleType):
    """A package of which a function may have the name of the module that defines it (`liteflow.task`).

    Importing a submodule binds it in its package; that must not hide the function.
    """

    _homes: Mapping[str, str]

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and self._homes.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


def face(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__`.

    Args:
        package: Its name.
        homes: The module of the package that each name is in.
    """
    module = sys.modules[package]

    def get(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        __import__(f"{package}.{home}")
        value = getattr(sys.modules[f"{package}.{home}"], name)
        setattr(module, name, value)
        return value

    if any(name == home for name, home in homes.items()):
        module.__dict__["_homes"] = homes
        module.__class__ = _Package
    return get, lambda: sorted(module.__all__)
