"""A flow, run: results, failures, retries, overrides, where it runs, what it prints."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from support.drivers import until

from liteflow import Flow, LiteflowError, RunFailed, flow, task
from liteflow.errors import NoOutputError, SettingError, TaskFailedError

EXECUTORS = ["process", "thread", "inline"]


@task
def extract(path: str) -> list[dict[str, int]]:
    return [{"n": n} for n in range(len(path))]


@task
def transform(rows: list[dict[str, int]], scale: float = 1.0) -> list[float]:
    return [row["n"] * scale for row in rows]


@task
def load(values: list[float], table: str) -> int:
    return len(values)


@flow
def etl(path: str = "data", table: str = "sales") -> int:
    return extract(path) >> transform(scale=2.0) >> load(table=table)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_gives_the_result_the_final_outputs_and_any_output(executor: str, tmp_path: Path) -> None:
    run = etl.run(path="abc", db=tmp_path / "x.db", executor=executor)

    assert (run.state, run.result, dict(run)) == ("succeeded", 3, {"load": 3})
    assert run.output("transform") == [0.0, 2.0, 4.0]
    assert [row.state for row in run.tasks.values()] == ["succeeded"] * 3


def test_inputs_override_any_argument_that_no_edge_feeds(tmp_path: Path) -> None:
    run = etl.run(inputs={"transform.scale": 3.0, "path": "ab"}, db=tmp_path / "x.db")

    assert run.output("transform") == [0.0, 3.0]


def test_an_output_that_is_not_there_is_an_error_that_lists_what_is(tmp_path: Path) -> None:
    run = etl.run(db=tmp_path / "x.db")

    with pytest.raises(NoOutputError, match="load"):
        run["transform"]
    with pytest.raises(KeyError, match="nope"):
        run.output("nope")
    for ask in (run.output, run.logs, lambda key: list(run.chunks(key))):
        with pytest.raises(NoOutputError, match=r"did you mean 'transform'\? the final ones are: load"):
            ask("transfrom")


@task
def divide(a: int, b: int) -> float:
    print("dividing")
    return a / b


@task
def use(value: float) -> float:
    return value


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_failed_run_raises_with_the_tasks_own_exception_as_cause(executor: str, tmp_path: Path) -> None:
    bad = Flow("bad", [divide(1, 0) >> use(), divide(4, 2).named("fine")])

    with pytest.raises(RunFailed, match="division by zero") as caught:
        bad.run(db=tmp_path / "x.db", executor=executor)

    assert type(caught.value.__cause__) is ZeroDivisionError
    assert caught.value.failures == {"divide": "ZeroDivisionError: division by zero"}
    shown = "".join(traceback.format_exception(caught.value.__cause__))
    assert "in divide" in shown
    assert f"{os.sep}liteflow{os.sep}executor" not in shown


@pytest.mark.parametrize("executor", EXECUTORS)
def test_unchecked_a_failed_run_tells_what_became_of_each_task(executor: str, tmp_path: Path) -> None:
    bad = Flow("bad", [divide(1, 0) >> use(), divide(4, 2).named("fine")])

    run = bad.run(db=tmp_path / "x.db", executor=executor, check=False)

    assert run.state == "failed"
    states = {key: row.state for key, row in run.tasks.items()}
    assert states == {"divide": "failed", "use": "upstream_failed", "fine": "succeeded"}
    assert run["fine"] == 2.0
    with pytest.raises(RunFailed):
        _ = run.result
    with pytest.raises(NoOutputError):
        run["use"]


def test_fail_fast_cancels_what_has_not_ended(tmp_path: Path) -> None:
    @task
    def slow() -> None:
        time.sleep(60)

    started = time.monotonic()
    run = Flow("f", [divide(1, 0), slow()]).run(db=tmp_path / "x.db", fail_fast=True, check=False)

    assert time.monotonic() - started < 30
    assert {k: r.state for k, r in run.tasks.items()} == {"divide": "failed", "slow": "cancelled"}


class Picky(Exception):
    pass


@pytest.mark.parametrize("executor", EXECUTORS)
def test_retries_wait_back_off_and_are_recorded_each_with_its_error(executor: str, tmp_path: Path) -> None:
    count = tmp_path / "count"

    @task(retries=3, retry_delay=0.05, backoff=2)
    def third_time() -> int:
        tries = len(count.read_text()) + 1 if count.exists() else 1
        count.write_text("x" * tries)
        if tries < 3:
            raise OSError(f"try {tries}")
        return tries

    started = time.monotonic()
    run = Flow("f", third_time()).run(db=tmp_path / "x.db", executor=executor)

    assert run.result == 3
    assert time.monotonic() - started >= 0.15
    assert run.tasks["third_time"].attempts == 3
    with sqlite3.connect(tmp_path / "x.db") as connection:
        rows = connection.execute("SELECT attempt, outcome, error FROM attempts ORDER BY attempt").fetchall()
    assert rows == [(1, "failed", "OSError: try 1"), (2, "failed", "OSError: try 2"), (3, "succeeded", None)]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_only_exceptions_that_retry_on_names_are_retried(executor: str, tmp_path: Path) -> None:
    @task(retries=5, retry_on=OSError)
    def wrong() -> None:
        raise Picky("no")

    run = Flow("f", wrong()).run(db=tmp_path / "x.db", executor=executor, check=False)

    assert run.tasks["wrong"].attempts == 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_attempts_print_and_log_is_kept_line_by_line(executor: str, tmp_path: Path) -> None:
    @task
    def talks() -> None:
        print("one\ntwo")
        print("three", end="")
        print("oops", file=sys.stderr)
        logging.getLogger("mine").warning("careful")

    run = Flow("f", talks()).run(db=tmp_path / "x.db", executor=executor)

    lines = {(row.stream, row.line) for row in run.logs("talks")}
    assert lines == {
        ("stdout", "one"),
        ("stdout", "two"),
        ("stdout", "three"),
        ("stderr", "oops"),
        ("log", "WARNING mine: careful"),
    }


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_tasks_print_appears_where_the_run_was_started(
    executor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @task
    def says() -> None:
        print("hello ", end="")
        print("world")

    Flow("f", says()).run(db=tmp_path / "x.db", executor=executor)

    assert capsys.readouterr().out == "hello world\n"


@pytest.mark.parametrize("executor", EXECUTORS)
def test_each_task_gets_its_own_copy_of_a_value(executor: str) -> None:
    @task
    def source() -> list[int]:
        return [1]

    @task
    def spoil(xs: list[int]) -> list[int]:
        xs.append(2)
        return xs

    shared = source()
    run = Flow("f", [spoil(shared), spoil(shared), shared]).run(db=None, executor=executor)

    assert run.result == [[1, 2], [1, 2], [1]]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_mutable_default_does_not_leak_from_one_attempt_to_the_next(executor: str) -> None:
    @task
    def collect(item: int, seen: list[int] = []) -> list[int]:  # noqa: B006  that is the point
        seen.append(item)
        return seen

    run = Flow("f", [collect(1), collect(2)]).run(db=None, executor=executor, max_workers=1)

    assert run.result == [[1], [2]]


def test_no_task_waits_for_more_than_its_own_inputs(tmp_path: Path) -> None:
    over = tmp_path / "over"

    @task
    def quick() -> int:
        return 1

    @task
    def then(_: int) -> None:
        over.touch()

    @task
    def slow() -> bool:
        return bool(until(over.exists))

    run = Flow("f", [quick() >> then(), slow()]).run(db=tmp_path / "x.db", max_workers=2)

    assert run.result == [None, True]


def test_an_integer_fits_a_float_and_a_result_of_a_wrong_type_fails_the_attempt() -> None:
    @task
    def whole() -> float:
        return 3

    @task
    def wrong() -> list[int]:
        return [1, "x"]  # type: ignore[list-item]

    assert Flow("f", whole()).run(db=None).result == 3
    with pytest.raises(RunFailed, match=r"list\[int\]"):
        Flow("f", wrong()).run(db=None)


def test_lambdas_and_closures_and_local_classes_work_on_processes() -> None:
    factor = 3

    class Local:
        def __init__(self, n: int) -> None:
            self.n = n

    make = task(lambda n: Local(n * factor))
    read = task(lambda local: local.n + 1, name="read")

    assert Flow("f", make(2) >> read()).run(db=None).result == 7


def test_threads_take_what_cannot_be_pickled_but_results_must_be_storable() -> None:
    lock = threading.Lock()

    @task(executor="thread")
    def locked() -> int:
        with lock:
            return 5

    assert Flow("f", locked()).run(db=None).result == 5
    with pytest.raises(LiteflowError, match=r'executor="thread"'):
        Flow("f", locked.options(executor="process")()).run(db=None)


def test_several_executors_serve_one_run() -> None:
    @task(executor="thread")
    def in_thread() -> int:
        return os.getpid()

    @task(executor="process")
    def in_process(pid: int) -> tuple[int, int]:
        return pid, os.getpid()

    here, there = Flow("f", in_thread() >> in_process()).run(db=None, executor="inline").result
    assert here == os.getpid() != there


def test_a_run_that_keeps_nothing_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    run = etl.run(db=None)

    assert run.tasks["load"].state == "succeeded"
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_liteflow_db_here_or_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LITEFLOW_DB", raising=False)
    etl.run(executor="inline")
    monkeypatch.setenv("LITEFLOW_DB", "other.db")
    etl.run(executor="inline")

    assert sorted(p.name for p in tmp_path.iterdir()) == ["liteflow.db", "other.db"]


def test_the_environment_may_say_that_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITEFLOW_DB", ":memory:")

    assert etl.run(executor="inline").db is None
    assert list(tmp_path.iterdir()) == []


def test_bad_input_makes_no_file_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LITEFLOW_DB", raising=False)

    with pytest.raises(LiteflowError):
        etl.run(inputs={"transform.nope": 1})
    with pytest.raises(LiteflowError):
        etl.run(path=threading.Lock())
    with pytest.raises(LiteflowError, match="inputs as a dict"):
        etl.run(inputs=["path"])  # type: ignore[arg-type]
    with pytest.raises(LiteflowError, match=r"run with inputs=\{'divide.b': ...\}"):
        Flow("incomplete", divide(1)).run()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "option",
    [
        {"max_workers": 0},
        {"max_workers": True},
        {"max_workers": "2"},
        {"max_workers": 10**6},
        {"executor": "nope"},
        {"durability": "most"},
        {"grace": -1},
        {"db": ""},
        {"db": 5},
        {"run_id": ""},
        {"run_id": "a\nb"},
        {"run_id": 5},
    ],
    ids=str,
)
def test_an_option_out_of_its_range_is_refused_with_the_range(option: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(option))):
        etl.run(**{"db": None, **option})


def test_an_exception_that_cannot_travel_is_given_as_its_text() -> None:
    class Stuck(Exception):
        def __init__(self) -> None:
            super().__init__("stuck")
            self.lock = threading.Lock()

    @task
    def sticks() -> None:
        raise Stuck

    with pytest.raises(RunFailed) as caught:
        Flow("f", sticks()).run(db=None)

    assert type(caught.value.__cause__) is TaskFailedError
    assert "stuck" in str(caught.value.__cause__)


def test_the_expression_of_a_flow_may_be_any_nest_and_the_result_has_its_shape() -> None:
    one = extract("a")

    run = Flow("f", {"x": [one[0]["n"], (one, 5)], "plain": None}).run(db=None, executor="inline")

    assert run.result == {"x": [0, ([{"n": 0}], 5)], "plain": None}


@task
async def wait_for(x: int) -> int:
    await asyncio.sleep(0)
    print("waited")
    return x


@pytest.mark.parametrize("executor", EXECUTORS)
def test_coroutine_functions_run_also_where_a_loop_runs_already(executor: str) -> None:
    async def notebook() -> Any:
        return Flow("f", wait_for(4)).run(db=None, executor=executor)

    run = asyncio.run(notebook())

    assert run.result == 4
    assert [row.line for row in run.logs()] == ["waited"]


def test_ctrl_c_leaves_a_cancelled_run_with_what_had_finished(tmp_path: Path) -> None:
    def interrupt(value: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Flow("f", divide(4, 2) >> task(interrupt)).run(db=tmp_path / "x.db", executor="inline")

    connection = sqlite3.connect(tmp_path / "x.db")
    assert connection.execute("SELECT state, error FROM runs").fetchone() == (
        "cancelled",
        "KeyboardInterrupt",
    )
    states = connection.execute("SELECT key, state FROM tasks ORDER BY key").fetchall()
    assert states == [("divide", "succeeded"), ("interrupt", "cancelled")]


def in_spawned_child() -> bool:
    """Run a flow in a process that multiprocessing has spawned, whose script is `__mp_main__`."""
    script = sys.modules["__main__"]
    made: Any = script.flow_of_script.run(db=None).result
    return script.__name__ == "__mp_main__" and type(made) is script.Made


def test_a_process_that_multiprocessing_has_spawned_runs_flows_of_its_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from liteflow import flow, task\n"
        "class Made: pass\n"
        "@task\n"
        "def make() -> Made: return Made()\n"
        "@flow\n"
        "def flow_of_script(): return make() >> task(lambda made: made)()\n"
        "if __name__ == '__main__':\n"
        "    from test_flow_run import in_spawned_child\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.apply(in_spawned_child))\n"
    )

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout == "True\n"


def test_coroutine_functions_run_too() -> None:
    @task
    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    assert Flow("f", later(1) >> later()).run(db=None).result == 3


def test_two_runs_of_one_flow_at_once_are_independent(tmp_path: Path) -> None:
    results: dict[str, int] = {}

    def go(path: str) -> None:
        results[path] = etl.run(path=path, db=tmp_path / "x.db").result

    threads = [threading.Thread(target=go, args=("x" * n,)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {"x": 1, "xx": 2, "xxx": 3}
