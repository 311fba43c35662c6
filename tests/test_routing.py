"""The rules of the next-task style: what starts, when, and how often.  (Pure.)"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples

from liteflow.engine.routing import Request, Routing
from liteflow.errors import UnknownNameError

NAMES = "abcdef"


def ask(*tasks: str) -> list[Request]:
    return [Request(task) for task in tasks]


def started(starts) -> list[str]:
    return [start.request.task for start in starts]


def test_a_task_that_many_ask_for_starts_when_the_last_of_them_has_ended():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, [Request("b", another=True)] * 3)

    assert [started(routing.ended(n, ask("c"))) for n in (2, 1, 3)] == [[], [], ["c"]]


def test_a_join_waits_for_instances_that_are_queued_too():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, [Request("b", digest=b"1"), Request("b", digest=b"2")])

    assert started(routing.ended(1, ask("c"))) == ["b"]
    assert started(routing.ended(2, ask("c"))) == ["c"]


def test_a_start_names_all_that_have_asked_for_it():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, [Request("b", another=True), Request("b", another=True), *ask("b")])
    routing.ended(1, ask("c", "c"))

    assert [start.askers for start in routing.ended(2, ask("c"))] == [[1, 2]]


def test_the_same_asked_for_while_it_runs_is_dropped():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, ask("b", "c"))

    assert routing.ended(1, ask("c")) == []
    assert routing.ended(2, []) == []


def test_other_inputs_asked_for_while_it_runs_come_after_it():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, [Request("b"), Request("c", digest=b"1")])

    assert routing.ended(1, [Request("c", digest=b"2")]) == []
    assert [start.request.digest for start in routing.ended(2, [])] == [b"2"]


def test_one_more_instance_starts_at_once_whatever_runs():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, ask("b", "c"))

    assert started(routing.ended(1, [Request("c", another=True)])) == ["c"]


def test_a_task_may_ask_for_itself():
    routing = Routing("f", NAMES, Request("a"))

    assert [started(routing.ended(n, ask("a"))) for n in range(3)] == [["a"]] * 3


def test_of_tasks_that_wait_for_each_other_the_first_that_was_asked_for_goes_first():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, ask("b", "c"))
    assert routing.ended(1, [Request("c", digest=b"1")]) == []

    # c is asked for by b, of which one more is queued, and b by c.
    assert started(routing.ended(2, [Request("b", digest=b"1")])) == ["c"]
    assert started(routing.ended(3, [])) == ["b"]


def test_what_waits_for_an_instance_that_has_failed_never_starts():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, [Request("b", another=True)] * 2)

    # Instance 2 never ends.
    assert routing.ended(1, ask("c")) == []


def test_a_skipped_instance_holds_nothing_up():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, [Request("b", another=True)] * 2)
    routing.ended(1, ask("c"))

    assert started(routing.skipped(2)) == ["c"]


def test_a_name_that_there_is_not_changes_nothing():
    routing = Routing("f", NAMES, Request("a"))
    with pytest.raises(UnknownNameError, match="flow f has no task 'x'"):
        routing.ended(0, ask("b", "x"))

    assert started(routing.ended(0, ask("b"))) == ["b"]


def test_the_outputs_are_the_last_ones_of_those_that_asked_for_nothing():
    routing = Routing("f", NAMES, Request("a"))
    routing.ended(0, [Request("c", another=True), Request("b", another=True), Request("c", another=True)])
    for number in (3, 2, 1):
        routing.ended(number, [])

    assert list(routing.finals.items()) == [("c", 1), ("b", 2)]


requests = st.lists(
    st.builds(Request, st.sampled_from(NAMES), st.none(), st.sampled_from([None, b"1", b"2"]), st.booleans()),
    max_size=4,
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(requests, max_size=25), st.integers())
def test_every_run_ends_and_starts_the_same_when_it_is_told_the_same(asked, seed):
    random = Random(seed)
    routing, told, running, log = Routing("f", NAMES, Request("a")), [], [0], []
    pending = list(asked)
    while running:
        number = running.pop(random.randrange(len(running)))
        wanted = pending.pop() if pending else []
        told.append((number, wanted))
        log.append(routing.ended(number, wanted))
        running += [start.number for start in log[-1]]

    # Nothing that was asked for is left behind.
    assert not routing.waiting
    numbers = [start.number for starts in log for start in starts]
    assert numbers == list(range(1, len(numbers) + 1))
    again = Routing("f", NAMES, Request("a"))
    assert [again.ended(number, wanted) for number, wanted in told] == log


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(1, 30), st.integers())
def test_a_join_runs_once_in_whatever_order_those_end_that_ask_for_it(count, seed):
    routing = Routing("f", NAMES, Request("a"))
    parts = [start.number for start in routing.ended(0, [Request("b", another=True)] * count)]
    Random(seed).shuffle(parts)

    starts = [start for number in parts for start in routing.ended(number, ask("c"))]

    assert started(starts) == ["c"]
    assert routing.ended(starts[0].number, []) == []
