"""The program and the world around it: closed pipes, full disks, odd locales, help."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cli_program import environment
from support.forked import Forked, Request

from liteflow import __version__

COMMANDS = ["scaffold", "run", "runs", "show", "logs", "visualize", "ui"]


def bash(folder, line, **env):
    return subprocess.run(
        ["bash", "-c", line.replace("liteflow ", f"{sys.executable} -m liteflow ")],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def to_stream(folder, words, stdout, **env):
    """Call the program with its standard output on a descriptor."""
    process = Forked(
        Request("liteflow", tuple(words.split()), str(folder), environment(**env)), stdout=stdout
    )
    _, err = process.communicate(60)
    return subprocess.CompletedProcess(words, process.wait(), "", err)


# --- output ----------------------------------------------------------------------------------


def test_a_reader_that_has_enough_is_no_error(history_folder):
    done = bash(
        history_folder, "for i in 1 2; do liteflow show etl --json; done | head -1; exit ${PIPESTATUS[1]}"
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_nobody_reading_ends_with_141_and_without_a_word(history_folder):
    done = bash(history_folder, "set -o pipefail; { sleep 0.2; liteflow visualize etl; } | true")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "words", ["runs", "show latest", "show latest --json", "scaffold", "visualize etl", "--help"]
)
def test_a_full_disk_is_told_in_one_line(history_folder, words):
    with Path("/dev/full").open("w") as full:
        done = to_stream(history_folder, words, full.fileno())

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed_do_no_harm(history_folder, look, tmp_path, closed):
    assert bash(history_folder, f"liteflow runs {closed}").returncode == 0
    assert bash(history_folder, f"liteflow run etl.py --db {tmp_path}/x.db {closed}").returncode == 0
    done = look("show", "latest", "--db", f"{tmp_path}/x.db")
    assert done.stdout.count("succeeded") >= 3


def test_a_run_does_not_fail_because_its_progress_cannot_be_written(history_folder, tmp_path):
    if Path("/dev/full").exists():
        assert bash(history_folder, f"liteflow run etl.py --db {tmp_path}/x.db 2> /dev/full").returncode == 0
    assert bash(history_folder, f"liteflow run etl.py --db {tmp_path}/y.db 2> >(true)").returncode == 0


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "show bad-1"),
        ({"PYTHONIOENCODING": "ascii"}, "logs bad-1"),
        ({"PYTHONIOENCODING": "ascii"}, "visualize bad-1 --format text"),
        ({"PYTHONIOENCODING": "ascii"}, "visualize bad-1"),
        ({"PYTHONIOENCODING": "ascii"}, "--help"),
        ({"LC_ALL": "C"}, "visualize bad-1 --format text"),
        ({"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "visualize bad-1 --format text"),
    ],
)
def test_a_stream_that_knows_only_ascii_gets_escapes(history_folder, env, words):
    done = bash(history_folder, f"liteflow {words}", **env)
    assert (done.returncode, done.stderr) == (0, "")


def test_text_for_ascii_has_symbols_of_its_own(history_folder):
    done = bash(history_folder, "liteflow visualize bad-1 --format text", PYTHONIOENCODING="ascii")
    assert "  x broken" in done.stdout
    assert "x <- fine" in done.stdout


@pytest.mark.parametrize("wide", [1, 20, 40, 300])
@pytest.mark.parametrize("words", ["runs", "show bad-1", "logs bad-1", "--help", "run --help"])
def test_any_width_of_terminal_is_enough(history_folder, words, wide):
    leader, follower = pty.openpty()
    done = to_stream(history_folder, words, follower, COLUMNS=str(wide), TERM="xterm")
    os.close(leader)
    os.close(follower)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_gets_no_colours(history_folder):
    assert "\x1b" not in bash(history_folder, "liteflow runs; liteflow show bad-1").stdout


# --- help ------------------------------------------------------------------------------------


def test_help_shows_the_commands_and_examples(look):
    done = look("--help")
    assert done.returncode == 0
    assert all(f"  {command} " in done.stdout for command in COMMANDS)
    assert "  liteflow run my_workflow.py\n" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(look, command):
    done = look(command, "--help")
    assert done.returncode == 0
    assert f"  Examples:\n    liteflow {command}" in done.stdout


def test_no_command_is_wrong_usage_and_shows_the_help(look):
    done = look()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: liteflow" in done.stderr


def test_the_version_is_told(look):
    assert look("--version").stdout == f"liteflow {__version__}\n"


# --- scaffold --------------------------------------------------------------------------------


def test_the_scaffold_runs_as_it_is(new_liteflow, folder):
    (folder / "mine.py").write_text(new_liteflow("scaffold").stdout)

    by_python = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    by_us = new_liteflow("run", "mine.py", "words=6", "title=3", "transform.scale=2.5")

    assert (by_python.returncode, by_python.stderr) == (0, "")
    assert by_python.stdout == "counting 10 words\nHamlet: 8 words, most often 'be'\n"
    assert "3: 4 words, most often" in by_us.stdout
    assert "counting 6 words" in new_liteflow("logs", "latest").stdout


def test_the_scaffold_is_typed_and_tidy(liteflow, folder):
    text = liteflow("scaffold").stdout
    (folder / "mine.py").write_text(text)
    compile(text, "mine.py", "exec")
    assert max(map(len, text.splitlines())) <= 100
    assert text.endswith("\n") and not text.endswith("\n\n")
