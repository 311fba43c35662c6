"""Statements for real databases: SQLite, and PostgreSQL where it is installed."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

from liteflow.task_types import Sql
from liteflow.task_types.faults import TemplateError, ValueRefusedError
from liteflow.task_types.sql import embed
from liteflow.task_types.templates import templates_in

HOSTILE = ["'; DROP TABLE t; --", '"', "\\", "%s", ":x", None, 2.5, "ü"]


def test_rows_are_dicts_of_the_last_statement(tmp_path):
    work = Sql(
        db=str(tmp_path / "x.db"),
        run=[
            "CREATE TABLE t (a, b)",
            "INSERT INTO t VALUES (1, :b), (2, 'y')",
            "SELECT a, b FROM t ORDER BY a",
        ],
        args={"b": "${{ params.x }}"},
    )

    assert work.filled({"params.x": "x"}).run() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_bound_and_never_sql(value):
    work = Sql(db=":memory:", run="SELECT ${{ params.x }} AS a, ${{ params.x }} AS b")

    assert work.filled({"params.x": value}).run() == [{"a": value, "b": value}]


def test_statements_are_one_transaction(tmp_path):
    db = str(tmp_path / "x.db")
    Sql(db=db, run="CREATE TABLE t (a UNIQUE)").run()

    with pytest.raises(sqlite3.IntegrityError):
        Sql(db=db, run=["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)"]).run()

    assert Sql(db=db, run="SELECT count(*) AS n FROM t").run() == [{"n": 0}]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '${{ params.x }}'",
        "SELECT 'it''s ${{ params.x }}'",
        'SELECT "${{ params.x }}"',
        "SELECT 1 -- ${{ params.x }}",
        "SELECT 1 /* \n ${{ params.x }} */",
        "SELECT $$ ${{ params.x }} $$",
    ],
)
def test_inside_quotes_and_comments_a_template_is_refused(text):
    with pytest.raises(
        TemplateError, match=r"inside (quotes|a comment|\$\.\.\.\$) no value is bound; take it out"
    ) as caught:
        embed(text, templates_in(text), ["X"])

    assert caught.value.offset == text.index("${{")


@pytest.mark.parametrize(
    ("value", "says"), [({"a": 1}, "is a dict"), ([1], "is a list"), (2**63, "is larger")]
)
def test_a_value_that_sqlite_can_not_hold_is_told_of_by_name(value, says):
    work = Sql(db=":memory:", run="SELECT :n, ${{ params.x }} AS x", args={"n": 1})

    with pytest.raises(ValueRefusedError, match=f"the value of params_x {says}"):
        work.filled({"params.x": value}).run()


@pytest.fixture(scope="module")
def postgres():
    """The URL of a fresh PostgreSQL server that only this test can reach."""
    pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    driver = next((d for d in ("psycopg", "psycopg2", "pg8000") if _there(d)), None)
    if driver is None:
        pytest.skip("no driver of PostgreSQL is installed")
    # Debian keeps the programs of each version out of the search path.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    programs = next((folder for folder in folders if (folder / "initdb").exists()), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    # PostgreSQL refuses to run for root; /tmp itself is where another user gets to.
    home = tempfile.mkdtemp(prefix="liteflow-pg-")
    user = {}
    if os.getuid() == 0:
        user = {"user": "nobody"}
        shutil.chown(home, "nobody")
    initdb = [f"{programs}/initdb", "-D", f"{home}/data", "-A", "trust", "-U", "me"]
    made = subprocess.run(initdb, check=False, cwd=home, capture_output=True, text=True, **user)
    if made.returncode:
        shutil.rmtree(home)
        pytest.skip(f"PostgreSQL can't be started here: {made.stderr.strip()[-200:]}")
    control = [f"{programs}/pg_ctl", "-D", f"{home}/data", "-w", "-o", f"-k {home} -c listen_addresses="]
    subprocess.run([*control, "-l", f"{home}/log", "start"], check=True, cwd=home, **user)
    where = f"unix_sock={home}/.s.PGSQL.5432" if driver == "pg8000" else f"host={home}"
    yield f"postgresql+{driver}://me@/postgres?{where}"
    subprocess.run([*control, "stop", "-m", "immediate"], check=True, cwd=home, **user)
    shutil.rmtree(home)


def _there(module):
    import importlib.util

    return importlib.util.find_spec(module) is not None


def test_another_database_goes_by_its_url(postgres):
    made = Sql(
        db=postgres,
        run=["CREATE TABLE t (a text)", "INSERT INTO t VALUES (${{ params.x }})", "SELECT a FROM t"],
    )

    assert made.filled({"params.x": HOSTILE[0]}).run() == [{"a": HOSTILE[0]}]


@pytest.mark.parametrize("value", HOSTILE)
def test_by_a_url_values_are_bound_too(value, tmp_path):
    pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    work = Sql(db=f"sqlite:///{tmp_path}/x.db", run=["SELECT 1 AS other", "SELECT ${{ params.x }} AS a"])

    assert work.filled({"params.x": value}).run() == [{"a": value}]
