"""Who may ask?  One gate before anything is looked for, in one order, for every address alike.

    method 405 -> Host 421 -> Origin 403 -> Sec-Fetch-Site 403 -> token: cookie and redirect -> cookie 403

A dashboard on a port of this machine can be reached by each web page that is open in the user's
browser, and by other users of the machine.  The first are known by what browsers say of them (a page
can't change that), also those that have given their own name our address (DNS rebinding: their Host
is not ours); the second don't have the token.  It comes in the address once, and is a cookie from then on.

Sources: https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/,
https://httpwg.org/specs/rfc6265.html#rfc.section.8.5 (cookies don't separate ports, so ours is named by it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import field, frozen

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
METHODS: Final = ("GET", "HEAD")
_HTTP_PORT = 80
_MOST_FIELDS = 20

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What each answer has, whatever it is."""

_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9][A-Za-z0-9._-]*(?:/|$))*")


@frozen
class Door:
    """Where we are, and what opens.

    Args:
        port: Where we listen.
        token: What the address has that was printed.
        cookie: What a browser has afterwards.
        ticket: A token that is good for one time; None when it has been used.
        names: How else than by `LOOPBACK` we may be called.
        numeric: By any number too: what rebinds DNS has a name.
    """

    port: int
    token: str
    cookie: str
    ticket: str | None = None
    names: frozenset[str] = frozenset()
    numeric: bool = False

    @property
    def cookie_name(self) -> str:
        """The cookie's name, ours alone on this machine."""
        return f"liteflow-{self.port}"


@frozen
class Request:
    """What was asked: `target` as it stood in the request, `headers` by their names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        """All headers of a name."""
        return [value for known, value in self.headers if known == name]


@frozen
class Refused:
    """Nothing is looked at; `why` says what to do."""

    status: int
    why: str
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Redirect:
    """The token was right: go on without it, with a cookie; `ticket`, if it was the one for one time."""

    headers: Mapping[str, str]
    ticket: bool = False
    status: int = 303


@frozen
class Passed:
    """What may be looked for: a path, and what stood behind its question mark."""

    path: str
    query: Mapping[str, str]


def judge(door: Door, request: Request) -> Refused | Redirect | Passed:
    """Say what is to become of a request.

    >>> door = Door(8000, "token", "cookie")
    >>> judge(door, Request("GET", "/", (("host", "evil.example:8000"),))).status
    421
    >>> judge(door, Request("GET", "/runs/3?token=token", (("host", "localhost:8000"),))).headers["Location"]
    '/runs/3'
    >>> given = ("host", "localhost:8000"), ("cookie", "liteflow-8000=cookie")
    >>> judge(door, Request("GET", "/runs/3", given))
    Passed(path='/runs/3', query={})
    """
    if request.method not in METHODS:
        return Refused(405, "Pages can only be looked at here: GET and HEAD.", {"Allow": ", ".join(METHODS)})
    if (stranger := _stranger(door, request)) is not None:
        return stranger
    try:
        path, query = _parts(request.target)
    except ValueError:
        return Refused(400, "This is no address of a page.")
    if "token" in query:
        return _by_token(door, path, query)
    if not any(_same(value, door.cookie) for value in _cookies(door, request)):
        return Refused(403, "Open the address that `liteflow ui` has printed: it has a token.")
    return Passed(path, query)


def _stranger(door: Door, request: Request) -> Refused | None:
    """What another web page is told, or one that has our address under a name of its own; else None."""
    hosts = request.all("host")
    if len(hosts) != 1 or not _is_ours(door, hosts[0]):
        return Refused(421, "This is not the address that `liteflow ui` has printed; open that one.")
    if not set(request.all("origin")) <= {f"http://{hosts[0]}"}:
        return Refused(403, "Another web page has asked; nothing is shown to it.")
    if not set(request.all("sec-fetch-site")) <= {"none", "same-origin"}:
        return Refused(
            403, "A link on another page leads here; paste the address that `liteflow ui` has printed."
        )
    return None


def _is_ours(door: Door, host: str) -> bool:
    name, colon, port = host.lower().rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal():
        # Browsers leave out the port that http has by itself.
        name, port = host.lower(), str(_HTTP_PORT)
    if port != str(door.port):
        return False
    return name in LOOPBACK or name in door.names or (door.numeric and _is_number(name))


def _is_number(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _parts(target: str) -> tuple[str, dict[str, str]]:
    """Path and query of what was asked for.

    Raises:
        ValueError: It is none: not from the root, or with too much in it.
    """
    if not target.startswith("/") or not target.isascii() or not target.isprintable():
        raise ValueError(target)
    if target.startswith("//"):
        # For urlsplit, and for a browser that is sent there, that is the name of a host.
        return "//", {}
    split = urlsplit(target)
    return split.path, dict(parse_qsl(split.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS))


def _by_token(door: Door, path: str, query: Mapping[str, str]) -> Refused | Redirect:
    given = query["token"]
    ticket = door.ticket is not None and _same(given, door.ticket)
    if not ticket and not _same(given, door.token):
        return Refused(
            403, "This token is not, or no longer, good: open the address that `liteflow ui` has printed."
        )
    rest = urlencode({name: value for name, value in query.items() if name != "token"})
    place = path if _PLAIN_PATH.fullmatch(path) else "/"
    # It ends with the browser's session; a new `liteflow ui` takes no old one.
    cookie = f"{door.cookie_name}={door.cookie}; Path=/; HttpOnly; SameSite=Strict"
    return Redirect({"Location": f"{place}?{rest}" if rest else place, "Set-Cookie": cookie}, ticket)


def _cookies(door: Door, request: Request) -> list[str]:
    """What cookies of our name say; other programs on this machine have theirs, well made or not."""
    pairs = (part.partition("=") for header in request.all("cookie") for part in header.split(";"))
    return [value.strip() for name, _, value in pairs if name.strip() == door.cookie_name]


def _same(given: str, wanted: str) -> bool:
    # As bytes: text with anything but ASCII can't be compared so that the time tells nothing.
    return compare_digest(given.encode(errors="replace"), wanted.encode())
