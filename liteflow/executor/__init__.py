"""Executors: what turns an attempt into an outcome.

    base.py       what the driver and an executor say to each other
    attempt.py    one attempt, wherever it runs: arguments in, encoded value or failure out
    inline.py     in the driver's own thread        thread.py   in threads of the driver
    process/      in worker processes (pool · worker · wire)

An executor knows no store and no graph: it gets functions and bytes and gives outcomes.
"""
