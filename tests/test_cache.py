"""Results of earlier runs are taken over: the right ones, never a wrong one, and nothing else changes."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from liteflow import Context, Flow, Secret, skip, task, unmapped
from liteflow.errors import RunFailed, SettingError
from liteflow.store.check import check
from liteflow.store.db import open_store
from liteflow.store.forget import forget_runs
from liteflow.store.history import History

INLINE = {"executor": "inline"}


@pytest.fixture
def db(tmp_path):
    return tmp_path / "x.db"


# A global variable, for what a closure holds is a part of what the function is.
RAN: list[object] = []


@pytest.fixture
def ran():
    """What has run, in order: tasks append to it (inline, so it is this process's)."""
    RAN.clear()
    return RAN


def cached(fn, name="made", **settings):
    return task(fn, **{"name": name, "cache": True, **settings})


def states(run):
    return {key: one.state for key, one in run.tasks.items()}


def change(db, sql, *values):
    with closing(sqlite3.connect(db)) as connection, connection:
        assert connection.execute(sql, values).rowcount


# --- what is taken over ----------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["inline", "thread", "process", "async"])
def test_a_result_of_the_same_code_and_arguments_is_taken_over(db, tmp_path, executor):
    @task(cache=True)
    def note(folder: Path, n: int) -> list[int]:
        with (folder / "ran").open("a") as file:
            file.write(f"{n}\n")
        return [n] * 3

    @task
    def total(values: list[int]) -> int:
        return sum(values)

    def runs(n):
        return Flow("f", total(note(tmp_path, n))).run(db=db, executor=executor)

    first, second, other = runs(1), runs(1), runs(2)

    assert [run.result for run in (first, second, other)] == [3, 3, 6]
    assert states(second) == {"note": "cached", "total": "succeeded"}
    assert second.tasks["note"].attempts == 0
    assert (tmp_path / "ran").read_text() == "1\n2\n"
    assert second.output("note") == [1, 1, 1]
    assert check(db) == []


def test_what_comes_to_the_same_is_taken_over_though_what_led_to_it_ran(db):
    @task(cache=True)
    def half(n: int) -> int:
        return n // 2

    @task(cache=True)
    def after(n: int) -> int:
        return n + 1

    runs = [Flow("f", after(half(n))).run(db=db, executor="process") for n in (4, 5)]

    assert [run.result for run in runs] == [3, 3]
    assert states(runs[1]) == {"half": "succeeded", "after": "cached"}


def test_items_of_a_map_are_taken_over_one_by_one(db, ran):
    @task(cache=True)
    def double(n: int, factor: int) -> int:
        RAN.append(n)
        return n * factor

    @task
    def numbers(*given: int) -> list[int]:
        return list(given)

    def doubled(*given, factor=2):
        return Flow("f", double.map(numbers(*given), unmapped(factor))).run(db=db, **INLINE).result

    assert doubled(1, 2, 3) == [2, 4, 6]
    assert doubled(3, 4, 1) == [6, 8, 2]
    assert ran == [1, 2, 3, 4]
    assert doubled(3, factor=5) == [15]
    assert ran == [1, 2, 3, 4, 3]


def test_a_bounded_map_goes_on_over_what_it_takes_over(db, ran):
    @task(cache=True)
    def noted(n: int) -> int:
        RAN.append(n)
        return n

    def runs(count):
        return Flow("f", noted.map(list(range(count)), max_active=1)).run(db=db, **INLINE).result

    assert runs(3) == [0, 1, 2]
    assert runs(6) == list(range(6))
    assert ran == list(range(6))


def test_calls_that_a_task_returns_are_taken_over_and_the_task_itself_is_not(db, ran):
    @task(cache=True)
    def leaf(n: int) -> int:
        RAN.append(n)
        return n

    @task(cache=True)
    def several(n: int) -> list[int]:
        RAN.append("several")
        return [leaf(i) for i in range(n)]

    assert Flow("f", several(2)).run(db=db, **INLINE).result == [0, 1]
    run = Flow("f", several(3)).run(db=db, **INLINE)

    assert run.result == [0, 1, 2]
    assert ran == ["several", 0, 1, "several", 2]
    assert Flow("f", leaf(1)).run(db=db, **INLINE).result == 1
    assert ran[5:] == []


def test_what_has_been_taken_over_is_taken_over_from_there(db, ran):
    made = cached(lambda: RAN.append(1) or "value")
    runs = [Flow("f", made()).run(db=db, **INLINE) for _ in range(3)]
    with History(db) as history:
        first = [history.find_run(runs[0].id), history.find_run(runs[2].id)]
    with closing(open_store(db)) as connection:
        forget_runs(connection, first)

    assert Flow("f", made()).run(db=db, **INLINE).result == "value"
    assert ran == [1]


def test_a_run_that_is_gone_has_nothing_to_take_over(db, ran):
    made = cached(lambda: RAN.append(1) or "value")
    run = Flow("f", made()).run(db=db, **INLINE)
    with History(db) as history:
        rows = [history.find_run(run.id)]
    with closing(open_store(db)) as connection:
        forget_runs(connection, rows)

    Flow("f", made()).run(db=db, **INLINE)
    assert ran == [1, 1]


def test_large_values_are_taken_over_whole(db, ran):
    made = cached(lambda: RAN.append(1) or bytes(range(256)) * 80_000)

    @task
    def measured(data: bytes) -> int:
        return len(data)

    runs = [Flow("f", measured(made())).run(db=db, **INLINE) for _ in range(2)]

    assert [run.result for run in runs] == [20_480_000] * 2
    assert runs[1].output("made") == runs[0].output("made")
    assert ran == [1]
    assert check(db) == []


MANY = """
import sys
from liteflow import Flow, task

@task(cache=True)
def made(n: int) -> bytes:
    return bytes([n]) * 4_000_000

@task
def size(data: bytes) -> int:
    return len(data)

run = Flow("f", size.map(made.map(range(20)))).run(db="x.db", executor="inline")
print(sum(row.state == "cached" for row in run.tasks.values()))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what it holds at most is asked of Linux")
def test_many_large_values_are_not_in_memory_at_once_when_they_are_taken_over(tmp_path):
    def run():
        found = subprocess.run(
            [sys.executable, "-c", MANY], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        cached, kilobytes = map(int, found.stdout.split())
        return cached, kilobytes // 1000

    first, again = run(), run()

    assert (first[0], again[0]) == (0, 20)
    # As much as to make them, and some more of them at a time: all of them are 80.
    assert again[1] < first[1] + 45


def test_large_values_that_are_taken_over_take_few_descriptors(db):
    @task(cache=True)
    def made(n: int) -> bytes:
        return bytes(100_000) + bytes([n])

    @task
    def opened(values: list[bytes]) -> int:
        assert len(values) == 200
        return len(list(Path("/proc/self/fd" if Path("/proc").exists() else "/dev/fd").iterdir()))

    for _ in range(2):
        assert Flow("f", opened(made.map(range(200)))).run(db=db, **INLINE).result < 150


def test_other_flows_of_the_same_store_take_over_too(db, ran):
    made = cached(lambda n: RAN.append(n) or n)
    Flow("one", made(1)).run(db=db, **INLINE)
    assert Flow("two", [made(1), made(2)]).run(db=db, **INLINE).result == [1, 2]
    assert ran == [1, 2]


def test_a_run_that_goes_on_takes_over_too(db, tmp_path, ran):
    made = cached(lambda n: RAN.append(n) or n)

    @task
    def fragile(n: int) -> int:
        if not (tmp_path / "mended").exists():
            raise ValueError
        return n

    Flow("before", made(task(lambda: 2, name="two")())).run(db=db, **INLINE)
    broken = Flow("f", made(fragile(2)), db=db, **INLINE)
    failed = broken.run(check=False)
    (tmp_path / "mended").touch()
    run = broken.resume(failed.id)

    assert (run.result, states(run)) == (2, {"fragile": "succeeded", "made": "cached"})
    assert ran == [2]


def test_a_run_that_goes_on_keeps_what_it_had_taken_over(db, tmp_path, ran):
    made = cached(lambda: RAN.append(1) or 1)

    @task
    def fragile(n: int) -> int:
        if not (tmp_path / "mended").exists():
            raise ValueError
        return n

    Flow("before", made()).run(db=db, **INLINE)
    broken = Flow("f", fragile(made()), db=db, **INLINE)
    failed = broken.run(check=False)
    (tmp_path / "mended").touch()
    run = broken.resume(failed.id)

    assert (run.result, states(run)) == (1, {"fragile": "succeeded", "made": "cached"})
    assert ran == [1]


def test_of_equal_calls_of_one_run_one_runs(db, ran):
    @task(cache=True)
    def noted(n: int) -> int:
        RAN.append(n)
        return n

    @task
    def numbers() -> list[int]:
        return [1, 2, 1, 1, 2]

    run = Flow("f", [noted.map(numbers()), noted(1)]).run(db=db, **INLINE)

    assert run.result == [[1, 2, 1, 1, 2], 1]
    assert sorted(ran) == [1, 2]
    assert sorted(states(run).values()).count("cached") == 4
    assert check(db) == []


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("bound", [None, 1, 2])
def test_equal_calls_that_begin_at_the_same_time_wait_for_one_of_them(db, tmp_path, executor, bound):
    @task(cache=True)
    def noted(folder: Path, n: int) -> bytes:
        with (folder / "ran").open("a") as file:
            file.write(f"{n}\n")
        return bytes([n]) * 100_000

    items = [n % 3 for n in range(12)]
    mapped = noted.map(unmapped(tmp_path), items, max_active=bound)
    run = Flow("f", mapped).run(db=db, executor=executor, max_workers=2)

    assert run.result == [bytes([n]) * 100_000 for n in items]
    assert sorted((tmp_path / "ran").read_text().split()) == ["0", "1", "2"]


def test_when_the_one_that_runs_fails_the_next_is_tried(db, ran):
    @task(cache=True, retries=1)
    def fragile(n: int) -> int:
        RAN.append(n)
        if len(RAN) < 4:
            raise ValueError(len(RAN))
        return n

    run = Flow("f", fragile.map([7, 7, 7], on_error="collect")).run(db=db, **INLINE)

    # Two attempts at the first, then two at the second, which has what the third takes over.
    assert len(ran) == 4
    assert [str(one) if one == 7 else "failed" for one in run.result] == ["failed", "7", "7"]
    assert states(run)["fragile[2]"] == "cached"


def test_when_the_one_that_runs_goes_on_as_others_so_do_the_rest(db, ran):
    @task(cache=True)
    def leaf(n: int) -> int:
        RAN.append(n)
        return n

    @task(cache=True)
    def pair(n: int) -> list[int]:
        return [leaf(n), leaf(n + 1)]

    run = Flow("f", pair.map([1, 1, 2])).run(db=db, **INLINE)

    assert run.result == [[1, 2], [1, 2], [2, 3]]
    assert sorted(ran) == [1, 2, 3]


def test_told_to_refresh_all_of_them_run(db, ran):
    made = cached(lambda n: RAN.append(n) or n)
    Flow("f", [made(1), made(1)]).run(db=db, refresh=True, **INLINE)
    assert ran == [1, 1]


# --- what is not -----------------------------------------------------------------------------


def test_without_cache_nothing_is_taken_over(db, ran):
    made = task(lambda: RAN.append(1), name="made")
    for _ in range(2):
        Flow("f", made()).run(db=db, **INLINE)
    assert ran == [1, 1]


DIFFERENT = {
    "numbers": (1, 2),
    "kinds of number": (1, 1.0),
    "truth and number": (1, True),
    "text and bytes": ("a", b"a"),
    "signs of nothing": (0.0, -0.0),
    "orders": ([1, 2], [2, 1]),
    "nesting": ([[1], 2], [[1, 2]]),
    "keys": ({"a": 1}, {"b": 1}),
    "text that looks like a number": ("1", 1),
    "nothing and the word": (None, "None"),
    "large ones": (b"a" * 100_000, b"a" * 99_999 + b"b"),
    "huge numbers": (10**5000, 10**5000 + 1),
}


@pytest.mark.parametrize("constant", [True, False], ids=["given", "made by a task"])
@pytest.mark.parametrize("values", DIFFERENT.values(), ids=DIFFERENT)
def test_other_arguments_have_other_results(db, values, constant):
    shown = cached(lambda value: [value])

    @task
    def giving(number: int) -> object:
        return values[number]

    for number, value in enumerate(values):
        run = Flow("f", shown(value if constant else giving(number))).run(db=db, **INLINE)
        assert states(run)["made"] == "succeeded"
        # Of numbers so long Python writes no digits, and 0.0 equals -0.0.
        assert pickle.dumps(run.result) == pickle.dumps([value])


def test_which_argument_a_value_goes_to_counts(db):
    @task(cache=True)
    def less(a: int, b: int = 0) -> int:
        return a - b

    @task
    def one() -> int:
        return 1

    @task
    def two() -> int:
        return 2

    x, y = one(), two()
    flows = [less(x, y), less(y, x), less(x), less(b=x, a=y), less([x, y][0], [x, y][1])]
    assert [Flow("f", expression).run(db=db, **INLINE).result for expression in flows] == [-1, 1, 1, 1, -1]


def test_which_item_of_a_value_is_taken_counts(db):
    @task
    def pair() -> tuple[int, int]:
        return 1, 2

    @task
    def names() -> dict:
        return {1: "number", "1": "text"}

    shown = cached(lambda value: value)
    values = pair()
    found = names()
    for lazy, value in [(values[0], 1), (values[1], 2), (found[1], "number"), (found["1"], "text")]:
        assert Flow("f", shown(lazy)).run(db=db, **INLINE).result == value


def test_a_map_and_a_starmap_of_one_function_are_not_taken_for_each_other(db):
    @task(cache=True)
    def shown(*given: object) -> str:
        return repr(given)

    items = [(1, 2)]
    assert Flow("f", shown.map(items)).run(db=db, **INLINE).result == ["((1, 2),)"]
    assert Flow("f", shown.starmap(items)).run(db=db, **INLINE).result == ["(1, 2)"]


def test_changed_code_runs_and_the_old_one_is_taken_over_again(db, ran):
    def version(amount):
        def helper(n):
            return n + amount

        def made(n: int) -> int:
            RAN.append(amount)
            return helper(n)

        return cached(made)

    results = [Flow("f", version(amount)(1)).run(db=db, **INLINE).result for amount in (1, 2, 1, 2)]
    assert (results, ran) == ([2, 3, 2, 3], [1, 2])


def test_a_result_may_be_too_old(db, ran):
    for cache in (60, timedelta(minutes=1), 60.0):
        made = cached(lambda: RAN.append(1) or 1, cache=cache)
        Flow("f", made()).run(db=db, **INLINE)
    assert ran == [1]
    change(db, "UPDATE cache SET made_at = made_at - 59000000")
    Flow("f", made()).run(db=db, **INLINE)
    assert ran == [1]
    # What was taken over is as old as it is, not as old as its run.
    change(db, "UPDATE cache SET made_at = made_at - 2000000")
    Flow("f", made()).run(db=db, **INLINE)
    assert ran == [1, 1]


def test_refresh_runs_all_and_what_it_gives_is_what_is_taken_over_then(db, ran):
    made = cached(lambda: RAN.append(1) or len(RAN))
    flow_ = Flow("f", made(), db=db, **INLINE)

    results = [flow_.run(refresh=refresh).result for refresh in (False, False, True, False)]
    assert results == [1, 1, 2, 2]
    assert flow_.replay().result == 3


def test_failures_and_what_was_skipped_are_made_again(db, ran):
    def made(n: int) -> int:
        RAN.append(n)
        return skip("not today") if n else 1 // n

    for n in (0, 0, 1, 1):
        Flow("f", cached(made)(n)).run(db=db, check=False, **INLINE)
    assert ran == [0, 0, 1, 1]


def test_a_failure_as_an_argument_is_one_of_its_own(db, ran):
    @task
    def giving(n: int) -> int:
        if n < 0:
            raise ValueError(n)
        return n

    @task(cache=True, when="always")
    def shown(value: object) -> str:
        RAN.append(1)
        return str(value)[:20]

    texts = [
        Flow("f", shown(giving(n))).run(db=db, check=False, **INLINE).output("shown") for n in (1, -1, 1)
    ]
    assert texts[0] == texts[2] == "1"
    assert texts[1] != "1"
    assert len(ran) == 2


def test_another_users_results_are_not_taken_over(db, ran, monkeypatch):
    made = cached(lambda: RAN.append(1) or 1)
    for key in ("one user's own secret", "another user's secret", "one user's own secret"):
        monkeypatch.setenv("LITEFLOW_KEY", key)
        Flow("f", made()).run(db=db, **INLINE)
    assert ran == [1, 1]


def test_a_result_that_was_changed_in_the_store_is_made_again(db, ran):
    made = cached(lambda: RAN.append(1) or "value")
    Flow("f", made()).run(db=db, **INLINE)
    change(db, "UPDATE outcome SET payload = CAST(replace(payload, 'value', 'other') AS BLOB)")

    assert Flow("f", made()).run(db=db, **INLINE).result == "value"
    assert ran == [1, 1]


def test_a_result_that_is_gone_from_its_storage_is_made_again(db, tmp_path, ran):
    made = cached(lambda: RAN.append(1) or "value" * 100)
    storage = tmp_path / "values"
    options = {"db": db, "xcom_storage": storage.as_uri(), "xcom_threshold": 100, **INLINE}
    for _ in range(2):
        assert Flow("f", made()).run(**options).result == "value" * 100
    assert ran == [1]
    for path in storage.rglob("*"):
        if path.is_file():
            path.unlink()
    assert Flow("f", made()).run(**options).result == "value" * 100
    assert ran == [1, 1]


def test_another_secret_has_another_result_and_is_in_no_key(db, ran):
    @task(cache=True)
    def login(token: Secret) -> int:
        RAN.append(token)
        return len(token)

    site = Flow("site", login(), db=db, **INLINE)
    assert [site.run(token=token).result for token in ("hunter2hunter2", "swordfish", "swordfish")] == [
        14,
        9,
        9,
    ]
    assert ran == ["hunter2hunter2", "swordfish"]
    assert b"swordfish" not in db.read_bytes()


def test_where_nothing_is_kept_nothing_is_taken_over(ran):
    made = cached(lambda: RAN.append(1) or 1)
    for _ in range(2):
        assert Flow("f", made()).run(db=None, **INLINE).result == 1
    assert ran == [1, 1]


def streaming(n: int):
    yield n


def sharing(n: int, context: Context) -> int:
    return n


@pytest.mark.parametrize("fn", [streaming, sharing])
def test_what_does_more_than_give_a_result_is_refused_before_anything_runs(db, ran, fn):
    refused = task(fn, cache=True)

    with pytest.raises(SettingError, match=f"task {fn.__name__}: cache must be False for one that"):
        Flow("f", [task(RAN.append, name="before")(1), refused(1)]).run(db=db, **INLINE)
    with pytest.raises(RunFailed, match="cache must be False"):
        Flow("f", task(lambda: refused(1), name="going_on")()).run(db=db, **INLINE)
    assert ran == []


@pytest.mark.parametrize("cache", [-1, 0.0, "1h", None, float("nan"), 1e9])
def test_a_setting_that_is_none_is_refused(cache):
    with pytest.raises(SettingError, match=r"task f: cache must be True, False, or 0\.001 to 3"):
        task(lambda: 1, name="f", cache=cache)
