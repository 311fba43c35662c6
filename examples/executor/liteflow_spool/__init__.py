"""An executor of one's own: a batch queue in a shared folder, with the standard library alone.

    driver --parcels of calls--> folder/waiting --rename--> folder/taken --> worker --> annex
           <---------------------- folder/answers <----------------------------'

    python -m liteflow_spool FOLDER        a worker, on any machine that sees the folder
    flow.run(executor=SpoolExecutor(FOLDER))

- `executor.py`  what is given as `executor=`: a thin translation
- `pool.py`      the driver's side of the folder, as a pool with futures
- `worker.py`    the other side: takes parcels, runs them, puts answers
- `folder.py`    what both know of the folder
"""

from __future__ import annotations

import os

from liteflow.errors import SettingError
from liteflow.executor.cluster import default_of
from liteflow_spool.executor import SpoolExecutor

VARIABLE = "LITEFLOW_SPOOL"
"""The environment's word for the folder that `executor="spool"` means."""


def default() -> SpoolExecutor:
    """What `executor="spool"` means where this package is installed, as long as a program runs.

    Raises:
        SettingError: The environment does not say which folder.
    """
    return default_of(_of_the_environment)


def _of_the_environment() -> SpoolExecutor:
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise SettingError("a run", VARIABLE, folder, "the folder of a spool, in the environment")
    return SpoolExecutor(folder)


__all__ = ["SpoolExecutor", "default"]
