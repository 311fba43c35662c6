"""A part of a flow runs with what the others gave before, and an outlook says what a resume would do."""

from __future__ import annotations

import pytest

from liteflow import Flow, task
from liteflow.errors import NotResumableError, RunOwnedError, UnknownNameError
from liteflow.outlook import outlook
from liteflow.part import choose, flow_of_part
from liteflow.store.db import open_store
from liteflow.store.forget import forget_runs
from liteflow.store.history import History


@task
def extract(n: int = 3) -> list[int]:
    return list(range(n))


@task
def total(rows: list[int], scale: int = 1) -> int:
    return scale * sum(rows)


@task
def report(value: int) -> str:
    return f"total {value}"


def etl(factor: int = 1) -> Flow:
    return Flow("etl", extract() >> total(scale=factor) >> report())


@pytest.mark.parametrize(
    ("only", "onwards", "keys", "needed"),
    [
        (["total"], [], ("total",), ("extract",)),
        ([], ["total"], ("total", "report"), ("extract",)),
        (["extract"], ["report"], ("extract", "report"), ("total",)),
        ([], ["extract"], ("extract", "total", "report"), ()),
    ],
)
def test_a_part_is_what_was_asked_for_and_needs_what_leads_into_it(only, onwards, keys, needed):
    part = choose(etl().compile(), only, onwards)

    assert (part.keys, part.needed, part.wanted) == (keys, needed, ())


def test_a_part_of_a_call_that_is_not_there_is_refused():
    with pytest.raises(UnknownNameError, match="totall"):
        choose(etl().compile(), ["totall"], [])


def test_a_part_runs_with_the_values_that_it_is_given_and_nothing_else_runs(tmp_path):
    part = choose(etl().compile(), [], ["total"])

    run = flow_of_part(etl(), part, {"extract": [10, 20]}).run(db=tmp_path / "x.db", executor="inline")

    assert run.result == {"report": "total 30"}
    assert run.output("extract") == [10, 20]


def failed(tmp_path):
    def fails(value: int) -> str:
        raise ValueError(value)

    flow = Flow("etl", extract() >> total() >> task(fails, name="report")())
    return flow.run(db=tmp_path / "x.db", executor="inline", check=False)


def test_an_outlook_says_what_stays_and_what_would_run_again_and_why(tmp_path):
    run = failed(tmp_path)

    seen = outlook(etl(factor=2), tmp_path / "x.db", None, "inline", False)

    assert seen.run.id == run.id
    assert seen.kept == ("extract",)
    assert seen.again.keys() == {"total"}
    with History(tmp_path / "x.db") as history:
        assert history.find_run(run.id).state == "failed"


def test_a_run_that_needs_no_resume_has_no_outlook(tmp_path):
    run = etl().run(db=tmp_path / "x.db", executor="inline")

    for ref in (None, run.id):
        with pytest.raises(NotResumableError):
            outlook(etl(), tmp_path / "x.db", ref, "inline", False)


def test_a_run_that_is_forgotten_is_gone_with_all_of_its_own_and_the_others_stay(tmp_path):
    gone, stays = failed(tmp_path), etl().run(db=tmp_path / "x.db", executor="inline")
    with History(tmp_path / "x.db") as history:
        rows = [history.find_run(gone.id)]

    connection = open_store(tmp_path / "x.db")
    count = forget_runs(connection, rows)
    left = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("instance", "attempt")}
    connection.close()

    assert count == 1
    assert left == {"instance": 3, "attempt": 0}
    with History(tmp_path / "x.db") as history:
        assert [row.id for row in history.runs()] == [stays.id]
    assert stays.result == "total 3"


def test_a_run_that_goes_on_is_not_forgotten(tmp_path):
    db = tmp_path / "x.db"
    refused: list[str] = []

    def forgets() -> None:
        with History(db) as history:
            (row,) = history.runs()
        connection = open_store(db)
        try:
            forget_runs(connection, [row])
        except RunOwnedError as error:
            refused.append(error.run_id)
        finally:
            connection.close()

    run = Flow("itself", task(forgets)()).run(db=db, executor="inline")

    assert refused == [run.id]
