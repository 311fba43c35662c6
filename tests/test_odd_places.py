"""Programs that lack what most have: standard streams, a working directory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support.drivers import environment

from liteflow import Flow, task
from liteflow.errors import StorePlaceError


@task
def says(n: int) -> int:
    print("said", n)
    print("said", n, file=sys.stderr)
    return n


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_a_program_without_standard_streams_runs_flows_that_print(executor, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    run = Flow("f", says(1)).run(db=tmp_path / "x.db", executor=executor)

    assert run.result == 1
    assert sorted(line.line for line in run.logs("says")) == ["said 1", "said 1"]


@task
def says_more() -> None:
    print("z\u00fcrich \u2603")


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_what_a_stream_has_no_characters_for_is_shown_as_escapes(executor, tmp_path, monkeypatch):
    shown = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", shown)

    run = Flow("f", says_more()).run(db=tmp_path / "x.db", executor=executor)

    shown.flush()
    assert shown.buffer.getvalue() == b"z\xfcrich \\u2603\n"
    assert [line.line for line in run.logs()] == ["z\u00fcrich \u2603"]


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_a_reader_of_the_output_that_is_gone_breaks_no_run(executor, tmp_path, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    # What is left in it goes the same way as it came.
    with suppress(BrokenPipeError), os.fdopen(writer, "w", buffering=1) as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        run = Flow("f", [says(1), says(2)]).run(db=tmp_path / "x.db", executor=executor)
        monkeypatch.undo()

    assert (run.state, len(run.logs())) == ("succeeded", 4)
    told = capsys.readouterr().err
    assert told.count("what tasks print is not shown any more: Broken pipe; the run goes on") == 1


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


@pytest.mark.usefixtures("nowhere")
def test_a_working_directory_that_is_gone_is_told_where_it_is_needed(tmp_path):
    with pytest.raises(StorePlaceError, match="the working directory has been removed; go to another one"):
        Flow("f", says(1)).run(db="x.db", executor="inline")

    assert Flow("f", says(1)).run(db=tmp_path / "x.db", executor="inline").result == 1


@pytest.mark.usefixtures("nowhere")
def test_the_command_line_needs_no_working_directory(tmp_path):
    Flow("f", says(1)).run(db=tmp_path / "x.db", executor="inline")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "liteflow", "runs", *words]
        return subprocess.run(whole, env=environment(tmp_path), capture_output=True, text=True, check=False)

    assert command("--db", str(tmp_path / "x.db")).stdout.count("succeeded") == 1
    lost = command()
    assert (lost.returncode, lost.stdout) == (2, "")
    assert lost.stderr.startswith("liteflow: liteflow.db can't hold a store: the working directory")
