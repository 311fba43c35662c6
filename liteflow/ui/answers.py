"""From what may be looked for to the answer: the store is opened, read and closed for each.

    Passed --place--> Overview's rows --a page--> Answer

A store that can't be read is no reason to end: the page says what the matter is, and the next
request looks again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from liteflow import errors
from liteflow.store.overview import Overview
from liteflow.store.rows import RunRow
from liteflow.ui.gate import Passed
from liteflow.ui.pages.frame import Page, Paging, framed
from liteflow.ui.pages.instance import CHUNKS, LINES, NEIGHBOURS, InstanceFacts, instance_page
from liteflow.ui.pages.logs import LINES_ON_A_PAGE, LogsFacts, logs_page
from liteflow.ui.pages.places import AssetPlace, InstancePlace, LogsPlace, Place, RunPlace, RunsPlace, place
from liteflow.ui.pages.problem import error_page
from liteflow.ui.pages.run import FAILURES, INSTANCES_ON_A_PAGE, RunFacts, run_page
from liteflow.ui.pages.runs import FLOWS, RUNS_ON_A_PAGE, RunsFacts, runs_page
from liteflow.ui.pages.style import state_rules
from liteflow.views.arguments import arguments_of
from liteflow.views.graph import Graph, fold, from_run
from liteflow.views.shown import visible

HTML: Final = "text/html; charset=utf-8"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# The states of so many task instances are counted for a page of runs; of other runs, their number is told.
_COUNTED = 200_000
# A run of more task instances, or edges, is not read whole for its picture and its line of time.
_WHOLE, _ARROWS = 50_000, 200_000
# What is more, as it is or folded, is no picture any more.
_PLAIN_NODES, _PLAIN_EDGES = 40, 80
_MOST_NODES, _MOST_EDGES = 150, 400


@frozen
class Answer:
    """What goes back."""

    status: int
    body: bytes
    kind: str = HTML
    headers: Mapping[str, str] = field(factory=dict)


class _NotFoundError(Exception):
    """There is no such page."""


def answer(
    path: str, passed: Passed, *, now: float, time_limit: float, tell: Callable[[Exception], object]
) -> Answer:
    """Return the answer to a request that has passed the gate.

    Args:
        path: The store, from the root.
        passed: What is looked for.
        now: The time, in unix seconds.
        time_limit: How long the store may be read, in seconds.
        tell: Is told of an error that is a bug of ours.
    """
    try:
        found = place(passed.path, passed.query)
        if isinstance(found, AssetPlace):
            return _asset(found.name)
        if found is None:
            raise _NotFoundError("There is no such page.")
        with Overview(path, time_limit) as store:
            return _as_answer(200, _page(store, found, now), path)
    except (_NotFoundError, errors.LiteflowError) as error:
        status = _status_of(error)
        # A store may be there, or be mended, a moment later; what an address does not name stays so.
        changes = isinstance(error, errors.StoreError)
        return _as_answer(status, error_page(status, str(error), changes=changes), path)
    except Exception as error:  # noqa: BLE001  whatever a file has brought about, the others go on being served
        tell(error)
        why = f"{type(error).__name__}: a bug in liteflow, please report what `liteflow ui` has printed."
        return _as_answer(500, error_page(500, why, changes=False), path)


def _status_of(error: Exception) -> int:
    if isinstance(error, (_NotFoundError, errors.StoreMissingError)):
        return 404
    return 503 if isinstance(error, (errors.StoreBusyError, errors.StoreSlowError)) else 500


def _as_answer(status: int, page: Page, path: str) -> Answer:
    return Answer(status, framed(page, visible(path)).encode("utf-8", "replace"))


@functools.cache
def _asset(name: str) -> Answer:
    file = Path(__file__).parent / "assets" / name
    data = file.read_bytes()
    if name == "style.css":
        data += state_rules().encode()
    return Answer(200, data, _KINDS[file.suffix])


def _page(store: Overview, found: Place, now: float) -> Page:
    match found:
        case RunsPlace():
            return runs_page(_runs(store, found, now))
        case RunPlace():
            return run_page(_run(store, found, now))
        case InstancePlace():
            return instance_page(_instance(store, found, now))
        case LogsPlace():
            return logs_page(_logs(store, found))
    raise _NotFoundError("There is no such page.")


# --- what each page is made of -------------------------------------------------------------


def _run_of(store: Overview, number: int) -> RunRow:
    run = store.run(number)
    if run is None:
        raise _NotFoundError("There is no such run, or no longer.")
    return run


def _runs(store: Overview, place: RunsPlace, now: float) -> RunsFacts:
    flow = None if place.flow is None else _run_of(store, place.flow).flow
    offset = Paging(place.page, RUNS_ON_A_PAGE, 0).offset
    runs = store.page_of_runs(flow, place.state, offset=offset, limit=RUNS_ON_A_PAGE)
    tasks: dict[int, Mapping[str, int] | int] = {}
    counted = 0
    for run in runs:
        size = store.size_of(run)
        counted += size
        tasks[run.number] = size if counted > _COUNTED else store.states(run)
    return RunsFacts(
        place=place,
        flow=flow,
        runs=runs,
        states=store.run_states(flow),
        flows=store.flows(FLOWS),
        tasks=tasks,
        now=now,
    )


def _run(store: Overview, place: RunPlace, now: float) -> RunFacts:
    run = _run_of(store, place.run)
    groups = store.groups(run)
    if place.task is not None and place.task not in [group.number for group in groups]:
        raise _NotFoundError("This run has no such task.")
    offset = Paging(place.page, INSTANCES_ON_A_PAGE, 0).offset
    instances = store.instances(
        run, task=place.task, state=place.state, offset=offset, limit=INSTANCES_ON_A_PAGE
    )
    failed = store.instances(run, state="failed", limit=FAILURES)
    whole = store.size_of(run) <= _WHOLE
    graph, indexes = _graph(store, run) if whole else (None, {})
    return RunFacts(
        place=place,
        run=run,
        arguments=arguments_of(run),
        sessions=store.sessions(run.id),
        groups=groups,
        instances=instances,
        tries=store.tries(run, [row.index for row in instances]),
        failed=failed,
        failures=store.tries(run, [row.index for row in failed]),
        spans=store.spans(run) if whole else [],
        graph=graph,
        indexes=indexes,
        lines=store.count_of_lines(run),
        now=now,
    )


def _graph(store: Overview, run: RunRow) -> tuple[Graph | None, dict[str, int]]:
    """What is to be drawn of a run, and where its nodes lead to."""
    rows, edges = store.instances(run, limit=_WHOLE), store.arrows(run, _ARROWS)
    if len(edges) == _ARROWS:
        return None, {}
    graph = from_run(run, rows, edges)
    if len(graph.nodes) > _PLAIN_NODES or len(graph.edges) > _PLAIN_EDGES:
        graph = fold(graph)
    if len(graph.nodes) > _MOST_NODES or len(graph.edges) > _MOST_EDGES:
        return None, {}
    return graph, {row.key: row.index for row in rows}


def _instance(store: Overview, place: InstancePlace, now: float) -> InstanceFacts:
    run = _run_of(store, place.run)
    row = store.instance(run, place.index)
    if row is None:
        raise _NotFoundError("This run has no such task instance.")
    count = store.count_of_lines(run, row.index)
    return InstanceFacts(
        run=run,
        row=row,
        parent=None if row.parent is None else store.instance(run, row.parent),
        tries=store.tries(run, [row.index]).get(row.index, []),
        inputs=store.inputs(run, row.index, NEIGHBOURS + 1),
        outputs=store.outputs(run, row.index, NEIGHBOURS + 1),
        chunks=store.last_chunks(run, row.index, CHUNKS),
        lines=store.lines(run, row.index, offset=max(0, count - LINES), limit=LINES),
        line_count=count,
        now=now,
    )


def _logs(store: Overview, place: LogsPlace) -> LogsFacts:
    run = _run_of(store, place.run)
    row = None if place.task is None else store.instance(run, place.task)
    if place.task is not None and row is None:
        raise _NotFoundError("This run has no such task instance.")
    count = store.count_of_lines(run, place.task)
    paging = Paging(place.page, LINES_ON_A_PAGE, count)
    paging = evolve(paging, page=place.page or paging.last)
    lines = store.lines(run, place.task, offset=paging.offset, limit=LINES_ON_A_PAGE)
    return LogsFacts(evolve(place, page=paging.page), run, row, lines, count)
