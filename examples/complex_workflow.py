"""A flow of four layers and 171 calls, to be looked at.

    20 generators >> 100 processors >> 50 combiners >> 1 summary

    python examples/complex_workflow.py
    python -m liteflow visualize layered_dag_171 --db liteflow.db

Each call starts as soon as its own inputs are there: a combiner does not wait for all processors.
"""

from __future__ import annotations

from collections.abc import Sequence

from liteflow import Flow, task


@task
def generate(seed: int) -> list[int]:
    """Give 1 000 numbers that look random and are always the same."""
    numbers = []
    for _ in range(1_000):
        seed = (seed * 1_103_515_245 + 12_345) % 2**31  # the example generator of the C standard
        numbers.append(seed >> 16)
    return numbers


@task
def process(numbers: list[int], modulus: int) -> int:
    """Count the multiples of `modulus`."""
    return sum(number % modulus == 0 for number in numbers)


@task
def combine(left: int, right: int) -> int:
    """Add two counts."""
    return left + right


@task
def summarise(counts: Sequence[int]) -> str:
    """Say what was found."""
    return f"{sum(counts):,} multiples in {len(counts)} pairs; most in one pair: {max(counts):,}"


# Keys are what pictures and tables show; without `.named` they would be generate, generate-2, ...
generated = [generate(seed).named(f"generate_{seed}") for seed in range(1, 21)]
processed = [
    process(numbers, modulus).named(f"process_{seed}_by_{modulus}")
    for seed, numbers in enumerate(generated, start=1)
    for modulus in (2, 3, 5, 7, 11)
]
# A combiner joins two processors that are far apart, so that the layers are woven into each other.
combined = [
    combine(processed[i], processed[i + 50]).named(f"combine_{i + 1}") for i in range(len(processed) // 2)
]

layered_dag_171 = Flow("layered_dag_171", summarise(combined))

# The guard is not for the worker processes, which never run this file: it lets `liteflow run` import it.
if __name__ == "__main__":
    run = layered_dag_171.run()
    print(run.result)
    print("look at it with: python -m liteflow visualize layered_dag_171 --db liteflow.db")
