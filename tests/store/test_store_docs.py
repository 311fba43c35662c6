"""What docs/database.md says of the views is what they have; its queries are run by tests/test_docs.py."""

import re
import sqlite3
from pathlib import Path

import pytest

from liteflow.store.db import open_store

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text(encoding="utf-8")
VIEWS = ["runs", "tasks", "edges", "attempts", "xcoms", "logs"]


def documented(view):
    """The columns in the page's first table of that view, in their order."""
    section = re.search(rf"^## {view}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    table = section[section.index("| column | meaning |") :].split("\n\n")[0]
    return [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_names_the_columns_of_each_view_in_their_order(db, view):
    open_store(db).close()
    connection = sqlite3.connect(db)
    columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", [view])]
    connection.close()

    assert documented(view) == columns


def test_every_view_for_users_has_its_section(db):
    open_store(db).close()
    connection = sqlite3.connect(db)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
    connection.close()

    assert {name for name in names if not name.startswith("every_")} == set(VIEWS)
