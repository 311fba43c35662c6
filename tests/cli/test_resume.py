"""`liteflow resume` and `liteflow run --resume`: whatever a run was begun by, and wherever one stands."""

from __future__ import annotations

import json
import re

import pytest
from support.drivers import Folder, done, ended, kill, until

BODY = """
@task
def first(n: int) -> int:
    note("first")
    return n + 1

@task
def second(x: int) -> int:
    note("second")
    while Path(STARTS.parent / "wait").exists():
        time.sleep(0.005)
    if Path(STARTS.parent / "fail").exists():
        raise ValueError("told to fail")
    return x * 10

@flow
def etl(n: int = 1):
    return second(first(n))

@flow
def other(n: int = 1):
    return first(n)
"""
MAIN = """
if __name__ == "__main__":
    print(etl.run(n=4, run_id="begun").result)
"""


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.write(BODY + MAIN)
    yield made
    made.close()


def interrupt(folder: Folder, *words: str, **options) -> None:
    """Begin a run by Python with these words, and kill its driver in the second task."""
    (folder.path / "wait").touch()
    process = folder.python(*words, **options)
    until(lambda: "second" in folder.starts() and folder.states().get("first") == "succeeded")
    kill(process)
    (folder.path / "wait").unlink()


def assert_gone_on(folder: Folder) -> None:
    assert folder.starts() == {"first": 1, "second": 2}
    assert folder.run_state() == "succeeded"
    assert folder.query("SELECT preview FROM xcoms WHERE key = 'second'") == [("50",)]


COMMANDS = {
    "by nothing": ("resume",),
    "by the beginning of its id": ("resume", "beg"),
    "by the flow's name": ("resume", "etl"),
    "with file and flow": ("resume", "begun", "--file", "flow.py:etl"),
    "by run with its id": ("run", "flow.py:etl", "--resume", "--run-id", "begun"),
    "by run with the same arguments": ("run", "flow.py:etl", "n=4", "--run-id", "begun"),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_run_goes_on(folder: Folder, words) -> None:
    interrupt(folder, "flow.py")
    out = done(folder.liteflow(*words))

    assert "run begun of etl succeeded" in out
    assert_gone_on(folder)


def test_it_says_what_is_kept_and_prints_json(folder: Folder) -> None:
    interrupt(folder, "flow.py")
    status, out, err = ended(folder.liteflow("resume", "--json"))

    assert status == 0
    assert json.loads(out)["outputs"]["second"]["value"] == 50
    assert "1 result is kept" in err


def test_from_another_directory(folder: Folder, tmp_path) -> None:
    interrupt(folder, "flow.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    done(folder.liteflow("resume", "--db", str(folder.db), cwd=elsewhere))
    assert_gone_on(folder)


def test_with_a_script_that_was_moved(folder: Folder) -> None:
    interrupt(folder, "flow.py")
    (folder.path / "flow.py").rename(folder.path / "moved.py")

    status, _, err = ended(folder.liteflow("resume"))
    assert status == 2
    assert "flow.py, which run begun was begun from, is gone; name its file with --file" in err
    done(folder.liteflow("resume", "--file", "moved.py"))
    assert_gone_on(folder)


def test_begun_by_the_command_line(folder: Folder) -> None:
    interrupt(folder, "-m", "liteflow", "run", "flow.py:etl", "n=4", "--run-id", "begun")
    done(folder.liteflow("resume"))
    assert_gone_on(folder)


def test_begun_in_another_directory_by_a_relative_path(folder: Folder, tmp_path) -> None:
    interrupt(folder, f"../{tmp_path.name}/flow.py")
    done(folder.liteflow("resume"))
    assert_gone_on(folder)


def test_begun_by_a_module_of_a_package(folder: Folder) -> None:
    package = folder.path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("FACTOR = 1\n")
    source = (folder.path / "flow.py").read_text()
    (package / "flows.py").write_text(f"from . import FACTOR\n{source}")
    (package / "__main__.py").write_text(
        "from .flows import etl\nfrom . import FACTOR\nprint(etl.run(n=4, run_id='begun').result)\n"
    )
    interrupt(folder, "-m", "mine")

    done(folder.liteflow("resume"))
    assert_gone_on(folder)


def test_begun_by_python_m_of_a_single_module(folder: Folder) -> None:
    interrupt(folder, "-m", "flow")
    done(folder.liteflow("resume"))
    assert_gone_on(folder)


@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_begun_where_no_file_is(folder: Folder, how) -> None:
    source = (folder.path / "flow.py").read_text()
    if how == "-c":
        interrupt(folder, "-c", source)
    else:
        with (folder.path / "flow.py").open() as file:
            interrupt(folder, "-", stdin=file)

    status, _, err = ended(folder.liteflow("resume"))
    assert status == 2
    assert "name one with --file, or call etl.resume('begun') where the flow is defined" in err
    if how == "-c":
        done(folder.python("-c", source))
    else:
        done(folder.liteflow("resume", "--file", "flow.py"))
    assert_gone_on(folder)


def test_one_that_failed_and_was_mended(folder: Folder) -> None:
    (folder.path / "fail").touch()
    assert ended(folder.liteflow("run", "flow.py:etl", "n=4"))[0] == 1
    (folder.path / "fail").unlink()

    done(folder.liteflow("resume"))
    assert_gone_on(folder)
    assert folder.query("SELECT key, attempt, outcome FROM attempts ORDER BY 1, 2") == [
        ("first", 1, "succeeded"),
        ("second", 1, "failed"),
        ("second", 2, "succeeded"),
    ]


def test_one_that_fails_again_is_a_failed_run(folder: Folder) -> None:
    (folder.path / "fail").touch()
    assert ended(folder.liteflow("run", "flow.py:etl", "n=4"))[0] == 1

    status, out, err = ended(folder.liteflow("resume"))
    assert (status, "failed" in out, "told to fail" in err) == (1, True, True)
    assert folder.starts() == {"first": 1, "second": 2}


WRONG = {
    "all is done": (("resume",), "no run in .*liteflow.db is unfinished"),
    "it has succeeded": (("resume", "begun"), "run begun can't be resumed: it has succeeded"),
    "there is no such run": (("resume", "nosuch"), "there is no run 'nosuch'"),
    "there is no file": (("resume", "--db", "none.db"), "none.db: there is no such file"),
    "run: all is done": (("run", "flow.py:etl", "--resume"), "all its runs in .* have succeeded"),
    "run: never begun": (("run", "flow.py:other", "--resume"), "it has no run in .*; begin one"),
    "run: arguments": (("run", "flow.py:etl", "--resume", "n=3"), "leave out n=3"),
    "run: other arguments": (("run", "flow.py:etl", "n=3", "--run-id", "begun"), "begun with another n"),
    "run: other flow": (("run", "flow.py:other", "--run-id", "begun"), "a run of flow etl, not of other"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    made = Folder(tmp_path_factory.mktemp("finished"))
    made.write(BODY + MAIN)
    done(made.python("flow.py"))
    yield made
    made.close()


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_what_can_not_go_on_is_told_in_one_line(finished: Folder, words) -> None:
    command, wanted = words
    status, out, err = ended(finished.liteflow(*command))

    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert re.search(wanted, err), err


def test_another_flow_of_the_same_name_in_another_file_is_compared_like_a_changed_one(folder: Folder) -> None:
    interrupt(folder, "flow.py")
    folder.write(BODY.replace("return n + 1", "return n + 2"), "newer.py")
    status, out, err = ended(folder.liteflow("resume", "--file", "newer.py"))

    assert status == 0
    assert "second = 60" in out
    assert "first: its code changed" in err.replace(" runs again", "")


def test_the_file_of_another_flow_is_refused(folder: Folder) -> None:
    interrupt(folder, "flow.py")
    folder.write("@task\ndef t() -> int:\n    return 1\n\n@flow\ndef stranger():\n    return t()\n", "s.py")
    status, _, err = ended(folder.liteflow("resume", "--file", "s.py"))

    assert status == 2
    assert "s.py has no flow 'etl'" in err
