"""The gate of the dashboard, row by row: who passes, who doesn't, and in which order it is looked."""

import pytest

from liteflow.ui.gate import HEADERS, Door, Passed, Redirect, Refused, Request, judge

DOOR = Door(8000, "the-token", "the-cookie", "the-ticket")
REMOTE = Door(8000, "the-token", "the-cookie", names=frozenset({"lab"}), numeric=True)
HOST = {"host": "127.0.0.1:8000"}
COOKIE = {"cookie": "liteflow-8000=the-cookie"}


def ask(target="/", method="GET", door=DOOR, more=(), **headers):
    named = [(name.replace("_", "-"), value) for name, value in {**HOST, **COOKIE, **headers}.items()]
    return judge(door, Request(method, target, (*((n, v) for n, v in named if v is not None), *more)))


def status(verdict):
    return 200 if isinstance(verdict, Passed) else verdict.status


# --- each rule ---------------------------------------------------------------------------------

ROWS = [
    ("a page of ours", {}, 200),
    ("its head", {"method": "HEAD"}, 200),
    *[
        (f"the method {m!r}", {"method": m}, 405)
        for m in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
    ],
    *[(f"the method {m!r}", {"method": m}, 405) for m in ("CONNECT", "get", "PROPFIND", "")],
    *[(f"the host {h!r}", {"host": h}, 200) for h in ("localhost:8000", "LOCALHOST:8000", "[::1]:8000")],
    *[
        (f"the host {h!r}", {"host": h}, 421)
        for h in (
            *(None, "", "evil.example:8000", "127.0.0.1", "127.0.0.1:8001", "127.0.0.1:8000.evil.example"),
            *("localhost.evil.example:8000", "127.0.0.2:8000", "10.0.0.1:8000", "0.0.0.0:8000", "::1:8000"),
            *("127.0.0.1:8000@evil.example", "user@127.0.0.1:8000", "127.0.0.1:٨٠٠٠", "127.0.0.1:08000"),
        )
    ],
    ("two hosts, both ours", {"more": [("host", "127.0.0.1:8000")]}, 421),
    ("two hosts, one of them ours", {"more": [("host", "evil.example")]}, 421),
    ("our own origin", {"origin": "http://127.0.0.1:8000"}, 200),
    *[
        (f"the origin {o!r}", {"origin": o}, 403)
        for o in (
            *("null", "", "http://evil.example", "https://127.0.0.1:8000", "http://127.0.0.1:8001"),
            *("http://localhost:8000", "http://127.0.0.1:8000.evil.example"),
        )
    ],
    ("two origins", {"origin": "http://127.0.0.1:8000", "more": [("origin", "null")]}, 403),
    *[(f"a fetch that is {s}", {"sec_fetch_site": s}, 200) for s in ("none", "same-origin")],
    *[(f"a fetch that is {s!r}", {"sec_fetch_site": s}, 403) for s in ("cross-site", "same-site", "?", "")],
    ("no cookie", {"cookie": None}, 403),
    *[
        (f"the cookie {c!r}", {"cookie": c}, 403)
        for c in (
            *("", "liteflow-8000=", "liteflow-8000=the-cooki", "liteflow-8000=the-cookie2", "the-cookie"),
            *("liteflow-8001=the-cookie", "liteflow-8000=the-token", "x-liteflow-8000=the-cookie", "é=é"),
        )
    ],
    ("our cookie among others'", {"cookie": "a=1; =;;bad cookie; liteflow-8000=the-cookie; b=é"}, 200),
    ("a path that is health", {"target": "/health", "cookie": None}, 403),
    ("a style sheet", {"target": "/assets/style.css", "cookie": None}, 403),
    ("the token", {"target": "/?token=the-token", "cookie": None}, 303),
    ("the ticket", {"target": "/?token=the-ticket", "cookie": None}, 303),
    *[
        (f"the token {t!r}", {"target": f"/?token={t}"}, 403)
        for t in ("", "the-toke", "the-cookie", "%F0%9F%90%A7", "the-token%00")
    ],
    ("two tokens, the last one wrong", {"target": "/?token=the-token&token=x"}, 403),
    *[
        (f"the target {t!r}", {"target": t}, 400)
        for t in ("", "runs", "*", "http://127.0.0.1:8000/", "/\x7f", "/é", "/?" + "a=1&" * 30, "/ x\n")
    ],
]


@pytest.mark.parametrize(("asked", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_who_asks_so_is_answered_so(asked, expected):
    assert status(ask(**asked)) == expected


def test_the_rules_are_looked_at_in_their_order():
    wrong = {
        "method": "POST",
        "host": "evil.example",
        "origin": "http://evil.example",
        "target": "/?token=wrong",
        "cookie": None,
    }
    found = []
    for right in (
        {},
        {"method": "GET"},
        {"host": "127.0.0.1:8000"},
        {"origin": None},
        {"target": "/"},
        COOKIE,
    ):
        wrong |= right
        found.append(status(ask(**wrong)))

    assert found == [405, 421, 403, 403, 403, 200]


def test_each_refusal_says_what_to_do():
    refused = [ask(**asked) for _, asked, expected in ROWS if expected >= 400]

    assert all(isinstance(one, Refused) and len(one.why) > 20 for one in refused)
    assert ask(method="POST").headers == {"Allow": "GET, HEAD"}


# --- the token ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/?token=the-token", "/"),
        ("/runs/3?token=the-token", "/runs/3"),
        ("/runs/3?task=1&token=the-token&state=failed", "/runs/3?task=1&state=failed"),
        ("/runs/3/logs?token=the-token&page=0", "/runs/3/logs?page=0"),
        *[
            (f"{path}?token=the-token", "/")
            for path in ("/..", "/a//b", "/\\evil.example", "/%2f%2fevil", "/;x", "/a/../b")
        ],
    ],
)
def test_after_the_token_it_goes_on_without_it_and_nowhere_else(target, place):
    verdict = ask(target, cookie=None)

    assert isinstance(verdict, Redirect)
    assert verdict.headers["Location"] == place


@pytest.mark.parametrize(
    "target", ["//evil.example?token=the-token", "///?token=the-token", "//evil.example/%2f.."]
)
def test_nobody_is_sent_to_another_host(target):
    verdict = ask(target, cookie=None)

    assert isinstance(verdict, Refused)


def test_the_cookie_is_for_this_port_this_site_and_no_script():
    cookie = ask("/?token=the-token", cookie=None).headers["Set-Cookie"]

    assert cookie == "liteflow-8000=the-cookie; Path=/; HttpOnly; SameSite=Strict"


def test_the_ticket_is_told_apart_so_that_it_opens_once():
    used = Door(8000, "the-token", "the-cookie")

    assert ask("/?token=the-ticket").ticket
    assert not ask("/?token=the-token").ticket
    assert status(ask("/?token=the-ticket", door=used)) == 403


# --- other doors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *[(name, 200) for name in ("lab:8000", "10.0.0.7:8000", "[fd00::7]:8000", "localhost:8000")],
        ("evil.example:8000", 421),
        ("lab:80", 421),
        ("10.0.0.7.evil.example:8000", 421),
        ("2130706433:8000", 421),
    ],
)
def test_where_others_may_look_it_goes_by_numbers_or_the_name_that_was_given(host, expected):
    assert status(ask(host=host, door=REMOTE)) == expected


def test_on_the_port_of_http_browsers_name_none():
    door = Door(80, "the-token", "the-cookie")
    cookie = "liteflow-80=the-cookie"

    assert status(ask(host="127.0.0.1", cookie=cookie, door=door)) == 200
    assert status(ask(host="127.0.0.1:80", cookie=cookie, door=door)) == 200
    assert status(ask(host="127.0.0.1:8000", cookie=cookie, door=door)) == 421


def test_no_header_lets_another_site_in():
    policy = HEADERS["Content-Security-Policy"]

    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not [name for name in HEADERS if name.startswith("Access-Control")]
