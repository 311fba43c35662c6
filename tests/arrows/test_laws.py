"""Laws of the arrow language, with random models, texts, flows and orders of events."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from typing import Any

import hypothesis.strategies as st
import pytest
from flow_models import Naive, TooLong, models, scopes, work
from hypothesis import HealthCheck, assume, given, settings
from support.laws import examples

from liteflow.arrows import Context, Ended, Runner, compile_model, fmt, parse, write
from liteflow.arrows.errors import ArrowError, MergeError, NotRunningError, RoundsError
from liteflow.arrows.layout import read
from liteflow.arrows.model import Model


def laws(full: int = 50) -> settings:
    """How many random examples at least (see test_arrows_engine_laws.py); a slow one is no failure."""
    wanted = max(examples(full), int(os.environ.get("LITEFLOW_EXAMPLES", "0")))
    return settings(max_examples=wanted, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def compiled_or_error(model: Model) -> Any:
    try:
        flow = compile_model(model)
    except ArrowError as error:
        return error.problem.partition(":")[0].partition(";")[0]
    return flow.labels, flow.edges, flow.loop_edges, [step.parameters for step in flow.steps]


@given(models)
@laws()
def test_a_model_that_is_written_is_read_as_the_same(model):
    assert parse(write(model)) == model


@given(models)
@laws()
def test_a_model_that_is_written_and_read_compiles_to_the_same(model):
    assert _without_places(compiled_or_error(parse(write(model)))) == _without_places(
        compiled_or_error(model)
    )


def _without_places(outcome: Any) -> Any:
    return re.sub(r"`.*?`|\d+:\d+", "", outcome) if isinstance(outcome, str) else outcome


@st.composite
def texts_with_comments(draw: Any) -> str:
    """A model written down, with comments, blanks and line breaks anywhere between its words."""
    text = write(draw(models))
    spans = read(text)[1]
    made, at = "", 0
    noise = st.sampled_from(
        ["", "", "", " ", "\n", "\n\n\n", " # why\n", "\n# alone\n", "\n\n   # below\n\n", "#\r\n"]
    )
    for start, end in spans:
        gap = text[at:start]
        # A literal of several lines means what it means at its column.
        made += (
            (gap if gap or not made else "")
            + ("" if "\n" in text[start:end] else draw(noise))
            + text[start:end]
        )
        at = end
    return made + draw(noise)


def comments(text: str) -> list[str]:
    spans = read(text)[1]
    gaps = zip([0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)], strict=True)
    return [c.rstrip() for begin, end in gaps for c in re.findall(r"#[^\n]*", text[begin:end])]


@given(texts_with_comments())
@laws(100)
def test_fmt_keeps_meaning_and_comments_and_twice_is_once(text):
    laid_out = fmt(text)

    assert parse(laid_out) == parse(text)
    assert comments(laid_out) == comments(text)
    assert fmt(laid_out) == laid_out


ALPHABET = st.sampled_from(
    [
        "A",
        "B-",
        ":x",
        ":end",
        ":start",
        "→",
        "->",
        "-",
        ">",
        "*",
        "?`$.a`",
        "?",
        "`",
        "{",
        "}",
        "[",
        "]",
        "|",
        ";",
        "(",
        ")",
        "(-",
        "-)",
        "({",
        "})",
        "<-",
        "<{",
        "}>",
        "<",
        ">",
        "<>",
        "<u>",
        "@flow",
        "@task",
        "=",
        "'''",
        '"',
        "#",
        "\n",
        " ",
        "a: 1",
        '"a": 1',
        "é",
        "\x00",
        "\u202e",
        "�",
        "\ufeff",
        "9",
        ",",
        "\\",
        "'",
    ]
)


@given(st.lists(ALPHABET, max_size=30).map("".join) | st.text(max_size=40))
@laws(300)
def test_any_text_gives_a_flow_or_an_error_of_the_language(text):
    try:
        model = parse(text)
        compile_model(model)
    except ArrowError as error:
        assert str(error)
        assert error.line >= 1
    else:
        assert parse(fmt(text)) == model


class InAnyOrder(Context):
    """Ends steps in an order of its own; keeps what tasks were given."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.open: list[tuple[Any, Any]] = []

    def start_task(self, step, input):
        self.open.append((step.key, (step.name, input)))


def drive(model: Model, value: Any, order: random.Random, carried: bool) -> tuple[Any, list[Any]]:
    """Run by the stateless runner, the steps ending in a random order, each end told twice."""
    flow = compile_model(model)
    context, runner, calls = InAnyOrder(flow, max_rounds=8), Runner(), []
    runner.start(context, value)
    keys = set()
    while context.open:
        key, (name, given) = context.open.pop(order.randrange(len(context.open)))
        assert key not in keys
        keys.add(key)
        calls.append((name, given))
        ended = Ended(key, work(name, given))
        if carried:
            restored = InAnyOrder.from_bytes(flow, context.to_bytes())
            restored.open, context = context.open, restored
        runner.next(context, ended)
        with pytest.raises(NotRunningError):
            runner.next(context, ended)
    assert context.over
    return context.result, calls


def canonical(calls: list[Any]) -> list[str]:
    return sorted(json.dumps(call, sort_keys=True) for call in calls)


@given(scopes(), st.sampled_from([{}, {"n": 1}, {"n": 60}, [{"n": 5}, {"n": 50}], []]), st.integers(0, 2**32))
@laws(100)
def test_a_flow_driven_in_any_order_gives_what_a_naive_interpreter_gives(statements, value, seed):
    model = Model(statements)
    naive = Naive(max_rounds=8)
    try:
        wanted: Any = naive.run(statements, value)
    except TypeError:
        with pytest.raises((MergeError, RoundsError)):
            drive(model, value, random.Random(seed), carried=False)
        return
    except TooLong:
        assume(False)
    result, calls = drive(model, value, random.Random(seed), carried=seed % 3 == 0)

    assert result == wanted
    assert canonical(calls) == canonical(naive.calls)


@given(scopes())
@laws()
def test_edges_of_a_compiled_flow_are_there_once_and_in_order(statements):
    flow = compile_model(Model(statements))
    index = {label: number for number, label in enumerate(("start", *flow.labels, "end"))}

    assert len(set(flow.edges)) == len(flow.edges)
    assert all(source != target for source, target in flow.edges)
    assert {label for edge in flow.edges for label in edge} <= set(index)
    assert all(a <= b for a, b in itertools.pairwise(index[source] for source, _ in flow.edges))
