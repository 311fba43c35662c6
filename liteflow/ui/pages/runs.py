"""The page of the runs of a store, the newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from liteflow.store.overview import NAME
from liteflow.store.rows import RunRow
from liteflow.ui.pages.frame import (
    Page,
    Paging,
    badge,
    choice,
    pager,
    section,
    share_bar,
    states_choice,
    took,
    when,
)
from liteflow.ui.pages.markup import Html, el, table, th
from liteflow.ui.pages.places import RunPlace, RunsPlace
from liteflow.views.shown import counted, label

RUNS_ON_A_PAGE = 50
FLOWS = 30


@frozen
class RunsFacts:
    """What the page shows.

    Args:
        place: What was chosen.
        flow: The name of the flow that was chosen.
        runs: Those on this page.
        states: How many there are (of the flow) in each state.
        flows: The number of a run, the name, how many runs: of each flow.
        tasks: For each run by its number the states of its task instances; where they are too many, how many.
        now: The time.
    """

    place: RunsPlace
    flow: str | None
    runs: Sequence[RunRow]
    states: Counter[str]
    flows: Sequence[tuple[int, str, int]]
    tasks: Mapping[int, Mapping[str, int] | int]
    now: float


def runs_page(facts: RunsFacts) -> Page:
    """Return the page."""
    place = facts.place
    total = facts.states[place.state] if place.state else facts.states.total()
    paging = Paging(place.page, RUNS_ON_A_PAGE, total)
    chosen = [] if facts.flow is None else [" of ", el("b", label(facts.flow))]
    heading = el("h1", "Runs", chosen)
    if not facts.states and facts.flow is None:
        return Page("Runs", Html(heading + _none_yet()), changes=True)
    first = evolve(place, page=1)
    by_state = states_choice(
        facts.states, place.state, lambda state: evolve(first, state=state).href, "all states"
    )
    listed = table("Runs", _HEAD, [_row(run, facts) for run in facts.runs], class_="runs cards")
    empty = el("p", "There are no such runs.", class_="empty")
    body = section(
        "runs",
        "Newest first",
        _flows(facts),
        by_state,
        listed if facts.runs else empty,
        pager(paging, lambda page: evolve(place, page=page).href, "runs"),
    )
    return Page("Runs" if facts.flow is None else f"Runs of {facts.flow}", Html(heading + body), changes=True)


_HEAD = [th("State"), th("Flow and run"), th("Started (UTC)"), th("Took"), th("Task instances")]


def _row(run: RunRow, facts: RunsFacts) -> Html:
    href = RunPlace(run.number).href
    tasks = facts.tasks.get(run.number, 0)
    return el(
        "tr",
        el("td", badge(run.state)),
        el(
            "th",
            el("a", label(run.flow), href=href),
            " ",
            el("code", label(run.id, NAME)),
            _error(run),
            scope="row",
        ),
        el("td", when(run.started_at)),
        el(
            "td", took(run.started_at, facts.now if run.state == "running" else run.ended_at), class_="number"
        ),
        el("td", counted(tasks, "task instance") if isinstance(tasks, int) else share_bar(tasks)),
    )


def _error(run: RunRow) -> Html | None:
    return el("p", label(run.error, 160), class_="error") if run.error else None


def _flows(facts: RunsFacts) -> Html | None:
    if len(facts.flows) < 2:
        return None
    everything = evolve(facts.place, flow=None, page=1)
    options: list[tuple[object, str, bool]] = [("all flows", everything.href, facts.flow is None)]
    for number, name, count in facts.flows[:FLOWS]:
        said = [label(name, 40), " ", el("span", f"{count:,}", class_="count")]
        options.append((said, evolve(everything, flow=number).href, name == facts.flow))
    return choice("By flow", options)


def _none_yet() -> Html:
    return el(
        "section",
        el("p", "This store has no runs yet. Write a workflow to begin with, and run it:"),
        el("pre", "liteflow scaffold > my_workflow.py\nliteflow run my_workflow.py"),
        el("p", "This page shows it as soon as it has begun."),
        class_="empty",
        id="runs",
    )
