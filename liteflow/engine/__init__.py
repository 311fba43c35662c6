"""The engine: runs a DAG.

schedule.py  what may run next (pure)       lanes.py   in which order (pure)
plan.py      a DAG as vectors (pure)        driver.py  the loop: all effects
"""
