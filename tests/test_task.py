"""Tasks: what can be one, what their settings may be, and that they survive pickling."""

import contextlib
import functools
import importlib
import inspect
import pickle
import sys
import textwrap
from datetime import timedelta
from math import inf, nan

import hypothesis.strategies as st
import pytest
from hypothesis import given

from liteflow import Call, DefinitionError, Flow, Lazy, Policy, Task, flow, pickling, task
from liteflow.errors import ArgumentError, DecoratedError, SettingError, UnknownNameError


@task
def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


@task(retries=3, retry_delay=0.5, backoff=2, timeout=60, tags=("net", "slow"), name="fetch it")
def fetch(url: str) -> bytes:
    return url.encode()


class Adder:
    def __init__(self, n: int) -> None:
        self.n = n

    def add(self, x: int) -> int:
        return self.n + x

    def __call__(self, x: int) -> int:
        return self.n + x


# --- calling -------------------------------------------------------------------------------


def test_calling_a_task_gives_a_lazy_value_and_runs_nothing():
    ran = []
    noisy = task(ran.append)

    assert isinstance(noisy(1), Call)
    assert isinstance(noisy(1), Lazy)
    assert ran == []


def test_fn_is_the_plain_function():
    assert double.fn(4) == 8


def test_a_task_has_the_face_of_its_function():
    assert (double.__name__, double.__doc__, double.__module__) == ("double", "Twice as much.", __name__)
    assert list(inspect.signature(double).parameters) == ["x"]
    assert repr(double) == "<task double>"


def test_settings_are_kept():
    assert fetch.name == "fetch it"
    assert fetch.tags == ("net", "slow")
    assert (fetch.policy.retries, fetch.policy.retry_delay, fetch.policy.backoff) == (3, 0.5, 2.0)
    assert fetch.policy.timeout == 60.0


def test_options_give_a_copy_with_other_settings():
    other = fetch.options(retries=0, name="other")

    assert (other.policy.retries, other.policy.timeout, other.name) == (0, 60.0, "other")
    assert (fetch.policy.retries, fetch.name) == (3, "fetch it")
    assert other.fn is fetch.fn


def test_tasks_of_one_function_and_equal_settings_are_equal():
    assert task(double.fn) == double
    assert task(double.fn, retries=1) != double
    assert len({task(double.fn), double}) == 1


# --- what can be a task (A1 - A8, A23) --------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (double.fn, "double"),
        (lambda x: x, "lambda"),
        (functools.partial(double.fn, 1), "double"),
        (functools.partial(functools.partial(pow, 2), 3), "pow"),
        (len, "len"),
        (str.upper, "upper"),
        (Adder(1).add, "add"),
        (Adder(1), "Adder"),
        (functools.lru_cache(double.fn), "double"),
        (print, "print"),
        (dict.fromkeys, "fromkeys"),
    ],
)
def test_any_callable_can_be_a_task_and_has_its_name(function, name):
    assert task(function).name == name
    assert task(function, name="other").name == "other"
    assert isinstance(task(function)(), Call)


async def coroutine(x: int) -> int:
    return x


class AsyncCallable:
    async def __call__(self) -> int:
        return 1


@pytest.mark.parametrize("function", [coroutine, functools.partial(coroutine, 1), AsyncCallable()])
def test_coroutine_functions_are_known_as_such(function):
    assert task(function).is_async
    assert not double.is_async


def generator():
    yield 1


async def async_generator():
    yield 1


@contextlib.contextmanager
def managed():
    yield 1


class GeneratorCallable:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(
    ("given_", "remedy"),
    [
        (Adder, "lambda x: Adder(x)"),
        (None, "a function is needed"),
        (5, "a function is needed"),
        ("fetch", "@task(name='fetch')"),
        (property(lambda self: 1), "a function is needed"),
        (managed, "`with` inside"),
        (contextlib.asynccontextmanager(async_generator), "`with` inside"),
        (staticmethod(double.fn), "@staticmethod above @task"),
        (classmethod(double.fn), "@classmethod above @task"),
        (double(1), "the result of calling a task"),
    ],
)
def test_what_can_be_no_task_is_refused_when_it_is_decorated(given_, remedy):
    for decorate in (task, task(retries=1)):
        with pytest.raises(DecoratedError) as caught:
            decorate(given_)
        assert isinstance(caught.value, TypeError)
        assert isinstance(caught.value, DefinitionError)
        assert remedy in str(caught.value)


@pytest.mark.parametrize("function", [generator, functools.partial(generator), GeneratorCallable()])
def test_generator_functions_are_known_as_such(function):
    assert task(function).is_generator
    assert not task(function).is_async_generator
    assert not double.is_generator


def test_asynchronous_generator_functions_are_known_as_such():
    assert task(async_generator).is_async_generator
    assert not task(async_generator).is_generator
    assert not task(async_generator).is_async


def test_a_flow_can_be_no_task():
    @flow
    def twice():
        return double(1) >> double()

    with pytest.raises(DecoratedError, match="inside another flow"):
        task(twice)


def test_a_lazy_value_can_be_no_default():
    with pytest.raises(DecoratedError, match=r"'y'.*every call would share it"):

        @task
        def bad(x: int, y: int = double(1)) -> int:
            return x

    with pytest.raises(DecoratedError, match="'y'"):

        @task
        def worse(*, y: int = double(1)) -> int:
            return y


def test_a_task_decorated_again_is_the_same_task():
    assert task(double) is double


def test_a_task_decorated_again_with_settings_has_these_as_well():
    again = task(retries=5)(fetch)

    assert (again.policy.retries, again.policy.timeout, again.fn) == (5, 60.0, fetch.fn)


def test_static_and_class_methods_can_be_tasks_in_the_right_order():
    class Tools:
        @staticmethod
        @task
        def double(x: int) -> int:
            return 2 * x

    assert isinstance(Tools.double, Task)
    assert isinstance(Tools().double(1), Call)


class Scale:
    foreign = double

    def __init__(self, by: object) -> None:
        self.by = by

    @task(retries=1)
    def times(self, x: int = 5) -> int:
        return self.by * x

    @task
    def sums(self, xs: list[int], more: int = 0) -> int:
        return self.by * sum(xs) + more

    @flow
    def both(self, x: int):
        return [self.times(x), self.sums([x])]


def value_of(expression):
    return Flow("f", expression).run(db=None, executor="inline").result


def test_a_method_that_is_a_task_has_its_instance_as_first_argument():
    scale = Scale(3)

    assert value_of([scale.times(2), Scale.times(scale, 2), scale.times()]) == [6, 6, 15]
    assert value_of(scale.times.map([1, 2])) == [3, 6]
    assert value_of(scale.times.starmap([(1,), (2,)])) == [3, 6]
    assert value_of(scale.times.map([1, 2]) >> scale.sums(more=1)) == 28
    assert value_of(scale.times.map([1, 2]) >> scale.sums) == 27
    assert value_of(scale.times.options(retries=2)(2)) == scale.times.fn(2) == 6
    assert value_of(scale.foreign(2)) == 4


def test_the_instance_of_a_method_is_an_argument_like_any_other():
    scale = Scale(3)

    assert value_of(Scale(double(2)).times(2)) == 8
    with pytest.raises(ArgumentError, match=r"2 positional arguments \(self, x\), but 3 are given"):
        scale.times(1, 2)


def test_a_method_may_be_a_flow():
    scale = Scale(3)

    assert scale.both.run(x=2, db=None, executor="inline").result == [6, 6]
    assert value_of(scale.both(2)) == [6, 6]


def test_a_decorator_that_keeps_results_may_stand_below():
    @task
    @functools.cache
    def slow(x: int) -> int:
        return x

    assert slow.fn(3) == 3


# --- settings (A12 - A15) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "bad"),
    [
        *[("retries", v) for v in (-1, 1.5, True, "3", 10**9, None, nan)],
        *[("timeout", v) for v in (0, -1, nan, "10", True, False, 1e300, timedelta(0), timedelta(-1), -inf)],
        *[("retry_delay", v) for v in (-1, nan, inf, 1e12, "1", True, None, timedelta(-1))],
        *[("max_delay", v) for v in (-1, nan, inf, 1e12, "1", True)],
        *[("backoff", v) for v in (0, 0.5, -2, nan, inf, "2", True, None, 10**6)],
        *[("jitter", v) for v in (-0.1, 1.1, nan, "0.5", None, 2)],
        *[("retry_on", v) for v in (None, (), "OSError", OSError("x"), int, (OSError, 5), [])],
        *[("executor", v) for v in ("nope", "", 5, True)],
        *[("tags", v) for v in (5, None, (1,), {"a": 1})],
    ],
)
def test_a_setting_out_of_its_range_is_refused_with_its_name_and_range(setting, bad):
    with pytest.raises(SettingError) as caught:
        task(**{setting: bad})(double.fn)

    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.startswith(f"task double: {setting} must be ")
    assert repr(bad)[:10] in message


@pytest.mark.parametrize(
    ("setting", "given_", "kept"),
    [
        ("retries", 0, 0),
        ("retries", 10_000, 10_000),
        ("timeout", None, None),
        ("timeout", inf, None),
        ("timeout", 0.5, 0.5),
        ("timeout", timedelta(minutes=1), 60.0),
        ("retry_delay", 0, 0.0),
        ("retry_delay", timedelta(seconds=2), 2.0),
        ("max_delay", None, None),
        ("backoff", 1, 1.0),
        ("jitter", True, 1.0),
        ("jitter", False, 0.0),
        ("jitter", 0.25, 0.25),
        ("retry_on", OSError, (OSError,)),
        ("retry_on", [OSError, KeyError], (OSError, KeyError)),
        ("retry_on", KeyboardInterrupt, (KeyboardInterrupt,)),
        ("executor", "thread", "thread"),
        ("executor", None, None),
    ],
)
def test_a_setting_within_its_range_is_kept_in_one_form(setting, given_, kept):
    assert getattr(task(double.fn, **{setting: given_}).policy, setting) == kept


def test_by_default_a_task_is_tried_once_without_a_limit():
    assert double.policy == Policy()
    assert (double.policy.retries, double.policy.timeout, double.policy.retry_on) == (0, None, (Exception,))


@pytest.mark.parametrize("use", [lambda: task(retires=3), lambda: double.options(retires=3)])
def test_an_unknown_setting_is_refused_with_the_nearest_name(use):
    with pytest.raises(UnknownNameError, match="did you mean 'retries'"):
        use()


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("retry", "retries"), ("retrys", "retries"), ("time", "timeout"), ("resource", "resources")],
)
def test_of_settings_that_are_alike_the_same_word_is_nearest_and_then_what_begins_with_it(misspelt, meant):
    with pytest.raises(UnknownNameError, match=f"did you mean '{meant}'"):
        task(**{misspelt: 3})


def test_a_longest_delay_below_the_delay_is_refused():
    with pytest.raises(SettingError, match=r"max_delay must be at least retry_delay \(10 seconds\)"):
        Policy(retry_delay=10, max_delay=5)


# --- names (A16) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        "x" * 201,
        "a\nb",
        "a\0b",
        "a/b",
        "\ud800",
        "a\u202eb",
        "\u2066x",
        "\x1b[31m",
        "a\u2028b",
        5,
        None,
        b"x",
    ],
)
def test_a_name_that_deceives_or_breaks_lines_is_refused(bad):
    with pytest.raises(SettingError, match="name must be"):
        task(double.fn, name=bad)
    with pytest.raises(SettingError, match="name must be"):
        double(1).named(bad)


@pytest.mark.parametrize(
    "good", ["..", "x" * 200, "\u0301\u0302", "🐧", "İstanbul", "ı", "a.b", "mit Leerzeichen"]
)
def test_any_other_name_is_fine(good):
    assert task(double.fn, name=good).name == good


def test_names_that_look_alike_are_one():
    assert task(double.fn, name="cafe\u0301").name == task(double.fn, name="caf\u00e9").name


# --- delays ---------------------------------------------------------------------------------


def test_delays_grow_by_the_backoff_from_the_second_attempt_on():
    policy = Policy(retries=5, retry_delay=0.5, backoff=2)

    assert [policy.delay_before(n, lambda: 0.5) for n in (2, 3, 4)] == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("policy", "longest"),
    [
        (Policy(retry_delay=1, backoff=10), 3600.0),
        (Policy(retry_delay=7200, backoff=10), 7200.0),
        (Policy(retry_delay=1, backoff=10, max_delay=30), 30.0),
        (Policy(retry_delay=1, backoff=1000), 3600.0),
    ],
)
def test_no_delay_is_longer_than_the_longest(policy, longest):
    assert policy.delay_before(10_001, lambda: 0.0) == longest


@given(
    delay=st.floats(0, 1e6),
    backoff=st.floats(1, 1000),
    jitter=st.floats(0, 1),
    attempt=st.integers(2, 10_001),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_jitter_takes_at_most_its_fraction_from_a_delay(delay, backoff, jitter, attempt, chance):
    policy = Policy(retry_delay=delay, backoff=backoff, jitter=jitter)
    whole = Policy(retry_delay=delay, backoff=backoff).delay_before(attempt, lambda: chance)

    taken = policy.delay_before(attempt, lambda: chance)

    assert whole * (1 - jitter) * 0.999999 <= taken <= whole


# --- pickling -------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "house.py").write_text(
        textwrap.dedent(
            """
            from liteflow import task

            @task(retries=2)
            def build(x: int) -> int:
                return x + 1

            class Tools:
                @staticmethod
                @task
                def measure(x: int) -> int:
                    return x
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("house")
    del sys.modules["house"]


def test_a_task_of_a_module_pickles_as_its_name(module):
    assert pickle.loads(pickle.dumps(module.build)) is module.build
    assert pickle.loads(pickle.dumps(module.Tools.measure)) is module.Tools.measure
    assert b"build" in pickle.dumps(module.build)
    assert len(pickle.dumps(module.build)) < 100


def test_its_copy_with_other_settings_pickles_without_its_code(module):
    quick = module.build.options(retries=0, tags="quick", name="quick")

    again = pickling.loads(pickling.dumps(quick).data)

    assert again == quick
    assert again.fn is module.build.fn
    assert (again.policy.retries, again.tags, again.name) == (0, ("quick",), "quick")
    assert not pickling.dumps(quick).by_value


def test_a_task_of_a_local_function_pickles_with_its_function():
    scale = 3

    @task(retries=2)
    def local(x: int) -> int:
        return scale * x

    again = pickling.loads(pickling.dumps(local).data)

    assert again.fn(2) == 6
    assert (again.name, again.policy) == (local.name, local.policy)
