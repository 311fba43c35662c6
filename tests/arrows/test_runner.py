"""The stateless runner: seed samples, loops, iteration, keys, state as bytes."""

from __future__ import annotations

import pytest

from liteflow.arrows import Compiler, Context, Ended, Parser, Runner, compile_text
from liteflow.arrows.errors import ContextError, GuardError, MergeError, NotRunningError, RoundsError


class Counting(Context):
    """Each task adds one to `n`; keeps the keys in the order in which they were started."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.keys = []

    def start_task(self, step, input):
        self.keys.append(step.key)
        self.end(step, {"n": input.get("n", 0) + 1} if isinstance(input, dict) else input)


class Held(Context):
    """Starts nothing by itself."""

    def start_task(self, step, input):
        pass


def run(text, value=None, **settings):
    context = Counting(compile_text(text), **settings)
    Runner().run(context, value)
    assert context.over
    return context


def test_the_first_sample_of_the_seed_runs_with_only_its_import_changed():
    workflow = """
A → {
  B → C
  D
} → E
"""

    p = Parser()
    c = Compiler()

    model = p.parse(workflow)
    flow = c.compile(model)

    context = Context(flow)
    runner = Runner()

    runner.start(context)

    while not context.ending.empty():
        runner.next(context, context.ending.get())

    assert context.over
    assert context.result == {}


def test_a_loop_goes_round_as_long_as_its_guard_holds():
    context = run("A :done → ? `$[?(@.n < 5)]` B → :start; :done → C", {"n": 0})

    assert context.keys == ["A", "B", "C", "A@2", "B@2", "C@2", "A@3", "C@3"]
    assert context.result == {"n": 6}


def test_a_round_keeps_the_last_values_of_what_is_not_in_it():
    context = run("A :x → :again B → ? `$[?(@.n < 3)]` C → :again; D → :end", {"n": 0})

    assert context.keys == ["A", "D", "B", "C", "B@2", "C@2"] or context.keys[:2] == ["A", "D"]
    assert context.result == {"n": 1}


def test_a_loop_that_does_not_end_is_stopped_by_its_limit():
    with pytest.raises(RoundsError, match="for more than 7 rounds"):
        run("A → ? `$` B → :start", {"n": 0}, max_rounds=7)


def test_loops_in_loops_have_keys_of_their_own():
    context = run(
        "{ A :i → ? `$[?(@.n = 1 or @.n = 5)]` B → :start; :i → C } :o"
        " → ? `$[?(@.n < 8)]` D → :start; :o → E",
        {"n": 0},
    )

    assert len(set(context.keys)) == len(context.keys)
    assert {"A@1@1", "A@1@2", "A@2@1"} <= set(context.keys)


def test_iteration_runs_the_step_for_each_item_and_keeps_their_order():
    flow = compile_text("* A → B")
    context, runner = Held(flow), Runner()
    runner.start(context, [{"n": 1}, {"n": 2}, {"n": 3}])

    assert context.running == ["A[0]", "A[1]", "A[2]"]
    for number in (2, 0, 1):
        runner.next(context, Ended(f"A[{number}]", number))
    assert context.running == ["B"]
    runner.next(context, Ended("B", "done"))
    assert context.result == "done"


def test_iteration_of_nothing_gives_an_empty_list_and_of_an_object_a_list_of_one():
    assert run("* A", []).result == []
    assert run("* A", {"n": 1}).result == [{"n": 2}]


def test_a_guard_behind_a_star_is_asked_for_each_item():
    assert run("* ?`$[?(@.n > 1)]` A", [{"n": 1}, {"n": 2}]).result == [{"n": 1}, {"n": 3}]


def test_a_step_that_ended_cannot_end_again():
    context = Held(compile_text("A → B"))
    Runner().start(context)
    context.end("A", {"n": 1})

    with pytest.raises(NotRunningError, match="A isn't running"):
        context.end("A", {"n": 2})
    Runner().next(context, context.ending.get())
    with pytest.raises(NotRunningError, match="running now: B"):
        Runner().next(context, Ended("A", {"n": 1}))
    assert context.running == ["B"]


def test_state_carried_as_bytes_goes_on_where_it_was_with_what_lay_in_the_queue():
    flow = compile_text("A → {B C} → > D")
    context = Held(flow)
    Runner().start(context)
    Runner().next(context, Ended("A", {"a": 1}))
    context.end("C", {"c": 1})

    carried = Held.from_bytes(flow, context.to_bytes())

    assert carried.running == ["B"]
    Runner().next(carried, carried.ending.get())
    Runner().next(carried, Ended("B", {"b": 1}))
    Runner().next(carried, Ended("D", {"d": 1}))
    assert carried.result == {"d": 1}


def test_state_of_another_flow_or_damaged_state_is_refused():
    data = Context(compile_text("A → B")).to_bytes()

    with pytest.raises(ContextError, match="another flow"):
        Context.from_bytes(compile_text("A → C"), data)
    with pytest.raises(ContextError, match="damaged"):
        Context.from_bytes(compile_text("A → B"), data[:-1] + b" ")
    with pytest.raises(ContextError, match="no state"):
        Context.from_bytes(compile_text("A → B"), b"\x80\x04.")


def test_a_value_that_is_no_json_flows_but_cannot_be_written_as_state():
    context = Held(compile_text("A → {B → C  D} → E"))
    Runner().start(context)
    Runner().next(context, Ended("A", {1, 2}))
    Runner().next(context, Ended("B", {3}))
    Runner().next(context, Ended("C", {3}))

    with pytest.raises(ContextError, match="a set flows"):
        context.to_bytes()


def test_a_merge_of_what_is_no_object_names_the_step():
    with pytest.raises(MergeError, match="B is to merge a list, but its item 1 is of type int"):
        run("<[{}, 2]> → > B")


def test_a_merge_on_a_label_merges_what_comes_in_there():
    class Named(Context):
        def start_task(self, step, input):
            self.end(step, {step.name: 1} if step.name != "C" else input)

    context = Named(compile_text("A → > :x; B → :x; :x → C"))

    assert Runner().run(context) == {"A": 1, "B": 1}


def test_a_guard_that_multiplies_is_stopped():
    value = {}
    for _ in range(14):
        value = {"a": value, "b": value}
    with pytest.raises(GuardError, match="more definite path"):
        run("? `$..*..*..x` A", value)


def test_a_step_that_was_passed_over_in_one_round_can_lead_back_in_the_next():
    context = run(":again A :a → ? `$[?(@.n = 3)]` B → :again; :a → ? `$[?(@.n = 1)]` C → :again", {"n": 0})

    assert context.keys == ["A", "C", "A@2", "B@2", "A@3"]


def test_an_iterated_step_of_which_no_item_ran_does_not_lead_back():
    context = run("A :x → * ?`$[?(@.n > 100)]` B → :start; :x → C", {"n": 0})

    assert context.keys == ["A", "C"]
    assert context.result == {"n": 2}


def test_an_iterated_step_of_which_an_item_ran_leads_back_with_all_outputs():
    context = run("A :x → * ?`$[?(@.n = 1)]` B → :start; :x → C", {"n": 0})

    assert context.keys == ["A", "B[0]", "C", "A@2", "C@2"]
    assert context.result == [{"n": 2}]
