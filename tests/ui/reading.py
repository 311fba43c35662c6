"""Reads the dashboard's pages as a browser would: what there is in them, and where they lead."""

from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

from liteflow.ui.answers import answer
from liteflow.ui.gate import Passed

# All that the pages are made of; what else is there was put there by somebody.
_ELEMENTS = """
html head meta title link noscript script body a header span main nav ol ul li section h1 h2 h3 p
code pre div dl dt dd table caption thead tbody tr th td time article details summary b svg g rect
path text defs marker
"""
_ATTRIBUTES = """
charset name content http-equiv lang rel href src defer class id role title hidden scope datetime
tabindex open aria-hidden aria-label aria-labelledby aria-current aria-disabled data-changes xmlns
width height viewbox font-family font-size fill stroke x y rx d stroke-width stroke-dasharray
text-anchor paint-order marker-end refx refy markerwidth markerheight orient preserveaspectratio
"""
ELEMENTS, ATTRIBUTES = set(_ELEMENTS.split()), set(_ATTRIBUTES.split())
VOID = {"meta", "link"}


class Page(HTMLParser):
    """A page: its elements with their attributes, its words, and whether all that was opened was closed."""

    def __init__(self, status, text):
        super().__init__()
        self.status, self.text = status, text
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def said(self):
        """What is to be read on it."""
        return " ".join(" ".join(self.words).split())

    @property
    def links(self):
        """Where it leads."""
        return [of["href"] for _, of in self.elements if "href" in of]

    def all(self, tag, cls=None):
        """The attributes of each element of a kind (and class)."""
        return [
            of for name, of in self.elements if name == tag and cls in (None, *of.get("class", "").split())
        ]


def told(error):
    raise AssertionError(error) from error


def look(db, address="/", now=2_000_000_000.0, tell=told):
    """What is answered to who has passed the gate."""
    split = urlsplit(address)
    passed = Passed(split.path, dict(parse_qsl(split.query)))
    return answer(str(db), passed, now=now, time_limit=60, tell=tell)


def page(db, address="/", **more):
    """The same, read."""
    got = look(db, address, **more)
    return Page(got.status, got.body.decode())


def crawl(db):
    """All pages that there are, by their addresses: from the first, wherever they lead."""
    found, ahead = {}, ["/"]
    while ahead:
        address = ahead.pop()
        if address in found or address.startswith("/assets/") or address == "#main":
            continue
        found[address] = page(db, address)
        ahead += found[address].links
    return found
