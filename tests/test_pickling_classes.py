"""Classes of a script keep their identity in every process that reads an object of theirs."""

import sys

import pytest
from support.script import IMPORTS, run_script

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
        "def look(): return type(make()).__qualname__, hasattr(make(), '__dict__')\n"
        "there(lambda v: None, make())\n"
        "assert there(look) == look()\n"
        "assert not there(lambda: pickling.dumps(make()).by_value)\n"
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
    "nested": "class Outer:\n    class E(enum.Enum):\n        A = 1\n        B = 2\nE = Outer.E",
    "flag": "class E(enum.Flag):\n    A = 1\n    B = 2",
    "made by call": "E = enum.Enum('E', 'A B')",
}
if sys.version_info < (3, 13):
    # Later ones take such values for methods.
    ENUMS["values that are functions"] = (
        "class E(enum.Enum):\n    A = functools.partial(max, 1)\n    B = functools.partial(min, 1)"
    )


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
