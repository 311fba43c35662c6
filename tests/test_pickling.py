"""Values, functions and classes as bytes: what they are in the process that reads them."""

import collections
import dataclasses
import enum
import functools
import importlib
import operator
import subprocess
import sys
import textwrap
import threading
import typing

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.script import run_script

from liteflow import pickling
from liteflow.errors import NotPicklableError
from liteflow.pickling import Definitions, dumps, importable, loads, pack, unpack

# --- classes of the script -----------------------------------------------------------------

KINDS = {
    "class": "class X:\n    def __eq__(self, other): return type(self) is type(other)\nmake = lambda: X()",
    "class with slots": (
        "class X:\n"
        "    __slots__ = ('a', '__b')\n"
        "    def __init__(self): self.a = self.__b = 1\n"
        "    def __eq__(self, other): return self.__b == other.__b\n"
        "make = lambda: X()"
    ),
    "nested class": (
        "@dataclasses.dataclass\n"
        "class Outer:\n"
        "    @dataclasses.dataclass\n"
        "    class Inner:\n"
        "        @dataclasses.dataclass\n"
        "        class X: a: int = 1\n"
        "make = lambda: Outer.Inner.X(2)"
    ),
    "dataclass": (
        "@dataclasses.dataclass\n"
        "class X:\n"
        "    a: int\n"
        "    b: list = dataclasses.field(default_factory=list)\n"
        "make = lambda: X(1)"
    ),
    "frozen dataclass with slots": (
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass X:\n    a: int\nmake = lambda: X(1)"
    ),
    "attrs class": (
        "@attrs.frozen\n"
        "class X:\n"
        "    a: int = attrs.field(validator=attrs.validators.instance_of(int))\n"
        "    b: list = attrs.field(factory=list)\n"
        "make = lambda: attrs.evolve(X(1), a=2)"
    ),
    "NamedTuple": "class X(typing.NamedTuple):\n    a: int = 1\nmake = lambda: X(5)",
    "namedtuple": "X = collections.namedtuple('X', 'a b')\nmake = lambda: X(1, 2)._replace(b=3)",
    "exception": (
        "class X(Exception):\n"
        "    def __eq__(self, other): return self.args == other.args\n"
        "make = lambda: X('why')"
    ),
    "abstract base": (
        "class Base(abc.ABC):\n"
        "    @abc.abstractmethod\n"
        "    def go(self): ...\n"
        "class X(Base):\n"
        "    def go(self): return super().__init__\n"
        "    def __eq__(self, other): return isinstance(other, Base)\n"
        "make = lambda: X()"
    ),
    "generic class": (
        "T = typing.TypeVar('T')\n"
        "@dataclasses.dataclass\n"
        "class X(typing.Generic[T]):\n"
        "    a: T\n"
        "make = lambda: X[int](1)"
    ),
    "class with a metaclass": (
        "class Meta(type):\n"
        "    def __len__(cls): return 7\n"
        "class X(metaclass=Meta):\n"
        "    def __eq__(self, other): return len(type(other)) == 7\n"
        "make = lambda: X()"
    ),
    "class with a cached property": (
        "@dataclasses.dataclass\n"
        "class X:\n"
        "    a: int\n"
        "    @functools.cached_property\n"
        "    def double(self): return 2 * self.a\n"
        "make = lambda: (lambda x: x if x.double == 2 and 'double' in vars(x) else None)(X(1))"
    ),
    "class with a cached method": (
        "@dataclasses.dataclass(frozen=True)\n"
        "class X:\n"
        "    a: int\n"
        "    @functools.lru_cache(maxsize=3)\n"
        "    def down(self): return X(self.a - 1).down() if self.a else 5\n"
        "make = lambda: X(X(2).down() + X.down.cache_parameters()['maxsize'])"
    ),
    "class with a method for each type": (
        "@dataclasses.dataclass\n"
        "class X:\n"
        "    a: object\n"
        "    @functools.singledispatchmethod\n"
        "    def show(self, x): return 'other'\n"
        "    @show.register\n"
        "    def _(self, x: int): return 'int'\n"
        "make = lambda: X(X(1).show(3) + X(1).show(''))"
    ),
    "class with properties and class methods": (
        "@dataclasses.dataclass\n"
        "class X:\n"
        "    a: int = 1\n"
        "    kept = {}\n"
        "    @property\n"
        "    def twice(self): return self.a * 2\n"
        "    @classmethod\n"
        "    def make(cls): return cls(cls.plus(3))\n"
        "    @staticmethod\n"
        "    def plus(n): return n + X().twice\n"
        "make = lambda: X.make()"
    ),
    "derived class": "class Base(dict): pass\nclass X(Base): pass\nmake = lambda: X(a=1)",
}

IMPORTS = "import abc, attrs, builtins, collections, dataclasses, enum, functools, pickle, sys, typing\n"


@pytest.mark.parametrize("definition", KINDS.values(), ids=KINDS)
def test_an_object_of_the_script_is_of_the_same_class_after_a_visit_to_another_process(definition):
    run_script(
        f"{IMPORTS}{definition}\n"
        "value = make()\n"
        "back, made = there(lambda v: v, value), there(make)\n"
        "assert type(back) is type(made) is type(value), (type(back), type(made))\n"
        "assert back == made == value, (back, made)\n"
    )


@pytest.mark.parametrize("definition", KINDS.values(), ids=KINDS)
def test_what_another_process_makes_of_a_class_of_the_script_is_known_by_its_name_again(definition):
    # By its name alone: so it is of the same class also where the run is resumed, or looked at later.
    run_script(
        f"{IMPORTS}from liteflow import pickling\n{definition}\n"
        "there(lambda v: None, make())\n"
        "by_value, name, slots = there(\n"
        "    lambda: (pickling.dumps(make()).by_value, type(make()).__qualname__, hasattr(make(), '__dict__'))\n"
        ")\n"
        "assert (by_value, name) == (False, type(make()).__qualname__)\n"
        "assert slots == hasattr(make(), '__dict__')\n"
    )


@pytest.mark.parametrize("definition", KINDS.values(), ids=KINDS)
def test_a_class_of_the_script_is_one_and_the_same_in_all_that_another_process_reads(definition):
    run_script(
        f"{IMPORTS}{definition}\n"
        "def keep(v): builtins.kept = type(v)\n"
        "there(keep, make())\n"
        "assert there(lambda v, m: type(v) is type(m()) is builtins.kept, make(), make)\n"
        "assert there(lambda: type(make()) is builtins.kept)\n"
    )


ENUMS = {
    "plain": "class E(enum.Enum):\n    A = 1\n    B = 2",
    "text": "class E(enum.StrEnum):\n    A = enum.auto()\n    B = enum.auto()",
    "number": "class E(enum.IntEnum):\n    A = 1\n    B = 2",
    "with methods": "class E(enum.Enum):\n    A = 1\n    B = 2\n    def other(self): return E.B",
    "marks": "class E(enum.Enum):\n    A = object()\n    B = object()",
    "values that are functions": (
        "class E(enum.Enum):\n    A = functools.partial(max, 1)\n    B = functools.partial(min, 1)"
    ),
    "nested": "class Outer:\n    class E(enum.Enum):\n        A = 1\n        B = 2\nE = Outer.E",
    "flag": "class E(enum.Flag):\n    A = 1\n    B = 2",
    "made by call": "E = enum.Enum('E', 'A B')",
}


@pytest.mark.parametrize("definition", ENUMS.values(), ids=ENUMS)
def test_an_enum_member_of_the_script_is_itself_here_and_there(definition):
    run_script(
        f"{IMPORTS}{definition}\n"
        "assert there(lambda e: e, E.A) is E.A\n"
        "assert there(lambda: E.B) is E.B\n"
        "assert there(lambda e, both: e is E.A and both == [E.A, E.B], E.A, [E.A, E.B])\n"
        "assert there(lambda d: d[E.A], {E.A: 'a', E.B: 'b'}) == 'a'\n"
    )


def test_flags_of_several_members_come_back_as_they_were():
    run_script(
        """
        import enum
        class Flag(enum.Flag):
            A = 1
            B = 2
        assert there(lambda f: f, Flag.A | Flag.B) is Flag.A | Flag.B
        assert there(lambda f: f, Flag(0)) is Flag(0)
        """
    )


@pytest.mark.parametrize(
    "definition",
    [
        "X = typing.NewType('X', int)",
        "class Base: pass\nX = typing.NewType('X', Base)",
        "X = typing.TypeVar('X')",
        "X = typing.ParamSpec('X')",
        "X = typing.TypeVarTuple('X')",
    ],
)
def test_a_type_that_is_no_class_is_itself_after_a_visit_to_another_process(definition):
    run_script(
        f"{IMPORTS}{definition}\n"
        "assert there(lambda x: x, X) is X\n"
        "assert there(lambda: X) is X\n"
        "there(lambda x: setattr(builtins, 'kept', x), X)\n"
        "assert there(lambda x: x is builtins.kept, X)\n"
    )


def test_a_new_type_named_like_a_class_is_not_taken_for_it():
    run_script(
        """
        import typing
        class Id: pass
        Other = typing.NewType("Id", int)
        assert there(lambda new, old: (new(3), type(old).__name__), Other, Id()) == (3, "Id")
        assert there(lambda: Other(4)) == 4

        Key = typing.NewType("Key", int)
        def clash():
            import sys
            sys.modules["__main__"].Key = "something else"
        there(clash)
        assert there(lambda: Key(5)) == 5
        """
    )


def test_classes_that_refer_to_each_other_are_the_same_everywhere():
    run_script(
        """
        class Tree:
            def leaf(self): return Leaf(self)
        class Leaf(Tree):
            kind = Tree
            def __init__(self, parent): self.parent = parent
            def forest(self): return Forest([self, self.parent])
        class Forest(list):
            def first(self): return self[0].leaf()
        Tree.leaf_class = Leaf

        leaf = there(lambda tree: tree.leaf().forest().first(), Tree())

        assert type(leaf) is Leaf and type(leaf.parent) is Leaf and type(leaf.parent.parent) is Tree
        assert there(lambda t, l: t.leaf_class is type(l) and type(l).kind is type(t), Tree(), Leaf(Tree()))
        assert len(there.definitions.bundles) == 1
        assert there.definitions.bundles[0].names == ("Forest", "Leaf", "Tree")
        """
    )


def test_a_register_of_derived_classes_holds_the_classes_themselves():
    run_script(
        """
        class Zoo:
            known = {}
            def __init_subclass__(cls, **kwargs):
                Zoo.known[cls.__name__] = cls
        class Dog(Zoo): pass
        class Ant(Dog): pass

        assert there(lambda: Zoo.known == {"Dog": Dog, "Ant": Ant})
        """
    )


def test_a_class_travels_once_however_many_values_need_it():
    run_script(
        """
        class Point:
            def __init__(self, x): self.x = x
        class Line(tuple): pass

        there(lambda p: p, Point(1))
        there(lambda p: Point(p.x), Point(2))
        assert [b.names for b in there.definitions.bundles] == [("Point",)]
        there(lambda *ps: Line(ps), Point(1), Point(2))
        assert [b.names for b in there.definitions.bundles] == [("Point",), ("Line",)]
        """
    )


def test_a_class_uses_classes_that_came_before_it():
    run_script(
        """
        import builtins
        class First: pass
        there(lambda c: setattr(builtins, "kept", c), First)
        class Second(First):
            def first(self): return First()
        assert there(lambda c: c.__mro__[1] is type(c().first()) is builtins.kept, Second)
        assert [b.names for b in there.definitions.bundles] == [("First",), ("Second",)]
        """
    )


def test_a_class_that_is_not_found_by_its_name_goes_by_value():
    run_script(
        """
        def make(n):
            class Local:
                def get(self): return n
            return Local
        Lost = make(1)
        class Gone:
            def get(self): return 2
        Kept = Gone
        class Gone:
            def get(self): return 3

        assert there(lambda a, b, c: [a.get(), b.get(), c.get()], Lost(), Kept(), Gone()) == [1, 2, 3]
        assert type(there(lambda k: k, Lost())) is Lost
        """
    )


def test_a_task_that_makes_a_class_of_its_own_may_return_an_object_of_it():
    run_script(
        """
        def work():
            class Local:
                x = 3
            return Local()
        back = there(work)
        assert (back.x, type(back).__qualname__) == (3, "work.<locals>.Local")
        """
    )


def test_a_class_that_is_nowhere_to_be_found_is_named_in_the_error():
    run_script(
        """
        from liteflow import pickling
        class Point: pass
        data = pickling.dumps(Point(), there.definitions).data
        del Point
        try:
            pickling.loads(data)
        except AttributeError as error:
            assert "class 'Point' is not defined in the main script" in str(error), error
        else:
            raise AssertionError("it was read")
        pickling.learn(there.definitions.bundles)
        assert type(pickling.loads(data)) is Point
        """
    )


def test_a_definition_that_could_not_be_read_can_be_read_later():
    run_script(
        """
        import sys, types
        from liteflow import pickling
        helper = sys.modules["helper"] = types.ModuleType("helper")
        exec("class Base: pass", helper.__dict__)
        class Point(helper.Base): pass
        data = pickling.dumps(Point(), there.definitions).data
        del Point, sys.modules["helper"]
        pickling.learn(there.definitions.bundles)
        try:
            pickling.loads(data)
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError("it was read")
        sys.modules["helper"] = helper
        assert type(pickling.loads(data)) is Point
        """
    )


def test_a_class_of_a_script_loaded_by_the_command_line_is_one_of_the_main_script():
    run_script(
        """
        import sys
        from liteflow.pickling import SCRIPT_MODULE
        script = sys.modules[SCRIPT_MODULE] = sys.modules["__main__"]
        __name__ = script.__name__ = SCRIPT_MODULE
        class Point: pass
        def make(): return helper()
        def helper(): return Point()
        assert Point.__module__ == SCRIPT_MODULE
        assert type(there(make)) is Point
        assert type(there(lambda p: p, Point())) is Point
        """
    )


# --- functions -----------------------------------------------------------------------------

FUNCTIONS = {
    "lambda": "f = lambda n: n + 1",
    "function that calls others": "def g(n): return n + 1\ndef f(n): return g(n)",
    "recursive function": "def f(n, m=1): return n + 1 if m == 0 else f(n, m - 1)",
    "closure": "def outer(k):\n    def inner(n): return n + k\n    return inner\nf = outer(1)",
    "closure without a value yet": (
        "def outer():\n"
        "    def f(n): return n + 1 if n else later\n"
        "    yield f\n"
        "    later = 1\n"
        "f = next(outer())"
    ),
    "partial": "f = functools.partial(lambda k, n: n + k, 1)",
    "defaults": "def f(n, *, k=[1]): return n + k[0]",
    "bound method": "class A:\n    k = 1\n    def m(self, n): return n + self.k\nf = A().m",
    "class method": "class A:\n    k = 1\n    @classmethod\n    def m(cls, n): return n + cls.k\nf = A.m",
    "callable object": "class A:\n    def __call__(self, n): return n + 1\nf = A()",
    "builtin": "f = (1).__add__",
    "cached function": (
        "@functools.lru_cache(maxsize=None)\n"
        "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "def f(n): return n + (fib(60) == 1548008755920)"
    ),
    "function for each type": (
        "@functools.singledispatch\n"
        "def size(x): return 0\n"
        "@size.register\n"
        "def _(x: list): return sum(size(i) for i in x)\n"
        "@size.register\n"
        "def _(x: int): return x\n"
        "def f(n): return size([n, [1, 'x']])"
    ),
    "typed decorator": (
        "P = typing.ParamSpec('P'); R = typing.TypeVar('R'); Ts = typing.TypeVarTuple('Ts')\n"
        "def plus(fn: typing.Callable[P, R]) -> typing.Callable[P, R]:\n"
        "    def inner(*args: P.args, **kwargs: P.kwargs) -> R: return fn(*args, **kwargs) + 1\n"
        "    return inner\n"
        "def rest(*args: *Ts) -> tuple[*Ts]: return args\n"
        "f = plus(lambda n: rest(n)[0])"
    ),
    "function with marks of dataclasses": (
        "@dataclasses.dataclass\n"
        "class A:\n"
        "    k: int\n"
        "def f(n): return n + (dataclasses.fields(A)[0].default is dataclasses.MISSING)"
    ),
    "function with attributes": "def f(n): return n + f.k\nf.k = 1",
    "code": "code = compile('n + 1', 'x', 'eval')\nf = lambda n: eval(code, {'n': n})",
}


@pytest.mark.parametrize("definition", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_of_the_script_works_in_another_process(definition):
    run_script(f"{IMPORTS}{definition}\nassert there(lambda: f(41)) == 42\nassert there(f, 41) == 42\n")


def test_functions_that_travel_together_share_their_globals():
    run_script(
        """
        count = 0
        def add():
            global count
            count += 1
        def get(): return count
        def both(a, g):
            a(); a()
            return g()
        assert there(both, add, get) == 2
        """
    )


def test_a_script_without_a_guard_and_its_classes_work_in_a_worker_that_was_started_anew(tmp_path):
    (tmp_path / "beside.py").write_text("def double(n):\n    return 2 * n\n")
    script = tmp_path / "script.py"
    worker = (
        "import pickle, sys; from liteflow import pickling; bundles, data = pickle.load(sys.stdin.buffer);"
        "pickling.learn(bundles); f, args = pickling.loads(data);"
        "sys.stdout.buffer.write(pickling.dumps(f(*args)).data)"
    )
    script.write_text(
        textwrap.dedent(
            f"""
            import enum, os, pickle, subprocess, sys
            import beside
            from liteflow import pickling

            class Color(enum.Enum):
                RED = 1

            def work(color):
                return [color, color is Color.RED, beside.double(21)]

            definitions = pickling.Definitions()
            data = pickling.dumps((work, [Color.RED]), definitions).data
            environment = {{**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}}
            done = subprocess.run([sys.executable, "-c", {worker!r}], env=environment, check=True,
                                  input=pickle.dumps((definitions.bundles, data)), capture_output=True)
            color, same, number = pickling.loads(done.stdout)
            assert color is Color.RED and same and number == 42
            print("well")
            """
        )
    )

    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )

    assert (done.stdout, done.stderr) == ("well\n", "")


# --- what modules have ---------------------------------------------------------------------

MODULE = """
import enum
from functools import lru_cache
from liteflow import task

@task
def work(n):
    return helper(n)

def helper(n):
    return n + 1

class Space:
    @staticmethod
    @task
    def inner(n):
        return n + 2

class Color(enum.Enum):
    RED = 1

@lru_cache
def cached(n):
    return n
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "etl_steps.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("etl_steps")
    del sys.modules["etl_steps"]


@pytest.mark.parametrize(
    "name", ["work.fn", "Space.inner.fn", "helper", "Color", "Color.RED", "cached", "Space", "work"]
)
def test_what_a_module_has_goes_by_reference(module, name):
    thing = operator.attrgetter(name)(module)

    pickled = dumps(thing)

    assert loads(pickled.data) is thing
    assert (pickled.by_value, len(pickled.data) < 150) == (False, True)


def test_the_function_of_a_modules_task_is_imported_in_another_process(module):
    run_script(
        """
        import sys
        import etl_steps
        del sys.modules["etl_steps"]
        import etl_steps

        def calls(n): return etl_steps.work.fn(n)

        def look(fn): return fn(1), fn is sys.modules["etl_steps"].work.fn

        assert there(look, etl_steps.work.fn) == (2, True)
        assert there(calls, 2) == 3
        assert there(lambda: etl_steps.Color.RED) is etl_steps.Color.RED
        """
    )


def test_a_function_hidden_by_another_of_its_name_goes_by_value(module):
    hidden = module.helper
    module.helper = lambda n: n - 1

    assert loads(dumps(hidden).data)(1) == 2
    assert not importable(hidden)
    assert importable(module.Color) and not importable(module.helper) and not importable(3)


# --- holes ---------------------------------------------------------------------------------


class Hole:
    """Stands for a value that is not there yet."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        raise AssertionError("a hole is not pickled")

    def __hash__(self):
        return hash(self.number)


def is_hole(thing):
    return isinstance(thing, Hole)


@dataclasses.dataclass
class Data:
    a: object
    b: object


@attrs.frozen
class Frozen:
    a: object
    b: object


class Pair(typing.NamedTuple):
    a: object
    b: object


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __eq__(self, other):
        return (self.a, self.b) == (other.a, other.b)

    __hash__ = None


HOLES = [Hole(n) for n in range(4)]
ATOMS = st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)


def nested(leaves):
    """Any nesting of containers and objects, as (class, parts) trees, so that it can be built twice."""
    return st.recursive(
        leaves,
        lambda inner: st.tuples(
            st.sampled_from([list, tuple, dict, collections.deque, Data, Frozen, Pair, Slots]),
            st.lists(inner, max_size=3),
        ).map(lambda tree: Tree(*tree)),
        max_leaves=12,
    )


class Tree(typing.NamedTuple):
    kind: type
    parts: list


def build(tree, leaf):
    if not isinstance(tree, Tree):
        return leaf(tree)
    parts = [build(part, leaf) for part in tree.parts]
    if tree.kind is dict:
        return {f"k{i}": part for i, part in enumerate(parts)}
    if tree.kind in (list, tuple, collections.deque):
        return tree.kind(parts)
    return tree.kind(parts, [*parts[:1], "b"])


@given(nested(st.sampled_from(HOLES) | ATOMS), st.lists(ATOMS, min_size=4, max_size=4), st.booleans())
@settings(deadline=None, max_examples=150)
def test_values_stand_in_the_places_of_the_holes_wherever_these_are(tree, values, by_value):
    def filled(leaf):
        return values[leaf.number] if is_hole(leaf) else leaf

    value = build(tree, lambda leaf: leaf)
    # A lambda beside it: then all of it is pickled the other way.
    whole = [value, lambda: 1] if by_value else [value, 1]

    packed = pack(whole, is_hole, Definitions())
    result = unpack(packed.data, [filled(hole) for hole in packed.holes])

    assert result[0] == build(tree, filled)
    assert len(set(packed.holes)) == len(packed.holes)


HOLE = Hole(0)


def closing_over(value):
    return lambda: value


@pytest.mark.parametrize(
    "value,get",
    [
        (HOLE, lambda v: v),
        ({HOLE}, lambda v: next(iter(v))),
        (frozenset([HOLE]), lambda v: next(iter(v))),
        ({HOLE: 1}, lambda v: next(iter(v))),
        ({(1, HOLE): 1}, lambda v: next(iter(v))[1]),
        (functools.partial(max, HOLE), lambda v: v.args[0]),
        (lambda hole=HOLE: hole, lambda v: v()),
        (closing_over(HOLE), lambda v: v()),
        (collections.OrderedDict(a=HOLE), lambda v: v["a"]),
        (collections.defaultdict(list, a=HOLE), lambda v: v["a"]),
        (collections.ChainMap({}, {"a": HOLE}), lambda v: v["a"]),
        (np.array([HOLE, 1], dtype=object), lambda v: v[0]),
        (ValueError("no", HOLE), lambda v: v.args[1]),
        (slice(HOLE), lambda v: v.stop),
        (Slots("x", {"y": [HOLE]}), lambda v: v.b["y"][0]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_hole_is_found_in(value, get):
    packed = pack(value, is_hole, Definitions())

    assert packed.holes == (HOLE,)
    assert get(unpack(packed.data, ["filled"])) == "filled"


def test_one_hole_that_stands_in_many_places_gets_one_object():
    first, second = Hole(0), Hole(1)

    packed = pack([first, {"x": second}, (first, second)], is_hole, Definitions())
    result = unpack(packed.data, [["a"], ["b"]])

    assert packed.holes == (first, second)
    assert result[0] is result[2][0] and result[1]["x"] is result[2][1]


def test_a_value_that_holds_itself_can_have_holes():
    value = [HOLE]
    value.append(value)

    packed = pack(value, is_hole, Definitions())
    result = unpack(packed.data, [1])

    assert result[0] == 1 and result[1] is result


def test_holes_are_filled_in_another_process():
    run_script(
        """
        from liteflow.pickling import pack, unpack
        class Later: pass
        class Point:
            def __init__(self, x): self.x = x
        value = {"p": Point(Later()), "f": lambda n: Point(n)}
        packed = pack(value, lambda o: isinstance(o, Later), there.definitions)
        assert len(packed.holes) == 1
        def read(data, values):
            value = unpack(data, values)
            return value["f"](value["p"].x + 1)
        back = there(read, packed.data, [41])
        assert type(back) is Point and back.x == 42
        """
    )


# --- what can't be pickled -----------------------------------------------------------------

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


# --- any values ----------------------------------------------------------------------------

VALUES = nested(
    ATOMS
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.sampled_from([int, print, Data, enum.Flag, ..., NotImplemented, len, int | None, list[int]])
)


@given(VALUES)
@settings(deadline=None, max_examples=100)
def test_any_value_comes_back_as_it_was_the_short_way_and_the_long(tree):
    value = build(tree, lambda leaf: leaf)

    assert loads(dumps(value).data) == value
    assert loads(dumps([value, lambda: 1]).data)[0] == value


@pytest.mark.parametrize(
    "value,by_value",
    [
        (1, False),
        (Data(1, print), False),
        (type(None), False),
        (int | None, False),
        ([Slots, dumps], False),
        (lambda: 1, True),
        ([1, lambda: 1], True),
        ((lambda: 1).__code__, True),
        (type("Local", (), {"__module__": __name__}), True),
        (functools.lru_cache(lambda: 1), True),
    ],
)
def test_it_is_said_whether_the_bytes_hold_code(value, by_value):
    assert dumps(value).by_value is by_value


# --- large buffers -------------------------------------------------------------------------


def test_large_buffers_lie_beside_the_pickle_and_small_ones_in_it():
    large, small = np.arange(1000.0), np.arange(10.0)

    pickled = dumps([large, small], out_of_band=1000)

    assert len(pickled.buffers) == 1
    assert len(pickled.data) < 1000
    (buffer,) = pickled.buffers
    assert np.shares_memory(np.frombuffer(buffer, dtype="f8"), large)
    back = loads(pickled.data, pickled.buffers)
    assert np.array_equal(back[0], large) and np.array_equal(back[1], small)


def test_buffers_are_not_mixed_up_where_pickling_had_to_begin_again():
    zeros, ones = np.zeros(1000), np.ones(1000)

    pickled = dumps([zeros, lambda: 1, ones], out_of_band=1000)

    assert len(pickled.buffers) == 2
    back = loads(pickled.data, pickled.buffers)
    assert np.array_equal(back[0], zeros) and np.array_equal(back[2], ones)


def test_plain_data_needs_no_cloudpickle():
    code = (
        "import sys, datetime, enum, logging; from liteflow import pickling\n"
        "class Color(enum.Enum): RED = 1\n"
        "Color.__module__ = 'nowhere'\n"
        "pickling.loads(pickling.dumps({'a': [1, datetime.date.today(), logging.INFO, print]}).data)\n"
        "assert 'cloudpickle' not in sys.modules and 'attrs' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=pickling.__path__[0] + "/../..")
