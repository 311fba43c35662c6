"""Flows of texts go on where they stopped, and no step that gave a value runs twice."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from subprocess import run as run_program
from typing import Any

import pytest

from liteflow import Flow, RunFailed, open_run, task

PROGRAM = """
import os, signal, sys
from pathlib import Path
from liteflow import Flow, task

HERE = Path(sys.argv[1])

def note(name):
    with (HERE / "ran").open("a") as file:
        file.write(name + "\\n")

class Far:
    pass

@task
def count(input):
    note(f"count {input.get('n', 0)}")
    return {"n": input.get("n", 0) + 1, "far": Far()}

@task
def again(input):
    note(f"again {input['n']}")
    if input["n"] == 3 and not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(int(os.environ["DRIVER"]), signal.SIGKILL)
        signal.pause()
    return input

@task
def spread(input):
    note("spread")
    return [{"i": i, "far": Far()} for i in range(3)]

@task
def item(input):
    note(f"item {input['i']}")
    return {"i": input["i"] * 10}

os.environ["DRIVER"] = str(os.getpid())
flow = Flow.parse(
    "count :done → ? `$[?(@.n < 5)]` again → :start; :done → spread → * { item → ? `$[?(@.i > 0)]` item }",
    name="counting", db=HERE / "flow.db", durability="full",
)
print(flow.run(run_id="one").result)
"""


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().splitlines()


def test_a_loop_whose_driver_was_killed_goes_on_in_the_round_in_which_it_was(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), str(tmp_path)]

    first = run_program(command, capture_output=True, text=True, timeout=60, check=False)
    second = run_program(command, capture_output=True, text=True, timeout=60, check=False)

    assert first.returncode == -signal.SIGKILL
    assert second.stdout == "[{'i': 0}, {'i': 100}, {'i': 200}]\n", second.stderr
    counts = {line: ran(tmp_path).count(line) for line in ran(tmp_path)}
    assert {line: n for line, n in counts.items() if line.startswith("count")} == {
        f"count {n}": 1 for n in range(5)
    }
    assert counts["again 3"] == 2
    assert counts["again 1"] == counts["again 2"] == counts["again 4"] == 1


def test_a_finished_run_is_given_back_with_its_values(tmp_path):
    functions = {"one": lambda: {"n": 1, "big": "x" * 1000}, "two": lambda input: {"m": 2}}
    flow = Flow.parse("one → {? `$[?(@.n = 1)]` two  ? `$[?(@.n = 2)]` two} → > :end", functions, name="f")
    before = flow.run(run_id="one", db=tmp_path / "flow.db")

    again = flow.run(run_id="one", db=tmp_path / "flow.db")

    assert before.result == again.result == {"m": 2, "n": 1, "big": "x" * 1000}
    assert again["f"] == before.result


class Machine:
    """Functions that note that they ran, one of which fails until it is told not to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, name: str) -> None:
        with (self.folder / "ran").open("a") as file:
            file.write(f"{name}\n")

    def functions(self) -> dict[str, Any]:
        folder, note = self.folder, self.note

        def first(input: Any) -> Any:
            note("first")
            return {"n": 3, "text": "x" * 1000}

        def second(input: Any) -> Any:
            note("second")
            return {"n": input["n"] + 1}

        def fails(input: Any) -> Any:
            note("fails")
            if not (folder / "well").exists():
                raise OSError("not yet")
            return {"ok": True}

        return {"first": first, "second": second, "fails": fails}


TEXT = "first → ? `$[?(@.n = 3)]` second → ? `$[?(@.n = 4)]` fails → second"


def test_what_was_decided_stays_and_what_failed_runs_again(tmp_path):
    machine = Machine(tmp_path)
    flow = Flow.parse("first → ? `$[?(@.n = 3)]` second → fails", machine.functions(), db=tmp_path / "f.db")
    with pytest.raises(RunFailed):
        flow.run(run_id="one", executor="thread")
    (tmp_path / "well").touch()

    run = flow.resume("one", executor="thread")

    assert run.result == {"ok": True}
    assert ran(tmp_path) == ["first", "second", "fails", "fails"]
    assert run.output("flow/second") == {"n": 4}


def test_a_guard_that_was_changed_is_decided_anew_and_what_comes_after_it(tmp_path):
    machine = Machine(tmp_path)
    options: dict[str, Any] = {"db": tmp_path / "f.db", "executor": "thread"}
    flow = Flow.parse("first → ? `$[?(@.n = 3)]` second → fails", machine.functions(), **options)
    with pytest.raises(RunFailed):
        flow.run(run_id="one")
    (tmp_path / "well").touch()

    changed = Flow.parse("first → ? `$[?(@.n = 4)]` second → fails", machine.functions(), **options)
    run = changed.resume("one")

    assert run.result == {"ok": True}
    assert ran(tmp_path) == ["first", "second", "fails", "fails"]
    assert {key: row.state for key, row in run.tasks.items() if row.state == "succeeded"}.keys() == {
        "flow",
        "flow/first",
        "flow/second?",
        "flow/fails",
    }


def test_steps_whose_code_changed_run_again_and_so_does_what_they_feed(tmp_path):
    machine = Machine(tmp_path)
    options: dict[str, Any] = {"db": tmp_path / "f.db", "executor": "thread"}
    text = "first → ? `$[?(@.n = 3)]` second → fails"
    with pytest.raises(RunFailed):
        Flow.parse(text, machine.functions(), **options).run(run_id="one")
    (tmp_path / "well").touch()

    def second(input: Any) -> Any:
        machine.note("another second")
        return {"n": input["n"] + 2}

    run = Flow.parse(text, {**machine.functions(), "second": second}, **options).resume("one")

    assert run.result == {"ok": True}
    assert ran(tmp_path) == ["first", "second", "fails", "another second", "fails"]


def test_a_part_of_another_flow_that_was_complete_stays_as_it_is(tmp_path):
    from liteflow import flow, task

    machine = Machine(tmp_path)
    functions = machine.functions()
    part = Flow.parse("first → ? `$[?(@.n = 3)]` second", functions, name="part")
    last = task(functions["fails"])

    @flow(db=tmp_path / "f.db", executor="thread")
    def whole() -> Any:
        return last(part({"n": 0}))

    with pytest.raises(RunFailed):
        whole.run(run_id="one")
    (tmp_path / "well").touch()
    run = whole.resume("one")

    assert run.result == {"ok": True}
    assert ran(tmp_path) == ["first", "second", "fails", "fails"]
    assert run.output("part") == {"n": 4}


def test_a_complete_part_of_which_a_step_changed_is_made_again_with_all_that_it_feeds(tmp_path):
    from liteflow import flow, task

    machine = Machine(tmp_path)
    functions = machine.functions()
    last = task(functions["fails"])

    def whole_of(functions: dict[str, Any]) -> Any:
        part = Flow.parse("first → ? `$[?(@.n = 3)]` second", functions, name="part")

        @flow(db=tmp_path / "f.db", executor="thread")
        def whole() -> Any:
            both = part({"n": 0})
            return [task(functions["second"])(both), last(both)]

        return whole

    with pytest.raises(RunFailed):
        whole_of(functions).run(run_id="one")
    (tmp_path / "well").touch()

    def first(input: Any) -> Any:
        machine.note("another first")
        return {"n": 3, "text": "y"}

    run = whole_of({**functions, "first": first}).resume("one")

    assert run.result == [{"n": 5}, {"ok": True}]
    assert ran(tmp_path)[-4:].count("another first") == 1
    assert sorted(ran(tmp_path)[-4:]) == ["another first", "fails", "second", "second"]


def test_a_step_that_goes_on_as_other_calls_is_kept_with_them(tmp_path):
    from liteflow import task

    machine = Machine(tmp_path)
    functions = machine.functions()
    second = task(functions["second"])

    def routed(input: Any) -> Any:
        machine.note("routed")
        return second(second(input))

    flow = Flow.parse(
        "first → routed → ? `$[?(@.n = 5)]` fails",
        {**functions, "routed": routed},
        db=tmp_path / "f.db",
    )
    with pytest.raises(RunFailed):
        flow.run(run_id="one")
    (tmp_path / "well").touch()
    run = flow.resume("one")

    assert run.result == {"ok": True}
    assert ran(tmp_path) == ["first", "routed", "second", "second", "fails", "fails"]


def test_a_part_of_another_flow_whose_input_changed_is_made_again_and_can_be_looked_at(tmp_path):
    def given(number: int, last: Any) -> Flow[..., Any]:
        inner = Flow.parse(
            "spread → * item → last",
            {"spread": lambda input: list(range(input)), "item": lambda input: input, "last": last},
            name="inner",
        )
        first = task(lambda n=number: n, name="first")
        return Flow("outer", lambda: inner(first()), db=tmp_path / "x.db", executor="inline")

    failed = given(2, lambda input: 1 / 0).run(check=False)
    run = given(3, len).resume()

    assert (failed.state, run.result) == ("failed", 3)
    assert {key: row.task for key, row in open_run(run.id, db=tmp_path / "x.db").tasks.items()} == {
        "first": "first",
        "inner": "inner",
        "inner/spread": "spread",
        "inner/item[0]": "item",
        "inner/item[1]": "item",
        "inner/item[2]": "item",
        "inner/last": "last",
    }
