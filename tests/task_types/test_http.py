"""Requests to a real server on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from liteflow.task_types import Http
from liteflow.task_types.faults import HttpError, HttpTryAgainError, OutputError, UnfitValueError


class Answers(BaseHTTPRequestHandler):
    """Answers with what was asked; /status/N with that status; /slow when it is told to."""

    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        asked = {
            "method": self.command,
            "path": self.path,
            "header": self.headers.get("X-Test"),
            "type": self.headers.get("Content-Type"),
            "body": self.rfile.read(length).decode(),
        }
        kind, data = "application/json", json.dumps(asked).encode()
        if self.path == "/slow":
            self.server.go_on.wait(20)
        if self.path == "/text":
            kind, data = "text/plain; charset=latin-1", "grüß".encode("latin-1")
        if self.path == "/broken":
            data = b"{"
        status = int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) * (2 if self.path == "/half" else 1)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815  the names of the standard library

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.go_on = threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_json_comes_back_as_data(server):
    got = Http(url=f"{server}/x", method="POST", json={"a": [1]}, headers={"X-Test": 1}).run()

    assert got == {
        "method": "POST",
        "path": "/x",
        "header": "1",
        "type": "application/json",
        "body": '{"a": [1]}',
    }


def test_text_comes_back_as_text_in_its_own_encoding(server):
    assert Http(url=f"{server}/text").run() == "grüß"


def test_the_whole_response_can_be_had(server):
    got = Http(url=f"{server}/status/201", outputs="response").run()

    assert (got["status"], got["headers"]["content-type"], got["body"]["path"]) == (
        201,
        "application/json",
        "/status/201",
    )


def test_a_value_stays_in_its_place_in_the_address(server):
    work = Http(url="${{ params.server }}/find/${{ params.x }}?q=${{ params.x }}")

    got = work.filled({"params.server": server, "params.x": "a/../b?c=d&e#f ü"}).run()

    encoded = "a%2F..%2Fb%3Fc%3Dd%26e%23f%20%C3%BC"
    assert got["path"] == f"/find/{encoded}?q={encoded}"


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, HttpError), (500, HttpTryAgainError), (503, HttpTryAgainError), (429, HttpTryAgainError)],
)
def test_only_what_may_go_better_is_tried_again(server, status, error):
    with pytest.raises(HttpError, match=f"status {status}") as caught:
        Http(url=f"{server}/status/{status}").run()

    assert type(caught.value) is error
    assert caught.value.status == status


def test_an_expected_status_is_no_error(server):
    assert Http(url=f"{server}/status/404", expect=[200, 404]).run()["path"] == "/status/404"
    with pytest.raises(HttpError, match="204 is expected"):
        Http(url=f"{server}/x", expect=204).run()


def test_no_answer_in_time_and_no_server_are_worth_another_attempt(server):
    with pytest.raises(HttpTryAgainError, match=r"in time|timed out"):
        Http(url=f"{server}/slow", timeout=0.2).run()
    with pytest.raises(HttpTryAgainError, match="no answer"):
        Http(url="http://127.0.0.1:1/").run()


def test_what_is_no_json_is_refused(server):
    with pytest.raises(OutputError, match="no JSON"):
        Http(url=f"{server}/broken").run()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "x", "http:/x", ""])
def test_what_is_no_address_of_the_web_is_refused(url):
    with pytest.raises(ValueError, match="no address of the web"):
        Http(url=url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://a b/", "has a space"),
        ("http:///x", "names no server"),
        ("http://a:99999/", "Port out of range"),
        ("http://a:99999/${{ params.x }}", "Port out of range"),
        ("http://a:99999?x=${{ params.x }}", "Port out of range"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_with_what_is_wrong_in_it(url, says):
    with pytest.raises(ValueError, match=says):
        Http(url=url)


def test_an_address_with_other_letters_than_ascii_is_asked_for_by_their_codes(server):
    got = Http(url=f"{server}/grün/${{{{ params.x }}}}?a=ß&b=%20").filled({"params.x": "é/"}).run()

    assert got["path"] == "/gr%C3%BCn/%C3%A9%2F?a=%C3%9F&b=%20"


def test_an_answer_that_ends_too_soon_is_no_answer_and_may_be_tried_again(server):
    with pytest.raises(HttpTryAgainError, match="no whole answer"):
        Http(url=f"{server}/half").run()


def test_a_value_that_its_field_can_not_have_is_told_of_as_that():
    with pytest.raises(UnfitValueError) as caught:
        Http(url="${{ params.x }}/a").filled({"params.x": "ftp://x"})

    assert str(caught.value) == (
        "type: http, with the values of its templates: url: 'ftp://x/a' is no address of the web; "
        "it begins with http:// or https://"
    )


def test_a_value_can_make_no_other_kind_of_address_and_no_header(server):
    with pytest.raises((HttpError, ValueError), match="http://"):
        Http(url="${{ params.x }}").filled({"params.x": "file:///etc/passwd"}).run()
    with pytest.raises(HttpError, match="can't be asked"):
        Http(url=server, headers={"X": "${{ params.x }}"}).filled({"params.x": "a\r\nEvil: 1"}).run()
