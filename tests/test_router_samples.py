"""The samples of the task flow's README run word for word, and give the same wherever they run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent / "samples" / "next_tasks.md"
POOL = "executor = PoolExecutor(ThreadPoolExecutor(max_workers=4))"
PRINTED = """\
{'greet': 'Hello World!'}
result1
{'task2': 'result2'}
started
{'slow_task1': 'result1', 'slow_task2': 'result2'}
streaming_task: interim_0
streaming_task: interim_1
streaming_task: interim_2
streaming_task: final
{'conditional_task': 'done'}
{'greet': 'Hello Alice!'}
{'task2': 'result2'}
{'process_task': 'processed data'}
result1
result2
{'task1': 'result1', 'task2': 'result2'}
{'task3': ['result2', 'result2', 'result2']}
"""


def script(executor: str) -> str:
    """All samples, one after the other, with this as their executor."""
    source = "\n".join(re.findall(r"```python\n(.*?)```", SAMPLES.read_text(encoding="utf-8"), re.DOTALL))
    assert source.count(POOL) == 1
    return source.replace(POOL, executor)


@pytest.mark.parametrize(
    "executor",
    [POOL, 'executor = "thread"', 'executor = "process"', 'executor = "async"', 'executor = "inline"'],
)
def test_the_samples_print_what_they_say_wherever_they_run(tmp_path, executor):
    (tmp_path / "samples.py").write_text(script(executor), encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, "samples.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )

    assert (ran.stderr, ran.returncode) == ("", 0)
    assert ran.stdout == PRINTED
