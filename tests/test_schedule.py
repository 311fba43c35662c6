"""The schedule: whatever happens, no node runs before its inputs, each runs once, and the run ends."""

import sys
from array import array
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.laws import examples

from liteflow.engine.lanes import ReadyLane
from liteflow.engine.schedule import Schedule
from liteflow.engine.states import IllegalEventError, State

ENDED = {s for s in State if s >= State.SUCCEEDED}
# A node with one of these lets what waits for it go on.
GOOD = {State.SUCCEEDED, State.CACHED}


@st.composite
def graphs(draw, most=9):
    """Predecessors of each node, of any graph without a cycle, numbered in any order."""
    count = draw(st.integers(0, most))
    order = draw(st.permutations(range(count)))
    predecessors = [()] * count
    chains = draw(st.booleans())
    for place, node in enumerate(order):
        if place and chains:
            # Mostly one after the other: so that there are some to be run behind others.
            predecessors[node] = (order[place - 1],) if draw(st.integers(0, 4)) else ()
        elif place:
            before = draw(st.lists(st.sampled_from(order[:place]), unique=True, max_size=4))
            predecessors[node] = tuple(before)
    return predecessors


def descendants(predecessors, node):
    found, stack = set(), [node]
    while stack:
        last = stack.pop()
        new = {n for n, before in enumerate(predecessors) if last in before} - found
        found |= new
        stack += new
    return found


def when_some(*states):
    return precondition(lambda self: self.in_state(*states))


class AnyRun(RuleBasedStateMachine):
    """Everything that may happen to a run, in any order; beside it, what must be so, told in sets."""

    def __init__(self):
        super().__init__()
        self.started = False

    @initialize(predecessors=graphs())
    def begin(self, predecessors):
        self.predecessors = predecessors
        self.schedule = Schedule(predecessors)
        self.states = dict.fromkeys(range(len(predecessors)), State.PENDING)
        self.runs = Counter()

    def in_state(self, *states):
        return sorted(n for n, s in self.states.items() if s in states)

    def some(self, data, *states):
        return data.draw(st.sampled_from(self.in_state(*states)))

    def unmet(self, node):
        """The inputs of a node that are not there (yet)."""
        return {before for before in self.predecessors[node] if self.states[before] not in GOOD}

    def free(self):
        return {node for node in self.in_state(State.PENDING) if not self.unmet(node)}

    def check_ready(self, ready):
        """What is told to be ready is what has become free by this event."""
        expected = self.free() if self.started else {n for n in self.free() if self.predecessors[n]}
        assert sorted(ready) == sorted(expected)
        self.states.update(dict.fromkeys(ready, State.READY))

    def check_blocked(self, blocked, node):
        """What is told to be blocked is what waits for it, near or far; not what has ended otherwise."""
        unended = set(self.in_state(*set(State) - ENDED))
        expected, stack = set(), [node]
        while stack:
            last = stack.pop()
            new = {n for n in unended - expected if last in self.predecessors[n]}
            expected |= new
            stack += new
        assert sorted(blocked) == sorted(expected)
        self.states.update(dict.fromkeys(blocked, State.UPSTREAM_FAILED))

    @precondition(lambda self: not self.started)
    @rule()
    def start(self):
        self.started = True
        self.check_ready(self.schedule.start())
        assert self.schedule.start() == []

    @when_some(State.READY)
    @rule(data=st.data())
    def run(self, data):
        node = self.some(data, State.READY)
        assert not self.unmet(node)
        self.schedule.run(node)
        self.runs[node] += 1
        self.states[node] = State.RUNNING

    @when_some(State.RUNNING)
    @rule(data=st.data())
    def run_behind(self, data):
        """A worker is given a node together with the only one that it waits for."""
        node = self.some(data, State.RUNNING)
        after = [n for n, before in enumerate(self.predecessors) if node in before]
        alone = len(after) == 1 and self.unmet(after[0]) == {node} and self.states[after[0]] is State.PENDING

        behind = self.schedule.next_in_line(node)

        assert behind == (after[0] if alone else None)
        if behind is not None:
            self.schedule.run_behind(behind)
            self.runs[behind] += 1
            self.states[behind] = State.RUNNING

    @precondition(lambda self: self.succeeding())
    @rule(data=st.data())
    def succeed(self, data):
        node = data.draw(st.sampled_from(self.succeeding()))
        ready = self.schedule.succeed(node)
        self.states[node] = State.SUCCEEDED
        self.check_ready(ready)

    def succeeding(self):
        return [node for node in self.in_state(State.RUNNING) if not self.unmet(node)]

    @when_some(State.RUNNING)
    @rule(data=st.data())
    def fail(self, data):
        node = self.some(data, State.RUNNING)
        blocked, ready = self.schedule.fail(node)
        assert ready == []
        self.states[node] = State.FAILED
        self.check_blocked(blocked, node)

    @when_some(State.RUNNING)
    @rule(data=st.data())
    def give_back(self, data):
        node = self.some(data, State.RUNNING)
        assert self.schedule.give_back(node) == (not self.unmet(node))
        self.runs[node] -= 1
        self.states[node] = State.PENDING if self.unmet(node) else State.READY

    @when_some(State.RUNNING)
    @rule(data=st.data())
    def retry_later(self, data):
        node = self.some(data, State.RUNNING)
        self.schedule.retry_later(node)
        self.runs[node] -= 1
        self.states[node] = State.RETRYING

    @when_some(State.RETRYING)
    @rule(data=st.data())
    def retry(self, data):
        self.retry_one(self.some(data, State.RETRYING))

    @when_some(State.PENDING, State.READY)
    @rule(data=st.data())
    def take_over(self, data):
        node = self.some(data, State.PENDING, State.READY)
        ready = self.schedule.take_over(node)
        self.states[node] = State.CACHED
        self.check_ready(ready)

    @when_some(State.PENDING, State.READY, State.RUNNING, State.RETRYING)
    @rule(data=st.data())
    def cancel(self, data):
        node = self.some(data, State.PENDING, State.READY, State.RUNNING, State.RETRYING)
        blocked, ready = self.schedule.cancel(node)
        assert ready == []
        self.states[node] = State.CANCELLED
        self.check_blocked(blocked, node)

    @rule()
    def be_saved_and_restored(self):
        data = self.schedule.to_bytes()
        self.schedule = Schedule.from_bytes(data)
        assert self.schedule.to_bytes() == data
        assert self.schedule.heights() == Schedule(self.predecessors).heights()

    @rule(data=st.data())
    def tell_what_cannot_be(self, data):
        legal = {
            "run": {State.READY},
            "run_behind": {State.PENDING},
            "succeed": {State.RUNNING},
            "fail": {State.RUNNING},
            "give_back": {State.RUNNING},
            "retry_later": {State.RUNNING},
            "retry": {State.RETRYING},
            "take_over": {State.PENDING, State.READY},
            "cancel": set(State) - ENDED,
        }
        events = [(e, n) for n, s in self.states.items() for e, states in legal.items() if s not in states]
        if events:
            event, node = data.draw(st.sampled_from(events))
            with pytest.raises(IllegalEventError) as caught:
                getattr(self.schedule, event)(node)
            assert (caught.value.node, caught.value.state) == (node, self.states[node])
            assert f"node {node} is {self.states[node].word}" in str(caught.value)

    @precondition(lambda self: self.started)
    @rule(give_up=st.booleans())
    def end(self, give_up):
        """From wherever it is, the run ends: when it is given up, or by running what is ready."""
        if give_up:
            cancelled = self.schedule.cancel_all()
            assert sorted(cancelled) == self.in_state(*set(State) - ENDED)
            self.states.update(dict.fromkeys(cancelled, State.CANCELLED))
        while not self.schedule.over:
            for node in self.in_state(State.RETRYING):
                self.retry_one(node)
            for node in self.in_state(State.READY):
                self.schedule.run(node)
                self.runs[node] += 1
                self.states[node] = State.RUNNING
            succeeding = self.succeeding()
            assert succeeding, "it hangs"
            for node in succeeding:
                ready = self.schedule.succeed(node)
                self.states[node] = State.SUCCEEDED
                self.check_ready(ready)
        assert set(self.states.values()) <= ENDED

    def retry_one(self, node):
        assert self.schedule.retry(node) == (not self.unmet(node))
        self.states[node] = State.PENDING if self.unmet(node) else State.READY

    @invariant()
    def the_states_are_as_told(self):
        if not hasattr(self, "states"):
            return
        assert {n: self.schedule.state(n) for n in self.states} == self.states
        assert self.schedule.unended == len(self.in_state(*set(State) - ENDED))
        assert self.schedule.over == (self.schedule.unended == 0)
        for state in State:
            assert self.schedule.nodes(state) == self.in_state(state)

    @invariant()
    def none_runs_twice(self):
        if hasattr(self, "runs"):
            assert max(self.runs.values(), default=0) <= 1

    @invariant()
    def a_run_that_is_not_over_can_go_on(self):
        if self.started and not self.schedule.over:
            assert self.in_state(State.READY, State.RUNNING, State.RETRYING)


TestAnyRun = AnyRun.TestCase
TestAnyRun.settings = settings(deadline=None, max_examples=examples(120), stateful_step_count=40)


# --- the whole run at once -----------------------------------------------------------------


@given(graphs(most=25), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=examples(100))
def test_every_node_runs_once_and_after_its_inputs_in_any_order_of_outcomes(predecessors, random):
    schedule = Schedule(predecessors)
    ready, running, done = schedule.start(), [], []

    while not schedule.over:
        assert ready or running
        if ready and (not running or random.random() < 0.5):
            node = ready.pop(random.randrange(len(ready)))
            schedule.run(node)
            running.append(node)
        else:
            node = running.pop(random.randrange(len(running)))
            ready += schedule.succeed(node)
            done.append(node)

    assert sorted(done) == list(range(len(predecessors)))
    places = {node: place for place, node in enumerate(done)}
    assert all(places[before] < places[n] for n in places for before in predecessors[n])


@given(graphs(most=25), st.sets(st.integers(0, 24)))
@settings(deadline=None, max_examples=examples(100))
def test_after_failures_all_runs_but_what_depends_on_them(predecessors, failing):
    schedule = Schedule(predecessors)
    ready, blocked = schedule.start(), []

    while ready:
        node = ready.pop()
        schedule.run(node)
        if node in failing:
            blocked += schedule.fail(node).blocked
        else:
            ready += schedule.succeed(node)

    failed = schedule.nodes(State.FAILED)
    assert schedule.over
    assert Counter(blocked) == Counter({d for f in failed for d in descendants(predecessors, f)})
    assert sorted(blocked) == schedule.nodes(State.UPSTREAM_FAILED)
    assert set(schedule.nodes(State.SUCCEEDED)) == set(range(len(predecessors))) - set(failed) - set(blocked)


# --- heights -------------------------------------------------------------------------------


@given(graphs(most=12))
@settings(deadline=None, max_examples=examples(150))
def test_a_height_is_the_length_of_the_longest_path_to_an_end(predecessors):
    def longest(node):
        after = [n for n, before in enumerate(predecessors) if node in before]
        return 1 + max(map(longest, after), default=0)

    heights = Schedule(predecessors).heights()

    assert list(heights) == [longest(node) for node in range(len(predecessors))]


@given(graphs(most=12))
def test_the_successors_of_a_node_are_those_that_wait_for_it(predecessors):
    schedule = Schedule(predecessors)

    assert len(schedule) == len(predecessors)
    for node in range(len(predecessors)):
        expected = [n for n, before in enumerate(predecessors) if node in before]
        assert list(schedule.successors(node)) == expected


# --- size ----------------------------------------------------------------------------------

COUNT = 200_000


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_hundreds_of_thousands_is_as_good_as_any(backwards):
    before = [(n - 1,) if n else () for n in range(COUNT)]
    if backwards:
        # Numbered from its end.
        before = [(n + 1,) if n < COUNT - 1 else () for n in range(COUNT)]
    schedule = Schedule(before)
    first, last = (COUNT - 1, 0) if backwards else (0, COUNT - 1)

    heights = schedule.heights()
    assert (heights[first], heights[last]) == (COUNT, 1)

    schedule = Schedule.from_bytes(schedule.to_bytes())
    ready = schedule.start()
    for _ in range(1000):
        (node,) = ready
        schedule.run(node)
        ready = schedule.succeed(node)
    (node,) = ready
    schedule.run(node)
    assert len(schedule.fail(node).blocked) == COUNT - 1001
    assert schedule.over


def test_one_node_may_have_hundreds_of_thousands_of_inputs_or_outputs():
    middle = COUNT
    schedule = Schedule([*[()] * COUNT, range(COUNT), *[(middle,)] * COUNT])

    for node in schedule.start():
        schedule.run(node)
        ready = schedule.succeed(node)
    assert ready == [middle]
    schedule.run(middle)
    assert len(schedule.succeed(middle)) == COUNT
    assert len(schedule.cancel_all()) == COUNT


def test_a_schedule_of_many_nodes_takes_little_room():
    schedule = Schedule([(n - 1, n // 2) if n > 2 else () for n in range(COUNT)])

    assert len(schedule.to_bytes()) < 20 * COUNT
    assert not hasattr(schedule, "__dict__")
    assert sys.getsizeof(schedule.heights()) < 5 * COUNT


def test_an_empty_schedule_is_over():
    schedule = Schedule([])

    assert schedule.over
    assert schedule.start() == []
    assert list(schedule.heights()) == []
    assert Schedule.from_bytes(schedule.to_bytes()).over


@pytest.mark.parametrize(
    "state,word", [(State.UPSTREAM_FAILED, "upstream_failed"), (State.PENDING, "pending")]
)
def test_states_are_written_as_in_the_database(state, word):
    assert state.word == word


# --- lanes ---------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.lists(st.integers(0, 9)), st.data())
@settings(deadline=None)
def test_a_lane_gives_the_highest_first_and_among_these_what_came_first(heights, counts, data):
    lane = ReadyLane(array("i", heights), lambda node: node, lambda call: None, lambda call: None)
    waiting = []
    for count in counts:
        for node in data.draw(st.lists(st.sampled_from(range(len(heights))), max_size=4)):
            lane.push(node)
            waiting.append(node)

        taken = lane.take(count)

        # A stable sort: among the same height they stay as they came.
        waiting.sort(key=lambda node: -heights[node])
        assert taken == waiting[:count]
        del waiting[:count]
        assert len(lane) == len(waiting)


def test_a_lane_holds_nodes_of_any_number_and_height():
    heights = array("i", [1]) * 3
    heights[1] = 2**31 - 1
    lane = ReadyLane(heights, lambda node: node, lambda call: None, lambda call: None)

    for node in (0, 1, 2):
        lane.push(node)

    assert lane.take(10) == [1, 0, 2]
