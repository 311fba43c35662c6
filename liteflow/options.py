"""The options of a run: what `flow.run()` takes beside the flow's own parameters.

Some of them may be given to the flow as well, where they are defaults for its runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from liteflow.errors import UnknownNameError

if TYPE_CHECKING:
    from os import PathLike
    from typing import Protocol, TypedDict

    from liteflow.where import Where

    StorePath = str | bytes | PathLike[str]

    class Values(Protocol):
        """A `Context`."""

        def to_dict(self) -> dict[str, Any]: ...

    class FlowOptions(TypedDict, total=False):
        """What `@flow(...)` and `Flow(...)` take beside a name: defaults for every run."""

        db: StorePath | None
        executor: Where
        max_workers: int | Mapping[str, int] | None
        check: bool
        fail_fast: bool
        durability: str
        timeout: float | None
        grace: float
        trust: bool
        context: Values | Mapping[str, Any]
        log_dir: StorePath | None
        resources: Mapping[str, float | str] | None
        refresh: bool
        xcom_storage: str | None
        xcom_threshold: int


class _Default:
    """Stands for an option that was not given, where None means something."""

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Any = _Default()

SECRET_PREFIX = "LITEFLOW_SECRET_"
"""What the names of variables of the environment begin with that hold secrets."""

MOST_THRESHOLD = 1 << 40
"""The highest `xcom_threshold`, in bytes: no value is larger."""

RUN_OPTIONS = (
    "inputs",
    "db",
    "executor",
    "max_workers",
    "check",
    "run_id",
    "fail_fast",
    "durability",
    "timeout",
    "grace",
    "trust",
    "context",
    "log_dir",
    "resources",
    "refresh",
    "xcom_storage",
    "xcom_threshold",
    "observer",
)
"""Names that `flow.run()` keeps for itself: a flow's parameter of such a name goes by `inputs`."""

OBSERVED = ("started", "resumed", "grew", "changed", "lines", "ended")
"""What an observer is told of a run: the methods of engine.driver.Observer."""

FLOW_OPTIONS = tuple(name for name in RUN_OPTIONS if name not in ("inputs", "run_id", "observer"))
"""Those that a flow may have a default for; the others are of one run alone."""


def check_names(flow: str, options: Mapping[str, object]) -> None:
    """Refuse an option that a flow can't have.

    Raises:
        UnknownNameError: There is none of this name.
    """
    for name in options:
        if name not in FLOW_OPTIONS:
            raise UnknownNameError(f"flow {flow}", "option", name, list(FLOW_OPTIONS))
