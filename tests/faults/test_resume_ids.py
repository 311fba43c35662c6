"""One id, one run: begun if it is new, gone on with if it is unfinished, given back if it is finished.

etl.run(run_id="r") --new--> run
                    --unfinished (its driver died, was cancelled)--> go on
                    --finished--> the same Run again; no task starts
"""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from support.drivers import Folder, done, ended, kill, until

from liteflow.errors import NotResumableError, OtherArgumentsError, RunFailed
from liteflow.flow import Flow, flow
from liteflow.store.db import APPLICATION_ID
from liteflow.task import task

SCRIPT = """
from enum import Enum

class Mode(Enum):
    FAST = 1

@task
def first(n: int) -> dict[str, int]:
    note("first")
    return {"n": n}

@task
def second(found: dict[str, int], tags: object, mode: object) -> tuple[int, str]:
    note("second")
    while Path("wait").exists():
        time.sleep(0.01)
    if Path("fail").exists():
        raise ValueError("told to fail")
    return found["n"], mode.name

@flow
def etl(n: int = 1, tags: object = None, mode: Mode = Mode.FAST):
    return second(first(n), tags, mode)

@flow
def other(n: int = 1):
    return first(n)

if __name__ == "__main__":
    from liteflow.errors import LiteflowError
    try:
        run = eval(sys.argv[1])
        print(run.id, run.state, run.failure or run.result)
    except LiteflowError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def script(folder: Folder) -> Folder:
    folder.write(SCRIPT)
    return folder


def said(folder: Folder, call: str, **options: object) -> str:
    """What comes of a call in a process of its own."""
    return done(folder.python("flow.py", call, **options)).strip()


RUN = "etl.run(run_id='r', check=False)"


def test_a_finished_run_is_given_back_with_its_values_and_nothing_starts(script: Folder) -> None:
    assert said(script, RUN) == "r succeeded (1, 'FAST')"
    assert said(script, RUN) == "r succeeded (1, 'FAST')"
    assert script.starts() == {"first": 1, "second": 1}


def test_a_run_that_failed_is_given_back_with_its_failure(script: Folder) -> None:
    (script.path / "fail").touch()
    first = said(script, RUN)
    (script.path / "fail").unlink()

    assert "r failed run r of etl failed: second: ValueError: told to fail" in first
    assert said(script, RUN) == first
    assert script.starts() == {"first": 1, "second": 1}
    assert said(script, "etl.resume('r')") == "r succeeded (1, 'FAST')"
    assert script.starts() == {"first": 1, "second": 2}


def test_a_run_whose_driver_was_killed_goes_on(script: Folder) -> None:
    (script.path / "wait").touch()
    process = script.python("flow.py", RUN)
    until(lambda: "second" in script.starts() and script.states().get("first") == "succeeded")
    kill(process)
    (script.path / "wait").unlink()

    assert said(script, RUN) == "r succeeded (1, 'FAST')"
    assert script.starts() == {"first": 1, "second": 2}


def test_a_run_that_was_cancelled_goes_on(script: Folder) -> None:
    (script.path / "wait").touch()
    process = script.python("flow.py", RUN)
    until(lambda: "second" in script.starts())
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130
    assert script.run_state() == "cancelled"
    (script.path / "wait").unlink()

    assert said(script, RUN) == "r succeeded (1, 'FAST')"
    assert script.starts() == {"first": 1, "second": 2}


@pytest.mark.parametrize("state", ["succeeded", "failed", "interrupted"])
def test_other_arguments_under_the_same_id_are_refused(script: Folder, state: str) -> None:
    if state == "failed":
        (script.path / "fail").touch()
    if state == "interrupted":
        (script.path / "wait").touch()
        process = script.python("flow.py", RUN)
        until(lambda: "second" in script.starts())
        kill(process)
        (script.path / "wait").unlink()
    else:
        said(script, RUN)
    before = script.starts()

    refused = said(script, "etl.run(n=2, run_id='r')")

    assert refused.startswith("OtherArgumentsError run r was begun with another n:")
    assert script.starts() == before


def test_an_argument_that_is_as_its_default_is_the_same_argument(script: Folder) -> None:
    said(script, RUN)

    assert said(script, "etl.run(n=1, mode=Mode.FAST, run_id='r')") == "r succeeded (1, 'FAST')"
    assert said(script, "etl.run(inputs={'n': 1}, run_id='r')") == "r succeeded (1, 'FAST')"


def test_the_order_of_sets_and_dicts_makes_no_other_arguments(script: Folder) -> None:
    calls = [
        "etl.run(run_id='r', tags={'x': {'a', 'b', 'c', 'd', 'e'}, 'y': 2})",
        "etl.run(run_id='r', tags={'y': 2, 'x': {'e', 'd', 'c', 'b', 'a'}})",
    ]
    for seed in range(4):
        env = {"PYTHONHASHSEED": str(seed)}
        assert said(script, calls[seed % 2], env=env) == "r succeeded (1, 'FAST')"

    assert script.starts() == {"first": 1, "second": 1}


def test_an_unfinished_run_with_sets_goes_on_in_a_process_with_another_order(script: Folder) -> None:
    call = "etl.run(run_id='r', tags={'a', 'b', 'c', 'd', 'e'})"
    (script.path / "wait").touch()
    process = script.python("flow.py", call, env={"PYTHONHASHSEED": "1"})
    until(lambda: "second" in script.starts() and script.states().get("first") == "succeeded")
    kill(process)
    (script.path / "wait").unlink()
    for seed in ("2", "3"):
        assert said(script, call, env={"PYTHONHASHSEED": seed}) == "r succeeded (1, 'FAST')"

    assert script.starts() == {"first": 1, "second": 2}


def test_an_id_of_another_flow_is_refused(script: Folder) -> None:
    said(script, RUN)

    assert "run r can't be resumed: it is a run of flow etl, not of other" in said(
        script, "other.run(run_id='r')"
    )


def test_the_same_id_in_another_file_is_another_run(script: Folder) -> None:
    said(script, RUN)

    assert said(script, "etl.run(run_id='r', db='b.db')") == "r succeeded (1, 'FAST')"
    assert script.starts() == {"first": 2, "second": 2}


# --- within one process ----------------------------------------------------------------------


@pytest.fixture
def db(tmp_path):
    return tmp_path / "liteflow.db"


started: list[str] = []


@task
def noted(name: str) -> str:
    started.append(name)
    return name.upper()


@task
def shut(text: str, gate: list[int]) -> str:
    if not gates:
        raise OSError("shut")
    return text


gates: list[int] = []


@flow
def short(name: str = "a"):
    return noted(name)


@flow
def gated(name: str = "g"):
    return shut(noted(name), [])


@pytest.fixture(autouse=True)
def nothing_started():
    started.clear()
    gates.clear()


def test_a_run_that_is_given_back_is_a_run_in_every_respect(db) -> None:
    first = short.run(run_id="r", db=db, executor="inline")
    again = short.run(run_id="r", db=db, executor="inline")

    assert (again.id, again.flow, again.state, again.db) == (first.id, first.flow, first.state, first.db)
    assert (again.result, again["noted"], again.output("noted"), list(again)) == ("A", "A", "A", ["noted"])
    assert again.tasks == first.tasks
    assert started == ["a"]


def test_a_failed_run_that_is_given_back_raises_as_it_did(db) -> None:
    failures = []
    for _ in range(2):
        with pytest.raises(RunFailed) as caught:
            gated.run(run_id="r", db=db, executor="inline")
        failures.append(caught.value)

    assert str(failures[0]) == str(failures[1])
    assert isinstance(failures[1].__cause__, OSError)
    assert "shut" in str(failures[1].__cause__.__cause__)
    assert started == ["g"]


def test_without_an_id_each_run_is_a_new_one(db) -> None:
    ids = {short.run(db=db, executor="inline").id for _ in range(3)}

    assert len(ids) == 3
    assert len(started) == 3


def test_arguments_of_single_tasks_count_too(db) -> None:
    short.run(run_id="r", db=db, executor="inline", inputs={"name": "b"})

    with pytest.raises(OtherArgumentsError, match="another name"):
        short.run(run_id="r", db=db, executor="inline")
    assert short.run(run_id="r", db=db, executor="inline", name="b").result == "B"


def test_resume_takes_the_latest_run_that_has_not_succeeded(db) -> None:
    for name in ("one", "two"):
        gated.run(name=name, run_id=name, db=db, executor="inline", check=False)
    gates.append(1)

    assert gated.resume(db=db, executor="inline").id == "two"
    assert gated.resume(db=db, executor="inline").id == "one"
    assert started == ["one", "two"]
    with pytest.raises(NotResumableError, match=r"all its runs .* have succeeded"):
        gated.resume(db=db, executor="inline")


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda db: short.resume(db=db), "it has no run in"),
        (lambda db: short.resume(db=None), "with db=None nothing is kept"),
        (lambda db: short.resume("succ", db=db), "it has succeeded"),
        (lambda db: short.resume("fail", db=db), "it is a run of flow gated, not of short"),
    ],
)
def test_what_can_not_be_resumed_is_told_why(db, call, why) -> None:
    Flow("another", noted("x")).run(db=db, run_id="another-1", executor="inline")
    if "no run" not in why:
        short.run(db=db, run_id="success", executor="inline")
        gated.run(db=db, run_id="failure", executor="inline", check=False)

    with pytest.raises(NotResumableError, match=why):
        call(db)


SCHEMAS = Path(__file__).parent.parent / "store" / "schemas"


@pytest.mark.parametrize("version", [1, 2])
def test_a_store_of_an_older_version_is_brought_up_to_date_by_whoever_goes_on(db, version) -> None:
    with closing(sqlite3.connect(db)) as old:
        old.executescript((SCHEMAS / f"{version}.sql").read_text())
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {version}")
        old.execute("INSERT INTO meta VALUES ('store_id', 'its own')")
        old.commit()
    db.chmod(0o600)

    if version == 1:
        assert short.run(run_id="r", db=db, executor="inline").result == "A"
    else:
        with pytest.raises(NotResumableError, match="it has no run in"):
            short.resume(db=db, executor="inline")


@flow
def locked(lock: object, name: str = "l"):
    return shut(noted(name), [])


@flow
def locked_by_default(lock: object = threading.Lock(), name: str = "l"):
    return shut(noted(name), [])


def test_an_argument_that_can_not_be_kept_is_asked_for_again(db) -> None:
    given = {"lock": threading.Lock(), "run_id": "r", "db": db, "executor": "inline"}
    locked.run(**given, check=False)
    gates.append(1)

    with pytest.raises(NotResumableError, match="its arguments could not be kept"):
        locked.resume(db=db, executor="inline")
    # What has committed has to be asked for by id: a failed run would be given back as it was.
    assert locked.run(**given, check=False).state == "failed"


def test_a_default_that_can_not_be_kept_is_taken_from_the_flow_of_today(db) -> None:
    locked_by_default.run(db=db, executor="inline", check=False)
    gates.append(1)

    assert locked_by_default.resume(db=db, executor="inline").result == "L"
    assert started == ["l"]
