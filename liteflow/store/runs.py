"""The runs of a store: which there are, how each stands, and which one a user means.

    ref --find_run--> RunRow.number --> row ids first ... last, read a batch at a time

A run that is recorded as running is so only as long as its driver lives; whoever looks finds out.
What is in a run is read by history.py, which goes on from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import fspath
from typing import Any, Final, Self, TypeVar

from attrs import evolve

from liteflow import errors
from liteflow.store.db import StoreConnection
from liteflow.store.lease import SESSION_COLUMNS, Session, here, standing
from liteflow.store.place import StorePath
from liteflow.store.reader import Reader, open_reader
from liteflow.store.rows import RunRow, SessionRow, made

R = TypeVar("R")

# How many task instances, or lines, are read at a time.
BATCH: Final = 5000
# How many runs an error offers.
_OFFERED = 5


class Runs:
    """The runs of a store, and what is read of them by their task instances' row ids.

    Args:
        source: The path of the file; or an open connection, which is left open then.

    Raises:
        StoreError: There is no such file, or it is none of ours, or damaged.  So do all methods.
    """

    def __init__(self, source: StorePath | StoreConnection) -> None:
        self._reader = Reader(source) if isinstance(source, StoreConnection) else open_reader(fspath(source))
        self.path = self._reader.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_how: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def runs(self, limit: int | None = None) -> list[RunRow]:
        """Return the runs, the newest first, at most `limit`."""
        return self._runs("ORDER BY number DESC LIMIT ?", -1 if limit is None else limit)

    def latest(self, flow: str | None = None) -> RunRow | None:
        """Return the newest run (of a flow), None if there is none."""
        found = self._runs("WHERE ?1 IS NULL OR flow = ?1 ORDER BY number DESC LIMIT 1", flow)
        return found[0] if found else None

    def finds(self, ref: str) -> list[RunRow]:
        """Return the runs that `ref` can mean, the newest first; none, one, or a few to choose from.

        The first of these that is anything: the run of this id; `latest`; the latest of the
        flow of this name; those whose ids begin so.
        """
        if exact := self._runs("WHERE id = ?", ref):
            return exact
        if named := self.latest() if ref == "latest" else self.latest(ref):
            return [named]
        if not ref:
            return []
        return self._runs("WHERE substr(id, 1, length(?1)) = ?1 ORDER BY number DESC LIMIT ?2", ref, _OFFERED)

    def find_run(self, ref: str) -> RunRow:
        """Return the run that a user means.

        Args:
            ref: An id, the beginning of one that no other has, a flow's name (its latest
                run), or `latest`.

        Raises:
            NoSuchRunError: None is meant, or several; it lists which there are.
        """
        found = self.finds(ref)
        if len(found) == 1:
            return found[0]
        offered = found or self.runs(_OFFERED)
        lines = tuple(f"{run.id} ({run.flow}, {run.state})" for run in offered)
        raise errors.NoSuchRunError(ref, self.path, lines, bool(found))

    def unfinished(self, flow: str | None = None) -> list[RunRow]:
        """Return the runs (of a flow) that have not succeeded, the newest first."""
        return self._runs(
            "WHERE state <> 'succeeded' AND (?1 IS NULL OR flow = ?1) ORDER BY number DESC", flow
        )

    def sessions(self, run_id: str) -> list[SessionRow]:
        """Return who has driven a run, in order."""
        query = (
            "SELECT ?2, token, host, pid, since / 1e6, beat_at / 1e6, ended_at / 1e6, python, key_id "
            "FROM session WHERE run = ?1 ORDER BY token"
        )
        return [
            self._made(SessionRow, row) for row in self._reader.rows(query, (self._number(run_id), run_id))
        ]

    def index_of(self, run_id: str, key: str) -> int | None:
        """Return the index of a task instance in its run; None if there is none of this key."""
        query = "SELECT id FROM instance WHERE id >= ? AND id < ? AND key = ?"
        found = self._reader.rows(query, (*span(self._number(run_id)), key))
        return found[0][0] & 0xFFFFFFFF if found else None

    # --- how -------------------------------------------------------------------------------

    def _runs(self, clause: str, *values: object) -> list[RunRow]:
        query = (
            "SELECT id, flow, state, created_at / 1e6, started_at / 1e6, ended_at / 1e6, error, number, "
            f"arguments_text, script, python, settings, NULL, NULL, NULL FROM run {clause}"
        )
        runs = [self._made(RunRow, row) for row in self._reader.rows(query, values)]
        return [self._as_it_is(run) if run.state == "running" else run for run in runs]

    def _as_it_is(self, run: RunRow) -> RunRow:
        """A run that is recorded as running, which is true only if its driver lives."""
        query = f"SELECT {SESSION_COLUMNS} FROM session WHERE run = ? ORDER BY token DESC LIMIT 1"
        for row in self._reader.rows(query, (run.number,)):
            last = Session._make(row)
            if standing(last, here()) != "dead":
                return evolve(run, owner_host=last.host, owner_pid=last.pid, owner_since=last.since / 1e6)
        return evolve(run, state="interrupted")

    def _number(self, run_id: str) -> int:
        found = self._reader.rows("SELECT number FROM run WHERE id = ?", (run_id,))
        return int(found[0][0]) if found else self.find_run(run_id).number

    def _of_run(
        self, row: type[R], run_id: str, query: str, index: int | None = None, named: bool = True
    ) -> list[R]:
        """Rows of all task instances of a run, or of one."""
        number = self._number(run_id)
        name = (run_id,) if named else ()
        if index is not None:
            first = span(number)[0] + index
            return [self._made(row, found) for found in self._reader.rows(query, (first, first + 1, *name))]
        return [self._made(row, found) for found in self._batches(number, query, *name)]

    def _batches(self, number: int, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        first, end = span(number)
        ((last,),) = self._reader.rows("SELECT max(id) FROM instance WHERE id >= ? AND id < ?", (first, end))
        for start in range(first, (first if last is None else last + 1), BATCH):
            yield from self._reader.rows(query, (start, min(start + BATCH, end), *values))

    def _newer(
        self, query: str, run_id: str, key: str | None, after: int, seq: int
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of attempts that came after number `after`; `seq` is where in a row its number is."""
        first, end = span(self._number(run_id))
        if key is not None:
            index = self.index_of(run_id, key)
            if index is None:
                return
            first, end = first + index, first + index + 1
        while True:
            found = self._reader.rows(query, (first, end, after, BATCH))
            yield from found
            if len(found) < BATCH:
                return
            after = found[-1][seq]

    def _made(self, row: type[R], values: tuple[Any, ...]) -> R:
        return made(self.path, row, values)


def span(number: int) -> tuple[int, int]:
    """The row ids of a run's task instances: the first, and the one behind the last."""
    return number << 32, (number + 1) << 32
