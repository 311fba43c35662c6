"""Large values stay on the cluster: they go from call to call there, and come home by the side."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from support.annexes import Threads
from support.drivers import until
from test_random_dags import check_random_dags

from liteflow import Flow, task
from liteflow.executor.held import Shared

SIZE = 300_000


@task
def make(letter: str = "a") -> bytes:
    return letter.encode() * SIZE


@task
def length(data: bytes) -> int:
    return len(data)


@pytest.fixture
def cluster() -> Iterator[Threads]:
    with Threads() as made:
        yield made


def run(expression, cluster, **options):
    return Flow("f", expression).run(
        executor=cluster, **{"db": None, "check": False, "xcom_threshold": 100_000, **options}
    )


def test_a_large_value_goes_to_calls_on_the_cluster_without_being_sent_there(cluster, tmp_path):
    data, db = make(), tmp_path / "s.db"
    flow = Flow("f", [length(data), length(data), data])

    ended = flow.run(db=db, executor=cluster, xcom_threshold=100_000)

    assert ended.result == [SIZE, SIZE, b"a" * SIZE]
    assert cluster.jobs.ever == 1
    assert max(cluster.jobs.weights) < 10_000
    # It is at home as well.
    assert flow.run(db=db, run_id=ended.id).result == ended.result


def test_nothing_is_held_that_nobody_needs(cluster):
    run([length(make()), make("b")], cluster)

    assert cluster.jobs.ever == 2
    assert cluster.jobs.held == {}


def test_small_values_travel_as_ever_and_so_do_all_with_a_storage(cluster, tmp_path):
    run([length(make())], cluster, xcom_threshold=SIZE * 2)
    run([length(make())], cluster, xcom_storage=(tmp_path / "values").as_uri())

    assert cluster.jobs.ever == 0


def test_a_call_elsewhere_gets_it_from_home(cluster):
    data = make()

    ended = run([length.options(executor=where)(data) for where in ("thread", "process", "inline")], cluster)

    assert ended.result == [SIZE] * 3


def test_what_a_call_goes_on_as_is_not_held(cluster):
    @task
    def grows(data: bytes) -> int:
        return length(data + data)

    assert run(grows(make()), cluster).result == 2 * SIZE


@pytest.mark.parametrize("retries", [0, 1])
def test_a_value_that_is_lost_before_it_is_home_is_made_again(retries, cluster):
    def lose(number: int) -> None:
        if number == 0:
            cluster.jobs.held.clear()

    cluster.fetched = lose

    ended = run(length.options(retries=retries)(make.options(retries=1)()), cluster)

    assert ended.result == SIZE
    assert ended.tasks["make"].attempts == 2
    # What had begun with it, begins again.
    assert ended.tasks["length"].attempts == 1 + retries


def test_without_a_retry_it_fails_and_says_what_was_lost(cluster):
    cluster.fetched = lambda _number: cluster.jobs.held.clear()

    ended = run(length(make()), cluster)

    assert ended.tasks["make"].state == "failed"
    assert "its value is lost with the worker that held it" in ended.tasks["make"].error
    assert ended.tasks["length"].state == "upstream_failed"


def test_a_value_that_is_lost_when_it_is_at_home_is_sent_from_there(cluster, tmp_path):
    @task(executor="thread")
    def lose(data: bytes) -> int:
        cluster.jobs.held.clear()
        return 1

    @task(retries=1)
    def need(data: bytes, after: int) -> int:
        return len(data)

    data = make()
    ended = run(need(data, lose(data)), cluster)

    assert ended.result == SIZE
    assert ended.tasks["need"].attempts == 2


@pytest.mark.parametrize(
    ("retries", "durability", "order"),
    [(1, "normal", "mu-h"), (0, "normal", "m-hu"), (1, "full", "m-hu")],
    ids=["retries", "no retry", "full"],
)
def test_a_call_that_may_be_tried_again_begins_while_its_value_comes_home(
    retries, durability, order, cluster, tmp_path
):
    begun = tmp_path / "begun"
    seen = ["m"]

    @task(retries=retries)
    def use(data: bytes) -> int:
        begun.touch()
        return len(data)

    def fetched(_number: int) -> None:
        if order == "mu-h":
            until(begun.exists)
        seen.extend(["u"] * begun.exists() + ["-h"])

    cluster.fetched = fetched
    data = make()
    ended = run([use(data), use(data)], cluster, durability=durability, db=tmp_path / "s.db")

    assert ended.result == [SIZE, SIZE]
    assert "".join(dict.fromkeys([*seen, "u"])) == order
    assert [row.attempts for row in ended.tasks.values()] == [1, 1, 1]


def test_all_that_began_with_a_value_which_never_came_home_begins_again(cluster, tmp_path):
    begun = tmp_path / "begun"

    @task(retries=1)
    def more(data: bytes) -> bytes:
        return data + b"x"

    @task(retries=1)
    def last(data: bytes) -> int:
        begun.touch()
        return len(data)

    def lose(number: int) -> None:
        if number == 0:
            until(begun.exists)
            del cluster.jobs.held[0]

    cluster.fetched = lose
    ended = run(last(more(make.options(retries=1)())), cluster)

    assert ended.result == SIZE + 1
    assert {key: row.attempts for key, row in ended.tasks.items()} == {"make": 2, "more": 2, "last": 2}


def test_what_comes_of_a_chain_is_told_in_its_order(cluster):
    @task(retries=1)
    def more(data: bytes) -> bytes:
        return data + b"x"

    step = make()
    for _ in range(5):
        step = more(step)

    told: list[str] = []

    class Observer:
        def changed(self, changes):
            told.extend(key for key, (state, _) in changes.items() if state == "succeeded")

        def __getattr__(self, name):
            return lambda *_: None

    ended = run(length.options(retries=1)(step), cluster, observer=Observer())

    assert ended.result == SIZE + 5
    assert told == ["make", "more", *(f"more-{n}" for n in range(2, 6)), "length"]


def test_a_cancelled_run_does_not_wait_for_what_is_on_its_way_home(cluster):
    fetching, never = threading.Event(), threading.Event()

    def hang(_number: int) -> None:
        fetching.set()
        never.wait()

    cluster.fetched = hang
    handle = Flow("f", length(make())).start(db=None, executor=cluster, xcom_threshold=100_000)
    until(fetching.is_set)
    handle.cancel()
    ended = handle.wait(60)
    never.set()

    assert ended.tasks["make"].state == "cancelled"


def test_a_random_dag_whose_values_are_all_held_gives_what_plain_evaluation_gives(cluster, tmp_path):
    check_random_dags(cluster, 15, tmp_path, xcom_threshold=0)

    assert cluster.jobs.ever
    assert cluster.jobs.held == {}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_shared_bytes_travel_by_any_protocol(protocol):
    import pickle

    shared = Shared(b"abc" * 1000)
    for one in (shared, Shared(shared.large())):
        assert pickle.loads(pickle.dumps(one, protocol)).large().read(0, 3000) == b"abc" * 1000
        assert one.__sizeof__() == 3000
