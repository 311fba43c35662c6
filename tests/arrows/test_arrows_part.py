"""A part of a flow that goes on step by step runs with what the others gave in an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_arrows_engine import cases, modelled, read

from liteflow import Flow, Secret, flow
from liteflow.arrows import compile_text
from liteflow.arrows.recipe import is_static
from liteflow.cli.part import part_to_run
from liteflow.errors import CommandLineError, FlowError, UnknownNameError

# What has run, by its name; what a closure holds would be a part of the code.
RAN: list[str] = []


def noted(name: str, function: Any) -> Any:
    def noting(input, *args, **kwargs):
        RAN.append(name)
        return function(input, *args, **kwargs)

    return noting


def whole(text: str, db: Path, input: Any = None, **functions: Any) -> Flow[..., Any]:
    """A flow that has run once."""
    made = Flow.parse(text, {name: noted(name, function) for name, function in functions.items()}, name="f")
    made.run(inputs={"input": input}, db=db, executor="inline", check=False)
    RAN.clear()
    return made


def again(
    made: Flow[..., Any],
    db: Path,
    *,
    only: tuple[str, ...] = (),
    onwards: tuple[str, ...] = (),
    **inputs: Any,
) -> Any:
    """Run a part of it."""
    given = {"input": None, **inputs}
    part = part_to_run(made, made.compile(inputs=given), [*only], [*onwards], db=db, trust=False)
    return part.run(inputs=given, db=db, executor="inline")


def halve(input):
    return {"n": input["n"] // 2}


LOOP = "halve :done → ? `$[?(@.n > 1)]` again → :start; :done → report"
LOOPING = {"halve": halve, "again": lambda input: input, "report": lambda input: {"is": input["n"]}}
EACH = "spread → * each → gather"
ITEMS = {
    "spread": lambda input: [1, 2, 3],
    "each": lambda input: 2 * input,
    "gather": lambda input: {"all": input},
}


@pytest.mark.parametrize(
    ("onwards", "ran"),
    [
        ("f/again@2", ["again", "halve", "report"]),
        ("halve@3", ["halve", "report"]),
        ("report", ["report"] * 3),
        ("f/report@2", ["report"]),
        ("f", ["again", "again", "halve", "halve", "halve", "report", "report", "report"]),
    ],
)
def test_from_a_round_of_a_step_on_it_runs_and_all_that_depends_on_it(onwards, ran, tmp_path):
    made = whole(LOOP, tmp_path / "x.db", {"n": 9}, **LOOPING)

    run = again(made, tmp_path / "x.db", onwards=(onwards,), input={"n": 9})

    assert (sorted(RAN), run.output("f")) == (ran, {"is": 1})
    assert len(run.tasks) == 9


@pytest.mark.parametrize(
    ("only", "ran", "result"),
    [
        (("each[1]",), ["each"], 4),
        (("f/spread",), ["spread"], [1, 2, 3]),
        (("each",), ["each"] * 3, {"each[0]": 2, "each[1]": 4, "each[2]": 6}),
        (("spread", "gather"), ["gather", "spread"], {"spread": [1, 2, 3], "gather": {"all": [2, 4, 6]}}),
    ],
)
def test_a_step_alone_runs_and_nothing_that_depends_on_it(only, ran, result, tmp_path):
    made = whole(EACH, tmp_path / "x.db", **ITEMS)

    run = again(made, tmp_path / "x.db", only=only)

    assert (sorted(RAN), run.output("f")) == (ran, result)


def test_what_is_behind_an_item_runs_again_with_it_and_other_items_stay(tmp_path):
    made = whole(EACH, tmp_path / "x.db", **ITEMS)

    run = again(made, tmp_path / "x.db", onwards=("f/each[1]",))

    assert (RAN, run.output("f")) == (["each", "gather"], {"all": [2, 4, 6]})


def test_what_is_behind_a_list_that_has_become_empty_runs_again(tmp_path):
    given = [[1, 2], []]
    functions = {**ITEMS, "spread": lambda input: given.pop(0)}
    made = whole(EACH, tmp_path / "x.db", **functions)

    run = again(made, tmp_path / "x.db", onwards=("spread",))

    assert (RAN, run.output("f")) == (["spread", "gather"], {"all": []})


def test_what_waits_for_a_step_without_taking_its_value_runs_again_with_it(tmp_path):
    made = whole(
        "{ said  told } → ? `$.n` last",
        tmp_path / "x.db",
        said=lambda input: {},
        told=lambda input: {"n": 1},
        last=lambda input: input,
    )

    run = again(made, tmp_path / "x.db", onwards=("said",))

    assert (RAN, run.output("f")) == (["said", "last"], {"n": 1})


def test_a_guard_that_lets_a_step_run_now_is_asked_again(tmp_path):
    given = [{"n": 0}, {"n": 5}]
    made = whole(
        "fetch → ? `$[?(@.n > 1)]` clean → report",
        tmp_path / "x.db",
        fetch=lambda input: given.pop(0),
        clean=lambda input: {"clean": True},
        report=lambda input: input,
    )

    run = again(made, tmp_path / "x.db", onwards=("fetch",))

    assert (RAN, run.output("f")) == (["fetch", "clean", "report"], {"clean": True})


def test_large_values_and_lists_that_a_worker_takes_apart_are_taken_from_the_earlier_run(tmp_path):
    functions = {
        **ITEMS,
        "spread": lambda input: [{"rows": "x" * 5000, "n": n} for n in range(3)],
        "each": lambda input: input["n"],
    }
    made = whole("spread → * ? `$.rows` each → gather", tmp_path / "x.db", **functions)

    run = again(made, tmp_path / "x.db", onwards=("gather",))

    assert (RAN, run.output("f")) == (["gather"], {"all": [0, 1, 2]})


@pytest.mark.parametrize(
    ("chosen", "error", "said"),
    [
        (
            {"onwards": ("eech",)},
            UnknownNameError,
            "no call 'eech'; did you mean 'each'? it has: each, f, gather, spread",
        ),
        ({"only": ("f/gathre",)}, UnknownNameError, "did you mean 'f/gather'?"),
        (
            {"only": ("f/each[7]",)},
            CommandLineError,
            "f/each[7] would not run: no earlier run of f came there",
        ),
    ],
)
def test_a_step_that_is_not_there_is_told_before_anything_runs(chosen, error, said, tmp_path):
    made = whole(EACH, tmp_path / "x.db", **ITEMS)

    with pytest.raises(error) as told:
        again(made, tmp_path / "x.db", **chosen)
    assert said in str(told.value)
    assert RAN == []


def test_what_no_earlier_run_has_is_told_before_anything_runs(tmp_path):
    def fails(input):
        raise ValueError(input)

    made = whole("spread → * each → middle → gather", tmp_path / "x.db", **ITEMS, middle=fails)

    for db in (tmp_path / "x.db", tmp_path / "none.db"):
        with pytest.raises(CommandLineError, match=r"has what is needed: the results of f/(middle|spread)"):
            again(made, db, onwards=("gather",))
    assert RAN == []
    assert (
        again(Flow.parse(EACH, ITEMS, name="f"), tmp_path / "none.db", onwards=("spread",)).state
        == "succeeded"
    )


def test_steps_of_a_flow_within_another_are_chosen_by_the_whole_key(tmp_path):
    inner = Flow.parse(EACH, {name: noted(name, function) for name, function in ITEMS.items()}, name="inner")
    after = Flow.parse("after", {"after": noted("after", lambda input: [input])})

    @flow
    def outer():
        return after(inner(None))

    def part(**chosen: Any) -> Any:
        given = {"only": [], "onwards": [], **chosen}
        return part_to_run(outer, outer.compile(), **given, db=tmp_path / "x.db", trust=False)

    outer.run(db=tmp_path / "x.db", executor="inline")
    RAN.clear()
    run = part(onwards=["inner/each[2]"]).run(db=tmp_path / "x.db", executor="inline")

    assert (RAN, run.output("after")) == (["each", "gather", "after"], [{"all": [2, 4, 6]}])


def test_a_flow_in_which_it_can_not_be_told_what_depends_on_what_is_run_as_a_whole(tmp_path):
    made = whole(
        "{ halve → ? `$[?(@.n > 1)]` again → :start } → report",
        tmp_path / "x.db",
        {"n": 4},
        **{**LOOPING, "report": lambda input: input},
    )

    with pytest.raises(FlowError, match=r"a block whose end nothing leads to.*; run the whole flow"):
        again(made, tmp_path / "x.db", onwards=("halve",), input={"n": 4})


def test_a_part_is_given_its_secrets_again(tmp_path):
    def sign(value: object, token: Secret) -> int:
        return len(token)

    functions = {"fetch": lambda input: {"n": 1}, "sign": sign, "show": "{}".format}
    made = Flow.parse("fetch → ? `$.n` sign → show", functions, name="f")
    made.run(token="k9-v2", db=tmp_path / "x.db", executor="inline")

    assert again(made, tmp_path / "x.db", onwards=("sign",), token="k9-v2-xyz").output("f") == "9"


def going_on() -> list[tuple[str, int]]:
    """The first run of each published case that goes on step by step."""
    return [(name, n) for name, n in cases() if n == 0 and not is_static(compile_text(read(name)[0]))]


@pytest.mark.parametrize(("name", "number"), going_on())
def test_from_any_step_on_a_case_gives_what_it_gave_as_a_whole(name, number, tmp_path):
    text, expected = read(name)
    given = expected["expect"]["runs"][number]
    made = Flow.parse(text, modelled(text, given), name="f")
    db, input = tmp_path / "x.db", given.get("input")
    before = made.run(inputs={"input": input}, db=db, executor="inline")
    steps = [key for key in before.tasks if "?" not in key and not key.endswith("*")]
    key = steps[len(name) % len(steps)]

    run = again(made, db, onwards=(key,), input=input)

    assert run.state == "succeeded"
    assert set(run.tasks) <= set(before.tasks)
    for one in run.tasks:
        assert run.output(one) == before.output(one)
