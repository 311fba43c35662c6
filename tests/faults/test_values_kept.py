"""What a value is, it is after a resume, in another process: the script's classes are the same classes.

first session: make --value--> store | killed | second session: store --value--> look (is it what it was?)
"""

from __future__ import annotations

import ast

import pytest
from support.drivers import Folder, change, done, ended, kill, query, until

from liteflow.keys import Keyring
from liteflow.signing import PYTHON, seal_for

HEAD = """
import dataclasses, enum, math
from typing import Any, NamedTuple

class Colour(enum.Enum):
    RED = 1

class Flags(enum.Flag):
    A = 1
    B = 2

@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    colour: Colour = Colour.RED

class Outer:
    class Inner(Exception):
        def __init__(self, code, why):
            super().__init__(code, why)
            self.code = code

class Pair(NamedTuple):
    a: Any
    b: Any

class Text(str):
    pass

def shift(x):
    return x + 1

@task
def make(what: str) -> object:
    note(f"make {what}")
    return VALUES[what]

@task
def all_made(*values: Any) -> None:
    note("all made")

@task
def look(what: str, value: Any, after: None) -> list[str]:
    note(f"look {what}")
    while not Path("open").exists():
        time.sleep(0.005)
    return failing(what, value)

def failing(what, value):
    return [claim for claim, holds in CLAIMS[what](value).items() if not holds]

@flow
def kinds():
    made = {what: make(what).named(f"make {what}") for what in VALUES}
    after = all_made(*made.values())
    return {what: look(what, made[what], after).named(f"look {what}") for what in VALUES}

if __name__ == "__main__":
    run = kinds.run(run_id="r")
    print({what: [said, failing(what, run.output(f"make {what}"))] for what, said in run.result.items()})
"""

# An expression that makes a value, and what must hold of it, in the task and where its run is read.
VALUES = {
    "an enum": ("Colour.RED", ["value is Colour.RED"]),
    "a flag": ("Flags.A | Flags.B", ["value == Flags.A | Flags.B", "type(value) is Flags"]),
    "a dataclass": ("Point(3)", ["type(value) is Point", "value == Point(3)", "value.colour is Colour.RED"]),
    "an exception of a nested class": (
        "Outer.Inner(7, 'why')",
        ["type(value) is Outer.Inner", "value.code == 7", "value.args == (7, 'why')"],
    ),
    "a named tuple": ("Pair(1, Colour.RED)", ["type(value) is Pair", "value.b is Colour.RED"]),
    "a subclass of str": ("Text('t')", ["type(value) is Text", "value == 't'"]),
    "classes themselves": ("[Point, Colour, Outer.Inner]", ["value == [Point, Colour, Outer.Inner]"]),
    "many in one": (
        "{Colour.RED: [Point(1), (Outer.Inner, None)]}",
        ["value[Colour.RED][0] == Point(1)", "value[Colour.RED][1][0] is Outer.Inner"],
    ),
    "not a number": ("math.nan", ["type(value) is float", "value != value"]),
    "no finite number": ("[math.inf, -math.inf, -0.0]", ["str(value) == '[inf, -inf, -0.0]'"]),
    "a large whole number": ("10**40", ["type(value) is int", "value == 10**40"]),
    "a tuple": ("(1, (2, ()), [3])", ["type(value) is tuple", "value == (1, (2, ()), [3])"]),
    "None, True and bytes": (
        "[None, True, b'\\x00']",
        ["value == [None, True, b'\\x00']", "value[1] is True"],
    ),
    "sets": ("[{1, 2}, frozenset('ab')]", ["value == [{1, 2}, frozenset('ab')]"]),
    "half a character": ("'\\ud800'", ["value == '\\ud800'"]),
    "many bytes": ("bytes(9_000_000)", ["value == bytes(9_000_000)"]),
    "a function": ("shift", ["value(1) == 2"]),
    "a lambda": ("lambda x: x * 3", ["value(2) == 6"]),
}


def begin(folder: Folder, values: dict[str, tuple[str, list[str]]]) -> None:
    """Run until the values have committed, and kill the driver."""
    made = "".join(f"    {what!r}: {value},\n" for what, (value, _) in values.items())
    # As code, not as text to be evaluated: a function takes along what it names.
    looks = "".join(
        f"    {what!r}: lambda value: {{{', '.join(f'{claim!r}: {claim}' for claim in claims)}}},\n"
        for what, (_, claims) in values.items()
    )
    begun, main = HEAD.split("if __name__", 1)
    folder.write(f"{begun}\nVALUES = {{\n{made}}}\nCLAIMS = {{\n{looks}}}\n\nif __name__{main}")
    process = folder.python("flow.py")
    until(lambda: folder.states().get("all_made") == "succeeded")
    kill(process)
    (folder.path / "open").touch()


def gone_on(folder: Folder) -> dict[str, list[list[str]]]:
    """Go on; give for each value which claims did not hold, in the task and where the run is read."""
    made = {name: count for name, count in folder.starts().items() if name.startswith("make")}
    found: dict[str, list[list[str]]] = ast.literal_eval(done(folder.python("flow.py")))
    assert {name: folder.starts()[name] for name in made} == dict.fromkeys(made, 1)
    assert made
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """What did not hold of each value, and of one of which something false was claimed."""
    folder = Folder(tmp_path_factory.mktemp("values"))
    false = ("Point(3)", ["value == Point(4)", "value == Point(3)"])
    begin(folder, VALUES | {"false": false})
    held = gone_on(folder)
    folder.close()
    return held


@pytest.mark.parametrize("what", VALUES)
def test_a_value_is_what_it_was_after_a_resume(found: dict[str, list[list[str]]], what: str) -> None:
    assert found[what] == [[], []]


def test_a_claim_that_does_not_hold_would_be_seen(found: dict[str, list[list[str]]]) -> None:
    assert found["false"] == [["value == Point(4)"], ["value == Point(4)"]]


def as_if_of_another_python(folder: Folder) -> None:
    """Let the store say, with right checks, that another Python has made what it holds."""
    other = PYTHON + 1
    version = f"{other // 100}.{other % 100}.0"
    change(folder.db, "UPDATE run SET python = ?", version)
    change(folder.db, "UPDATE session SET python = ?", version)
    ((store_id,),) = query(folder.db, "SELECT value FROM meta WHERE name = 'store_id'")
    key = Keyring().own()
    assert key is not None
    seal = seal_for(key, store_id, "r")
    columns = "id, attempt, codec, by_value, type, size, sha256"
    for row_id, attempt, codec, by_value, *facts in query(
        folder.db, f"SELECT {columns} FROM outcome WHERE state = 'succeeded'"
    ):
        python = other if by_value else 0
        mac = seal.value(row_id & 0xFFFFFFFF, attempt, codec, python, *facts)
        change(folder.db, "UPDATE outcome SET by_value = ?, mac = ? WHERE id = ?", python, mac, row_id)


def test_code_of_another_python_is_refused_by_name(folder: Folder) -> None:
    begin(folder, {"lambda": ("lambda x: x", [])})
    as_if_of_another_python(folder)
    status, _, err = ended(folder.python("flow.py"))

    assert status == 1
    other = f"{PYTHON // 100}.{PYTHON % 100 + 1}"
    assert f"the value of 'make lambda' in run r holds code of Python {other}" in err
    assert folder.starts() == {"make lambda": 1, "all made": 1, "look lambda": 1}


def test_plain_values_and_classes_of_the_script_go_on_under_another_python(folder: Folder) -> None:
    values = {
        "plain": ("(1, 'two', [3.0])", ["value == (1, 'two', [3.0])"]),
        "point": ("Point(3)", ["value == Point(3)", "value.colour is Colour.RED"]),
    }
    begin(folder, values)
    as_if_of_another_python(folder)

    assert gone_on(folder) == {"plain": [[], []], "point": [[], []]}
