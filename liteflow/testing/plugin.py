"""Fixtures of pytest for tests of flows; pytest finds them where liteflow is installed.

    liteflow_store       a store of the test's own, and the default one of its runs
    liteflow_inline      all tasks run in the test's own thread
    liteflow_no_waiting  no waiting between attempts; the list of the delays there would have been

Every session of pytest loads this, so it imports nothing of liteflow before a test asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# So that a promise that is broken shows what was there; a module that is loaded already stays as it is.
if "liteflow.testing.conformance" not in sys.modules:
    pytest.register_assert_rewrite("liteflow.testing.conformance")


@pytest.fixture
def liteflow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a store of the test's own, which runs use that name no `db`; the user's key is not used."""
    path = tmp_path / "liteflow.db"
    monkeypatch.setenv("LITEFLOW_DB", str(path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("LITEFLOW_KEY", raising=False)
    return path


@pytest.fixture
def liteflow_inline() -> Iterator[None]:
    """All tasks run in the test's own thread, one at a time: see `liteflow.testing.inline`."""
    from liteflow.testing.helpers import inline  # noqa: PLC0415  start-up, as above

    with inline():
        yield


@pytest.fixture
def liteflow_no_waiting() -> Iterator[list[float]]:
    """No waiting between attempts: see `liteflow.testing.no_waiting`, whose list this is."""
    from liteflow.testing.helpers import no_waiting  # noqa: PLC0415  start-up, as above

    with no_waiting() as delays:
        yield delays
