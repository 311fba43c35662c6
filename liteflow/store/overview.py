"""Pages of what a store has, for who shows it: so many runs, task instances or lines, from such a place.

    History: all of a run, for a resume           Overview: what fits on a page, cut to what can be shown

A run may have a million task instances, and a column of somebody else's file many megabytes.  So
SQLite counts, skips and cuts, and all that is asked of one Overview is done by one deadline.
Runs and task instances are named by number here, so that an address holds nothing of the data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen

from liteflow.store.history import History
from liteflow.store.place import StorePath
from liteflow.store.reader import TIME_LIMIT_S, open_reader
from liteflow.store.rows import AttemptRow, EdgeRow, RunRow
from liteflow.store.runs import span

NAME, TEXT, LINE, TRACEBACK = 200, 400, 2000, 20_000
"""How much is read of a name, a preview or an error, a line, a traceback: in characters."""

# What is recorded of these may be running only because nobody has noted its driver's death.
_UNDECIDED = 1000
_GOING_ON = ("running", "retrying")

_RUNS: Final = f"""
SELECT substr(id, 1, {NAME}), substr(flow, 1, {NAME}), substr(state, 1, 20), created_at / 1e6,
    started_at / 1e6, ended_at / 1e6, substr(error, 1, {TEXT}), number,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM run"""

_INSTANCES: Final = f"""
SELECT e.id & 4294967295, substr(e.key, 1, {NAME}), i.task, coalesce(substr(e.task, 1, {NAME}), '?'),
    substr(e.state, 1, 20), e.attempts, e.started_at / 1e6, e.ended_at / 1e6,
    substr(e.worker, 1, {NAME}), substr(e.error, 1, {TEXT}), i.parent,
    substr(o.type, 1, {NAME}), o.size, substr(o.preview, 1, {TEXT})
FROM every_task AS e
JOIN instance AS i ON i.id = e.id
LEFT JOIN outcome AS o ON o.id = e.id AND o.state IN ('succeeded', 'cached')
WHERE e.id >= ?1 AND e.id < ?2"""

_OF_TASK: Final = "i.task = ?3 OR ?3 IS NULL"
_IN_STATE: Final = "e.state IN (SELECT value FROM json_each(?4)) OR ?4 IS NULL"

_GROUPS: Final = f"""
SELECT i.task, substr(e.task, 1, {NAME}), substr(e.state, 1, 20), count(*)
FROM every_task AS e JOIN instance AS i ON i.id = e.id
WHERE e.id >= ?1 AND e.id < ?2 GROUP BY i.task, e.state ORDER BY i.task"""

_SPANS: Final = """
SELECT i.task, o.state, o.started / 1e6, (o.started + o.took) / 1e6
FROM outcome AS o JOIN instance AS i ON i.id = o.id
WHERE o.id >= ?1 AND o.id < ?2 AND o.started IS NOT NULL"""

_TRIES: Final = f"""
SELECT a.id & 4294967295, '', '', a.attempt, substr(a.outcome, 1, 20), (r.started_at + a.started) / 1e6,
    (r.started_at + a.started + a.took) / 1e6, substr(a.worker, 1, {NAME}), substr(a.error, 1, {TEXT}),
    substr(a.traceback, -{TRACEBACK})
FROM attempt AS a JOIN run AS r ON r.number = a.id >> 32
WHERE a.id IN (SELECT value FROM json_each(?1)) ORDER BY a.id, a.attempt"""

_FED: Final = f"""
SELECT substr(f.key, 1, {NAME}), n.value, substr(s.key, 1, {NAME}), substr(o.preview, 1, {TEXT})
FROM instance AS t JOIN json_each(t.inputs) AS f JOIN json_each(f.value) AS n
JOIN instance AS s ON s.id = (t.id >> 32 << 32) + n.value
LEFT JOIN outcome AS o ON o.id = s.id AND o.state IN ('succeeded', 'cached')
WHERE t.id = ?1 LIMIT ?2"""

_FEEDS: Final = f"""
SELECT substr(f.key, 1, {NAME}), t.id & 4294967295, substr(t.key, 1, {NAME}), NULL
FROM instance AS t JOIN json_each(t.inputs) AS f JOIN json_each(f.value) AS n
WHERE t.id >= ?1 AND t.id < ?2 AND n.value = ?3 LIMIT ?4"""

# What a call waits for, and what it grew from.
_EDGES: Final = f"""
SELECT '', substr(source, 1, {NAME}), substr(target, 1, {NAME}), substr(parameter, 1, {NAME})
FROM every_edge WHERE id >= ?1 AND id < ?2
UNION ALL
SELECT '', substr(p.key, 1, {NAME}), substr(c.key, 1, {NAME}), NULL
FROM instance AS c JOIN instance AS p ON p.id = (c.id >> 32 << 32) + c.parent
WHERE c.id >= ?1 AND c.id < ?2 AND c.parent IS NOT NULL
LIMIT ?3"""

_CHUNKS: Final = f"""
SELECT number, at / 1e6, substr(name, 1, {NAME}), substr(type, 1, {NAME}), size, substr(preview, 1, {TEXT})
FROM stream INDEXED BY stream_id WHERE id = ?1 AND attempt > 0 ORDER BY seq DESC LIMIT ?2"""

# First which lines, by the index alone; then the lines.
_LINES: Final = f"""
SELECT l.id & 4294967295, substr(i.key, 1, {NAME}), l.attempt, l.at / 1e6, substr(l.stream, 1, 20),
    substr(l.line, 1, {LINE}), length(l.line)
FROM (
    SELECT seq FROM log INDEXED BY log_id WHERE id >= ?1 AND id < ?2 ORDER BY seq LIMIT ?3 OFFSET ?4
) AS n
CROSS JOIN log AS l ON l.seq = n.seq
CROSS JOIN instance AS i ON i.id = l.id
ORDER BY l.seq"""


@frozen
class Instance:
    """A task instance by its index, its task by its number, and its value: see TaskRow, XComRow."""

    index: int
    key: str
    task_number: int
    task: str
    state: str
    attempts: int
    started_at: float | None
    ended_at: float | None
    worker: str | None
    error: str | None
    parent: int | None
    type: str | None
    size: int | None
    preview: str | None


@frozen
class TaskGroup:
    """The task instances of one task, counted by state."""

    number: int
    task: str
    states: Counter[str]


@frozen
class TaskSpan:
    """When an instance of a task was run: seconds since the run began."""

    task_number: int
    state: str
    start: float
    end: float


@frozen
class Neighbour:
    """What is at the other end of an edge; `parameter` is what is fed, "" if the edge only orders."""

    parameter: str
    index: int
    key: str
    preview: str | None


@frozen
class Chunk:
    """What an attempt gave before it ended (see ChunkRow)."""

    number: int
    at: float
    name: str | None
    type: str
    size: int
    preview: str


@frozen
class Line:
    """A line that an attempt wrote; `length` is how long it was before it was cut."""

    index: int
    key: str
    attempt: int
    at: float
    stream: str
    text: str
    length: int


class Overview(History):
    """A look into a store for one page; close it, or use it in a `with`.

    Args:
        path: The file.
        time_limit: For all that is asked, in seconds.

    Raises:
        StoreError: There is no such file, or it is none of ours, or damaged.  So do all methods.
    """

    def __init__(self, path: StorePath, time_limit: float = TIME_LIMIT_S) -> None:
        self._reader = open_reader(path, time_limit=time_limit, in_all=True)
        self.path = self._reader.path

    # --- runs ------------------------------------------------------------------------------

    def run(self, number: int) -> RunRow | None:
        """Return a run by its number; None if there is none."""
        found = self._runs("WHERE number = ?", number)
        return found[0] if found else None

    def page_of_runs(
        self, flow: str | None = None, state: str | None = None, *, offset: int = 0, limit: int
    ) -> list[RunRow]:
        """Return runs, the newest first, without their arguments and settings.

        Args:
            flow: Of this flow only.
            state: Those that are in this state.
            offset: So many are left out first.
            limit: At most so many.
        """
        where, values = self._which(state)
        query = f"{_RUNS} WHERE (?1 IS NULL OR flow = ?1) AND {where} ORDER BY number DESC LIMIT ?2 OFFSET ?3"
        found = [self._made(RunRow, row) for row in self._reader.rows(query, (flow, limit, offset, *values))]
        return [self._as_it_is(run) if run.state == "running" else run for run in found]

    def run_states(self, flow: str | None = None) -> Counter[str]:
        """Return how many runs (of a flow) are in which state."""
        query = "SELECT substr(state, 1, 20), count(*) FROM run WHERE ?1 IS NULL OR flow = ?1 GROUP BY state"
        counts: Counter[str] = Counter(dict(self._reader.rows(query, (flow,))))
        dead = sum(1 for run in self._undecided(flow) if run.state == "interrupted")
        counts.update({"interrupted": dead, "running": -dead})
        return +counts

    def flows(self, limit: int) -> list[tuple[int, str, int]]:
        """Return the flows with the newest runs: the number of such a run, the name, how many runs."""
        query = (
            f"SELECT max(number), substr(flow, 1, {NAME}), count(*) FROM run "
            "GROUP BY flow ORDER BY max(number) DESC LIMIT ?"
        )
        return [
            (int(number), str(name), int(count)) for number, name, count in self._reader.rows(query, (limit,))
        ]

    def _undecided(self, flow: str | None = None) -> list[RunRow]:
        """The runs that are recorded as running, as they are."""
        query = f"{_RUNS} WHERE state = 'running' AND (?1 IS NULL OR flow = ?1) ORDER BY number DESC LIMIT ?2"
        found = [self._made(RunRow, row) for row in self._reader.rows(query, (flow, _UNDECIDED))]
        return [self._as_it_is(run) for run in found]

    def _which(self, state: str | None) -> tuple[str, tuple[object, ...]]:
        """A condition for runs in a state, and its values, from the fourth on."""
        if state not in ("running", "interrupted"):
            return "(?4 IS NULL OR state = ?4)", (state,)
        numbers = json.dumps([run.number for run in self._undecided() if run.state == state])
        return "(state = ?4 AND ?4 = 'interrupted' OR number IN (SELECT value FROM json_each(?5)))", (
            state,
            numbers,
        )

    # --- task instances --------------------------------------------------------------------

    def size_of(self, run: RunRow) -> int:
        """Return how many task instances a run has at most, at once however many they are."""
        query = "SELECT max(id) FROM instance WHERE id >= ? AND id < ?"
        ((last,),) = self._reader.rows(query, span(run.number))
        return 0 if last is None else int(last & 0xFFFFFFFF) + 1

    def groups(self, run: RunRow) -> list[TaskGroup]:
        """Return the tasks of a run, and how many of their instances are in which state."""
        found: dict[int, TaskGroup] = {}
        for number, task, state, count in self._reader.rows(_GROUPS, span(run.number)):
            group = found.setdefault(number, TaskGroup(number, task or "?", Counter()))
            group.states[_as_of(run, state)] += count
        return list(found.values())

    def states(self, run: RunRow) -> Counter[str]:
        """Return how many task instances of a run are in which state."""
        return sum((group.states for group in self.groups(run)), Counter())

    def instances(
        self,
        run: RunRow,
        *,
        task: int | None = None,
        state: str | None = None,
        offset: int = 0,
        limit: int,
    ) -> list[Instance]:
        """Return task instances of a run, in the order of the graph.

        Args:
            run: The run.
            task: Of the task of this number only.
            state: Those that are in this state.
            offset: So many are left out first.
            limit: At most so many.
        """
        states = None if state is None else json.dumps(_recorded_as(run, state))
        query = f"{_INSTANCES} AND ({_OF_TASK}) AND ({_IN_STATE}) ORDER BY e.id LIMIT ?5 OFFSET ?6"
        rows = self._reader.rows(query, (*span(run.number), task, states, limit, offset))
        return [_decided(run, self._made(Instance, row)) for row in rows]

    def instance(self, run: RunRow, index: int) -> Instance | None:
        """Return one task instance of a run; None if it has none of this index."""
        first = span(run.number)[0] + index
        rows = self._reader.rows(_INSTANCES, (first, first + 1))
        return _decided(run, self._made(Instance, rows[0])) if rows else None

    def tries(self, run: RunRow, indexes: Sequence[int]) -> dict[int, list[AttemptRow]]:
        """Return the attempts that did not succeed at these task instances, for each in order.

        They don't say whose they are; of a traceback it is the end that is read.
        """
        ids = json.dumps([span(run.number)[0] + index for index in indexes])
        found: dict[int, list[AttemptRow]] = {}
        for index, *row in self._reader.rows(_TRIES, (ids,)):
            found.setdefault(index, []).append(self._made(AttemptRow, tuple(row)))
        return found

    def spans(self, run: RunRow) -> list[TaskSpan]:
        """Return when each of a run's task instances that have ended was run."""
        return [self._made(TaskSpan, row) for row in self._reader.rows(_SPANS, span(run.number))]

    def arrows(self, run: RunRow, limit: int) -> list[EdgeRow]:
        """Return the edges of a run, what has grown from what among them; they don't say whose."""
        rows = self._reader.rows(_EDGES, (*span(run.number), limit))
        return [self._made(EdgeRow, row) for row in rows]

    def inputs(self, run: RunRow, index: int, limit: int) -> list[Neighbour]:
        """Return what a task instance takes from others, or waits for."""
        rows = self._reader.rows(_FED, (span(run.number)[0] + index, limit))
        return [self._made(Neighbour, row) for row in rows]

    def outputs(self, run: RunRow, index: int, limit: int) -> list[Neighbour]:
        """Return where a task instance's value goes to, and what waits for it."""
        rows = self._reader.rows(_FEEDS, (*span(run.number), index, limit))
        return [self._made(Neighbour, row) for row in rows]

    def last_chunks(self, run: RunRow, index: int, limit: int) -> list[Chunk]:
        """Return the chunks that a task instance has given last, in their order."""
        rows = self._reader.rows(_CHUNKS, (span(run.number)[0] + index, limit))
        return [self._made(Chunk, row) for row in reversed(rows)]

    # --- logs ------------------------------------------------------------------------------

    def count_of_lines(self, run: RunRow, index: int | None = None) -> int:
        """Return how many lines a run has written, or one task instance."""
        query = "SELECT count(*) FROM log INDEXED BY log_id WHERE id >= ? AND id < ?"
        ((count,),) = self._reader.rows(query, _range(run, index))
        return int(count)

    def lines(self, run: RunRow, index: int | None = None, *, offset: int = 0, limit: int) -> list[Line]:
        """Return lines, in the order in which they came; `offset` are left out first."""
        rows = self._reader.rows(_LINES, (*_range(run, index), limit, offset))
        return [self._made(Line, row) for row in rows]


def _range(run: RunRow, index: int | None) -> tuple[int, int]:
    first, end = span(run.number)
    return (first, end) if index is None else (first + index, first + index + 1)


def _as_of(run: RunRow, state: str) -> str:
    """A state as it is: of a run whose driver has died, nothing goes on, whatever was noted before."""
    return "pending" if run.state == "interrupted" and state in _GOING_ON else state


def _recorded_as(run: RunRow, state: str) -> list[str]:
    """The states that a task instance may be recorded in which is in this one."""
    if run.state != "interrupted":
        return [state]
    return [] if state in _GOING_ON else [state, *_GOING_ON] if state == "pending" else [state]


def _decided(run: RunRow, row: Instance) -> Instance:
    state = _as_of(run, row.state)
    return row if state == row.state else evolve(row, state=state, started_at=None, worker=None)
