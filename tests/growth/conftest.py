"""What the tests of growing runs share: the executors that each promise is kept on, and a run on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from liteflow import Flow, Run


@pytest.fixture(params=["inline", "thread", "process"])
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(executor: str) -> Callable[..., Run[Any]]:
    """Runs an expression on the executor; a run that fails is given back as it is."""

    def run(expression: Any, **settings: Any) -> Run[Any]:
        chosen = {"db": None, "executor": executor, "max_workers": 2, "check": False, **settings}
        return Flow("growing", expression).run(**chosen)

    return run
