"""The worker pool.

    pool.py    the driver's side: who gets which calls, who has died, who is over time
    worker.py  the worker's side: the loop that runs calls
    capture.py the worker's side: what calls print and log
    wire.py    the frames between them
    page.py    the shared page on which a worker says where it is

Why not `concurrent.futures`: see docs/architecture.md.
"""
