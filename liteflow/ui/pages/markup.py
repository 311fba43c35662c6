"""HTML as values: what is text becomes harmless where it is put in, and nowhere else.

    el("td", name)    name is text: escaped, and what deceives the eye made visible
    el("td", el("b", name))    Html is left as it is

So no page can forget it: a plain str is never markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from liteflow.views.shown import cut, visible

_VOID: Final = frozenset({"link", "meta", "br"})


class Html(str):
    """Markup that is ours."""

    __slots__ = ()


def text(of: str, keep: str = "") -> Html:
    r"""Return text as markup; `keep` are control characters to leave as they are.

    >>> print(text('<b title="\u202e">'))
    &lt;b title=&quot;\u202e&quot;&gt;
    """
    return of if isinstance(of, Html) else Html(escape(visible(of, keep), quote=True))


def el(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element.

    Args:
        name: Which.
        children: Text, Html, None for nothing, or several of these in anything that can be gone through.
        attributes: `class_` and `for_` without their underscores; None and False leave one out, True says it
            without a value; a name's other underscores are hyphens.

    >>> el("a", "a & b", href="/runs/1", aria_current=True, class_=None)
    '<a href="/runs/1" aria-current>a &amp; b</a>'
    """
    given = {key: of for key, of in attributes.items() if of is not None and of is not False}
    said = "".join(_attribute(key, of) for key, of in given.items())
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{inner(children)}</{name}>")


def inner(children: object) -> Html:
    """Return children as markup, one behind the other."""
    if children is None:
        return Html("")
    if isinstance(children, str):
        return text(children)
    if isinstance(children, Iterable):
        return Html("".join(map(inner, children)))
    return text(str(children))


def pre(of: str, limit: int, **attributes: object) -> Html:
    """Return text in lines as it is, cut to `limit` characters."""
    return el("pre", text(cut(of, limit), keep="\n\t"), tabindex="0", **attributes)


def table(caption: str, header: Iterable[object], rows: Iterable[object], **attributes: object) -> Html:
    """Return a table; `header` are cells as `th` makes them, `rows` elements `tr`."""
    return el(
        "div",
        el(
            "table",
            el("caption", caption, class_="unseen"),
            el("thead", el("tr", header)),
            el("tbody", rows),
            **attributes,
        ),
        class_="scroll",
    )


def th(*name: object, **attributes: object) -> Html:
    """Return the head of a column."""
    return el("th", *name, scope="col", **attributes)


def _attribute(name: str, value: object) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(str(value))}"'
