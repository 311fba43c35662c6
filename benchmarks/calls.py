"""The calls that are measured: plain functions, the same for both ways."""

from __future__ import annotations

from typing import Any

WORKERS = 2
NAP_S = 0.1


def source() -> int:
    return 1


def add(value: int, number: int) -> int:
    return value + number


def join_three(first: int, second: int, third: int) -> int:
    return (first + second + third) % 1_000_003


def total(values: list[int]) -> int:
    return sum(values)


def array(megabytes: int) -> Any:
    import numpy as np  # noqa: PLC0415  only this shape needs it

    return np.arange(megabytes * 125_000, dtype=np.float64)


def consume(values: Any, factor: int) -> float:
    return float(values.sum()) * factor


def code(text: str) -> Any:
    names: dict[str, Any] = {}
    exec(text, names)
    return names["result"]


async def nap(number: int) -> int:
    import asyncio  # noqa: PLC0415  only this shape needs it

    await asyncio.sleep(NAP_S)
    return number


def parents(layer: int, place: int, width: int) -> tuple[int, int, int]:
    """The three calls of the layer above that a call takes; calls are numbered layer by layer."""
    above = (layer - 1) * width
    return above + place, above + (place * 7 + 1) % width, above + (place * 13 + 5) % width
