"""A worker: takes parcels of a folder, runs them, and puts their answers there, until it is told to stop.

The work itself is done in annexes, processes beside this one: a call that crashes, is over its time or is
wanted no more costs its annex alone.
"""

from __future__ import annotations

import contextlib
import pickle
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from liteflow_spool.folder import BEAT_S, LOOK_S, Beat, Census, Folder, driver_of, names, parcel_of


class Worker:
    """Serves one folder.

    Args:
        folder: The folder.
        places: How many parcels it runs at a time.
        lost_after: After how many seconds without a sign of life a driver is dead: what it had running is
            ended, and what it had waiting is taken away.
    """

    def __init__(self, folder: Folder, places: int, lost_after: float) -> None:
        self._folder = folder
        self._places = places
        self._beat = Beat(folder, places)
        self._census = Census(folder, lost_after)
        self._told = threading.Event()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Take nothing more; what runs is run to its end."""
        self._told.set()

    def serve(self) -> None:
        """Work until `stop`.

        Raises:
            OSError: The folder is gone, or out of reach; what ran is ended.
        """
        with ThreadPoolExecutor(self._places + 1) as threads:
            heart = threads.submit(self._live)
            try:
                for served in [threads.submit(self._serve) for _ in range(self._places)]:
                    served.result()
            finally:
                self._told.set()
                self._stopped.set()
            heart.result()
        self._beat.end()

    def _live(self) -> None:
        try:
            while not self._stopped.wait(BEAT_S):
                self._beat.give()
                self._tidy()
        finally:
            # Without a sign of life, what we run is another's soon.
            self._told.set()

    def _tidy(self) -> None:
        """Take away what drivers that are dead have left, and so have what runs for them ended."""
        rooms = [(room, names(room)) for room in self._folder.rooms]
        # After that: whoever has something there was alive before.
        self._census.look()
        for room, there in rooms:
            for name in there:
                if self._census.is_dead(driver_of(name)):
                    (room / name).unlink(missing_ok=True)
        for name in self._census.dead():
            (self._folder.alive / name).unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._told.wait(LOOK_S):
            while not self._told.is_set() and (taken := self._take()) is not None:
                self._run(taken)

    def _take(self) -> Path | None:
        """Take a parcel, if there is one that nobody else takes first."""
        for name in names(self._folder.waiting):
            # Not of a driver that is dead, or may be: its calls would run for nobody.
            if not self._census.has_beaten(driver_of(name)):
                continue
            taken = self._folder.taken / f"{name}@{self._beat.name}"
            with contextlib.suppress(FileNotFoundError):
                return (self._folder.waiting / name).rename(taken)
        return None

    def _run(self, taken: Path) -> None:
        answer: tuple[Any, str | None]
        try:
            fn, args, kwargs = pickle.loads(taken.read_bytes())
            answer = fn(*args, wanted=taken.exists, **kwargs), None
        except Exception as error:  # noqa: BLE001  a parcel of another version may raise any; the driver is told
            answer = None, f"{type(error).__name__}: {error}"
        self._folder.put(self._folder.answers, parcel_of(taken.name), pickle.dumps(answer, 5))
        taken.unlink(missing_ok=True)
        (self._folder.unwanted / taken.name).unlink(missing_ok=True)


def main(folder: str, places: int, lost_after: float) -> None:
    """Serve a folder until SIGTERM or SIGINT; a second one ends what runs, too.

    Args:
        folder: The folder, made if what it lies in is there.
        places: How many parcels are run at a time.
        lost_after: After how many seconds without a sign of life a driver is dead.
    """
    worker = Worker(Folder(folder), places, lost_after)

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    worker.serve()
