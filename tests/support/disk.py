"""What a power cut may leave of a store's files: told from what a program has done to them.

    a program, its acts noted --> acts --cut at one of them, chance--> the files as the disk may hold them

Between two syncs of a file the system may write what it was given in any order, or not at all,
and a sector (512 bytes) is all that a disk writes as one.  What was synced is there.  So is a
file's name, when the file or its directory was synced; one that was taken away may be back until
then.  Source: https://www.sqlite.org/atomiccommit.html, 2 "Hardware Assumptions".

The log is a row of acts, each a head, a name and data.  The head is `_HEAD` below: kind, length of
the name, length of the data, offset in the file (in bytes), in this machine's byte order.
disk_log.c writes it, and so does a task that notes that it has started.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from typing import NamedTuple

SECTOR = 512
WRITE, TRUNCATE, SYNC, UNLINK, NOTE = b"W", b"T", b"S", b"U", b"N"

_HEAD = struct.Struct("=cBHIQ")
_SOURCE = Path(__file__).with_name("disk_log.c")

# For a script whose tasks note in the same log that they have started.
NOTING_ACTS = f"""
import struct

def note(name):
    with open(os.environ["LITEFLOW_DISK_LOG"], "ab", buffering=0) as log:
        log.write(struct.pack({_HEAD.format!r}, {NOTE!r}, len(name), 0, 0, 0) + name.encode())
"""


class Act(NamedTuple):
    """What was done to a file, or NOTE: the task instance `name` has started."""

    kind: bytes
    name: str
    offset: int
    data: bytes


def compiler() -> str | None:
    """A C compiler, if there is one."""
    return which("cc") or which("gcc") or which("clang")


def noted(folder: Path, store: Path) -> dict[str, str]:
    """Compile what notes the acts; give the environment in which a program's acts are noted."""
    library, log = folder / "disk_log.so", folder / "acts"
    cc = compiler()
    assert cc is not None
    subprocess.run([cc, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    log.touch()
    return {
        "LD_PRELOAD": str(library),
        "LITEFLOW_DISK_LOG": str(log),
        "LITEFLOW_DISK_STORE": os.path.realpath(store),
    }


def acts_in(log: Path) -> list[Act]:
    """Read a log.  SQLite's -shm file is left out: it is memory, and made anew from the others."""
    data, at, acts = log.read_bytes(), 0, []
    while at < len(data):
        kind, length, _, size, offset = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        act = Act(kind, data[at : at + length].decode(), offset, data[at + length : at + length + size])
        at += length + size
        if not act.name.endswith("-shm"):
            acts.append(act)
    return acts


Files = dict[str, bytearray]


def do(files: Files, act: Act) -> None:
    """Do to files in memory what an act has done."""
    if act.kind == UNLINK:
        files.pop(act.name, None)
    elif act.kind in (WRITE, TRUNCATE):
        file = files.setdefault(act.name, bytearray())
        end = act.offset + len(act.data)
        # What lies between was never written.
        file.extend(bytes(max(0, end - len(file))))
        if act.kind == TRUNCATE:
            del file[act.offset :]
        else:
            file[act.offset : end] = act.data


def after_cut(acts: Sequence[Act], cut: int, chance: random.Random) -> Files:
    """The files as the disk may hold them when the power goes after the first `cut` acts.

    What was not synced is kept up to some act, and behind that as chance has it: all or nothing
    of a file, some writes, some sectors of them.
    """
    safe = _synced(acts[:cut])
    reach = chance.choice((0, chance.randint(0, cut)))
    torn = chance.random() < 0.5
    names = sorted({act.name for act in acts[:cut]})
    kept = {name: chance.choice((0.0, 0.1, 0.5, 0.9, 1.0)) for name in names}
    files: Files = {}
    frozen: set[str] = set()
    for number, act in enumerate(acts[:cut]):
        if act.name in frozen:
            continue
        if number < safe.get(act.name, 0) or number < reach:
            do(files, act)
        elif act.kind == WRITE and torn:
            for part in _sectors(act):
                if chance.random() < kept[act.name]:
                    do(files, part)
        elif chance.random() < kept[act.name]:
            do(files, act)
        elif act.kind == UNLINK:
            # The file is still there; what was written to another of its name went with that name.
            frozen.add(act.name)
    return files


def _synced(acts: Sequence[Act]) -> dict[str, int]:
    """For each file the number of acts from the first that are on the disk whatever happens."""
    safe = {act.name: n for n, act in enumerate(acts) if act.kind == SYNC}
    directory = safe.pop("", 0)
    for n, act in enumerate(acts[:directory]):
        if act.kind == UNLINK:
            safe[act.name] = max(safe.get(act.name, 0), n + 1)
    return safe


def _sectors(act: Act) -> Iterator[Act]:
    """A write, sector by sector."""
    at, end = act.offset, act.offset + len(act.data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        yield Act(WRITE, act.name, at, act.data[at - act.offset : until - act.offset])
        at = until


def commits(acts: Sequence[Act]) -> list[int]:
    """How many acts from the first make each transaction of SQLite's log whole, in order.

    The head of a frame that ends one says how large the database is then, others say 0; its page
    is the next write to the log.
    Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log, "frame header".
    """
    # A task may have noted its start between the two, so they are not always neighbours among all acts.
    writes = [n for n, act in enumerate(acts) if act.kind == WRITE and act.name.endswith("-wal")]
    heads = [len(acts[n].data) == 24 and any(acts[n].data[4:8]) for n in writes]
    return [page + 1 for is_end, page in zip(heads, writes[1:], strict=False) if is_end]
