"""Resources: `<uri> →` loads what a file or an address holds, `→ <uri>` writes what comes in there.

    JSON (.json), YAML (.yaml, .yml), JSON lines (.jsonl, .ndjson), CSV (.csv); else JSON

Files are written whole or not at all.  No attrs here: workers import this.
"""

from __future__ import annotations

import csv
import errno
import io
import json
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 60.0
"""So long an HTTP request may take, unless its parameters have a `timeout`."""

_FORMATS = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".csv": "csv",
    "application/json": "json",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "application/jsonl": "lines",
    "application/x-ndjson": "lines",
    "text/csv": "csv",
}


def load(*, uri: str, folder: str, parameters: Any = None) -> Any:
    """Load a resource.

    Args:
        uri: A path, a `file:` URI, or an `http(s)` address.
        folder: What a path is relative to.
        parameters: `content-type`, `encoding` of a file; `headers` and `timeout` of a request.

    Raises:
        OSError: It can't be read.
        ResourceError: It is not what its format says.
    """
    options = parameters if isinstance(parameters, dict) else {}
    if _is_http(uri):
        data, found = _request("GET", uri, None, options)
    else:
        data, found = _path(uri, folder).read_bytes(), None
    given = options.get("content-type") or found
    kind = _FORMATS.get(str(given).partition(";")[0].strip()) or _FORMATS.get(_suffix(uri), "json")
    try:
        return read_as(kind, data.decode(str(options.get("encoding", "utf-8-sig"))))
    except (ValueError, LookupError, RecursionError) as error:
        from liteflow.arrows.errors import ResourceError  # noqa: PLC0415  attrs: not for every worker

        raise ResourceError(uri, _NAMES[kind], _problem_of(error)) from error


_NAMES = {"json": "JSON", "yaml": "YAML", "lines": "JSON, one value a line", "csv": "CSV"}


def _problem_of(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (line {error.lineno}, column {error.colno})"
    return str(getattr(error, "problem", error)).removeprefix("this is no YAML: ")


def save(input: Any, *, uri: str, folder: str, parameters: Any = None) -> Any:
    """Write what comes in to a resource, and give it on.

    Args:
        input: An object or a list; CSV takes a list of objects.
        uri, folder: As in `load`.
        parameters: As in `load`, and the `method` of a request: PUT unless told.

    Raises:
        OSError: It can't be written.
    """
    options = parameters if isinstance(parameters, dict) else {}
    given = options.get("content-type")
    kind = _FORMATS.get(str(given).partition(";")[0].strip()) or _FORMATS.get(_suffix(uri), "json")
    data = written_as(kind, input).encode()
    if _is_http(uri):
        _request(
            str(options.get("method", "PUT")), uri, data, {"content-type": "application/json", **options}
        )
    else:
        _replace(_path(uri, folder), data)
    return input


def read_as(kind: str, text: str) -> Any:
    """Read a text of a format: json, yaml, lines (JSON, one a line) or csv.

    >>> read_as("csv", "a,b\\n1,x\\n"), read_as("lines", '{"a": 1}\\n{"a": 2}\\n')
    ([{'a': '1', 'b': 'x'}], [{'a': 1}, {'a': 2}])
    """
    if kind == "yaml":
        # Start-up: PyYAML is for those who read YAML.
        from liteflow.arrows.literals import read_yaml  # noqa: PLC0415

        return read_yaml(text)
    if kind == "lines":
        return [_line(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if kind == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return json.loads(text)


def _line(number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} (line {number}, column {error.colno})") from None


def written_as(kind: str, value: Any) -> str:
    """Write a value as a text of a format; YAML is written as JSON, which it holds.

    >>> written_as("csv", [{"a": 1, "b": "x"}])
    'a,b\\r\\n1,x\\r\\n'
    """
    if kind == "csv":
        rows = value if isinstance(value, list) else [value]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("CSV takes an object, or a list of objects; let the step before give that")
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
    if kind == "lines":
        rows = value if isinstance(value, list) else [value]
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _is_http(uri: str) -> bool:
    return uri.partition(":")[0].lower() in ("http", "https")


def _path(uri: str, folder: str) -> Path:
    parts = urlsplit(uri)
    return Path(folder, unquote(parts.path) if parts.scheme == "file" else uri)


def _suffix(uri: str) -> str:
    return Path(urlsplit(uri).path if _is_http(uri) else uri).suffix.lower()


def _request(method: str, uri: str, data: bytes | None, options: Any) -> tuple[bytes, str | None]:
    # Start-up: urllib's requests take 40 ms to load, and few flows make any.
    from urllib.request import Request, urlopen  # noqa: PLC0415

    headers = {str(name): str(text) for name, text in dict(options.get("headers") or {}).items()}
    if data is not None:
        headers.setdefault("Content-Type", str(options["content-type"]))
    request = Request(uri, data, headers, method=method.upper())
    with urlopen(request, timeout=float(options.get("timeout", TIMEOUT_S))) as response:
        return response.read(), response.headers.get("Content-Type")


def _replace(path: Path, data: bytes) -> None:
    """Write a file beside the one that is meant, and put it in its place."""
    new = path.with_name(f".{path.name}.{token_hex(8)}")
    if not path.parent.is_dir():
        # Not by the name of the new file, which nobody knows.
        problem = "its folder is not there; make it, or write into another one"
        raise FileNotFoundError(errno.ENOENT, problem, str(path))
    try:
        with new.open("xb") as file:
            file.write(data)
        if path.exists():
            new.chmod(path.stat().st_mode & 0o777)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
