"""What tasks say that their calls take of a machine, and which of them may run beside each other."""

from __future__ import annotations

import json
import sqlite3
from array import array
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from liteflow import Flow, task
from liteflow.engine.admission import Admission
from liteflow.engine.lanes import ReadyLane
from liteflow.engine.room import Room
from liteflow.engine.weighing import SortedLanes
from liteflow.errors import SettingError
from liteflow.executor.base import Call
from liteflow.resources import UNIT, Resources, resources_of

# --- as they are given ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2GB", 2 * 10**9),
        ("512MiB", 512 * 2**20),
        ("1.5 gb", 15 * 10**8),
        ("100b", 100),
        ("1TiB", 2**40),
        (10**9, 10**9),
        (2e9, 2 * 10**9),
    ],
)
def test_memory_is_a_number_of_bytes_or_a_text_with_a_unit(text, count):
    assert resources_of({"memory": text}, "a task") == Resources((("memory", count),))


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        (3, "a dict of amounts by name"),
        ({"cpus": -1}, "a number from 0"),
        ({"cpus": "2"}, "a number from 0"),
        ({"cpus": True}, "a number from 0"),
        ({"cpus": float("nan")}, "a number from 0"),
        ({"cpus": float("inf")}, "a number from 0"),
        ({"cpus": 0.00001}, "of up to four decimals"),
        ({"gpus": 1.5}, "a whole number, or a fraction below 1"),
        ({"memory": "2"}, 'such as "2GB"'),
        ({"memory": "two GB"}, 'such as "2GB"'),
        ({"memory": "-2GB"}, 'such as "2GB"'),
        ({"memory": "9999999TiB"}, 'such as "2GB"'),
        ({"memory": float("inf")}, 'such as "2GB"'),
        ({"CPU": 1}, "a name in resources must be 'cpus'"),
        ({"num_gpus": 1}, "must be 'gpus'"),
        ({"Memory": 1}, "must be 'memory'"),
        ({"": 1}, "1 to 200 characters"),
        ({1: 1}, "text"),
    ],
)
def test_what_can_be_no_resources_is_told_where_it_is_given(given_, said):
    with pytest.raises(SettingError, match=said):

        @task(resources=given_)
        def train() -> None: ...


def test_the_message_names_the_task_the_name_and_what_was_given():
    with pytest.raises(
        SettingError, match=r"task abs: resources\['memory'\] must be .*, not '2 lots' \(str\)"
    ):
        task(abs, resources={"memory": "2 lots"})


def test_a_machine_has_whole_gpus():
    with pytest.raises(SettingError, match="a whole number"):
        resources_of({"gpus": 0.5}, "a run", whole=True)


def test_none_and_an_empty_dict_say_nothing():
    assert task(abs, resources={}).policy.resources is None
    assert task(abs, resources={"cpus": 1}).options(resources=None).policy.resources is None


def test_options_replace_all_of_it():
    small = task(abs, resources={"cpus": 1, "memory": "1GB"})
    assert small.options(resources={"gpus": 1}).policy.resources == Resources((("gpus", 1),))
    assert small.options(retries=1).policy.resources == small.policy.resources


@given(st.dictionaries(st.sampled_from(["cpus", "memory", "telescope"]), st.integers(0, 9), min_size=1))
def test_in_which_order_they_are_given_means_nothing(amounts):
    backwards = dict(reversed(amounts.items()))
    assert resources_of(amounts, "a task") == resources_of(backwards, "a task")


@given(st.integers(0, 30_000))
def test_parts_of_one_are_counted_and_not_rounded(parts):
    resources = resources_of({"cpus": parts / UNIT}, "a task")
    assert resources is not None
    assert dict(resources.units).get("cpus", 0) == parts


def test_calls_that_take_different_things_of_a_cluster_travel_apart():
    demands = [{"cpus": 1 + node % 2} for node in range(6)]
    lanes: list[ReadyLane] = []
    ready = SortedLanes(
        array("i", [1, 1, 1, 1, 2, 1]),
        lambda node: Call(node, 1, 0, (), None, -1, (), None),
        lambda node: Resources(tuple(demands[node].items())),
        lanes.append,
    )
    for node in range(6):
        ready.push(node)
    taken = [lane.take(10) for lane in lanes]
    # Each kind in the order of the lanes of those that take nothing.
    assert [[call.node for call in calls] for calls in taken] == [[4, 0, 2], [1, 3, 5]]
    assert [{call.needs for call in calls} for calls in taken] == [{(("cpus", 1),)}, {(("cpus", 2),)}]
    assert [lane.needs for lane in lanes] == [(("cpus", 1),), (("cpus", 2),)]


# --- who may begin -------------------------------------------------------------------------

_NAMES = ("cpus", "memory", "telescope")
_MACHINE = {"cpus": 4, "memory": 10, "telescope": 1}
_GPUS = 3
_LANES = 2
_demands = st.builds(
    lambda amounts, gpus: Resources(tuple(sorted({**amounts, "gpus": gpus}.items()))),
    st.fixed_dictionaries({name: st.sampled_from([0, 0.5, 1, _MACHINE[name]]) for name in _NAMES}),
    st.sampled_from([0, 0, 0.3, 0.5, 1, 2, 3]),
)


class AdmissionMachine(RuleBasedStateMachine):
    """Calls become ready, begin when their executor has a place, end or come back, in any order."""

    def __init__(self):
        super().__init__()
        self.admission = Admission(Room.of(_MACHINE, _GPUS))
        self.demands = {}
        self.lane_of = {}
        self.waiting = []
        self.running = []
        self.heights = {}

    @rule(demand=_demands, lane=st.integers(0, _LANES - 1), height=st.integers(0, 2))
    def become_ready(self, demand, lane, height):
        node = len(self.demands)
        self.demands[node], self.lane_of[node], self.heights[node] = demand, lane, height
        self.admission.push(node, lane=lane, height=height, wanted=demand)
        self.waiting.append(node)

    @rule(lane=st.integers(0, _LANES - 1))
    def begin(self, lane):
        said = self.admission.next_of(lane)
        if said is None:
            return
        first = self.first()
        may = self.admission.next_of(self.lane_of[first]) == first
        node, _ = self.admission.take(lane)
        assert node == said
        if may and node != first:
            assert self.admission.next_of(self.lane_of[first]) == first, "another has what was kept for it"
        assert self.lane_of[node] == lane
        self.waiting.remove(node)
        self.running.append(node)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data):
        node = data.draw(st.sampled_from(self.running))
        self.running.remove(node)
        self.admission.ended(node)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def come_back(self, data):
        node = data.draw(st.sampled_from(self.running))
        self.running.remove(node)
        self.waiting.append(node)
        self.admission.returned(node)
        self.admission.push(
            node, lane=self.lane_of[node], height=self.heights[node], wanted=self.demands[node]
        )

    @invariant()
    def what_runs_never_takes_more_than_there_is(self):
        for name in (*_NAMES, "gpus"):
            taken = sum(Fraction(str(dict(self.demands[n].amounts).get(name, 0))) for n in self.running)
            assert taken <= (_GPUS if name == "gpus" else _MACHINE[name])

    @invariant()
    def no_gpu_is_given_twice(self):
        of_each = [0] * _GPUS
        for node in self.running:
            held = dict(self.admission.held[node].gpus)
            assert sum(held.values()) == round(dict(self.demands[node].amounts)["gpus"] * UNIT)
            for number, count in held.items():
                of_each[number] += count
        assert all(count <= UNIT for count in of_each)
        assert tuple(UNIT - count for count in of_each) == self.admission.free.gpus

    @invariant()
    def where_nothing_runs_something_may_begin(self):
        turns = [self.admission.next_of(lane) for lane in range(_LANES)]
        assert self.running or not self.waiting or any(turn is not None for turn in turns)

    def first(self):
        return min(self.waiting, key=lambda node: (-self.heights[node], node))

    def teardown(self):
        # The one that is the most urgent by height, then by age, begins when those have ended that run now.
        while self.waiting:
            first = self.first()
            others = list(self.running)
            while self.admission.next_of(self.lane_of[first]) != first:
                assert others, "what the first one waits for has been given to another"
                for lane in range(_LANES):
                    while (said := self.admission.next_of(lane)) not in (None, first):
                        self.begin(lane)
                        assert said in self.running
                ended = others.pop()
                self.running.remove(ended)
                self.admission.ended(ended)
            self.begin(self.lane_of[first])
        for node in self.running:
            self.admission.ended(node)
        assert self.admission.free == Room.of(_MACHINE, _GPUS)


TestAdmission = AdmissionMachine.TestCase
TestAdmission.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


def test_the_store_says_what_a_task_takes(tmp_path):
    taking = task(abs, resources={"cpus": 0.5, "memory": "1MB"})
    Flow("f", taking(-1)).run(db=tmp_path / "s.db", executor="inline", resources={"cpus": 1})

    with sqlite3.connect(tmp_path / "s.db") as connection:
        ((policy,),) = connection.execute("SELECT policy FROM task").fetchall()
    assert json.loads(policy)["resources"] == {"cpus": 0.5, "memory": 1_000_000}
