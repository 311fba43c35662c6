"""Code and arguments that are not surely the same are never taken for each other."""

from __future__ import annotations

import functools
import linecache
import sys
import threading
from collections import OrderedDict
from itertools import count
from types import ModuleType

import pytest

from liteflow import Flow, task, unmapped
from liteflow.arrows.step import step_function
from liteflow.arrows.typework import TypeWork
from liteflow.sameness import identity_of
from liteflow.task_types import Python
from liteflow.task_types.work import file_task

_numbers = count()


@pytest.fixture
def module(monkeypatch):
    """Makes a module of the user's from its source."""

    def make(source):
        made = ModuleType("users_own")
        monkeypatch.setitem(sys.modules, made.__name__, made)
        name = f"<users own {next(_numbers)}>"
        monkeypatch.setitem(linecache.cache, name, (len(source), None, source.splitlines(True), name))
        exec(compile(source, name, "exec", dont_inherit=True), vars(made))
        return made

    return make


# Where the number stands that a function's result comes from.
AROUND = {
    "a constant": "RATE = %d\ndef f(x): return x * RATE",
    "a tuple": "RATES = (1, %d)\ndef f(x): return x * RATES[1]",
    "a pattern": "import re\nDIGITS = re.compile('[0-9]{%d}')\ndef f(x): return DIGITS.findall(x)",
    "a partial": """
from functools import partial
def times(rate, x): return rate * x
by = partial(times, %d)
def f(x): return by(x)""",
    "a decorator's argument": """
import functools
def times(rate):
    def decorate(fn):
        @functools.wraps(fn)
        def wrapped(x): return fn(x) * rate
        return wrapped
    return decorate
@times(%d)
def same(x): return x
def f(x): return same(x)""",
    "what a decorator does": """
import functools
def decorate(fn):
    @functools.wraps(fn)
    def wrapped(x): return fn(x) * %d
    return wrapped
@decorate
def same(x): return x
def f(x): return same(x)""",
    "a function with a cache": """
import functools
@functools.lru_cache
def times(x): return x * %d
def f(x): return times(x)""",
    "a table of functions": "def times(x): return x * %d\nBY = {'x': times}\ndef f(x): return BY['x'](x)",
    "a task": "from liteflow import task\n@task\ndef g(x): return x * %d\ndef f(x): return g.fn(x)",
    "an object's class": """
class Rates:
    def times(self, x): return x * %d
rates = Rates()
def f(x): return rates.times(x)""",
    "an attribute of a class": "class Rates:\n    rate = %d\ndef f(x): return x * Rates.rate",
    "a class in a class": """
class Outer:
    class Inner:
        def times(self, x): return x * %d
def f(x): return Outer.Inner().times(x)""",
    "a base class": """
class Base:
    def times(self, x): return x * %d
class Rates(Base): pass
def f(x): return Rates().times(x)""",
    "a property": """
class Rates:
    @property
    def rate(self): return %d
def f(x): return x * Rates().rate""",
    "a static method": """
class Rates:
    @staticmethod
    def rate(): return %d
def f(x): return x * Rates.rate()""",
    "a dataclass's default": """
from dataclasses import dataclass
@dataclass
class Rates:
    rate: int = %d
def f(x): return x * Rates().rate""",
    "an enum's value": """
from enum import Enum
class Rate(Enum):
    A = %d
def f(x): return Rate.A.value * x""",
    "the class of an argument": """
class Rates:
    def times(self, x): return x * %d
def f(rates: Rates, x): return rates.times(x)""",
    "the class of arguments, as text": """
from __future__ import annotations
class Rates:
    def times(self, x): return x * %d
def f(rates: list[Rates] | None, x): return rates[0].times(x)""",
    "a method beside a method": """
class Rates:
    def times(self, x): return x * %d
    def f(self, x): return self.times(x)
f = Rates.f""",
}


@pytest.mark.parametrize("source", AROUND.values(), ids=AROUND)
def test_what_stands_around_a_function_is_a_part_of_it(module, source):
    identities = [identity_of(module(source % number).f) for number in (2, 3, 2)]

    assert len(identities[0]) == 16
    assert identities[0] == identities[2]
    assert identities[0] != identities[1]


UNCHANGED = {
    "a comment": "def f(x): return x  # %d",
    "a docstring": 'def f(x):\n    "%d"\n    return x',
    "what it does not name": "def f(x): return x\nother = %d",
    "what may change while it runs": "seen = [%d]\ndef f(x): seen.append(x)",
}


@pytest.mark.parametrize("source", UNCHANGED.values(), ids=UNCHANGED)
def test_what_a_function_does_not_depend_on_is_no_part_of_it(module, source):
    two, three = (identity_of(module(source % number).f) for number in (2, 3))
    assert two == three != b""


def holding(value):
    return lambda x: (x, value)


class Locked:
    def __init__(self, number):
        self.number = number
        self.lock = threading.Lock()

    def __call__(self, x):
        return x + self.number


def test_a_function_that_holds_what_has_no_bytes_is_the_same_as_none():
    held = Locked(1)
    functions = [holding(held), held, functools.partial(holding, held), held.__call__, lambda x, y=held: x]

    assert [identity_of(function) for function in functions] == [b""] * 5


def test_a_task_whose_code_can_not_be_told_runs_each_time(tmp_path):
    ran = []
    for number in (1, 2):
        made = task(Locked(number), name="made", cache=True)
        run = Flow("f", made(1)).run(db=tmp_path / "x.db", executor="inline")
        ran.append((run.result, run.tasks["made"].state))
    assert ran == [(2, "succeeded"), (3, "succeeded")]


def test_what_is_held_counts_however_large_it_is():
    one, other = list(range(100_001)), [*range(100_000), -1]
    assert identity_of(holding(one)) == identity_of(holding(list(one))) != identity_of(holding(other))


def class_of(number):
    class Rates:
        rate = number

        def times(self, x):
            return x * number

    return Rates


def answers(number):
    return lambda: number


class Held:
    def __init__(self, number):
        self.answer = answers(number)


DIFFERENT = {
    "order in dicts": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "order in other dicts": (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    "classes": (class_of(1), class_of(2)),
    "objects of classes": (class_of(1)(), class_of(2)()),
    "functions": (answers(1), answers(2)),
    "objects that hold functions": (Held(1), Held(2)),
    "partials": (functools.partial(answers, 1), functools.partial(answers, 2)),
}


@pytest.mark.parametrize("values", DIFFERENT.values(), ids=DIFFERENT)
def test_arguments_that_do_otherwise_have_other_results(tmp_path, values):
    @task(cache=True)
    def made(value) -> int:
        return 1

    @task(cache=True)
    def made_of_all(*values) -> int:
        return 1

    def states(called, *given):
        run = Flow("f", called(*given)).run(db=tmp_path / "x.db", executor="inline")
        return [one.state for one in run.tasks.values()]

    assert [states(made, value) for value in (*values, *values)] == [["succeeded"]] * 2 + [["cached"]] * 2
    assert [states(made_of_all, *given) for given in (values, values[::-1])] == [["succeeded"]] * 2


def test_named_arguments_in_another_order_are_others_for_who_takes_any(tmp_path):
    @task(cache=True)
    def header(**columns: int) -> list[str]:
        return list(columns)

    flows = [header(a=1, b=2), header(b=2, a=1)]
    results = [Flow("f", one).run(db=tmp_path / "x.db", executor="inline").result for one in flows]
    assert results == [["a", "b"], ["b", "a"]]


def test_a_step_of_an_arrow_flow_is_its_function_and_how_it_is_called():
    def one(input):
        return input

    steps = [step_function(one, True), step_function(one, False), step_function(lambda input: 1, True)]
    assert len({identity_of(step) for step in steps}) == 3


@pytest.mark.parametrize("work", [lambda text: Python(run=text), lambda text: Python(call=text)])
def test_a_step_that_is_python_is_what_it_names_in_modules(tmp_path, monkeypatch, work):
    monkeypatch.syspath_prepend(tmp_path)
    text = "own_steps:step" if work("a:b").call else "from own_steps import step\nresult = step()"
    identities = []
    for number in (1, 22):
        (tmp_path / "own_steps.py").write_text(f"def step():\n    return {number}\n")
        identities.append(identity_of(TypeWork(work(text))))
    assert len(set(identities)) == 2


def test_a_task_type_of_the_users_is_its_code_too(module):
    source = """
from attrs import frozen
from liteflow.task_types import TaskType
from liteflow.task_types.work import file_task
@frozen(kw_only=True)
class Greet(TaskType):
    kind = "greet"
    def run(self): return 'hello %d'
f = file_task(Greet(), ())"""
    assert identity_of(module(source % 1).f) == identity_of(module(source % 1).f)
    assert identity_of(module(source % 1).f) != identity_of(module(source % 2).f) != b""


def test_a_script_of_a_file_is_what_it_says_and_what_it_names_in_modules(tmp_path):
    def identity(script, rate):
        (tmp_path / "own_rates.py").write_text(f"RATE = {rate}\n\n\ndef times(x):\n    return x * RATE\n")
        return identity_of(file_task(Python(run=script), (), str(tmp_path)))

    script = "import own_rates\nresult = own_rates.times(${{ params.x }})"
    other = "from own_rates import times\nresult = times(${{ params.x }})"

    assert identity(script, 2) == identity(script, 2) != identity(script, 30)
    assert identity(other, 2) == identity(other, 2) != identity(other, 30)
    assert identity(script, 2) != identity(other, 2)


@task(cache=True)
def applied(fn, x):
    return fn(x)


def grown(*given):
    return applied(*given)


def grown_map(fn, items):
    return applied.map(unmapped(fn), items)


PLACES = {
    "a call": lambda go: applied(go, 1),
    "beside the items of a map": lambda go: applied.map(unmapped(go), [1]),
    "an item of a map": lambda go: applied.map([go], [1]),
    "a call that a task returned": lambda go: task(lambda: grown(go, 1), name="grow")(),
    "a map that a task returned": lambda go: task(lambda: grown_map(go, [1]), name="grow")(),
    "an item of a map that a task returned": lambda go: task(lambda: applied.map([go], [1]), name="grow")(),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_function_of_a_module_counts_by_its_code_wherever_it_is_given(module, tmp_path, place):
    def result(number):
        go = module(f"def go(x):\n    return x + {number}").go
        found = Flow("f", place(go)).run(db=tmp_path / "x.db", executor="inline")
        states = [one.state for one in found.tasks.values()]
        value = found.result if type(found.result) is int else found.result[0]
        return value, "cached" in states

    assert [result(number) for number in (1, 20, 1)] == [(2, False), (21, False), (2, True)]


def test_what_leads_to_too_much_code_to_look_at_is_the_same_as_nothing(module):
    chain = "\n".join(f"def f{n}(x): return f{n + 1}(x)" for n in range(2_100))
    made = module(f"{chain}\ndef f2100(x): return x")

    assert identity_of(made.f0) == b""
    assert identity_of(made.f200) != b""
