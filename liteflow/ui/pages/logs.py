"""The page of what a run, or one of its task instances, has printed and logged."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from liteflow.store.overview import LINE, NAME, Instance, Line
from liteflow.store.rows import RunRow
from liteflow.ui.pages import frame
from liteflow.ui.pages.frame import Page, Paging, badge, section
from liteflow.ui.pages.markup import Html, el, table, text, th
from liteflow.ui.pages.places import InstancePlace, LogsPlace, RunPlace, RunsPlace
from liteflow.views.shown import counted, label
from liteflow.views.times import moment, stamp

LINES_ON_A_PAGE = 500


@frozen
class LogsFacts:
    """What the page shows.

    Args:
        place: What was chosen; a page that there is.
        run: The run.
        row: The task instance whose lines these are; None: of all.
        lines: Those on this page.
        count: How many there are.
    """

    place: LogsPlace
    run: RunRow
    row: Instance | None
    lines: Sequence[Line]
    count: int


def logs_page(facts: LogsFacts) -> Page:
    """Return the page."""
    run, row, place = facts.run, facts.row, facts.place
    paging = Paging(place.page, LINES_ON_A_PAGE, facts.count)
    crumbs = [
        ("Runs", RunsPlace().href),
        (f"{label(run.flow)} {label(run.id, NAME)}", RunPlace(run.number).href),
    ]
    if row is not None:
        crumbs.append((label(row.key), InstancePlace(run.number, row.index).href))
    whose = label(row.key, NAME) if row is not None else label(run.flow)
    links = frame.pager(paging, lambda page: evolve(place, page=page).href, "lines")
    going_on = run.state == "running"
    newest = (
        el("p", el("a", "Follow the newest lines", href=evolve(place, page=0).href)) if going_on else None
    )
    nothing = el(
        "p", "It has logged nothing." if not going_on else "It has logged nothing yet.", class_="empty"
    )
    body = section(
        "lines",
        counted(facts.count, "line"),
        newest,
        links,
        line_table(run.number, facts.lines, with_keys=row is None) if facts.lines else nothing,
        links,
    )
    heading = el("h1", "Logs of ", whose, " ", badge(row.state if row is not None else run.state))
    return Page(f"Logs of {whose}", Html(heading + body), going_on, crumbs)


def line_table(run: int, lines: Sequence[Line], *, with_keys: bool) -> Html:
    """Return lines as a table.

    Args:
        run: The number of their run.
        lines: What was written.
        with_keys: Say whose each is.
    """
    head = [th("Time (UTC)"), th("Task instance") if with_keys else None, th("Stream"), th("Line")]
    return table("Lines", head, [_line(run, line, with_keys) for line in lines], class_="lines")


def _line(run: int, line: Line, with_keys: bool) -> Html:
    key = (
        el("td", el("a", label(line.key, 40), href=InstancePlace(run, line.index).href))
        if with_keys
        else None
    )
    more = el("span", f" … {line.length:,} characters; liteflow logs --raw shows them", class_="more")
    # What comes by no other name is what programs print.
    stream = "" if line.stream == "stdout" else label(line.stream, 20)
    return el(
        "tr",
        el("td", el("time", moment(line.at), datetime=stamp(line.at))),
        key,
        el("td", stream, class_="stream"),
        el("td", el("code", text(line.text, keep="\t")), more if line.length > LINE else None),
        class_="stderr" if line.stream == "stderr" else None,
    )
