"""`python -m liteflow_spool FOLDER`: a worker."""

from __future__ import annotations

import argparse

from liteflow.system import cores
from liteflow_spool.folder import LOST_AFTER_S
from liteflow_spool.worker import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="liteflow_spool", description="Run what drivers put into a folder.")
    parser.add_argument("folder")
    parser.add_argument("--places", type=int, default=cores(), help="how many parcels at a time")
    parser.add_argument(
        "--lost-after", type=float, default=LOST_AFTER_S, help="seconds until a driver is dead"
    )
    given = parser.parse_args()
    try:
        main(given.folder, given.places, given.lost_after)
    except OSError as error:
        parser.exit(1, f"liteflow_spool: {given.folder}: {error.strerror or error}\n")
