"""The driver is killed, at any instant: nothing that had committed is lost, or run again.

run --SIGKILL--> what had committed? --the same program again--> the same result
"""

from __future__ import annotations

import random
import time

import pytest
from support.drivers import Folder, done, faults, kill, until

LAYERS, WIDTH = 20, 15
TASKS = LAYERS * WIDTH

SCRIPT = f"""
@task
def step(name: str, *before: int) -> int:
    note(name)
    time.sleep(0.002)
    return (7 * sum(before) + len(before) + 1) % 1_000_003

@flow
def layers():
    row = [step(f"0-{{i}}").named(f"0-{{i}}") for i in range({WIDTH})]
    for n in range(1, {LAYERS}):
        row = [
            step(f"{{n}}-{{i}}", row[i], row[(i + n) % {WIDTH}]).named(f"{{n}}-{{i}}") for i in range({WIDTH})
        ]
    return row

if __name__ == "__main__":
    print(layers.run(run_id="layers", **(dict(durability="full") if "full" in sys.argv else {{}})).result)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the program prints when nobody kills it."""
    calm = Folder(tmp_path_factory.mktemp("calm"))
    calm.write(SCRIPT)
    return done(calm.python("flow.py"))


class Witness:
    """Kills the driver, and remembers what had committed at each kill."""

    def __init__(self, folder: Folder, *words: str) -> None:
        self.folder, self.words = folder, words
        folder.write(SCRIPT)
        self.committed: dict[str, tuple[int, bytes]] = {}

    def kill_after(self, seconds: float, starts: int = 0) -> None:
        """Start the driver, and kill it so long after so many tasks have started in all."""
        process = self.folder.python("flow.py", *self.words)
        before = self.folder.starts()
        until(lambda: process.poll() is not None or self.count(before) >= starts)
        time.sleep(seconds)
        kill(process)
        self.look()

    def count(self, before: dict[str, int]) -> int:
        return sum(self.folder.starts().values()) - sum(before.values())

    def look(self) -> None:
        """Whatever had committed before must still be there, and must not have started again."""
        found = dict(self.folder.query("SELECT key, sha256 FROM xcoms"))
        starts = self.folder.starts()
        for key, (count, digest) in self.committed.items():
            assert found.get(key) == digest, f"{key} had committed, and is not there any more"
            assert starts[key] == count, f"{key} had committed, and has started again"
        self.committed |= {
            key: (starts[key], digest) for key, digest in found.items() if key not in self.committed
        }
        if self.folder.query("SELECT 1 FROM runs"):
            assert faults(self.folder.db) == []

    def finish(self) -> str:
        """Let the driver go on to the end; give what it printed."""
        said = done(self.folder.python("flow.py", *self.words))
        self.look()
        return said


def assert_whole(folder: Folder) -> None:
    """Each task instance has exactly one result, and the run is told as any that succeeded."""
    assert set(folder.states().values()) == {"succeeded"}
    assert len(folder.states()) == TASKS
    assert folder.query("SELECT count(*), count(DISTINCT key) FROM xcoms") == [(TASKS, TASKS)]
    assert folder.query("SELECT count(*) FROM runs") == [(1,)]
    assert folder.run_state() == "succeeded"
    assert folder.left() == []


def kill_twice_and_finish(folder: Folder, seed: int, undisturbed: str, *words: str) -> None:
    chance, witness = random.Random(seed), Witness(folder, *words)
    for _ in range(2):
        witness.kill_after(chance.uniform(0, 0.02), chance.randrange(TASKS // 2))

    assert witness.finish() == undisturbed
    assert_whole(folder)


@pytest.mark.parametrize("seed", range(3))
def test_a_driver_killed_at_random_instants_loses_and_repeats_nothing_committed(folder, seed, undisturbed):
    kill_twice_and_finish(folder, seed, undisturbed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 150))
def test_a_driver_killed_at_a_hundred_random_instants(folder, seed, undisturbed):
    kill_twice_and_finish(folder, seed, undisturbed, *(["full"] if seed % 2 else []))


def test_a_driver_killed_again_and_again_in_its_first_moments_gets_to_the_end(folder, undisturbed):
    witness = Witness(folder)
    # By the clock, so that the beginning of the program, of the store and of the run are all met.
    for n in range(8):
        witness.kill_after(0.04 * (n + 1))

    assert witness.finish() == undisturbed
    assert_whole(folder)


def test_a_driver_that_is_killed_again_and_again_makes_progress_each_time(folder, undisturbed):
    witness = Witness(folder)
    counts = [0]
    for _ in range(4):
        witness.kill_after(0.02, 60)
        counts.append(len(witness.committed))

    assert counts == sorted(set(counts)), "a session committed nothing"
    assert witness.finish() == undisturbed
    assert_whole(folder)


def test_a_run_whose_driver_was_killed_is_interrupted_at_once_for_whoever_looks(folder):
    witness = Witness(folder)
    witness.kill_after(0.01, 20)

    assert folder.query("SELECT state FROM runs") == [("running",)]  # what nobody could write down
    assert '"state": "interrupted"' in done(folder.liteflow("runs", "--json"))
    assert "interrupted" in done(folder.liteflow("show", "layers"))


def test_what_a_killed_driver_leaves_behind_is_gone_within_two_seconds(folder):
    folder.write(
        'import subprocess\n@task\ndef stuck() -> None:\n    note("stuck")\n'
        '    subprocess.run(["sleep", "1000"])\n'
        'if __name__ == "__main__":\n    Flow("stuck", stuck()).run()\n'
    )
    process = folder.python("flow.py")
    until(folder.starts)
    kill(process)

    until(lambda: not folder.left())


def test_with_full_durability_no_task_starts_before_its_input_is_in_the_store(folder):
    folder.write(
        """
import sqlite3

@task
def first(n: int) -> int:
    return n

@task
def second(n: int, i: int) -> list[str]:
    store = sqlite3.connect("file:liteflow.db?mode=ro", uri=True)
    return [state for state, in store.execute("SELECT state FROM tasks WHERE key = ?", (f"first-{i}",))]

@flow
def pairs():
    return [second(first(i).named(f"first-{i}"), i) for i in range(50)]

if __name__ == "__main__":
    print({state for seen in pairs.run(durability=sys.argv[1]).result for state in seen})
"""
    )

    assert done(folder.python("flow.py", "full")) == "{'succeeded'}\n"
    # Otherwise the test above could not fail.
    assert "pending" in done(folder.python("flow.py", "normal"))
