"""The power goes, at any instant: what is left of the store is what it was after some commit.

    a run, each write and sync of its store noted --> the files as a disk may hold them after a cut
       --SQLite--> sound?  --> as after which commit? --> none that counted is lost
       --liteflow--> the run goes on to the same result

What a cut may leave, and how it is made, says support/disk.py.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from attrs import frozen
from support import disk
from support.disk import NOTE, SYNC, UNLINK, Act, Files, acts_in, after_cut, commits, noted
from support.drivers import Folder, done, faults, query

from liteflow.store.db import open_store

ROWS, WIDTH = 12, 12

SCRIPT = f"""
{disk.NOTING_ACTS}

@task
def step(name: str, *before: bytes) -> bytes:
    note(name)
    # Long enough that the run has many commits.
    time.sleep(0.003)
    # Large enough that the log is brought into the file several times while the run goes on.
    return b"".join(part[:10] for part in before) + name.encode().ljust(60_000)

@flow
def rows():
    row = [step(f"0-{{i}}").named(f"0-{{i}}") for i in range({WIDTH})]
    for n in range(1, {ROWS}):
        row = [
            step(f"{{n}}-{{i}}", row[i], row[(i + n) % {WIDTH}]).named(f"{{n}}-{{i}}") for i in range({WIDTH})
        ]
    return row

if __name__ == "__main__":
    result = rows.run(run_id="rows", durability=sys.argv[1]).result
    print([(len(value), hash(value)) for value in result])
"""

pytestmark = pytest.mark.skipif(
    disk.compiler() is None or not Path("/proc/self/fd").exists(),
    reason="what a run does to its store is noted by a C library, made here, for Linux",
)


@frozen
class Logged:
    """A run that nobody has disturbed.

    Attributes:
        printed: What its program printed.
        acts: What it has done to its store, and when its tasks started.
        inputs: The task instances whose results each one has taken.
        commits: How many acts from the first made each commit whole; the first is none: 0.
        contents: What the store held after each of them.
    """

    printed: str
    acts: Sequence[Act]
    inputs: dict[str, set[str]]
    commits: Sequence[int]
    contents: Sequence[str]


def content(db: Path) -> str:
    """A digest of all that a store holds, as SQLite reads it; it brings the log over, as any writer does."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(db)) as connection:
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        for table, sql in connection.execute(query).fetchall():
            digest.update(repr((table, sql)).encode())
            rows = connection.execute(f"SELECT * FROM {table}") if sql.startswith("CREATE TABLE") else ()
            for row in rows:
                for value in row:
                    digest.update(value if isinstance(value, bytes) else repr(value).encode())
    return digest.hexdigest()


def write(files: Files, place: Path) -> Path:
    """Lay files where a program finds them, in place of what is there, and give the store's path."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name, data in files.items():
        (place / name).write_bytes(data)
    return place / "liteflow.db"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory):
    """Gives the logged run of a durability, run when it is first asked for."""
    known: dict[str, Logged] = {}

    def give(durability: str) -> Logged:
        if durability not in known:
            known[durability] = log_run(tmp_path_factory.mktemp(durability), durability)
        return known[durability]

    return give


def log_run(place: Path, durability: str) -> Logged:
    (place / "run").mkdir()
    folder = Folder(place / "run")
    folder.write(SCRIPT)
    env = {**noted(place, folder.db), "PYTHONHASHSEED": "0"}
    printed = done(folder.python("flow.py", durability, env=env))
    inputs: dict[str, set[str]] = {}
    for target, source in folder.query("SELECT target, source FROM edges"):
        inputs.setdefault(target, set()).add(source)
    acts = acts_in(place / "acts")
    ends = [0, *commits(acts)]
    contents, files = [], Files()
    for n, end in enumerate(ends):
        for act in acts[ends[n - 1] if n else 0 : end]:
            disk.do(files, act)
        contents.append(content(write(files, place / "commit")))
    return Logged(printed, acts, inputs, ends, contents)


def cuts(acts: Sequence[Act], number: int, seed: int) -> list[tuple[int, random.Random]]:
    """Instants to cut the power at, as numbers of acts done: half of them anywhere, half beside a sync."""
    chance = random.Random(seed)
    syncs = [n for n, act in enumerate(acts) if act.kind == SYNC] or [0]
    found = []
    for n in range(number):
        cut = chance.randint(0, len(acts)) if n % 2 else chance.choice(syncs) + chance.randint(-3, 4)
        found.append((min(max(cut, 0), len(acts)), random.Random(chance.random())))
    return found


def synced_commits(run: Logged, cut: int) -> int:
    """How many commits SQLite had been told are on the disk, when the power went."""
    syncs = [n for n, act in enumerate(run.acts[:cut]) if act.kind == SYNC and act.name.endswith("-wal")]
    return bisect_right(run.commits, syncs[-1]) - 1 if syncs else 0


def look(run: Logged, cut: int, db: Path) -> int:
    """See that a store is sound, and as it was after a commit before the cut; give the number of that."""
    found = content(db)
    before = [n for n, held in enumerate(run.contents) if held == found and run.commits[n] <= cut]
    assert before, f"cut at {cut}: what is there never was"
    commit = before[-1]
    # The first content is none: the file was to become a store yet.
    assert query(db, "PRAGMA integrity_check") in ([("ok",)], [])
    assert commit == 0 or faults(db) == [], f"cut at {cut}"
    return commit


def lacking(run: Logged, cut: int, db: Path) -> set[str]:
    """The results that had been given to tasks which had started, and are not in the store."""
    taken = {source for act in run.acts[:cut] if act.kind == NOTE for source in run.inputs.get(act.name, ())}
    return taken - {key for (key,) in query(db, "SELECT key FROM xcoms")} if taken else set()


def resume(run: Logged, files: Files, place: Path, durability: str) -> None:
    """Let the same program go on where the cut has left it; nothing that is there runs again."""
    write(files, place)
    folder = Folder(place)
    folder.write(SCRIPT)
    with closing(open_store(folder.db)) as connection:
        there = {key for (key,) in connection.execute("SELECT key FROM xcoms")}
    log = place / "acts"
    log.touch()
    env = {"PYTHONHASHSEED": "0", "LITEFLOW_DISK_LOG": str(log)}
    assert done(folder.python("flow.py", durability, env=env)) == run.printed
    again = [act.name for act in acts_in(log)]
    assert there.isdisjoint(again)
    assert len(there) + len(again) == ROWS * WIDTH
    assert set(folder.states().values()) == {"succeeded"}
    assert faults(folder.db) == []


def cut_power(run: Logged, durability: str, number: int, seed: int, place: Path) -> int:
    """Cut the power so many times, and see what holds; say how many commits were lost before a sync."""
    lost = 0
    for n, (cut, chance) in enumerate(cuts(run.acts, number, seed)):
        files = after_cut(run.acts, cut, chance)
        db = write(files, place / "cut")
        commit = look(run, cut, db)
        assert commit >= synced_commits(run, cut), f"cut at {cut}: what was synced is lost"
        lost += bisect_right(run.commits, cut) - 1 - commit
        if durability == "full":
            assert lacking(run, cut, db) == set(), f"cut at {cut}"
        # As liteflow finds it: with no other program having mended it first.
        open_store(write(files, place / "found")).close()
        if n % 40 == 4:
            resume(run, files, place / "resumed", durability)
    return lost


def test_a_power_cut_costs_full_durability_nothing_that_counted(logged, tmp_path):
    cut_power(logged("full"), "full", 8, 1, tmp_path)


def test_a_power_cut_costs_normal_durability_a_suffix_and_never_consistency(logged, tmp_path):
    # That something is lost shows that what was not synced is in fact thrown away here.
    assert cut_power(logged("normal"), "normal", 16, 2, tmp_path) > 0


def test_a_power_cut_in_a_stores_first_moments_leaves_what_becomes_a_store(logged, tmp_path):
    run = logged("full")
    left = [after_cut(run.acts, cut, random.Random(cut)) for cut in range(run.commits[1])]
    # The journal from which a store's first page is undone may be back: its removal is not synced at once.
    removed = next(n for n, act in enumerate(run.acts) if act.kind == UNLINK)
    synced = next(n for n, act in enumerate(run.acts) if n > removed and act.kind == SYNC and not act.name)
    files = Files()
    for act in run.acts[:synced]:
        if act.kind != UNLINK:
            disk.do(files, act)
            left.append({name: bytearray(data) for name, data in files.items()})
    assert files["liteflow.db-journal"]
    assert files["liteflow.db-wal"]

    for found in left:
        with closing(open_store(write(found, tmp_path / "cut"))) as connection:
            assert connection.execute("SELECT count(*) FROM run").fetchone() == (0,)


def test_a_disk_that_lies_about_syncs_is_found_out(logged, tmp_path):
    # With no promise about it; but if this harness could not tell, the two above would say nothing.
    run = logged("full")
    lying = [act for act in run.acts if act.kind != SYNC]
    wrong = 0
    for n in range(40):
        chance = random.Random(n)
        cut = chance.randint(0, len(lying))
        db = write(after_cut(lying, cut, chance), tmp_path / "cut")
        try:
            wrong += content(db) not in run.contents or lacking(run, cut, db) != set()
        except sqlite3.DatabaseError:
            wrong += 1
    assert wrong > 10


@pytest.mark.soak
@pytest.mark.parametrize("durability", ["full", "normal"])
def test_four_hundred_power_cuts(logged, tmp_path, durability):
    assert cut_power(logged(durability), durability, 400, 3, tmp_path) > 0
