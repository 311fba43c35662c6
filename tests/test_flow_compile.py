"""Flows: what can be one, what its parameters take.  Nothing runs here."""

import threading
import warnings
from typing import Any

import numpy as np
import pytest

from liteflow import Call, DefinitionError, Flow, Lazy, flow, task
from liteflow.errors import (
    ArgumentError,
    DecoratedError,
    EdgeTypeError,
    FlowError,
    LookedInsideError,
    SettingError,
    UnknownNameError,
)
from liteflow.options import RUN_OPTIONS


@task
def extract(path: str) -> list[int]: ...
@task
def transform(rows: list[int], scale: float = 1.0) -> list[float]: ...
@task
def load(values: list[float], table: str) -> int: ...
@task
def number(n: int = 0) -> int: ...
@task
def identity(x): ...
@task
def pair(n: int) -> tuple[int, str]: ...
@task
def measure(path: str, scale: int) -> int: ...


@flow
def etl(path: str = "data.csv", table: str = "sales") -> int:
    """Loads a table."""
    return extract(path) >> transform(scale=2.0) >> load(table=table)


def arguments(dag: Any) -> dict[str, Any]:
    """All atoms among the arguments of a Dag, by `key.parameter`."""
    return {
        f"{node.key}.{name}": value
        for node in dag.nodes
        for name, value in node.arguments()
        if not isinstance(value, tuple)
    }


# --- what can be a flow (A21) -----------------------------------------------------------------


def test_a_flow_has_the_name_and_face_of_its_function():
    assert (etl.name, etl.__doc__, etl.__name__) == ("etl", "Loads a table.", "etl")
    assert repr(etl) == "<flow etl>"


def test_a_flow_may_have_another_name_and_options_for_its_runs():
    @flow(name="nightly run", max_workers=2, db="n.db")
    def f():
        return number()

    assert f.name == "nightly run"
    assert dict(f.options) == {"max_workers": 2, "db": "n.db"}


def test_a_flow_is_made_of_a_function_a_call_a_task_or_a_container():
    assert Flow("f", lambda: number()).compile().leaves == ("number",)  # noqa: PLW0108
    assert Flow("f", number()).compile().leaves == ("number",)
    assert Flow("f", number).compile().leaves == ("number",)
    assert Flow("f", {"a": [number(), number()]}).compile().leaves == ("number", "number-2")
    assert flow(lambda: number()).name == "lambda"  # noqa: PLW0108


async def coroutine():
    return number()


def generator():
    yield number()


def with_rest(*paths):
    return number()


def with_extra(**paths):
    return number()


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (None, "a function is needed"),
        (5, "a function is needed"),
        (dict, "it is a class"),
        (number, "write a function that calls the task"),
        (number(), "the result of calling a task"),
        (generator, "list(...)"),
        (coroutine, "use def"),
        (staticmethod(lambda: number()), "@staticmethod above @flow"),  # noqa: PLW0108
        (with_rest, "name each one"),
        (with_extra, "name each one"),
    ],
)
def test_what_can_be_no_flow_is_refused_when_it_is_decorated(given, remedy):
    with pytest.raises(DecoratedError) as caught:
        flow(given)
    assert isinstance(caught.value, TypeError)
    assert remedy in str(caught.value)


@pytest.mark.parametrize("expression", [None, 5, "text", 2.5, b"x", True])
def test_a_plain_value_is_no_expression(expression):
    with pytest.raises(FlowError, match=r"flow f is made of .*needs the lazy value"):
        Flow("f", expression)


def test_an_expression_that_is_a_task_in_a_container_is_refused():
    with pytest.raises(ArgumentError, match=r"did you mean number\(\)\?"):
        Flow("f", [number]).compile()


def test_flow_twice_is_the_same_flow():
    assert flow(etl) is etl


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", 5, None])
def test_a_flow_with_a_bad_name_is_refused(name):
    with pytest.raises(SettingError, match="a flow: name must be"):
        Flow(name, number())


@pytest.mark.parametrize("make", [flow, lambda **o: Flow("f", number(), **o)])
def test_an_unknown_option_is_refused_with_the_nearest_name(make):
    with pytest.raises(UnknownNameError, match="did you mean 'max_workers'"):
        make(max_worker=2)
    with pytest.raises(UnknownNameError, match="has no option 'run_id'"):
        make(run_id="x")


def test_a_lazy_value_can_be_no_default_of_a_flow():
    with pytest.raises(DecoratedError, match="every call would share it"):

        @flow
        def f(x=number()):  # noqa: B008  that it is done is what is tested
            return identity(x)


# --- what its function returns (A21) ----------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "flow f returns None; return the lazy value"),
        (5, "flow f returns 5, a plain value"),
        ("text", "flow f returns 'text', a plain value"),
        (number, "did you mean number()?"),
        ([1, number], "did you mean number()?"),
        (etl, "did you mean etl()?"),
        (np.arange(2), "flow f returns array([0, 1]), a plain value"),
    ],
)
def test_a_function_that_returns_no_lazy_value_is_refused_with_the_flows_name(returned, message):
    with pytest.raises(DefinitionError) as caught:
        Flow("f", lambda: returned).compile()
    assert message in str(caught.value)


@pytest.mark.parametrize("empty", [[], {}, (), {"a": []}])
def test_a_flow_over_nothing_is_empty(empty):
    dag = Flow("f", lambda: empty).compile()

    assert (dag.nodes, dag.leaves, dag.edges) == ((), (), ())


def test_an_error_in_the_function_says_which_flow_was_being_built():
    @flow
    def broken():
        raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        broken.compile()
    assert caught.value.__notes__ == ["(raised while flow broken was being built)"]


def test_a_lazy_value_used_in_the_function_is_an_error_without_further_ado():
    @flow
    def choosing():
        return number() if number() else number(1)

    with pytest.raises(LookedInsideError, match="decide inside a task"):
        choosing.compile()


@pytest.mark.parametrize(
    ("returns", "expression", "problem"),
    [
        (str, lambda: number(), "returns str, but what it returns gives int, not str"),  # noqa: PLW0108
        (list[str], lambda: [number()], "returns list[str], but what it returns"),
        (dict[str, int], lambda: {"a": number(), "b": pair(1)[1]}, "gives str, not int"),
        (None, lambda: number(), "gives int, not None"),  # noqa: PLW0108
    ],
)
def test_what_a_flow_says_that_it_returns_is_checked(returns, expression, problem):
    expression.__annotations__["return"] = returns
    with pytest.raises(FlowError) as caught:
        Flow("f", expression).compile()
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "returns",
    [int, float, int | None, Any, Lazy[str], Call[int], list[Lazy[Any]] | Lazy[Any], "Missing", object],
)
def test_what_fits_or_speaks_of_lazy_values_is_accepted(returns):
    def f():
        return number()

    f.__annotations__["return"] = returns
    assert Flow("f", f).compile().leaves == ("number",)


# --- parameters and inputs (B12, B14) ---------------------------------------------------------


def test_parameters_are_those_of_the_function():
    assert [(p.name, p.default, p.annotation) for p in etl.parameters.values()] == [
        ("path", "data.csv", str),
        ("table", "sales", str),
    ]


def test_parameters_go_by_name_or_in_inputs_and_else_by_default():
    assert arguments(etl.compile()) == {
        "extract.path": "data.csv",
        "transform.scale": 2.0,
        "load.table": "sales",
    }
    dag = etl.compile(path="a", inputs={"table": "b", "transform.scale": 3.0})

    assert arguments(dag) == {"extract.path": "a", "transform.scale": 3.0, "load.table": "b"}
    assert dag.parameters == {"path": "a", "table": "b"}


def test_an_override_wins_over_a_parameter():
    assert arguments(etl.compile(path="a", inputs={"extract.path": "b"}))["extract.path"] == "b"


@pytest.mark.parametrize(
    ("inputs", "parameters", "message"),
    [
        ({}, {"pth": 1}, "flow etl has no parameter 'pth'; did you mean 'path'? it has: path, table"),
        ({"pth": 1}, {}, "flow etl has no input 'pth'; did you mean"),
        ({"path": "x"}, {"path": "y"}, "flow etl: 'path' is given twice, by name and in inputs"),
        ({}, {"path": 5}, "flow etl: 'path' is 5 (int), not str"),
        ({"path": None}, {}, "flow etl: 'path' is None, not str"),
        ({5: 1}, {}, "flow etl has inputs by name (text), not by 5"),
        ({"transform.scale": "x"}, {}, "transform(): 'scale' is 'x' (str), not float"),
        ({"transform.rows": []}, {}, "transform(): 'rows' is fed by extract()"),
        ({"nope.x": 1}, {}, "it has: path, table, extract.path, transform.scale, load.table"),
        ({"load": 1}, {}, "did you mean 'load.table'?"),
        ({}, {"path": number()}, "'path' is given <lazy number()>, but this takes plain values"),
        ({"path": number()}, {}, "'path' is given <lazy number()>"),
    ],
)
def test_inputs_that_are_wrong_are_refused_with_what_there_is(inputs, parameters, message):
    with pytest.raises(DefinitionError) as caught:
        etl.compile(inputs, **parameters)
    assert message in str(caught.value)


def test_a_missing_parameter_is_refused():
    @flow
    def f(path: str, n: int = 1):
        return extract(path)

    with pytest.raises(UnknownNameError, match="no parameter 'pth'; did you mean 'path'"):
        f.compile(inputs={"pth": "x"})
    with pytest.raises(ArgumentError, match="flow f: 'path' is missing; give it by name, or in inputs"):
        f.compile(n=2)


def test_an_input_that_cannot_be_pickled_is_refused_with_the_argument_and_the_part():
    @flow
    def f(x):
        return identity(x)

    with pytest.raises(ArgumentError, match=r"identity\(\): 'x' can't be stored .* \['lock'\]"):
        f.compile(x={"lock": threading.Lock()})


def test_a_mutable_default_is_new_for_every_build():
    @flow
    def f(paths=[]):  # noqa: B006
        paths.append(number(len(paths)))
        return paths

    assert f.compile() == f.compile()
    assert len(f.compile().nodes) == 1


def test_parameters_of_every_kind_but_collecting_ones_are_allowed():
    @flow
    def f(a, /, self, *, name=3):
        return [identity(a), identity(self), identity(name)]

    assert arguments(f.compile(a=1, self=2)) == {"identity.x": 1, "identity-2.x": 2, "identity-3.x": 3}


def test_any_value_may_be_a_parameter():
    @flow
    def f(x):
        return identity(x)

    array = np.arange(3)
    assert f.compile(x=array).parameters["x"] is array
    assert f.compile(x=array) == f.compile(x=array)


# --- options of run() as parameter names (A11) -------------------------------------------------


@pytest.mark.parametrize("option", RUN_OPTIONS)
def test_a_parameter_named_like_an_option_of_run_warns_when_the_flow_is_made(option):
    namespace: dict[str, Any] = {"identity": identity}
    exec(f"def f({option}): return identity({option})", namespace)

    with pytest.warns(UserWarning, match=f"flow f: run.* has options named {option}, .* in inputs") as caught:
        made = flow(namespace["f"])
    assert caught[0].filename == __file__
    assert arguments(made.compile(inputs={option: 5})) == {"identity.x": 5}


def test_a_free_argument_named_like_an_option_warns_when_it_is_compiled():
    @task
    def f(db): ...

    with pytest.warns(UserWarning, match="options named db"):
        Flow("f", f()).compile(inputs={"db": 5})


def test_other_parameters_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow(etl._recipe.function).compile()


# --- flows of expressions ---------------------------------------------------------------------


def test_the_free_arguments_of_an_expression_are_the_parameters():
    made = Flow("made", extract() >> transform() >> load())

    assert [(p.name, p.annotation, p.required) for p in made.parameters.values()] == [
        ("path", str, True),
        ("table", str, True),
    ]
    assert arguments(made.compile(path="a", table="b")) == {"extract.path": "a", "load.table": "b"}


def test_one_value_goes_to_all_free_arguments_of_its_name():
    made = Flow("made", [extract(), measure(scale=2), measure()])

    assert list(made.parameters) == ["path", "scale"]
    assert arguments(made.compile(path="a", scale=1)) == {
        "extract.path": "a",
        "measure.path": "a",
        "measure.scale": 2,
        "measure-2.path": "a",
        "measure-2.scale": 1,
    }


def test_a_value_must_fit_all_of_them():
    @task
    def other(path: int): ...

    with pytest.raises(ArgumentError, match=r"flow made: 'path' is 'a' \(str\), not int"):
        Flow("made", [extract(), other()]).compile(path="a")


def test_an_expression_compiles_again_with_other_values():
    made = Flow("made", extract() >> transform())

    assert arguments(made.compile(path="a")) == {"extract.path": "a"}
    assert arguments(made.compile(path="b")) == {"extract.path": "b"}
    assert made.compile(path="a") == made.compile(path="a")
    assert list(made.parameters) == ["path"]


def test_inputs_reach_every_argument_of_an_expression():
    made = Flow("made", extract() >> transform())
    dag = made.compile(inputs={"path": "a", "transform.scale": 3.0})

    assert arguments(dag) == {"extract.path": "a", "transform.scale": 3.0}
    assert arguments(made.compile(inputs={"extract.path": "b"})) == {"extract.path": "b"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "extract(): 'path' is missing"),
        ({"path": 5}, "flow made: 'path' is 5 (int), not str"),
        ({"pth": "a"}, "flow made has no parameter 'pth'; did you mean 'path'? it has: path"),
        ({"path": "a", "scale": 1.0}, "flow made has no parameter 'scale'"),
    ],
)
def test_parameters_of_an_expression_that_are_wrong_are_refused(parameters, message):
    with pytest.raises(DefinitionError) as caught:
        Flow("made", extract() >> transform()).compile(**parameters)
    assert message in str(caught.value)


def test_parameters_of_an_expression_hold_no_lazy_values():
    with pytest.raises(ArgumentError, match=r"identity\(\): 'x' is given <lazy number.*; inputs are plain"):
        Flow("made", identity()).compile(x=[number()])


# --- types along edges ------------------------------------------------------------------------


def test_an_ill_typed_edge_is_found_when_the_flow_is_compiled():
    @flow
    def ill_typed():
        return number() >> extract()

    with pytest.raises(EdgeTypeError, match=r"number\(\) gives int, but extract\(\) takes path: str"):
        ill_typed.compile()


def test_equal_builds_of_a_flow_are_equal():
    assert etl.compile() == etl.compile()
    assert etl.compile(path="a") != etl.compile()


def test_numbers_that_python_writes_in_no_decimal_digits_are_arguments_like_any_other():
    large = 10**5000
    same = task(lambda x: x, name="same")
    numbers = Flow("numbers", [same(large), same([large]), same.map([large, -large, True])])

    assert numbers.run(db=None, executor="inline").result == [large, [large], [large, -large, True]]


def test_a_context_without_its_annotation_is_told_of():
    told = "what the run gives is annotated, context: Context"
    with pytest.warns(UserWarning, match="options named context"), pytest.raises(ArgumentError, match=told):
        Flow("f", task(lambda context: 1)()).compile()
