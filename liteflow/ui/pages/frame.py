"""What all pages have: the frame around them, and how states, times, sizes and pages are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from liteflow.ui.pages.markup import Html, el
from liteflow.ui.pages.places import AssetPlace, RunsPlace
from liteflow.views.shown import counted, cut, label
from liteflow.views.states import LOOKS, look, shown_state, state_class, tally
from liteflow.views.timeline import shares
from liteflow.views.times import clock, duration, stamp

# How often a page without its script loads itself anew while it can change, in seconds.
_REFRESH_S = 5


@frozen
class Page:
    """A page before its frame.

    Args:
        title: What a browser calls it.
        body: What stands in it.
        changes: It can be another one soon, so that it is looked at again.
        crumbs: What it lies in, from the outermost: words and addresses.
    """

    title: str
    body: Html
    changes: bool = False
    crumbs: Sequence[tuple[str, str]] = ()


@frozen
class Paging:
    """Page number `page` (from 1) of what there are `total` of, `size` on each."""

    page: int
    size: int
    total: int

    @property
    def last(self) -> int:
        """The last page."""
        return max(1, -(-self.total // self.size))

    @property
    def offset(self) -> int:
        """How many stand on the pages before."""
        return (self.page - 1) * self.size


def framed(page: Page, store: str) -> str:
    """Return a page in its frame, as a document.

    Args:
        page: What to show.
        store: The path of the store.
    """
    again = el("noscript", el("meta", http_equiv="refresh", content=_REFRESH_S)) if page.changes else None
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{label(page.title, 100)} · liteflow"),
        el("link", rel="icon", href=AssetPlace("icon.svg").href),
        el("link", rel="stylesheet", href=AssetPlace("style.css").href),
        again,
        el("script", src=AssetPlace("follow.js").href, defer=True),
    )
    top = el(
        "header",
        el(
            "a",
            el("span", class_="mark", aria_hidden="true"),
            "liteflow",
            href=RunsPlace().href,
            class_="home",
        ),
        el("span", cut(store, 200), class_="store", title=cut(store, 400)),
        el("span", "live" if page.changes else None, id="following", role="status"),
    )
    body = el(
        "body",
        el("a", "Skip to what is on this page", href="#main", class_="skip"),
        top,
        el("main", _crumbs(page.crumbs), page.body, id="main"),
        data_changes=page.changes,
    )
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _crumbs(crumbs: Sequence[tuple[str, str]]) -> Html | None:
    if not crumbs:
        return None
    items = [el("li", el("a", label(words), href=href)) for words, href in crumbs]
    return el("nav", el("ol", items), class_="crumbs", aria_label="Where this is")


def section(name: str, heading: str, *children: object, **attributes: object) -> Html:
    """Return a part of a page with its heading; the script exchanges what has changed by such parts."""
    title = f"{name}-title"
    head = el("h2", heading, id=title)
    return el("section", head, children, id=name, aria_labelledby=title, **attributes)


def badge(state: str, word: str | None = None) -> Html:
    """Return a state in its colour, with its sign and its name (or `word`): not the colour alone says it."""
    sign = el("span", look(state).symbol, aria_hidden="true")
    return el(
        "span", sign, (word or shown_state(state)).replace("_", " "), class_=f"badge {state_class(state)}"
    )


def share_bar(states: Mapping[str, int]) -> Html:
    """Return how many are in which state: a bar, and words."""
    return el(
        "span",
        Html(shares(states)),
        el("span", tally(states).replace("_", " "), class_="tally"),
        class_="shares",
    )


def when(at: float | None) -> Html | None:
    """Return a point in time, in UTC."""
    return el("time", clock(at), datetime=stamp(at)) if at is not None else None


def took(started: float | None, ended: float | None) -> str:
    """Return how long something took; nothing if that is not known.

    >>> took(1.0, 3.5), took(None, 3.5)
    ('2.5 s', '')
    """
    if started is None or ended is None:
        return ""
    return duration(max(0.0, ended - started))


def size(of: int | None) -> str:
    """Return a number of bytes as a person says it.

    >>> size(512), size(3_400), size(5_000_000)
    ('512 bytes', '3.4 kB', '5.0 MB')
    """
    if of is None:
        return ""
    if of < 1000:
        return counted(of, "byte")
    for number, unit in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        if of < 1000 * number:
            return f"{of / number:.1f} {unit}"
    return f"{of / 1e12:.1f} TB"


def facts(*pairs: tuple[str, object]) -> Html:
    """Return names and what they are, those that are anything."""
    said = [el("div", el("dt", name), el("dd", words)) for name, words in pairs if words]
    return el("dl", said, class_="facts")


def choice(name: str, options: Sequence[tuple[object, str, bool]]) -> Html | None:
    """Return links of which one is chosen: what each says, its address, whether it is that one."""
    if len(options) < 2:
        return None
    items = [
        el("li", el("a", said, href=href, aria_current="true" if now else None))
        for said, href, now in options
    ]
    return el("nav", el("ul", items), class_="choice", aria_label=name)


def states_choice(
    states: Mapping[str, int], chosen: str | None, href: Callable[[str | None], str], everything: str
) -> Html | None:
    """Return links to those in each state that there is."""
    options: list[tuple[object, str, bool]] = [(everything, href(None), chosen is None)]
    for state in LOOKS:
        if states.get(state) or state == chosen:
            count = el("span", f"{states.get(state, 0):,}", class_="count")
            options.append(([badge(state), " ", count], href(state), state == chosen))
    return choice("By state", options)


def pager(paging: Paging, href: Callable[[int], str], what: str) -> Html | None:
    """Return links to the pages before and behind; nothing if there is one page."""
    if paging.last == 1 and paging.page == 1:
        return None
    page = paging.page
    to = [("First", 1, page > 1), ("Newer" if what == "runs" else "Previous", page - 1, page > 1)]
    to += [
        ("Older" if what == "runs" else "Next", page + 1, page < paging.last),
        ("Last", paging.last, page < paging.last),
    ]
    links = [
        el("a", name, href=href(number)) if there else el("span", name, aria_disabled="true")
        for name, number, there in to
    ]
    where = el("span", f"page {page:,} of {paging.last:,}, {paging.total:,} {what}", class_="where")
    return el("nav", links[:2], where, links[2:], class_="pager", aria_label="Pages")
