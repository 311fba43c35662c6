"""What is written down of a run before anything of it runs: all of it, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from liteflow import errors
from liteflow.store.insert import insert_rows

if TYPE_CHECKING:
    from liteflow.store.db import StoreConnection

Row = tuple[object, ...]

_RUN = "INSERT INTO run VALUES (NULL, ?, ?, 'running', ?, ?, NULL, NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
DEFINITION: Final = "INSERT OR IGNORE INTO definition VALUES (?, ?, ?, ?)"
CONTEXT: Final = "INSERT OR REPLACE INTO context VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
TASK: Final = "INSERT INTO task VALUES (?, ?, ?, ?, ?, ?)"
INSTANCE: Final = "INSERT INTO instance VALUES (? + ?, ?, ?, ?, ?, ?)"


class NewRun(NamedTuple):
    """What is written down of a run when it begins; times are microseconds since 1970, UTC.

    `arguments`, `settings` and `holes` are JSON, `arguments` of previews only.  `seal` is the keyed
    check of the run's own bytes.  `definitions` are (names as JSON, keyed check, pickle), `tasks` are
    (number, name, declared type, policy as JSON, fingerprint of the code), `context` rows as of
    `Journal.context`.
    """

    id: str
    flow: str
    created_at: int
    started_at: int
    arguments: str | None = None
    script: str | None = None
    python: str | None = None
    settings: str | None = None
    holes: str | None = None
    seal: bytes | None = None
    result: bytes | None = None
    packed_arguments: bytes | None = None
    definitions: Sequence[tuple[str, bytes | None, bytes]] = ()
    tasks: Sequence[tuple[int, str, str | None, str | None, str | None]] = ()
    context: Sequence[Row] = ()


@lru_cache(maxsize=16)
def instance_of(run: int) -> str:
    """The same for rows of one run, without its number: to put that before each takes time."""
    return INSTANCE.replace("? +", f"{run << 32} +", 1)


def write_run(connection: StoreConnection, run: NewRun, instances: Iterable[Row]) -> int:
    """Write a run and all its task instances, inside a transaction; give its number.

    Raises:
        RunExistsError: There is a run of this id.
    """
    if connection.execute("SELECT 1 FROM run WHERE id = ?", (run.id,)).fetchone():
        raise errors.RunExistsError(run.id, connection.path)
    number = connection.execute(_RUN, run[:12]).lastrowid or 0
    connection.executemany(DEFINITION, [(number, *row) for row in run.definitions])
    connection.executemany(TASK, [(number, *row) for row in run.tasks])
    connection.executemany(CONTEXT, [(number, *row) for row in run.context])
    insert_rows(connection, instance_of(number), instances)
    return number
