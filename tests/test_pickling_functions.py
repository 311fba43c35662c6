"""Functions of scripts and of modules, and tasks of modules, in another process."""

import importlib
import operator
import subprocess
import sys
import textwrap

import pytest
from support.script import IMPORTS, run_script

from liteflow.pickling import dumps, importable, loads

# --- of the script -------------------------------------------------------------------------

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
