"""`type: http`: a request to a web server, by Python's own client.

Other attempts follow (`retries`) where another may do better: after 5xx, 429, and when no
answer came.  What the server refuses for good, other 4xx, is not asked again.

Source of the status codes: RFC 9110, section 15; 429: RFC 6585, section 4.
"""

from __future__ import annotations

import json as jsonlib
import re
import string
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, IncompleteRead
from typing import Any, ClassVar, Literal

from attrs import Attribute, evolve, frozen
from attrs.validators import in_

from liteflow.task_types.base import TaskType, in_schema, option
from liteflow.task_types.faults import HttpError, HttpTryAgainError, OutputError
from liteflow.task_types.templates import Template, as_text

# The client waits for ever by itself.
_PATIENCE_S = 60.0
LARGEST = 256 * 1024 * 1024
"""No more bytes of an answer are read than this."""

_SERVER = re.compile(r"https?://[^/?#]*[/?#]")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@in_schema(pattern=r"^(https?://|\$\{\{)")
def an_address(_work: object, _field: Attribute[Any], value: str) -> None:
    """Refuse an address that is of no web server."""
    begin = value.partition("${{")[0]
    if not value.startswith(("http://", "https://", "${{")):
        raise ValueError(f"{value[:80]!r} is no address of the web; it begins with http:// or https://")
    if re.search(r"[\x00-\x20\x7f]", begin):
        raise ValueError(f"{value[:80]!r} has a space or a control character in it; write %20 for a space")
    # Where a template stands behind it, the server is whole.
    problem = _problem_of(begin) if begin == value or _SERVER.match(begin) else None
    if problem is not None:
        raise ValueError(f"{value[:80]!r} {problem}; write http://server/path or http://server:port/path")


def _problem_of(url: str) -> str | None:
    """What is wrong with the server that a whole address names."""
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is no address: {error}"
    return None if parts.hostname else "names no server"


@frozen(kw_only=True)
class Http(TaskType):
    """Ask a web server; the output is what it answers.

    In `url` a template stands for its value, encoded so that it can't leave its place
    (RFC 3986, section 2.1); only at the very beginning it stands as it is.

    Raises, when it runs:
        HttpError: The status is none of `expect`.
        HttpTryAgainError: The same after 5xx or 429, or when no answer came.
        OutputError: The answer is not what `outputs` says.
    """

    kind: ClassVar[str] = "http"
    retry_on: ClassVar[tuple[type[BaseException], ...]] = (HttpTryAgainError, TimeoutError)
    schema: ClassVar[Mapping[str, Any]] = {"not": {"required": ["json", "body"]}}

    url: str = option(help="The address, beginning with http:// or https://.", validator=an_address)
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = option(
        "GET", help="What is asked of the server.", validator=in_(METHODS)
    )
    headers: dict[str, str | int] = option(factory=dict, help="Headers of the request.")
    json: Any = option(None, help="Data that is sent as JSON; not together with `body`.")
    body: str | None = option(None, help="Text that is sent.")
    expect: list[int] | int | None = option(
        None, help="The status, or several, that mean success; by default 200 to 299."
    )
    outputs: Literal["auto", "json", "text", "response"] = option(
        "auto",
        help="What its output is: JSON, text, or {status, headers, body}; auto: JSON if the server says so.",
    )

    def __attrs_post_init__(self) -> None:
        if self.json is not None and self.body is not None:
            raise ValueError("an http task sends json: or body:, not both; take one away")

    def text(self, name: str, template: Template, value: object) -> str:
        """Return a value as it goes into a field; in an address it is percent-encoded."""
        plain = as_text(value, str(template.reference))
        return urllib.parse.quote(plain, safe="") if name == "url" and template.start > 0 else plain

    def run(self) -> object:
        """Ask, and return the answer."""
        if not self.url.startswith(("http://", "https://")):
            raise HttpError(self.method, self.url, None, "the address must begin with http:// or https://")
        headers = {name: as_text(value, name) for name, value in self.headers.items()}
        data = self.body.encode("utf-8") if self.body is not None else None
        if self.json is not None:
            data = jsonlib.dumps(self.json).encode("utf-8")
            headers.setdefault("Content-Type", "application/json")
        try:
            request = urllib.request.Request(_in_ascii(self.url), data, headers, method=self.method)
            with _open(request, self.timeout or _PATIENCE_S) as answer:
                status, told, answered = answer.status, dict(answer.headers), self._read(answer)
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise HttpTryAgainError(self.method, self.url, None, "no answer in time") from None
            raise HttpTryAgainError(self.method, self.url, None, f"no answer: {error.reason}") from None
        except (OSError, HTTPException) as error:
            raise HttpTryAgainError(self.method, self.url, None, f"no whole answer: {error}") from None
        except ValueError as error:
            raise HttpError(self.method, self.url, None, f"can't be asked: {error}") from None
        return self._output(status, told, answered)

    def _read(self, answer: Any) -> bytes:
        data: bytes = answer.read(LARGEST + 1)
        if len(data) > LARGEST:
            problem = f"the answer is larger than {LARGEST} bytes; fetch it to a file by a shell task"
            raise HttpError(self.method, self.url, answer.status, problem)
        # Python's client tells of an answer that ends too soon only when it reads without a limit.
        missing = getattr(answer, "length", None)
        if missing:
            raise IncompleteRead(data, missing)
        return data

    def _output(self, status: int, headers: dict[str, str], data: bytes) -> object:
        wanted = [self.expect] if isinstance(self.expect, int) else self.expect
        if not (200 <= status < 300 if wanted is None else status in wanted):
            again = HttpTryAgainError if status >= 500 or status == 429 else HttpError
            said = data[:200].decode("utf-8", "replace").strip()
            expected = f", {' or '.join(map(str, wanted))} is expected" if wanted else ""
            raise again(self.method, self.url, status, f"status {status}{expected}: {said or 'nothing said'}")
        names = {name.lower(): value for name, value in headers.items()}
        kind, _, parameters = names.get("content-type", "").partition(";")
        charset = parameters.partition("charset=")[2].strip(" \"'") or "utf-8"
        is_json = kind.strip().endswith(("/json", "+json"))
        body: object = _text(data, charset)
        if self.outputs == "json" or (is_json and self.outputs != "text" and data):
            try:
                body = jsonlib.loads(data)
            except (ValueError, RecursionError) as error:
                raise OutputError("json", f"the answer is no JSON ({error})") from None
        return {"status": status, "headers": names, "body": body} if self.outputs == "response" else body


def _in_ascii(url: str) -> str:
    """The address as it is sent: other characters than ASCII as their codes, as browsers do it.

    Source: RFC 3987, section 3.1; the name of a server: RFC 3490.

    >>> _in_ascii("http://example.org/é?a=1&b=%20")
    'http://example.org/%C3%A9?a=1&b=%20'
    """
    if url.isascii():
        return url
    parts = urllib.parse.urlsplit(url)
    server = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
    rest = (urllib.parse.quote(part, safe=string.punctuation) for part in parts[2:])
    return urllib.parse.urlunsplit((parts.scheme, server, *rest))


def _text(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _open(request: urllib.request.Request, timeout: float) -> Any:
    """Open a request; an answer with an error status is an answer like any other."""
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as answer:
        return answer


@frozen(kw_only=True)
class HttpGet(Http):
    """Ask a web server for what is at an address."""

    kind: ClassVar[str] = "http:get"
    method: Literal["GET"] = option("GET", help="What is asked of the server.", validator=in_(("GET",)))


@frozen(kw_only=True)
class HttpDelete(Http):
    """Ask a web server to delete what is at an address."""

    kind: ClassVar[str] = "http:delete"
    method: Literal["DELETE"] = option(
        "DELETE", help="What is asked of the server.", validator=in_(("DELETE",))
    )


@frozen(kw_only=True)
class _Sending(Http):
    """What sends data: a step of the arrow language sends what came in, unless it says what."""

    def run(self) -> object:
        """Send, and return the answer."""
        says = self.json is not None or self.body is not None
        return Http.run(self if says else evolve(self, json=self.input))


@frozen(kw_only=True)
class HttpPost(_Sending):
    """Send data to a web server; a step of the arrow language sends what came in, unless it says what."""

    kind: ClassVar[str] = "http:post"
    method: Literal["POST"] = option("POST", help="What is asked of the server.", validator=in_(("POST",)))


@frozen(kw_only=True)
class HttpPut(_Sending):
    """Put data at an address; a step of the arrow language puts what came in, unless it says what."""

    kind: ClassVar[str] = "http:put"
    method: Literal["PUT"] = option("PUT", help="What is asked of the server.", validator=in_(("PUT",)))
