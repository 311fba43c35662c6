"""Resources: what `<uri> →` loads, and what `→ <uri>` writes."""

from __future__ import annotations

import http.server
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from liteflow import Flow, RunFailed, run_workflow
from liteflow.arrows.errors import ResourceError
from liteflow.arrows.resources import load, save

FILES = {
    "one.json": ('{"n": 1, "t": "ü"}', {"n": 1, "t": "ü"}),
    "one.yaml": ("n: 1\nt: no\n", {"n": 1, "t": "no"}),
    "one.yml": ("- 1\n- b\n", [1, "b"]),
    "one.jsonl": ('{"n": 1}\n\n{"n": 2}\n', [{"n": 1}, {"n": 2}]),
    "one.ndjson": ('{"n": 1}', [{"n": 1}]),
    "one.csv": ('a,b\n1,"x\ny"\n', [{"a": "1", "b": "x\ny"}]),
    "one": ("[1]", [1]),
    "with bom.json": ("\ufeff{}", {}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_loaded_by_its_ending(tmp_path, name):
    text, value = FILES[name]
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert load(uri=name, folder=str(tmp_path)) == value
    assert load(uri=(tmp_path / name).as_uri(), folder="/nowhere") == value


def test_its_parameters_say_what_a_file_is(tmp_path):
    (tmp_path / "rows.txt").write_bytes("a\nü\n".encode("latin-1"))

    told = {"content-type": "text/csv; header=present", "encoding": "latin-1"}

    assert load(uri="rows.txt", folder=str(tmp_path), parameters=told) == [{"a": "ü"}]


@pytest.mark.parametrize("name", ["new.json", "new.yaml", "new.jsonl", "new.csv"])
def test_what_is_written_is_loaded_again(tmp_path, name):
    rows = [{"a": "1", "b": "x, y"}, {"a": "ü", "b": ""}]

    assert save(rows, uri=name, folder=str(tmp_path)) == rows
    assert load(uri=name, folder=str(tmp_path)) == rows
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_file_that_can_not_be_written_stays_as_it_was(tmp_path):
    (tmp_path / "old.csv").write_text("a\n1\n")
    (tmp_path / "old.csv").chmod(0o640)

    with pytest.raises(ValueError, match="CSV takes an object"):
        save([1], uri="old.csv", folder=str(tmp_path))
    before = (tmp_path / "old.csv").read_text()
    save([{"a": 2}], uri="old.csv", folder=str(tmp_path))

    assert (before, (tmp_path / "old.csv").read_text()) == ("a\n1\n", "a\n2\n")
    assert (tmp_path / "old.csv").stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["old.csv"]


def double(input: Any) -> Any:
    return [{"n": 2 * int(row["n"])} for row in input]


def same(input: Any) -> Any:
    return input


def test_a_flow_of_a_file_loads_and_writes_beside_itself(tmp_path, monkeypatch):
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "rows.csv").write_text("n\n1\n2\n")
    (folder / "x.flow").write_text("<rows.csv> → double → <new.json>")
    monkeypatch.chdir(tmp_path)

    result = Flow.from_file("flows/x.flow", [double]).run(db=None, executor="inline").result

    assert result == json.loads((folder / "new.json").read_text()) == [{"n": 2}, {"n": 4}]


def test_a_file_that_is_not_there_fails_its_step(tmp_path):
    with pytest.raises(RunFailed, match="FileNotFoundError"):
        run_workflow(f"<{tmp_path}/nowhere.json> → double", [double], db=None, executor="inline")


class Store(http.server.BaseHTTPRequestHandler):
    """Keeps what was sent, and gives it back."""

    kept: tuple[str, str, str] = "", "", "{}"

    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        data = Store.kept[2].encode()
        self.send_response(200)
        self.send_header("Content-Type", Store.kept[1])
        self.end_headers()
        self.wfile.write(data)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Store.kept = self.command, self.headers["Content-Type"], data
        self.send_response(204)
        self.end_headers()

    do_POST = do_PUT  # noqa: N815  the names of the standard library

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (
            "x.json",
            b'{"a": ',
            "<x.json> can't be read as JSON: Expecting value (line 1, column 7); correct it",
        ),
        ("x.jsonl", b'{"a": 1}\n\n{b}', "as JSON, one value a line: Expecting property name"),
        ("x.jsonl", b'{"a": 1}\n\n{b}', "(line 3, column 2)"),
        ("x.yaml", b"a: [1", "<x.yaml> can't be read as YAML: expected ',' or ']'"),
        ("x.csv", b"\xff\xfe", "<x.csv> can't be read as CSV: 'utf-8' codec can't decode"),
        ("x.txt", b"a;b", "can't be read as JSON: Expecting value"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_told_by_its_name_and_place(name, data, said, tmp_path):
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ResourceError) as told:
        load(uri=name, folder=str(tmp_path))
    assert said in str(told.value)
    assert pickle.loads(pickle.dumps(told.value)).uri == name


def test_an_address_is_written_by_put_unless_told_and_loaded_by_what_it_says_it_is(server):
    text = f'<[{{"n": 1}}]> → same → <{server}/x>(- content-type: text/csv -)'
    put = run_workflow(text, [same], db=None, executor="inline")
    kept = Store.kept
    got = run_workflow(f"<{server}/x> → double", [double], db=None, executor="inline")
    run_workflow(f"<- n: 1 -> → same → <{server}/x>(- method: post -)", [same], db=None, executor="inline")

    assert (put, kept, got) == ([{"n": 1}], ("PUT", "text/csv", "n\r\n1\r\n"), [{"n": 2}])
    assert Store.kept[:2] == ("POST", "application/json")
    assert json.loads(Store.kept[2]) == {"n": 1}


def test_an_address_that_answers_with_an_error_fails_its_step(server):
    with pytest.raises(RunFailed, match="404"):
        run_workflow(f"<{server}/gone> → double", [double], db=None, executor="inline")


def test_a_path_of_a_file_is_told_from_a_place_on_the_web(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load(uri="http/x.json", folder=str(tmp_path))


def test_a_folder_that_is_not_there_is_told_of_by_the_file_that_was_meant(tmp_path: Path):
    meant = tmp_path / "missing" / "out.json"

    with pytest.raises(FileNotFoundError, match="its folder is not there") as caught:
        save({}, uri="missing/out.json", folder=str(tmp_path))

    assert caught.value.filename == str(meant)
