"""A driver's memory and descriptors have bounds, however many tasks there are."""

from __future__ import annotations

import statistics
import subprocess
from pathlib import Path

import pytest
from support.drivers import Folder, done

from liteflow import Flow, task

# Of VmHWM, which counts kilobytes.
MB = 1024

SCRIPT = """
@task
def small(n: int) -> bytes:
    return bytes(1000)

@task
def large(n: int) -> bytes:
    return bytes(200_000)

@task
def total(*parts: bytes) -> int:
    return sum(map(len, parts))

@flow
def wide(many: int, some: int = 300):
    # Only the large ones are needed by another; nobody needs the small ones, but for their sizes.
    return total(*[large(n) for n in range(some)]), [small(n) for n in range(many)][-1]

if __name__ == "__main__":
    run = wide.run(many=int(sys.argv[1]))
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    print(run.state, status["VmHWM"].split()[0])
"""

MANY = """
@task
def small(n: int) -> int:
    return n

@task
def last(*parts: int) -> int:
    return len(parts)

@flow
def wide(many: int):
    rows = [small(n) for n in range(many)]
    return [last(*rows[at : at + 1000]) for at in range(0, many, 1000)]

if __name__ == "__main__":
    run = wide.run(many=int(sys.argv[1]))
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    print(run.state, status["VmHWM"].split()[0])
"""

MAPPED = """
@task
def small(n: int) -> int:
    return n

@flow
def wide(many: int):
    return small.map(range(many))

if __name__ == "__main__":
    wide.run(many=10)
    # Of the driver alone, and whatever else the machine does.
    before = time.process_time()
    run = wide.run(many=int(sys.argv[1]))
    used = time.process_time() - before
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    print(run.state, status["VmHWM"].split()[0], used)
"""


def mapped(folder: Folder, items: int, within: float = 60.0) -> tuple[int, float]:
    """Run a map over so many items; give the kilobytes of its driver at most, and its seconds of CPU."""
    folder.write(MAPPED)
    state, used, seconds = done(folder.python("flow.py", str(items)), within).split()
    assert state == "succeeded"
    return int(used), float(seconds)


def most_descriptors(process: subprocess.Popen[str]) -> int:
    """How many descriptors the process has had at once, as long as it lives."""
    most = 0
    while process.poll() is None:
        try:
            most = max(most, len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
        except OSError:
            break
    return most


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_ten_thousand_ready_tasks_take_bounded_memory_and_descriptors(folder: Folder) -> None:
    folder.write(MANY)
    state, used = done(folder.python("flow.py", "10000")).split()
    assert state == "succeeded"
    assert int(used) < 300 * MB

    folder.write(SCRIPT)
    process = folder.python("flow.py", "1000")
    most = most_descriptors(process)
    state, used = done(process).split()
    assert state == "succeeded"
    assert 10 < most < 200
    assert int(used) < 300 * MB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_an_item_of_a_map_takes_a_few_hundred_bytes(folder: Folder) -> None:
    few, _ = mapped(folder, 10_000)
    many, _ = mapped(folder, 60_000)

    assert (many - few) * 1024 / 50_000 < 350


@pytest.mark.soak
def test_a_map_over_a_million_items_takes_less_than_half_a_gigabyte_and_no_longer_for_each(
    folder: Folder,
) -> None:
    few = statistics.median(mapped(folder, 10_000)[1] for _ in range(5))
    used, seconds = mapped(folder, 1_000_000, within=900)

    assert used < 500 * MB
    assert seconds / 1_000_000 < 1.3 * few / 10_000


@pytest.mark.soak
def test_a_million_calls_take_less_than_a_gigabyte(folder: Folder) -> None:
    folder.write(MANY)
    state, used = done(folder.python("flow.py", "1000000"), within=900).split()

    assert state == "succeeded"
    # Composed one by one: each call is an object of the flow's own until the run has ended.
    assert int(used) < 1000 * MB


def test_a_worker_lets_go_of_large_values_that_nobody_needs_any_more(tmp_path) -> None:
    @task
    def large(n: int) -> bytes:
        return bytes([n]) * 200_000

    @task
    def held(one: bytes, two: bytes) -> int:
        assert (len(one), len(two)) == (200_000, 200_000)
        return len(list(Path("/proc/self/fd").iterdir()))

    pairs = [held(large(n), large(n + 1)) for n in range(0, 120, 2)]

    assert max(Flow("f", pairs).run(db=tmp_path / "x.db", max_workers=2).result) < 60
