"""The same work again, given to a thousand simulated workers: what the driver alone can do.

Each shape gives, beside its value, what its fleet has seen.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import Any

from benchmarks import kept
from benchmarks.fleet import Fleet
from liteflow import Flow
from liteflow.executor.base import Call
from liteflow.executor.process import wire

WIDTH = 1_000
SHORTEST_S, LONGEST_S = 30, 90
GOLDEN = 0.618033988749895


def result(flow: Flow[..., Any], fleet: Fleet) -> dict[str, Any]:
    run = flow.run(db=kept.STORE, executor=fleet)
    in_use = fleet.busy_s / (fleet.clock_s * fleet.places) if fleet.clock_s else 1.0
    return {
        "value": run.result,
        "tasks": fleet.made,
        "at_once": fleet.most,
        "attempts": fleet.attempts_s,
        "clock": fleet.clock_s,
        "in_use": in_use,
    }


def chain(size: int) -> dict[str, Any]:
    return result(kept.chained(size), Fleet())


def fan_out(size: int) -> dict[str, Any]:
    return result(kept.fanned_out(size), Fleet())


def layered(size: int) -> dict[str, Any]:
    """Layers as wide as the fleet, each call of which takes three of the layer above."""
    return result(kept.in_layers(WIDTH, max(size // WIDTH, 2)), Fleet())


def mapped(size: int) -> dict[str, Any]:
    """Calls that come into being while the run goes on."""
    return result(kept.mapped_over(size), Fleet())


def long(size: int) -> dict[str, Any]:
    """Calls of 30 to 90 seconds by the fleet's clock, each of which ends at a time of its own."""
    return result(kept.fanned_out(size), Fleet(lasts=lasts))


def lasts(node: int) -> float:
    """Seconds of a call, by its number: spread evenly, in no order (the golden ratio's multiples are)."""
    return SHORTEST_S + (LONGEST_S - SHORTEST_S) * (node * GOLDEN % 1)


def messages(size: int) -> float:
    """Seconds of the driver for a call that is sent to a worker, and its outcome that is read, each alone.

    The fleet's calls travel nowhere; this is what it leaves out.
    """
    here, there = socket.socketpair()
    call = Call(1, 1, 0, ((0, ()), 1), None, -1, (0,), None)
    facts = (1, 1, 0, 10, "123", "int", "pickle", 5, b"-" * 32, b"-" * 32, "1", 1, 0, b"-----")
    news = wire.frame(wire.NEWS, ([facts], [], [], [], []))
    with here, there, selectors.DefaultSelector() as selector:
        selector.register(here, selectors.EVENT_READ)
        writer, reader, seconds = wire.Writer(here), wire.Reader(here), 0.0
        for _ in range(size):
            began_s = time.perf_counter()
            writer.send(wire.frame(wire.CALLS, (1, [tuple(call)])))
            seconds += time.perf_counter() - began_s
            there.recv(65536)
            there.sendall(news)
            began_s = time.perf_counter()
            selector.select()
            reader.receive()
            outcomes = reader.frames()
            seconds += time.perf_counter() - began_s
            assert len(outcomes) == 1
    return seconds / size


SHAPES = {
    "chain": chain,
    "fan_out": fan_out,
    "layered": layered,
    "mapped": mapped,
    "long": long,
    "messages": messages,
}
