"""What a run says of itself while it goes on."""

import io
import re
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from liteflow import Flow, task
from liteflow.cli import progress
from liteflow.cli.live import Live, Picture
from liteflow.cli.progress import MANY, Lines, Silence, Tally, printed, task_of
from liteflow.views.states import LOOKS

KEYS = st.sampled_from(["a", "a-2", "b", "c[0]", "new"])
CHANGES = st.lists(st.dictionaries(KEYS, st.tuples(st.sampled_from(list(LOOKS)), st.just(1))))


@given(CHANGES)
def test_counts_are_those_of_the_states(batches):
    tally = Tally(["a", "a-2", "b", "c[0]"])
    for changes in batches:
        tally.apply(changes)

    states = list(tally.states.values())
    assert all(tally.total[state] == states.count(state) for state in LOOKS)
    assert sum(sum(of_task.values()) for of_task in tally.tasks.values()) == len(tally)


@pytest.mark.parametrize(
    ("key", "task"),
    [("t", "t"), ("t-12", "t"), ("t[3]", "t"), ("my-task", "my-task"), ("row_1_of_9", "row_*_of_*")],
)
def test_keys_of_one_task_have_its_name_in_common(key, task):
    assert task_of(key) == task


def test_a_small_run_has_a_line_for_each_task_that_ends(capsys):
    lines = Lines()
    lines.started("3f2a", "etl", ["extract", "load"])
    lines.changed({"extract": ("running", 1)})
    lines.changed({"extract": ("succeeded", 1)})
    lines.lines([("load", "stdout", "loading \x1b[2J\n")])
    lines.changed({"load": ("retrying", 1)})
    lines.changed({"load": ("failed", 2)})
    lines.changed({"load": ("failed", 2)})
    lines.ended("failed")

    assert capsys.readouterr().err.splitlines() == [
        "run 3f2a of etl: 2 task instances",
        "extract: succeeded",
        r"load | loading \x1b[2J",
        "load: retrying after attempt 1",
        "load: failed after attempt 2",
    ]
    assert lines.run_id == "3f2a"


def test_a_large_run_says_every_few_seconds_how_far_it_is(capsys):
    clock = [0.0]
    lines = Lines(lambda: clock[0])
    keys = [f"t-{i}" for i in range(MANY * 4)]
    lines.started("3f2a", "etl", keys)
    for number, key in enumerate(keys):
        clock[0] = number / 10
        lines.changed({key: ("succeeded", 1)})

    said = capsys.readouterr().err.splitlines()
    assert said[1:] == [
        "51 of 200: 149 pending, 51 succeeded",
        "101 of 200: 99 pending, 101 succeeded",
        "151 of 200: 49 pending, 151 succeeded",
    ]


def test_silence_says_nothing_and_knows_the_run(capsys):
    with Silence() as silence:
        silence.started("3f2a", "etl", ["a"])
        silence.changed({"a": ("failed", 1)})
        silence.lines([("a", "stdout", "x")])
        silence.ended("failed")

    assert silence.run_id == "3f2a"
    assert capsys.readouterr() == ("", "")


def test_a_line_of_megabytes_is_cut():
    assert len(printed("key", "x" * 10_000_000)) < progress.LONGEST_LINE + 10


# --- the live display ------------------------------------------------------------------------


def drawn(picture, height=24, wide=80):
    console = Console(file=io.StringIO(), width=wide, height=height, force_terminal=False)
    console.print(picture.render(height))
    return console.file.getvalue().splitlines()


def picture_of(keys, changes=None, ascii_only=False):
    picture = Picture(ascii_only, now=lambda: 0.0)
    picture.begin("etl", "3f2a", keys)
    picture.tally.apply(changes or {})
    return picture


def test_a_small_run_is_shown_one_by_one():
    lines = drawn(picture_of(["extract", "load"], {"extract": ("running", 1)}))

    assert lines[0].startswith("etl · run 3f2a")
    assert lines[1].split() == ["▶", "extract", "running"]
    assert lines[2].split() == ["·", "load", "pending"]
    assert lines[3].split()[-1] == "0/2"


def test_a_large_run_is_shown_by_task():
    keys = (
        [f"done-{i}" for i in range(20)] + [f"wait-{i}" for i in range(50)] + [f"now-{i}" for i in range(100)]
    )
    changes = {**dict.fromkeys(keys[:20], ("succeeded", 1)), "now-3": ("running", 1)}

    lines = drawn(picture_of(keys, changes))

    assert [line.split()[1:3] for line in lines[1:4]] == [
        ["done", "20/20"],
        ["wait", "0/50"],
        ["now", "0/100"],
    ]
    assert "1 running, 99 pending" in lines[3]


def test_where_not_all_tasks_have_a_line_what_happens_now_comes_first():
    keys = [f"task{chr(i)}x" for i in range(0x4E00, 0x4E00 + 50)]

    lines = drawn(picture_of(keys, {keys[40]: ("running", 1), keys[3]: ("succeeded", 1)}), height=10)

    assert lines[1].split()[1] == keys[40]
    assert keys[3] not in " ".join(lines)


def test_there_are_no_more_lines_than_the_terminal_has():
    keys = [f"task{chr(i)}x" for i in range(0x4E00, 0x4E00 + 500)]
    assert len(drawn(picture_of(keys), height=10)) <= 10
    assert any("more" in line for line in drawn(picture_of(keys), height=10))


@given(
    st.dictionaries(st.text(min_size=1), st.sampled_from(list(LOOKS)), min_size=1, max_size=20),
    st.integers(20, 100),
    st.integers(1, 30),
)
def test_any_names_can_be_shown_on_any_terminal(states, wide, height):
    changes = {key: (state, 1) for key, state in states.items()}
    lines = drawn(picture_of(list(states), changes), height, wide)
    assert all(line.isprintable() and cell_len(line) <= wide for line in lines)


def test_the_display_is_taken_away_at_the_end_and_what_was_said_stays():
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    with Live(console) as live:
        live.started("3f2a", "etl", ["load"])
        live.lines([("load", "stdout", "loading\x1b[2J\n")])
        live.changed({"load": ("failed", 1)})
        live.ended("failed")

    written = console.file.getvalue()
    assert r"load | loading\x1b[2J" in written
    assert "load: failed" in written
    assert written.endswith("\x1b[1A\x1b[2K") or "\x1b[2K" in written.rpartition("etl · run")[2]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_this_process_prints_stands_above_the_table_in_whole_lines(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=terminal, width=80, height=24, force_terminal=True, color_system=None)
    with Live(console) as live:
        live.started("3f2a", "etl", ["load"])
        print("part 1", end="")
        other = threading.Thread(target=print, args=("of another\x1b[2J thread",))
        other.start()
        other.join()
        print(" and 2")
        print("no end", end="")
        live.ended("succeeded")

    assert sys.stdout is terminal
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in terminal.getvalue().splitlines()]
    assert {"part 1 and 2", r"of another\x1b[2J thread", "no end"} <= set(lines)


def test_a_name_keeps_its_room_where_the_terminal_is_narrow():
    picture = picture_of(["prepare_the_data"], {"prepare_the_data": ("running", 1)})
    picture.write([("prepare_the_data", "stdout", "a long line " * 20)])

    assert "prepare_the_data" in drawn(picture, wide=40)[1]


class Gone(io.StringIO):
    def write(self, text):
        raise OSError("the terminal is gone")


def test_a_terminal_that_goes_away_does_not_harm_the_run():
    with Live(Console(file=Gone(), force_terminal=True)) as live:
        live.started("3f2a", "etl", ["load"])
        live.changed({"load": ("succeeded", 1)})
        live.lines([("load", "stdout", "x")])
        live.ended("succeeded")


def test_the_table_has_the_last_line_of_a_task_that_prints_in_this_process(tmp_path):
    """Whether or not log files are written: who writes them passes it on."""
    speak = task(print, name="speak")

    for folder in (None, tmp_path):
        screen = io.StringIO()
        with Live(Console(file=screen, force_terminal=True, width=80)) as live:
            Flow("f", speak("hello")).run(db=None, executor="thread", observer=live, log_dir=folder)

        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
        assert re.search(r"speak +succeeded .*hello", plain)
