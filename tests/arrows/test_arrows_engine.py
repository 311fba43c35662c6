"""Flows of texts on the engine: the published cases, and what only shows where values are far away."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from liteflow import Flow, RunFailed, flow, run_workflow, skip, task
from liteflow.arrows import Context, Runner, compile_text
from liteflow.arrows.errors import ArrowError, StepError, UnknownTaskError

CASES = Path(__file__).parent / "cases"
NAMES = [case["name"] for case in json.loads((CASES / "index.json").read_text())["cases"]]


def read(name: str) -> tuple[str, dict[str, Any]]:
    return (CASES / f"{name}.flow").read_text(), json.loads((CASES / f"{name}.expected.json").read_text())


def cases() -> list[tuple[str, int]]:
    return [(name, n) for name in NAMES for n, _ in enumerate(read(name)[1]["expect"].get("runs", ()))]


class Modelled(Context):
    """The stateless runner, with a function for each name, and what ran."""

    def __init__(self, text: str, functions: dict[str, Any]) -> None:
        super().__init__(compile_text(text))
        self.functions = functions
        self.ran: list[str] = []

    def start_task(self, step, input):
        self.ran.append(step.key)
        self.end(step, self.functions[step.base](input))


def modelled(text: str, run: dict[str, Any]) -> dict[str, Any]:
    """A function for each task of a case, by its model; a name has one function, however many steps."""
    model, outputs = run.get("task_model", "echo"), run.get("outputs") or {}
    by_name = {label.partition("#")[0]: value for label, value in reversed(outputs.items())}
    made: dict[str, Any] = {}
    for step in compile_text(text).steps:
        table = by_name.get(step.base)
        if model == "mark":
            made[step.base] = lambda input, *_, name=step.base, **__: {name: True}
        elif model == "table":
            made[step.base] = lambda input, *_, value=table, **__: value
        else:
            made[step.base] = lambda input, *_, **__: input
    return made


def steps_of(run: Any, name: str) -> set[str]:
    """The steps that were run, by their keys in a dynamic flow; those that looked are none."""
    keys = {key.removeprefix(f"{name}/") for key in run.tasks if key != name}
    return {key for key in keys if not key.rstrip("?").endswith("*") and "?" not in key}


@pytest.mark.parametrize(("name", "number"), cases())
def test_a_case_gives_on_the_engine_what_the_stateless_runner_gives(name, number):
    text, expected = read(name)
    run = expected["expect"]["runs"][number]
    functions = modelled(text, run)
    context = Modelled(text, functions)
    Runner().run(context, run["input"])

    made = Flow.parse(text, functions, name="case").run(
        inputs={"input": run["input"]}, db=None, executor="thread"
    )

    assert made.result == context.result
    if "case" in made.tasks:
        assert steps_of(made, "case") == set(context.ran)


@pytest.mark.parametrize("name", [name for name in NAMES if read(name)[1]["status"] == "must-error"])
def test_a_case_that_is_wrong_is_refused_before_anything_runs(name):
    with pytest.raises(ValueError, match=r"\d+:\d+"):
        Flow.parse(read(name)[0], {})


# --- values --------------------------------------------------------------------------------


class Far:
    """No JSON: what it is only workers see."""

    def __init__(self, n: int) -> None:
        self.n = n


@task
def far(input: dict[str, Any]) -> dict[str, Any]:
    return {"n": input["n"], "far": Far(input["n"])}


@task
def near(input: Any) -> Any:
    return {"n": input["n"] * 10}


@task
def listed(input: Any) -> Any:
    return [{"n": n, "far": Far(n)} for n in range(3)]


def test_a_guard_looks_in_a_worker_at_what_the_driver_can_not_read():
    text = "far → ? `$[?(@.n > 1)]` near"

    assert run_workflow(text, globals(), input={"n": 2}, db=None) == {"n": 20}
    passed = Flow.parse(text, globals()).run(input={"n": 1}, db=None)
    assert (passed.result["n"], passed.result["far"].n) == (1, 1)
    assert list(passed.tasks) == ["flow", "flow/far", "flow/near?"]


def test_the_items_of_a_list_that_the_driver_can_not_read_are_run_one_by_one():
    run = Flow.parse("listed → * { ? `$[?(@.n > 0)]` near → near }", globals()).run(db=None)

    assert run.result == [{"n": 0}, {"n": 100}, {"n": 200}]


def test_large_input_that_passes_through_is_the_result():
    given = {"n": 0, "text": "x" * 200_000}

    assert run_workflow("? `$[?(@.n > 0)]` near", globals(), input=given, db=None) == given


def test_none_flows_as_an_empty_object_and_a_tuple_as_a_list():
    functions = {"nothing": lambda: None, "pair": lambda: (1, 2), "see": lambda input: [input]}

    assert run_workflow("nothing → see  pair → see", functions, db=None) == [[{}], [[1, 2]]]


def test_parameters_go_behind_what_comes_in():
    def add(input: Any, by: int = 1, *, times: int = 1) -> Any:
        return {"n": (input["n"] + by) * times}

    text = 'add({"by": 2, "times": 3}) → add([5]) → add'

    assert run_workflow(text, {"add": add}, input={"n": 1}, db=None) == {"n": 15}


def test_annotations_are_checked_along_an_edge():
    def text() -> str:
        return "text"

    def count(input: int) -> int:
        return input

    with pytest.raises(Exception, match=r"text\(\) gives str") as caught:
        run_workflow("text → count", {"text": text, "count": count}, db=None)
    assert "<text>:1:8" in str(caught.value)


# --- names, settings -----------------------------------------------------------------------


def test_an_unknown_task_is_told_with_its_place_and_the_nearest():
    with pytest.raises(UnknownTaskError, match="near"):
        Flow.parse("far → nearr", globals())


def test_a_parameter_that_the_task_does_not_have_is_told_with_its_place():
    with pytest.raises(StepError, match="1:7") as caught:
        Flow.parse("far → near(- speed: 3 -)", globals())
    assert "speed" in str(caught.value)


def test_settings_of_a_task_count_and_a_declaration_changes_them(tmp_path):
    tries = tmp_path / "tries"

    @task(retries=1)
    def flaky(input: Any) -> Any:
        with tries.open("a") as file:
            file.write("x")
        if len(tries.read_text()) < 3:
            raise OSError("not yet")
        return {}

    with pytest.raises(RunFailed):
        run_workflow("flaky", {"flaky": flaky}, db=None)
    tries.unlink()

    text = "@task flaky (- liteflow: {retries: 2} -)\nflaky → ? `$.never` flaky"
    assert run_workflow(text, {"flaky": flaky}, db=None) == {}


def test_a_flow_is_written_in_a_program_with_the_functions_around_it():
    def double(input: Any) -> Any:
        return {"n": 2 * input["n"]}

    quadruple = flow("double → double")

    assert quadruple.run(input={"n": 2}, db=None).result == {"n": 8}


def test_a_declaration_names_and_documents_a_flow_and_has_options_of_its_runs(tmp_path):
    text = """
    @flow nightly (- liteflow: {db: %s, executor: thread}
                     team: us -) '''What is done each night'''
    where
    """

    def where(input: Any) -> Any:
        return {"thread": threading.current_thread() is not threading.main_thread()}

    embedded = flow(text % (tmp_path / "own.db"))
    ran = embedded.run()

    assert (embedded.name, embedded.__doc__) == ("nightly", "What is done each night")
    assert (ran.result, (tmp_path / "own.db").exists()) == ({"thread": True}, True)
    assert embedded.run(db=None, executor="inline").result == {"thread": False}


@pytest.mark.parametrize(
    ("options", "said"), [("{max_worker: 2}", "did you mean 'max_workers'"), ("2", "2 is no object")]
)
def test_an_option_that_no_flow_has_is_told_with_its_place(options, said):
    with pytest.raises(ArrowError, match=said) as refused:
        Flow.parse(f"@flow nightly (- liteflow: {options} -)\nnear", globals())

    assert str(refused.value).startswith("<text>:1:7: @flow nightly")


def test_a_flow_of_a_text_is_a_part_of_another_flow():
    guarded = Flow.parse("near → ? `$[?(@.n > 10)]` near", globals(), name="guarded")

    @flow
    def around(n: int) -> Any:
        return guarded(far({"n": n})) >> near()

    assert around.run(n=2, db=None).result == {"n": 2000}


def test_a_task_can_not_go_on_as_a_guarded_flow():
    guarded = Flow.parse("near → ? `$[?(@.n > 10)]` near", globals(), name="guarded")

    @task
    def router() -> Any:
        return guarded({"n": 1})

    with pytest.raises(RunFailed) as caught:
        Flow("routed", router()).run(db=None, executor="inline")
    assert "call it in a flow" in str(caught.value)


# --- what fails ----------------------------------------------------------------------------


def test_a_step_that_fails_fails_the_run_and_others_go_on():
    def bad(input: Any) -> Any:
        raise ValueError("no")

    run = Flow.parse("{bad → near  near → ? `$[?(@.n > 1)]` near} → near", {**globals(), "bad": bad}).run(
        input={"n": 1}, db=None, check=False
    )

    states = {key: row.state for key, row in run.tasks.items()}
    assert run.state == "failed"
    assert states == {
        "flow": "upstream_failed",
        "flow/bad": "failed",
        "flow/near#2": "succeeded",
        "flow/near#3": "succeeded",
    }


def test_a_loop_that_goes_on_too_long_is_stopped_with_the_loops_own_error():
    text = "near :again → ? `$[?(@.n >= 0)]` near → :start"

    with pytest.raises(RunFailed) as caught:
        Flow.parse(text, globals(), max_rounds=5).run(input={"n": 0}, db=None, executor="thread")
    assert "more than 5 rounds" in str(caught.value.__cause__)


def test_a_step_that_is_skipped_skips_what_comes_after_it():
    def none(input: Any) -> Any:
        skip("nothing new")

    run = Flow.parse("none → ? `$.n` near", {**globals(), "none": none}).run(db=None, check=False)

    assert run.state == "succeeded"
    assert {key: row.state for key, row in run.tasks.items()} == {"flow": "skipped", "flow/none": "skipped"}


def test_a_merge_of_what_is_no_object_fails_the_step():
    functions = {"one": lambda: 1, "two": lambda: {"n": 2}, "see": lambda input: input}

    with pytest.raises(RunFailed) as caught:
        run_workflow("{one two} → > see", functions, db=None)
    assert "not an object" in str(caught.value.__cause__)


def test_the_second_sample_of_the_seed_runs_with_only_its_import_changed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    workflow = """
A → {
  B → C
  D
} → E
"""

    def A(input):  # noqa: N802
        print("Hello ", end="")

    def B(input):  # noqa: N802
        print("workflow ", end="")

    def D(input):  # noqa: N802
        print("world, ", end="")

    def C(input):  # noqa: N802
        print("how are ", end="")

    def E(input):  # noqa: N802
        print("you?")

    run_workflow(workflow, locals())

    # B with C behind it, and D, run at once.
    legal = {"workflow how are world, ", "workflow world, how are ", "world, workflow how are "}
    assert capsys.readouterr().out in {f"Hello {words}you?\n" for words in legal}


def test_a_step_may_be_a_generator_of_either_kind():
    def counts(input, to):
        yield from range(to)
        return {"to": to}

    async def says(input):
        yield "said"

    def same(input):
        return input

    flow = Flow.parse("counts(- to: 2 -) → same  says → same", locals())
    heard = [(chunk.task_id, chunk.value) for chunk in flow.stream(input={}, db=None, executor="inline")]

    assert [value for key, value in heard if key == "counts"] == [0, 1, {"to": 2}]
    assert ("says", "said") in heard
    assert [value for key, value in heard if key.startswith("same")] in ([{"to": 2}, {}], [{}, {"to": 2}])


WRONG_TYPES = {
    "a type that is misspelt": ("shel:count(- run: ls -)", "did you mean shell:count?"),
    "a half of a type": ('http:gett(- url: "http://x" -)', "did you mean http:get?"),
    "a field that can't be so": ("http:get(- url: ftp://x -)", "can't be like this: url: 'ftp://x' is"),
    "a port that no server has": ('http:get(- url: "http://x:99999/${{ input }}" -)', "Port out of range"),
    "a template that the shell leaves": (
        """shell:x(- run: "echo '${{ input }}'" -)""",
        "has in run a template that can't stand there: the shell expands nothing inside single quotes",
    ),
    "a template that would be run": (
        'shell:x(- run: "echo $((${{ input.n }}))" -)',
        "arithmetic of the shell can run what a value holds",
    ),
    "a template of no word": (
        'shell:x(- run: "ls ${{ inputs }}" -)',
        "did you mean 'input'? write ${{ input }}",
    ),
    "a template without end": (
        'shell:x(- run: "ls ${{ input" -)',
        "has in run a template that is wrong: this",
    ),
    "a template of a file's": ('shell:x(- run: "ls ${{ tasks.x }}" -)', "write ${{ input }}, or"),
}


@pytest.mark.parametrize(("text", "said"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_what_is_wrong_with_a_task_type_is_told_by_name(text, said):
    with pytest.raises(ArrowError) as caught:
        Flow.parse(text, {}).compile(inputs={"input": {}})

    assert str(caught.value).startswith("<text>:1:1: ")
    assert said in str(caught.value)
