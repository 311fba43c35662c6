"""What tasks give before they end: in order, whole, for whoever follows the run or looks later."""

from __future__ import annotations

import gc
import multiprocessing
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.drivers import until

from liteflow import Context, Flow, StreamChunk, task
from liteflow.errors import ContextError, NotPicklableError, RunFailed, UnknownNameError
from liteflow.executor import PoolExecutor


@pytest.fixture(params=["process", "thread", "inline", "async", "forks"])
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param != "forks":
        yield request.param
        return
    with PoolExecutor(ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))) as pool:
        yield pool


@pytest.fixture(params=["process", "thread", "inline"])
def plain(request: pytest.FixtureRequest) -> str:
    """An executor on which a generator that never awaits holds up nobody."""
    return str(request.param)


@pytest.fixture(params=["process", "thread", "inline"])
def ending(request: pytest.FixtureRequest) -> str:
    """One that can leave an endless call."""
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["kept", "memory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "store.db" if request.param else None


@task
def words(n: int) -> Any:
    for i in range(n):
        yield f"word {i}"
    return "end"


@task
async def numbers(n: int) -> Any:
    for i in range(n):
        yield i


@task
def puts(context: Context) -> str:
    stream = context.get_stream()
    stream.put("plain")
    stream.put(StreamChunk("named", 2))
    return "end"


@task(retries=1)
def second_try(context: Context) -> Any:
    tries = context.update("tries", lambda n: n + 1, 0)
    for i in range(3):
        yield tries, i
    if tries == 1:
        raise ValueError
    return "end"


def told(chunks: Any) -> list[tuple[str, Any]]:
    return [(chunk.task_id, chunk.value) for chunk in chunks]


# --- on every executor ---------------------------------------------------------------------


def test_chunks_come_in_their_order_and_the_output_last(executor, db):
    chunks = Flow("f", words(3)).stream(db=db, executor=executor)

    assert told(chunks) == [("words", "word 0"), ("words", "word 1"), ("words", "word 2"), ("words", "end")]


def test_a_generators_result_is_what_it_returns(executor):
    run = Flow("f", [words(3), numbers(3)]).run(db=None, executor=executor)

    assert (run["words"], run["numbers"]) == ("end", None)
    assert [chunk.value for chunk in run.chunks("numbers")] == [0, 1, 2]


def test_any_task_may_put_chunks(executor, db):
    assert told(Flow("f", puts()).stream(db=db, executor=executor)) == [
        ("puts", "plain"),
        ("named", 2),
        ("puts", "end"),
    ]


def test_thousands_of_chunks_are_all_there(executor, db):
    # More than any buffer between processes holds; where there is none between them, fewer do.
    count = 10_000 if executor == "process" else 2_000
    chunks = list(Flow("f", words(count)).stream(db=db, executor=executor))

    assert [chunk.value for chunk in chunks] == [*(f"word {i}" for i in range(count)), "end"]


def test_a_chunk_comes_while_its_task_runs(plain, db, tmp_path):
    @task
    def waits(path: str) -> Any:
        yield "begun"
        while not Path(path).exists():
            pass

    stream = Flow("f", waits(str(tmp_path / "go"))).stream(db=db, executor=plain)
    first = next(stream)
    (tmp_path / "go").touch()

    assert first == StreamChunk("waits", "begun")
    assert told(stream) == [("waits", None)]


def test_readers_who_come_later_see_the_attempt_that_counts(executor, db):
    run = Flow("f", second_try()).run(db=db, executor=executor)

    assert [(chunk.value, chunk.attempt) for chunk in run.chunks("second_try")] == [
        ((2, 0), 2),
        ((2, 1), 2),
        ((2, 2), 2),
    ]


def test_who_follows_sees_that_an_attempt_began_anew(executor, db):
    chunks = list(Flow("f", second_try()).stream(db=db, executor=executor))

    assert [chunk.attempt for chunk in chunks] == [1, 1, 1, 2, 2, 2, 2]


def test_a_chunk_that_can_not_be_pickled_ends_the_attempt(executor):
    @task
    def locks() -> Any:
        yield threading.Lock()

    with pytest.raises(RunFailed) as caught:
        Flow("f", locks()).run(db=None, executor=executor)
    assert isinstance(caught.value.__cause__, NotPicklableError)


def test_large_chunks_are_chunks(executor, db):
    @task
    def large() -> Any:
        yield bytes(3_000_000)
        yield bytes(2_000_000)

    sizes = [len(chunk.value or b"") for chunk in Flow("f", large()).stream(db=db, executor=executor)]
    assert sizes == [3_000_000, 2_000_000, 0]


# --- who follows ---------------------------------------------------------------------------


def test_a_run_that_fails_raises_when_all_has_been_given(db):
    @task
    def fails() -> Any:
        yield 1
        raise ValueError("no")

    given = []
    with pytest.raises(RunFailed) as caught:
        given.extend(Flow("f", fails()).stream(db=db, executor="thread"))
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_a_failed_task_gave_is_given_before_the_error(db):
    @task
    def fails() -> Any:
        yield 1
        raise ValueError("no")

    stream = Flow("f", fails()).stream(db=db, executor="thread")

    assert next(stream).value == 1
    with pytest.raises(RunFailed):
        next(stream)


def test_the_outputs_of_what_grows_are_given_too(db):
    @task
    def double(n: int) -> int:
        return 2 * n

    @task
    def goes_on(n: int) -> Any:
        return [double(n), n]

    chunks = told(Flow("f", [goes_on(1), double.map([5, 6]).named("each")]).stream(db=db, executor="thread"))

    assert dict(chunks) == {
        "goes_on/double": 2,
        "goes_on": [2, 1],
        "each[0]": 10,
        "each[1]": 12,
        "each": [10, 12],
    }


def test_a_slow_reader_loses_nothing_and_holds_nothing_up(db):
    stream = Flow("f", words(3000)).stream(db=db, executor="thread")
    first = next(stream)
    # The run ends though nobody reads.
    run = stream.handle.wait(30)

    assert run.state == "succeeded"
    assert [first.value, *(chunk.value for chunk in stream)] == [*(f"word {i}" for i in range(3000)), "end"]


def test_what_is_not_read_yet_lies_in_the_store(tmp_path):
    @task
    def large() -> Any:
        for _ in range(200):
            yield bytes(100_000)

    tracemalloc.start()
    stream = Flow("f", large()).stream(db=tmp_path / "store.db", executor="process")
    stream.handle.wait(60)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 8_000_000
    assert sum(len(chunk.value or b"") for chunk in stream) == 20_000_000


def test_to_stop_reading_cancels_the_run(ending, db):
    @task
    def endless() -> Any:
        while True:
            yield 1

    threads = threading.active_count()

    with Flow("f", endless()).stream(db=db, executor=ending, grace=0.1) as stream:
        next(stream)

    assert stream.handle.state == "cancelled"
    # What can't be killed ends at its next chunk, instead of filling the memory for ever.
    until(lambda: threading.active_count() <= threads)


def test_an_attempt_that_was_left_to_itself_ends_at_its_next_chunk():
    ended: list[int] = []

    @task(timeout=0.3)
    def endless() -> Any:
        try:
            while True:
                yield 1
        finally:
            ended.append(1)

    @task(when="always")
    def waits_for_its_end(before: Any) -> bool:
        return bool(until(lambda: ended))

    with pytest.raises(RunFailed) as failed:
        Flow("f", waits_for_its_end(endless())).run(db=None, executor="thread")

    assert list(failed.value.failures) == ["endless"]


def test_a_flow_that_is_wrong_says_so_at_once():
    with pytest.raises(UnknownNameError):
        Flow("f", words(1)).stream(db=None, nothing=1)


def test_a_finished_run_is_given_again(db, tmp_path):
    f = Flow("f", words(2), db=tmp_path / "store.db", executor="thread")

    assert told(f.stream(run_id="once")) == told(f.stream(run_id="once"))


def test_what_tasks_print_is_printed(capsys):
    @task
    def prints() -> Any:
        print("hello")
        yield 1

    list(Flow("f", prints()).stream(db=None, executor="process"))

    assert "hello" in capsys.readouterr().out


# --- what is kept --------------------------------------------------------------------------

SCRIPT = """
import os, signal
from liteflow import flow, task

@task
def counts():
    again = os.path.exists("died")
    for n in range(5):
        yield again, n
    if not again:
        open("died", "w").close()
        while not os.path.exists("seen"):
            pass
        os.kill(int(os.environ["DRIVER"]), signal.SIGKILL)
        signal.pause()

@flow
def f():
    return counts()

if __name__ == "__main__":
    os.environ["DRIVER"] = str(os.getpid())
    f.run(db="store.db", run_id="run-1")
"""


def test_chunks_of_an_attempt_that_its_driver_broke_off_do_not_mix_with_the_next(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "seen").touch()
    died = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, timeout=60, check=False)
    go_on = "import script; r = script.f.resume(db='store.db'); print([c.value for c in r.chunks('counts')])"
    done = subprocess.run(
        [sys.executable, "-c", go_on], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )

    assert died.returncode == -9
    assert done.stdout.strip() == str([(True, n) for n in range(5)])


def test_another_process_sees_chunks_while_the_run_goes_on(tmp_path):
    from liteflow.store.history import History

    (tmp_path / "script.py").write_text(SCRIPT)
    driver = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path)
    try:
        while not (tmp_path / "died").exists():
            assert driver.poll() is None
        seen: list[Any] = []
        while len(seen) < 5:
            with History(tmp_path / "store.db") as history:
                seen = list(history.chunks("run-1", "counts"))
    finally:
        (tmp_path / "seen").touch()
        driver.wait(30)

    assert [(row.number, row.preview) for row in seen] == [(n, f"(False, {n})") for n in range(5)]


def test_a_chunk_of_another_run_is_not_read(tmp_path):
    import sqlite3

    db = tmp_path / "store.db"
    run = Flow("f", words(2)).run(db=db, executor="thread")
    connection = sqlite3.connect(db)
    connection.execute("UPDATE stream SET number = 1 - number")
    connection.commit()
    connection.close()

    with pytest.raises(Exception, match="does not match the check"):
        list(run.chunks("words"))


def test_what_an_old_context_puts_is_refused():
    kept: list[Context] = []

    @task(executor="thread")
    def keeps(context: Context) -> None:
        kept.append(context)

    Flow("f", keeps()).run(db=None)

    with pytest.raises(ContextError, match="ended"):
        kept[0].set("a", 1)
