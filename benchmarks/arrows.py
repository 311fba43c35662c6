"""The same work written in the arrow language, and how long its texts take to be read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from benchmarks import calls, kept
from liteflow import Flow
from liteflow.arrows import compile_text


def text_of_chain(size: int) -> str:
    """The chain of `kept.chain`, as a text."""
    return " → ".join(["source", *(f'add({{"number": {number}}})' for number in range(size - 1))])


@lru_cache
def flow_of_chain(size: int) -> Flow[..., Any]:
    """That text as a flow; reading it has a figure of its own."""
    return Flow.parse(text_of_chain(size), {"source": calls.source, "add": calls.add}, name="chain")


def chain(size: int) -> Any:
    return kept.result(flow_of_chain(size))


def read_chain(size: int) -> int:
    return len(compile_text(text_of_chain(size)).steps)


def read_statements(size: int) -> int:
    return len(compile_text("".join(f"A{n} → B → C{n};\n" for n in range(size))).steps)


PREPARED = {"chain": flow_of_chain}
SHAPES = {"chain": chain, "read_chain": read_chain, "read_statements": read_statements}
