"""What every executor promises, as tests: one suite that each of them passes.

    TestOrbit = executor_suite(lambda: OrbitExecutor("orbit://..."))      in a test file of one's own

What an executor can't promise is told by keywords, and the tests of it are left out.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from liteflow import Context, Flow, Run, RunFailed, task
from liteflow.where import Where

# Whatever hangs, ends here, in seconds: workers of a cluster may take long to come up.
_PATIENCE_S = 60.0
_LARGE = 2_000_000


class ExecutorSuite:
    """The promises; `executor_suite` makes a class of tests of it.

    Tests and workers have to share a disk: some look at what a task does by a file.
    """

    make_executor: Callable[[], Where]

    @pytest.fixture
    def executor(self) -> Iterator[Where]:
        """One for each test, closed after it if it can be."""
        made = type(self).make_executor()
        with made if isinstance(made, contextlib.AbstractContextManager) else contextlib.nullcontext():
            yield made

    # --- values ----------------------------------------------------------------------------

    def test_a_flow_gives_what_plain_calls_give(self, executor: Where) -> None:
        number, add = task(_number), task(_add)
        sums = [add(number(n), b=n) for n in range(20)]

        ended = _run({"sums": sums, "last": number(1) >> add(b=2) >> add(b=3)}, executor)

        assert ended.result == {"sums": [2 * n for n in range(20)], "last": 6}

    def test_hundreds_of_short_calls_all_give_their_own_value(self, executor: Where) -> None:
        number = task(_number)

        assert _run([number(n) for n in range(500)], executor).result == list(range(500))

    def test_large_values_go_both_ways_unchanged(self, executor: Where) -> None:
        grown = task(_grown)
        data = os.urandom(_LARGE)

        assert _run(grown(data) >> grown() >> grown(), executor).result == data + b"!!!"

    def test_lambdas_and_closures_are_tasks(self, executor: Where) -> None:
        scale = 3

        def scaled(n: int) -> int:
            return scale * n

        assert _run([task(lambda: 7)(), task(scaled)(2)], executor).result == [7, 6]

    def test_a_class_of_the_script_is_itself_again(
        self, executor: Where, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Colour = enum.Enum("Colour", ["RED", "BLUE"], module="__main__")  # noqa: N806
        monkeypatch.setattr(sys.modules["__main__"], "Colour", Colour, raising=False)

        def other(given: Any) -> Any:
            return Colour.BLUE if given is Colour.RED else Colour.RED

        red, blue = Colour
        assert _run(task(other)(red) >> task(other)() >> task(other)(), executor).result is blue

    def test_coroutine_functions_run_there_if_their_task_says_so(self, executor: Where) -> None:
        later = task(_later, executor=executor)

        assert _run(later(5), "thread").result == 5

    # --- errors and retries ----------------------------------------------------------------

    def test_an_error_is_the_tasks_own(self, executor: Where) -> None:
        with pytest.raises(RunFailed) as caught:
            _run(task(_fails)(3), executor, check=True)

        assert type(caught.value.__cause__) is LookupError
        assert "no 3" in str(caught.value.__cause__)

    def test_what_depends_on_a_failure_does_not_run_and_the_rest_does(self, executor: Where) -> None:
        number = task(_number)

        rows = _run([task(_fails)(3) >> number(), number(1)], executor).tasks

        states = {key: row.state for key, row in rows.items()}
        assert states == {"_fails": "failed", "_number": "upstream_failed", "_number-2": "succeeded"}

    def test_a_result_of_the_wrong_type_or_that_cannot_be_kept_fails_its_task_alone(
        self, executor: Where
    ) -> None:
        def lies() -> int:
            return "text"  # type: ignore[return-value]

        def locks() -> Any:
            return threading.Lock()

        rows = _run([task(lies)(), task(locks)(), task(_number)(1)], executor).tasks

        assert "ResultTypeError" in str(rows["lies"].error)
        assert "lock" in str(rows["locks"].error)
        assert rows["_number"].state == "succeeded"

    def test_attempts_are_made_as_often_as_the_policy_says(self, executor: Where) -> None:
        ended = _run([task(_third_time, retries=2)(), task(_fails, retries=1)(1)], executor)

        attempts = {key: row.attempts for key, row in ended.tasks.items()}
        assert attempts == {"_third_time": 3, "_fails": 2}
        assert ended.output("_third_time") == "done"

    def test_only_errors_that_the_policy_names_are_retried(self, executor: Where) -> None:
        ended = _run(task(_fails, retries=5, retry_on=OSError)(1), executor)

        assert ended.tasks["_fails"].attempts == 1

    # --- the record ------------------------------------------------------------------------

    def test_what_a_task_prints_and_logs_is_kept_under_its_name(self, executor: Where) -> None:
        ended = _run([task(_talks)(n) for n in range(3)], executor)

        lines = {(row.stream, row.line) for row in ended.logs("_talks-2")}
        assert {("stdout", "number 1"), ("stderr", "oh 1")} <= lines
        assert any(stream == "log" and "take care of 1" in line for stream, line in lines)
        assert not any("0" in line or "2" in line for _, line in lines)

    def test_the_record_says_who_ran_it_and_when(self, executor: Where) -> None:
        began = time.time()
        rows = _run(task(_slow)() >> task(_number)(), executor).tasks

        slow, number = rows["_slow"], rows["_number"]
        assert slow.worker and slow.started_at and slow.ended_at and number.ended_at
        assert began - 0.01 <= slow.started_at <= slow.ended_at - 0.05
        assert number.ended_at <= time.time() + 0.01

    def test_a_run_that_failed_goes_on_there(self, executor: Where, tmp_path: Path) -> None:
        marker = tmp_path / "marker"

        def once_it_is_there(n: int) -> int:
            if not marker.exists():
                raise OSError("not yet")
            return n + 1

        flow = Flow("f", task(_number)(4) >> task(once_it_is_there)())
        first = flow.run(db=tmp_path / "f.db", executor=executor, check=False)
        marker.touch()
        again = flow.resume(db=tmp_path / "f.db", executor=executor)

        assert (first.state, again.id, again.result) == ("failed", first.id, 5)

    # --- growth, context, streams ----------------------------------------------------------

    def test_a_map_makes_a_call_an_item(self, executor: Where) -> None:
        expression = task(_total)(task(_double).map(task(_upto)(10)))

        assert _run(expression, executor).result == 90

    def test_a_task_goes_on_as_the_calls_that_it_returns(self, executor: Where) -> None:
        assert _run(task(_countdown)(4), executor).result == "off"

    def test_tasks_share_values(self, executor: Where) -> None:
        counts = task(_counts)

        ended = _run(task(_shared)([counts(n=n) for n in range(10)]), executor)

        assert ended.result == 45

    def test_chunks_come_in_their_order_and_the_output_last(self, executor: Where) -> None:
        with Flow("f", task(_words)(3)).stream(db=None, executor=executor) as stream:
            values = [chunk.value for chunk in stream]

        assert values == ["word 0", "word 1", "word 2", "end"]

    # --- several ---------------------------------------------------------------------------

    def test_several_executors_serve_one_run(self, executor: Where) -> None:
        number, add = task(_number), task(_add)
        here = number.options(executor="thread" if executor == "inline" else "inline")

        ended = _run(add(here(1) >> add(b=1), b=here(3)), executor)

        assert ended.result == 5
        assert ended.tasks["_number"].worker != ended.tasks["_add"].worker

    def test_several_runs_use_it_at_once(self, executor: Where) -> None:
        number = task(_number)
        flows = [Flow("f", [number(n) for n in range(10 * i)]) for i in range(1, 4)]

        handles = [flow.start(db=None, executor=executor) for flow in flows]

        assert [handle.result(_PATIENCE_S) for handle in handles] == [
            list(range(10 * i)) for i in range(1, 4)
        ]

    # --- ends ------------------------------------------------------------------------------

    def test_a_call_over_its_time_has_timed_out_and_others_go_on(
        self, executor: Where, tmp_path: Path
    ) -> None:
        beats, released = tmp_path / "beats", tmp_path / "released"
        ticks = task(_ticks, timeout=0.3)

        ended = _run([ticks(beats, released), task(_number)(1)], executor)
        released.touch()

        assert str(ended.tasks["_ticks"].error).startswith("TimeoutError")
        assert ended.output("_number") == 1

    def test_a_timeout_ends_what_runs(self, executor: Where, tmp_path: Path) -> None:
        beats, released = tmp_path / "beats", tmp_path / "released"

        # On a busy machine a call may be over its time before it has begun to write: it is given more.
        for timeout in (0.3, 1.0, 5.0, 20.0):
            ended = _run(task(_ticks, timeout=timeout)(beats, released), executor)
            assert ended.state == "failed"
            if beats.exists():
                break

        _assert_still(beats)

    def test_a_run_that_is_cancelled_ends_soon_and_can_be_resumed(
        self, executor: Where, tmp_path: Path
    ) -> None:
        beats, released = tmp_path / "beats", tmp_path / "released"
        flow = Flow("f", task(_number)(1) >> task(_ticks)(beats, released))

        ended = _cancelled(flow, beats, executor, tmp_path / "f.db")
        released.touch()
        again = flow.resume(db=tmp_path / "f.db", executor=executor)

        assert ended.state == "cancelled"
        assert (again.id, again.state) == (ended.id, "succeeded")

    def test_cancelling_ends_what_runs(self, executor: Where, tmp_path: Path) -> None:
        beats, released = tmp_path / "beats", tmp_path / "released"

        _cancelled(Flow("f", task(_ticks)(beats, released)), beats, executor, None)

        _assert_still(beats)

    def test_a_worker_that_dies_costs_one_attempt_of_its_call_alone(
        self, executor: Where, tmp_path: Path
    ) -> None:
        dies = task(_dies_once, retries=1)
        number = task(_number)

        ended = _run([dies(tmp_path / "died"), [number(n) for n in range(20)]], executor)

        assert ended.result == ["alive", list(range(20))]
        attempts = {row.attempts for key, row in ended.tasks.items() if key != "_dies_once"}
        assert (ended.tasks["_dies_once"].attempts, attempts) == (2, {1})

    def test_a_worker_that_dies_fails_its_task_with_what_happened(
        self, executor: Where, tmp_path: Path
    ) -> None:
        ended = _run([task(_dies_once)(tmp_path / "died"), task(_number)(1)], executor)

        assert ended.tasks["_dies_once"].state == "failed"
        assert any(word in str(ended.tasks["_dies_once"].error) for word in ("SIGKILL", "lost"))
        assert ended.output("_number") == 1


_TIMES_OUT = ("test_a_call_over_its_time_has_timed_out_and_others_go_on",)
_CANCELS = ("test_a_run_that_is_cancelled_ends_soon_and_can_be_resumed",)
_ENDS = ("test_a_timeout_ends_what_runs", "test_cancelling_ends_what_runs")
_SURVIVES = (
    "test_a_worker_that_dies_costs_one_attempt_of_its_call_alone",
    "test_a_worker_that_dies_fails_its_task_with_what_happened",
)


def executor_suite(
    make: Callable[[], Where],
    *,
    leaves: bool = True,
    ends: bool = True,
    survives: bool = True,
) -> type[ExecutorSuite]:
    """Make the class of tests of one executor; pytest collects it by a name that begins with `Test`.

    Args:
        make: Gives what is given as `executor=`, for each test anew; what is a context manager is closed.
            An executor that takes long to make may be made once, and be given each time.
        leaves: Whether a call that does not end can be left: its time limit and cancelling have the
            run go on without it.  Not so where it runs in the driver's own thread, or on its event loop.
        ends: Whether such a call is really ended, and its process with it.
        survives: Whether a worker that is killed costs one attempt of the call that it ran, and no more.

    >>> suite = executor_suite(lambda: "inline", leaves=False, ends=False, survives=False)
    >>> issubclass(suite, ExecutorSuite), suite.test_a_timeout_ends_what_runs
    (True, None)
    """
    absent: list[str] = []
    if not leaves:
        absent += [*_TIMES_OUT, *_CANCELS]
    if not (leaves and ends):
        absent += _ENDS
    if not survives:
        absent += _SURVIVES
    members: dict[str, Any] = dict.fromkeys(absent)
    return type("TestExecutor", (ExecutorSuite,), {**members, "make_executor": staticmethod(make)})


# --- how -----------------------------------------------------------------------------------


def _run(expression: Any, executor: Where, **options: Any) -> Run[Any]:
    return Flow("f", expression).run(executor=executor, **{"db": None, "check": False, **options})


def _cancelled(flow: Flow[..., Any], beats: Path, executor: Where, db: Path | None) -> Run[Any]:
    """Cancel the run when its task has begun to write."""
    handle = flow.start(db=db, executor=executor, grace=0.5)
    until = time.monotonic() + _PATIENCE_S
    while not beats.exists():
        assert time.monotonic() < until and not handle.done, f"the task does not begin: {handle}"
        time.sleep(0.01)
    handle.cancel()
    return handle.wait(_PATIENCE_S)


def _assert_still(beats: Path) -> None:
    """Nobody writes to a file any more, soon."""
    until = time.monotonic() + 10.0
    size = -1
    while size != (size := beats.stat().st_size):
        assert time.monotonic() < until, "what was to be ended goes on"
        time.sleep(0.2)


# --- tasks ---------------------------------------------------------------------------------


def _number(n: int) -> int:
    return n


def _add(a: int, b: int) -> int:
    return a + b


async def _later(n: int) -> int:
    return n


def _grown(data: bytes) -> bytes:
    return data + b"!"


def _fails(n: int) -> int:
    raise LookupError(f"no {n}")


def _third_time(context: Context) -> str:
    if context.update("times", lambda times: times + 1, 0) < 3:
        raise OSError("not yet")
    return "done"


def _talks(n: int) -> None:
    print("number", n)
    print("oh", n, file=sys.stderr)
    logging.getLogger("talks").warning("take care of %d", n)


def _slow() -> int:
    time.sleep(0.05)
    return 1


def _upto(n: int) -> list[int]:
    return list(range(n))


def _double(n: int) -> int:
    return 2 * n


def _total(numbers: list[int]) -> int:
    return sum(numbers)


def _countdown(n: int) -> Any:
    return task(_countdown)(n - 1) if n else "off"


def _counts(context: Context, n: int) -> None:
    context.update("count", lambda count: count + n, 0)


def _shared(_after: list[None], context: Context) -> Any:
    return context.get("count")


def _words(n: int) -> Any:
    for i in range(n):
        yield f"word {i}"
    return "end"


def _ticks(beats: Path, released: Path) -> None:
    """Write to a file for as long as it runs; it ends by itself only when it is let."""
    while not released.exists():
        with beats.open("ab") as file:
            file.write(b".")
        time.sleep(0.02)


def _dies_once(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"
