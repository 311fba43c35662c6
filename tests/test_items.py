"""Items that a value turns out not to have: told by whoever takes them, with what there is."""

from __future__ import annotations

import pytest

from liteflow import Flow, task
from liteflow.errors import NoItemError


@task
def double(n: int) -> int:
    return 2 * n


@task
def numbers() -> list[int]:
    return [1, 2, 3]


@task
def table() -> dict[str, int]:
    return {"a": 1}


@task
def use(value: object) -> object:
    return value


MISSING = {
    "of a map over a list that is there": (
        lambda: double.map([1, 2, 3])[5],
        "double[5]",
        "a list of 3 items",
    ),
    "of a map over a list that comes": (lambda: double.map(numbers())[-4], "double[-4]", "a list of 3 items"),
    "of a list": (lambda: numbers()[3], "numbers[3]", "a list of 3 items"),
    "of a dict": (lambda: table()["b"], "table['b']", "a dict with the keys 'a'"),
    "of a number": (lambda: table()["a"][0], "table['a'][0]", "an int, which has none such"),
}


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "in memory"])
@pytest.mark.parametrize(("made", "asked", "found"), MISSING.values(), ids=MISSING)
def test_an_item_that_the_result_of_a_flow_does_not_have_is_told_by_its_call(
    made, asked, found, keeps, tmp_path
):
    run = Flow("f", made()).run(db=tmp_path / "x.db" if keeps else None, executor="inline")

    with pytest.raises(NoItemError) as missing:
        _ = run.result
    assert str(missing.value) == f"{asked} is not there: it would be in {found}; take one that is there"


@pytest.mark.parametrize(("made", "asked", "found"), MISSING.values(), ids=MISSING)
def test_an_item_that_the_input_of_a_task_does_not_have_fails_that_task_and_is_told(made, asked, found):
    run = Flow("f", use(made())).run(db=None, executor="inline", check=False)

    assert run.tasks["use"].state == "failed"
    path = asked[asked.index("[") :]
    assert f"item {path} of its input is not there: it would be in {found}" in run.tasks["use"].error
    assert isinstance(run.failure.__cause__, NoItemError)
    assert isinstance(run.failure.__cause__, IndexError | KeyError)
