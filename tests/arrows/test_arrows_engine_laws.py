"""Random flows, run in parallel by the engine, give what a naive interpreter gives step by step."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from flow_models import Naive, TooLong, scopes, work
from hypothesis import HealthCheck, Phase, assume, given, settings

from liteflow import Flow, RunFailed
from liteflow.arrows import write
from liteflow.arrows.model import Model

# No value with this in it has its JSON in the store: the engine has to let somebody look.
PAD = "x" * 600


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {k: v for k, v in value.items() if k != "pad"} if isinstance(value, dict) else value


def padded(value: Any) -> Any:
    return {**value, "pad": PAD} if value else value


def near_function(name: str) -> Any:
    return lambda input: work(name, plain(input))


def far_function(name: str) -> Any:
    return lambda input: padded(work(name, plain(input)))


class Record:
    """How many calls there were, which of them fails, and those that gave something."""

    calls = 0
    fatal = 0
    done: ClassVar[list[str]] = []


def breaking_function(name: str, far: bool) -> Any:
    # What is noted is not in the closure: that would be another function, to a resume.
    def function(input: Any) -> Any:
        Record.calls += 1
        if Record.calls == Record.fatal + 1:
            raise OSError("not now")
        Record.done.append(name)
        return (FAR if far else NEAR)[name](input)

    return function


NEAR = {name: near_function(name) for name in "ABCD"}
FAR = {name: far_function(name) for name in "ABCD"}


laws = settings(
    # More of them by this variable, when what is tested here is worked on; `-m soak` tries 300.
    max_examples=int(os.environ.get("LITEFLOW_EXAMPLES", "12")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@given(scopes(), st.sampled_from([{}, {"n": 1}, {"n": 60}, [{"n": 5}, {"n": 50}], []]), st.booleans())
@laws
def test_a_flow_on_the_engine_gives_what_a_naive_interpreter_gives(statements, value, far):
    naive = Naive(max_rounds=8)
    flow = Flow.parse(write(Model(statements)), FAR if far else NEAR, max_rounds=8, name="law")
    try:
        wanted: Any = naive.run(statements, value)
    except TypeError:
        # A merge is made where its value is taken, so one that nobody takes can't go wrong.
        failed = flow.run(inputs={"input": value}, db=None, executor="thread", check=False)
        if failed.failure is not None:
            assert type(failed.failure.__cause__).__name__ in ("MergeError", "RoundsError")
        return
    except TooLong:
        assume(False)

    run = flow.run(inputs={"input": value}, db=None, executor="thread", max_workers=3)

    assert plain(run.result) == wanted
    done = [row.task for key, row in run.tasks.items() if key != "law"]
    assert sorted(name for name in done if name in NEAR) == sorted(name for name, _ in naive.calls)


@given(
    scopes(),
    st.sampled_from([{}, {"n": 1}, {"n": 60}, [{"n": 5}, {"n": 50}]]),
    st.booleans(),
    st.integers(0, 12),
)
@laws
def test_a_flow_that_failed_somewhere_and_goes_on_gives_what_it_would_have_given(
    statements, value, far, fatal
):
    naive = Naive(max_rounds=8)
    try:
        wanted = naive.run(statements, value)
    except (TypeError, TooLong):
        assume(False)
    assume(fatal < len(naive.calls))
    Record.calls, Record.fatal, Record.done = 0, fatal, []

    with tempfile.TemporaryDirectory() as folder:
        flow = Flow.parse(
            write(Model(statements)),
            {name: breaking_function(name, far) for name in NEAR},
            max_rounds=8,
            name="law",
            db=Path(folder, "law.db"),
            executor="thread",
            max_workers=1,
        )
        with pytest.raises(RunFailed):
            flow.run(run_id="one", inputs={"input": value})

        run = flow.resume("one")

        assert plain(run.result) == wanted
        assert plain(flow.run(run_id="one", inputs={"input": value}).result) == wanted
    assert sorted(Record.done) == sorted(name for name, _ in naive.calls)


@pytest.mark.soak
def test_the_same_holds_for_many_more_flows():
    files = [__file__, str(Path(__file__).with_name("test_laws.py"))]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, env={**os.environ, "LITEFLOW_EXAMPLES": "300"}, check=False)

    assert done.returncode == 0
