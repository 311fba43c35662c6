"""The 62 published cases: each gives the edges, inputs, order and results that it must, or the error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from liteflow.arrows import Context, Runner, compile_text
from liteflow.arrows.errors import ArrowError
from liteflow.arrows.graph import CompiledFlow, Kind

CASES = Path(__file__).parent / "cases"
NAMES = [case["name"] for case in json.loads((CASES / "index.json").read_text())["cases"]]


def text(name: str) -> str:
    return (CASES / f"{name}.flow").read_text()


def expected(name: str) -> dict[str, Any]:
    return json.loads((CASES / f"{name}.expected.json").read_text())


def compiled(name: str) -> CompiledFlow:
    return compile_text(text(name), f"{name}.flow")


class Recorded(Context):
    """Runs a task model of the cases, and notes what was called when."""

    def __init__(
        self, flow: CompiledFlow, model: str = "echo", outputs: dict[str, Any] | None = None
    ) -> None:
        super().__init__(flow)
        self.model, self.outputs = model, outputs or {}
        self.calls: list[tuple[str, Any]] = []
        self.batches: list[list[str]] = []

    def start_task(self, step, input):
        self.calls.append((step.key, input))
        self.batches[-1].append(step.label)
        self.end(
            step,
            {"mark": {step.label: True}, "echo": input, "table": self.outputs.get(step.label)}[self.model],
        )

    def drive(self, value: Any) -> Any:
        self.batches.append([])
        Runner().start(self, value)
        while not self.ending.empty():
            self.batches.append([])
            Runner().next(self, self.ending.get())
        return self.result


def without_empty(value: Any) -> Any:
    """A joined list as the language has it: empty objects beside others are dropped."""
    if isinstance(value, list):
        full = [without_empty(item) for item in value if item != {}]
        return {} if not full else full[0] if len(full) < len(value) and len(full) == 1 else full
    return value


def runs() -> list[tuple[str, int]]:
    found = [
        (name, number) for name in NAMES for number, _ in enumerate(expected(name)["expect"].get("runs", ()))
    ]
    return [(name, number) for name, number in found if not name.startswith("future-iterate")]


def test_all_62_cases_are_there():
    assert len(NAMES) == 62
    assert {path.stem for path in CASES.glob("*.flow")} == set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if "task_edges" in expected(name)["expect"]])
def test_a_case_has_its_edges(name):
    flow = compiled(name)

    assert {tuple(edge) for edge in expected(name)["expect"]["task_edges"]} == set(flow.edges)
    assert len(set(flow.edges)) == len(flow.edges)


@pytest.mark.parametrize("name", [name for name in NAMES if expected(name)["expect"].get("declarations")])
def test_a_case_has_its_declarations(name):
    from liteflow.arrows import parse

    model, wanted = parse(text(name)), expected(name)["expect"]
    declared = [f"flow:{model.flow.name}"] if model.flow else []
    declared += [f"task:{task.name}" for task in model.tasks]

    assert sorted(declared) == sorted(wanted["declarations"])
    assert compiled(name).name == wanted["flow_name"]


@pytest.mark.parametrize(("name", "number"), runs())
def test_a_run_of_a_case_gives_its_inputs_order_and_result(name, number):
    run = expected(name)["expect"]["runs"][number]
    context = Recorded(compiled(name), run["task_model"], run.get("outputs"))

    result = context.drive(run["input"])

    invoked = set(run["inputs"])
    wanted_batches = [[label for label in batch if label in invoked] for batch in run["rounds"]]
    assert context.over
    assert without_empty(result) == without_empty(run["final"])
    assert {key: without_empty(value) for key, value in context.calls} == {
        key: without_empty(value) for key, value in run["inputs"].items()
    }
    assert [key for key, _ in context.calls] == run["invocation_order"]
    assert [batch for batch in context.batches if batch] == [batch for batch in wanted_batches if batch]
    assert set(run["not_invoked"]).isdisjoint(key for key, _ in context.calls)


@pytest.mark.parametrize("name", [name for name in NAMES if expected(name)["status"] == "must-error"])
def test_a_case_that_is_wrong_is_refused_with_its_place(name):
    with pytest.raises(ArrowError) as caught:
        compiled(name)

    assert caught.value.line >= 1
    assert caught.value.column >= 1
    assert caught.value.source == f"{name}.flow"


def test_the_case_of_a_loop_without_a_guard_is_refused_and_names_start():
    with pytest.raises(ArrowError, match="back to :start"):
        compiled("loop")


def test_the_case_of_an_iterated_task_runs_it_for_each_item():
    run = expected("future-iterate")["expect"]["runs"][0]
    context = Recorded(compiled("future-iterate"))

    assert context.drive(run["input"]) == run["final"]
    assert [value for _, value in context.calls] == run["invocations"]


def test_the_case_of_an_iterated_block_runs_it_for_each_item():
    run = expected("future-iterate-subflow")["expect"]["runs"][0]
    context = Recorded(compiled("future-iterate-subflow"))

    assert context.drive(run["input"]) == run["input"]
    assert [value for key, value in context.calls if key.startswith("A")] == run["invocations_of_A"]
    assert [value for key, value in context.calls if key.startswith("B")] == run["invocations_of_B"]


def test_the_case_of_defaults_gives_the_mention_its_own_parameters_over_them():
    (step,) = compiled("doc-task-default-override").steps

    assert step.parameters == {"dry-run": True, "level": 1}


def test_the_case_of_an_alias_names_the_base():
    assert [(step.name, step.base) for step in compiled("doc-alias").steps] == [("X", "A"), ("B", "B")]


def test_the_case_of_resource_sources_has_a_first_step_for_each():
    flow = compiled("external-resources")
    loads = [step for step in flow.steps if step.kind is Kind.LOAD]

    assert [step.name for step in loads] == expected("external-resources")["expect"]["docs"]
    assert loads[2].parameters == {"content-type": "application/yaml"}
    assert [edge for edge in flow.edges if edge[0] == "load1"] == [("load1", "A#1")]


def test_the_case_of_a_resource_destination_has_a_last_step_for_each():
    flow = compiled("resource-destination")

    assert [step.name for step in flow.steps if step.kind is Kind.SAVE] == [
        "http://example.com/myservice/api/v1/store"
    ] * 2
    assert {("score#1", "save1"), ("save1", "end"), ("start", "method:PUT")} <= set(flow.edges)
