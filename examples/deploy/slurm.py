"""Runs the flow of pi.py on workers that a batch system starts: here Slurm, by dask-jobqueue.

    python examples/deploy/slurm.py RUN_ID

The driver, with Dask's scheduler in it, runs here; it asks for jobs as it has calls, and lets them go.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from pi import pi

from liteflow.executor import DaskExecutor

HERE = Path(__file__).resolve().parent


def main(run_id: str) -> None:
    """Run the flow, or go on with it.

    Args:
        run_id: What the run is called: begun again under the same name, the script goes on where it stopped.
    """
    from dask_jobqueue import SLURMCluster  # noqa: PLC0415  installed where there is a batch system

    with (
        SLURMCluster(
            cores=8,  # places of a job: so many calls at a time
            processes=1,  # calls run in processes of their own anyway
            memory="32GB",
            walltime="04:00:00",
            # What the script imports has to be where workers run: here on a disk that all nodes see.
            job_script_prologue=[f"export PYTHONPATH={shlex.quote(str(HERE))}"],
            # Before Slurm ends it, a worker goes by itself, and others take over what it has.
            worker_extra_args=["--lifetime", "230m", "--lifetime-stagger", "5m"],
        ) as cluster,
        DaskExecutor(cluster) as slurm,
    ):
        cluster.adapt(minimum_jobs=1, maximum_jobs=20)
        run = pi.run(executor=slurm, run_id=run_id)
    print(run.result)


if __name__ == "__main__":
    main(sys.argv[1])
