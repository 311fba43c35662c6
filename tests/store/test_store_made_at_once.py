"""Several runs begin at once where there is no store yet."""

import contextlib
import sqlite3
import threading

from liteflow.errors import StoreError
from liteflow.store.db import open_store


def test_a_store_that_several_make_at_once_is_one(tmp_path):
    for number in range(5):
        path = tmp_path / f"{number}.db"
        together = threading.Barrier(6)
        failures = []

        def open_one(path=path, together=together, failures=failures):
            together.wait()
            try:
                open_store(path).close()
            except StoreError as error:
                failures.append(error)

        threads = [threading.Thread(target=open_one) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM meta").fetchone() == (1,)
