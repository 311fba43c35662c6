"""How much of everything is measured."""

from __future__ import annotations

from attrs import frozen


@frozen
class Sizes:
    """How much of everything: `repeat` turns of the shapes, `starts` turns of whole short processes."""

    fan_out: int = 10_000
    chain: int = 1_000
    width: int = 100
    megabytes: int = 100
    naps: int = 1_000
    statements: int = 10_000
    items: int = 1_000_000
    in_a_file: int = 1_000
    memory: int = 100_000
    fleet: int = 100_000
    messages: int = 20_000
    repeat: int = 5
    starts: int = 15


QUICK = Sizes(
    fan_out=200,
    chain=30,
    width=10,
    megabytes=2,
    naps=20,
    statements=100,
    items=1_000,
    in_a_file=20,
    memory=2_000,
    fleet=2_500,
    messages=100,
    repeat=1,
    starts=1,
)
