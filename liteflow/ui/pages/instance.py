"""The page of one task instance: its attempts, what it took and gave, and what it wrote."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from liteflow.store.overview import NAME, TEXT, TRACEBACK, Chunk, Instance, Line, Neighbour
from liteflow.store.rows import AttemptRow, RunRow
from liteflow.ui.pages import frame
from liteflow.ui.pages.frame import Page, badge, section, took, when
from liteflow.ui.pages.logs import line_table
from liteflow.ui.pages.markup import Html, el, pre, table, th
from liteflow.ui.pages.places import InstancePlace, LogsPlace, RunPlace, RunsPlace
from liteflow.views.shown import counted, label
from liteflow.views.states import LOOKS, UNKNOWN
from liteflow.views.times import moment, stamp

LINES = 30
CHUNKS = 20
NEIGHBOURS = 100


@frozen
class InstanceFacts:
    """What the page shows.

    Args:
        run: The run.
        row: The task instance.
        parent: What it grew from.
        tries: Its attempts that did not succeed.
        inputs: What it takes from others.
        outputs: Where its value goes to.
        chunks: The last that it has given before its end.
        lines: The last that it has written.
        line_count: How many there are.
        now: The time.
    """

    run: RunRow
    row: Instance
    parent: Instance | None
    tries: Sequence[AttemptRow]
    inputs: Sequence[Neighbour]
    outputs: Sequence[Neighbour]
    chunks: Sequence[Chunk]
    lines: Sequence[Line]
    line_count: int
    now: float


def instance_page(facts: InstanceFacts) -> Page:
    """Return the page."""
    run, row = facts.run, facts.row
    parts = [_head(facts), _attempts(facts), _edges(facts), _chunks(facts), _logs(facts)]
    return Page(
        f"{row.key} of {run.flow} {run.id}",
        Html("".join(part for part in parts if part)),
        run.state == "running",
        [("Runs", RunsPlace().href), (f"{label(run.flow)} {label(run.id, NAME)}", RunPlace(run.number).href)],
    )


def _head(facts: InstanceFacts) -> Html:
    row, number = facts.row, facts.run.number
    ended = facts.now if row.state == "running" else row.ended_at
    parent = facts.parent
    grown = (
        None if parent is None else el("a", label(parent.key), href=InstancePlace(number, parent.index).href)
    )
    known = frame.facts(
        ("Task", el("a", label(row.task), href=RunPlace(number, row.task_number).href)),
        ("Started", [when(row.started_at), " UTC"] if row.started_at is not None else None),
        ("Took", took(row.started_at, ended)),
        ("Attempts", str(row.attempts) if row.attempts else None),
        ("Worker", el("code", label(row.worker)) if row.worker else None),
        ("Grown from", grown),
        ("Type", el("code", label(row.type, NAME)) if row.type else None),
        ("Size", frame.size(row.size)),
    )
    result = None
    if row.preview is not None:
        result = el("div", el("h2", "Result"), pre(row.preview, TEXT, class_="preview"))
    return el(
        "section",
        el("h1", label(row.key, NAME), " ", badge(row.state)),
        el("p", label(row.error, TEXT), class_="error") if row.error else None,
        known,
        result,
        id="head",
    )


def _attempts(facts: InstanceFacts) -> Html | None:
    if not facts.tries:
        return None
    row = facts.row
    tries = list(facts.tries)
    if row.state in ("succeeded", "running"):
        ended = facts.now if row.state == "running" else row.ended_at
        one = AttemptRow(
            facts.run.id, row.key, row.attempts, row.state, row.started_at, ended, row.worker, None, None
        )
        tries.append(one)
    head = [th("Attempt"), th("Outcome"), th("Started (UTC)"), th("Took"), th("Worker"), th("Error")]
    return section(
        "attempts",
        "Attempts",
        table("Attempts", head, map(_attempt, tries), class_="attempts"),
        [
            _traceback(one, is_open=one is facts.tries[-1] and row.state == "failed")
            for one in facts.tries
            if one.traceback
        ],
    )


def _attempt(one: AttemptRow) -> Html:
    known = one.outcome in LOOKS
    # An attempt's outcomes have words of their own.
    word = one.outcome if known or one.outcome in ("timed_out", "lost") else UNKNOWN.symbol
    return el(
        "tr",
        el("th", str(one.attempt), scope="row", class_="number"),
        el("td", badge(one.outcome if known else "failed", word)),
        el("td", when(one.started_at)),
        el("td", took(one.started_at, one.ended_at), class_="number"),
        el("td", el("code", label(one.worker)) if one.worker else None),
        el("td", label(one.error or "", 200), class_="error"),
    )


def _traceback(one: AttemptRow, *, is_open: bool) -> Html:
    return el(
        "details",
        el("summary", f"Traceback of attempt {one.attempt}"),
        pre((one.traceback or "").rstrip(), TRACEBACK, class_="traceback"),
        open=is_open,
        id=f"traceback-{one.attempt}",
    )


def _edges(facts: InstanceFacts) -> Html | None:
    if not facts.inputs and not facts.outputs:
        return None
    parts = []
    for name, heading, rows in (("inputs", "Takes", facts.inputs), ("outputs", "Goes to", facts.outputs)):
        if not rows:
            continue
        inwards = name == "inputs"
        head = [th("Parameter"), th("From" if inwards else "Of"), th("Value") if inwards else None]
        listed = table(heading, head, [_edge(facts.run, row, inwards) for row in rows[:NEIGHBOURS]])
        more = el("p", f"and more than these {NEIGHBOURS}") if len(rows) > NEIGHBOURS else None
        parts.append(el("div", el("h3", heading), listed, more))
    return section("edges", "Edges", el("div", parts, class_="columns"))


def _edge(run: RunRow, row: Neighbour, inwards: bool) -> Html:
    parameter = el("code", label(row.parameter)) if row.parameter else "only waits"
    link = el("a", label(row.key, NAME), href=InstancePlace(run.number, row.index).href)
    value = el("td", el("code", label(row.preview or "", 120)), class_="result") if inwards else None
    return el("tr", el("td", parameter), el("th", link, scope="row"), value)


def _chunks(facts: InstanceFacts) -> Html | None:
    if not facts.chunks:
        return None
    head = [th("Chunk"), th("Time (UTC)"), th("Value"), th("Type"), th("Size")]
    heading = "Chunks" if len(facts.chunks) < CHUNKS else f"The last {CHUNKS} chunks"
    return section("chunks", heading, table("Chunks", head, map(_chunk, facts.chunks)))


def _chunk(one: Chunk) -> Html:
    of = f" of {label(one.name)}" if one.name is not None else ""
    return el(
        "tr",
        # From 1, as all that is counted for a reader.
        el("th", f"{one.number + 1}{of}", scope="row"),
        el("td", el("time", moment(one.at), datetime=stamp(one.at))),
        el("td", el("code", label(one.preview, 160)), class_="result"),
        el("td", label(one.type), class_="type"),
        el("td", frame.size(one.size), class_="number size"),
    )


def _logs(facts: InstanceFacts) -> Html | None:
    if not facts.lines:
        return None
    place = LogsPlace(facts.run.number, facts.row.index)
    more = el("a", f"The whole log: {counted(facts.line_count, 'line')}", href=place.href)
    return section(
        "logs",
        "Logs",
        line_table(facts.run.number, facts.lines, with_keys=False),
        el("p", more, class_="further"),
    )
