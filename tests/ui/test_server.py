"""`liteflow ui` as a process: what it prints, who gets in, what it bears, and how it ends."""

import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from textwrap import dedent
from urllib.parse import urlsplit

import pytest
from reading import Page
from support.drivers import Folder, done, environment, until
from support.forked import Forked, Request
from support.hostile import some

from liteflow.ui.gate import HEADERS, Door
from liteflow.ui.server import LONGEST_HEAD, MOST_CONNECTIONS, Dashboard

WAIT_S = 60.0


class Served:
    """A dashboard that was started, and its address; what it prints besides is read when it has ended."""

    def __init__(self, folder, *words, stdout=None, **env):
        marked = environment(folder) | env
        self.process = Forked(Request("liteflow", ("ui", *words), str(folder), marked), stdout=stdout)

    def link(self):
        """The address that it prints."""
        self.said = self.process.stdout.readline()
        return re.search(r"http://[^\s\"]+", self.said)[0]

    def ended(self):
        """Its exit status, and what it has printed since."""
        out, err = self.process.communicate(WAIT_S)
        return self.process.returncode, out, err

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(WAIT_S)


@contextmanager
def served(folder, *words, **options):
    one = Served(folder, *words, **options)
    try:
        yield one
    finally:
        one.close()


class Visitor:
    """Asks a dashboard, as a browser does that keeps the cookie it is given."""

    def __init__(self, link):
        self.place, self.link, self.cookie = urlsplit(link).netloc, link, None

    def ask(self, target, method="GET", **headers):
        kept = {} if self.cookie is None else {"Cookie": self.cookie}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.place, timeout=WAIT_S)
        with closing(connection):
            connection.request(method, target, headers=kept | given)
            answer = connection.getresponse()
            answer.text = answer.read().decode()
        return answer

    def enter(self):
        """Open the address that was printed."""
        split = urlsplit(self.link)
        answer = self.ask(f"{split.path}?{split.query}")
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("served")
    some.run(db=path / "liteflow.db", run_id="run-1", executor="inline", check=False)
    return path


@pytest.fixture(scope="module")
def link(folder):
    with served(folder, "--json", "--no-open") as one:
        yield json.loads(one.link() and one.said)["url"]


@pytest.fixture
def visitor(link):
    found = Visitor(link)
    found.enter()
    return found


# --- who gets in -------------------------------------------------------------------------------


def test_the_address_that_is_printed_leads_to_the_page_by_a_cookie(link):
    visitor = Visitor(link)
    answer = visitor.enter()
    shown = visitor.ask(answer.headers["Location"])

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert shown.status == 200
    assert "run-1" in Page(200, shown.text).said


def test_the_token_is_long_and_nothing_is_shown_without_it_or_its_cookie(link):
    token = urlsplit(link).query.partition("=")[2]

    assert len(token) >= 22
    for target in ("/", "/runs/1", "/assets/style.css", "/health", "/?token=wrong", f"/?token={token[:-1]}"):
        answer = Visitor(link).ask(target)
        assert answer.status == 403
        assert "run-1" not in answer.text


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"target": "/"}, 200),
        ({"target": "/assets/follow.js"}, 200),
        ({"target": "/runs/9"}, 404),
        ({"target": "/", "method": "POST"}, 405),
        ({"target": "/runs/1", "method": "DELETE"}, 405),
        ({"target": "/", "method": "OPTIONS"}, 405),
        ({"target": "/", "Host": "evil.example"}, 421),
        ({"target": "/", "Origin": "http://evil.example"}, 403),
        ({"target": "/", "Sec_Fetch_Site": "cross-site"}, 403),
        ({"target": "/", "Cookie": ""}, 403),
        ({"target": "/", "X": "x" * LONGEST_HEAD}, 431),
        ({"target": "/?" + "x" * LONGEST_HEAD}, 431),
    ],
    ids=str,
)
def test_each_answer_has_its_status_and_all_the_headers(visitor, asked, expected):
    answer = visitor.ask(**asked)

    assert answer.status == expected
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    assert answer.headers.get_all("Access-Control-Allow-Origin") is None
    assert answer.headers["Server"].strip() == "liteflow"
    assert int(answer.headers["Content-Length"]) == len(answer.text.encode())


def test_a_head_has_the_headers_and_no_body(visitor):
    said = f"HEAD /runs/1 HTTP/1.1\r\nHost: {visitor.place}\r\nCookie: {visitor.cookie}\r\n\r\n"
    with socket.create_connection(visitor.place.split(":"), WAIT_S) as connection:
        connection.sendall(said.encode())
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.0 200 ")
    assert b"Content-Length: 0" not in head
    assert body == b""


NO_REQUESTS = [
    *(
        b"",
        b"\r\n\r\n",
        b"G" * 100_000,
        b"GET /\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01 x\r\n\r\n",
    ),
    *(
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    ),
]


@pytest.mark.parametrize("said", NO_REQUESTS, ids=lambda said: repr(said[:20]))
def test_what_is_no_request_gets_nothing_and_harms_nobody(visitor, said):
    answer = b""
    # Who is not listened to any more may be told so while it speaks.
    with suppress(OSError), socket.create_connection(visitor.place.split(":"), WAIT_S) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert b"run-1" not in answer
    assert b"Traceback" not in answer
    assert visitor.ask("/").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "127.0.0.2", "0.0.0.0"])
def test_it_is_called_by_its_own_names_alone(visitor, host):
    answer = visitor.ask("/", Host=f"{host}:{visitor.place.partition(':')[2]}")

    assert answer.status == (200 if host in ("127.0.0.1", "localhost") else 421)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="nothing here says who listens")
def test_it_listens_on_this_machines_own_address_alone(link):
    port = f"{urlsplit(link).port:04X}"
    known = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    lines = [row.split() for file in known if file.exists() for row in file.read_text().splitlines()]

    assert [row[1] for row in lines if row[1].endswith(f":{port}") and row[3] == "0A"] == [f"0100007F:{port}"]


# --- what it bears -----------------------------------------------------------------------------


@contextmanager
def dashboard(folder, patience):
    """A dashboard in this process, and where it listens; its cookie is `cookie`."""

    def door(port):
        return Door(port, "token", "cookie")

    with Dashboard(("127.0.0.1", 0), str(folder / "liteflow.db"), door, print, patience) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield "127.0.0.1", made.door.port
        finally:
            made.shutdown()


def test_more_connections_than_it_takes_are_ended_and_the_next_are_served(folder):
    # It would let them wait for longer than we do.
    with dashboard(folder, 2 * WAIT_S) as place:
        idle = [socket.create_connection(place, WAIT_S) for _ in range(MOST_CONNECTIONS + 1)]
        ended = idle[-1].recv(1)
        for one in idle:
            one.close()
        visitor = Visitor("http://{}:{}/".format(*place))
        visitor.cookie = f"liteflow-{place[1]}=cookie"

        def served_again():
            with suppress(ConnectionError):
                return visitor.ask("/").status == 200

        assert ended == b""
        until(served_again, WAIT_S)


def test_who_says_nothing_or_takes_for_ever_is_not_waited_for(folder):
    with dashboard(folder, 0.2) as place:
        for said in (b"", b"GET / HTTP/1.1\r\nHost: "):
            with socket.create_connection(place, WAIT_S) as connection:
                connection.sendall(said)
                assert connection.recv(1) == b""


def test_a_store_that_goes_away_and_comes_back_is_shown_again(folder, tmp_path):
    with served(tmp_path, "--json", "--no-open") as one:
        visitor = Visitor(one.link())
        visitor.enter()
        missing = visitor.ask("/")
        shutil.copy(folder / "liteflow.db", tmp_path / "liteflow.db")
        there = visitor.ask("/")
        one.process.terminate()
        status, _, err = one.ended()

    assert (missing.status, there.status, status) == (404, 200, 143)
    assert "a store is made by the first run" in missing.text
    assert err.count("\n") == 1
    assert "there is no such file" in err


def test_a_run_is_followed_from_its_beginning_to_its_end(tmp_path):
    script = """
        @task
        def wait() -> str:
            print("it has begun")
            while not Path("enough").exists():
                time.sleep(0.01)
            return "it is over"

        Flow("slow", wait()).run(run_id="run-1")
    """
    drivers = Folder(tmp_path)
    drivers.write(dedent(script))
    try:
        with served(tmp_path, "--json", "--no-open") as one:
            visitor = Visitor(one.link())
            visitor.enter()

            def shows(*words):
                said = Page(200, visitor.ask("/runs/1").text).said
                return all(word in said for word in words)

            assert visitor.ask("/").status == 404
            driver = drivers.script("flow.py")
            until(lambda: shows("running", "1 line"), WAIT_S)
            (tmp_path / "enough").touch()
            done(driver)

            assert shows("succeeded", '"it is over"')
            assert not shows("running")
    finally:
        drivers.close()


# --- how it begins and ends --------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_quietly(folder, number):
    with served(folder, "--no-open") as one:
        address = one.link()
        one.process.send_signal(number)

        assert one.ended() == (128 + number, "", "")
    assert one.said.startswith("liteflow.db: http://127.0.0.1:")
    assert "?token=" in address


def test_a_port_that_is_asked_for_is_taken_or_it_is_told_that_it_is_used(folder, link):
    used = str(urlsplit(link).port)
    with served(folder, "--port", used) as one:
        status, out, err = one.ended()

    assert (status, out) == (2, "")
    assert err.startswith(f"liteflow: port {used} is used by another program; leave out --port")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "--allow-remote"),
        (("--host", "::"), "--allow-remote"),
        (("--host", "192.0.2.1", "--allow-remote"), "no address of this machine"),
        (("--host", ""), "no address"),
        (("--host", "\u202eevil"), "no address"),
        (("--port", "65536"), "--port"),
        (("--port", "-1"), "--port"),
        (("--port", "http"), "--port"),
        (("--db", ""), "--db"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(folder, words, said):
    with served(folder, *words) as one:
        status, out, err = one.ended()

    assert (status, out) == (2, "")
    lines = [line for line in err.splitlines() if "warning" not in line]
    assert len(lines) == 1
    assert said in lines[0]
    assert "\u202e" not in err


def test_other_machines_are_let_in_when_it_is_said_so_and_warned_of(folder):
    with served(folder, "--host", "0.0.0.0", "--allow-remote", "--no-open") as one:
        port = urlsplit(one.link()).port
        there = Visitor(f"http://127.0.0.1:{port}/").ask("/", Host=f"192.0.2.7:{port}")
        strange = Visitor(f"http://127.0.0.1:{port}/").ask("/", Host=f"evil.example:{port}")
        one.process.terminate()
        status, _, err = one.ended()

    assert (there.status, strange.status, status) == (403, 421, 143)
    assert "warning" in err


def browser(folder):
    """A browser that notes where it is led, and goes on until there is a file `enough`."""
    script = folder / "browser"
    script.write_text(
        f'#!/bin/sh\ncd {folder}\necho "$1" > part && mv part opened\n'
        "while [ ! -e enough ]; do sleep 0.05; done\n"
    )
    script.chmod(0o700)
    return f"{script} %s"


def test_on_a_terminal_a_browser_is_opened_by_a_token_that_opens_once(folder, tmp_path):
    leader, follower = pty.openpty()
    with served(folder, stdout=follower, BROWSER=browser(tmp_path)) as one:
        os.close(follower)
        opened = tmp_path / "opened"
        until(opened.exists, WAIT_S)
        link = opened.read_text().strip()
        printed = os.read(leader, 10_000).decode()
        first, second = Visitor(link), Visitor(link)
        again = link.partition(first.place)[2]
        statuses = [first.enter().status, first.ask("/").status, second.ask(again).status]
        (tmp_path / "enough").touch()
        one.process.send_signal(signal.SIGINT)
        one.process.wait(WAIT_S)
    os.close(leader)

    assert statuses == [303, 200, 403]
    assert link not in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize("words", [("--no-open",), ("--json",)])
def test_no_browser_is_opened_where_it_is_not_wanted(folder, tmp_path, words):
    leader, follower = pty.openpty()
    with served(folder, *words, stdout=follower, BROWSER=browser(tmp_path)) as one:
        os.close(follower)
        printed = os.read(leader, 10_000).decode()
        # It serves already, so what it would have opened, it has.
        Visitor(re.search(r"http://[^\s\"]+", printed)[0]).enter()
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(WAIT_S) == 130
    os.close(leader)

    assert not (tmp_path / "opened").exists()
