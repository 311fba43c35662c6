"""The folder that drivers and workers share, and who is alive there.

    waiting/000000001.DRIVER            a parcel: who renames it has it
    taken/000000001.DRIVER@WORKER       while it is there, its answer is wanted
    unwanted/000000001.DRIVER@WORKER    it no longer is: its worker is to end what runs
    answers/000000001.DRIVER            what came of it
    alive/DRIVER, alive/WORKER          "PLACES COUNT", written anew again and again

All that is asked of the file system is that a rename happens once, and whole.  No clocks are compared, for
those of two machines differ: who changes is alive, who has not changed for long is dead.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

LOST_AFTER_S = 30.0
"""After so many seconds without a sign of life somebody is taken for dead."""
BEAT_S = 0.1
"""How often a sign of life is given, in seconds."""
LOOK_S = 0.02
"""How often the folder is looked at by who waits for something, in seconds."""


class Folder:
    """A spool.  Who may write to it can run code as its workers and drivers: it is its owner's alone.

    Args:
        path: Where it is; made if it is not there, in a folder that is: a share that is not mounted, or a
            path that is mistyped, must not become a spool that nobody else sees.

    Raises:
        OSError: It can't be made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        root = Path(path).absolute()
        self.waiting, self.taken, self.unwanted = root / "waiting", root / "taken", root / "unwanted"
        self.answers, self.alive = root / "answers", root / "alive"
        for room in (root, self.alive, *self.rooms):
            room.mkdir(mode=0o700, exist_ok=True)

    @property
    def rooms(self) -> tuple[Path, ...]:
        """Where a parcel may be, in the order in which it moves."""
        return self.waiting, self.taken, self.unwanted, self.answers

    def put(self, room: Path, name: str, data: bytes) -> None:
        """Put a file there, whole or not at all."""
        # A name that begins with a dot is not looked at.
        temporary = room / f".{name}.{os.urandom(4).hex()}"
        temporary.write_bytes(data)
        temporary.replace(room / name)


def names(room: Path) -> list[str]:
    """What lies there, the lowest number first: so several drivers have their turns."""
    return sorted(path.name for path in room.iterdir() if not path.name.startswith("."))


def driver_of(name: str) -> str:
    """Whose parcel it is.

    >>> name = "000000001.desk-71-ab12@node-9-cd34"
    >>> driver_of(name), worker_of(name), parcel_of(name)
    ('desk-71-ab12', 'node-9-cd34', '000000001.desk-71-ab12')
    """
    return parcel_of(name).partition(".")[2]


def worker_of(name: str) -> str:
    """Who has taken it."""
    return name.partition("@")[2]


def parcel_of(name: str) -> str:
    """Its name before somebody took it."""
    return name.partition("@")[0]


class Beat:
    """One's own sign of life, under a name that nobody else has.

    Args:
        folder: Where it is given.
        places: How many parcels one runs at a time; 0: one is a driver.
    """

    def __init__(self, folder: Folder, places: int = 0) -> None:
        host = socket.gethostname().partition(".")[0]
        self.name = f"{host}-{os.getpid()}-{os.urandom(4).hex()}"
        self._folder = folder
        self._places = places
        self._count = 0

    def give(self) -> None:
        """Tell that we live."""
        self._count += 1
        self._folder.put(self._folder.alive, self.name, f"{self._places} {self._count}".encode())

    def end(self) -> None:
        """Say good-bye."""
        (self._folder.alive / self.name).unlink(missing_ok=True)


class Census:
    """Who is alive, as far as one has looked.

    Args:
        folder: Where to look.
        lost_after: After how many seconds without a sign of life somebody is dead.
        clock: Seconds of a clock that never goes back.

    >>> import tempfile
    >>> now = [0.0]
    >>> folder = Folder(tempfile.mkdtemp())
    >>> worker, census = Beat(folder, places=4), Census(folder, 30, clock=lambda: now[0])
    >>> worker.give(); census.look(); census.places(), census.has_beaten(worker.name)
    (4, False)
    >>> worker.give(); census.look(); census.has_beaten(worker.name)
    True
    >>> now[0] = 31.0; census.look(); census.is_dead(worker.name), census.places()
    (True, 0)
    """

    def __init__(
        self, folder: Folder, lost_after: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._lost_after = lost_after
        self._clock = clock
        # By name: what was said last, since when, and whether that was a change.
        self._seen: dict[str, tuple[str, float, bool]] = {}

    def look(self) -> None:
        """See who has changed, and who is gone."""
        now, before, self._seen = self._clock(), self._seen, {}
        for name in names(self._folder.alive):
            try:
                said = (self._folder.alive / name).read_text()
            except FileNotFoundError:
                continue
            known = before.get(name)
            self._seen[name] = known if known and known[0] == said else (said, now, known is not None)

    def has_beaten(self, name: str) -> bool:
        """Whether somebody was seen to live, and has not just left a file when he died long ago."""
        return not self.is_dead(name) and self._seen[name][2]

    def is_dead(self, name: str) -> bool:
        """Whether somebody is silent for too long, or is gone."""
        return name not in self._seen or self._clock() - self._seen[name][1] > self._lost_after

    def dead(self) -> list[str]:
        """Who is silent for too long."""
        return [name for name in self._seen if self.is_dead(name)]

    def places(self) -> int:
        """How many parcels all living workers run at a time."""
        # The pool's thread may look meanwhile, and puts a new table in the place of this one.
        return sum(int(said.split()[0]) for name, (said, *_) in self._seen.items() if not self.is_dead(name))
