"""`liteflow replay RUN`: its flow again, with what it was given, beside what it had given."""

from __future__ import annotations

import json

import pytest

SCRIPT = """
import os
from liteflow import flow, task

@task
def numbers(n: int) -> list[int]:
    return list(range(n))

@task
def named(xs: list[int]) -> str:
    return os.environ.get("NAMED", "nobody") + str(len(xs))

@task
def total(xs: list[int]) -> int:
    return sum(xs)

@flow
def daily(n: int = 3):
    xs = numbers(n)
    return named(xs), total(xs)
"""


@pytest.fixture
def liteflow(liteflow, folder):
    (folder / "daily.py").write_text(SCRIPT)
    assert liteflow("run", "daily.py", "n=4", "--run-id", "first", "--mode", "inline").returncode == 0

    def call(*words, **options):
        return liteflow(*words, "--mode", "inline", **options)

    return call


def test_it_says_that_everything_came_out_as_it_did(liteflow):
    done = liteflow("replay", "first")

    assert done.returncode == 0
    assert "total = 6" in done.stdout
    assert done.stdout.splitlines()[-1] == "compared with run first: 3 results the same"


def test_it_says_what_came_out_otherwise_and_what_it_was(liteflow):
    done = liteflow("replay", "daily", env={"NAMED": "me"})

    assert done.stdout.splitlines()[-2:] == [
        "compared with run first: 2 results the same, 1 not",
        '  named = "me4", was "nobody4"',
    ]


def test_arguments_may_be_otherwise(liteflow):
    assert "total = 1" in liteflow("replay", "first", "n=2").stdout
    assert "total = 0" in liteflow("replay", "first", "--set", "n=1").stdout


def test_a_part_of_it_takes_the_rest_from_that_run_and_not_from_a_later_one(liteflow, folder):
    assert liteflow("run", "daily.py", "n=9").returncode == 0

    only = liteflow("replay", "first", "--only", "total")
    onwards = liteflow("replay", "first", "--from", "numbers")

    assert "total = 6" in only.stdout
    assert "named" not in only.stdout
    assert only.stdout.splitlines()[-1] == "compared with run first: 1 result the same"
    assert onwards.stdout.splitlines()[-1] == "compared with run first: 3 results the same"


def test_as_json_it_is_the_run_with_what_differs(liteflow):
    record = json.loads(liteflow("replay", "first", "--json", env={"NAMED": "me"}).stdout)

    assert record["state"] == "succeeded"
    assert record["replay"] == {
        "of": "first",
        "same": 2,
        "changed": {"named": {"then": '"nobody4"', "now": '"me4"'}},
        "then_only": [],
        "now_only": [],
    }
    assert liteflow("replay", "first", "--quiet").stdout == ""


def test_one_that_fails_has_the_exit_status_of_a_run_that_fails(liteflow, folder):
    (folder / "daily.py").write_text(SCRIPT.replace("sum(xs)", "1 // 0"))
    done = liteflow("replay", "first")

    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stdout.splitlines()[-1] == "  came then alone: total"


def test_a_file_that_was_moved_is_named(liteflow, folder):
    (folder / "daily.py").rename(folder / "moved.py")
    refused = liteflow("replay", "first")

    assert refused.returncode == 2
    assert "which run first was begun from, is gone; name its file with --file" in refused.stderr
    assert liteflow("replay", "first", "--file", "moved.py").returncode == 0


REFUSED = {
    "no such run": (("replay", "nosuch"), "there is no run 'nosuch'"),
    "no such call": (("replay", "first", "--only", "nosuch"), "it has: numbers, named, total"),
    "no such argument": (("replay", "first", "m=1"), "flow daily has no input 'm'"),
    "no run": (("replay",), "missing argument 'RUN'"),
}


@pytest.mark.parametrize(("words", "told"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_do_is_refused(liteflow, words, told):
    done = liteflow(*words)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_a_part_whose_inputs_that_run_never_had_is_refused(liteflow, folder):
    (folder / "daily.py").write_text(SCRIPT.replace("list(range(n))", "list(range(n // 0))"))
    liteflow("run", "daily.py", "--run-id", "broken")
    done = liteflow("replay", "broken", "--only", "total")

    assert done.returncode == 2
    assert "run broken of daily does not have what is needed: the results of numbers" in done.stderr
