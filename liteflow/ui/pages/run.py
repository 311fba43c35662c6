"""The page of one run: how it stands, what failed and why, its picture, its tasks and their instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from liteflow.store.overview import NAME, TEXT, TRACEBACK, Instance, TaskGroup, TaskSpan
from liteflow.store.rows import AttemptRow, RunRow, SessionRow
from liteflow.ui.pages import frame
from liteflow.ui.pages.frame import Page, Paging, badge, section, took, when
from liteflow.ui.pages.markup import Html, el, pre, table, th
from liteflow.ui.pages.places import InstancePlace, LogsPlace, RunPlace, RunsPlace
from liteflow.views.graph import Graph, GraphNode
from liteflow.views.graph_svg import svg
from liteflow.views.shown import counted, label
from liteflow.views.timeline import Span, timeline
from liteflow.views.times import duration

INSTANCES_ON_A_PAGE = 100
FAILURES = 3
_ARGUMENTS = 100
_SESSIONS = 20
_PYTHON_NAME = 40
# The tasks of a run with more task instances than this are listed, too.
_FEW = 12


@frozen
class RunFacts:
    """What the page shows.

    Args:
        place: What was chosen.
        run: The run.
        arguments: Previews of its arguments by their names.
        sessions: Who has driven it.
        groups: Its tasks.
        instances: Those on this page, and `tries`, by their indexes their attempts that did not succeed.
        failed: Some that failed, and `failures`, the same of them.
        spans: When what was run; none if they are too many.
        graph: What is to be drawn; None if it is too much.
        indexes: Of a node by its key, where it is drawn alone.
        lines: How many lines it has written.
        now: The time.
    """

    place: RunPlace
    run: RunRow
    arguments: Mapping[str, object]
    sessions: Sequence[SessionRow]
    groups: Sequence[TaskGroup]
    instances: Sequence[Instance]
    tries: Mapping[int, Sequence[AttemptRow]]
    failed: Sequence[Instance]
    failures: Mapping[int, Sequence[AttemptRow]]
    spans: Sequence[TaskSpan]
    graph: Graph | None
    indexes: Mapping[str, int]
    lines: int
    now: float

    @property
    def states(self) -> Counter[str]:
        """How many task instances are in which state."""
        return sum((group.states for group in self.groups), Counter())

    @property
    def begin(self) -> float:
        """When the line of time begins."""
        return self.run.created_at if self.run.started_at is None else self.run.started_at

    @property
    def end(self) -> float:
        """When it ends: with the run, or now, or where it was last heard of."""
        if self.run.state == "running":
            return self.now
        heard = [self.begin + span.end for span in self.spans]
        heard += [row.ended_at for row in self.instances if row.ended_at is not None]
        return self.run.ended_at or max(heard, default=self.begin)


def run_page(facts: RunFacts) -> Page:
    """Return the page."""
    run = facts.run
    parts = [
        _head(facts),
        _failures(facts),
        _graph(facts),
        _tasks(facts) if facts.states.total() > max(_FEW, len(facts.groups)) else None,
        _instances(facts),
    ]
    return Page(
        f"{run.flow} {run.id}",
        Html("".join(part for part in parts if part)),
        run.state == "running",
        [("Runs", RunsPlace().href)],
    )


# --- how it stands -------------------------------------------------------------------------


def _head(facts: RunFacts) -> Html:
    run = facts.run
    last = facts.now if run.state == "running" else run.ended_at
    given = [
        [el("code", label(str(name))), " = ", el("code", label(str(value), TEXT))]
        for name, value in list(facts.arguments.items())[:_ARGUMENTS]
    ]
    logs = el("a", counted(facts.lines, "line"), href=LogsPlace(run.number, page=_log_page(run)).href)
    known = frame.facts(
        ("Run", el("code", label(run.id, NAME))),
        ("Started", [when(run.started_at), " UTC"] if run.started_at is not None else None),
        ("So far" if run.state == "running" else "Took", took(run.started_at, last)),
        ("Logs", logs if facts.lines else "none"),
        ("Arguments", el("ul", [el("li", pair) for pair in given], class_="plain") if given else None),
        ("Driver", el("ul", [el("li", _driver(one)) for one in facts.sessions[-_SESSIONS:]], class_="plain")),
        ("Script", el("code", label(run.script, TEXT)) if run.script else None),
    )
    return el(
        "section",
        el("h1", label(run.flow), " ", badge(run.state)),
        frame.share_bar(facts.states),
        el("p", label(run.error, TEXT), class_="error") if run.error else None,
        _advice(run),
        known,
        id="head",
    )


def _log_page(run: RunRow) -> int:
    return 0 if run.state == "running" else 1


def _advice(run: RunRow) -> Html | None:
    if run.state not in ("failed", "cancelled", "interrupted"):
        return None
    died = "Its driver has died. " if run.state == "interrupted" else ""
    # An id may be anything; what can't be typed as it stands is not offered to be copied.
    plain = run.id.isascii() and run.id.replace("-", "").replace("_", "").isalnum() and run.id[0] != "-"
    command = f"liteflow resume {run.id}" if plain else "liteflow resume RUN"
    return el(
        "p", died, "What had finished is kept: ", el("code", command), " goes on with it.", class_="advice"
    )


def _driver(session: SessionRow) -> list[object]:
    python = f", Python {label(session.python, _PYTHON_NAME)}" if session.python else ""
    return [f"process {session.pid} on ", label(session.host), python]


# --- what failed ---------------------------------------------------------------------------


def _failures(facts: RunFacts) -> Html | None:
    if not facts.failed:
        return None
    count = facts.states["failed"]
    more = [evolve(RunPlace(facts.run.number), state="failed")] if count > len(facts.failed) else []
    return section(
        "failures",
        "What failed",
        [_failure(facts.run, row, facts.failures.get(row.index, [])) for row in facts.failed],
        [el("p", el("a", f"All {count:,} that failed", href=place.href)) for place in more],
    )


def _failure(run: RunRow, row: Instance, tries: Sequence[AttemptRow]) -> Html:
    last = tries[-1] if tries else None
    said = (last.traceback or last.error if last else None) or row.error or "nothing is known of why"
    return el(
        "article",
        el("h3", el("a", label(row.key, NAME), href=InstancePlace(run.number, row.index).href)),
        pre(said.rstrip(), TRACEBACK, class_="traceback"),
    )


# --- the picture ---------------------------------------------------------------------------


def _graph(facts: RunFacts) -> Html | None:
    if facts.graph is None:
        words = el("p", "It is too large to be drawn; its tasks are listed below.", class_="empty")
        return section("graph", "Graph", words)
    if len(facts.graph.nodes) < 2:
        return None
    number = facts.run.number
    tasks = {group.task: group.number for group in facts.groups}

    def link(node: GraphNode) -> str | None:
        if node.count == 1:
            index = facts.indexes.get(node.key)
            return None if index is None else InstancePlace(number, index).href
        task = tasks.get(node.task)
        return None if task is None else RunPlace(number, task).href

    drawn = el("div", Html(svg(facts.graph, link)), class_="drawing", tabindex="0")
    return section("graph", "Graph", drawn)


# --- tasks and their instances -------------------------------------------------------------


def _tasks(facts: RunFacts) -> Html:
    spans: dict[int, list[Span]] = {}
    for span in facts.spans:
        spans.setdefault(span.task_number, []).append(Span(span.start, span.end, span.state))
    length = facts.end - facts.begin
    head = [th("Task"), th("Instances"), th("States"), _axis(facts) if spans else None]

    def row(group: TaskGroup) -> Html:
        drawn = Html(timeline(spans.get(group.number, ()), 0.0, length))
        return el(
            "tr",
            el(
                "th",
                el("a", label(group.task), href=RunPlace(facts.run.number, group.number).href),
                scope="row",
            ),
            el("td", f"{group.states.total():,}", class_="number"),
            el("td", frame.share_bar(group.states)),
            el("td", drawn, class_="line") if spans else None,
        )

    return section("tasks", "Tasks", table("Tasks", head, map(row, facts.groups), class_="tasks"))


def _instances(facts: RunFacts) -> Html:
    place = facts.place
    first = evolve(place, page=1)
    chosen = [group for group in facts.groups if place.task in (None, group.number)]
    states = sum((group.states for group in chosen), Counter[str]())
    total = states[place.state] if place.state else states.total()
    paging = Paging(place.page, INSTANCES_ON_A_PAGE, total)
    of_task = [
        el(
            "p",
            "Of the task ",
            el("b", label(group.task)),
            ". ",
            el("a", "Show those of all tasks", href=href),
        )
        for group in chosen
        if place.task is not None
        for href in [evolve(first, task=None).href]
    ]
    head = [th("State"), th("Task instance"), _axis(facts), th("Took"), th("Attempts"), th("Result or error")]
    head += [th("Type"), th("Size")]
    rows = [_instance(facts, row) for row in facts.instances]
    return section(
        "instances",
        "Task instances",
        of_task,
        frame.states_choice(states, place.state, lambda state: evolve(first, state=state).href, "all states"),
        table("Task instances", head, rows, class_="instances cards")
        if rows
        else el("p", "There are none.", class_="empty"),
        frame.pager(paging, lambda page: evolve(place, page=page).href, "task instances"),
    )


def _axis(facts: RunFacts) -> Html:
    length = max(0.0, facts.end - facts.begin)
    marks = [el("span", text) for text in ("0", duration(length / 2), duration(length))]
    return th(el("span", "When", class_="unseen"), el("span", marks, class_="axis"), class_="line")


def _instance(facts: RunFacts, row: Instance) -> Html:
    tries = facts.tries.get(row.index, ())
    ended = facts.now if row.state == "running" else row.ended_at
    result = el("code", label(row.preview, 160)) if row.preview is not None else None
    return el(
        "tr",
        el("td", badge(row.state)),
        el("th", el("a", label(row.key), href=InstancePlace(facts.run.number, row.index).href), scope="row"),
        el("td", Html(timeline(spans_of(row, tries, facts.now), facts.begin, facts.end)), class_="line"),
        el("td", took(row.started_at, ended), class_="number"),
        el("td", row.attempts or "", class_="number attempts"),
        el("td", result or el("span", label(row.error or "", 160), class_="error"), class_="result"),
        el("td", label(row.type or ""), class_="type"),
        el("td", frame.size(row.size), class_="number size"),
    )


def spans_of(row: Instance, tries: Iterable[AttemptRow], now: float) -> list[Span]:
    """Return when each attempt at a task instance ran, and how it came out.

    Args:
        row: The task instance.
        tries: Its attempts that did not succeed.
        now: The time, in unix seconds.
    """
    found = [
        Span(one.started_at, one.ended_at, "cancelled" if one.outcome == "cancelled" else "failed")
        for one in tries
        if one.started_at is not None and one.ended_at is not None
    ]
    ended = now if row.state == "running" else row.ended_at
    if row.started_at is not None and ended is not None and row.state != "failed":
        found.append(Span(row.started_at, ended, row.state))
    return found
