"""The page of promises names the test of each; here it is seen that they are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text(encoding="utf-8")


def rows(page):
    """Promise -> what stands beside it, of the table of tests."""
    table = page.partition("## Which test shows it")[2]
    found = {}
    for promises, words in re.findall(r"^\| (P\d+(?:, P\d+)*) \| (.*) \|$", table, re.MULTILINE):
        found |= dict.fromkeys(promises.split(", "), words)
    return found


def test_each_promise_is_stated_and_has_a_test():
    promises = [f"P{n}" for n in range(1, 21)]

    assert re.findall(r"^\| (P\d+) \| \S", PAGE.partition("## Where it ends")[0], re.MULTILINE) == promises
    assert list(rows(PAGE)) == promises


def test_each_test_that_is_named_is_there():
    for words in rows(PAGE).values():
        named = re.findall(r"`([\w/]+(?:\.py|/))`|`(test_\w+)`", words)
        assert named, words
        source = ""
        for place, test in named:
            if place:
                assert (TESTS / place).exists(), place
                source = (TESTS / place).read_text(encoding="utf-8") if place.endswith(".py") else ""
            else:
                assert re.search(rf"^def {test}\(", source, re.MULTILINE), test
