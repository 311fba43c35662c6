"""The pages that say why there is nothing to see, and what to do."""

from __future__ import annotations

from liteflow.ui.pages.frame import Page
from liteflow.ui.pages.markup import Html, el
from liteflow.ui.pages.places import RunsPlace

TITLES = {
    400: "No such page",
    403: "Not for you",
    404: "Not found",
    405: "Only to be looked at",
    421: "Another address",
    431: "Too long",
    500: "The store can't be read",
    503: "Not just now",
}


def error_page(status: int, why: str, *, changes: bool) -> Page:
    """Return the page of an answer that is an error.

    Args:
        status: The status of HTTP.
        why: What happened, and what to do.
        changes: It may be another one soon, so it looks again by itself.
    """
    title = TITLES.get(status, "Something went wrong")
    lines = [el("p", line) for line in why.splitlines()]
    back = el("p", el("a", "All runs", href=RunsPlace().href))
    body = el("section", el("h1", title), lines, back, class_="problem", id="problem")
    return Page(title, body, changes=changes)


def refusal(status: int, why: str) -> Html:
    """Return the page for whom the gate refuses; it loads nothing, for that would be refused too."""
    title = TITLES.get(status, "Refused")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
    )
    body = el("body", el("main", el("h1", title), el("p", why)))
    return Html(f"<!doctype html>\n{el('html', head, body, lang='en')}\n")
