"""Bad input to calls and `>>` (rows B1 to B13): what gets which error, and what odd things work."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pickle
import threading
from collections import namedtuple
from typing import Any, Protocol

import numpy as np
import pytest
from bad_rows import RAN, assert_refused, note, row

from liteflow import Flow, RunFailed, flow, task
from liteflow.errors import (
    ArgumentError,
    ArrowError,
    CycleError,
    EdgeTypeError,
    FlowError,
    LookedInsideError,
    UnknownNameError,
)


@task
def one(x: int) -> int:
    RAN.append(x)
    return x


@task
def pair(x: Any, y: Any) -> tuple[Any, Any]:
    RAN.append(x)
    return x, y


@flow
def etl(path: str = "p", n: int = 1) -> Any:
    return pair(note(path), n)


@flow
def needs(x: int) -> Any:
    return note(x)


def build(expression: Any) -> Any:
    return Flow("f", expression).run()


def run(expression: Any, **options: Any) -> Any:
    return Flow("f", expression).run(db=None, **options).result


def circle(length: int) -> Any:
    calls = [note(0) for _ in range(length)]
    for before, after in zip(calls, [*calls[1:], calls[0]], strict=True):
        before >> after
    return build(calls[0])


def edge(gives: Any, takes: Any) -> Any:
    def source() -> Any:
        return None

    def target(value: Any) -> None:
        return None

    source.__annotations__ = {"return": gives}
    target.__annotations__ = {"value": takes}
    return task(source)() >> task(target)()


class Base:
    pass


class Derived(Base):
    pass


class Runs(Protocol):
    def run(self) -> int: ...


class Runner:
    def run(self) -> int:
        return 1


def deep(levels: int, core: Any) -> Any:
    for _ in range(levels):
        core = [core]
    return core


def fed_twice() -> Any:
    target = pair(x=1, y=2)
    note(1) >> target
    return pair(note(1), x=2)


def leaked() -> Any:
    """A call that belongs to the building of another flow."""
    found = []

    def inner() -> Any:
        found.append(note(1))
        return found[0]

    Flow("owner", inner).compile()
    return found[0]


def holds_itself() -> Any:
    left: list[Any] = [note()]
    left.append(left)
    return left >> note()


def aliased(use: Any) -> Any:
    """What a flow would do with the value of a call: done where it is built."""
    return lambda: Flow("f", lambda: use(note(1))).run()


async def awaits(value: Any) -> Any:
    return await value


USES = {
    "if": lambda v: note() if v else 0,
    "not": lambda v: not v,
    "and": lambda v: v and note(),
    "for": lambda v: [note(x) for x in v],
    "star": lambda v: note(*v),
    "double-star": dict,
    "plus": lambda v: v + 1,
    "plus-right": lambda v: 1 + v,
    "minus": lambda v: -v,
    "format": lambda v: f"{v}",
    "str": str,
    "percent": lambda v: "%s" % v,  # noqa: UP031  that is the row
    "len": len,
    "in": lambda v: 1 in v,
    "attribute": lambda v: v.rows,
    "int": int,
    "range": range,
    "index": lambda v: [1, 2][v],
    "item-by-lazy": lambda v: v[v],
    "less": lambda v: v < 3,
    "max": lambda v: max(v, 3),
    "await": lambda v: asyncio.run(awaits(v)),
    "with": lambda v: v.__enter__(),
    "next": next,
    "open": open,
    "call": lambda v: v(1),
    "set-item": lambda v: v.__setitem__(0, 1),
    "numpy": lambda v: np.array([1, 2]) + v,
    "pickle": pickle.dumps,
}

REFUSED = [
    row(
        "B1-self-loop",
        lambda: circle(1),
        CycleError,
        "flow f",
        "note >> note;",
        "take one of these arrows away",
    ),
    row("B1-two", lambda: circle(2), CycleError, "note >> note-2 >> note;"),
    row("B1-10000", lambda: circle(10_000), CycleError, "(10000 calls)", "note >> note-2", "..."),
    row("B2-missing", lambda: build(one()), ArgumentError, "one()", "'x'", "is missing", ">>", __file__),
    row("B2-too-many", lambda: one(1, 2), ArgumentError, "one()", "(x)", "2 are given"),
    row("B2-unknown", lambda: pair(z=1), UnknownNameError, "pair()", "'z'", "it has: x, y"),
    row("B2-near", lambda: etl(pth=1), UnknownNameError, "flow etl", "did you mean 'path'?"),
    row("B2-by-position-and-name", lambda: pair(1, x=2), ArgumentError, "pair()", "'x'", "given twice"),
    row("B2-by-edge-and-name", fed_twice, ArgumentError, "pair()", "'x'", "given twice"),
    row(
        "B2-three-to-two",
        lambda: (note(), note(), note()) >> pair(),
        ArrowError,
        "3 values",
        "x, y",
        "a list",
    ),
    row(
        "B3-lists",
        lambda: build(edge(list[int], list[str])),
        EdgeTypeError,
        "source() gives list[int]",
        "target() takes value: list[str]",
        __file__,
    ),
    row("B3-narrowing", lambda: build(edge(float, int)), EdgeTypeError, "gives float", "value: int"),
    row("B3-optional", lambda: build(edge(int | None, int)), EdgeTypeError, "may be None", "int | None"),
    row("B3-base", lambda: build(edge(Base, Derived)), EdgeTypeError, "gives Base", "value: Derived"),
    row("B3-protocol", lambda: build(edge(Base, Runs)), EdgeTypeError, "gives Base", "value: Runs"),
    row("B3-literal", lambda: build(one("1")), ArgumentError, "one()", "'x'", "'1' (str), not int", __file__),
    *[
        row(f"B5-{name}", aliased(use), LookedInsideError, "note()", "has not run yet")
        for name, use in USES.items()
    ],
    row(
        "B6-lock",
        lambda: build(note({"k": [1, 2, threading.Lock()]})),
        ArgumentError,
        "note(): 'x'",
        "['k'][2] is a lock",
        __file__,
    ),
    row(
        "B6-deep",
        lambda: build(note(deep(10_000, note()))),
        ArgumentError,
        "note(): 'x'",
        "nested too deeply",
    ),
    row("B6-deep-plain", lambda: build(note(deep(100_000, 1))), ArgumentError, "nested too deeply"),
    row(
        "B6-deep-expression",
        lambda: build(deep(10_000, note())),
        ArgumentError,
        "flow f",
        "nested too deeply",
    ),
    row(
        "B6-generator", lambda: build(note(n for n in range(3))), ArgumentError, "note(): 'x'", "a generator"
    ),
    row(
        "B7-other-flow",
        lambda: build(note(leaked())),
        FlowError,
        "note()",
        "belongs to",
        "flow owner",
        __file__,
    ),
    row("B7-fed-in-another", lambda: note(2) >> leaked(), ArrowError, "in flow owner", "where it is used"),
    row("B7-other-process", lambda: pickle.dumps(note(1)), LookedInsideError, "note()", "can't be pickled"),
    row("B8-task", lambda: build(note(one)), ArgumentError, "note(): 'x'", "did you mean one()?", __file__),
    row("B8-flow", lambda: build(note(etl)), ArgumentError, "did you mean etl()?"),
    row("B8-nested", lambda: build(note([1, {"a": (2, one)}])), ArgumentError, "did you mean one()?"),
    row("B8-in-the-expression", lambda: build([1, {"a": [one]}]), ArgumentError, "did you mean one()?"),
    row("B9-None", lambda: note() >> None, ArrowError, "None stands on the right", "calls of tasks"),
    row("B9-number", lambda: note() >> 5, ArrowError, "5 (int) stands on the right"),
    row("B9-list-with-number", lambda: note() >> [note(), 5], ArrowError, "5 (int) stands on the right"),
    row("B9-to-nothing", lambda: note() >> [], ArrowError, "nothing to the right", "the list is empty"),
    row("B9-from-nothing", lambda: [] >> note(), ArrowError, "nothing to the left", "the list is empty"),
    row("B9-from-empty-tuple", lambda: () >> note(), ArrowError, "nothing to the left", "the tuple is empty"),
    row("B9-to-tuple", lambda: note() >> (note(), note()), ArrowError, "(tuple)", "use a list to fan out"),
    row("B9-to-function", lambda: note() >> len, ArrowError, "built-in function len", "task(...) makes"),
    row("B9-to-flow", lambda: note() >> etl, ArrowError, "<flow etl>", "etl(...)"),
    row("B9-from-flow", lambda: etl >> note(), ArrowError, "<flow etl>", "call the flow: etl(...)"),
    row("B9-from-text", lambda: "x" >> note(), ArrowError, "'x' (str) stands on the left", "task(value)"),
    row("B9-from-array", lambda: np.array([1, 2]) >> note(), ArrowError, "(ndarray) stands on the left"),
    row(
        "B9-to-item", lambda: note() >> note()[0], ArrowError, "note()[0] takes no arguments", "note() itself"
    ),
    row("B9-holds-itself", holds_itself, ArrowError, "nested too deeply, or holds itself"),
    row("B10-plus", lambda: note() >> note() + note(), LookedInsideError, "+", "inside a task"),
    row(
        "B10-if", lambda: note() >> note() if note() else note(), LookedInsideError, "neither true nor false"
    ),
    row("B10-greater", lambda: note() > note(), LookedInsideError, ">", ">> connects tasks"),
    row("B10-chain", lambda: note() > note() > note(), LookedInsideError, ">> connects tasks"),
    row("B10-less-less", lambda: note() << note(), LookedInsideError, "<<", "connect tasks with >>"),
    row("B10-or", lambda: note() >> note() | note(), LookedInsideError, "|"),
    row("B10-bare-greater", lambda: note > one, ArrowError, "<task note>", ">", "connect tasks with >>"),
    row("B10-bare-or", lambda: note | one, ArrowError, "<task note>", "|", "connect tasks with >>"),
    row("B10-bare-plus", lambda: note + 1, ArrowError, "<task note>", "+"),
]


@pytest.mark.parametrize(
    ("use", "error", "words"), [pytest.param(*r.values[:2], r.values[2:], id=r.id) for r in REFUSED]
)
def test_a_bad_composition_is_refused_before_anything_runs(use, error, words, folder):
    assert_refused(use, error, words, folder)


# --- what is odd and works -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Frozen:
    value: Any


Named = namedtuple("Named", "left right")


def first_and_all(values: Any) -> Any:
    return values[0], values[1] is values


def array_of(value: Any) -> Any:
    return np.array([value, None], dtype=object)


def circular() -> Any:
    values = [one(5)]
    values.append(values)
    return values


def chain(length: int) -> int:
    call = note(1)
    for _ in range(length - 1):
        call = call >> note()
    return len(Flow("chain", call).compile().nodes)


def diamonds(levels: int) -> int:
    value = one(1)
    for _ in range(levels):
        value = task(lambda x, y: x + y, name="add")(value, value)
    return run(value, executor="inline")


def used_after_a_run() -> Any:
    call = one(3)
    return [run(call), run([call, call])]


same = one(1)

WORKS = [
    row("B3-widening", lambda: len(Flow("f", edge(int, float)).compile().nodes), 2),
    row("B3-subclass", lambda: len(Flow("f", edge(Derived, Base)).compile().nodes), 2),
    row("B3-protocol", lambda: len(Flow("f", edge(Runner, Runs)).compile().nodes), 2),
    row("B5-equal", lambda: [same == 1, same != 1, same in {same: 1}], [False, True, True]),
    row("B5-repr", lambda: repr(same[0]["k"]), "<lazy one()[0]['k']>"),
    row("B6-dict-key", lambda: run(note({one(1): 2})), {1: 2}),
    row("B6-set", lambda: run(note({one(1), 2})), {1, 2}),
    row("B6-frozen", lambda: run(note(Frozen(one(1)))), Frozen(1)),
    row("B6-named-tuple", lambda: run(note(Named(one(1), 2))), Named(1, 2)),
    row("B6-array-of-objects", lambda: run(note(array_of(one(1)))).tolist(), [1, None]),
    row("B6-holds-itself", lambda: run(task(first_and_all)(circular())), (5, True)),
    row("B7-twice-is-one", lambda: len(Flow("f", [same, pair(same, same)]).compile().nodes), 2),
    row("B7-after-a-run", used_after_a_run, [3, [3, 3]]),
    row("B13-chain-of-20000", lambda: chain(20_000), 20_000),
    row(
        "B13-20000-inputs",
        lambda: len(Flow("f", note([one(n) for n in range(20_000)])).compile().nodes),
        20_001,
    ),
    row("B13-two-to-the-20-paths", lambda: diamonds(20), 2**20),
]


@pytest.mark.parametrize(("use", "result"), WORKS)
def test_what_is_odd_but_legal_works(use, result):
    assert use() == result


def test_b5_a_lazy_value_is_no_json():
    with pytest.raises(TypeError):
        json.dumps({"a": one(1)})


def test_b4_a_result_of_another_type_fails_the_attempt_with_its_preview():
    def says_int() -> int:
        return "text"  # type: ignore[return-value]

    with pytest.raises(RunFailed) as caught:
        run(task(says_int)())

    for word in ("says_int()", "returns int", "'text' (str), not int"):
        assert word in str(caught.value)
