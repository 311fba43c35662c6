"""Bad input to `@task` and `@flow` (rows A): what gets which error, and what odd things work."""

from __future__ import annotations

import contextlib
import functools
import operator
import subprocess
import sys
import zipfile
from datetime import timedelta
from math import inf, nan
from typing import Annotated, Any, Literal, Never, Optional, ParamSpec, Self, TypeVar, Union

import numpy as np
import pytest
from bad_rows import assert_refused, note, row

from liteflow import Flow, Policy, RunFailed, Task, flow, task
from liteflow.errors import (
    ArgumentError,
    DecoratedError,
    DuplicateKeyError,
    FlowError,
    LookedInsideError,
    SettingError,
    UnknownNameError,
)

T = TypeVar("T")
PS = ParamSpec("PS")


def same(x: Any) -> Any:
    return x


class Thing:
    n = 2

    def method(self, x: int) -> int:
        return x * self.n

    def __call__(self, x: int) -> int:
        return x + self.n


def run(expression: Any, **options: Any) -> Any:
    """The result of an expression, by worker processes, with nothing kept."""
    return Flow("f", expression).run(db=None, **options).result


def keys(expression: Any) -> list[str]:
    return [node.key for node in Flow("f", expression).compile().nodes]


@contextlib.contextmanager
def managed() -> Any:
    yield 1


def generator() -> Any:
    yield 1


async def agenerator() -> Any:
    yield 1


async def coroutine(x: int = 7) -> int:
    return x


# --- decoration ----------------------------------------------------------------------------


def named(name: object) -> Any:
    return lambda: task(same, name=name)


def setting(name: str, value: object) -> Any:
    return lambda: task(**{name: value})(same)


def calls_itself() -> Any:
    return run_of_itself()


run_of_itself = Flow("forever", calls_itself)


@task
def positional(a: int, /, b: int = 1, *, c: int) -> int:
    return a + b + c


@task
def collects(a: int, *rest: int, **extra: int) -> tuple[Any, ...]:
    return a, rest, extra


def two_of_a_key() -> Any:
    return Flow("f", [note(1).named("a"), note(2).named("a")]).run()


REFUSED = [
    row("A1-class", lambda: task(Thing), DecoratedError, "Thing (type)", "lambda x: Thing(x)"),
    row("A1-None", lambda: task(None), DecoratedError, "None (NoneType)", "a function is needed"),
    row("A1-number", lambda: task(5), DecoratedError, "5 (int)", "a function is needed"),
    row("A1-name-by-position", lambda: task("fetch"), DecoratedError, "@task(name='fetch')"),
    row("A1-flow-of-a-class", lambda: flow(Thing), DecoratedError, "Thing (type) can't be a flow"),
    row("A4-async-generator", lambda: flow(agenerator), DecoratedError, "agenerator", "list(...)"),
    row("A6-static", lambda: task(staticmethod(same)), DecoratedError, "@staticmethod above @task"),
    row("A6-class", lambda: task(classmethod(same)), DecoratedError, "@classmethod above @task"),
    row("A10-too-many", lambda: positional(1, 2, 3), ArgumentError, "positional()", "(a, b)", "3 are given"),
    row("A10-by-keyword", lambda: positional(a=1, c=2), ArgumentError, "'a'", "by position only"),
    row("A10-missing", lambda: run(positional(1)), ArgumentError, "positional()", "'c'", "inputs=", __file__),
    row("A10-flow-collects", lambda: flow(lambda *names: note()), DecoratedError, "*names", "name each one"),
    *[
        row(f"A12-retries-{value!r:.9}", setting("retries", value), SettingError, "task same: retries", wants)
        for value in (-1, 1.5, True, "3", 10**9, None, nan)
        for wants in ("a whole number from 0 to 10000",)
    ],
    row(
        "A12-retries-of-5000-digits", setting("retries", 10**5000), SettingError, "retries", "from 0 to 10000"
    ),
    *[
        row(f"A13-timeout-{value!r:.9}", setting("timeout", value), SettingError, "task same: timeout", wants)
        for value in (0, -1, nan, -inf, "10", True, False, timedelta(0), 10**400)
        for wants in ("0.001 to 31536000 seconds (a number or a timedelta), or None",)
    ],
    *[
        row(f"A14-{name}-{value!r:.9}", setting(name, value), SettingError, f"task same: {name} must be")
        for name, values in {
            "retry_delay": (-1, nan, 1e30, 10**400, inf, "1", None),
            "backoff": (0, 0.5, -2, nan, inf, 10**400, True),
            "max_delay": (-1, nan, 1e30, "1"),
            "jitter": (-0.1, 1.1, nan, None),
        }.items()
        for value in values
    ],
    row("A15-task", lambda: task(retires=3), UnknownNameError, "'retires'", "did you mean 'retries'?"),
    row("A15-options", lambda: note.options(time_out=3), UnknownNameError, "did you mean 'timeout'?"),
    row("A15-flow", lambda: Flow("f", note(), max_worker=2), UnknownNameError, "did you mean 'max_workers'?"),
    row("A15-flow-decorator", lambda: flow(max_worker=2), UnknownNameError, "did you mean 'max_workers'?"),
    *[
        row(f"A16-{what}", named(name), SettingError, "name must be", "1 to 200 characters", "direction")
        for what, name in {
            "empty": "",
            "blank": " ",
            "long": "x" * 10_000,
            "newline": "a\nb",
            "NUL": "a\0b",
            "slash": "a/b",
            "surrogate": "\ud800",
            "bidi": "a\u202eb",
            "escape": "\x1b[31m",
            "long-in-normal-form": "\u1e9b\u0323" * 200,
            "no-text": 5,
        }.items()
    ],
    row("A17-two-of-a-key", two_of_a_key, DuplicateKeyError, "'a'", __file__, "another name"),
    row("A21-returns-None", lambda: Flow("etl", lambda: None).run(), FlowError, "flow etl", "returns None"),
    row("A21-returns-5", lambda: Flow("etl", lambda: 5).run(), FlowError, "flow etl", "no task would run"),
    row("A21-made-of-5", lambda: Flow("etl", 5), FlowError, "flow etl", "plain value"),
    row(
        "A21-bare-task",
        lambda: Flow("e", lambda: note).run(),
        ArgumentError,
        "flow e",
        "did you mean note()?",
    ),
    row("A21-generator", lambda: flow(generator), DecoratedError, "generator", "can't be a flow"),
    row("A21-coroutine", lambda: flow(coroutine), DecoratedError, "coroutine", "use def"),
    row("A22-flow-calls-itself", run_of_itself.run, FlowError, "flow forever", "100", "MOST_NESTED"),
    row("A23-contextmanager", lambda: task(managed), DecoratedError, "managed", "`with` inside"),
    row("A23-task-of-flow", lambda: task(run_of_itself), DecoratedError, "inside another flow"),
    row("A23-flow-of-task", lambda: flow(note), DecoratedError, "note", "calls the task"),
]


@pytest.mark.parametrize(
    ("use", "error", "words"), [pytest.param(*r.values[:2], r.values[2:], id=r.id) for r in REFUSED]
)
def test_a_bad_definition_is_refused_at_once(use, error, words, folder):
    assert_refused(use, error, words, folder)


# --- what is odd and works -----------------------------------------------------------------


@task(name="odd names")
def names(self: int, _: int, inputs: int, db: int, executor: int) -> list[int]:
    return [self, _, inputs, db, executor]


def own_self(self: int) -> Any:
    return task(same)(self)


def local_method() -> Any:
    class Local:
        def method(self, x: int) -> int:
            return x * 3

    return Local().method


def from_exec() -> Any:
    found: dict[str, Any] = {}
    exec("def typed(x): return x + 1", found)
    return found["typed"]


def policy(**settings: Any) -> Any:
    return lambda: task(same, **settings).policy


def longest_delay() -> float:
    return Policy(retries=10_000, retry_delay=1, backoff=1000).delay_before(10_001, lambda: 0.0)


def accumulates(x: int, acc: list[int] = []) -> list[int]:  # noqa: B006  that is the point
    acc.append(x)
    if len(acc) == 1 and x == 1:
        raise OSError(f"once more, with {acc}")
    return acc


def empty_flow() -> Any:
    return Flow("nothing", []).run(db=None).result


WORKS = [
    row("A3-coroutine-processes", lambda: run(task(coroutine)(4)), 4),
    row("A3-coroutine-thread", lambda: run(task(coroutine)(4), executor="thread"), 4),
    row("A5-lambda", lambda: run(task(lambda x: x + 1)(1)), 2),
    row("A5-two-lambdas", lambda: keys([task(lambda: 1)(), task(lambda: 2)()]), ["lambda", "lambda-2"]),
    row("A5-partial", lambda: run(task(functools.partial(operator.sub, 5))(3)), 2),
    row("A5-builtin", lambda: run(task(len)([1, 2])), 2),
    row("A5-bound-method", lambda: run(task(Thing().method)(4)), 8),
    row("A5-callable-instance", lambda: run(task(Thing())(4)), 6),
    row("A5-method-of-local-class", lambda: run(task(local_method())(2)), 6),
    row("A5-name", lambda: task(functools.partial(same, 1), name="other").name, "other"),
    row("A7-task-of-task", lambda: task(task(same)) == task(same) and task(task(same)).fn is same, True),
    row("A8-no-signature", lambda: run(task(max)(3, 5)), 5),
    row("A10-every-kind", lambda: run([positional(1, c=2), collects(1, 2, d=4)]), [4, (1, (2,), {"d": 4})]),
    row("A11-names", lambda: run(names(1, _=2, inputs=3, db=4, executor=5)), [1, 2, 3, 4, 5]),
    row("A11-self-of-flow", lambda: Flow("f", own_self).run(db=None, self=3).result, 3),
    row("A13-inf", lambda: policy(timeout=inf)().timeout, None),
    row("A13-timedelta", lambda: policy(timeout=timedelta(minutes=1))().timeout, 60.0),
    row("A14-delays-are-capped", longest_delay, 3600.0),
    *[
        row(f"A16-{what}", lambda name=name: task(same, name=name).name, name)
        for what, name in {
            "dots": "..",
            "combining-only": "\u0301\u0302",
            "emoji": "\U0001f389",
            "turkish": "\u0130\u0131",
            "of-200": "x" * 200,
        }.items()
    ],
    row("A16-twins-are-one", lambda: task(same, name="cafe\u0301").name, "caf\u00e9"),
    row("A17-two-calls", lambda: keys([note(1), note(2)]), ["note", "note-2"]),
    row("A17-two-calls-and-a-name", lambda: keys([note(1), note(2), note(3).named("note-2")]),
        ["note", "note-3", "note-2"]),
    row("A20-no-source", lambda: run(task(from_exec())(1)), 2),
    row("A21-empty", empty_flow, []),
    row("A22-flow-in-a-flow", lambda: run(Flow("in", own_self)(4)), 4),
]  # fmt: skip


@pytest.mark.parametrize(("use", "result"), WORKS)
def test_what_is_odd_but_legal_works(use, result):
    assert use() == result


def test_a9_each_attempt_has_a_fresh_copy_of_a_mutable_default():
    # Both attempts of the first call see an empty list, and so does the second call in the same worker.
    tried = task(accumulates, retries=1)

    with pytest.raises(RunFailed, match=r"once more, with \[1\]"):
        run([tried(1)], max_workers=1)
    assert run([tried(2), tried(3)], max_workers=1) == [[2], [3]]


def test_a11_a_flow_says_which_of_its_parameters_go_by_inputs():
    with pytest.warns(UserWarning, match=r"db and executor, so give these parameters in inputs"):
        odd = Flow("odd", lambda db, executor: task(same)([db, executor]))

    assert odd.run(db=None, inputs={"db": 1, "executor": 2}).result == [1, 2]


def test_a21_what_the_flows_function_raises_comes_with_the_flows_name():
    def raises() -> Any:
        raise ValueError("no such table")

    with pytest.raises(ValueError, match="no such table") as caught:
        Flow("etl", raises).run()

    assert "flow etl" in caught.value.__notes__[0]


def test_a22_a_task_called_in_a_task_and_returned_is_what_the_task_goes_on_with():
    assert run(task(lambda: note(1))()) == note.fn(1)


def test_a22_a_task_called_in_a_task_has_no_value_there():
    with pytest.raises(RunFailed, match=r"note\(\) has not run yet, so its value .*compute inside a task"):
        run(task(lambda: note(1) + 1)())


def test_a23_calls_that_a_cache_keeps_are_refused_in_the_next_building(folder):
    cached = functools.cache(note)
    etl = Flow("etl", lambda: cached(1))
    etl.compile()

    assert_refused(etl.run, FlowError, ["flow etl", "belongs to another building"], folder)


def test_a23_a_context_manager_of_a_task_is_refused_when_it_is_entered(folder):
    wrapped = contextlib.contextmanager(note)

    def etl() -> Any:
        with wrapped(1) as inside:
            return inside

    assert_refused(Flow("etl", etl).run, LookedInsideError, ["note()", "can't be iterated"], folder)


# --- annotations (A18, A19) ----------------------------------------------------------------

ANNOTATIONS: dict[str, Any] = {
    "missing": "Missing",
    "list-of-missing": "list[Missing]",
    "no-expression": "see the docs",
    "raises": "1 / 0",
    "unclosed": "list[int",
    "of-checkers": "Concatenate[Missing, ...]",
    "Annotated": Annotated[list[int], "unit"],
    "Union": Union[list[int], str],  # noqa: UP007  as it was written
    "Optional": Optional[list[int]],  # noqa: UP045
    "PEP604": list[int] | None,
    "Literal": Literal[1, "a"],
    "TypeVar": T,
    "ParamSpec": PS.args,
    "Self": Self,
    "array": np.ndarray[Any, np.dtype[np.float64]],
    "Never": Never,
    "ellipsis": ...,
    "number": 5,
    "list-of-types": [int, str],
    "function": print,
}


@pytest.mark.parametrize("annotation", ANNOTATIONS.values(), ids=[f"A18-A19-{name}" for name in ANNOTATIONS])
def test_any_annotation_is_checked_or_means_anything(annotation):
    def takes(x: Any = None) -> Any:
        return x

    takes.__annotations__ = {"x": annotation, "return": annotation}
    anything = Task(takes, "anything")

    # Whether [1] fits is a matter of the annotation; that there is an answer is not.
    try:
        nodes = len(Flow("f", anything([1]) >> Task(takes, "next")()).compile().nodes)
    except ArgumentError as error:
        assert "anything(): 'x'" in str(error)
    else:
        assert nodes == 2


# --- where the script comes from (A20, A25, A26) ---------------------------------------------

SCRIPT = """
import os, sys
from liteflow import flow, task

print("top level")

@task
def double(x: int) -> int:
    return 2 * x

@flow
def twice(x: int = 2) -> int:
    return double(x) >> double()

print("result", twice.run(db=None).result)
"""


@pytest.mark.parametrize("way", ["file", "stdin", "command", "module", "runpy", "zip", "deleted"])
def test_a25_a26_a_script_without_a_guard_runs_once_however_it_is_started(way, folder):
    (folder / "plain.py").write_text(SCRIPT)
    (folder / "gone.py").write_text(
        SCRIPT.replace("print(", "os.path.exists(__file__) and os.remove(__file__)\nprint(", 1)
    )
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", SCRIPT)
    words = {
        "file": ["plain.py"],
        "stdin": ["-"],
        "command": ["-c", SCRIPT],
        "module": ["-m", "plain"],
        "runpy": ["-c", "import runpy; runpy.run_path('plain.py', run_name='__main__')"],
        "zip": ["app.zip"],
        "deleted": ["gone.py"],
    }

    done = subprocess.run(
        [sys.executable, *words[way]], input=SCRIPT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout.splitlines()) == (0, ["top level", "result 8"]), done.stderr
