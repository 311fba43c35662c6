"""Schedules that grow: whatever happens, no node runs before what it waits for, and every run ends."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.laws import examples

from liteflow.engine.schedule import Schedule
from liteflow.engine.states import Effects, IllegalEventError, State, When

ENDED = {s for s in State if s >= State.SUCCEEDED}
GOOD = {State.SUCCEEDED, State.CACHED}
MOST = 40


@st.composite
def nodes(draw: Any, first: int, others: list[int], most: int = 4) -> tuple[list[list[int]], dict[int, When]]:
    """New nodes from `first` on: what they wait for, each other or others, and by which rule."""
    before, rules = [], {}
    for node in range(first, first + draw(st.integers(0, most))):
        known = [*others, *range(first, node)]
        before.append(draw(st.lists(st.sampled_from(known), unique=True, max_size=3)) if known else [])
        rules[node] = draw(st.sampled_from([When.ALL, When.ALL, When.ANY, When.ALWAYS]))
    return before, {node: when for node, when in rules.items() if when}


def in_states(*states: State) -> Any:
    return precondition(lambda self: any(s in states for s in self.states))


class AnyGrowth(RuleBasedStateMachine):
    """Everything that may happen to a run that grows; beside it the same told in lists and sets.

    `states` is what must be: after each event all nodes are gone through until nothing changes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.states: list[State] = []
        self.before: list[list[int]] = []
        self.rules: dict[int, When] = {}
        self.result: dict[int, list[int]] = {}
        self.runs: Counter[int] = Counter()
        self.completed: list[int] = []

    @initialize(data=st.data())
    def begin(self, data: Any) -> None:
        self.before, self.rules = data.draw(nodes(0, [], 6))
        self.schedule = Schedule(self.before, self.rules)
        self.states = [State.PENDING] * len(self.before)
        ready = self.schedule.start()
        _, expected = self.settle()
        assert sorted(ready) == expected

    # --- what must be ----------------------------------------------------------------------

    def verdict(self, node: int) -> State | None:
        """What becomes of a node that waits, by its rule and what it waits for; None: nothing yet."""
        grown = self.states[node] is State.GROWN
        sources = self.result[node] if grown else self.before[node]
        rule = self.rules.get(node, When.ALL)
        lost = [s for s in sources if self.states[s] in ENDED - GOOD]
        good = [s for s in sources if self.states[s] in GOOD]
        ended = len(lost) + len(good) == len(sources)
        if rule is When.ALL and lost:
            return State.UPSTREAM_FAILED
        if not ended:
            return None
        if rule is When.ANY and lost and not good:
            return State.UPSTREAM_FAILED
        return State.SUCCEEDED if grown else State.READY

    def settle(self) -> tuple[list[int], list[int]]:
        """Let all that must happen happen; give what is blocked, and what is ready, by it."""
        blocked, ready = [], []
        changed = True
        while changed:
            changed = False
            for node, state in enumerate(self.states):
                if state not in (State.PENDING, State.GROWN, State.RETRYING):
                    continue
                verdict = self.verdict(node)
                if verdict is None or (state is State.RETRYING and verdict is State.READY):
                    continue
                self.states[node] = verdict
                changed = True
                if verdict is State.UPSTREAM_FAILED:
                    blocked.append(node)
                elif verdict is State.READY:
                    ready.append(node)
                else:
                    self.completed.append(node)
        return sorted(blocked), sorted(ready)

    def check(self, effects: Effects) -> None:
        blocked, ready = self.settle()
        assert sorted(effects.ready) == ready
        assert sorted(effects.blocked) == blocked
        for node in blocked:
            # Which of the two it is, is told by the one that it lost first.
            assert self.schedule.state(node) in (State.UPSTREAM_FAILED, State.SKIPPED)
            self.states[node] = self.schedule.state(node)
        self.check_completed()

    def check_completed(self) -> None:
        completed = self.schedule.take_completed()
        assert sorted(completed) == sorted(self.completed)
        places = {node: place for place, node in enumerate(completed)}
        for node in completed:
            assert all(places[part] < places[node] for part in self.result[node] if part in places)
        self.completed = []

    def some(self, data: Any, *states: State) -> int:
        return int(data.draw(st.sampled_from([n for n, s in enumerate(self.states) if s in states])))

    # --- what may happen -------------------------------------------------------------------

    @in_states(State.READY)
    @rule(data=st.data())
    def run(self, data: Any) -> None:
        node = self.some(data, State.READY)
        self.schedule.run(node)
        self.runs[node] += 1
        self.states[node] = State.RUNNING

    @in_states(State.RUNNING)
    @rule(data=st.data())
    def run_behind(self, data: Any) -> None:
        behind = self.schedule.next_in_line(self.some(data, State.RUNNING))
        if behind is not None:
            assert self.states[behind] is State.PENDING
            assert behind not in self.rules
            self.schedule.run_behind(behind)
            self.runs[behind] += 1
            self.states[behind] = State.RUNNING

    def free(self) -> list[int]:
        """Nodes that run, and all that they wait for has ended: their outcomes can come."""
        running = [n for n, s in enumerate(self.states) if s is State.RUNNING]
        return [n for n in running if all(self.states[s] in ENDED for s in self.before[n])]

    @precondition(lambda self: self.free())
    @rule(data=st.data())
    def succeed(self, data: Any) -> None:
        node = data.draw(st.sampled_from(self.free()))
        ready = self.schedule.succeed(node)
        self.states[node] = State.SUCCEEDED
        self.check(Effects([], ready))

    @precondition(lambda self: self.free() and len(self.states) < MOST)
    @rule(data=st.data())
    def grow(self, data: Any) -> None:
        parent = data.draw(st.sampled_from(self.free()))
        first = len(self.states)
        # New nodes wait for each other, and for what there was; not for what waits for the parent.
        others = [n for n in range(first) if n not in self.waiting_for(parent)]
        before, rules = data.draw(nodes(first, others))
        known = [*others, *range(first, first + len(before))]
        result = data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
        whatever = data.draw(st.booleans())

        effects = self.schedule.grow(parent, before, result, rules, whatever=whatever)

        self.before += before
        self.rules.pop(parent, None)
        self.rules |= rules | ({parent: When.ALWAYS} if whatever else {})
        self.states += [State.PENDING] * len(before)
        self.states[parent] = State.GROWN
        self.result[parent] = result
        self.check(effects)

    def waiting_for(self, node: int) -> set[int]:
        """A node and all that waits for it, near or far."""
        found, stack = {node}, [node]
        while stack:
            last = stack.pop()
            new = {n for n in range(len(self.states)) if last in (*self.before[n], *self.result.get(n, ()))}
            stack += new - found
            found |= new
        return found

    @in_states(State.RUNNING)
    @rule(data=st.data(), skips=st.booleans())
    def fail_or_skip(self, data: Any, skips: bool) -> None:
        node = self.some(data, State.RUNNING)
        effects = self.schedule.skip(node) if skips else self.schedule.fail(node)
        self.end(node, State.SKIPPED if skips else State.FAILED, effects)

    @in_states(State.READY)
    @rule(data=st.data())
    def give_up(self, data: Any) -> None:
        node = self.some(data, State.READY)
        self.end(node, State.UPSTREAM_FAILED, self.schedule.give_up(node))

    @in_states(State.PENDING, State.READY, State.RUNNING, State.RETRYING, State.GROWN)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        node = self.some(data, *set(State) - ENDED)
        self.end(node, State.CANCELLED, self.schedule.cancel(node))

    def end(self, node: int, state: State, effects: Effects) -> None:
        self.states[node] = state
        # One that was given out behind it is lost with it.
        lost = [n for n, s in enumerate(self.states) if s is State.RUNNING and node in self.before[n]]
        for one in lost:
            self.states[one] = State.PENDING
        self.check(effects)

    @in_states(State.RUNNING)
    @rule(data=st.data(), later=st.booleans())
    def come_back(self, data: Any, later: bool) -> None:
        """An attempt is given back, or there will be another."""
        node = self.some(data, State.RUNNING)
        self.runs[node] -= 1
        ready = all(self.states[s] in ENDED for s in self.before[node])
        if later:
            self.schedule.retry_later(node)
            self.states[node] = State.RETRYING
        else:
            assert self.schedule.give_back(node) == ready
            self.states[node] = State.READY if ready else State.PENDING

    @in_states(State.RETRYING)
    @rule(data=st.data())
    def retry(self, data: Any) -> None:
        node = self.some(data, State.RETRYING)
        ready = all(self.states[s] in ENDED for s in self.before[node])
        assert self.schedule.retry(node) == ready
        self.states[node] = State.READY if ready else State.PENDING

    @in_states(State.PENDING, State.READY)
    @rule(data=st.data())
    def take_over(self, data: Any) -> None:
        node = self.some(data, State.PENDING, State.READY)
        ready = self.schedule.take_over(node)
        self.states[node] = State.CACHED
        self.check(Effects([], ready))

    @rule(count=st.integers(0, 3))
    def leave_numbers_out(self, count: int) -> None:
        if len(self.states) < MOST:
            self.schedule.leave_out(count)
            self.states += [State.CANCELLED] * count
            self.before += [[]] * count

    @rule()
    def be_saved_and_restored(self) -> None:
        data = self.schedule.to_bytes()
        self.schedule = Schedule.from_bytes(data)
        assert self.schedule.to_bytes() == data

    @rule(data=st.data())
    def tell_what_cannot_be(self, data: Any) -> None:
        running = {State.RUNNING}
        legal = {"skip": running, "fail": running, "give_up": {State.READY}, "succeed": running}
        wrong = [(e, n) for e, states in legal.items() for n, s in enumerate(self.states) if s not in states]
        grown = [n for n, s in enumerate(self.states) if s is not State.RUNNING]
        if wrong:
            event, node = data.draw(st.sampled_from(wrong))
            with pytest.raises(IllegalEventError):
                getattr(self.schedule, event)(node)
        if grown:
            with pytest.raises(IllegalEventError):
                self.schedule.grow(data.draw(st.sampled_from(grown)), [()], [])

    @rule()
    def end_all(self) -> None:
        """From wherever it is, the run ends by running what is ready."""
        while not self.schedule.over:
            for node in [n for n, s in enumerate(self.states) if s is State.RETRYING]:
                ready = all(self.states[s] in ENDED for s in self.before[node])
                assert self.schedule.retry(node) == ready
                self.states[node] = State.READY if ready else State.PENDING
            for node in [n for n, s in enumerate(self.states) if s is State.READY]:
                self.schedule.run(node)
                self.runs[node] += 1
                self.states[node] = State.RUNNING
            assert self.free(), "it hangs"
            for node in self.free():
                ready_now = self.schedule.succeed(node)
                self.states[node] = State.SUCCEEDED
                self.check(Effects([], ready_now))
        assert set(self.states) <= ENDED

    # --- what holds ------------------------------------------------------------------------

    @invariant()
    def the_states_are_as_told(self) -> None:
        if hasattr(self, "schedule"):
            assert [self.schedule.state(n) for n in range(len(self.states))] == self.states
            assert self.schedule.unended == sum(s not in ENDED for s in self.states)
            assert self.schedule.over == (self.schedule.unended == 0)

    @invariant()
    def none_runs_twice_or_before_what_it_waits_for(self) -> None:
        assert max(self.runs.values(), default=0) <= 1
        for node, state in enumerate(self.states):
            if state is State.READY:
                assert all(self.states[s] in ENDED for s in self.before[node])


TestAnyGrowth = AnyGrowth.TestCase
TestAnyGrowth.settings = settings(deadline=None, max_examples=examples(150), stateful_step_count=40)


# --- single laws ---------------------------------------------------------------------------


def grown(result: list[int], **how: Any) -> Schedule:
    """Node 0 has grown to three nodes, of which the last waits for the others."""
    schedule = Schedule([()])
    assert schedule.start() == [0]
    schedule.run(0)
    effects = schedule.grow(0, [(), (), (1, 2)], result, **how)
    assert effects == ([], [1, 2])
    return schedule


def test_a_node_that_has_grown_to_nothing_has_succeeded():
    schedule = Schedule([(), (0,)])
    schedule.start()
    schedule.run(0)

    assert schedule.grow(0, [], []) == ([], [1])
    assert schedule.take_completed() == [0]
    assert schedule.take_completed() == []


def test_a_node_that_has_grown_is_running_until_its_value_is_there():
    schedule = grown([3])

    for node in (1, 2):
        schedule.run(node)
        schedule.succeed(node)
    assert schedule.state(0).word == "running"
    schedule.run(3)
    assert schedule.succeed(3) == []
    assert (schedule.state(0), schedule.take_completed()) == (State.SUCCEEDED, [0])


def test_a_node_succeeds_before_what_it_does_not_need_has_ended():
    schedule = grown([1])
    schedule.run(1)
    schedule.succeed(1)

    assert (schedule.state(0), schedule.over) == (State.SUCCEEDED, False)


@pytest.mark.parametrize("whatever, state", [(False, State.UPSTREAM_FAILED), (True, State.SUCCEEDED)])
def test_a_map_that_collects_has_a_value_whatever_becomes_of_its_items(whatever, state):
    schedule = grown([1, 2, 3], whatever=whatever)
    for node in (1, 2):
        schedule.run(node)
        schedule.fail(node)

    assert schedule.state(0) is state
    assert schedule.over


@given(st.integers(1, 300))
@settings(deadline=None, max_examples=examples(20))
def test_parents_however_deep_have_their_values_with_the_last_child_innermost_first(depth):
    schedule = Schedule([()])
    schedule.start()
    for node in range(depth):
        schedule.run(node)
        schedule.grow(node, [()], [node + 1])
    schedule.run(depth)
    schedule.succeed(depth)

    assert schedule.over
    assert schedule.take_completed() == list(range(depth - 1, -1, -1))


def test_a_hundred_thousand_deep_neither_overflows_nor_is_lost():
    schedule, depth = Schedule([()]), 100_000
    schedule.start()
    for node in range(depth):
        schedule.run(node)
        schedule.grow(node, [()], [node + 1])
    schedule = Schedule.from_bytes(schedule.to_bytes())
    schedule.run(depth)
    blocked = schedule.skip(depth).blocked

    assert len(blocked) == depth
    assert set(schedule.nodes(State.SKIPPED)) == set(range(depth + 1))
