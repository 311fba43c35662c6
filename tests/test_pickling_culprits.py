"""What can't be pickled is told with the path to the part at fault."""

import collections
import functools
import sys
import threading

import attrs
import pytest
from support.script import run_script

from liteflow.errors import NotPicklableError
from liteflow.pickling import Definitions, dumps, pack


@attrs.frozen
class Frozen:
    a: object
    b: object


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b


def is_hole(_value):
    return False


LOCK = threading.Lock()


class HoldsLock:
    lock = None

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Unrepresentable:
    def __repr__(self):
        raise RuntimeError("no repr")


class Grumpy:
    """Its attributes can't be looked at, nor can it be pickled."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __reduce_ex__(self, protocol):
        raise TypeError("won't")


class PrivateSlot:
    __slots__ = ("__lock",)

    def __init__(self):
        self.__lock = LOCK


def closure_over(value):
    if not value:
        never = 1
    return lambda: (value, never)


def holds_itself():
    value = {"more": []}
    value["more"] += [value, LOCK]
    return value


CULPRITS = [
    (LOCK, "", "lock"),
    ([1, LOCK], "[1]", "lock"),
    ({"k": (1, {2: LOCK})}, "['k'][1][2]", "lock"),
    (HoldsLock(x={"k": [0, 1, 2, LOCK]}), ".x['k'][3]", "lock"),
    (Slots(1, LOCK), ".b", "lock"),
    (PrivateSlot(), "._PrivateSlot__lock", "lock"),
    (Frozen(1, {"n": LOCK}), ".b['n']", "lock"),
    ({Unrepresentable(): LOCK}, "[<Unrepresentable>]", "lock"),
    ([Unrepresentable(), LOCK], "[1]", "lock"),
    ({LOCK: 1}, " <a key>", "lock"),
    ({LOCK}, " <an item>", "lock"),
    (collections.deque([0, LOCK]), "[1]", "lock"),
    (closure_over(LOCK), " <value>", "lock"),
    ((lambda x=LOCK: x), " <a default>", "lock"),
    ((lambda *, x=LOCK: x), " <default of x>", "lock"),
    (functools.partial(max, 1, key=LOCK), ".keywords['key']", "lock"),
    (HoldsLock(lock=LOCK).__init__, ".__self__.lock", "lock"),
    (ValueError("x", LOCK), ".args[1]", "lock"),
    (holds_itself(), "['more'][1]", "lock"),
    ([Grumpy()], "[0]", "Grumpy"),
    ((n for n in [1]), "", "generator"),
    ({"log": sys.stdout.buffer}, "['log']", None),
]


@pytest.mark.parametrize("value,path,culprit", CULPRITS, ids=[path or "itself" for _, path, _ in CULPRITS])
def test_what_can_not_be_pickled_is_told_with_the_path_to_it(value, path, culprit):
    for attempt in (lambda: dumps(value), lambda: pack(value, is_hole, Definitions())):
        with pytest.raises(NotPicklableError) as caught:
            attempt()

        assert caught.value.path == path
        assert culprit in (None, caught.value.culprit)
        assert caught.value.why


def test_what_a_class_or_a_function_of_the_script_holds_is_told_by_its_name():
    run_script(
        """
        import threading
        from liteflow.errors import NotPicklableError
        class Job:
            lock = threading.Lock()
        connection = threading.Lock()
        def work(): return helper()
        def helper(): return connection

        for value, path in [([Job()], "[0] <class Job>.lock"), (work, " <helper> <connection>")]:
            try:
                there(lambda v: v, value)
            except NotPicklableError as error:
                assert error.path == "[1][0]" + path, error.path
                assert error.culprit == "lock"
            else:
                raise AssertionError("it went")
        """
    )


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v, lambda: 1)])
def test_what_is_nested_too_deeply_is_told_so(wrap):
    value = 1
    for _ in range(100_000):
        value = wrap(value)

    with pytest.raises(NotPicklableError, match="nested too deeply"):
        dumps(value)

    # Taken apart by hand: Python's own clearing of such a value may overflow the stack.
    while isinstance(value, list | dict | tuple):
        value = value["k"] if isinstance(value, dict) else value[0]


def test_what_exits_while_it_is_pickled_is_not_taken_for_unpicklable():
    class Exits:
        def __reduce__(self):
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        dumps(Exits())
