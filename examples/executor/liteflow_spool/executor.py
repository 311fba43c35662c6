"""SpoolExecutor: tasks on the workers of a shared folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from liteflow.errors import SettingError
from liteflow.executor.annex import annexed
from liteflow.executor.cluster import ClusterExecutor
from liteflow.executor.remote import Answer
from liteflow_spool.folder import LOST_AFTER_S
from liteflow_spool.pool import SpoolPool


class SpoolExecutor(ClusterExecutor):
    """Lets tasks run wherever `python -m liteflow_spool FOLDER` runs; given as `executor=`.

    Args:
        folder: The folder that this machine and the workers' share.
        max_workers: How many calls it is given at a time; None: as many as the workers have places.
        name: What it is called in `max_workers={...}`, in messages and in the store.
        host: The address of this machine by which workers reach it, for tasks that take a Context or
            give chunks; None: 127.0.0.1, which workers of this machine alone reach.
        lost_after: After how many seconds without a sign of life a worker is lost.

    Raises:
        SettingError: The folder can't be made, or a limit is no positive number.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        max_workers: int | None = None,
        *,
        name: str = "spool",
        host: str | None = None,
        lost_after: float = LOST_AFTER_S,
    ) -> None:
        super().__init__(max_workers, name, host)
        if not lost_after > 0:
            raise SettingError("SpoolExecutor", "lost_after", lost_after, "a number of seconds above 0")
        self._folder = folder
        self._lost_after = lost_after
        self._pool: SpoolPool | None = None
        self._lock = threading.Lock()

    @property
    def pool(self) -> SpoolPool:
        """The folder, as a pool; opened when it is first used."""
        with self._lock:
            if self._pool is None:
                try:
                    self._pool = SpoolPool(self._folder, self._lost_after)
                except OSError as error:
                    wants = f"a folder that can be written to ({error.strerror})"
                    raise SettingError("SpoolExecutor", "folder", self._folder, wants) from error
            return self._pool

    @property
    def job(self) -> Callable[..., Answer]:
        """What workers run, told by `wanted=` whether somebody still waits for it."""
        return annexed

    def own_host(self) -> str:
        """A folder tells nobody's address."""
        return "127.0.0.1"

    def places(self) -> int:
        """As many as the living workers have."""
        return self.pool.places()

    def shutdown(self) -> None:
        """Take back what waits, end what runs, and say good-bye; workers go on, for others."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
