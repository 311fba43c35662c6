"""What the machine that a run is driven on has for its calls: as it is found, and as the run is told."""

from __future__ import annotations

from functools import cached_property

from attrs import frozen

from liteflow.engine.room import Room
from liteflow.errors import NoRoomError
from liteflow.resources import Resources, said_of
from liteflow.system import cores, gpus, memory


@frozen(slots=False)
class Machine:
    """What there is for the calls of one run.

    Attributes:
        amounts: (name, amount) each, by name; memory in bytes.
        gpus: What CUDA calls each of the GPUs.
    """

    amounts: tuple[tuple[str, float], ...]
    gpus: tuple[str, ...]

    @classmethod
    def of(cls, told: Resources | None) -> Machine:
        """Return this machine.

        Args:
            told: What the run says that it has, for what is not found, or is to be otherwise.
        """
        found = gpus()
        amounts: dict[str, float] = {"cpus": cores(), "gpus": len(found), "memory": memory()}
        amounts |= dict(told.amounts) if told is not None else {}
        count = int(amounts["gpus"])
        # Told of more than are found, it is right, and they have the names that CUDA gives them by itself.
        names = found[:count] if count <= len(found) else [str(number) for number in range(count)]
        return cls(tuple(sorted(amounts.items())), tuple(names))

    @cached_property
    def room(self) -> Room:
        """All of it, free."""
        return Room.of(dict(self.amounts), len(self.gpus))

    def check(self, task: str, wanted: Resources) -> None:
        """Look whether a call would fit if it were alone.

        Raises:
            NoRoomError: It never will.
        """
        if self.room.fitting(wanted) is None:
            has = dict(self.amounts)
            short = tuple([(name, n) for name, n in wanted.amounts if n > has.get(name, 0)])
            there = said_of(tuple([(name, has.get(name, 0)) for name, _ in short]))
            raise NoRoomError(task, said_of(short), there)
