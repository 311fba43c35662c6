"""One attempt: arguments are put together, results checked, and failures told so that they can travel."""

import dataclasses
import threading
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.laws import examples

from liteflow import pickling, xcom
from liteflow.errors import NotPicklableError, ResultTypeError
from liteflow.executor.attempt import ERROR_CHARS, failure_of, perform, resolve
from liteflow.function import Function
from liteflow.pickling import Definitions, pack


def function(fn, returns=Any, is_async=False, retry_on=(Exception,)):
    return Function(fn, fn.__name__, returns, is_async, retry_on)


def result(fn, *args, returns=Any, values=(), is_async=False, **kwargs):
    encoded = perform(function(fn, returns, is_async), args, kwargs, lambda source: values[source])
    return xcom.decode(encoded.codec, b"".join(encoded.parts))


def echo(*args, **kwargs):
    return args, kwargs


# --- arguments -----------------------------------------------------------------------------


class Hole:
    def __init__(self, source, path=()):
        self.argument = (source, path)


def packed(value):
    found = pack(value, lambda o: isinstance(o, Hole), Definitions())
    return (found.data, tuple(hole.argument for hole in found.holes))


def test_arguments_are_atoms_values_of_others_items_of_them_and_pickles_with_holes():
    values = [{"k": [1, 2]}, "x"]

    args, kwargs = result(
        echo,
        1,
        None,
        (1, ()),
        (0, ("k", 1)),
        packed([Hole(1), {Hole(1): Hole(0, ("k", 0))}]),
        packed((1, 2)),
        values=values,
        a=b"bytes",
        b=(0, ()),
    )

    assert args == (1, None, "x", 2, ["x", {"x": 1}], (1, 2))
    assert kwargs == {"a": b"bytes", "b": values[0]}


def test_a_path_may_hold_any_key():
    value = {(1, 2): {frozenset("a"): "found"}}

    path = pickling.dumps(((1, 2), frozenset("a"))).data

    assert resolve((0, path, 0), lambda source: value) == "found"


def test_an_item_that_is_not_there_is_the_tasks_failure():
    with pytest.raises(KeyError):
        result(echo, (0, ("nope",)), values=[{}])


async def later(n):
    return n + 1


def test_a_coroutine_function_gives_what_it_returns():
    assert result(later, 1, returns=int, is_async=True) == 2


# --- results -------------------------------------------------------------------------------


def test_a_result_of_another_type_than_announced_is_told_with_the_value():
    with pytest.raises(ResultTypeError) as caught:
        result(lambda: ["x", 1], returns=list[str])

    assert "'<lambda>'" not in str(caught.value)
    assert "list[str]" in str(caught.value)
    assert "[1] is 1 (int)" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "returns", "told"),
    [
        ("a text", int, "its result is 'a text' (str), not int; correct"),
        (None, int, "its result is None, not int; correct"),
        ({"a": 1}, int, 'its result is a dict, not int: {"a": 1}; correct'),
        ([1, "b"], list[int], "its result[1] is 'b' (str), not int: [1, \"b\"]; correct"),
    ],
)
def test_what_is_wrong_with_a_result_is_told_with_the_value_once(value, returns, told):
    with pytest.raises(ResultTypeError) as caught:
        result(lambda: value, returns=returns)

    assert told in str(caught.value)


@pytest.mark.parametrize("returns", [Any, list[int]])
def test_a_generator_as_a_result_is_told_what_to_do_instead(returns):
    with pytest.raises(TypeError, match=r"return list\(...\)"):
        result(lambda: (n for n in [1]), returns=returns)


def test_a_result_that_can_not_be_stored_names_the_part():
    with pytest.raises(NotPicklableError) as caught:
        result(lambda: {"a": [threading.Lock()]})

    assert caught.value.path == "['a'][0]"


# --- failures ------------------------------------------------------------------------------


def failure(fn, *args, retry_on=(Exception,)):
    task = function(fn, retry_on=retry_on)
    try:
        perform(task, args, None, lambda source: None)
    except BaseException as error:  # noqa: BLE001  as the executors do, whose frames are liteflow's
        assert error.__traceback__ is not None
        return failure_of(error.with_traceback(error.__traceback__.tb_next), task)
    raise AssertionError("it did not fail")


def raises(error):
    raise error


def as_it_travelled(error):
    """The exception as it is read in another place, or None if only its text can be."""
    data = failure(raises, error).exception
    return None if data is None else pickling.loads(data)


def test_a_failure_is_a_line_and_the_tasks_own_traceback():
    told = failure(raises, ValueError("no such file\nat all"))

    assert told.error == "ValueError: no such file"
    assert told.traceback.startswith("Traceback (most recent call last):\n")
    assert "in raises" in told.traceback
    assert "liteflow/executor" not in told.traceback.replace("\\", "/")
    assert told.traceback.endswith("ValueError: no such file\nat all\n")


class NotFound(Exception):
    def __init__(self, name):
        super().__init__(f"{name} not found")
        self.name = name


class TwoArguments(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.both = (first, second)


class KeywordsOnly(OSError):
    def __init__(self, *, path):
        super().__init__(2, "no such file", path)


@dataclasses.dataclass
class DataError(Exception):
    code: int
    text: str = ""


class Plain(LookupError):
    pass


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 1),
        KeyError(("a", 1)),
        OSError(2, "No such file", "f.csv"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        NotFound("x"),
        TwoArguments(1, 2),
        KeywordsOnly(path="p"),
        DataError(3, "t"),
        Plain(),
        ExceptionGroup("both", [ValueError(1), NotFound("y")]),
        SystemExit(3),
        StopIteration(5),
    ],
    ids=lambda e: type(e).__name__,
)
def test_an_exception_comes_back_as_it_was(error):
    error.add_note("a note")

    back = as_it_travelled(error)

    assert type(back) is type(error)
    assert (str(back), repr(back)) == (str(error), repr(error))
    assert back.__notes__ == ["a note"]
    assert vars(back) == vars(error)


class HoldsLock(Exception):
    def __init__(self):
        super().__init__("locked", threading.Lock())


class Huge(Exception):
    pass


class ExitsWhenRead(Exception):
    def __reduce__(self):
        return raises, (SystemExit(7),)


class ExitsWhenPickled(Exception):
    def __reduce__(self):
        raise SystemExit(7)


class OtherWhenRead(Exception):
    def __reduce__(self):
        return ValueError, ("other",)


@pytest.mark.parametrize(
    "error", [HoldsLock(), Huge("x" * 100_000), Huge(threading.Lock)], ids=["lock", "huge", "code"]
)
def test_an_exception_that_can_not_travel_is_told_by_its_text(error):
    told = failure(raises, error)

    assert told.exception is None or type(pickling.loads(told.exception)) is type(error)
    assert told.error.startswith(f"{__name__}.{type(error).__name__}: ")
    assert told.traceback


@pytest.mark.parametrize("kind", [ExitsWhenRead, ExitsWhenPickled, OtherWhenRead])
def test_an_exception_whose_pickling_does_harm_goes_without_it(kind):
    back = as_it_travelled(kind("x"))

    assert type(back) is kind
    assert back.args == ("x",)


def bad_text(harm):
    class BadText(Exception):
        def __str__(self):
            raise harm

    return BadText()


@pytest.mark.parametrize("harm", [RuntimeError(), SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_an_exception_whose_text_does_harm_is_told_by_its_name(harm):
    told = failure(raises, bad_text(harm))

    assert "BadText" in told.error
    assert type(harm).__name__ in told.error
    assert "BadText" in told.traceback


def endless(n):
    return endless(n + 1)


def chained(length):
    error = ValueError(0)
    for n in range(length):
        later = ValueError(n)
        later.__cause__ = error
        error = later
    return error


@pytest.mark.parametrize(
    "fn",
    [
        lambda: raises(ValueError("x" * 50_000_000)),
        lambda: endless(0),
        lambda: raises(chained(1000)),
        lambda: raises(ExceptionGroup("many", [ValueError("x" * 1000) for _ in range(1000)])),
        lambda: raises(ValueError("\n" * 30_000 + "end")),
    ],
    ids=["text", "recursion", "causes", "group", "lines"],
)
def test_however_much_an_exception_has_to_say_it_is_told_shortly(fn):
    told = failure(fn)

    assert len(told.error) < 700
    assert "\n" not in told.error
    assert len(told.traceback) < ERROR_CHARS + 100
    assert told.exception is None or len(told.exception) <= 64 * 1024


@example("a\0b\ud800")
@given(st.text(st.characters(exclude_categories=()), max_size=30))
@settings(deadline=None, max_examples=examples(50))
def test_any_text_of_an_exception_can_be_stored(text):
    told = failure(raises, ValueError(text))

    for part in (told.error, told.traceback):
        part.encode("utf-8")
        assert "\0" not in part
    assert pickling.loads(told.exception).args == (text,)


@pytest.mark.parametrize(
    "retry_on,error,again",
    [
        ((Exception,), ValueError(), True),
        ((Exception,), SystemExit(), False),
        ((KeyError, OSError), FileNotFoundError(), True),
        ((KeyError, OSError), ValueError(), False),
    ],
)
def test_only_the_exceptions_of_the_policy_are_worth_another_attempt(retry_on, error, again):
    assert failure(raises, error, retry_on=retry_on).retryable is again


def test_a_function_that_could_not_even_be_read_may_be_tried_again():
    assert failure_of(ImportError("no module named etl"), None).retryable
