"""Large flows are read in a time that grows with their length and no more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from liteflow.arrows import compile_text


def seconds(text: str) -> float:
    """How long this process works on it."""
    begin = time.process_time()
    compile_text(text)
    return time.process_time() - begin


def holds_at_best(*texts: str, limit: Callable[..., bool]) -> bool:
    """Whether their shortest times are within a limit: what else the machine does makes not all longer."""
    best = [math.inf] * len(texts)
    for _ in range(8):
        best = [min(known, seconds(text)) for known, text in zip(best, texts, strict=True)]
        if limit(*best):
            return True
    return False


def statements(count: int) -> str:
    return "".join(f"A{n} → B → C{n};\n" for n in range(count))


def test_a_chain_of_1000_steps_compiles_in_a_fifth_of_a_second():
    compile_text("A")

    assert holds_at_best(" → ".join(f"A{n}" for n in range(1000)), limit=lambda took: took < 0.2)


def test_5_000_statements_compile_in_a_second_and_10_000_in_at_most_2_3_times_that():
    def limit(once: float, twice: float) -> bool:
        return once < 1 and twice < 2.3 * once + 0.1

    assert holds_at_best(statements(5_000), statements(10_000), limit=limit)
