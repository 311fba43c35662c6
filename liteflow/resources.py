"""What a call takes of the machine that it runs on: processors, GPUs, memory, and what else there is.

    @task(resources={"cpus": 2, "gpus": 1, "memory": "2GB", "telescope": 1})     what a call takes
    flow.run(resources={"gpus": 4, "telescope": 1})                              what the machine has

Checked when it is given, and the same from then on: pairs in the order of their names, memory in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from math import isfinite
from typing import Any

from attrs import frozen

from liteflow.errors import SettingError
from liteflow.names import checked_name

UNIT = 10_000
"""Amounts are counted in so many parts of one: thirds add up, and so do ten times a tenth."""

MOST = 1e15
"""The largest amount; of memory, a petabyte."""

_KNOWN = ("cpus", "gpus", "memory")
# What others call them: a name of one's own that nothing has would be refused only when it runs.
_MISNAMED = {
    **dict.fromkeys(("cpu", "num_cpus", "cores"), "cpus"),
    **dict.fromkeys(("gpu", "num_gpus"), "gpus"),
    **dict.fromkeys(("mem", "ram"), "memory"),
}
_MEMORY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kmgt]i?)?b", re.IGNORECASE)
# Source: https://physics.nist.gov/cuu/Units/binary.html
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_FACTORS |= {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = 'a number of bytes, or a text such as "2GB" or "512MiB", up to 1000TB'


@frozen(slots=False)
class Resources:
    """Amounts by name; what is not named, nothing was said of.

    Attributes:
        amounts: (name, amount) each, by name; memory in bytes.

    >>> resources_of({"memory": "2GB", "cpus": 2}, "a task").amounts
    (('cpus', 2), ('memory', 2000000000))
    """

    amounts: tuple[tuple[str, float], ...]

    @cached_property
    def units(self) -> tuple[tuple[str, int], ...]:
        """The amounts that are not zero, in parts of `UNIT`."""
        return tuple([(name, round(amount * UNIT)) for name, amount in self.amounts if amount])

    def __str__(self) -> str:
        return said_of(self.amounts)


def said_of(amounts: tuple[tuple[str, float], ...]) -> str:
    """Return amounts as a sentence has them.

    >>> said_of((("cpus", 2), ("memory", 2_500_000_000)))
    'cpus: 2, memory: 2.5GB'
    """
    texts = [f"{name}: {_size(n) if name == 'memory' else f'{n:g}'}" for name, n in amounts]
    return ", ".join(texts) or "nothing"


def resources_of(value: Any, owner: str, *, whole: bool = False) -> Resources | None:
    """Return what was given as `resources=`, checked; None for none at all.

    Args:
        value: A dict of amounts by name: "cpus", "gpus", "memory" (bytes, or a text with a unit), and names
            of one's own; numbers from 0, of up to four decimals.  Of GPUs a whole number, or a part of one.
        owner: Whose it is, for the message.
        whole: Whether these are a machine's, whose GPUs are whole.

    Raises:
        SettingError: A name or an amount that can't be one.

    >>> resources_of({"gpus": 0.5, "telescope": 1}, "a task")
    Resources(amounts=(('gpus', 0.5), ('telescope', 1)))
    """
    if value is None or isinstance(value, Resources):
        return value
    if not isinstance(value, Mapping):
        wants = 'a dict of amounts by name, such as {"cpus": 2, "gpus": 1, "memory": "2GB"}'
        raise SettingError(owner, "resources", value, wants)
    found = {_name(name, owner): amount for name, amount in value.items()}
    amounts = {name: _amount(name, amount, owner, whole) for name, amount in found.items()}
    return Resources(tuple(sorted(amounts.items()))) if amounts else None


def _name(name: Any, owner: str) -> str:
    meant = None if not isinstance(name, str) else name.lower()
    known = meant if meant in _KNOWN else _MISNAMED.get(meant or "")
    if known is not None and name != known:
        raise SettingError(owner, "a name in resources", name, f"{known!r}, if these are meant")
    return checked_name(name, owner, "a name in resources")


def _amount(name: str, given: Any, owner: str, whole: bool) -> float:
    wants = "a number from 0, of up to four decimals"
    value = given
    if name == "memory":
        wants = _SIZE
        value = _bytes(given)
    elif name == "gpus":
        wants = "a whole number" if whole else "a whole number, or a fraction below 1 of up to four decimals"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # nan fails every comparison, so it is refused too.
    if not number or not 0 <= value <= MOST or not _is_fine(value):
        raise SettingError(owner, f"resources[{name!r}]", given, wants)
    if name == "gpus" and value != int(value) and (whole or value > 1):
        raise SettingError(owner, f"resources[{name!r}]", given, wants)
    return int(value) if value == int(value) else float(value)


def _is_fine(value: float) -> bool:
    """Whether nothing of a number is lost when it is counted in units."""
    return abs(value * UNIT - round(value * UNIT)) < 1e-6 * max(1.0, value)


def _bytes(value: Any) -> Any:
    """How many bytes that is; what can't be told, as it is."""
    if isinstance(value, str) and (found := _MEMORY.fullmatch(value.strip())):
        number, prefix = found.groups()
        return round(float(number) * _FACTORS[(prefix or "").lower()])
    # Nobody has half a byte, and sums such as 0.1 * 2**30 are meant as they look.
    return round(value) if isinstance(value, float) and isfinite(value) else value


def _size(count: float) -> str:
    for prefix, factor in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= factor:
            return f"{count / factor:.4g}{prefix}B"
    return f"{count:g}B"
