"""Log files: one for each attempt, written while it runs, and never outside their folder."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteflow import Flow, task
from liteflow.errors import SettingError
from liteflow.logfiles import MOST_OPEN, LogFiles, file_name


@task
def speak(word: str) -> str:
    print("I say", word)
    print("aside", file=sys.stderr)
    return word


@task(retries=1)
def fail() -> None:
    print("trying")
    raise ValueError("no")


def texts(folder):
    """What each file says, by the part of its name that differs from run to run in nothing."""
    made = {}
    for path in sorted(folder.iterdir()):
        stem, _, began = path.stem.rpartition("_")
        assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z(-\d+)?", began), path
        assert stem not in made
        made[stem] = [
            re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", "", t) for t in path.read_text().splitlines()
        ]
    return made


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_each_attempt_has_its_file_with_all_that_it_wrote(executor, tmp_path):
    flow = Flow("f", {"a": speak("hello"), "b": fail()}, executor=executor)

    flow.run(db=None, check=False, log_dir=tmp_path / "new" / "logs")

    found = texts(tmp_path / "new" / "logs")
    assert sorted(found["speak_1"]) == ["state  | succeeded", "stderr | aside", "stdout | I say hello"]
    assert found["speak_1"][-1] == "state  | succeeded"
    assert found["fail_1"] == ["stdout | trying", "state  | retrying"]
    assert found["fail_2"] == ["stdout | trying", "state  | failed"]


def test_a_second_run_writes_files_of_its_own(tmp_path):
    for _ in range(2):
        Flow("f", speak("hello"), executor="inline").run(db=None, log_dir=tmp_path)

    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("executor", ["process", "thread", "async", "inline"])
def test_a_line_is_in_the_file_while_the_attempt_still_runs(executor, tmp_path):
    go = tmp_path / "go"

    @task
    def wait(go: str) -> str:
        print("waiting", flush=True)
        while not Path(go).exists():
            time.sleep(0.01)
        return "went on"

    handle = Flow("f", wait(str(go))).start(db=None, executor=executor, log_dir=tmp_path / "logs")
    until = time.monotonic() + 30
    seen = ""
    while "waiting" not in seen and time.monotonic() < until:
        seen = "".join(p.read_text() for p in Path(tmp_path / "logs").glob("*.log"))
        threading.Event().wait(0.02)
    assert "stdout | waiting" in seen
    assert "succeeded" not in seen
    go.touch()
    assert handle.result() == "went on"


SCRIPT = """
import sys
from liteflow import Flow, task

@task
def speak(word: str) -> str:
    print("I say", word)
    print("aside", file=sys.stderr)
    return word

Flow("f", speak("x")).run(db=None, log_dir="logs")
"""


def test_what_tasks_print_is_still_shown(tmp_path):
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "I say x\n"
    assert done.stderr == "aside\n"


@pytest.mark.parametrize("made", ["file", "below a file"])
def test_a_folder_that_can_not_be_is_refused_before_anything_runs(made, tmp_path):
    (tmp_path / "x").write_text("")
    folder = tmp_path / "x" if made == "file" else tmp_path / "x" / "logs"

    with pytest.raises(SettingError, match="log_dir"):
        Flow("f", speak("hello"), executor="inline").run(db=tmp_path / "l.db", log_dir=folder)
    assert not (tmp_path / "l.db").exists()


def test_a_link_that_waits_under_the_name_of_a_file_is_not_followed(tmp_path):
    target = tmp_path / "target"
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a_1_19700101T000000.000Z.log").symlink_to(target)
    files = LogFiles(tmp_path / "logs", None, lambda _: None, now=lambda: 0.0)

    files.written([("a", 1, 0, "stdout", "x\n")])
    files.close()

    assert not target.exists()
    assert (tmp_path / "logs" / "a_1_19700101T000000.000Z-2.log").read_text().endswith("stdout | x\n")


def test_many_attempts_at_once_keep_few_files_open_and_lose_no_line(tmp_path):
    files = LogFiles(tmp_path, None, lambda _: None)
    for line in range(3):
        files.written([(f"k{i}", 1, 0, "stdout", f"{line}\n") for i in range(3 * MOST_OPEN)])
    descriptors = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")
    assert len(list(descriptors.iterdir())) < 2 * MOST_OPEN
    files.close()

    found = texts(tmp_path)
    assert len(found) == 3 * MOST_OPEN
    assert all(lines == [f"stdout | {i}" for i in range(3)] for lines in found.values())


def test_a_folder_that_goes_away_ends_no_run_and_is_told(tmp_path, capfd):
    logs = tmp_path / "logs"

    @task
    def remove(folder: str) -> str:
        Path(folder).rmdir()
        print("after")
        return "done"

    run = Flow("f", remove(str(logs)), executor="inline").run(db=None, log_dir=logs)

    assert run.result == "done"
    assert "liteflow: log files in" in capfd.readouterr().err


@given(st.text(max_size=150))
def test_no_key_makes_a_name_that_leaves_the_folder(key):
    name = file_name(key)

    assert re.fullmatch(r"[\w.\-\[\]]{0,110}", name, re.ASCII)
    assert not name.startswith((".", "-"))


@given(st.lists(st.text(max_size=120), min_size=2, max_size=2, unique=True))
def test_keys_that_differ_have_names_that_differ(keys):
    assert file_name(keys[0]) != file_name(keys[1])
