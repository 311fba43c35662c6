"""Parameters: how the arguments of a call are bound to them."""

import functools
import json

import pytest

from liteflow import LiteflowError, task


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


# --- parameters (A8 - A11) --------------------------------------------------------------------


def plain(a, b=1): ...
def positional_only(a, /, b): ...
def keyword_only(a, *, b): ...
def rest(a, *args): ...
def extra(a, **kwargs): ...
def everything(a, /, b, *args, c, d=4, **kwargs): ...
def hostile(self, _, inputs, db, task): ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "bound"),
    [
        (plain, (1, 2), {}, {"a": 1, "b": 2}),
        (plain, (), {"b": 2}, {"b": 2}),
        (positional_only, (1,), {"b": 2}, {"a": 1, "b": 2}),
        (keyword_only, (1,), {"b": 2}, {"a": 1, "b": 2}),
        (rest, (1, 2, 3), {}, {"a": 1, "args": (2, 3)}),
        (extra, (1,), {"x": 2}, {"a": 1, "kwargs": {"x": 2}}),
        (everything, (1, 2, 3), {"c": 4, "e": 5}, {"a": 1, "b": 2, "args": (3,), "c": 4, "kwargs": {"e": 5}}),
        (hostile, (1, 2), {"inputs": 3, "db": 4}, {"self": 1, "_": 2, "inputs": 3, "db": 4}),
        (hostile, (), {"self": 1, "task": 2}, {"self": 1, "task": 2}),
        (max, (1, 2), {"key": len}, {"args": (1, 2), "kwargs": {"key": len}}),
        (len, ([],), {}, {"obj": []}),
        (functools.partial(plain, b=5), (1,), {}, {"a": 1}),
        (Adder(1).add, (1,), {}, {"x": 1}),
        (Adder(1), (1,), {}, {"x": 1}),
    ],
)
def test_arguments_are_bound_to_parameters_of_every_kind(function, args, kwargs, bound):
    assert task(function)(*args, **kwargs)._arguments == bound


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "message"),
    [
        (plain, (1, 2, 3), {}, r"plain\(\) takes 2 positional arguments \(a, b\), but 3 are given"),
        (plain, (1,), {"a": 1}, r"plain\(\): 'a' is given twice"),
        (plain, (), {"aa": 1}, r"plain\(\) has no parameter 'aa'; did you mean 'a'\? it has: a, b"),
        (positional_only, (), {"a": 1}, r"'a' can be given by position only"),
        (keyword_only, (1, 2), {}, r"takes 1 positional argument \(a\), but 2 are given"),
        (lambda: 1, (1,), {}, r"lambda\(\) takes no positional arguments, but 1 is given"),
        (everything, (1,), {"a": 2}, r"'a' is given twice"),
    ],
)
def test_arguments_that_cannot_be_bound_are_refused_at_the_call(function, args, kwargs, message):
    with pytest.raises(TypeError, match=message) as caught:
        task(function)(*args, **kwargs)
    assert isinstance(caught.value, LiteflowError)


def test_annotations_are_read_late_so_that_they_may_name_what_comes_later():
    namespace = {"task": task}
    exec("@task\ndef f(x: 'Later') -> 'Later': ...\nclass Later: ...", namespace)

    assert namespace["f"].signature.returns is namespace["Later"]
    assert namespace["f"].signature.parameters[0].annotation is namespace["Later"]


def test_annotations_that_cannot_be_resolved_mean_anything():
    @task
    def f(x: "Missing", y: int) -> "list[Missing]": ...  # noqa: F821

    assert dict(f.signature.typed) == {"y": int}


def test_a_lazy_value_is_no_json():
    with pytest.raises(TypeError):
        json.dumps(double(1))
