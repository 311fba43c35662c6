"""Large flows are read in a time that grows with their length and no more."""

from __future__ import annotations

import time

from liteflow.arrows import compile_text


def seconds(text: str) -> float:
    """The shorter of two, as this process counts: what else the machine does would make it longer."""
    times = []
    for _ in range(2):
        begin = time.process_time()
        compile_text(text)
        times.append(time.process_time() - begin)
    return min(times)


def statements(count: int) -> str:
    return "".join(f"A{n} → B → C{n};\n" for n in range(count))


def test_a_chain_of_1000_steps_compiles_in_a_fifth_of_a_second():
    compile_text("A")

    assert seconds(" → ".join(f"A{n}" for n in range(1000))) < 0.2


def test_5_000_statements_compile_in_a_second_and_10_000_in_at_most_2_3_times_that():
    once, twice = seconds(statements(5_000)), seconds(statements(10_000))

    assert once < 1
    assert twice < 2.3 * once + 0.1
