"""The worker pool.

    pool.py    the driver's side: who gets which calls, who has died, who is over time
    pace.py    how many calls travel together
    member.py  one worker as the driver sees it
    endings.py how attempts end that don't by themselves: timed out, cancelled, lost
    nursery.py the driver's side of supervisors
    supervisor.py  the process that forks workers, and ends them
    worker.py  the worker's side: the loop that runs calls
    state.py   the worker's side: what calls change of their process, put back
    capture.py the worker's side: what calls print and log
    wire.py    the frames between them
    page.py    the shared page on which a worker says where it is

Why not `concurrent.futures`: see docs/architecture.md.
"""
