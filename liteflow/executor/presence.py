"""Is the cluster there, and how large is it?  It is asked in a thread of its own: the driver's never waits.

there --no answer--> away --an answer--> there        what it was running when it went is lost
                      |
                      +--- for too long --> given up  what waits for it fails; a resume goes on with it
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import NamedTuple

from liteflow.executor.base import Needs

# It is asked this often, in seconds, and at once when there is a doubt.
_ASK_S = 1.0
# One that has had no workers for so long, in seconds, is told of: they may never come.
_EMPTY_S = 5.0

_logger = logging.getLogger("liteflow")


class Seen(NamedTuple):
    """What a cluster was when it was last asked.

    Attributes:
        sizes: How many calls may be there at a time, and how many places there are, or may come to be.
        rooms: Of each kind of calls that take something, how many have room.
        is_empty: Whether it has no worker, as far as it knows.
    """

    sizes: tuple[int, int]
    rooms: Mapping[Needs, int]
    is_empty: bool


class Presence:
    """What one run knows of its cluster.

    Args:
        name: What the executor is called.
        ask: Gives what is there, and what room for calls of these kinds; raises whatever it likes if the
            cluster can't be reached.
        again: Connects to it anew, if that is needed; raises whatever it likes if that can't be done.
        patience: Seconds that it may be away.
        calm: Seconds after something of it was lost until it may be asked whether it is there.

    `losses` counts how often it went away; `gave_up` says that it has been away for too long, and what to do.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[Iterable[Needs]], Seen],
        again: Callable[[], None],
        patience: float,
        calm: float,
    ) -> None:
        self._name = name
        self._ask = ask
        self._again = again
        self._patience = patience
        self._calm = calm
        self._wake: Callable[[], object] = lambda: None
        self._asking = threading.Event()
        self._over = False
        self._away_since: float | None = None
        self._empty_since: float | None = None
        # Doubts that the driver has had, and those of them that an answer has settled.
        self._doubts = self._settled = 0
        # What calls take that wait for it.
        self._kinds: list[Needs] = []
        self._seen = ask(())
        self.losses = 0
        self.gave_up: str | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """How many calls may be there at a time, and how many places there are."""
        return self._seen.sizes

    @property
    def is_there(self) -> bool:
        """Whether it takes calls, as far as is known."""
        return self._away_since is None and self._settled == self._doubts

    def room_for(self, needs: Needs) -> int:
        """How many calls that take this may be there at a time; one, as long as that is not known."""
        if needs not in self._kinds:
            self._kinds.append(needs)
            self._asking.set()
        return self._seen.rooms.get(needs, 1)

    def start(self, wake: Callable[[], object]) -> None:
        """Begin to ask; `wake` is called from another thread when something has changed."""
        self._wake = wake
        threading.Thread(target=self._watch, name=f"liteflow-{self._name}-presence", daemon=True).start()

    def doubt(self) -> None:
        """Something of it was lost: it is not there until it has answered again."""
        self._doubts += 1
        self._asking.set()

    def close(self) -> None:
        """Ask no more."""
        self._over = True
        self._asking.set()

    def _watch(self) -> None:
        while True:
            self._asking.wait(_ASK_S)
            self._asking.clear()
            if self._calm and self._doubts != self._settled and not self._over:
                time.sleep(self._calm)
            if self._over:
                return
            before = self._seen, self.is_there
            self._look()
            if self._away_since is not None or (self._seen, self.is_there) != before:
                self._wake()

    def _look(self) -> None:
        doubts = self._doubts
        try:
            if self._away_since is not None:
                self._again()
            self._seen = self._ask(tuple(self._kinds))
        except Exception as error:  # noqa: BLE001  a cluster's client may raise any
            self._note_away(error)
            return
        if self._away_since is not None:
            away_s = time.monotonic() - self._away_since
            _logger.warning("cluster %s is back after %.0f s; the run goes on", self._name, away_s)
        self._away_since = self.gave_up = None
        self._settled = doubts
        self._note_empty()

    def _note_empty(self) -> None:
        now = time.monotonic()
        if not self._seen.is_empty:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        elif now >= self._empty_since + _EMPTY_S:
            # Once, until some have come and gone.
            self._empty_since = inf
            _logger.warning("cluster %s has no workers: what is to run there waits for some", self._name)

    def _note_away(self, error: Exception) -> None:
        now = time.monotonic()
        why = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
        if self._away_since is None:
            self._away_since = now
            self.losses += 1
            text = "cluster %s can't be reached (%s); the run waits for it, %g s at most"
            _logger.warning(text, self._name, why, self._patience)
        if now >= self._away_since + self._patience:
            self.gave_up = (
                f"the cluster could not be reached for {self._patience:g} s ({why}); "
                "start it again, and go on with the run by `resume`"
            )
