"""`type: sql`: statements for a database; values are bound, never pasted.

SQLite is built in; any other database goes by a SQLAlchemy URL (`pip install 'liteflow[sql]'`).
A template in a statement becomes a bound parameter, so no value can become SQL.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Sequence
from typing import Any, ClassVar

from attrs import Attribute, frozen

from liteflow.task_types.base import TaskType, in_schema, option, spliced
from liteflow.task_types.faults import MissingExtraError, TemplateError, ValueRefusedError
from liteflow.task_types.templates import Template

# Where SQL expands no parameter: texts, quoted names, comments.  $tag$...$tag$ is PostgreSQL's.
_QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|(\$\w*\$).*?\1", re.DOTALL
)
_REFUSED = {
    opening: (f"inside {what} no value is bound", "take it out of there: values are bound as they are")
    for opening, what in (
        ("'", "quotes"),
        ('"', "quotes"),
        ("`", "quotes"),
        ("$", "$...$"),
        ("-", "a comment"),
        ("/", "a comment"),
    )
}
_URL = re.compile(r"[a-z][a-z0-9+_]*://", re.IGNORECASE)
# How long a lock of another program is waited for.
_PATIENCE_S = 30.0


def embed(text: str, templates: Sequence[Template], names: Sequence[str]) -> str:
    """Return the statement with bound parameters in the places of its templates.

    Raises:
        TemplateError: One stands inside quotes or a comment, where no parameter can.

    >>> from liteflow.task_types.templates import templates_in
    >>> text = "SELECT * FROM birds WHERE island = ${{ params.island }}"
    >>> embed(text, templates_in(text), ["ISLAND"])
    'SELECT * FROM birds WHERE island = :ISLAND'
    """
    plain = spliced(text, templates, ["\x01" * (t.end - t.start) for t in templates])
    for quoted in _QUOTED.finditer(plain):
        for template in templates:
            if quoted.start() <= template.start < quoted.end():
                raise TemplateError(text, template.start, *_REFUSED[quoted.group()[0]])
    return spliced(text, templates, [f":{name}" for name in names])


@in_schema(pattern=r"\S", minItems=1)
def statements(_work: object, _field: Attribute[Any], value: str | list[str]) -> None:
    """Refuse to run nothing."""
    texts = [value] if isinstance(value, str) else value
    if not texts or not all(text.strip() for text in texts):
        raise ValueError("is empty; give a statement of SQL")


@frozen(kw_only=True)
class Sql(TaskType):
    """Run statements in one transaction; the output are the rows of the last one, as dicts.

    Raises, when it runs:
        Exception: What the database's driver raises: sqlite3.Error, sqlalchemy.exc.SQLAlchemyError.
        MissingExtraError: SQLAlchemy, or a driver, is not installed.

    >>> Sql(db=":memory:", run="SELECT ${{ params.x }} AS x").filled({"params.x": "'; DROP"}).run()
    [{'x': "'; DROP"}]
    """

    kind: ClassVar[str] = "sql"

    run_: str | list[str] = option(
        alias="run", help="A statement, or several in a list.", validator=statements, language=embed
    )
    db: str = option(help="A SQLite file, or the URL of a database: postgresql://user@host/name.")
    args: dict[str, Any] = option(
        factory=dict, help="Values for the parameters of the statements, which stand there as :name."
    )

    def run(self) -> list[dict[str, Any]]:
        """Run the statements, and return rows."""
        texts = [self.run_] if isinstance(self.run_, str) else self.run_
        values = {**self.args, **self.variables}
        if _URL.match(self.db):
            return _by_sqlalchemy(self.db, texts, values)
        connection = sqlite3.connect(self.db, timeout=_PATIENCE_S, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN IMMEDIATE" if _writes(texts) else "BEGIN")
            rows: list[dict[str, Any]] = []
            for text in texts:
                cursor = _executed(connection, text, values)
                if cursor.description is not None:
                    names = [column[0] for column in cursor.description]
                    rows = [dict(zip(names, row, strict=True)) for row in cursor]
            connection.execute("COMMIT")
            return rows


def _executed(connection: sqlite3.Connection, text: str, values: dict[str, Any]) -> sqlite3.Cursor:
    try:
        return connection.execute(text, values)
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError, OverflowError):
        for name, value in values.items():
            named = re.sub(r"^LITEFLOW_\d+_", "", name)
            if isinstance(value, list | dict | tuple):
                problem = f"is a {type(value).__name__}, which SQLite can't hold"
                raise ValueRefusedError(named, problem, "take a part of it, or make it text") from None
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                problem = "is larger than a number can be in SQLite"
                raise ValueRefusedError(named, problem, "make it text") from None
        raise


def _writes(texts: Sequence[str]) -> bool:
    return not all(re.match(r"\s*(select|values|explain)\b", text, re.IGNORECASE) for text in texts)


def _by_sqlalchemy(url: str, texts: Sequence[str], values: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        import sqlalchemy  # noqa: PLC0415  an extra, which takes 200 ms to load
    except ImportError:
        raise MissingExtraError(f"a database at {url.partition('://')[0]}://", "sql") from None
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    except ImportError as error:
        raise MissingExtraError(f"a database at {url.partition('://')[0]}:// ({error})", "sql") from None
    rows: list[dict[str, Any]] = []
    with engine.begin() as connection:
        for text in texts:
            statement = sqlalchemy.text(text)
            bound = {name: values[name] for name in statement._bindparams if name in values}
            result = connection.execute(statement, bound)
            if result.returns_rows:
                rows = [dict(row) for row in result.mappings()]
    return rows
