"""A run goes on with a script that has changed: what the change concerns runs again, and it says why."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from support.drivers import Folder, done, ended

SCRIPT = '''
RATE = 2

def rated(x: int) -> int:
    return RATE * x

@task
def extract(n: int = 5) -> list[int]:
    """Give some numbers."""
    note("extract")
    return list(range(n))

@task
def transform(rows: list[int], scale: int = 1) -> list[int]:
    note("transform")
    return [scale * rated(row) for row in rows]

@task
def count(rows: list[int]) -> int:
    note("count")
    return len(rows)

@task
def load(values: list[int], count: int) -> str:
    note("load")
    if not Path("gate").exists():
        raise OSError("the gate is shut")
    return f"{count}: {sum(values)}"

@flow
def etl(n: int = 5):
    rows = extract(n)
    return load(transform(rows), count(rows))

if __name__ == "__main__":
    run = etl.resume(check=False) if "resume" in sys.argv else etl.run(check=False)
    print(run.state, run.result if run.failure is None else run.failure)
'''


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A run of which all has committed but the last task, which failed."""
    made = Folder(tmp_path_factory.mktemp("failed"))
    made.write(SCRIPT)
    assert done(made.python("flow.py")).startswith("failed")
    return made


@pytest.fixture
def begun(failed: Folder, folder: Folder) -> Folder:
    """A copy of that, where the reason of the failure is gone."""
    shutil.copytree(failed.path, folder.path, dirs_exist_ok=True)
    (folder.path / "gate").touch()
    return folder


def resumed(folder: Folder, *changes: tuple[str, str]) -> tuple[str, str, set[str]]:
    """Go on with a changed script; give what it printed, what it said, and which tasks started again."""
    source = SCRIPT
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    folder.write(source)
    before = folder.starts()
    # The run was begun by an interpreter of its own.
    status, out, err = ended(folder.script("flow.py", "resume"))
    assert status == 0, err
    started = {name for name, count in folder.starts().items() if count != before.get(name)}
    return out.strip(), err, started


# What is changed, what the run gives then, which tasks start, and what is said of them.
CHANGES: dict[str, tuple[list[tuple[str, str]], str, str, list[str]]] = {
    "nothing": ([], "5: 20", "load", ["3 of 4 results are kept"]),
    "a comment": ([("RATE = 2", "# rate\nRATE = 2  # two")], "5: 20", "load", ["3 of 4"]),
    "a docstring": ([("Give some numbers.", "Give numbers.")], "5: 20", "load", ["3 of 4"]),
    "a docstring that was not there": (
        [('    note("count")', '    """Count."""\n    note("count")')],
        "5: 20",
        "load",
        ["3 of 4"],
    ),
    "retries": (
        [("@task\ndef transform", "@task(retries=3, timeout=9)\ndef transform")],
        "5: 20",
        "load",
        ["3 of 4"],
    ),
    "blank lines": ([("@task\ndef count", "\n\n\n@task\ndef count")], "5: 20", "load", ["3 of 4"]),
    "code": (
        [("[scale *", "[1 + scale *")],
        "5: 25",
        "transform load",
        ["2 of 4", "transform runs again: its code changed"],
    ),
    "code at the root": (
        [("list(range(n))", "list(range(n))[1:]")],
        "4: 20",
        "extract transform count load",
        [
            "0 of 4",
            "extract runs again: its code changed",
            "count runs again: its input from extract changed",
        ],
    ),
    "a function that it calls": (
        [("RATE * x", "RATE * x + 1")],
        "5: 25",
        "transform load",
        ["transform runs again: its code changed"],
    ),
    "a default": (
        [("scale: int = 1", "scale: int = 10")],
        "5: 200",
        "transform load",
        ["transform runs again: its code changed"],
    ),
    "a constant argument": (
        [("transform(rows)", "transform(rows, 3)")],
        "5: 60",
        "transform load",
        ["transform runs again: its arguments changed"],
    ),
    "an edge": (
        [("count(rows))", "count(transform(rows)))")],
        "5: 20",
        "count load transform-2",
        ["count runs again: its rows comes from transform"],
    ),
    "a task between": (
        [
            (
                "@task\ndef load",
                '@task\ndef twice(x: int) -> int:\n    note("twice")\n    return 2 * x\n\n@task\ndef load',
            ),
            ("count(rows))", "twice(count(rows)))"),
        ],
        "10: 20",
        "twice load",
        ["3 of 5 results are kept"],
    ),
    "a task that is gone": ([(", count(rows))", ", 7)")], "7: 20", "load", ["2 of 3 results are kept"]),
    "a task renamed": (
        [("def count(rows: list[int])", "def size(rows: list[int])"), ("count(rows))", "size(rows))")],
        "5: 20",
        "count load",
        ["2 of 4 results are kept"],
    ),
    "the order": (
        [
            (
                "    return load(transform(rows), count(rows))",
                "    counted = count(rows)\n    return load(values=transform(rows), count=counted)",
            )
        ],
        "5: 20",
        "load",
        ["3 of 4"],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_change_concerns_runs_again_and_nothing_else(begun: Folder, what: str) -> None:
    changes, result, started, words = CHANGES[what]
    out, err, again = resumed(begun, *changes)

    assert out == f"succeeded {result}"
    # The script's `transform` of an edge that changed is called twice; it notes one name.
    assert again == {name.partition("-")[0] for name in started.split()}
    assert [word for word in words if word not in err] == [], err
    assert begun.query("SELECT count(*) FROM runs") == [(1,)]
    assert begun.run_state() == "succeeded"


def test_what_a_task_was_given_by_the_module_is_not_looked_at_and_that_is_said(begun: Folder) -> None:
    """A limit, stated in docs/guarantees.md: global variables are no part of a task's code."""
    assert resumed(begun, ("RATE = 2", "RATE = 3"))[0] == "succeeded 5: 20"


def test_the_views_show_the_graph_as_it_is_now(begun: Folder) -> None:
    resumed(begun, ("load(transform(rows), count(rows))", "load(rows, 7)"))

    assert begun.query("SELECT source, parameter FROM edges WHERE target = 'load'") == [("extract", "values")]


def test_a_result_that_is_not_needed_any_more_is_still_there(begun: Folder) -> None:
    resumed(begun, (", count(rows))", ", 7)"))

    assert begun.query("SELECT preview FROM xcoms WHERE key = 'count'") == [("5",)]


def test_a_resume_says_on_the_command_line_which_and_why(begun: Folder) -> None:
    begun.write(SCRIPT.replace("[scale *", "[1 + scale *"))
    status, _, err = ended(begun.liteflow("resume", "--file", "flow.py"))

    assert status == 0
    assert "transform: its code changed" in err.replace(" runs again", "")


def test_arguments_are_those_of_the_beginning_also_where_a_default_has_changed(begun: Folder) -> None:
    assert resumed(begun, ("def etl(n: int = 5)", "def etl(n: int = 9)"))[0] == "succeeded 5: 20"


def value(folder: Folder, key: str) -> Any:
    return folder.query("SELECT preview FROM xcoms WHERE key = ?", key)[0][0]


def test_a_change_is_made_again_when_it_is_taken_back(begun: Folder) -> None:
    (begun.path / "gate").unlink()
    begun.write(SCRIPT.replace("[scale *", "[1 + scale *"))
    done(begun.python("flow.py", "resume"))
    assert value(begun, "transform") == "[1, 3, 5, 7, 9]"
    (begun.path / "gate").touch()

    assert resumed(begun)[0] == "succeeded 5: 20"
    assert value(begun, "transform") == "[0, 2, 4, 6, 8]"
