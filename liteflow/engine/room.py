"""How much of a machine is free, and whether what a call takes fits.  Pure: amounts in, amounts out.

Amounts are whole numbers of parts (`resources.UNIT`), so that nothing is lost by adding and taking away.
GPUs are counted one by one: two calls that take half of one share it, and one that takes two has both
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from liteflow.resources import UNIT, Resources


@frozen
class Taken:
    """What a call holds: parts by name, and of which GPUs how much."""

    amounts: tuple[tuple[str, int], ...]
    gpus: tuple[tuple[int, int], ...] = ()


@frozen
class Room:
    """What is free: parts by name, and of each GPU.

    >>> room = Room.of({"cpus": 2, "gpus": 1}, 1)
    >>> room.fitting(Resources((("cpus", 3),))) is None
    True
    >>> held = room.fitting(Resources((("cpus", 2), ("gpus", 0.5))))
    >>> room.without(held).fitting(Resources((("gpus", 0.5),)))
    Taken(amounts=(), gpus=((0, 5000),))
    >>> room.without(held).with_(held) == room
    True
    """

    amounts: Mapping[str, int]
    gpus: tuple[int, ...]

    @classmethod
    def of(cls, amounts: Mapping[str, float], gpus: int) -> Room:
        """Return the room of an empty machine; what it has of GPUs is the number of them."""
        return cls({n: round(a * UNIT) for n, a in amounts.items() if n != "gpus"}, (UNIT,) * gpus)

    def fitting(self, wanted: Resources) -> Taken | None:
        """Return what a call would hold that takes this; None: it does not fit."""
        amounts = self.amounts
        gpus: tuple[tuple[int, int], ...] = ()
        rest: list[tuple[str, int]] = []
        for name, count in wanted.units:
            if name == "gpus":
                found = self._gpus(count)
                if found is None:
                    return None
                gpus = found
            elif amounts.get(name, 0) < count:
                return None
            else:
                rest.append((name, count))
        return Taken(tuple(rest), gpus)

    def _gpus(self, count: int) -> tuple[tuple[int, int], ...] | None:
        if count < UNIT:
            # The fullest one that has room: so that whole ones stay whole.
            free, number = min(((f, n) for n, f in enumerate(self.gpus) if f >= count), default=(0, -1))
            return ((number, count),) if free else None
        whole = [n for n, free in enumerate(self.gpus) if free == UNIT][: count // UNIT]
        return tuple([(n, UNIT) for n in whole]) if len(whole) == count // UNIT else None

    def without(self, taken: Taken) -> Room:
        """Return what is free when a call holds this too."""
        return self._changed(taken.amounts, taken.gpus, -1)

    def with_(self, taken: Taken) -> Room:
        """Return what is free when a call no longer holds this."""
        return self._changed(taken.amounts, taken.gpus, 1)

    def kept_for(self, wanted: Resources) -> Room:
        """Return what is left for others while a call waits for this: what is short is nobody else's.

        Amounts may be below zero then; if the GPUs that it wants are not free, none is.
        """
        rest = tuple([(name, count) for name, count in wanted.units if name != "gpus"])
        gpus = next((count for name, count in wanted.units if name == "gpus"), 0)
        if not gpus:
            return self._changed(rest, (), -1)
        found = self._gpus(gpus)
        if found is None:
            return Room(self._changed(rest, (), -1).amounts, (0,) * len(self.gpus))
        return self._changed(rest, found, -1)

    def _changed(
        self, amounts: Iterable[tuple[str, int]], gpus: Iterable[tuple[int, int]], sign: int
    ) -> Room:
        changed = dict(self.amounts)
        for name, count in amounts:
            changed[name] = changed.get(name, 0) + sign * count
        if not gpus:
            return Room(changed, self.gpus)
        each = list(self.gpus)
        for number, count in gpus:
            each[number] += sign * count
        return Room(changed, tuple(each))
