"""The driver's side of the folder: `submit` gives a future, as of any pool.

submit() --> waiting/                       one thread looks into the folder, and settles the futures
cancel() --> out of waiting/, it never ran; or from taken/ to unwanted/, by which its worker knows
"""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from typing import Any

from liteflow_spool.folder import BEAT_S, LOOK_S, Beat, Census, Folder, driver_of, names, parcel_of, worker_of


class WorkerGoneError(Exception):
    """What was to run a parcel is gone, or could not run it."""


class Parcel(Future[Any]):
    """A parcel that is under way; `sent` says that it lies in the folder."""

    def __init__(self, folder: Folder, name: str, lock: threading.Lock) -> None:
        super().__init__()
        self.name = name
        self.sent = False
        self._folder = folder
        self._lock = lock

    def cancel(self) -> bool:
        """Take it back if it waits.  Else have what runs ended; it is done when its worker has said so."""
        # Of a folder that is out of reach the pool's thread tells.
        with self._lock, contextlib.suppress(OSError):
            try:
                (self._folder.waiting / self.name).unlink()
                return super().cancel()
            except FileNotFoundError:
                # A rename happens before or after, never between: a worker has it.
                for name in names(self._folder.taken):
                    if parcel_of(name) == self.name:
                        (self._folder.taken / name).rename(self._folder.unwanted / name)
        return False


class SpoolPool(Pool):
    """A spool as a pool; its workers are others' to start and to end.

    Args:
        folder: Where the spool is.
        lost_after: After how many seconds without a sign of life a worker is lost.

    Raises:
        OSError: The folder can't be made.
    """

    def __init__(self, folder: str | os.PathLike[str], lost_after: float) -> None:
        self._folder = Folder(folder)
        self._census = Census(self._folder, lost_after)
        self._beat = Beat(self._folder)
        self._parcels: dict[str, Parcel] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._beat.give()
        self._census.look()
        self._thread = threading.Thread(target=self._attend, name="liteflow-spool", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Parcel:
        """Have a worker run `fn(*args, wanted=..., **kwargs)`; it goes there as a pickle.

        Raises:
            RuntimeError: The pool is closed.
            OSError: The folder can't be written to.
        """
        if self._closed.is_set():
            raise RuntimeError("the spool is closed")
        self._count += 1
        parcel = Parcel(self._folder, f"{self._count:09}.{self._beat.name}", self._lock)
        # Before it is there: its answer may be quick.
        self._parcels[parcel.name] = parcel
        try:
            self._folder.put(self._folder.waiting, parcel.name, pickle.dumps((fn, args, kwargs), 5))
        except BaseException:
            del self._parcels[parcel.name]
            raise
        parcel.sent = True
        return parcel

    def places(self) -> int:
        """How many parcels the living workers run at a time."""
        return self._census.places()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """Take back what waits, have what runs ended, and say good-bye."""
        self._closed.set()
        self._thread.join()
        for parcel in list(self._parcels.values()):
            parcel.cancel()
        self._lose(self._parcels.copy(), WorkerGoneError("the spool was closed"))
        with contextlib.suppress(OSError):
            self._beat.end()

    # --- in a thread of its own ------------------------------------------------------------

    def _attend(self) -> None:
        rounds = 0
        while not self._closed.wait(LOOK_S):
            try:
                if rounds % round(BEAT_S / LOOK_S) == 0:
                    self._beat.give()
                    with self._lock:
                        self._lose_what_is_gone()
                if self._parcels:
                    self._take_in()
            except OSError as error:
                # The folder is gone, or out of reach.
                self._lose(self._parcels.copy(), error)
            rounds += 1

    def _take_in(self) -> None:
        for name in names(self._folder.answers):
            if driver_of(name) != self._beat.name:
                continue
            path = self._folder.answers / name
            answer, error = pickle.loads(path.read_bytes())
            path.unlink()
            # Nobody waits for it when its worker was only silent, and was taken for dead.
            parcel = self._parcels.pop(name, None)
            if parcel is not None and parcel.set_running_or_notify_cancel():
                if error is None:
                    parcel.set_result(answer)
                else:
                    parcel.set_exception(WorkerGoneError(error))

    def _lose_what_is_gone(self) -> None:
        """Parcels whose worker is dead, and those that lie nowhere: then we were taken for dead ourselves."""
        sent = {name: parcel for name, parcel in self._parcels.items() if parcel.sent}
        # In the order in which they move, so that none is missed; and who has one was alive before.
        rooms = [(room, names(room)) for room in self._folder.rooms]
        self._census.look()
        for room, there in rooms:
            for name in there:
                if worker_of(name) and self._census.is_dead(worker_of(name)):
                    if driver_of(name) == self._beat.name:
                        # If it lives after all, it learns by this that it is to end what it runs.
                        (room / name).unlink(missing_ok=True)
                else:
                    sent.pop(parcel_of(name), None)
        self._lose(sent, WorkerGoneError("nothing was heard any more of what had it"))

    def _lose(self, parcels: dict[str, Parcel], error: Exception) -> None:
        for name, parcel in parcels.items():
            self._parcels.pop(name, None)
            if not parcel.done() and parcel.set_running_or_notify_cancel():
                parcel.set_exception(error)
