"""How a run is run: where, with how many workers, how safely.

Flow(..., executor="thread")     settings of the flow
flow.run(executor="process")     settings of one run, which win
@task(executor="process")        is of one task, and wins over both
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import Attribute, asdict, field, frozen

from liteflow.errors import SettingError
from liteflow.options import DEFAULT, MOST_THRESHOLD
from liteflow.policy import LONGEST
from liteflow.store.place import default_db
from liteflow.system import cores
from liteflow.where import WAITING, Where, checked_executor, everywhere

if TYPE_CHECKING:
    from liteflow.resources import Resources

MOST_WORKERS = 512
MOST_THREADS = 32
MOST_AT_ONCE = 10_000
"""So many coroutines run at once unless told."""

MOST_ELSEWHERE = 1_000_000
"""The highest limit for what has no workers in this machine: an event loop, a cluster."""

THRESHOLD = 1024 * 1024
"""Larger values go to a storage unless told, in bytes.  A file is on the disk after some milliseconds, in
which the store takes as many bytes: what is smaller is quicker there."""


def _max_workers(value: Any) -> int | Mapping[str, int] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {_name(name): _at_most(f"max_workers of {name}", n, _most(name)) for name, n in value.items()}
    return _at_most("max_workers", value, MOST_WORKERS, ", a dict by executor, or None")


def _at_most(setting: str, value: Any, most: int, others: str = "") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise SettingError("a run", setting, value, f"a whole number from 1 to {most}{others}")
    return value


def _most(executor: str) -> int:
    return MOST_WORKERS if executor in ("process", "thread", "inline") else MOST_ELSEWHERE


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise SettingError("a run", "max_workers", value, "by the name of an executor, if it is a dict")
    return value


def _yes_or_no(_instance: object, attribute: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise SettingError("a run", attribute.name, value, "True or False")


def _executor(value: Any) -> Where:
    checked = checked_executor(value, "a run")
    return everywhere() or checked


def _durability(value: Any) -> Literal["normal", "full"]:
    if value == "normal":
        return "normal"
    if value == "full":
        return "full"
    raise SettingError("a run", "durability", value, '"normal" or "full"')


def _grace(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 3600:
        raise SettingError("a run", "grace", value, "a number of seconds from 0 to 3600")
    return float(value)


def _timeout(value: Any) -> float | None:
    if value is None or (isinstance(value, float) and value == inf):
        return None
    # No isinstance: datetime takes a millisecond to load, and few give a timedelta.
    seconds = value.total_seconds() if hasattr(value, "total_seconds") else value
    # nan fails every comparison, so it is refused too.
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0.001 <= seconds <= LONGEST:
        raise SettingError("a run", "timeout", value, f"0.001 to {LONGEST:.0f} seconds, or None")
    return float(seconds)


def _log_dir(value: Any) -> Path | None:
    return None if value is None else _path("log_dir", value, "a path, or None for no files")


def _resources(value: Any) -> Resources | None:
    if value is None:
        return None
    # Start-up: few runs say what the machine has.
    from liteflow.resources import resources_of  # noqa: PLC0415

    return resources_of(value, "a run", whole=True)


def _xcom_storage(value: Any) -> str | None:
    if value is None:
        return None
    # Start-up: few runs have one.
    from liteflow.storage.place import checked_url  # noqa: PLC0415

    try:
        return checked_url(value)
    except ValueError as error:
        wants, given = error.args
        raise SettingError("a run", "xcom_storage", given, wants) from None


def _xcom_threshold(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_THRESHOLD:
        raise SettingError("a run", "xcom_threshold", value, f"a number of bytes from 0 to {MOST_THRESHOLD}")
    return value


def _db(value: Any) -> Path | None:
    if value is DEFAULT:
        value = default_db()
    if value is None or value == ":memory:":
        return None
    return _path("db", value, "a path, or None to keep nothing")


def _path(setting: str, value: Any, wants: str) -> Path:
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in os.fspath(value):
        raise SettingError("a run", setting, value, wants)
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise SettingError("a run", setting, value, "a path that a file can have") from None
    return Path(value)


@frozen(kw_only=True)
class RunSettings:
    """The settings of one run.

    Attributes:
        executor: Where tasks run that name no executor: "process", "thread", "async" or "inline",
            or an executor factory such as a PoolExecutor.
        max_workers: How many calls run at a time, on each executor, or by the name of an
            executor.  None, or not named: a process for each processor, four times as many
            threads, 10 000 coroutines, and of a pool as many as it has workers.
        db: The store file; None keeps nothing beyond the run.
        check: Whether a run that failed raises.
        fail_fast: Whether the first failure ends the run at once.
        durability: "normal": a killed process loses nothing that was committed; "full": nor
            does a power cut, and nothing starts before its inputs are on disk.
        timeout: Seconds that the whole run may take; None: as long as it takes.
        grace: Seconds between SIGTERM and SIGKILL for an attempt that is ended.
        trust: Whether values of the store are read whoever wrote them.
        log_dir: A folder in which each attempt's log is a file too; None: the store has them.
        resources: What this machine has for calls that take some of it, where that is not what is found.
        refresh: Whether no result of an earlier run is taken over, and new ones take their place.
        xcom_storage: The URL of a storage where large values lie; None: they are in the store.
        xcom_threshold: In bytes; what is larger, as a pickle, goes to that storage.

    Raises:
        SettingError: A value is out of its range.
    """

    executor: Where = field(default="process", converter=_executor)
    max_workers: int | Mapping[str, int] | None = field(default=None, converter=_max_workers)
    db: Path | None = field(default=DEFAULT, converter=_db)
    check: bool = field(default=True, validator=_yes_or_no)
    fail_fast: bool = field(default=False, validator=_yes_or_no)
    durability: Literal["normal", "full"] = field(default="normal", converter=_durability)
    timeout: float | None = field(default=None, converter=_timeout)
    grace: float = field(default=2.0, converter=_grace)
    trust: bool = field(default=False, validator=_yes_or_no)
    log_dir: Path | None = field(default=None, converter=_log_dir)
    resources: Resources | None = field(default=None, converter=_resources)
    refresh: bool = field(default=False, validator=_yes_or_no)
    xcom_storage: str | None = field(default=None, converter=_xcom_storage)
    xcom_threshold: int = field(default=THRESHOLD, converter=_xcom_threshold)

    def facts(self) -> dict[str, Any]:
        """All of it by name, the resources as a dict of plain data."""
        return {**asdict(self), "resources": dict(self.resources.amounts) if self.resources else None}

    def limit(self, executor: str) -> int | None:
        """How many calls an executor is to run at a time; None: nothing was said."""
        told = self.max_workers
        return told.get(executor) if isinstance(told, Mapping) else told

    def workers(self, executor: str) -> int:
        """How many calls one of liteflow's own executors may run at a time."""
        if executor == WAITING:
            return MOST_AT_ONCE
        told = self.limit(executor)
        if told is not None:
            return told
        if executor == "async":
            return MOST_AT_ONCE
        return min(MOST_THREADS, 4 * cores()) if executor == "thread" else cores()
